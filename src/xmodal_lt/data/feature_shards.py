"""The features that a split refers to, as npy files of a converted data set: a file for each shard and column."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import datasets
import numpy as np
from numpy.lib.format import dtype_to_descr, write_array_header_1_0

from xmodal_lt.atomic_file import atomic_path

from .feature_files import FEATURES, open_features, read_features
from .fingerprint import fingerprint_of_files
from .messages import counted, some_of


__all__ = ["FEATURE_COLUMNS", "MeasuredArrays", "measure_arrays", "write_arrays"]

# Those that refer to features, of which the first is never null; also the names of the folders that hold them.
FEATURE_COLUMNS = ("features", "privileged_features")

_BATCH = 1000  # rows to look at at a time


@dataclass(frozen=True)
class MeasuredArrays:
    """
    What the rows of a split refer to in one column.

    Args:
        lengths (`np.ndarray`):
            T of the array [T, D] of each row, 0 for a row that has none, shape [N].
        width (`int`):
            D of all of them, 0 if there are none.
        dtype (`np.dtype`):
            float16 if all their files have that, else float32, which [`read_features`] gives.
        fingerprint (`str`):
            Changes when one of their files does.
    """

    lengths: np.ndarray
    width: int
    dtype: np.dtype
    fingerprint: str

    @property
    def sizes(self) -> np.ndarray:
        """Bytes of the array of each row, shape [N]."""
        return self.lengths * (self.width * self.dtype.itemsize)


class _Header(NamedTuple):
    """What an array is, and where."""

    rows: int
    width: int
    dtype: np.dtype
    name: str


def measure_arrays(rows: datasets.Dataset, column: str, split: str) -> MeasuredArrays:
    """
    Measure the arrays that a split refers to. Only their headers are read.

    Args:
        rows (`datasets.Dataset`):
            The split, with `image_id`.
        column (`str`):
            One of `FEATURE_COLUMNS` that it has.
        split (`str`):
            Its name, for errors.

    Returns:
        [`MeasuredArrays`]

    Raises:
        FileNotFoundError: If files are not there.
        ImportError: If one is an HDF5 file and h5py is not installed.
        ValueError: If a row refers to nothing that can be stored, or arrays are of different widths.
    """
    lengths = np.zeros(len(rows), np.int64)
    headers: dict[tuple[str, str | None], _Header] = {}
    missing: dict[str, None] = {}
    for number, (image_id, reference) in enumerate(_references(rows, column)):
        who = f"row {image_id!r} of split {split!r}"
        if reference is None:
            if column == FEATURE_COLUMNS[0]:
                raise ValueError(f"{who} has no {column}. Drop such rows first")
            continue
        source = (reference["path"], reference["key"])
        try:
            header = headers.get(source) or _read_header(*source)
        except FileNotFoundError:
            missing[reference["path"]] = None
            continue
        first = next(iter(headers.values()), header)
        if header.width != first.width:
            raise ValueError(
                f"{column} of {who} are {header.width} wide ({header.name}), but those of rows before it are "
                f"{first.width} wide ({first.name}): expected one width in a split. Drop such rows first"
            )
        headers[source] = header
        lengths[number] = _length(reference, header, f"{column} of {who}")
    if missing:
        raise FileNotFoundError(
            f"{counted(len(missing), 'file', 'files')} of {column} of split {split!r} "
            f"{'is' if len(missing) == 1 else 'are'} not there: {some_of(missing, limit=5)}. "
            "Restore the files or drop the rows"
        )
    halves = bool(headers) and all(header.dtype == np.float16 for header in headers.values())
    width = next(iter(headers.values())).width if headers else 0
    files = dict.fromkeys(Path(path) for path, _ in headers)
    return MeasuredArrays(lengths, width, np.dtype("<f2" if halves else "<f4"), fingerprint_of_files(files))


def _references(rows: datasets.Dataset, column: str) -> Iterator[tuple[str, dict[str, Any] | None]]:
    """Of each row its id and its reference, `None` if that is null."""
    for table in rows.select_columns(["image_id", column]).with_format("arrow").iter(_BATCH):
        for image_id, reference in zip(*(table[name].to_pylist() for name in table.column_names), strict=True):
            yield image_id, reference if reference is not None and reference["path"] is not None else None


def _read_header(path: str, key: str | None) -> _Header:
    with open_features(path, key) as array:
        rows, width = array.shape
        return _Header(rows, width, array.dtype, path if key is None else f"{path}::{key}")


def _length(reference: Mapping[str, Any], header: _Header, what: str) -> int:
    start, stop = reference["start"] or 0, reference["stop"]
    stop = header.rows if stop is None else stop
    if not 0 <= start < stop <= header.rows:
        raise ValueError(f"{what} are rows {start} to before {stop} of {header.name}, which has {header.rows} rows")
    return stop - start


def write_arrays(
    references: Iterable[Mapping[str, Any] | None], arrays: MeasuredArrays, first: int, folder: Path, file: str
) -> list[dict[str, Any] | None]:
    """
    Write the arrays of some rows into one npy file, one after the other, the whole file or none. Arrays of which rows
    refer to exactly the same part are written once. One array is in memory at a time.

    Args:
        references (`Iterable[Mapping or None]`):
            What each row refers to.
        arrays ([`MeasuredArrays`]):
            Of the column.
        first (`int`):
            Which row of the split the first of these rows is.
        folder (`pathlib.Path`):
            Folder of the data set.
        file (`str`):
            Path of the file in it. It is not made if no row refers to anything.

    Returns:
        `list[dict or None]`: What each row refers to now, with `file` as the path.

    Raises:
        FileNotFoundError: If a file is not there any more.
        ValueError: If an array cannot be read, holds values that are not finite, or has another width by now.
    """
    places: dict[tuple[Any, ...], int] = {}
    new: list[dict[str, Any] | None] = []
    total = 0
    for row, reference in enumerate(references, first):
        length = int(arrays.lengths[row])
        if reference is None or not length:
            new.append(None)
            continue
        start = reference["start"] or 0
        part = (reference["path"], reference["key"], start, start + length)
        if part not in places:
            places[part] = total
            total += length
        new.append({"path": file, "key": None, "start": places[part], "stop": places[part] + length})
    if places:
        with atomic_path(folder / file) as unfinished, unfinished.open("wb") as stream:
            # Not a memory map, which ends the process where the disk is full.
            shape = (total, arrays.width)
            header = {"descr": dtype_to_descr(arrays.dtype), "fortran_order": False, "shape": shape}
            write_array_header_1_0(stream, header)
            for part in places:
                stream.write(_read(dict(zip(FEATURES, part, strict=True)), arrays).data)
    return new


def _read(reference: dict[str, Any], arrays: MeasuredArrays) -> np.ndarray:
    features = read_features(reference)
    if features.shape[1] != arrays.width:
        raise ValueError(
            f"{reference['path']} has features that are {features.shape[1]} wide, which were {arrays.width} wide when "
            "the conversion began: leave the files as they are until it has ended"
        )
    return np.ascontiguousarray(features, arrays.dtype)
