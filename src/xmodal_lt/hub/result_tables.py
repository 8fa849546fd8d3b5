"""The scores of a card: of the model, of a baseline and, marked as such, of papers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from xmodal_lt.metrics import overall_scores
from xmodal_lt.metrics.groups import GROUPS

from .markdown import Markdown, escape, table
from .paper_results import PaperResult


__all__ = ["class_table", "group_table", "overall_table", "paper_label", "paper_table"]

Runs = Mapping[str, Mapping[str, Any]]  # results of a split by what the card calls the run

_COLUMNS = ("all", *GROUPS)
_COUNTS = {"num_classes": "classes", "num_train": "training samples", "num_test": "samples of the split"}
_RATES = {"micro": "accuracy", "macro": "macro accuracy", "map": "mAP"}
_MAIN_RATE = {"single_label_classification": "micro", "multi_label_classification": "map"}  # which papers report


def group_table(runs: Runs, papers: Sequence[PaperResult] = ()) -> Markdown:
    """
    Lay out the scores of one split by frequency group.

    Args:
        runs (`Mapping[str, Mapping]`):
            Results of the model and then, if there is one, of its baseline, by name.
        papers (`Sequence[PaperResult]`, *optional*):
            Rows of papers.

    Returns:
        `Markdown`: One column each for all, head, medium and tail classes; rates in percent.
    """
    first = next(iter(runs.values()))
    groups = first["groups"]
    rows = [[label, *(f"{groups[name][key]:,}" for name in _COLUMNS)] for key, label in _COUNTS.items()]
    for rate, label in _RATES.items():
        if rate not in groups["all"]:
            continue
        values = {run: [results["groups"][name][rate] for name in _COLUMNS] for run, results in runs.items()}
        rows += [[f"{label} %, {run}", *map(_percent, scores)] for run, scores in values.items()]
        if len(values) == 2:
            gains = [_gain(own, other) for own, other in zip(*values.values(), strict=True)]
            rows.append([f"{label}, gain in points", *gains])
    label = _RATES[_MAIN_RATE[first["problem_type"]]]
    rows += [[f"{label} %, {paper_label(row)}", *_of_groups(row)] for row in papers if row.groups]
    return table(("", *_COLUMNS), rows)


def overall_table(runs: Runs, papers: Sequence[PaperResult] = ()) -> Markdown:
    """
    Lay out the scores over all samples of one split.

    Args:
        runs (`Mapping[str, Mapping]`):
            Results of the model and then, if there is one, of its baseline, by name.
        papers (`Sequence[PaperResult]`, *optional*):
            Rows of papers.

    Returns:
        `Markdown`: One row for each run, and for each paper that reports such scores.
    """
    rows = [(run, overall_scores(results)) for run, results in runs.items()]
    return table(("", "over all samples, %"), [*rows, *_paper_rows(papers)])


def paper_table(papers: Sequence[PaperResult]) -> Markdown:
    """
    Lay out what papers report, where there is no run to stand beside.

    Args:
        papers (`Sequence[PaperResult]`):
            Rows of papers.

    Returns:
        `Markdown`: Scores in percent, by group and over all samples.
    """
    rows = [
        [paper_label(row), *_of_groups(row), next((scores for _, scores in _paper_rows([row])), "-")] for row in papers
    ]
    return table(("", *_COLUMNS, "over all samples"), rows)


def paper_label(row: PaperResult) -> str:
    """Says that a row is a paper's, and what differs."""
    return f"paper: {row.source}" + (f" ({row.note})" if row.note else "")


def class_table(results: Mapping[str, Any], limit: int) -> Markdown:
    """
    List the classes.

    Args:
        results (`Mapping[str, Any]`):
            Of a split.
        limit (`int`):
            Most classes to list, by their index.

    Returns:
        `Markdown`: The group, the samples and the rate of each class.
    """
    rate = "ap" if results["problem_type"] == "multi_label_classification" else "accuracy"
    rows = [
        (
            str(row["id"]),
            escape(row["class"]),
            row["group"],
            f"{row['train_count']:,}",
            f"{row['test_count']:,}",
            _percent(row[rate]),
        )
        for row in results["per_class"][:limit]
    ]
    name = "average precision %" if rate == "ap" else "accuracy %"
    return table(("id", "class", "group", "training samples", "test samples", name), rows)


def _paper_rows(papers: Sequence[PaperResult]) -> list[tuple[str, str]]:
    return [
        (paper_label(row), overall_scores({name: value / 100 for name, value in row.scores.items()}))
        for row in papers
        if row.scores
    ]


def _of_groups(row: PaperResult) -> list[str]:
    """As published, with as many decimals."""
    return [str(row.groups[name]) if name in row.groups else "-" for name in _COLUMNS]


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def _gain(own: float | None, other: float | None) -> str:
    return "-" if own is None or other is None else f"{100 * (own - other):+.1f}"
