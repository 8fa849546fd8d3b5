"""Deferred re-weighting: class weights that count only from an epoch on."""

from __future__ import annotations

from transformers import TrainerCallback

from xmodal_lt.modeling.modeling_long_tail import LongTailPreTrainedModel


class DeferredReweighting(TrainerCallback):
    """Keeps the class weights out of the model's loss until an epoch is reached; the config is as it was.

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
        self.model = model
        self.start = start
        if "weighting" not in (model.config.classification_loss_kwargs or {}):
            raise ValueError(
                f"reweight_from={start} defers class weights, but the loss has none; add `weighting` to its "
                "arguments, for example weighting=class_balanced."
            )

    def on_step_begin(self, args, state, control, **kwargs):
        self.model.class_weights_count = state.epoch >= self.start

    def on_train_end(self, args, state, control, **kwargs):
        self.model.class_weights_count = True


__all__ = ["DeferredReweighting"]
