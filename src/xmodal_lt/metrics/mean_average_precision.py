"""Average precision of every class in one pass, and its mean over all, head, medium and tail classes."""

from __future__ import annotations

import logging
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ._arrays import as_scores_and_targets, mean_of_defined
from .groups import GROUPS, Boundaries, frequency_groups


__all__ = ["average_precision", "lt_map"]

logger = logging.getLogger(__name__)

Method = Literal["step", "rank"]


def average_precision(scores: npt.ArrayLike, targets: npt.ArrayLike, method: Method = "step") -> np.ndarray:
    """
    Average precision of every class, all classes at once.

    Args:
        scores (`array_like`):
            Logits or sigmoid probabilities, shape [N, C]. Any increasing function of the logits gives the same
            result as long as it makes no ties: half precision does, and a softmax over classes is no such function.
        targets (`array_like`):
            0/1 labels, shape [N, C].
        method (`str`, *optional*, defaults to `"step"`):
            `"step"` is scikit-learn's `average_precision_score`: samples with equal scores enter together. `"rank"`
            ranks equal scores in the order of the samples, as the meters of ML-GCN and ASL do; without ties both
            give the same.

    Returns:
        `np.ndarray`: Average precision in 0..1 of each class, shape [C], `nan` for a class without positives.

    Raises:
        ValueError: If shapes differ, a score is not finite, a target is not 0 or 1, or `method` is unknown.

    Example:

    ```python
    >>> from xmodal_lt.metrics import average_precision

    >>> average_precision([[0.9, 0.1], [0.8, 0.7], [0.3, 0.2]], [[1, 0], [0, 0], [1, 1]]).round(3).tolist()
    [0.833, 0.5]
    ```
    """
    if method not in ("step", "rank"):
        raise ValueError(f'method must be "step" (scikit-learn) or "rank" (ML-GCN); got {method!r}')
    score_array, positive = as_scores_and_targets(scores, targets)
    # Classes in rows: each sort then reads consecutive memory. Negated, because numpy only sorts upwards.
    negated = np.ascontiguousarray(-score_array.T)
    order = np.argsort(negated, axis=1, kind="stable" if method == "rank" else None)
    ranked = np.take_along_axis(np.ascontiguousarray(positive.T), order, axis=1)
    # Narrow counts, changed in place: on large splits the time goes into touching memory, not into arithmetic.
    hits = np.cumsum(ranked, axis=1, dtype=np.int32)
    num_positives = hits[:, -1].copy()
    if method == "step":
        _enter_ties_together(hits, np.take_along_axis(negated, order, axis=1))
    gained = np.diff(hits, axis=1, prepend=np.int32(0))
    total = np.einsum("cn,cn,n->c", gained, hits, 1 / np.arange(1, hits.shape[1] + 1))
    return np.divide(total, num_positives, out=np.full(len(total), np.nan), where=num_positives > 0)


def _enter_ties_together(hits: np.ndarray, sorted_scores: np.ndarray) -> None:
    """Let the hits of every run of equal scores count from the last sample of the run on, in place."""
    hits[:, :-1] *= sorted_scores[:, 1:] != sorted_scores[:, :-1]
    np.maximum.accumulate(hits, axis=1, out=hits)


def lt_map(
    scores: npt.ArrayLike,
    targets: npt.ArrayLike,
    class_counts: npt.ArrayLike,
    head: int = 100,
    tail: int = 20,
    boundaries: Boundaries = "multilabel",
    method: Method = "step",
) -> dict[str, Any]:
    """
    Mean average precision over all classes, and over those with many, some and few training samples.

    Args:
        scores (`array_like`):
            Logits or sigmoid probabilities, shape [N, C].
        targets (`array_like`):
            0/1 labels, shape [N, C].
        class_counts (`array_like`):
            Training samples of each class, shape [C]. They alone decide the groups.
        head (`int`, *optional*, defaults to 100):
            Upper threshold of the groups.
        tail (`int`, *optional*, defaults to 20):
            Lower threshold of the groups.
        boundaries (`str`, *optional*, defaults to `"multilabel"`):
            Side that a class at a threshold falls on, see [`frequency_groups`]. The default is the rule of VOC-LT
            and COCO-LT; NUS-WIDE's is `"decoupling"`.
        method (`str`, *optional*, defaults to `"step"`):
            How equal scores rank, see [`average_precision`].

    Returns:
        `dict`: `map`, `map_head`, `map_medium`, `map_tail` (`float`, in 0..1) and `ap` (`np.ndarray` of shape [C]).
        A class without positives has no average precision: it is `nan` in `ap` and left out of the means. A group
        without any other class is `nan`.

    Raises:
        ValueError: If shapes differ, a score is not finite, a target is not 0 or 1, or the thresholds, `boundaries`
            or `method` are not valid.

    Source:
        scikit-learn's `average_precision_score`, as in the evaluation code of DB loss, LMPT and CPRFL.

    Example:

    ```python
    >>> from xmodal_lt.metrics import lt_map

    >>> scores = [[2.0, -1.0], [0.5, 1.5], [-0.3, 0.2]]
    >>> result = lt_map(scores, targets=[[1, 0], [0, 0], [1, 1]], class_counts=[120, 7])
    >>> round(result["map"], 3), round(result["map_tail"], 3)
    (0.667, 0.5)
    ```
    """
    groups = frequency_groups(class_counts, head, tail, boundaries)
    ap = average_precision(scores, targets, method)
    if len(groups) != len(ap):
        raise ValueError(f"class_counts has {len(groups)} classes and scores have {len(ap)}; they must agree")
    num_undefined = int(np.isnan(ap).sum())
    if num_undefined:
        logger.info("%d of %d classes have no positive sample and are left out of the mAP", num_undefined, len(ap))
    means = {f"map_{group}": mean_of_defined(ap[groups == group]) for group in GROUPS}
    return {"map": mean_of_defined(ap), **means, "ap": ap}
