"""The table of a grid: a row for each combination, mean and deviation over the seeds."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .grid import Cell
from .output_folder import write_text


def group_scores(results: dict[str, Any]) -> dict[str, float | None]:
    """The scores that a table shows of one split in `results.json`.

    Args:
        results (`dict`): as of [`~xmodal_lt.metrics.classification_results`].

    Returns:
        `dict[str, float | None]`: single-label `all` (accuracy over samples), `macro`, and the macro accuracies of
        `head`, `medium` and `tail`; multi-label the mAP of `all`, `head`, `medium` and `tail`. In 0..1.
    """
    groups = results["groups"]
    if results["problem_type"] == "multi_label_classification":
        return {name: groups[name]["map"] for name in ("all", "head", "medium", "tail")}
    overall = {"all": results["accuracy"], "macro": results["macro_accuracy"]}
    return overall | {name: groups[name]["macro"] for name in ("head", "medium", "tail")}


def mean_and_deviation(values: Sequence[float | None], sign: str = "") -> str:
    """Values of 0..1 in percent, as `"41.5 ± 0.7"`; without a deviation for one value, `"-"` for undefined ones."""
    percent = [100 * value for value in values if value is not None]
    if not percent:
        return "-"
    mean = f"{statistics.mean(percent):{sign}.1f}"
    return mean if len(percent) == 1 else f"{mean} ± {statistics.stdev(percent):.1f}"


def grid_table(cells: Sequence[Cell], axes: Sequence[str], split: str = "test") -> str:
    """The finished cells as a Markdown table.

    Args:
        cells (`Sequence[Cell]`): of a grid.
        axes (`Sequence[str]`): their names, for the header.
        split (`str`, *optional*, defaults to `"test"`): whose scores.

    Returns:
        `str`: a row for each combination of which a seed is finished; the number of seeds where some are missing.

    Raises:
        ValueError: when a finished cell has no such split.
    """
    rows: dict[tuple[str, ...], list[dict[str, float | None]]] = {}
    expected: dict[tuple[str, ...], int] = {}
    for cell in cells:
        expected[cell.values] = expected.get(cell.values, 0) + 1
        if cell.is_finished:
            rows.setdefault(cell.values, []).append(group_scores(_split(cell, split)))
    if not rows:
        return "No cell is finished."
    columns = list(next(iter(rows.values()))[0])
    if any(list(run) != columns for runs in rows.values() for run in runs):
        raise ValueError("The grid has single-label and multi-label runs, which have no scores in common to show.")
    lines = [_line([*axes, *columns]), _line(["---"] * (len(axes) + len(columns)))]
    for values, runs in rows.items():
        names = list(values)
        if len(runs) < expected[values]:
            names[-1] += f" ({len(runs)} of {expected[values]} seeds)"
        lines.append(_line([*names, *(mean_and_deviation([run[column] for run in runs]) for column in columns)]))
    return "\n".join(lines)


def _split(cell: Cell, split: str) -> dict[str, Any]:
    splits = json.loads((cell.folder / "results.json").read_text())["splits"]
    if split not in splits:
        raise ValueError(f"{cell.folder} has no scores of the split {split!r}, only of {', '.join(splits)}.")
    return splits[split]


def _line(entries: Sequence[str]) -> str:
    return f"| {' | '.join(entries)} |"


def write_table(table: str, path: Path) -> None:
    """Writes a table to a file, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, table + "\n")


__all__ = ["grid_table", "group_scores", "mean_and_deviation", "write_table"]
