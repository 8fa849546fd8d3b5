"""Columns of paths of extracted features become columns of references to them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from .feature_files import FEATURES, parse_reference
from .table import Conversion


__all__ = ["reference_conversion"]

_STRINGS = ("string", "large_string")


def reference_conversion(column: str, feature: Any, place: Callable[[str], str]) -> Conversion:
    """
    Turn a column of paths into references. No file is opened.

    Args:
        column (`str`):
            Column with paths, `"file.npy"` or `"file.h5::name"`, or with references already. A row may be null.
        feature (`datasets` feature):
            Its type.
        place (`Callable[[str], str]`):
            From the path of a file, as the table has it, to where the file is.

    Returns:
        [`Conversion`]: To `FEATURES`; it raises a `ValueError` for a path of another kind.

    Raises:
        TypeError: If the column holds something else.
    """
    are_references = isinstance(feature, dict) and set(FEATURES) <= set(feature)
    if not are_references and getattr(feature, "dtype", None) not in (*_STRINGS, "null"):
        raise TypeError(
            f"column {column!r} must hold paths of extracted features, 'file.npy' or 'file.h5::name', got {feature}"
        )
    return Conversion(partial(_reference, place), FEATURES)


def _reference(place: Callable[[str], str], value: Any) -> dict[str, Any] | None:
    if isinstance(value, str):
        value = parse_reference(value)
    if value is None or value["path"] is None:
        return None
    return {**{name: value[name] for name in FEATURES}, "path": place(value["path"])}
