"""Reading published JSON files, with errors that name the file and the entry that is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


__all__ = ["JsonFile"]

_NAMES = {str: "a string", int: "a whole number", float: "a number", list: "a list", dict: "an object"}


class JsonFile:
    """
    A JSON file.

    Args:
        path (`pathlib.Path`):
            The file.
        homepage (`str`):
            Where it is published, for errors.

    Raises:
        FileNotFoundError: If it is not there.
    """

    def __init__(self, path: Path, homepage: str) -> None:
        self.path, self.homepage = path, homepage
        if not path.is_file():
            raise FileNotFoundError(
                f"there is no file {path}. Get {path.name} from {homepage} and pass its folder as `data_dir`"
            )

    def read(self, kind: type = dict) -> Any:
        """
        Read the whole file.

        Args:
            kind (`type`, *optional*, defaults to `dict`):
                What it holds, as for [`field`].

        Returns:
            Its content, of that kind.

        Raises:
            ValueError: If it is not JSON, or of another kind.
        """
        try:
            content = json.loads(self.path.read_bytes())
        except (ValueError, RecursionError) as error:  # cut off, not even text, or nested a thousand deep
            raise ValueError(f"cannot read {self.path}: {error}. Get it anew from {self.homepage}") from error
        return self.check(content, kind, "the file")

    def field(self, entry: Any, key: str, kind: type, where: str) -> Any:
        """
        Read one field of an entry.

        Args:
            entry (`Any`):
                What should be an object.
            key (`str`):
                Name of the field.
            kind (`type`):
                `str`, `int`, `float` (whole numbers too), `list` or `dict`.
            where (`str`):
                What an error calls the entry.

        Returns:
            The value of the field.

        Raises:
            ValueError: If the entry is no object, has no such field, or it is of another kind.
        """
        if key not in self.check(entry, dict, where):
            raise self.unexpected(f"{where} to have the field {key!r}, got {list(entry)!r:.200}")
        return self.check(entry[key], kind, f"{key!r} of {where}")

    def check(self, value: Any, kind: type, where: str) -> Any:
        """
        Check the kind of a value.

        Args:
            value (`Any`):
                A value from the file.
            kind (`type`):
                As for [`field`].
            where (`str`):
                What an error calls the value.

        Returns:
            The value.

        Raises:
            ValueError: If it is of another kind.
        """
        kinds = (int, float) if kind is float else (kind,)
        if not isinstance(value, kinds) or isinstance(value, bool):
            raise self.unexpected(f"{where} to be {_NAMES[kind]}, got {value!r:.100}")
        return value

    def unexpected(self, expected: str) -> ValueError:
        """
        Word an error.

        Args:
            expected (`str`):
                What was expected, and what is there.

        Returns:
            `ValueError`: To raise.
        """
        return ValueError(
            f"{self.path} is not as published: expected {expected}. Get {self.path.name} anew from {self.homepage}"
        )
