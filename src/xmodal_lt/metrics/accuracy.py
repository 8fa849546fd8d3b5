"""Accuracy of single-label predictions: overall, on many-, medium- and few-shot classes, and in the top k."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ._arrays import as_class_indices, as_scores, mean_of_defined
from .groups import GROUPS, Boundaries, frequency_groups
from .top_k import top_k_indices


__all__ = ["shot_accuracy", "top_k_accuracy"]

_SHOT_OF_GROUP = dict(zip(GROUPS, ("many", "medium", "few"), strict=True))


def shot_accuracy(
    predictions: npt.ArrayLike,
    references: npt.ArrayLike,
    class_counts: npt.ArrayLike,
    many: int = 100,
    few: int = 20,
    average: Literal["macro", "micro"] = "macro",
    boundaries: Boundaries = "decoupling",
) -> dict[str, Any]:
    """
    Top-1 accuracy overall and on classes with many, a medium number of, and few training samples.

    The defaults are those of OLTR and decoupling. VL-LTR's numbers need `average="micro", boundaries="vl_ltr"`. On a
    balanced test split both averages agree.

    Args:
        predictions (`array_like`):
            Predicted class of each sample, integers of shape [N].
        references (`array_like`):
            True class of each sample, integers of shape [N].
        class_counts (`array_like`):
            Training samples of each class, shape [C].
        many (`int`, *optional*, defaults to 100):
            Upper threshold of the groups.
        few (`int`, *optional*, defaults to 20):
            Lower threshold of the groups.
        average (`str`, *optional*, defaults to `"macro"`):
            `"macro"` is the mean of the accuracies of the group's classes, `"micro"` the share of the group's
            samples that are right. `accuracy` is over samples in either case.
        boundaries (`str`, *optional*, defaults to `"decoupling"`):
            Side that a class at a threshold falls on, see [`frequency_groups`].

    Returns:
        `dict`: `accuracy` (share of all samples that are right), `many`, `medium`, `few` (`float`, in 0..1) and
        `per_class` (`np.ndarray` of shape [C]). A class without test samples is `nan` in `per_class` and left out of
        its group; a group without any other class is `nan`.

    Raises:
        ValueError: If predictions and references differ in length or are not class indices, or if `average`, the
            thresholds or `boundaries` are not valid.

    Source:
        `shot_acc` of OLTR and of "Decoupling Representation and Classifier for Long-Tailed Recognition"; VL-LTR.

    Example:

    ```python
    >>> from xmodal_lt.metrics import shot_accuracy

    >>> result = shot_accuracy([0, 0, 1, 0, 2], [0, 0, 1, 1, 2], class_counts=[500, 60, 3])
    >>> result["accuracy"], result["many"], result["medium"], result["few"]
    (0.8, 1.0, 0.5, 1.0)
    ```
    """
    if average not in ("macro", "micro"):
        raise ValueError(f'average must be "macro" or "micro"; got {average!r}')
    groups = frequency_groups(class_counts, many, few, boundaries)
    predicted = as_class_indices("predictions", predictions, len(groups))
    true = as_class_indices("references", references, len(groups))
    if len(predicted) != len(true):
        raise ValueError(f"expected one prediction per reference, got {len(predicted)} for {len(true)} references")
    tested = np.bincount(true, minlength=len(groups))
    correct = np.bincount(true[predicted == true], minlength=len(groups))
    per_class = np.divide(correct, tested, out=np.full(len(groups), np.nan), where=tested > 0)
    shots = {}
    for group, shot in _SHOT_OF_GROUP.items():
        in_group = groups == group
        if average == "macro":
            shots[shot] = mean_of_defined(per_class[in_group])
        else:
            num_tested = tested[in_group].sum()
            shots[shot] = float(correct[in_group].sum() / num_tested) if num_tested else float("nan")
    return {"accuracy": float(correct.sum() / tested.sum()), **shots, "per_class": per_class}


def top_k_accuracy(scores: npt.ArrayLike, references: npt.ArrayLike, k: int = 5) -> float:
    """
    Share of the samples whose true class is among the k highest scores.

    Args:
        scores (`array_like`):
            Logits or probabilities, shape [N, C]. Equal scores rank by class index.
        references (`array_like`):
            True class of each sample, integers of shape [N].
        k (`int`, *optional*, defaults to 5):
            How many classes count, from 1 to C.

    Returns:
        `float`: The accuracy, in 0..1.

    Raises:
        ValueError: If `k` does not lie in 1..C, a score is not finite, or the references are not N class indices.

    Example:

    ```python
    >>> from xmodal_lt.metrics import top_k_accuracy

    >>> top_k_accuracy([[0.1, 0.7, 0.2], [0.6, 0.3, 0.1]], references=[2, 2], k=2)
    0.5
    ```
    """
    score_array = as_scores(scores)
    true = as_class_indices("references", references, score_array.shape[1])
    if len(true) != len(score_array):
        raise ValueError(f"expected one reference per row of scores, got {len(true)} for {len(score_array)} rows")
    return float((top_k_indices(score_array, k) == true[:, None]).any(axis=1).mean())
