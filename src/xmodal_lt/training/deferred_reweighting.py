"""Deferred re-weighting: class weights that count only from an epoch on."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback

from xmodal_lt.modeling.classification_losses import WEIGHTING_KEYS
from xmodal_lt.modeling.modeling_long_tail import LongTailPreTrainedModel


class DeferredReweighting(TrainerCallback):
    """Takes the class weights out of the model's loss until an epoch is reached; the config is whole again afterwards.

    It looks at the state of training alone, so a resumed run has the weights of an uninterrupted one.

    Args:
        model (`LongTailPreTrainedModel`): its `config.classification_loss_kwargs` name the weights.
        start (`float`): the epoch, counted from 0, from which they count.

    Raises:
        ValueError: when the loss has no class weights.

    Source:
        Cao et al. 2019 (LDAM-DRW), algorithm 1.
    """

    def __init__(self, model: LongTailPreTrainedModel, start: float):
        self.config = model.config
        self.start = start
        self.weighted: dict[str, Any] = dict(model.config.classification_loss_kwargs or {})
        if "weighting" not in self.weighted:
            raise ValueError(
                f"reweight_from={start} defers class weights, but the loss has none; add `weighting` to its "
                "arguments, for example weighting=class_balanced."
            )
        self.unweighted = {key: value for key, value in self.weighted.items() if key not in WEIGHTING_KEYS}

    def on_step_begin(self, args, state, control, **kwargs):
        self.config.classification_loss_kwargs = self.weighted if state.epoch >= self.start else self.unweighted

    def on_train_end(self, args, state, control, **kwargs):
        self.config.classification_loss_kwargs = self.weighted


__all__ = ["DeferredReweighting"]
