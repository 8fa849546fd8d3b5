"""Class ids, numbered by the training split and the same in every split."""

from __future__ import annotations

from typing import Any

import datasets

from .messages import some_of
from .table import column_values, item_feature, replace_column


__all__ = ["encode_labels"]


def encode_labels(dataset: datasets.DatasetDict) -> datasets.DatasetDict:
    """
    Turn the column `label` or `labels` into class ids.

    The classes are those of the training split: the names of its `ClassLabel`, or else its distinct labels, sorted.

    Args:
        dataset (`datasets.DatasetDict`):
            Splits, one of them `"train"`, with `ClassLabel`, strings or whole numbers as `label`, or lists of them as
            `labels`.

    Returns:
        `datasets.DatasetDict`: The same with `ClassLabel`, or lists of `ClassLabel`, in that column.

    Raises:
        TypeError: If the column holds something else in a split.
        ValueError: If a sample has no label, or another split has a label of which train has no sample.
    """
    several = "labels" in dataset["train"].column_names
    column = "labels" if several else "label"
    item = item_feature(dataset["train"].features[column])
    rows = {split: _read_labels(part, column, split) for split, part in dataset.items()}
    _raise_for_unknown({split: {str(label) for labels in rows[split] for label in labels} for split in rows})

    if isinstance(item, datasets.ClassLabel):
        names = item.names
    else:
        names = [str(label) for label in sorted({label for labels in rows["train"] for label in labels})]
    class_label = datasets.ClassLabel(names=names)
    class_id = {name: index for index, name in enumerate(names)}
    parts = {}
    for split, part in dataset.items():
        wanted = datasets.List(class_label) if several else class_label
        if part.features[column] != wanted:
            ids = [[class_id[str(label)] for label in labels] for labels in rows[split]]
            part = replace_column(part, column, ids if several else [row[0] for row in ids], wanted)
        parts[split] = part
    return datasets.DatasetDict(parts)


def _read_labels(part: datasets.Dataset, column: str, split: str) -> list[list[Any]]:
    """The labels of each row: names where the column is a `ClassLabel`, else strings or numbers as they are."""
    feature = part.features[column]
    item = item_feature(feature)
    several = column == "labels"
    dtype = getattr(item, "dtype", "")
    if not ("int" in dtype or "string" in dtype) or (item is not feature) != several:
        raise TypeError(
            f"column {column!r} of split {split!r} must hold ClassLabel, strings or whole numbers, or in all splits "
            f"lists of them; got {feature}"
        )
    values = column_values(part, column)
    rows = values if several else [[value] for value in values]
    is_named = isinstance(item, datasets.ClassLabel)
    for row, labels in enumerate(rows):
        if labels is None or any(label is None or (is_named and label < 0) for label in labels):
            raise ValueError(f"row {row} of split {split!r} has no label in column {column!r}. Drop such rows first")
    return [item.int2str(labels) for labels in rows] if is_named else rows


def _raise_for_unknown(used: dict[str, set[str]]) -> None:
    for split, labels in used.items():
        unknown = sorted(labels - used["train"])
        if unknown:
            raise ValueError(
                f"split {split!r} has {len(unknown)} labels of which 'train' has no sample: {some_of(unknown)}. Drop "
                "their samples from that split, or move some to 'train'"
            )
