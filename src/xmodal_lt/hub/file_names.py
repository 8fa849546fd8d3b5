"""Names of the files that a push sends."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path, PurePath

from transformers.utils import (
    CONFIG_NAME,
    IMAGE_PROCESSOR_NAME,
    PROCESSOR_NAME,
    SAFE_WEIGHTS_INDEX_NAME,
    SAFE_WEIGHTS_NAME,
)


__all__ = [
    "CARD",
    "RECIPE",
    "VOCABULARIES",
    "is_copied",
    "is_figure",
    "is_of_model",
    "is_weights",
    "shows_pictures",
]

CARD = "README.md"
RECIPE = "recipe.yaml"

# Of a tokenizer: any text may be a piece of it.
VOCABULARIES = (
    "tokenizer.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
)

_WEIGHTS = (SAFE_WEIGHTS_NAME, "model-*-of-*.safetensors")
_COPIED = (
    IMAGE_PROCESSOR_NAME,
    PROCESSOR_NAME,
    *VOCABULARIES,
    "tokenizer_config.json",
    CARD,
    RECIPE,
    "results.json",
    "history.json",
    "per_class_*.csv",
)
_FIGURES = frozenset({".png", ".svg", ".pdf", ".jpg", ".jpeg", ".webp"})
_PICTURES = ("attention*", "predictions*", "retrieval*")  # figures that show images of the data set


def is_weights(name: str) -> bool:
    """Whether a file holds weights."""
    return any(fnmatchcase(name, pattern) for pattern in _WEIGHTS)


def is_of_model(name: str) -> bool:
    """Whether a file in a run's folder is one that its model is read from."""
    return name in (CONFIG_NAME, SAFE_WEIGHTS_INDEX_NAME) or is_weights(name)


def is_copied(name: str) -> bool:
    """Whether a file in a run's folder is published beside the model."""
    return any(fnmatchcase(name, pattern) for pattern in _COPIED)


def is_figure(name: str) -> bool:
    """Whether a file in the folder `figures` is published."""
    return Path(name).suffix.lower() in _FIGURES


def shows_pictures(path: PurePath) -> bool:
    """Whether a file below the folder `figures` shows images of the data set, by its name or its folder's."""
    return path.parts[0] == "widget" or any(fnmatchcase(path.name, pattern) for pattern in _PICTURES)
