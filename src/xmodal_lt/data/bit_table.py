"""Published tables of zeros and ones, hundreds of megabytes of text, read at the speed of the disk."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy import sparse

from .text_file import TextFile


__all__ = ["BitTable", "line_blocks", "names_of_rows", "ones_of_rows"]

_BLOCK_BYTES = 1 << 24
_BLANKS = b" \t\r"
_TO_SPACES = bytes.maketrans(_BLANKS, b" " * len(_BLANKS))


class BitTable:
    """
    A table with as many values on each line as there are names, each 0 or 1, with blanks or tabs between.

    Args:
        file ([`TextFile`]):
            The file.
        width (`int`):
            Values on a line.
        meaning (`str`):
            What each of them is for, said in errors: `"one for each line of TagList1k.txt"`.
    """

    def __init__(self, file: TextFile, width: int, meaning: str) -> None:
        self._file, self._width, self._meaning = file, width, meaning

    def read(self, rows: int, listed: str) -> sparse.csr_array:
        """
        Read the whole file.

        Args:
            rows (`int`):
                Lines that it must have.
            listed (`str`):
                Name of the list of images that has as many, for errors.

        Returns:
            `scipy.sparse.csr_array`: Zeros and ones, uint8, shape [rows, width].

        Raises:
            ValueError: If a line is something else, or there are more or fewer lines.
        """
        blocks = [self.parse(number, block) for number, block in line_blocks(self._file.path)]
        found = sum(block.shape[0] for block in blocks)
        if found != rows:
            raise self._file.unexpected(
                min(found, rows) + 1, f"{rows} lines, one for each image of {listed}, got {found} lines"
            )
        return sparse.vstack(blocks, format="csr")

    def parse(self, number: int, block: bytes, zero: bytes = b"0") -> sparse.csr_array:
        """
        Parse some lines.

        Args:
            number (`int`):
                Number of the first, from 1, for errors.
            block (`bytes`):
                Whole lines.
            zero (`bytes`, *optional*, defaults to `b"0"`):
                How the file writes a zero: some have `-1`.

        Returns:
            `scipy.sparse.csr_array`: Zeros and ones, uint8, a row a line.

        Raises:
            ValueError: If a line is something else.
        """
        text = block if zero == b"0" else block.replace(zero, b"0")
        is_digit = np.frombuffer(text, dtype=np.uint8) >= ord("0")
        digits = np.frombuffer(text.translate(None, _BLANKS), dtype=np.uint8)
        rows = block.count(b"\n")
        # Each digit is a value of its own where no two of them touch.
        if (is_digit[1:] & is_digit[:-1]).any() or len(digits) != rows * (self._width + 1):
            raise self._objection(number, block, zero)
        table = digits.reshape(rows, self._width + 1)
        bits = table[:, :-1] - np.uint8(ord("0"))
        if (bits > 1).any() or (table[:, -1] != ord("\n")).any():
            raise self._objection(number, block, zero)
        return sparse.csr_array(bits)

    def _objection(self, number: int, block: bytes, zero: bytes) -> ValueError:
        """What is wrong with the first wrong line."""
        known = {zero, b"1"}
        lines = block.translate(_TO_SPACES).split(b"\n")
        rows = ([value for value in line.split(b" ") if value] for line in lines)
        wrong, row = next(
            (line, row) for line, row in enumerate(rows, start=number) if len(row) != self._width or {*row} - known
        )
        other = next((value for value in row if value not in known), None)
        values = f"{zero.decode()} or 1"
        expected = f"{self._width} values of {values}, {self._meaning}" if self._width > 1 else values
        got = f"{len(row)} values" if other is None else repr(other.decode(errors="replace"))
        return self._file.unexpected(wrong, f"{expected}, got {got:.100}")


def line_blocks(path: Path) -> Iterator[tuple[int, bytes]]:
    """
    Read a file piece by piece.

    Args:
        path (`pathlib.Path`):
            The file.

    Yields:
        `tuple[int, bytes]`: The number of a line, from 1, and some megabytes of lines from there on, each of which
        ends in a line feed. Empty lines at the end of the file are left out.
    """
    number = 1
    with path.open("rb") as file:
        if file.peek(3).startswith(BOM_UTF8):
            file.seek(len(BOM_UTF8))
        while block := file.read(_BLOCK_BYTES) + file.readline():
            if not file.peek(1):
                block = block.rstrip() + b"\n"
            yield number, block
            number += block.count(b"\n")


def ones_of_rows(table: sparse.csr_array) -> list[list[int]]:
    """
    List the columns with a one.

    Args:
        table (`scipy.sparse.csr_array`):
            Zeros and ones, as [`BitTable`] reads them.

    Returns:
        `list[list[int]]`: Rising column numbers of each row.
    """
    columns = table.indices.tolist()
    return [columns[start:stop] for start, stop in pairwise(table.indptr.tolist())]


def names_of_rows(table: sparse.csr_array, names: Sequence[str]) -> list[list[str]]:
    """
    List the names whose columns have a one.

    Args:
        table (`scipy.sparse.csr_array`):
            Zeros and ones, as [`BitTable`] reads them.
        names (`Sequence[str]`):
            Name of each column, of which some may be alike.

    Returns:
        `list[list[str]]`: Distinct names of each row, in the order of the columns.
    """
    return [list(dict.fromkeys(names[column] for column in ones)) for ones in ones_of_rows(table)]
