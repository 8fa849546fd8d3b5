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


def grid_table(
    cells: Sequence[Cell], axes: Sequence[str], split: str = "test", reference: tuple[str, ...] | None = None
) -> str:
    """The finished cells as a Markdown table.

    Args:
        cells (`Sequence[Cell]`): of a grid.
        axes (`Sequence[str]`): their names, for the header.
        split (`str`, *optional*, defaults to `"test"`): whose scores.
        reference (`tuple[str, ...]`, *optional*):
            Values of a combination to which the differences are shown, seed by seed, over all classes and in the tail.

    Returns:
        `str`: a row for each combination of which a seed is finished; the number of seeds where some are missing.

    Raises:
        ValueError: when a finished cell has no such split, or cells are of different problem types.
    """
    runs: dict[tuple[str, ...], dict[int, dict[str, float | None]]] = {cell.values: {} for cell in cells}
    for cell in cells:
        if cell.is_finished:
            runs[cell.values][cell.seed] = group_scores(_split(cell, split))
    scores = [score for by_seed in runs.values() for score in by_seed.values()]
    if not scores:
        return "No cell is finished."
    columns = list(scores[0])
    if any(list(score) != columns for score in scores):
        raise ValueError("The grid has single-label and multi-label runs, which have no scores in common to show.")
    compared = [] if reference is None else [column for column in ("macro", "tail") if column in columns]
    differences = [f"{column} - {', '.join(reference or ())}" for column in compared]
    lines = [_line([*axes, *columns, *differences])]
    lines.append(_line(["---"] * (len(axes) + len(columns) + len(differences))))
    num_seeds = len({cell.seed for cell in cells})
    for values, by_seed in runs.items():
        if by_seed:
            open_seeds = f" ({len(by_seed)} of {num_seeds} seeds)" if len(by_seed) < num_seeds else ""
            entries = [mean_and_deviation([score[column] for score in by_seed.values()]) for column in columns]
            gains = [_gain(by_seed, runs.get(reference or (), {}), column) for column in compared]
            lines.append(_line([*values[:-1], values[-1] + open_seeds, *entries, *gains]))
    return "\n".join(lines)


def _gain(by_seed: dict[int, dict], reference: dict[int, dict], column: str) -> str:
    if by_seed is reference:
        return ""
    shared = [seed for seed in by_seed if seed in reference]
    return mean_and_deviation([by_seed[seed][column] - reference[seed][column] for seed in shared], "+")


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
