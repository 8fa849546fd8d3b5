"""Cutting a split into shards of about equal size: parquet files, with images inside and features of videos beside."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets.arrow_writer import ParquetWriter
from datasets.features.features import require_storage_embed

from xmodal_lt.atomic_file import atomic_path

from .feature_shards import FEATURE_COLUMNS, MeasuredArrays, measure_arrays, write_arrays
from .file_paths import is_url
from .messages import counted, some_of
from .table import column_values


__all__ = ["MeasuredSplit", "Shard", "measure_split", "plan_shards", "write_shard"]

_ROW_GROUP_BYTES = 32 * 10**6  # what is in memory at a time, a few times over; readers take a row group at a time too
_BATCH = 256  # rows to measure at a time


@dataclass(frozen=True)
class MeasuredSplit:
    """
    A split whose rows were measured.

    Args:
        rows (`datasets.Dataset`):
            The split.
        sizes (`np.ndarray`):
            Bytes of each row, with the file of its image or the features of its video, shape [N].
        fingerprint (`str`):
            Changes when a row, or a file of images or features, does.
        arrays (`Mapping[str, MeasuredArrays]`):
            Features of videos, by column.
    """

    rows: datasets.Dataset
    sizes: np.ndarray
    fingerprint: str
    arrays: Mapping[str, MeasuredArrays]

    def files(self, shard: Shard) -> list[str]:
        """All files of one of its shards: the parquet file, and those of features that its rows refer to."""
        columns = [name for name, arrays in self.arrays.items() if arrays.lengths[shard.first : shard.stop].any()]
        return [shard.file, *map(shard.feature_file, columns)]


@dataclass(frozen=True)
class Shard:
    """
    One parquet file, and the files of features that its rows refer to.

    Args:
        file (`str`):
            Path of the parquet file in the folder of the data set.
        split (`str`):
            Split that its rows are from.
        row_groups (`list[tuple[int, int]]`):
            First row of each row group, and the row after its last one.
    """

    file: str
    split: str
    row_groups: list[tuple[int, int]]

    @property
    def first(self) -> int:
        """Its first row."""
        return self.row_groups[0][0]

    @property
    def stop(self) -> int:
        """The row after its last one."""
        return self.row_groups[-1][1]

    @property
    def num_rows(self) -> int:
        """Rows in the file."""
        return self.stop - self.first

    def feature_file(self, column: str) -> str:
        """Path of the file of features of a column, in the folder of the data set."""
        return f"{column}/{PurePosixPath(self.file).stem}.npy"


def measure_split(rows: datasets.Dataset, split: str) -> MeasuredSplit:
    """
    Measure the rows of a split and take their fingerprint. Files of images are not opened, and of features only the
    headers are read.

    Args:
        rows (`datasets.Dataset`):
            The split, with `image`, or `features` and perhaps `privileged_features`, and `image_id`.
        split (`str`):
            Its name, for errors.

    Returns:
        [`MeasuredSplit`]

    Raises:
        FileNotFoundError: If files of images or features are not there.
        ValueError: If a row has no image or no features, its image is at a URL, or its features cannot be stored; or
            if other columns refer to files.
    """
    images = _image_columns(rows, split)
    fingerprint = _Fingerprint()
    fingerprint.write(json.dumps([split, rows.features.to_dict()]).encode())
    sizes, missing = [np.zeros(0, np.int64)], []
    for table in rows.with_format("arrow").iter(_BATCH):
        # Else the fingerprint would depend on how the cache is laid out, and take in the features with each batch.
        table = table.combine_chunks().replace_schema_metadata()
        with pa.ipc.new_stream(fingerprint, table.schema) as stream:
            stream.write_table(table)
        batch_sizes = np.zeros(table.num_rows, np.int64)
        for column in images:
            image_sizes, not_there = _image_sizes(table, column, split, fingerprint)
            batch_sizes += image_sizes
            missing += not_there
        table = table.drop_columns(images)
        sizes.append(batch_sizes + table.nbytes // table.num_rows)
    if missing:
        raise FileNotFoundError(
            f"of {len(rows):,} rows of split {split!r}, {counted(len(missing), 'image has', 'images have')} no file: "
            f"{some_of(missing, limit=5)}. Restore the files or drop the rows"
        )
    columns = [] if "image" in images else [name for name in FEATURE_COLUMNS if name in rows.column_names]
    arrays = {name: measure_arrays(rows, name, split) for name in columns}
    for one in arrays.values():
        fingerprint.write(one.fingerprint.encode())
    total = sum((one.sizes for one in arrays.values()), np.concatenate(sizes))
    return MeasuredSplit(rows, total, fingerprint.hexdigest(), arrays)


def _image_columns(rows: datasets.Dataset, split: str) -> list[str]:
    """Columns of images, whose paths [`load_lt`] checks. Those in others could name any file of this machine."""
    images = [name for name, feature in rows.features.items() if isinstance(feature, datasets.Image)]
    others = [name for name, feature in rows.features.items() if name not in images and require_storage_embed(feature)]
    if others:
        raise ValueError(
            f"columns {others} of split {split!r} hold files of other kinds than images, or lists of files: expected "
            "images alone, one in a row of a column. Drop the columns first"
        )
    return images


def _image_sizes(table: pa.Table, column: str, split: str, fingerprint: _Fingerprint) -> tuple[np.ndarray, list[str]]:
    """Bytes of each image, and the paths that have no file."""
    images = table.column(column).combine_chunks()
    content, paths = pc.struct_field(images, "bytes"), pc.struct_field(images, "path")
    sizes = pc.fill_null(pc.binary_length(content), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    missing = []
    for row in np.flatnonzero(content.is_null().to_numpy(zero_copy_only=False)):
        path = paths[row].as_py()
        if path is None:
            if column == "image":
                raise ValueError(f"row {table['image_id'][row]} of split {split!r} has no image. Drop such rows first")
            continue
        if is_url(path):
            raise ValueError(
                f"{column} of row {table['image_id'][row]} of split {split!r} is at {path!r:.200}: expected images on "
                "this machine. Download them, and name their files in the table"
            )
        try:
            stat = Path(path).stat()
        except OSError:
            missing.append(path)
            continue
        sizes[row] = stat.st_size
        fingerprint.write(f"{stat.st_size} {stat.st_mtime_ns}\n".encode())
    return sizes, missing


def plan_shards(split: str, sizes: np.ndarray, shard_bytes: int) -> list[Shard]:
    """
    Cut a split into shards.

    Args:
        split (`str`):
            Name of the split.
        sizes (`np.ndarray`):
            Bytes of each row, shape [N].
        shard_bytes (`int`):
            Most bytes in a shard, though it may be more by one row.

    Returns:
        `list[Shard]`: At least one, in the order of the rows, each of about the same size.
    """
    spans = _cut(sizes, shard_bytes)
    return [
        Shard(
            f"data/{split}-{number:05}-of-{len(spans):05}.parquet",
            split,
            [(start + first, start + last) for first, last in _cut(sizes[start:stop], _ROW_GROUP_BYTES)],
        )
        for number, (start, stop) in enumerate(spans)
    ]


def _cut(sizes: np.ndarray, most: int) -> list[tuple[int, int]]:
    if len(sizes) == 0:
        return [(0, 0)]
    ends = np.cumsum(sizes)
    pieces = max(1, -(-int(ends[-1]) // most))
    inner = np.searchsorted(ends, ends[-1] / pieces * np.arange(1, pieces)) + 1
    borders = np.unique(np.clip([0, *inner, len(sizes)], 0, len(sizes)))
    return [(int(start), int(stop)) for start, stop in pairwise(borders)]


def write_shard(split: MeasuredSplit, shard: Shard, folder: Path) -> int:
    """
    Write the files of a shard, each whole or not at all, the parquet file last. Images keep the bytes that they have
    in their files.

    Args:
        split ([`MeasuredSplit`]):
            The split of the shard.
        shard ([`Shard`]):
            What to write.
        folder (`pathlib.Path`):
            Folder of the data set.

    Returns:
        `int`: Rows written.

    Raises:
        FileNotFoundError: If a file of images or features is not there any more.
        ValueError: If features cannot be read.
    """
    tables = split.rows.with_format("arrow")
    references = {
        column: _write_features(split.rows, column, arrays, shard, folder) for column, arrays in split.arrays.items()
    }
    with (
        atomic_path(folder / shard.file) as unfinished,
        unfinished.open("wb") as stream,
        ParquetWriter(features=split.rows.features, stream=stream, embed_local_files=True) as writer,
    ):
        for start, stop in shard.row_groups:
            if start == stop:
                continue
            table = tables[start:stop]
            for column, new in references.items():
                field = table.schema.field(column)
                values = pa.array(new[start - shard.first : stop - shard.first], field.type)
                table = table.set_column(table.schema.get_field_index(column), field, values)
            writer.write_table(table, writer_batch_size=stop - start)
        writer.finalize(close_stream=False)
    return shard.num_rows


def _write_features(
    rows: datasets.Dataset, column: str, arrays: MeasuredArrays, shard: Shard, folder: Path
) -> list[dict[str, Any] | None]:
    """What the rows of the shard refer to, once that is written."""
    references = column_values(rows.select(range(shard.first, shard.stop)), column)
    return write_arrays(references, arrays, shard.first, folder, shard.feature_file(column))


class _Fingerprint(io.RawIOBase):
    """What is written to it is hashed."""

    def __init__(self) -> None:
        self._digest = sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._digest.update(data)
        return len(data)

    def hexdigest(self) -> str:
        return self._digest.hexdigest()
