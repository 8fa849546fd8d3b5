"""Labels of a split, one or several a sample, checked and as arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse


__all__ = ["check_class_ids", "is_single_label", "multi_hot"]


def is_single_label(labels: Any) -> bool:
    """One number a sample. A list of lists, also of equal lengths, holds class ids, so it is not made an array."""
    return np.ndim(labels[0]) == 0


def check_class_ids(ids: np.ndarray, samples: np.ndarray, num_classes: int | None) -> None:
    if ids.dtype.kind not in "iu":
        raise TypeError(f"class ids must be whole numbers, got {ids.dtype}. Number the classes from 0 first")
    out_of_range = np.flatnonzero((ids < 0) | (ids >= (num_classes or np.inf)))
    if out_of_range.size:
        first = out_of_range[0]
        raise ValueError(
            f"label {ids[first]} of sample {samples[first]} is out of range: expected "
            f"{f'0 to {num_classes - 1}' if num_classes else '0 or more'}. Drop samples whose label is missing (-1), "
            "and count every class"
        )


def multi_hot(labels: Any, num_classes: int | None) -> sparse.csr_array:
    """Zeros and ones, shape [N, C]; sparse, as a sample has few of the classes."""
    if not isinstance(labels, (list, tuple)):
        return sparse.csr_array(_checked_multi_hot(np.asarray(labels), num_classes))
    samples = np.repeat(np.arange(len(labels)), [len(ids) for ids in labels])
    ids = np.asarray([class_id for ids in labels for class_id in ids] or np.empty(0, dtype=np.int64))
    check_class_ids(ids, samples, num_classes)
    shape = len(labels), num_classes or int(ids.max(initial=-1)) + 1
    matrix = sparse.csr_array((np.ones(len(ids), dtype=np.int64), (samples, ids)), shape=shape)
    matrix.sum_duplicates()
    if matrix.nnz < len(ids):
        row = next(row for row, ids in enumerate(labels) if len(set(ids)) < len(ids))
        raise ValueError(
            f"sample {row} lists a class twice: {list(labels[row])}. Multi-hot rows must come as one array instead"
        )
    return matrix


def _checked_multi_hot(array: np.ndarray, num_classes: int | None) -> np.ndarray:
    if array.ndim != 2 or array.shape[1] != (num_classes or array.shape[1]) or not np.isin(array, (0, 1)).all():
        raise ValueError(
            f"an array of several labels per sample must be zeros and ones of shape [N, {num_classes or 'C'}], got "
            f"shape {array.shape} with values from {array.min()} to {array.max()}. Pass class ids as a list of lists"
        )
    return array.astype(np.int64)
