"""What is saved with the checkpoint that a run starts from: its config, its words, how its images were prepared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import AutoImageProcessor, AutoTokenizer
from transformers.image_processing_utils import BaseImageProcessor

from .recipe import Recipe


def checkpoint_config(config_class: Any, checkpoint: str) -> Any:
    """The config of a checkpoint.

    Raises:
        ValueError: when there is no such checkpoint, or it is of another method than `config_class`.
    """
    folder = Path(checkpoint)
    if folder.is_dir() and not (folder / "config.json").is_file():
        raise ValueError(f"model.checkpoint={checkpoint} is no finished run: it has no config.json; finish it first.")
    try:
        saved_type = config_class.get_config_dict(checkpoint)[0].get("model_type")
    except (OSError, ValueError) as error:
        raise ValueError(
            f"model.checkpoint={checkpoint} is no folder of a finished run (train it first), and no model of that "
            f"name could be had from the Hub: {str(error).splitlines()[0]}"
        ) from error
    if saved_type != config_class.model_type:
        raise ValueError(
            f"model.checkpoint={checkpoint} holds a model of type {saved_type!r}, whose weights do not fit "
            f"model.type={config_class.model_type}; set model.type to the checkpoint's, or start from another one."
        )
    return config_class.from_pretrained(checkpoint)


def saved_vocabulary(checkpoint: str) -> dict[str, int] | None:
    """The words of a checkpoint, or `None` for one of a single stage, which is saved without its tokenizer."""
    try:
        return AutoTokenizer.from_pretrained(checkpoint).get_vocab()
    except (OSError, ValueError):
        return None


def saved_image_processor(checkpoint: str) -> BaseImageProcessor | None:
    """The image processor of a checkpoint, or `None` for one of a single stage, which is saved without it."""
    try:
        return AutoImageProcessor.from_pretrained(checkpoint)
    except OSError:
        return None


def recipe_of_stage(checkpoint: str) -> Recipe | None:
    """The recipe that left the checkpoint of a single stage, `<run>/checkpoints/<stage>/final`, if it is there."""
    folder = Path(checkpoint).resolve()
    file = folder.parent.parent.parent / "recipe.yaml"
    return Recipe.load(file) if folder.parent.parent.name == "checkpoints" and file.is_file() else None


__all__ = ["checkpoint_config", "recipe_of_stage", "saved_image_processor", "saved_vocabulary"]
