"""What a check of a data set has found, as files: JSON, the class-frequency curve, and a page with both."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

from jinja2 import Environment, PackageLoader

from ..atomic_file import atomic_path
from ..data.dataset_check import DatasetReport
from ..data.dataset_list import group_rules
from .class_frequency import plot_class_frequency
from .figure_files import save_figure


__all__ = ["write_dataset_report"]

_MOST = 50  # rows of a table that may be as long as the data set


def write_dataset_report(report: DatasetReport, folder: str | os.PathLike[str]) -> None:
    """
    Write `report.json` (all that was found), `class_frequency.png` and `index.html`, which needs no other file.

    Each file appears whole or not at all.

    Args:
        report ([`~xmodal_lt.data.DatasetReport`]):
            What [`~xmodal_lt.data.check_dataset`] returned.
        folder (`str` or `os.PathLike`):
            Where to write; it is made if it is missing.

    Example:

    ```python
    >>> from xmodal_lt.analysis import write_dataset_report
    >>> from xmodal_lt.data import check_dataset

    >>> write_dataset_report(check_dataset("emoji-lt"), "emoji-lt_check")  # doctest: +SKIP
    ```
    """
    root = Path(folder)
    figure = root / "class_frequency.png"
    save_figure(plot_class_frequency(report.stats, title=report.name), figure)
    _write(root / "report.json", json.dumps(report.to_dict(), indent=1, ensure_ascii=False, default=str))
    _write(root / "index.html", _page(report, figure.read_bytes()))


def _page(report: DatasetReport, figure: bytes) -> str:
    # Names of files and classes come from anywhere: nothing of them may become part of the page's own code.
    environment = Environment(loader=PackageLoader("xmodal_lt.analysis"), autoescape=True)
    stats, words = report.stats, report.frequencies.words
    counts = [] if words is None else list(words.counts.items())
    return environment.get_template("dataset_page.html").render(
        report=report,
        splits=list(report.frequencies.num_samples),
        rules=group_rules(stats.head_threshold, stats.tail_threshold, stats.boundaries),
        figure=base64.b64encode(figure).decode(),
        words=list(zip(counts[:_MOST], counts[: -_MOST - 1 : -1], strict=True)),
        most=_MOST,
    )


def _write(path: Path, text: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
