"""How well each class is recognised, from the most frequent to the rarest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from .class_bars import ClassBar, check_results, class_rate, draw_class_bars


__all__ = ["plot_per_class_scores"]


def plot_per_class_scores(results: Mapping[str, Any], *, title: str | None = None) -> Figure:
    """
    Draw the accuracy of each class (multi-label: its average precision), classes sorted by training samples.

    One bar a class, the most frequent on the left; the background shows head, medium and tail, the legend the mean
    of each over its classes, which a dashed line marks. Classes that the test split lacks are left out.

    Args:
        results (`Mapping[str, Any]`):
            What [`classification_results`] returns.
        title (`str`, *optional*):
            Title of the figure.

    Returns:
        `matplotlib.figure.Figure`: The figure, not yet written: see [`save_figure`].

    Raises:
        ValueError: If `results` hold no classes, or none of them has test samples.

    Example:

    ```python
    >>> from xmodal_lt.analysis import plot_per_class_scores
    >>> from xmodal_lt.metrics import classification_results

    >>> results = classification_results(
    ...     scores=[[2.0, 0.1], [0.3, 0.4]],
    ...     references=[[1, 0], [1, 1]],
    ...     class_counts=[150, 8],
    ...     problem_type="multi_label_classification",
    ... )
    >>> fig = plot_per_class_scores(results, title="CPRFL on VOC-LT")
    ```
    """
    check_results(results)
    rate, measure = class_rate(results)
    bars = [ClassBar.of(row, 100 * row[rate]) for row in results["per_class"] if row[rate] is not None]
    if not bars:
        raise ValueError("no class has test samples: there is no score to draw")
    measure = measure.capitalize()
    fig = draw_class_bars(bars, "mean {:.1f}", f"{measure} (%)", title or f"{measure} of each class")
    # Rates fill their range, so that the figures of two runs can be held side by side.
    fig.axes[0].set_ylim(0, 100)
    return fig
