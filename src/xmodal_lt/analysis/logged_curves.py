"""What figures of training share: the curves in what a trainer logged, and one way of drawing them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any, TypeAlias

from matplotlib.axes import Axes
from matplotlib.lines import Line2D


__all__ = [
    "COLORS",
    "KINDS",
    "LOSS",
    "LOSS_PARTS",
    "METRICS",
    "Curve",
    "Panel",
    "draw_curve",
    "read_panels",
    "style_epochs",
]

# Epochs and values of one curve; the curves of one panel by label.
Curve: TypeAlias = tuple[list[float], list[float]]
Panel: TypeAlias = dict[str, Curve]

LOSS, LOSS_PARTS, METRICS = KINDS = ("loss", "loss parts", "evaluation metrics")

# Okabe and Ito's palette without its yellow, which is too pale for lines on white.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MOST_MARKED_POINTS = 40

_NOT_LOSS_PARTS = {"loss", "grad_norm", "learning_rate", "epoch", "step", "num_input_tokens_seen"}
_NOT_METRICS = ("loss", "runtime", "per_second", "preparation_time", "compilation_time")


def read_panels(entries: Sequence[Mapping[str, Any]]) -> dict[str, Panel]:
    """
    Sort what was logged in one stage into the panels of a figure.

    Args:
        entries (`Sequence[Mapping]`): `trainer.state.log_history`.

    Returns:
        `dict[str, Panel]`: For each of `KINDS` its curves, in the order in which they were first logged; of `LOSS`
        they are "training" and "evaluation".

    Raises:
        ValueError: If an entry has no epoch.
    """
    panels: dict[str, defaultdict[str, Curve]] = {kind: defaultdict(lambda: ([], [])) for kind in KINDS}
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


def _place_of(key: str, entry: Mapping[str, Any]) -> tuple[str, str]:
    """Kind of panel and label of the curve that a logged value belongs to; no kind if it is not drawn."""
    if key == "loss":
        return LOSS, "training"
    if key == "eval_loss":
        return LOSS, "evaluation"
    label = key.removeprefix("eval_")
    if label != key:
        return "" if label.endswith(_NOT_METRICS) else METRICS, label
    # The entry that sums up a finished run has "train_loss" instead of "loss", and run times beside it.
    return LOSS_PARTS if "loss" in entry and key not in _NOT_LOSS_PARTS else "", key


def draw_curve(ax: Axes, curve: Curve, color: str, line: str) -> Line2D:
    """Draw one curve; its points are marked where there is room for it."""
    marker = "o" if len(curve[0]) <= _MOST_MARKED_POINTS else ""
    (drawn,) = ax.plot(*curve, color=color, linestyle=line, marker=marker, markersize=3)
    return drawn


def style_epochs(ax: Axes) -> None:
    """The look of axes of curves over the epochs."""
    ax.set_xlabel("epoch")
    ax.grid(linewidth=0.5, alpha=0.5)
    ax.spines[["top", "right"]].set_visible(False)
