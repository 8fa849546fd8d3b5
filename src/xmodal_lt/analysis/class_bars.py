"""A bar for each class, from the most frequent to the rarest, with the means of head, medium and tail."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..data.messages import some_of
from ..metrics.groups import GROUPS
from .figure_fonts import characters_without_font


__all__ = ["GROUP_COLORS", "ClassBar", "check_results", "class_rate", "draw_class_bars", "label_classes"]

logger = logging.getLogger(__name__)

# Okabe and Ito's palette: told apart with any colour vision, and in grey by their lightness.
GROUP_COLORS = {"head": "#0072B2", "medium": "#E69F00", "tail": "#009E73"}
_MOST_NAMED_CLASSES = 40
_MOST_COUNT_TICKS = 12


@dataclass(frozen=True)
class ClassBar:
    """One class: its bar is `height` percent (or percentage points) high."""

    name: str
    group: str
    train_count: int
    height: float
    class_id: int

    @classmethod
    def of(cls, row: Mapping[str, Any], height: float) -> ClassBar:
        """The bar of a row of `per_class`."""
        return cls(row["class"], row["group"], row["train_count"], height, row["id"])


def check_results(results: Mapping[str, Any]) -> None:
    """Raise a `ValueError` if these are not the results of a split, class by class."""
    if not {"problem_type", "per_class"} <= results.keys():
        raise ValueError(f"expected what classification_results returns; got the keys {list(results)}")


def class_rate(results: Mapping[str, Any]) -> tuple[str, str]:
    """The key of the rate of a class in `per_class`, and its name in words."""
    multi_label = results["problem_type"] == "multi_label_classification"
    return ("ap", "average precision") if multi_label else ("accuracy", "accuracy")


def draw_class_bars(bars: Sequence[ClassBar], mean_label: str, ylabel: str, title: str) -> Figure:
    """
    Draw one bar a class, the most frequent on the left.

    The background shows head, medium and tail, the legend the mean of each, which a dashed line marks. Classes are
    named if there is room for it.

    Args:
        bars (`Sequence[ClassBar]`): At least one, in any order.
        mean_label (`str`): A format of the mean of a group for the legend, such as `"mean gain {:+.1f}"`.
        ylabel (`str`): What the heights are.
        title (`str`): Title of the figure.

    Returns:
        `matplotlib.figure.Figure`: With one axes.
    """
    classes = sorted(bars, key=lambda bar: -bar.train_count)
    fig = Figure(figsize=(10, 4.2), layout="constrained")
    ax = fig.add_subplot()
    for group in GROUPS:
        _draw_group(ax, classes, group, mean_label)
    ax.axhline(0, color="black", linewidth=0.8)
    ax.set_xlim(-0.5, len(classes) - 0.5)
    label_classes(ax, classes)
    ax.set_ylabel(ylabel)
    ax.set_title(title)
    ax.grid(axis="y", linewidth=0.5, alpha=0.5)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    fig.legend(loc="outside lower center", ncols=len(GROUPS), frameon=False)
    return fig


def _draw_group(ax: Axes, classes: list[ClassBar], group: str, mean_label: str) -> None:
    """Bars, background and mean of one group: neighbours, as the classes are sorted by what defines the groups."""
    places = [place for place, one in enumerate(classes) if one.group == group]
    if not places:
        return
    heights = [classes[place].height for place in places]
    mean = float(np.mean(heights))
    left, right = places[0] - 0.5, places[-1] + 0.5
    ax.axvspan(left, right, color=GROUP_COLORS[group], alpha=0.1, linewidth=0)
    label = f"{group}: {mean_label.format(mean)} ({len(places)} {'class' if len(places) == 1 else 'classes'})"
    ax.bar(places, heights, width=0.8, color=GROUP_COLORS[group], label=label)
    ax.hlines(mean, left, right, color="black", linestyle="--", linewidth=1)


def label_classes(ax: Axes, classes: list[ClassBar]) -> None:
    """Name the classes if there is room for it, and else tell how many training samples some of them have."""
    if len(classes) <= _MOST_NAMED_CLASSES:
        names = [f"{name} ({one.train_count})" for name, one in zip(_drawn_names(classes), classes, strict=True)]
        style: dict[str, Any] = {"ha": "right", "rotation_mode": "anchor", "fontsize": 8, "parse_math": False}
        ax.set_xticks(range(len(classes)), names, rotation=45, **style)
        ax.set_xlabel("class (training samples), most frequent first")
    else:
        places = np.linspace(0, len(classes) - 1, _MOST_COUNT_TICKS).round().astype(int)
        ax.set_xticks(places, [str(classes[place].train_count) for place in places])
        ax.set_xlabel("training samples of the class, most frequent first")


def _drawn_names(classes: Sequence[ClassBar]) -> list[str]:
    """Names, or numbers of the classes in place of those that would be rows of boxes."""
    without_font = characters_without_font(one.name for one in classes)
    numbered = [one.name for one in classes if without_font & set(one.name)]
    if numbered:
        logger.warning(
            "No font on this machine has the characters of %s: a figure shows the numbers of these classes. Install a "
            "font that has them, such as one of Noto.",
            some_of(numbered, limit=3),
        )
    return [f"class {one.class_id}" if one.name in numbered else one.name for one in classes]
