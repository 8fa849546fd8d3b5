"""Precision, recall and F1 of multi-label predictions: of the k best classes, and of classes over a threshold."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ._arrays import as_scores_and_targets, mean_of_defined
from .top_k import top_k_indices


__all__ = ["multilabel_f1", "precision_recall_at_k"]


def precision_recall_at_k(
    scores: npt.ArrayLike, targets: npt.ArrayLike, ks: Sequence[int] = (1, 5)
) -> dict[str, float]:
    """
    Precision and recall of the k highest scores of each sample, averaged over samples.

    Args:
        scores (`array_like`):
            Logits or probabilities, shape [N, C]. Equal scores rank by class index.
        targets (`array_like`):
            0/1 labels, shape [N, C].
        ks (`Sequence[int]`, *optional*, defaults to `(1, 5)`):
            The numbers of classes to look at, each in 1..C.

    Returns:
        `dict`: `precision_at_k` (mean of hits / k over all samples) and `recall_at_k` (mean of hits / number of
        positives, over the samples that have a positive; `nan` if none has) for each k.

    Raises:
        ValueError: If shapes differ, a score is not finite, a target is not 0 or 1, or a k does not lie in 1..C.

    Source:
        The evaluation code of ATNet; CRIF, Table I (Pre-k, Recall-k).

    Example:

    ```python
    >>> from xmodal_lt.metrics import precision_recall_at_k

    >>> precision_recall_at_k([[0.9, 0.8, 0.1], [0.2, 0.1, 0.7]], [[1, 1, 0], [1, 0, 0]], ks=(1, 2))
    {'precision_at_1': 0.5, 'recall_at_1': 0.25, 'precision_at_2': 0.75, 'recall_at_2': 1.0}
    ```
    """
    score_array, positive = as_scores_and_targets(scores, targets)
    if not ks or min(ks) < 1:
        raise ValueError(f"ks must name at least one number of classes, each 1 or more; got {tuple(ks)}")
    hits = np.cumsum(np.take_along_axis(positive, top_k_indices(score_array, max(ks)), axis=1), axis=1)
    num_positives = positive.sum(axis=1)
    labelled = num_positives > 0
    results = {}
    for k in ks:
        results[f"precision_at_{k}"] = float(hits[:, k - 1].mean() / k)
        results[f"recall_at_{k}"] = mean_of_defined(hits[labelled, k - 1] / num_positives[labelled])
    return results


def multilabel_f1(
    scores: npt.ArrayLike, targets: npt.ArrayLike, threshold: float = 0.5, top_k: int | None = None
) -> dict[str, float]:
    """
    Overall (OP, OR, OF1) and per-class (CP, CR, CF1) precision, recall and F1 of thresholded predictions.

    A class is predicted where the sigmoid of its score reaches `threshold`. Overall numbers count the pairs of sample
    and class; per-class numbers are means over classes, and CF1 is the harmonic mean of CP and CR.

    Args:
        scores (`array_like`):
            Logits, shape [N, C]: not probabilities, as the sigmoid is applied here.
        targets (`array_like`):
            0/1 labels, shape [N, C].
        threshold (`float`, *optional*, defaults to 0.5):
            Probability from which a class is predicted, between 0 and 1. CPRFL's training loop uses 0.8.
        top_k (`int`, *optional*):
            Predict at most the k highest scores of a sample (those of them that reach the threshold).

    Returns:
        `dict`: `op`, `or`, `of1`, `cp`, `cr`, `cf1` (`float`, in 0..1). A precision without predictions is 0. Classes
        without positives are left out of CP and CR, because their recall is not defined; without any positive the
        recalls, CP and the F1 are `nan`.

    Raises:
        ValueError: If shapes differ, a score is not finite, a target is not 0 or 1, `threshold` does not lie between
            0 and 1, or `top_k` does not lie in 1..C.

    Source:
        The average-precision meters of ML-GCN and CPRFL.

    Example:

    ```python
    >>> from xmodal_lt.metrics import multilabel_f1

    >>> result = multilabel_f1([[2.0, 1.0], [-1.0, 0.5]], [[1, 0], [0, 1]])
    >>> round(result["of1"], 3), round(result["cf1"], 3)
    (0.8, 0.857)
    ```
    """
    score_array, positive = as_scores_and_targets(scores, targets)
    if not 0 < threshold < 1:
        raise ValueError(f"threshold is a probability between 0 and 1; got {threshold}")
    # The logit of the threshold saves the sigmoid of every score, and cannot round two scores to one probability.
    predicted = score_array >= math.log(threshold / (1 - threshold))
    if top_k is not None:
        in_top_k = np.zeros_like(predicted)
        np.put_along_axis(in_top_k, top_k_indices(score_array, top_k), True, axis=1)
        predicted &= in_top_k
    hits, num_predicted, num_positive = (m.sum(axis=0) for m in (predicted & positive, predicted, positive))
    defined = num_positive > 0
    overall_precision = float(hits.sum() / max(num_predicted.sum(), 1))
    overall_recall = float(hits.sum() / num_positive.sum()) if defined.any() else math.nan
    class_precision = mean_of_defined(hits[defined] / np.maximum(num_predicted[defined], 1))
    class_recall = mean_of_defined(hits[defined] / num_positive[defined])
    return {
        "op": overall_precision,
        "or": overall_recall,
        "of1": _harmonic_mean(overall_precision, overall_recall),
        "cp": class_precision,
        "cr": class_recall,
        "cf1": _harmonic_mean(class_precision, class_recall),
    }


def _harmonic_mean(precision: float, recall: float) -> float:
    total = precision + recall
    return 2 * precision * recall / total if total else 0.0
