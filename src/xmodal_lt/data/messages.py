"""What error messages of this folder share."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable
from itertools import islice


__all__ = ["check_choice", "counted", "did_you_mean", "some_of"]


def check_choice(option: str, value: str, choices: Collection[str]) -> None:
    """
    Refuse a value that is not one of those an option takes.

    Args:
        option (`str`):
            Name of the option.
        value (`str`):
            What was given.
        choices (`Collection[str]`):
            What it may be.

    Raises:
        ValueError: If it is none of them.
    """
    if value not in choices:
        raise ValueError(f"{option} must be one of {list(choices)}, got {value!r}")


def counted(count: int, one: str, many: str) -> str:
    """
    Say how many there are.

    Args:
        count (`int`):
            How many.
        one (`str`):
            What follows 1: `"picture is"`.
        many (`str`):
            What follows any other number: `"pictures are"`.

    Returns:
        `str`: `"1,200 pictures are"`.
    """
    return f"{count:,} {one if count == 1 else many}"


def some_of(names: Collection[str], limit: int = 10) -> str:
    """
    List names, but not hundreds of them.

    Args:
        names (`Collection[str]`):
            What to list.
        limit (`int`, *optional*, defaults to 10):
            Most names to show.

    Returns:
        `str`: `"'a', 'b', ..."`.
    """
    return ", ".join(map(repr, islice(names, limit))) + (", ..." if len(names) > limit else "")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """
    Suggest the closest name.

    Args:
        name (`str`):
            What was given.
        known (`Iterable[str]`):
            What there is.

    Returns:
        `str`: A sentence with a space before it, or nothing if no name is close.
    """
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" Did you mean {close[0]!r}?" if close else ""
