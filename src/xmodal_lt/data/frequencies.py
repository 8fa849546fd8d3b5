"""How often each class, word and pair of classes is in a data set. No image is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .class_stats import ClassStats
from .table import arrow_column


__all__ = ["ClassFrequency", "ClassPair", "Frequencies", "WordFrequencies", "count_frequencies"]

_MOST_PAIRS = 1_000  # of thousands of classes there are millions of pairs


@dataclass(frozen=True)
class ClassFrequency:
    """
    A class.

    Args:
        name (`str`):
            Its name.
        group (`str`):
            `"head"`, `"medium"` or `"tail"`.
        counts (`dict[str, int]`):
            Samples that have it, by split.
    """

    name: str
    group: str
    counts: dict[str, int]


@dataclass(frozen=True)
class ClassPair:
    """
    Two classes that training samples have together.

    Args:
        first (`str`):
            Name of the one.
        second (`str`):
            Name of the other.
        count (`int`):
            Samples that have both.
    """

    first: str
    second: str
    count: int


@dataclass(frozen=True)
class WordFrequencies:
    """
    The words of the training samples.

    Args:
        counts (`dict[str, int]`):
            How often each of them is there, the most frequent first.
        per_sample (`float`):
            Mean number of words of a sample.
    """

    counts: dict[str, int]
    per_sample: float


@dataclass(frozen=True)
class Frequencies:
    """
    What is counted.

    Args:
        num_samples (`dict[str, int]`):
            Samples, by split.
        without_label (`dict[str, int]`):
            Those of them without a label; of none where each has exactly one.
        without_words (`dict[str, int]`):
            Those of them without a word; of all splits that have words at all.
        classes (`list[ClassFrequency]`):
            Classes, the most frequent in train first.
        pairs (`list[ClassPair]`):
            Pairs of classes of a multi-label set, the most frequent first, at most 1,000.
        words ([`WordFrequencies`], *optional*):
            Words of train, if it has words.
    """

    num_samples: dict[str, int]
    without_label: dict[str, int]
    without_words: dict[str, int]
    classes: list[ClassFrequency]
    pairs: list[ClassPair]
    words: WordFrequencies | None

    def to_dict(self) -> dict[str, Any]:
        """Plain types, for JSON."""
        return asdict(self)


def count_frequencies(dataset: datasets.DatasetDict, train: ClassStats) -> Frequencies:
    """
    Count classes and words.

    Args:
        dataset (`datasets.DatasetDict`):
            What [`load_lt`] returns.
        train ([`ClassStats`]):
            Its classes, counted in the training split.

    Returns:
        [`Frequencies`]
    """
    worded = {split: part for split, part in dataset.items() if "words" in part.column_names}
    several = {split: part for split, part in dataset.items() if "labels" in part.column_names}
    return Frequencies(
        num_samples={split: len(part) for split, part in dataset.items()},
        without_label={split: _num_empty(arrow_column(part, "labels")) for split, part in several.items()},
        without_words={split: _num_empty(arrow_column(part, "words")) for split, part in worded.items()},
        classes=_classes(dataset, train),
        pairs=_pairs(train),
        words=_words(arrow_column(dataset["train"], "words")) if "train" in worded else None,
    )


def _num_empty(lists: pa.ChunkedArray) -> int:
    return int(pc.sum(pc.equal(pc.fill_null(pc.list_value_length(lists), 0), 0)).as_py() or 0)


def _classes(dataset: Mapping[str, datasets.Dataset], train: ClassStats) -> list[ClassFrequency]:
    counts = {split: _class_counts(part, train.num_classes) for split, part in dataset.items()}
    order = np.argsort(-train.counts, kind="stable").tolist()
    return [
        ClassFrequency(
            train.class_names[place],
            str(train.groups[place]),
            {split: int(of_split[place]) for split, of_split in counts.items()},
        )
        for place in order
    ]


def _class_counts(part: datasets.Dataset, num_classes: int) -> np.ndarray:
    if "labels" in part.column_names:
        ids = pc.list_flatten(arrow_column(part, "labels"))
    else:
        ids = arrow_column(part, "label")
    return np.bincount(ids.to_numpy(), minlength=num_classes)


def _pairs(train: ClassStats) -> list[ClassPair]:
    if train.cooccurrence is None:
        return []
    firsts, seconds = np.nonzero(np.triu(train.cooccurrence, k=1))
    counts = train.cooccurrence[firsts, seconds]
    order = np.argsort(-counts, kind="stable")[:_MOST_PAIRS]
    names = train.class_names
    return [ClassPair(names[firsts[place]], names[seconds[place]], int(counts[place])) for place in order]


def _words(lists: pa.ChunkedArray) -> WordFrequencies:
    words = pc.list_flatten(lists)
    counted = pc.value_counts(words.combine_chunks())
    table = pa.table({"word": counted.field("values"), "count": counted.field("counts")})
    table = table.sort_by([("count", "descending"), ("word", "ascending")])
    counts = dict(zip(table["word"].to_pylist(), table["count"].to_pylist(), strict=True))
    return WordFrequencies(counts, len(words) / len(lists))
