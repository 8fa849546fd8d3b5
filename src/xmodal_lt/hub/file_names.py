"""Names of the files that a push sends."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

from transformers.utils import (
    CONFIG_NAME,
    IMAGE_PROCESSOR_NAME,
    PROCESSOR_NAME,
    SAFE_WEIGHTS_INDEX_NAME,
    SAFE_WEIGHTS_NAME,
)


__all__ = ["CARD", "RECIPE", "is_copied", "is_figure", "is_of_model", "is_published", "is_weights"]

CARD = "README.md"
RECIPE = "recipe.yaml"

_WEIGHTS = (SAFE_WEIGHTS_NAME, "model-*-of-*.safetensors")
_COPIED = (
    IMAGE_PROCESSOR_NAME,
    PROCESSOR_NAME,
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    CARD,
    RECIPE,
    "results.json",
    "history.json",
    "per_class_*.csv",
)
_FIGURES = frozenset({".png", ".svg", ".pdf", ".jpg", ".jpeg", ".webp"})
_PACKAGE = Path(__file__).parents[1]


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


def is_published(path: str) -> bool:
    """
    Whether a push may have put a file into a repository: then the next one takes it away if it is not sent again.

    Args:
        path (`str`):
            Path in the repository.

    Returns:
        `bool`: Files that others put there, such as a licence or an ONNX export, are none of them.
    """
    if path.startswith("figures/"):
        return is_figure(path)
    return "/" not in path and (is_of_model(path) or is_copied(path) or _is_code(path))


def _is_code(name: str) -> bool:
    """Whether a file has the name of one that goes along with a model, as its source."""
    return name.endswith(".py") and any((_PACKAGE / part / name).is_file() for part in ("modeling", "processing"))
