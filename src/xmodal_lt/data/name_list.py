"""Published lists of names, one a line, which number the names by their lines."""

from __future__ import annotations

import re

from .text_file import TextFile


__all__ = ["read_names"]


def read_names(file: TextFile, pattern: str, example: str, distinct: bool = False) -> list[str]:
    """
    Read all names, in the order of the file.

    Args:
        file ([`TextFile`]):
            The list.
        pattern (`str`):
            Regular expression of a line, whose one group is the name.
        example (`str`):
            One of the lines, for errors.
        distinct (`bool`, *optional*, defaults to `False`):
            Whether no name may be there twice.

    Returns:
        `list[str]`

    Raises:
        ValueError: If a line is something else, or a name is there twice and may not.
    """
    names: list[str] = []
    seen: set[str] = set()
    for number, line in file.lines():
        match = re.fullmatch(pattern, line)
        if match is None:
            raise file.unexpected(number, f"a name such as {example!r}, got {line!r:.100}")
        if distinct and match[1] in seen:
            raise file.unexpected(number, f"each name once, but {match[1]!r} is there again")
        seen.add(match[1])
        names.append(match[1])
    return names
