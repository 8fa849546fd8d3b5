"""Text that may hold anything, as Markdown that shows it as it is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


__all__ = ["Markdown", "code", "escape", "table"]

_SPECIAL = re.compile(r"([\\`*_\[\]<>|~&#!$])")


class Markdown(str):
    """Text that is Markdown already, which [`table`] leaves as it is."""


def escape(text: str) -> Markdown:
    """
    Write a text so that Markdown shows it as it is, in one line.

    Args:
        text (`str`):
            Any text, such as the name of a class.

    Returns:
        `Markdown`: With a backslash before every mark that has a meaning.

    Example:

    ```python
    >>> from xmodal_lt.hub.markdown import escape

    >>> print(escape("red|<b>blue</b>"))
    red\\|\\<b\\>blue\\</b\\>
    ```
    """
    return Markdown(_SPECIAL.sub(r"\\\1", " ".join(text.split())))


def code(text: str) -> Markdown:
    """
    Write a text as code within a line.

    Args:
        text (`str`):
            Any text.

    Returns:
        `Markdown`: Between more backticks than there are in it, with bars that do not end the cell of a table.
    """
    text = " ".join(text.split())
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence, space = "`" * (longest + 1), " " if longest else ""
    return Markdown(f"{fence}{space}{text}{space}{fence}".replace("|", "\\|"))


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Markdown:
    """
    Lay out a table.

    Args:
        header (`Sequence[str]`):
            Names of the columns.
        rows (`Iterable[Sequence[str]]`):
            As many cells each; those that are no [`Markdown`] are escaped.

    Returns:
        `Markdown`: The lines of the table.
    """
    lines = [header, [Markdown("---")] * len(header), *rows]
    return Markdown("\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines))


def _cell(text: str) -> str:
    return text if isinstance(text, Markdown) else escape(text)
