"""Declarations of the files that a data set is made from: their names, and where they are published."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias


__all__ = ["AnyOf", "MissingFile", "Need", "SourceFile"]


@dataclass(frozen=True)
class MissingFile:
    """
    A file, folder or package that a data set is made from and that is not there.

    Args:
        names (`str`):
            What is not there, with its alternatives: `"train2018.json or iNaturalist18_train.txt"`.
        published (`str`):
            What to get from where; follows "Get".
        optional (`bool`, *optional*, defaults to `False`):
            Whether the data set can be made without it.
    """

    names: str
    published: str
    optional: bool = False


@dataclass(frozen=True)
class SourceFile:
    """
    A file or folder that a data set is made from.

    Args:
        names (`tuple[str, ...]`):
            Paths that it may have, seen from one of the folders where it may lie; the first has priority.
        published (`str`):
            What to get from where; follows "Get".
        optional (`bool`, *optional*, defaults to `False`):
            Whether the data set can be made without it.
    """

    names: tuple[str, ...]
    published: str
    optional: bool = False

    def missing(self, find: Callable[[SourceFile], Path | None]) -> MissingFile | None:
        """
        Tell whether it is missing.

        Args:
            find (`Callable`):
                Looks for a file.

        Returns:
            [`MissingFile`] or `None`
        """
        return None if find(self) else MissingFile(" or ".join(self.names), self.published, self.optional)


@dataclass(frozen=True)
class AnyOf:
    """
    Files of which some are enough.

    Args:
        choices (`tuple[tuple[SourceFile, ...], ...]`):
            Each of them is enough if all its files are there.
    """

    choices: tuple[tuple[SourceFile, ...], ...]

    def missing(self, find: Callable[[SourceFile], Path | None]) -> MissingFile | None:
        """
        Tell whether every choice lacks something.

        Args:
            find (`Callable`):
                Looks for a file.

        Returns:
            [`MissingFile`] or `None`
        """
        lacking = [[file for file in choice if file.missing(find)] for choice in self.choices]
        if not all(lacking):
            return None
        return MissingFile(
            " or ".join(" with ".join(file.names[0] for file in files) for files in lacking),
            ", or ".join(" and ".join(file.published for file in files) for files in lacking),
        )


Need: TypeAlias = SourceFile | AnyOf
