"""Leaving out, or refusing, samples that training could not use."""

from __future__ import annotations

import logging
from collections.abc import Callable, Container
from typing import Any

import datasets

from .feature_files import read_features
from .images import decode_image
from .messages import some_of
from .table import column_values


__all__ = ["screen_inputs", "screen_words"]

logger = logging.getLogger(__name__)


def screen_inputs(dataset: datasets.DatasetDict) -> datasets.DatasetDict:
    """
    Read every image, or all features, and leave out the rows where that fails, with a warning that counts them.

    Args:
        dataset (`datasets.DatasetDict`):
            Splits with `image`, or `features` and perhaps `privileged_features`, and `image_id`. Outside train, rows
            without privileged features are no failure: prediction does not read them.

    Returns:
        `datasets.DatasetDict`

    Raises:
        ValueError: If no row of a split is left.
    """
    return datasets.DatasetDict({split: _screen_split(part, split) for split, part in dataset.items()})


def _screen_split(part: datasets.Dataset, split: str) -> datasets.Dataset:
    if "image" in part.column_names:
        return _without_bad(part, "image", "images", decode_image, split)
    part = _without_bad(part, "features", "features", read_features, split)
    if "privileged_features" not in part.column_names:
        return part
    read = read_features if split == "train" else _read_if_given
    return _without_bad(part, "privileged_features", "privileged features", read, split)


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


def screen_words(dataset: datasets.DatasetDict, missing_words: str) -> datasets.DatasetDict:
    """
    Deal with training samples that have no word. Other splits may lack words: prediction does not read them.

    Args:
        dataset (`datasets.DatasetDict`):
            Splits with `image_id`, the train split with `words` or not.
        missing_words (`str`):
            `"error"`, `"skip"` to leave them out with a warning, or `"keep"`.

    Returns:
        `datasets.DatasetDict`

    Raises:
        ValueError: If there are such samples and `missing_words="error"`, or no sample has words.
    """
    train = dataset["train"]
    if missing_words == "keep" or "words" not in train.column_names:
        return dataset
    rows = zip(column_values(train, "image_id"), column_values(train, "words"), strict=True)
    wordless = {row: image_id for row, (image_id, words) in enumerate(rows) if not words}
    if not wordless:
        return dataset
    message = f"{len(wordless)} of {len(train)} training samples have no words: {some_of(wordless.values(), limit=5)}"
    if missing_words == "error":
        raise ValueError(
            f'{message}. Add words, or pass `missing_words="skip"` to leave these samples out or `"keep"` to train '
            "on their images alone"
        )
    logger.warning("Left out: %s", message)
    return datasets.DatasetDict({**dataset, "train": _without(train, wordless, "train")})


def _without(part: datasets.Dataset, rows: Container[int], split: str) -> datasets.Dataset:
    left = [row for row in range(len(part)) if row not in rows]
    if not left:
        raise ValueError(f"no sample of split {split!r} is left: check that its columns and files are the right ones")
    return part.select(left)
