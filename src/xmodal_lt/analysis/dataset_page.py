"""What a check of a data set has found, as files: JSON, the class-frequency curve, and a page with both."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jinja2 import Environment, PackageLoader

from ..atomic_file import atomic_path
from ..data.dataset_check import DatasetReport
from ..data.dataset_list import group_rules
from ..data.messages import some_of
from .class_frequency import plot_class_frequency
from .figure_files import save_figure


__all__ = ["report_folder", "write_dataset_report"]

_FIGURE, _JSON, _PAGE = "class_frequency.png", "report.json", "index.html"  # in the order in which they are written
_MOST = 50  # rows of a table that may be as long as the data set


@contextmanager
def report_folder(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """
    Make the folder of a report before hours of work for it. If these fail, it goes again.

    Args:
        folder (`str` or `os.PathLike`):
            A new or empty folder, or that of an earlier report.

    Returns:
        `Iterator[pathlib.Path]`: A context that gives the folder.

    Raises:
        FileExistsError: If it holds something else, or is a file.
        OSError: If it cannot be made.
    """
    root = Path(folder)
    _check_folder(root)
    is_new = not root.exists()
    root.mkdir(parents=True, exist_ok=True)
    try:
        yield root
    except BaseException:
        if is_new and not any(root.iterdir()):
            root.rmdir()
        raise


def _check_folder(root: Path) -> None:
    if not root.exists():
        return
    if not root.is_dir():
        raise FileExistsError(f"{root} is a file: name a folder for the report")
    names = {path.name for path in root.iterdir() if path.suffix != ".tmp"}  # left over by a run that was killed
    others = sorted(names - {_FIGURE, _JSON, _PAGE})
    # The figure comes first: a page alone is that of someone else.
    if others or (names and _FIGURE not in names):
        raise FileExistsError(
            f"{root} holds {some_of(others or sorted(names), limit=3)} and is no earlier report: name another folder"
        )


def write_dataset_report(report: DatasetReport, folder: str | os.PathLike[str]) -> None:
    """
    Write `report.json` (all that was found), `class_frequency.png` and `index.html`, which needs no other file.

    Each file appears whole or not at all.

    Args:
        report ([`~xmodal_lt.data.DatasetReport`]):
            What [`~xmodal_lt.data.check_dataset`] returned.
        folder (`str` or `os.PathLike`):
            Where to write: a new or empty folder, or that of an earlier report.

    Raises:
        FileExistsError: If it holds something else, or is a file.

    Example:

    ```python
    >>> from xmodal_lt.analysis import write_dataset_report
    >>> from xmodal_lt.data import check_dataset

    >>> write_dataset_report(check_dataset("emoji-lt"), "emoji-lt_check")  # doctest: +SKIP
    ```
    """
    root = Path(folder)
    _check_folder(root)
    figure = root / _FIGURE
    save_figure(plot_class_frequency(report.stats, title=report.name), figure)
    _write(root / _JSON, json.dumps(report.to_dict(), indent=1, ensure_ascii=False, default=str))
    _write(root / _PAGE, _page(report, figure.read_bytes()))


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
