"""What a method gains over a baseline, class by class from the most frequent to the rarest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..metrics.groups import GROUPS


__all__ = ["plot_per_class_gain"]

# Okabe and Ito's palette: told apart with any colour vision, and in grey by their lightness.
_COLORS = {"head": "#0072B2", "medium": "#E69F00", "tail": "#009E73"}
_MOST_NAMED_CLASSES = 40
_MOST_COUNT_TICKS = 12


def plot_per_class_gain(
    results: Mapping[str, Any],
    baseline_results: Mapping[str, Any],
    *,
    name: str = "this model",
    baseline_name: str = "the baseline",
    title: str | None = None,
) -> Figure:
    """
    Draw the gain in class accuracy (or average precision) over a baseline, classes sorted by training samples.

    One bar a class, the most frequent on the left; the background shows head, medium and tail, the legend the mean
    gain of each, which a dashed line marks. Classes that the test split lacks are left out.

    Args:
        results (`Mapping[str, Any]`):
            What [`classification_results`] returns for the model.
        baseline_results (`Mapping[str, Any]`):
            The same for the baseline, on the same classes, training counts and thresholds.
        name (`str`, *optional*, defaults to `"this model"`):
            The model's name in the labels.
        baseline_name (`str`, *optional*, defaults to `"the baseline"`):
            The baseline's name in the labels.
        title (`str`, *optional*):
            Title of the figure.

    Returns:
        `matplotlib.figure.Figure`: The figure, not yet written: see [`save_figure`].

    Raises:
        ValueError: If the two results differ in problem type, classes, training counts or groups, or share no class
            with test samples.

    Source:
        VL-LTR, figure 4.

    Example:

    ```python
    >>> from xmodal_lt.analysis import plot_per_class_gain
    >>> from xmodal_lt.metrics import classification_results

    >>> run = dict(references=[0, 1], class_counts=[150, 8], problem_type="single_label_classification")
    >>> baseline = classification_results([[2.0, 0.1], [0.5, 0.4]], **run)
    >>> results = classification_results([[2.0, 0.1], [0.3, 0.4]], **run)
    >>> fig = plot_per_class_gain(results, baseline, name="CMLTNet", baseline_name="ResNet-50")
    ```
    """
    classes = _class_gains(results, baseline_results)
    fig = Figure(figsize=(10, 4.2), layout="constrained")
    ax = fig.add_subplot()
    for group in GROUPS:
        _draw_group(ax, classes, group)
    ax.axhline(0, color="black", linewidth=0.8)
    ax.set_xlim(-0.5, len(classes) - 0.5)
    _label_classes(ax, classes)
    measure = "average precision" if results["problem_type"] == "multi_label_classification" else "accuracy"
    ax.set_ylabel(f"gain in {measure}\n(percentage points)")
    ax.set_title(title or f"{name} over {baseline_name}, class by class")
    ax.grid(axis="y", linewidth=0.5, alpha=0.5)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    fig.legend(loc="outside lower center", ncols=len(GROUPS), frameon=False)
    return fig


@dataclass(frozen=True)
class _ClassGain:
    name: str
    group: str
    train_count: int
    gain: float


def _class_gains(results: Mapping[str, Any], baseline_results: Mapping[str, Any]) -> list[_ClassGain]:
    """Gains in percentage points of the classes that have one, the most frequent class first."""
    for given in (results, baseline_results):
        if not {"problem_type", "per_class"} <= given.keys():
            raise ValueError(f"expected what classification_results returns; got the keys {list(given)}")
    rows, baseline_rows = results["per_class"], baseline_results["per_class"]
    problem_types, sizes = (results["problem_type"], baseline_results["problem_type"]), (len(rows), len(baseline_rows))
    if len(set(problem_types)) == 2 or len(set(sizes)) == 2:
        raise ValueError(
            f"the results are of different data: {problem_types[0]} of {sizes[0]} classes, and {problem_types[1]} of "
            f"{sizes[1]}"
        )
    rate = "ap" if problem_types[0] == "multi_label_classification" else "accuracy"
    gains = []
    for row, baseline_row in zip(rows, baseline_rows, strict=True):
        _check_same_class(row, baseline_row)
        if row[rate] is not None and baseline_row[rate] is not None:
            gain = 100 * (row[rate] - baseline_row[rate])
            gains.append(_ClassGain(row["class"], row["group"], row["train_count"], gain))
    if not gains:
        raise ValueError("no class has test samples in both results: there is no gain to draw")
    return sorted(gains, key=lambda one: -one.train_count)


def _check_same_class(row: Mapping[str, Any], baseline_row: Mapping[str, Any]) -> None:
    for key in ("class", "train_count", "group"):
        if row[key] != baseline_row[key]:
            raise ValueError(
                f"the results are not of the same data: {key} of class {row['id']} is {row[key]!r} in one and "
                f"{baseline_row[key]!r} in the other. Evaluate both runs on one data set with the same thresholds"
            )


def _draw_group(ax: Axes, classes: list[_ClassGain], group: str) -> None:
    """Bars, background and mean of one group: neighbours, as the classes are sorted by what defines the groups."""
    places = [place for place, one in enumerate(classes) if one.group == group]
    if not places:
        return
    gains = [classes[place].gain for place in places]
    mean = float(np.mean(gains))
    left, right = places[0] - 0.5, places[-1] + 0.5
    ax.axvspan(left, right, color=_COLORS[group], alpha=0.1, linewidth=0)
    label = f"{group}: mean gain {mean:+.1f} ({len(places)} {'class' if len(places) == 1 else 'classes'})"
    ax.bar(places, gains, width=0.8, color=_COLORS[group], label=label)
    ax.hlines(mean, left, right, color="black", linestyle="--", linewidth=1)


def _label_classes(ax: Axes, classes: list[_ClassGain]) -> None:
    """Name the classes if there is room for it, and else tell how many training samples some of them have."""
    if len(classes) <= _MOST_NAMED_CLASSES:
        names = [f"{one.name} ({one.train_count})" for one in classes]
        ax.set_xticks(range(len(classes)), names, rotation=45, ha="right", rotation_mode="anchor", fontsize=8)
        ax.set_xlabel("class (training samples), most frequent first")
    else:
        places = np.linspace(0, len(classes) - 1, _MOST_COUNT_TICKS).round().astype(int)
        ax.set_xticks(places, [str(classes[place].train_count) for place in places])
        ax.set_xlabel("training samples of the class, most frequent first")
