"""What a run can find wrong with its stages before it has trained or written anything."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from xmodal_lt.data.samplers import build_sampler
from xmodal_lt.modeling.modeling_long_tail import LongTailPreTrainedModel

from .deferred_reweighting import DeferredReweighting
from .rebalancing import check_rebalancing
from .recipe import Recipe, StageRecipe


def check_stages(recipe: Recipe, model: LongTailPreTrainedModel, labels: list[Any], has_validation: bool) -> None:
    """Checks every stage, its loss and its sampler, and the re-balancing against the model and the data.

    Args:
        recipe (`Recipe`): of the run.
        model (`LongTailPreTrainedModel`): its model, which is left without an active stage.
        labels (`list`): of the training samples.
        has_validation (`bool`): whether the data has a validation split.

    Raises:
        ValueError: for what does not fit.
    """
    unknown = [name for name in recipe.stages if name not in model.stages]
    if unknown:
        raise ValueError(
            f"Model {recipe.model.type!r} has no stage {unknown[0]!r}; its stages are {', '.join(model.stages)}."
        )
    for name, stage in recipe.stages.items():
        if stage.keep == "best" and not has_validation:
            raise ValueError(f"stages.{name}.keep=best compares epochs on a validation split; the data has none.")
        if stage.sampler is not None:
            build_sampler(stage.sampler, labels, recipe.seed, **stage.sampler_kwargs)
        model.set_stage(name)
        if stage.reset and not encoder_is_frozen(model):
            raise ValueError(
                f"stages.{name}.reset would draw the vision encoder's weights anew, as the stage trains it; reset a "
                "stage that trains the head alone."
            )
        _check_parts(name, stage, model)
        with stage_settings(model, stage), stage_loss(model, stage):
            _try_loss(model)
            if stage.reweight_from is not None:
                DeferredReweighting(model, stage.reweight_from)
    model.set_stage(None)
    if recipe.rebalance is not None:
        check_rebalancing(recipe.rebalance, model, has_validation)


@contextmanager
def stage_loss(model: LongTailPreTrainedModel, stage: StageRecipe) -> Iterator[None]:
    """The model with the stage's own loss, if the stage has one."""
    config = model.config
    base_loss = config.classification_loss, config.classification_loss_kwargs
    if stage.loss is not None:
        config.classification_loss, config.classification_loss_kwargs = stage.loss, dict(stage.loss_kwargs)
    try:
        yield
    finally:
        config.classification_loss, config.classification_loss_kwargs = base_loss


@contextmanager
def stage_settings(model: LongTailPreTrainedModel, stage: StageRecipe) -> Iterator[None]:
    """The model as the stage trains it: contrastive batches in pieces, labels that Mixup or CutMix mix."""
    base = model.base_model
    if stage.chunk_size is not None:
        base.encoding_chunk_size = stage.chunk_size
    model.labels_are_mixed = stage.mixup > 0 or stage.cutmix > 0
    try:
        yield
    finally:
        model.labels_are_mixed = False
        if stage.chunk_size is not None:
            base.encoding_chunk_size = None


def encoder_is_frozen(model: LongTailPreTrainedModel) -> bool:
    """Whether the active stage leaves the vision encoder as it is."""
    return not any(parameter.requires_grad for parameter in model.get_vision_encoder().parameters())


def _check_parts(name: str, stage: StageRecipe, model: LongTailPreTrainedModel) -> None:
    """What a stage asks of the model's parts, with the stage active."""
    trained = [part for part, parameter in model.named_parameters() if parameter.requires_grad]
    for part in stage.learning_rates or ():
        if not any(parameter.startswith(f"{part}.") for parameter in trained):
            raise ValueError(
                f"stages.{name}.learning_rates.{part}: the stage trains no part of that name; it trains "
                f"{', '.join(model.stages[name].trains)}. Take the part out, or set "
                f"stages.{name}.learning_rates=null."
            )
    if stage.chunk_size is not None:
        _check_pieces(name, model)
    if stage.mixup or stage.cutmix:
        _check_mixing(name, stage, model)


def _check_pieces(name: str, model: LongTailPreTrainedModel) -> None:
    if not model.reads_sentences:
        raise ValueError(
            f"stages.{name}.chunk_size is for stages with a contrastive loss; leave it out, and lower batch_size."
        )
    batch_norms = any(isinstance(module, torch.nn.modules.batchnorm._BatchNorm) for module in model.modules())
    if batch_norms and getattr(model.config, "train_mode", False):
        raise ValueError(
            f"stages.{name}.chunk_size: with train_mode=true, batch norms have the statistics of each piece; set "
            "model.config.train_mode=false, or leave chunk_size out."
        )


def _check_mixing(name: str, stage: StageRecipe, model: LongTailPreTrainedModel) -> None:
    loss = stage.loss or model.config.classification_loss
    if loss not in (None, "cross_entropy"):
        raise ValueError(
            f"stages.{name}: the labels that mixup and cutmix mix are for cross_entropy, and the loss is {loss!r}; "
            "leave them out, or change the loss."
        )
    one_label = model.config.problem_type == "single_label_classification"
    has_words = getattr(model.config, "vocab_size", None) is not None
    if model.reads_sentences or has_words or model.get_vision_encoder().takes_features or not one_label:
        raise ValueError(
            f"stages.{name}: mixup and cutmix need images with one label, and no words or sentences beside them, "
            "which would not be mixed; leave them out."
        )
    if encoder_is_frozen(model) and stage.cache_features:
        raise ValueError(
            f"stages.{name}: mixup and cutmix mix images, but the stage trains on cached features; set "
            "cache_features=false."
        )


def _try_loss(model: LongTailPreTrainedModel) -> None:
    """Some arguments are checked by the loss itself, which would else be at the first step."""
    multi_label = model.config.problem_type == "multi_label_classification" or model.labels_are_mixed
    logits = torch.zeros(1, model.config.num_labels)
    labels = torch.zeros_like(logits) if multi_label else torch.zeros(1, dtype=torch.int64)
    name = model.config.classification_loss
    try:
        model.classification_loss()(logits, labels)
    except (RuntimeError, TypeError) as error:
        arguments = model.config.classification_loss_kwargs
        raise ValueError(f"The loss {name!r} does not take the arguments {arguments}: {error}") from error


__all__ = ["check_stages", "encoder_is_frozen", "stage_loss"]
