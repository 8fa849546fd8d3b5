"""A stream of which every row has a number, so that parts of it can be shared out, and what is small of each row."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from datasets.exceptions import DatasetGenerationError

from .table import arrow_column


__all__ = ["ShardedStream", "index_streams"]

# A stream is shared out by pieces of its files; more of them cost more to open than they gain in order.
_MAX_PIECES = 1024
_READ_BATCH = 16
_PIECE = "piece of the stream"


@dataclass(frozen=True, eq=False)
class ShardedStream:
    """
    One split that is read from its files in order.

    Args:
        split (`str`):
            Its name.
        rows (`datasets.IterableDataset`):
            Its rows, with the columns of the one schema, images as they are stored.
        annotations (`datasets.Dataset`):
            The same rows without images.
        sizes (`tuple[int, ...]`):
            Rows of each piece that the stream can be read from.
    """

    split: str
    rows: datasets.IterableDataset
    annotations: datasets.Dataset
    sizes: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.annotations)

    @property
    def column_names(self) -> list[str]:
        """Its columns, with the image."""
        return ["image", *self.annotations.column_names]

    def remove_columns(self, names: list[str]) -> ShardedStream:
        """
        The same without some columns.

        Args:
            names (`list[str]`):
                Columns that it has.

        Returns:
            [`ShardedStream`]
        """
        rows = self.rows.remove_columns(names)
        return replace(self, rows=rows, annotations=self.annotations.remove_columns(names))

    def read(self, piece: int, start: int = 0, stop: int | None = None) -> Iterator[tuple[int, dict[str, Any]]]:
        """
        Read rows of one piece.

        Args:
            piece (`int`):
                Number of the piece.
            start (`int`, *optional*, defaults to 0):
                First row, counted in the piece.
            stop (`int`, *optional*, defaults to all of them):
                Row before which to stop.

        Returns:
            `Iterator[tuple[int, dict]]`: The number of each row in the split, and the row.

        Raises:
            ValueError: If the piece has fewer rows than when they were counted, or a row cannot be converted.
        """
        stop = self.sizes[piece] if stop is None else stop
        first = sum(self.sizes[:piece])
        position = 0
        # `iter` and not a loop over the stream, which would share it out once more over the workers of a data loader.
        for batch in _pieces(self.rows, len(self.sizes), piece).iter(batch_size=_READ_BATCH):
            count = len(next(iter(batch.values())))
            for offset in range(max(start - position, 0), min(stop - position, count)):
                row = {name: values[offset] for name, values in batch.items()}
                row.setdefault("image_id", f"{self.split}/{first + position + offset}")
                yield first + position + offset, row
            position += count
            if position >= stop:
                return
        if position < stop:
            raise ValueError(
                f"piece {piece} of the stream of split {self.split!r} has {position} rows, but had "
                f"{self.sizes[piece]} when they were counted: its files have changed. Start anew"
            )


def index_streams(
    streams: Mapping[str, datasets.IterableDataset],
    without_images: Mapping[str, datasets.IterableDataset],
    key: str,
    cache_dir: str | Path | None = None,
) -> dict[str, ShardedStream]:
    """
    Read what is small of each row of streams, once, into the cache of `datasets`.

    Args:
        streams (`Mapping[str, datasets.IterableDataset]`):
            By split.
        without_images (`Mapping[str, datasets.IterableDataset]`):
            The same rows and pieces with or without images, which are not looked at.
        key (`str`):
            Other text if the rows are other ones.
        cache_dir (`str` or `pathlib.Path`, *optional*, defaults to that of `datasets`):
            Where to.

    Returns:
        `dict[str, ShardedStream]`

    Raises:
        ValueError: If a row cannot be read or converted.
    """
    return {split: _index(split, stream, without_images[split], key, cache_dir) for split, stream in streams.items()}


def _index(
    split: str, stream: datasets.IterableDataset, small: datasets.IterableDataset, key: str, cache_dir: Any
) -> ShardedStream:
    pieces = min(stream.num_shards, _MAX_PIECES)
    small = small.select_columns([name for name in small.column_names if name != "image"])
    features = {**small.features, "image_id": datasets.Value("string"), _PIECE: datasets.Value("int32")}
    try:
        annotations = datasets.Dataset.from_generator(
            partial(_annotations, split, small, pieces),
            features=datasets.Features(features),
            cache_dir=None if cache_dir is None else str(cache_dir),
            fingerprint=hashlib.sha256(f"{split} {pieces} {key}".encode()).hexdigest()[:32],
        )
    except DatasetGenerationError as error:
        raise ValueError(f"cannot read the stream of split {split!r}: {error.__cause__ or error}") from error
    numbers = arrow_column(annotations, _PIECE).to_numpy()
    sizes = np.bincount(numbers, minlength=pieces).tolist()
    return ShardedStream(split, stream, annotations.remove_columns([_PIECE]), tuple(sizes))


def _annotations(split: str, stream: datasets.IterableDataset, pieces: int) -> Iterator[dict[str, Any]]:
    number = 0
    for piece in range(pieces):
        for batch in _pieces(stream, pieces, piece).iter(batch_size=1000):
            for values in zip(*batch.values(), strict=True):
                yield {"image_id": f"{split}/{number}", **dict(zip(batch, values, strict=True)), _PIECE: piece}
                number += 1


def _pieces(stream: datasets.IterableDataset, pieces: int, piece: int) -> datasets.IterableDataset:
    return stream.shard(num_shards=pieces, index=piece)
