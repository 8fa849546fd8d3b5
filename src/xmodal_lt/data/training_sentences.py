"""Sentences on classes from the texts and words of training samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import datasets

from .class_stats import ClassStats
from .messages import did_you_mean
from .sentence_split import clean_text, has_letter, split_sentences
from .table import column_values, item_feature


__all__ = ["training_sentences"]


def training_sentences(
    rows: datasets.Dataset, class_names: Sequence[str], columns: Sequence[str] = ("words",)
) -> list[list[str]]:
    """
    Collect sentences of every class from the columns of a training split. No image is decoded.

    Args:
        rows (`datasets.Dataset`):
            The training split, with `label` (`ClassLabel`) or `labels` (lists of it).
        class_names (`Sequence[str]`):
            Names of the C classes.
        columns (`Sequence[str]`, *optional*, defaults to `("words",)`):
            Columns of text, which is split into sentences, or of lists of words, each of which makes the sentence
            `"word, word, word"`. A row may have none.

    Returns:
        `list[list[str]]`: Sentences of each of the C classes in the order of rows and, in a row, of columns; those of
        a row with several labels belong to each of its classes.

    Raises:
        ValueError: If the classes of the split are other ones, a column is missing, or a sample has no label.
        TypeError: If `rows` is not one split, or a column holds neither text nor lists of words.
    """
    names = list(ClassStats.from_dataset(rows).class_names)
    if names != list(class_names):
        raise ValueError(
            f"the training split has other classes: expected {len(class_names)}, {list(class_names)!r:.100}, got "
            f"{len(names)}, {names!r:.100}. Pass the names of its `ClassLabel`, in their order"
        )
    texts = [_column_sentences(rows, column) for column in columns]
    sentences: list[list[str]] = [[] for _ in class_names]
    for label, *parts in zip(column_values(rows, _label_column(rows)), *texts, strict=True):
        for class_id in label if isinstance(label, list) else [label]:
            for part in parts:
                sentences[class_id].extend(part)
    return sentences


def _label_column(rows: datasets.Dataset) -> str:
    return "label" if "label" in rows.column_names else "labels"


def _column_sentences(rows: datasets.Dataset, column: str) -> Iterator[list[str]]:
    """The sentences of each row."""
    if column not in rows.column_names:
        raise ValueError(
            f"the training split has no column {column!r} of text; its columns are {rows.column_names}."
            f"{did_you_mean(column, rows.column_names)} Name one with text, or leave the source out for prompts alone"
        )
    feature = rows.features[column]
    if getattr(item_feature(feature), "dtype", None) not in ("string", "large_string", "null"):
        raise TypeError(f"column {column!r} must hold text or lists of words, got {feature}")
    return map(_value_sentences, column_values(rows, column))


def _value_sentences(value: Any) -> list[str]:
    if isinstance(value, str):
        return split_sentences(value)
    words = ", ".join(filter(None, (clean_text(word or "") for word in value or ())))
    return [words] if has_letter(words) else []
