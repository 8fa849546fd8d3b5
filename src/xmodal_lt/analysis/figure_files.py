"""One way of writing a figure to a file."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

from matplotlib.figure import Figure

from xmodal_lt.atomic_file import atomic_path

from .figure_fonts import add_fonts


__all__ = ["check_figure_path", "save_figure"]

_SUFFIXES = (".png", ".svg", ".pdf")


def check_figure_path(path: str | os.PathLike[str]) -> None:
    """Raise a `ValueError` if `path` has no suffix of a figure; to be told so before hours of work, not after."""
    if Path(path).suffix.lower() not in _SUFFIXES:
        raise ValueError(f"a figure is written as {', '.join(_SUFFIXES)}; got {os.fspath(path)!r}")


def save_figure(fig: Figure, path: str | os.PathLike[str]) -> None:
    """
    Write a figure as PNG, SVG or PDF, by the suffix of `path`. The file appears whole or not at all.

    Characters that the fonts of its texts lack are drawn with another font that is installed, if one has them.

    Args:
        fig (`matplotlib.figure.Figure`):
            The figure, as the `plot_...` functions return it.
        path (`str` or `os.PathLike`):
            File to write, ending in `.png`, `.svg` or `.pdf`; its folder is made if it is missing.

    Raises:
        ValueError: If the path has another suffix.

    Example:

    ```python
    >>> from xmodal_lt.analysis import plot_training_curves, save_figure

    >>> fig = plot_training_curves([{"loss": 2.0, "epoch": 1.0, "step": 10}, {"loss": 1.0, "epoch": 2.0, "step": 20}])
    >>> save_figure(fig, "figures/training_curves.png")  # doctest: +SKIP
    ```
    """
    check_figure_path(path)
    add_fonts(fig)
    with atomic_path(path) as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font")  # one for each: `add_fonts` has told
        fig.savefig(temporary, format=Path(path).suffix.lower()[1:])
