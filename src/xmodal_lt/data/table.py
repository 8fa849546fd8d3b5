"""Reading and replacing columns of a split, a table or a stream, without touching the others: no image is decoded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import datasets
import pyarrow as pa


__all__ = [
    "Conversion",
    "Split",
    "Splits",
    "arrow_column",
    "column_values",
    "convert_columns",
    "item_feature",
    "undecoded_images",
]

Split: TypeAlias = "datasets.Dataset | datasets.IterableDataset"
Splits: TypeAlias = "datasets.DatasetDict | datasets.IterableDatasetDict"


class Conversion(NamedTuple):
    """
    New values of a column.

    Args:
        convert (`Callable`):
            From a value to the new one; a `ValueError` gets the number of the row, where that is known.
        feature (`datasets` feature):
            Type of the new values.
    """

    convert: Callable[[Any], Any]
    feature: Any


def column_values(dataset: datasets.Dataset, column: str) -> list[Any]:
    """
    Read one column.

    Args:
        dataset (`datasets.Dataset`):
            One split.
        column (`str`):
            Its name.

    Returns:
        `list`: Plain Python values.
    """
    return dataset.with_format(None).select_columns([column])[:][column]


def arrow_column(dataset: datasets.Dataset, column: str) -> pa.ChunkedArray:
    """
    Read one column as it is stored, to look at hundreds of thousands of rows at once.

    Args:
        dataset (`datasets.Dataset`):
            One split.
        column (`str`):
            Its name.

    Returns:
        `pyarrow.ChunkedArray`: Class ids where the column is a `ClassLabel`.
    """
    table = dataset.select_columns([column]).with_format("arrow")[:]
    return table.column(column)


def item_feature(feature: Any) -> Any:
    """
    What a column holds per item.

    Args:
        feature (`datasets` feature):
            Type of a column.

    Returns:
        The type of the items if the column holds lists, else the column's own.
    """
    return getattr(feature, "feature", feature)


def convert_columns(part: Split, conversions: Mapping[str, Conversion]) -> Split:
    """
    Give columns new values, where they stand: now, or of a stream as its rows are read.

    Args:
        part (`datasets.Dataset` or `datasets.IterableDataset`):
            One split; the types of a stream's columns are known, and none of its images is to be decoded.
        conversions (`Mapping[str, Conversion]`):
            By column.

    Returns:
        `datasets.Dataset` or `datasets.IterableDataset`

    Raises:
        ValueError: If a value cannot be converted; by a stream when it is read.
    """
    if not isinstance(part, datasets.Dataset):
        return _convert_stream(part, conversions)
    for column, (convert, feature) in conversions.items():
        values = column_values(undecoded_images(part.select_columns([column])), column)
        new = [_converted(convert, column, value, row) for row, value in enumerate(values)]
        if new != values or part.features[column] != feature:
            part = _replace_column(part, column, new, feature)
    return part


def undecoded_images(part: Split) -> Split:
    """
    Have the images of a split as they are stored.

    Args:
        part (`datasets.Dataset` or `datasets.IterableDataset`):
            One split; the types of a stream's columns are known.

    Returns:
        `datasets.Dataset` or `datasets.IterableDataset`: With `Image(decode=False)` in each column of images.
    """
    for name, feature in part.features.items():
        if isinstance(feature, datasets.Image) and feature.decode:
            part = part.cast_column(name, datasets.Image(decode=False))
    return part


def _convert_stream(part: datasets.IterableDataset, conversions: Mapping[str, Conversion]) -> datasets.IterableDataset:
    if not conversions:
        return part
    features = datasets.Features(
        {
            name: conversions[name].feature if name in conversions else feature
            for name, feature in part.features.items()
        }
    )
    return part.map(partial(_convert_row, conversions), features=features)


def _convert_row(conversions: Mapping[str, Conversion], row: dict[str, Any]) -> dict[str, Any]:
    return {column: _converted(one.convert, column, row[column]) for column, one in conversions.items()}


def _converted(convert: Callable[[Any], Any], column: str, value: Any, row: int | None = None) -> Any:
    try:
        return convert(value)
    except ValueError as error:
        raise ValueError(f"{'a row' if row is None else f'row {row}'} of column {column!r}: {error}") from error


def _replace_column(dataset: datasets.Dataset, column: str, values: list[Any], feature: Any) -> datasets.Dataset:
    order = dataset.column_names
    new = f"new {column}"  # added before the old one goes, as a table without columns has no rows
    dataset = dataset.add_column(new, values, feature=feature).remove_columns(column)
    return dataset.rename_column(new, column).select_columns(order)
