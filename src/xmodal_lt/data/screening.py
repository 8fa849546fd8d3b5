"""Leaving out, or refusing, samples that training could not use."""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Iterator, Mapping
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import datasets
import pyarrow.compute as pc

from .feature_files import read_features
from .images import decode_image
from .messages import some_of
from .table import Conversion, Split, Splits, arrow_column, column_values, convert_columns


__all__ = ["fingerprint_of_images", "screen_inputs", "screen_words"]

logger = logging.getLogger(__name__)

_SHOWN = 5  # ids in a message
_MEND_WORDS = (
    'Add words, or pass `missing_words="skip"` to leave these samples out or `"keep"` to train on their images alone'
)


def screen_inputs(dataset: Splits) -> Splits:
    """
    Read every image, or all features, and leave out the rows where that fails, with a warning that counts them. A
    stream does so row by row, with a warning for each that is left out, and reads what it keeps twice.

    Args:
        dataset (`datasets.DatasetDict` or `datasets.IterableDatasetDict`):
            Splits with `image`, or `features` and perhaps `privileged_features`, and `image_id`. Outside train, rows
            without privileged features are no failure: prediction does not read them.

    Returns:
        `datasets.DatasetDict` or `datasets.IterableDatasetDict`

    Raises:
        ValueError: If no row of a split is left.
    """
    return type(dataset)({split: _screen_split(part, split) for split, part in dataset.items()})


def _screen_split(part: Split, split: str) -> Split:
    without_bad = _without_bad if isinstance(part, datasets.Dataset) else _stream_without_bad
    columns = part.column_names
    if "image" in columns:
        return without_bad(part, "image", "images", decode_image, split)
    part = without_bad(part, "features", "features", read_features, split)
    if "privileged_features" not in columns:
        return part
    read = read_features if split == "train" else _read_if_given
    return without_bad(part, "privileged_features", "privileged features", read, split)


def _read_if_given(reference: Any) -> None:
    if reference is not None:
        read_features(reference)


def _without_bad(
    part: datasets.Dataset, column: str, what: str, read: Callable[[Any], Any], split: str
) -> datasets.Dataset:
    inputs = part.with_format(None).select_columns([column, "image_id"])
    if column == "image":
        inputs = inputs.cast_column("image", datasets.Image(decode=False))
    bad = {}
    for row, sample in enumerate(inputs):
        try:
            read(sample[column])
        except (FileNotFoundError, TypeError, ValueError):
            bad[row] = (sample[column] or {}).get("path") or sample["image_id"]
    if not bad:
        return part
    logger.warning(
        "Left out %d of %d %s of split %r that cannot be read: %s",
        len(bad),
        len(part),
        what,
        split,
        some_of(bad.values(), limit=5),
    )
    return _without(part, bad, split)


def _stream_without_bad(
    part: datasets.IterableDataset, column: str, what: str, read: Callable[[Any], Any], split: str
) -> datasets.IterableDataset:
    return part.filter(partial(_is_readable, f"{what} of split {split!r}", read), input_columns=[column])


def _is_readable(what: str, read: Callable[[Any], Any], value: Any) -> bool:
    try:
        read(value)
    except (FileNotFoundError, TypeError, ValueError) as error:
        logger.warning("Left out one of the %s that cannot be read: %s", what, error)
        return False
    return True


def fingerprint_of_images(streams: Mapping[str, datasets.IterableDataset]) -> str:
    """
    Describe the files of the images of streams, which decide what is left out of them.

    Args:
        streams (`Mapping[str, datasets.IterableDataset]`):
            Splits with `image` as it is stored. Where the first has its bytes inside, so have all, and none is read.

    Returns:
        `str`: Other text if a file is replaced or gone.
    """
    digest = sha256()
    for stream in streams.values():
        for path in _image_paths(stream):
            digest.update(f"{path} {_state(path)}\n".encode())
    return digest.hexdigest()


def _image_paths(stream: datasets.IterableDataset) -> Iterator[str]:
    for batch in stream.select_columns(["image"]).iter(batch_size=_SHOWN):
        for image in batch["image"]:
            if image is not None and image["bytes"] is not None:
                return
            if image is not None and image["path"] is not None:
                yield image["path"]


def _state(path: str) -> tuple[int, int] | None:
    try:
        stat = Path(path).stat()
    except OSError:  # not there, or a URL
        return None
    return stat.st_size, stat.st_mtime_ns


def screen_words(dataset: Splits, missing_words: str) -> Splits:
    """
    Deal with training samples that have no word. Other splits may lack words: prediction does not read them.

    Args:
        dataset (`datasets.DatasetDict` or `datasets.IterableDatasetDict`):
            Splits with `image_id`, the train split with `words` or not.
        missing_words (`str`):
            `"error"`, `"skip"` to leave them out with a warning, which a stream has not, or `"keep"`.

    Returns:
        `datasets.DatasetDict` or `datasets.IterableDatasetDict`

    Raises:
        ValueError: If there are such samples and `missing_words="error"`, or no sample has words; of a stream when it
            is read.
    """
    train = dataset["train"]
    if missing_words == "keep" or "words" not in train.column_names:
        return dataset
    if isinstance(train, datasets.IterableDataset):
        return type(dataset)({**dataset, "train": _stream_with_words(train, missing_words)})
    missing = pc.fill_null(pc.equal(pc.list_value_length(arrow_column(train, "words")), 0), True)
    rows = pc.indices_nonzero(missing).to_pylist()
    if not rows:
        return dataset
    wordless = dict.fromkeys(rows)
    ids = column_values(train.select(rows[: _SHOWN + 1]), "image_id")
    message = f"{len(rows)} of {len(train)} training samples have no words: {some_of(ids, limit=_SHOWN)}"
    if missing_words == "error":
        raise ValueError(f"{message}. {_MEND_WORDS}")
    logger.warning("Left out: %s", message)
    return datasets.DatasetDict({**dataset, "train": _without(train, wordless, "train")})


def _stream_with_words(train: datasets.IterableDataset, missing_words: str) -> datasets.IterableDataset:
    if missing_words == "skip":
        return train.filter(bool, input_columns=["words"])
    wanted = Conversion(_require_words, train.features["words"])
    return convert_columns(train, {"words": wanted})


def _require_words(words: list[str]) -> list[str]:
    if not words:
        raise ValueError(f"a training sample has no words. {_MEND_WORDS}")
    return words


def _without(part: datasets.Dataset, rows: Container[int], split: str) -> datasets.Dataset:
    left = [row for row in range(len(part)) if row not in rows]
    if not left:
        raise ValueError(f"no sample of split {split!r} is left: check that its columns and files are the right ones")
    return part.select(left)
