"""Columns of paths of extracted features become columns of references to them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets

from .feature_files import FEATURES, parse_reference
from .table import column_values, replace_column


__all__ = ["with_references"]

_STRINGS = ("string", "large_string")


def with_references(part: datasets.Dataset, column: str, base_dir: Path | None = None) -> datasets.Dataset:
    """
    Turn a column of paths into references. No file is opened.

    Args:
        part (`datasets.Dataset`):
            One split.
        column (`str`):
            Column with paths, `"file.npy"` or `"file.h5::name"`, or with references already. A row may be null.
        base_dir (`pathlib.Path`, *optional*, defaults to the current folder):
            Where relative paths start.

    Returns:
        `datasets.Dataset`: With `FEATURES` in that column.

    Raises:
        TypeError: If the column holds something else.
        ValueError: If a path is of another kind.
    """
    feature = part.features[column]
    are_references = isinstance(feature, dict) and set(FEATURES) <= set(feature)
    if not are_references and getattr(feature, "dtype", None) not in (*_STRINGS, "null"):
        raise TypeError(
            f"column {column!r} must hold paths of extracted features, 'file.npy' or 'file.h5::name', got {feature}"
        )
    folder = (base_dir or Path()).absolute()
    values = column_values(part, column)
    rows = [_reference(value, folder, f"row {row} of column {column!r}") for row, value in enumerate(values)]
    return part if rows == values and feature == FEATURES else replace_column(part, column, rows, FEATURES)


def _reference(value: Any, folder: Path, where: str) -> dict[str, Any] | None:
    if isinstance(value, str):
        try:
            value = parse_reference(value)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error
    if value is None or value["path"] is None:
        return None
    return {**{name: value[name] for name in FEATURES}, "path": str(folder / value["path"])}
