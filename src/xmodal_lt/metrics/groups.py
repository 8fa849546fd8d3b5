"""Head, medium and tail: the frequency group of each class, by its number of training samples."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import numpy.typing as npt


__all__ = ["GROUPS", "Boundaries", "frequency_groups"]

Boundaries = Literal["decoupling", "vl_ltr", "multilabel"]

GROUPS = ("head", "medium", "tail")


def frequency_groups(
    class_counts: npt.ArrayLike, head: int = 100, tail: int = 20, boundaries: Boundaries = "decoupling"
) -> np.ndarray:
    """
    Name the frequency group of every class.

    Publications agree on the thresholds but not on the side that a class exactly at a threshold falls on:

    | `boundaries` | head | medium | tail | used by |
    | --- | --- | --- | --- | --- |
    | `"decoupling"` | n > head | tail <= n <= head | n < tail | OLTR, decoupling, CMLTNet |
    | `"vl_ltr"` | n >= head | tail < n < head | n <= tail | VL-LTR's released code |
    | `"multilabel"` | n >= head | tail <= n < head | n < tail | VOC-LT, COCO-LT |

    Args:
        class_counts (`array_like`):
            Training samples of each class, shape [C], whole numbers from 0 up.
        head (`int`, *optional*, defaults to 100):
            Upper threshold. Data sets bring their own: NUS-WIDE 5000, VireoFood-172 500.
        tail (`int`, *optional*, defaults to 20):
            Lower threshold, below `head`: NUS-WIDE 2000, VireoFood-172 300.
        boundaries (`str`, *optional*, defaults to `"decoupling"`):
            Which of the rules above holds.

    Returns:
        `np.ndarray`: `"head"`, `"medium"` or `"tail"` for each class, shape [C].

    Raises:
        ValueError: If the counts are not one row of whole numbers from 0 up, if `tail` is not below `head`, or if
            `boundaries` is none of the three rules.

    Example:

    ```python
    >>> from xmodal_lt.metrics import frequency_groups

    >>> frequency_groups([300, 100, 20, 4]).tolist()
    ['head', 'medium', 'medium', 'tail']
    >>> frequency_groups([300, 100, 20, 4], boundaries="vl_ltr").tolist()
    ['head', 'head', 'tail', 'tail']
    ```
    """
    counts = _as_class_counts(class_counts)
    if not 0 <= tail < head:
        raise ValueError(f"expected thresholds with 0 <= tail < head, got head={head} and tail={tail}")
    if boundaries not in get_args(Boundaries):
        raise ValueError(f"boundaries must be one of {', '.join(get_args(Boundaries))}; got {boundaries!r}")
    is_head = counts > head if boundaries == "decoupling" else counts >= head
    is_tail = counts <= tail if boundaries == "vl_ltr" else counts < tail
    return np.where(is_head, "head", np.where(is_tail, "tail", "medium"))


def _as_class_counts(class_counts: npt.ArrayLike) -> np.ndarray:
    counts = np.asarray(class_counts)
    if counts.ndim != 1 or counts.size == 0 or counts.dtype.kind not in "iuf":
        raise ValueError(
            "class_counts must be one number of training samples per class, shape [C] with C >= 1; "
            f"got shape {counts.shape} of {counts.dtype}"
        )
    # Written so that a nan is caught too; an infinite count equals its own floor and needs its own test.
    bad = np.flatnonzero(~((counts >= 0) & (counts == np.floor(counts)) & np.isfinite(counts)))
    if bad.size:
        raise ValueError(
            f"class_counts must be whole numbers from 0 up; class {bad[0]} has {counts[bad[0]]}. "
            "Count the training labels instead of passing weights or priors"
        )
    return counts
