"""Results of runs as a printable table, and class by class as a CSV file."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from typing import Any

import pandas as pd

from xmodal_lt.atomic_file import atomic_path


__all__ = ["overall_scores", "results_table", "write_per_class_csv"]

_COLUMNS = {"num_classes": "classes", "num_train": "train", "num_test": "test"}
_RATE_COLUMNS = {"micro": "micro %", "macro": "macro %", "map": "mAP %"}

_OVERALL = {
    "accuracy": "top-1",
    "accuracy_top5": "top-5",
    "macro_accuracy": "macro",
    "map": "mAP",
    "precision_at_1": "P@1",
    "precision_at_5": "P@5",
    "recall_at_1": "R@1",
    "recall_at_5": "R@5",
    "cf1": "CF1",
    "of1": "OF1",
    "cf1_top3": "CF1 top-3",
    "of1_top3": "OF1 top-3",
}


def overall_scores(results: Mapping[str, Any]) -> str:
    """
    Name the scores over all samples in one line.

    Args:
        results (`Mapping[str, Any]`):
            What [`classification_results`] returns.

    Returns:
        `str`: In percent, those that are defined: of single-label results the top-1, top-5 and macro accuracy, of
        multi-label ones mAP, precision and recall at 1 and 5, and F1 over classes and over all labels, of the classes
        that reach the threshold and of those of them among the 3 best.

    Example:

    ```python
    >>> from xmodal_lt.metrics import overall_scores

    >>> overall_scores({"accuracy": 0.531, "accuracy_top5": None, "macro_accuracy": 0.4})
    'top-1 53.1, macro 40.0'
    ```
    """
    given = {label: results.get(name) for name, label in _OVERALL.items()}
    return ", ".join(f"{label} {100 * value:.1f}" for label, value in given.items() if value is not None)


def results_table(results: Mapping[str, Any]) -> str:
    """
    Lay out results by frequency group: one row each for all, head, medium and tail classes.

    Args:
        results (`Mapping[str, Any]`):
            What [`classification_results`] returns, or a mapping from a name to such results, to compare runs.

    Returns:
        `str`: The table, with the numbers of classes, training and test samples, and either micro and macro accuracy
        or mAP in percent; `-` where a group has no value.

    Raises:
        ValueError: If `results` hold no groups.

    Example:

    ```python
    >>> from xmodal_lt.metrics import classification_results, results_table

    >>> results = classification_results(
    ...     scores=[[2.0, 0.1], [0.3, 0.4]],
    ...     references=[0, 1],
    ...     class_counts=[150, 8],
    ...     problem_type="single_label_classification",
    ... )
    >>> print(results_table(results))
            classes  train  test micro % macro %
    all           2    158     2   100.0   100.0
    head          1    150     1   100.0   100.0
    medium        0      0     0       -       -
    tail          1      8     1   100.0   100.0
    ```
    """
    if "groups" in results:
        return _table(results).to_string()
    if not results or not all(isinstance(run, Mapping) and "groups" in run for run in results.values()):
        raise ValueError(
            "expected what classification_results returns, or a mapping from names to such results; "
            f"got the keys {list(results)}"
        )
    return pd.concat({name: _table(run) for name, run in results.items()}).fillna("-").to_string()


def _table(results: Mapping[str, Any]) -> pd.DataFrame:
    table = pd.DataFrame.from_dict(results["groups"], orient="index")
    rates = [rate for rate in _RATE_COLUMNS if rate in table]
    for rate in rates:
        table[rate] = ["-" if pd.isna(value) else f"{100 * value:.1f}" for value in table[rate]]
    return table[[*_COLUMNS, *rates]].rename(columns=_COLUMNS | _RATE_COLUMNS)


def write_per_class_csv(results: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """
    Write the results of every class as a CSV file, one row a class; a value that is not defined is left empty.

    The file appears whole or not at all.

    Args:
        results (`Mapping[str, Any]`):
            What [`classification_results`] returns.
        path (`str` or `os.PathLike`):
            File to write; its folder is made if it is missing.

    Raises:
        ValueError: If `results` hold no classes.

    Example:

    ```python
    >>> from xmodal_lt.metrics import write_per_class_csv

    >>> write_per_class_csv(results, "output/per_class.csv")  # doctest: +SKIP
    ```
    """
    rows = results.get("per_class")
    if not rows:
        raise ValueError(f'expected results with a "per_class" list; got the keys {list(results)}')
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
