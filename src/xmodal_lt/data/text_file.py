"""Reading published lists, a line an entry, with errors that name the file and the line that is wrong."""

from __future__ import annotations

from pathlib import Path


__all__ = ["TextFile"]


class TextFile:
    """
    A text file that has an entry on each line.

    Args:
        path (`pathlib.Path`):
            The file, which must exist.
        published (`str`):
            Where it is published, for errors.
    """

    def __init__(self, path: Path, published: str) -> None:
        self.path, self._published = path, published

    def lines(self) -> list[tuple[int, str]]:
        """
        Read all lines that are not empty.

        Returns:
            `list[tuple[int, str]]`: The number of each line, from 1, and its text without blanks around it.

        Raises:
            ValueError: If the file is not text, or has no such line.
        """
        try:
            text = self.path.read_bytes().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{self.path} is not as published: expected plain text, got other bytes ({error.reason} at byte "
                f"{error.start}). A pickle is never loaded, as it can run any code. {self._anew}"
            ) from error
        # Not `splitlines`, which also splits at characters that may be in a caption.
        lines = [(number, line.strip()) for number, line in enumerate(text.split("\n"), start=1)]
        lines = [(number, line) for number, line in lines if line]
        if not lines:
            raise ValueError(f"{self.path} is empty. {self._anew}")
        return lines

    def unexpected(self, number: int, expected: str) -> ValueError:
        """
        Word an error.

        Args:
            number (`int`):
                Number of the line, from 1.
            expected (`str`):
                What was expected, and what is there.

        Returns:
            `ValueError`: To raise.
        """
        return ValueError(f"line {number} of {self.path} is not as published: expected {expected}. {self._anew}")

    @property
    def _anew(self) -> str:
        return f"Get {self.path.name} anew from {self._published}"
