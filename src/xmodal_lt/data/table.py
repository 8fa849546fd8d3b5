"""Reading and replacing a column of a `datasets.Dataset` without touching the others, so no image is decoded."""

from __future__ import annotations

from typing import Any

import datasets


__all__ = ["column_values", "item_feature", "replace_column"]


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


def replace_column(dataset: datasets.Dataset, column: str, values: list[Any], feature: Any) -> datasets.Dataset:
    """
    Replace one column.

    Args:
        dataset (`datasets.Dataset`):
            One split.
        column (`str`):
            Name of the column, which stays where it is.
        values (`list`):
            New value of each row.
        feature (`datasets` feature):
            Their type.

    Returns:
        `datasets.Dataset`
    """
    order = dataset.column_names
    new = f"new {column}"  # added before the old one goes, as a table without columns has no rows
    dataset = dataset.add_column(new, values, feature=feature).remove_columns(column)
    return dataset.rename_column(new, column).select_columns(order)
