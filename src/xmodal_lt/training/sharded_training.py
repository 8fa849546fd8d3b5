"""Training under FSDP and DeepSpeed, by which each process holds a share of what learns."""

from __future__ import annotations

from typing import Any

from accelerate.utils import parse_flag_from_env
from transformers import PreTrainedModel

from .trainer import LongTailTrainer


def is_sharded() -> bool:
    """Whether `accelerate launch` has one of them share out the model or its optimizer."""
    return any(parse_flag_from_env(f"ACCELERATE_USE_{name}") for name in ("FSDP", "DEEPSPEED"))


def whole_model(trainer: LongTailTrainer, model_class: Any) -> PreTrainedModel:
    """What a trainer has trained, in one piece, on the first process. Every process has to ask for it.

    Args:
        trainer ([`LongTailTrainer`]): after its training.
        model_class (`type`): of its model, which FSDP has changed.
    """
    weights = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    model = model_class(trainer.model.config)
    if trainer.is_world_process_zero():
        model.load_state_dict(weights)
    return model


__all__ = ["is_sharded", "whole_model"]
