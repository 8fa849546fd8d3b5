"""What a method gains over a baseline, class by class from the most frequent to the rarest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from .class_bars import ClassBar, check_results, class_rate, draw_class_bars


__all__ = ["plot_per_class_gain"]


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
    bars = _class_gains(results, baseline_results)
    _, measure = class_rate(results)
    return draw_class_bars(
        bars,
        mean_label="mean gain {:+.1f}",
        ylabel=f"gain in {measure}\n(percentage points)",
        title=title or f"{name} over {baseline_name}, class by class",
    )


def _class_gains(results: Mapping[str, Any], baseline_results: Mapping[str, Any]) -> list[ClassBar]:
    """Gains in percentage points of the classes that have one."""
    for given in (results, baseline_results):
        check_results(given)
    rows, baseline_rows = results["per_class"], baseline_results["per_class"]
    problem_types, sizes = (results["problem_type"], baseline_results["problem_type"]), (len(rows), len(baseline_rows))
    if len(set(problem_types)) == 2 or len(set(sizes)) == 2:
        raise ValueError(
            f"the results are of different data: {problem_types[0]} of {sizes[0]} classes, and {problem_types[1]} of "
            f"{sizes[1]}"
        )
    rate, _ = class_rate(results)
    gains = []
    for row, baseline_row in zip(rows, baseline_rows, strict=True):
        _check_same_class(row, baseline_row)
        if row[rate] is not None and baseline_row[rate] is not None:
            gains.append(ClassBar.of(row, 100 * (row[rate] - baseline_row[rate])))
    if not gains:
        raise ValueError("no class has test samples in both results: there is no gain to draw")
    return gains


def _check_same_class(row: Mapping[str, Any], baseline_row: Mapping[str, Any]) -> None:
    for key in ("class", "train_count", "group"):
        if row[key] != baseline_row[key]:
            raise ValueError(
                f"the results are not of the same data: {key} of class {row['id']} is {row[key]!r} in one and "
                f"{baseline_row[key]!r} in the other. Evaluate both runs on one data set with the same thresholds"
            )
