"""Splits whose images are inside, and not in files of their own, as tests write them to parquet files."""

import datasets
from datasets.table import embed_table_storage


def embedded(part: datasets.Dataset) -> datasets.Dataset:
    """The split with the bytes of its images."""
    return part.with_format("arrow").map(embed_table_storage, batched=True).with_format(None)
