"""Losses and metrics of a training run over its epochs, stage by stage."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .logged_curves import COLORS, KINDS, METRICS, Panel, draw_curve, read_panels, style_epochs


__all__ = ["plot_training_curves"]

# The line style changes with each round of the colours, so that no two of the first 21 curves look alike.
_STYLES = [(color, line) for line in ("-", "--", ":") for color in COLORS]


def plot_training_curves(
    log_history: Sequence[Mapping[str, Any]] | Mapping[str, Sequence[Mapping[str, Any]]],
    *,
    metrics: Sequence[str] | None = None,
    title: str | None = None,
) -> Figure:
    """
    Draw loss, loss parts and evaluation metrics over the epochs: a column for each stage, a row for each kind.

    Rows that no stage has values for are left out.

    Args:
        log_history (`Sequence[Mapping]` or `Mapping[str, Sequence[Mapping]]`):
            `trainer.state.log_history`, or that of each stage by the stage's name, in order.
        metrics (`Sequence[str]`, *optional*):
            Evaluation metrics to draw, without the prefix `eval_`; all that were logged, if not given.
        title (`str`, *optional*):
            Title of the figure.

    Returns:
        `matplotlib.figure.Figure`: The figure, not yet written: see [`save_figure`].

    Raises:
        ValueError: If nothing that can be drawn was logged, or a metric in `metrics` was not.

    Example:

    ```python
    >>> from xmodal_lt.analysis import plot_training_curves

    >>> align = [
    ...     {"loss": 2.0, "loss_align": 0.4, "epoch": 1.0, "step": 10},
    ...     {"eval_loss": 1.9, "eval_accuracy": 0.3, "epoch": 1.0, "step": 10},
    ... ]
    >>> fuse = [{"loss": 1.0, "epoch": 1.0, "step": 10}]
    >>> fig = plot_training_curves({"align": align, "fuse": fuse})
    >>> len(fig.axes)  # loss, loss parts and metrics of two stages
    6
    ```
    """
    stages = log_history if isinstance(log_history, Mapping) else {"": log_history}
    panels = {stage: read_panels(entries) for stage, entries in stages.items()}
    if metrics is not None:
        panels = _keep_metrics(panels, metrics)
    kinds = [kind for kind in KINDS if any(stage_panels[kind] for stage_panels in panels.values())]
    if not kinds:
        raise ValueError(f"log_history holds no loss and no evaluation metric; its stages are {list(stages)}")
    fig = Figure(figsize=(2.5 + 3.5 * len(panels), 0.6 + 2.4 * len(kinds)), layout="constrained")
    axes = fig.subplots(len(kinds), len(panels), squeeze=False)
    # Shared before anything is drawn, so that the limits follow the curves of every panel.
    for column, stage in zip(axes.T, panels, strict=True):
        column[0].set_title(f"stage {stage}" if stage else "")
        for ax in column[1:]:
            ax.sharex(column[0])
    for row, kind in zip(axes, kinds, strict=True):
        _draw_row(row, kind, [stage_panels[kind] for stage_panels in panels.values()])
    if title:
        fig.suptitle(title)
    return fig


def _keep_metrics(panels: Mapping[str, dict[str, Panel]], metrics: Sequence[str]) -> dict[str, dict[str, Panel]]:
    logged = list(dict.fromkeys(label for stage_panels in panels.values() for label in stage_panels[METRICS]))
    missing = [label for label in metrics if label not in logged]
    if missing:
        raise ValueError(f"metrics {missing} were not logged; there are {logged}")
    return {
        stage: stage_panels | {METRICS: {k: v for k, v in stage_panels[METRICS].items() if k in metrics}}
        for stage, stage_panels in panels.items()
    }


def _draw_row(row: Sequence[Axes], kind: str, panels: Sequence[Panel]) -> None:
    """Draw the panels of one kind, the same curve in the same style in every stage."""
    labels = dict.fromkeys(label for panel in panels for label in panel)
    styles = dict(zip(labels, itertools.cycle(_STYLES)))
    handles = {}
    for ax, panel in zip(row, panels, strict=True):
        if not panel:
            ax.set_axis_off()
        if kind == METRICS and ax is not row[0]:
            ax.sharey(row[0])  # metrics, unlike losses, mean the same in every stage
        for label, curve in panel.items():
            handles[label] = draw_curve(ax, curve, *styles[label])
        style_epochs(ax)
    next(ax for ax, panel in zip(row, panels, strict=True) if panel).set_ylabel(kind)
    row[-1].legend(
        handles.values(), handles.keys(), loc="upper left", bbox_to_anchor=(1, 1), frameon=False, fontsize=9
    )
