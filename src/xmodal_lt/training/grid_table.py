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


def column_scores(values: dict[str, Any], split: str, columns: dict[str, str]) -> dict[str, float | None]:
    """The scores of a run that columns name.

    Args:
        values (`dict`): the content of `results.json`.
        split (`str`): whose scores.
        columns (`dict[str, str]`):
            By header, a score of the model's own read-out or, after a dot, of one of its branches: `"accuracy_top5"`,
            `"aligned.accuracy"`. Besides the overall scores of results these are `head`, `medium` and `tail`, the
            macro accuracy or mAP of a group. Branches may be those that read the true words.

    Returns:
        `dict[str, float | None]`: by header, in 0..1.

    Raises:
        ValueError: when there is no such branch or score.
    """
    own, branches = values["splits"][split], values["branches"][split]
    branches = branches | values.get("privileged_branches", {}).get(split, {})
    scores = {}
    for header, path in columns.items():
        branch, _, name = path.rpartition(".")
        if branch and branch not in branches:
            raise ValueError(f"columns.{header}={path}: the run has no branch {branch!r}, only {list(branches)}.")
        scores[header] = _score(branches[branch] if branch else own, name, f"columns.{header}={path}")
    return scores


def _score(results: dict[str, Any], name: str, column: str) -> float | None:
    groups = {group: results["groups"][group] for group in ("head", "medium", "tail")}
    floats = {key: value for key, value in results.items() if value is None or isinstance(value, float)}
    known = {key: value for key, value in floats.items() if key != "threshold"}  # which is no score
    known |= {group: values.get("macro", values.get("map")) for group, values in groups.items()}
    if name not in known:
        raise ValueError(f"{column}: there is no score {name!r}, only {list(known)}.")
    return known[name]


def grid_table(
    cells: Sequence[Cell],
    axes: Sequence[str],
    split: str = "test",
    reference: tuple[str, ...] | None = None,
    columns: dict[str, str] | None = None,
) -> str:
    """The finished cells as a Markdown table.

    Args:
        cells (`Sequence[Cell]`): of a grid.
        axes (`Sequence[str]`): their names, for the header.
        split (`str`, *optional*, defaults to `"test"`): whose scores.
        reference (`tuple[str, ...]`, *optional*):
            Values of a combination to which the differences are shown, seed by seed, over all classes and in the tail.
        columns (`dict[str, str]`, *optional*):
            Scores by header, see [`column_scores`]; those of [`group_scores`] when absent or empty.

    Returns:
        `str`: a row for each combination of which a seed is finished; the number of seeds where some are missing.

    Raises:
        ValueError: when a finished cell has no such split, branch or score, or cells are of different problem types.
    """
    runs: dict[tuple[str, ...], dict[int, dict[str, float | None]]] = {cell.values: {} for cell in cells}
    for cell in cells:
        if cell.is_finished:
            runs[cell.values][cell.seed] = _scores(cell, split, columns or {})
    scores = [score for by_seed in runs.values() for score in by_seed.values()]
    if not scores:
        return "No cell is finished."
    headers = list(scores[0])
    if any(list(score) != headers for score in scores):
        raise ValueError("The grid has single-label and multi-label runs, which have no scores in common to show.")
    compared = [] if reference is None else [header for header in ("macro", "tail") if header in headers]
    differences = [f"{header} - {', '.join(reference or ())}" for header in compared]
    lines = [_line([*axes, *headers, *differences])]
    lines.append(_line(["---"] * (len(axes) + len(headers) + len(differences))))
    num_seeds = len({cell.seed for cell in cells})
    for values, by_seed in runs.items():
        if by_seed:
            open_seeds = f" ({len(by_seed)} of {num_seeds} seeds)" if len(by_seed) < num_seeds else ""
            entries = [mean_and_deviation([score[header] for score in by_seed.values()]) for header in headers]
            gains = [_gain(by_seed, runs.get(reference or (), {}), header) for header in compared]
            lines.append(_line([*values[:-1], values[-1] + open_seeds, *entries, *gains]))
    return "\n".join(lines)


def _gain(by_seed: dict[int, dict], reference: dict[int, dict], column: str) -> str:
    if by_seed is reference:
        return ""
    shared = [seed for seed in by_seed if seed in reference]
    return mean_and_deviation([by_seed[seed][column] - reference[seed][column] for seed in shared], "+")


def _scores(cell: Cell, split: str, columns: dict[str, str]) -> dict[str, float | None]:
    values = json.loads((cell.folder / "results.json").read_text())
    if split not in values["splits"]:
        raise ValueError(f"{cell.folder} has no scores of the split {split!r}, only of {', '.join(values['splits'])}.")
    return column_scores(values, split, columns) if columns else group_scores(values["splits"][split])


def _line(entries: Sequence[str]) -> str:
    return f"| {' | '.join(entries)} |"


def write_table(table: str, path: Path) -> None:
    """Writes a table to a file, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, table + "\n")


__all__ = ["column_scores", "grid_table", "group_scores", "mean_and_deviation", "write_table"]
