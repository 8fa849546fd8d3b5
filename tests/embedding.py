"""Splits whose images are inside, and not in files of their own, as tests write them to parquet files."""

from pathlib import Path

import datasets
from datasets.table import embed_table_storage


def embedded(part: datasets.Dataset) -> datasets.Dataset:
    """The split with the bytes of its images."""
    return part.with_format("arrow").map(embed_table_storage, batched=True).with_format(None)


def write_parquet(splits: datasets.DatasetDict, folder: Path, files: int, rows: int) -> Path:
    """Writes each split as so many files, with so many rows in a row group, and returns their folder."""
    for split, part in splits.items():
        for number in range(files):
            shard = embedded(part).shard(files, number, contiguous=True)
            shard.to_parquet(folder / f"{split}-{number:05d}-of-{files:05d}.parquet", batch_size=rows)
    return folder
