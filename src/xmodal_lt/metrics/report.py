"""From the scores of a model to the results of a run: what `results.json`, the card and the figures are made of."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ._arrays import as_scores, mean_of_defined
from .accuracy import shot_accuracy, top_k_accuracy
from .groups import GROUPS, Boundaries, frequency_groups
from .mean_average_precision import lt_map
from .multilabel import multilabel_f1, precision_recall_at_k


__all__ = ["THRESHOLD", "check_threshold", "classification_results"]

THRESHOLD = 0.5


def classification_results(
    scores: npt.ArrayLike,
    references: npt.ArrayLike,
    class_counts: npt.ArrayLike,
    *,
    problem_type: str,
    class_names: Sequence[str] | None = None,
    head: int = 100,
    tail: int = 20,
    boundaries: Boundaries = "decoupling",
    threshold: float = THRESHOLD,
) -> dict[str, Any]:
    """
    Evaluate a classifier overall, on head, medium and tail classes, and class by class.

    Args:
        scores (`array_like`):
            Logits, shape [N, C].
        references (`array_like`):
            Class index of each sample, shape [N], if single-label; 0/1 labels, shape [N, C], if multi-label.
        class_counts (`array_like`):
            Training samples of each class, shape [C].
        problem_type (`str`):
            `"single_label_classification"` or `"multi_label_classification"`.
        class_names (`Sequence[str]`, *optional*):
            Name of each class; its index, if not given.
        head (`int`, *optional*, defaults to 100):
            Upper threshold of the groups, see [`frequency_groups`].
        tail (`int`, *optional*, defaults to 20):
            Lower threshold of the groups.
        boundaries (`str`, *optional*, defaults to `"decoupling"`):
            Side that a class at a threshold falls on: `"multilabel"` for VOC-LT and COCO-LT.
        threshold (`float`, *optional*, defaults to 0.5):
            Multi-label: probability from which a class is predicted, between 0 and 1.

    Returns:
        `dict`: Ready for JSON; all rates are in 0..1, and `None` where not defined (a group without classes or
        without test samples, a top 5 of fewer than five classes).

        - `problem_type`, `num_samples`, `num_classes`, `thresholds` (`head`, `tail`, `boundaries`).
        - Single-label: `accuracy` over samples, `accuracy_top5`, and `macro_accuracy`, the mean over the classes that
          have test samples.
        - Multi-label: `map`, `precision_at_1`, `recall_at_1`, `precision_at_5`, `recall_at_5`, `threshold` and, with
          classes predicted from that probability, `op`, `or`, `of1`, `cp`, `cr`, `cf1`; `op_top3` to `cf1_top3` are
          the same of the classes among the 3 best that reach it, and `None` with fewer than 3 classes.
        - `groups`: for `all`, `head`, `medium` and `tail` the accuracies `micro` (over samples) and `macro` (over
          classes), or `map`; `num_classes`; `num_train` and `num_test`, the training and test samples (multi-label:
          labels) of its classes.
        - `per_class`: for each class `class` (its name), `id`, `group`, `train_count`, `test_count`, and `accuracy`
          or `ap`.

    Raises:
        ValueError: If the problem type is unknown, the numbers of classes do not agree, a score is not finite, or the
            references or thresholds are not valid, or if a single-label problem gets a `threshold` other than 0.5.

    Source:
        CPRFL and ML-GCN: their meters' `overall` and `overall_topk`.

    Example:

    ```python
    >>> from xmodal_lt.metrics import classification_results

    >>> results = classification_results(
    ...     scores=[[2.0, 0.1], [0.3, 0.4], [1.0, 0.0]],
    ...     references=[0, 1, 1],
    ...     class_counts=[150, 8],
    ...     problem_type="single_label_classification",
    ... )
    >>> round(results["accuracy"], 3), results["groups"]["tail"]["macro"], results["groups"]["medium"]["macro"]
    (0.667, 0.5, None)
    ```
    """
    score_array = as_scores(scores)
    groups = frequency_groups(class_counts, head, tail, boundaries)
    names = [str(index) for index in range(len(groups))] if class_names is None else list(class_names)
    if not len(groups) == len(names) == score_array.shape[1]:
        raise ValueError(
            f"scores have {score_array.shape[1]} classes, class_counts {len(groups)} and class_names {len(names)}; "
            "they must agree"
        )
    if problem_type not in _EVALUATE:
        raise ValueError(f"problem_type must be one of {', '.join(_EVALUATE)}; got {problem_type!r}")
    check_threshold(threshold, problem_type)
    train_counts = np.asarray(class_counts).astype(np.int64)
    evaluation = _EVALUATE[problem_type](score_array, references, train_counts, head, tail, boundaries)
    multi_label = problem_type == "multi_label_classification"
    results = {
        "problem_type": problem_type,
        "num_samples": len(score_array),
        "num_classes": len(groups),
        "thresholds": {"head": head, "tail": tail, "boundaries": boundaries},
        **evaluation.overall,
        **(_threshold_rates(score_array, references, threshold) if multi_label else {}),
        "groups": _group_results(evaluation, groups, train_counts),
        "per_class": _class_results(evaluation, groups, train_counts, names),
    }
    return _ready_for_json(results)


def check_threshold(threshold: float, problem_type: str) -> None:
    """
    Refuse a threshold that results cannot be made with, before scores are computed.

    Args:
        threshold (`float`): Probability from which a class is predicted.
        problem_type (`str`): `"single_label_classification"` or `"multi_label_classification"`.

    Raises:
        ValueError: If it does not lie between 0 and 1, or is not the default although the problem is single-label.
    """
    if not 0 < threshold < 1:
        raise ValueError(f"threshold is a probability between 0 and 1; got {threshold}")
    if problem_type != "multi_label_classification" and threshold != THRESHOLD:
        raise ValueError(
            f"threshold={threshold} is for multi-label problems, but this one is of type {problem_type}, where the "
            "best class is predicted whatever its probability; leave the threshold out"
        )


@dataclass(frozen=True)
class _Evaluation:
    """What differs between the problem types: which rates there are, and what counts as a test sample of a class."""

    overall: dict[str, float | None]
    group_rates: dict[str, dict[str, float]]
    class_rate: str
    class_rates: np.ndarray
    test_counts: np.ndarray


def _evaluate_single_label(
    scores: np.ndarray,
    references: npt.ArrayLike,
    train_counts: np.ndarray,
    head: int,
    tail: int,
    boundaries: Boundaries,
) -> _Evaluation:
    predictions = scores.argmax(axis=1)
    micro = shot_accuracy(predictions, references, train_counts, head, tail, average="micro", boundaries=boundaries)
    macro = shot_accuracy(predictions, references, train_counts, head, tail, average="macro", boundaries=boundaries)
    macro_accuracy = mean_of_defined(macro["per_class"])
    shots = dict(zip(GROUPS, ("many", "medium", "few"), strict=True))
    return _Evaluation(
        overall={
            "accuracy": micro["accuracy"],
            "accuracy_top5": top_k_accuracy(scores, references, k=5) if scores.shape[1] >= 5 else None,
            "macro_accuracy": macro_accuracy,
        },
        group_rates={"all": {"micro": micro["accuracy"], "macro": macro_accuracy}}
        | {group: {"micro": micro[shot], "macro": macro[shot]} for group, shot in shots.items()},
        class_rate="accuracy",
        class_rates=macro["per_class"],
        test_counts=np.bincount(np.asarray(references), minlength=len(train_counts)),
    )


def _evaluate_multi_label(
    scores: np.ndarray,
    references: npt.ArrayLike,
    train_counts: np.ndarray,
    head: int,
    tail: int,
    boundaries: Boundaries,
) -> _Evaluation:
    mean_ap = lt_map(scores, references, train_counts, head, tail, boundaries)
    at_k: dict[str, float | None] = {"precision_at_5": None, "recall_at_5": None}
    at_k |= precision_recall_at_k(scores, references, ks=(1, 5) if scores.shape[1] >= 5 else (1,))
    return _Evaluation(
        overall={"map": mean_ap["map"], **at_k},
        group_rates={"all": {"map": mean_ap["map"]}} | {group: {"map": mean_ap[f"map_{group}"]} for group in GROUPS},
        class_rate="ap",
        class_rates=mean_ap["ap"],
        test_counts=np.asarray(references).sum(axis=0),
    )


def _threshold_rates(scores: np.ndarray, references: npt.ArrayLike, threshold: float) -> dict[str, float | None]:
    """Precision, recall and F1 of the classes that reach the threshold, and of those of them among the 3 best."""
    rates = multilabel_f1(scores, references, threshold)
    has_top_3 = scores.shape[1] >= 3
    top_3 = multilabel_f1(scores, references, threshold, top_k=3) if has_top_3 else dict.fromkeys(rates, None)
    return {"threshold": float(threshold), **rates, **{f"{name}_top3": rate for name, rate in top_3.items()}}


_EVALUATE = {
    "single_label_classification": _evaluate_single_label,
    "multi_label_classification": _evaluate_multi_label,
}


def _group_results(evaluation: _Evaluation, groups: np.ndarray, train_counts: np.ndarray) -> dict[str, Any]:
    results = {}
    for group, rates in evaluation.group_rates.items():
        members = np.ones(len(groups), dtype=bool) if group == "all" else groups == group
        results[group] = {
            **rates,
            "num_classes": int(members.sum()),
            "num_train": int(train_counts[members].sum()),
            "num_test": int(evaluation.test_counts[members].sum()),
        }
    return results


def _class_results(
    evaluation: _Evaluation, groups: np.ndarray, train_counts: np.ndarray, names: Sequence[str]
) -> list[dict[str, Any]]:
    return [
        {
            "class": name,
            "id": index,
            "group": str(groups[index]),
            "train_count": int(train_counts[index]),
            "test_count": int(evaluation.test_counts[index]),
            evaluation.class_rate: float(evaluation.class_rates[index]),
        }
        for index, name in enumerate(names)
    ]


def _ready_for_json(value: Any) -> Any:
    """The same with `None` for every `nan`, which JSON does not have."""
    if isinstance(value, Mapping):
        return {key: _ready_for_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_ready_for_json(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
