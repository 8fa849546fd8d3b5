"""What the metrics share: checks that turn their input into arrays of a known shape, and one mean."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def as_scores(scores: npt.ArrayLike) -> np.ndarray:
    """Scores as a finite float32 or float64 array of shape [N, C]."""
    array = np.asarray(scores)
    if array.ndim != 2 or 0 in array.shape or array.dtype.kind not in "iuf":
        raise ValueError(
            "scores must be numbers of shape [N, C] with at least one sample and one class; "
            f"got shape {array.shape} of {array.dtype}"
        )
    if array.dtype != np.float32:  # half precision is widened too: the comparisons below are faster and exact
        array = array.astype(np.float64, copy=False)
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        sample, label = bad[0]
        raise ValueError(
            f"scores must be finite, but {len(bad)} of {array.size} are not: the first is {array[sample, label]} "
            f"(sample {sample}, class {label}). Look for a diverged run or an overflow in half precision"
        )
    return array


def as_scores_and_targets(scores: npt.ArrayLike, targets: npt.ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Multi-label scores and their 0/1 targets, both [N, C]; the targets come back as booleans."""
    score_array, target_array = as_scores(scores), np.asarray(targets)
    if target_array.shape != score_array.shape:
        raise ValueError(
            f"targets must have the shape of scores, {score_array.shape}, with a 0 or 1 for every class; "
            f"got {target_array.shape}"
        )
    positive = target_array == 1
    if not np.all(positive | (target_array == 0)):
        values = np.unique(target_array[~(positive | (target_array == 0))])[:5]
        raise ValueError(f"targets must be 0 or 1, got {values.tolist()}; write a -1 for an absent label as 0")
    return score_array, positive


def as_class_indices(name: str, indices: npt.ArrayLike, num_classes: int) -> np.ndarray:
    """Class indices of shape [N], all in 0..num_classes - 1."""
    array = np.asarray(indices)
    if array.ndim != 1 or array.size == 0 or array.dtype.kind not in "iu":
        raise ValueError(
            f"{name} must be one class index per sample, integers of shape [N] with N >= 1; "
            f"got shape {array.shape} of {array.dtype}"
        )
    if array.min() < 0 or array.max() >= num_classes:
        raise ValueError(
            f"{name} must lie in 0..{num_classes - 1} for {num_classes} classes; got {array.min()}..{array.max()}. "
            "Labels that start at 1 need 1 subtracted"
        )
    return array


def mean_of_defined(values: np.ndarray) -> float:
    """Mean of the values that are not `nan`, or `nan` where there is none."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else float("nan")
