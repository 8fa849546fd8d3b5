"""Losses and metrics of a training run over its epochs, stage by stage."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure


__all__ = ["plot_training_curves"]

# Epochs and values of one curve; the curves of one panel by label; the panels of one stage by kind.
_Curve = tuple[list[float], list[float]]
_Panel = dict[str, _Curve]
_Panels = dict[str, _Panel]

_LOSS, _LOSS_PARTS, _METRICS = _KINDS = ("loss", "loss parts", "evaluation metrics")

# Okabe and Ito's palette without its yellow, which is too pale for lines on white. The line style changes with each
# round of the colours, so that no two of the first 21 curves look alike.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_STYLES = [(color, line) for line in ("-", "--", ":") for color in _COLORS]
_MOST_MARKED_POINTS = 40

_NOT_LOSS_PARTS = {"loss", "grad_norm", "learning_rate", "epoch", "step", "num_input_tokens_seen"}
_NOT_METRICS = ("loss", "runtime", "per_second", "preparation_time", "compilation_time")


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
    panels = {stage: _read_panels(entries) for stage, entries in stages.items()}
    if metrics is not None:
        panels = _keep_metrics(panels, metrics)
    kinds = [kind for kind in _KINDS if any(stage_panels[kind] for stage_panels in panels.values())]
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


def _read_panels(entries: Sequence[Mapping[str, Any]]) -> _Panels:
    panels: dict[str, defaultdict[str, _Curve]] = {kind: defaultdict(lambda: ([], [])) for kind in _KINDS}
    for entry in entries:
        for key, value in entry.items():
            kind, label = _place_of(key, entry)
            if not kind or not isinstance(value, Real):
                continue
            if "epoch" not in entry:
                raise ValueError(f"every entry of a log_history needs its epoch, as Trainer logs it; got {entry}")
            epochs, values = panels[kind][label]
            epochs.append(float(entry["epoch"]))
            values.append(float(value))
    return {kind: dict(panel) for kind, panel in panels.items()}


def _keep_metrics(panels: Mapping[str, _Panels], metrics: Sequence[str]) -> dict[str, _Panels]:
    logged = list(dict.fromkeys(label for stage_panels in panels.values() for label in stage_panels[_METRICS]))
    missing = [label for label in metrics if label not in logged]
    if missing:
        raise ValueError(f"metrics {missing} were not logged; there are {logged}")
    return {
        stage: stage_panels | {_METRICS: {k: v for k, v in stage_panels[_METRICS].items() if k in metrics}}
        for stage, stage_panels in panels.items()
    }


def _place_of(key: str, entry: Mapping[str, Any]) -> tuple[str, str]:
    """Kind of panel and label of the curve that a logged value belongs to; no kind if it is not drawn."""
    if key == "loss":
        return _LOSS, "training"
    if key == "eval_loss":
        return _LOSS, "evaluation"
    label = key.removeprefix("eval_")
    if label != key:
        return "" if label.endswith(_NOT_METRICS) else _METRICS, label
    # The entry that sums up a finished run has "train_loss" instead of "loss", and run times beside it.
    return _LOSS_PARTS if "loss" in entry and key not in _NOT_LOSS_PARTS else "", key


def _draw_row(row: Sequence[Axes], kind: str, panels: Sequence[_Panel]) -> None:
    """Draw the panels of one kind, the same curve in the same style in every stage."""
    labels = dict.fromkeys(label for panel in panels for label in panel)
    styles = dict(zip(labels, itertools.cycle(_STYLES)))
    handles = {}
    for ax, panel in zip(row, panels, strict=True):
        if not panel:
            ax.set_axis_off()
        if kind == _METRICS and ax is not row[0]:
            ax.sharey(row[0])  # metrics, unlike losses, mean the same in every stage
        for label, (epochs, values) in panel.items():
            color, line = styles[label]
            marker = "o" if len(epochs) <= _MOST_MARKED_POINTS else ""
            (handles[label],) = ax.plot(epochs, values, color=color, linestyle=line, marker=marker, markersize=3)
        ax.set_xlabel("epoch")
        ax.grid(linewidth=0.5, alpha=0.5)
        ax.spines[["top", "right"]].set_visible(False)
    next(ax for ax, panel in zip(row, panels, strict=True) if panel).set_ylabel(kind)
    row[-1].legend(
        handles.values(), handles.keys(), loc="upper left", bbox_to_anchor=(1, 1), frameon=False, fontsize=9
    )
