"""Class ids, numbered by the training split and the same in every split."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import datasets
import pyarrow.compute as pc

from .messages import some_of
from .table import Conversion, Split, Splits, arrow_column, column_values, convert_columns, item_feature


__all__ = ["encode_labels", "has_class_labels", "streamed_class_names"]


def encode_labels(dataset: Splits, class_names: Sequence[str] | None = None) -> Splits:
    """
    Turn the column `label` or `labels` into class ids.

    The classes are those of the training split: the names of its `ClassLabel`, or else its distinct labels, sorted.

    Args:
        dataset (`datasets.DatasetDict` or `datasets.IterableDatasetDict`):
            Splits, one of them `"train"`, with `ClassLabel`, strings or whole numbers as `label`, or lists of them as
            `labels`.
        class_names (`Sequence[str]`, *optional*):
            The classes, which streams without `ClassLabel` need; see [`streamed_class_names`].

    Returns:
        `datasets.DatasetDict` or `datasets.IterableDatasetDict`: The same with `ClassLabel`, or lists of `ClassLabel`,
        in that column.

    Raises:
        TypeError: If the column holds something else in a split.
        ValueError: If a sample has no label, or another split has a label of which train has no sample; of streams,
            when they are read.
    """
    column = "labels" if "labels" in dataset["train"].column_names else "label"
    several = column == "labels"
    features = {split: part.features[column] for split, part in dataset.items()}
    for split, feature in features.items():
        _check_type(feature, column, split)
    if isinstance(dataset, datasets.DatasetDict):
        used = {split: _used_labels(part, features[split], column, split) for split, part in dataset.items()}
        _raise_for_unknown({split: set(map(str, labels)) for split, labels in used.items()})

    item = item_feature(features["train"])
    if isinstance(item, datasets.ClassLabel):
        names = item.names
    else:
        names = list(class_names) if class_names is not None else _sorted_names(used["train"])
    class_label = datasets.ClassLabel(names=names)
    wanted = datasets.List(class_label) if several else class_label
    parts = {}
    for split, part in dataset.items():
        # A stream that has class ids is checked too, as nobody has looked at them.
        if features[split] != wanted or isinstance(part, datasets.IterableDataset):
            encode = partial(_encode, {name: index for index, name in enumerate(names)}, features[split])
            part = convert_columns(part, {column: Conversion(encode, wanted)})
        parts[split] = part
    return type(dataset)(parts)


def _check_type(feature: Any, column: str, split: str) -> None:
    item = item_feature(feature)
    dtype = getattr(item, "dtype", "")
    if not ("int" in dtype or "string" in dtype) or (item is not feature) != (column == "labels"):
        raise TypeError(
            f"column {column!r} of split {split!r} must hold ClassLabel, strings or whole numbers, or in all splits "
            f"lists of them; got {feature}"
        )


def _used_labels(part: datasets.Dataset, feature: Any, column: str, split: str) -> list[Any]:
    """The distinct labels of a split: names of a `ClassLabel`, else strings or numbers as they are."""
    values = arrow_column(part, column)
    item = item_feature(feature)
    flat = values if item is feature else pc.list_flatten(values)
    is_named = isinstance(item, datasets.ClassLabel)
    distinct = flat.unique().to_pylist()
    if values.null_count or any(_is_missing(label, is_named) for label in distinct):
        row = next(row for row, value in enumerate(column_values(part, column)) if _lacks_label(value, is_named))
        raise ValueError(f"row {row} of split {split!r} has no label in column {column!r}. Drop such rows first")
    return item.int2str(distinct) if is_named else distinct


def _lacks_label(value: Any, is_named: bool) -> bool:
    labels = value if isinstance(value, list) else [value]
    return any(_is_missing(label, is_named) for label in labels)


def _is_missing(label: Any, is_named: bool) -> bool:
    return label is None or (label < 0 if is_named else isinstance(label, str) and not label.strip())


def has_class_labels(train: Split) -> bool:
    """
    Tell whether the labels of a split are class ids already.

    Args:
        train (`datasets.Dataset` or `datasets.IterableDataset`):
            With `label` or `labels`.

    Returns:
        `bool`
    """
    column = "labels" if "labels" in train.column_names else "label"
    return isinstance(item_feature(train.features[column]), datasets.ClassLabel)


def streamed_class_names(train: datasets.IterableDataset) -> list[str]:
    """
    Read the labels of a training split for the names of its classes.

    Args:
        train (`datasets.IterableDataset`):
            With `label` or `labels`, strings or whole numbers.

    Returns:
        `list[str]`: Sorted, numbers as numbers.
    """
    column = "labels" if "labels" in train.column_names else "label"
    found: set[Any] = set()
    for batch in train.select_columns([column]).iter(batch_size=1000):
        for value in batch[column]:
            found.update(value if isinstance(value, list) else [value])
    return _sorted_names(found - {None})


def _sorted_names(labels: Iterable[Any]) -> list[str]:
    return [str(label) for label in sorted(labels)]


def _encode(class_id: Mapping[str, int], feature: Any, value: Any) -> Any:
    """Class ids of a row: one of them, or a list where the row is one."""
    item = item_feature(feature)
    is_named = isinstance(item, datasets.ClassLabel)
    if _lacks_label(value, is_named):
        raise ValueError("it has no label. Drop such rows first")
    labels: Sequence[Any] = value if isinstance(value, list) else [value]
    names = item.int2str(list(labels)) if is_named else list(map(str, labels))
    unknown = [name for name in names if name not in class_id]
    if unknown:
        raise ValueError(f"the label {unknown[0]!r} is not one of the {len(class_id)} classes of split 'train'")
    ids = [class_id[name] for name in names]
    return ids if isinstance(value, list) else ids[0]


def _raise_for_unknown(used: dict[str, set[str]]) -> None:
    for split, labels in used.items():
        unknown = sorted(labels - used["train"])
        if unknown:
            raise ValueError(
                f"split {split!r} has {len(unknown)} labels of which 'train' has no sample: {some_of(unknown)}. Drop "
                "their samples from that split, or move some to 'train'"
            )
