"""Losses of several runs over the epochs of one stage, to see which of them overfits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from .logged_curves import COLORS, LOSS, Panel, draw_curve, read_panels, style_epochs


__all__ = ["plot_loss_curves"]

_LogHistory: TypeAlias = Sequence[Mapping[str, Any]]

_LINES: dict[str, Any] = {"training": "-", "evaluation": "--"}
_NAMES = {"training": "training", "evaluation": "validation"}


def plot_loss_curves(
    runs: Mapping[str, _LogHistory | Mapping[str, _LogHistory]],
    *,
    stage: str | None = None,
    title: str | None = None,
) -> Figure:
    """
    Draw the training and validation loss of runs over the epochs of one stage: a colour for each run, solid lines for
    training, dashed ones for validation.

    A run without a validation split has its training loss alone.

    Args:
        runs (`Mapping[str, Sequence[Mapping]]` or `Mapping[str, Mapping[str, Sequence[Mapping]]]`):
            By the name of each run, the `trainer.state.log_history` of the stage, or that of all its stages by the
            stage's name, in order, as runs leave it in `history.json`. 7 runs at most: more colours are not told
            apart.
        stage (`str`, *optional*):
            Which stage of the runs that are given with all of theirs; when absent, the last that all of these have.
        title (`str`, *optional*):
            Title of the figure; the name of the stage when absent.

    Returns:
        `matplotlib.figure.Figure`: The figure, not yet written: see [`save_figure`].

    Raises:
        ValueError: If there are no runs or too many, if a run lacks the stage, if the runs share no stage, or if one
            logged no loss in it.

    Source:
        VL-LTR, figure 5.

    Example:

    ```python
    >>> from xmodal_lt.analysis import plot_loss_curves

    >>> full = [{"loss": 2.0, "epoch": 1.0}, {"eval_loss": 2.1, "epoch": 1.0}]
    >>> without = [{"loss": 1.5, "epoch": 1.0}, {"eval_loss": 2.8, "epoch": 1.0}]
    >>> runs = {"full": {"pretrain": [], "finetune": full}, "w/o distillation": {"finetune": without}}
    >>> fig = plot_loss_curves(runs)
    >>> fig.axes[0].get_title()
    'stage finetune'
    ```
    """
    if not 1 <= len(runs) <= len(COLORS):
        raise ValueError(f"expected 1 to {len(COLORS)} runs, as many as there are colours; got {len(runs)}")
    stage = _stage_to_draw({name: run for name, run in runs.items() if isinstance(run, Mapping)}, stage)
    panels = {name: _losses(name, run[stage] if isinstance(run, Mapping) else run) for name, run in runs.items()}
    fig = Figure(figsize=(7.5, 4.2), layout="constrained")
    ax = fig.add_subplot()
    for color, panel in zip(COLORS, panels.values(), strict=False):
        for label, curve in panel.items():
            draw_curve(ax, curve, color, _LINES[label])
    style_epochs(ax)
    ax.set_ylabel("loss")
    ax.set_title(title or (stage and f"stage {stage}"), parse_math=False)
    drawn = [label for label in _LINES if any(label in panel for panel in panels.values())]
    handles = [Line2D([], [], color=color, label=name) for color, name in zip(COLORS, panels, strict=False)]
    handles += [Line2D([], [], color="gray", linestyle=_LINES[label], label=_NAMES[label]) for label in drawn]
    legend = ax.legend(handles=handles, loc="upper left", bbox_to_anchor=(1, 1), frameon=False, fontsize=9)
    for text in legend.get_texts():
        text.set_parse_math(False)
    return fig


def _stage_to_draw(runs: Mapping[str, Mapping[str, Any]], stage: str | None) -> str:
    """The named stage, which all runs must have, or else the last stage of the first run that all others have too;
    an empty name if no run is given with its stages."""
    if stage is None:
        if not runs:
            return ""
        first, *others = runs.values()
        shared = [name for name in first if all(name in stages for stages in others)]
        if not shared:
            raise ValueError(f"the runs have no stage in common; their stages are {_stages_in_words(runs)}")
        return shared[-1]
    lacking = {name: stages for name, stages in runs.items() if stage not in stages}
    if lacking:
        raise ValueError(f"not every run has the stage {stage!r}; those without have {_stages_in_words(lacking)}")
    return stage


def _stages_in_words(runs: Mapping[str, Mapping[str, Any]]) -> str:
    return "; ".join(f"{name}: {', '.join(stages) or 'none'}" for name, stages in runs.items())


def _losses(name: str, entries: _LogHistory) -> Panel:
    panel = read_panels(entries)[LOSS]
    if not panel:
        raise ValueError(f"run {name!r} logged no loss in the stage: there is no curve to draw")
    return panel
