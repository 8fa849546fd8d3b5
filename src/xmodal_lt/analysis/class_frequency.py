"""How many training samples each class has, from the most frequent to the rarest."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..data import ClassStats
from ..metrics.groups import GROUPS
from .class_bars import GROUP_COLORS, ClassBar, label_classes


__all__ = ["plot_class_frequency"]

_LOWEST = 0.7  # where a class without samples is drawn, as its logarithm is nowhere


def plot_class_frequency(stats: ClassStats, *, title: str | None = None) -> Figure:
    """
    Draw the class-frequency curve: the training samples of each class on a logarithmic scale, classes sorted by them.

    The background shows head, medium and tail, the legend how many classes each has, and dashed lines the thresholds.

    Args:
        stats ([`~xmodal_lt.data.ClassStats`]):
            Classes of the training split.
        title (`str`, *optional*):
            Title of the figure.

    Returns:
        `matplotlib.figure.Figure`: The figure, not yet written: see [`save_figure`].

    Example:

    ```python
    >>> from xmodal_lt.analysis import plot_class_frequency
    >>> from xmodal_lt.data import ClassStats

    >>> stats = ClassStats(counts=[500, 120, 60, 9], num_samples=689, class_names=["cat", "dog", "cow", "owl"])
    >>> fig = plot_class_frequency(stats, title="My animals")
    ```
    """
    order = np.argsort(-stats.counts, kind="stable")
    classes = [
        ClassBar(stats.class_names[place], str(stats.groups[place]), count := int(stats.counts[place]), count, place)
        for place in order.tolist()
    ]
    fig = Figure(figsize=(10, 4.2), layout="constrained")
    ax = fig.add_subplot()
    ax.set_yscale("log")
    for group in GROUPS:
        _draw_group(ax, [one.group for one in classes], group)
    heights = np.maximum([one.height for one in classes], _LOWEST)
    edges = np.arange(len(classes) + 1) - 0.5
    ax.stairs(heights, edges, baseline=_LOWEST, color="black", linewidth=1.2)
    for threshold in (stats.head_threshold, stats.tail_threshold):
        ax.axhline(max(threshold, _LOWEST), color="black", linestyle="--", linewidth=0.8)
        ax.annotate(f"{threshold:,}", (1, max(threshold, _LOWEST)), xycoords=("axes fraction", "data"), fontsize=8)
    ax.set_xlim(-0.5, len(classes) - 0.5)
    ax.set_ylim(bottom=_LOWEST)
    label_classes(ax, classes)
    ax.set_ylabel("training samples")
    ax.set_title(title or "Training samples of each class", parse_math=False)
    ax.spines[["top", "right"]].set_visible(False)
    fig.legend(loc="outside lower center", ncols=len(GROUPS), frameon=False)
    return fig


def _draw_group(ax: Axes, groups: list[str], group: str) -> None:
    """The background of one group, whose classes are neighbours, as they are sorted by what defines the groups."""
    places = [place for place, own in enumerate(groups) if own == group]
    if places:
        label = f"{group}: {len(places):,} {'class' if len(places) == 1 else 'classes'}"
        ax.axvspan(places[0] - 0.5, places[-1] + 0.5, color=GROUP_COLORS[group], alpha=0.2, linewidth=0, label=label)
