"""Reading data sets from a local file or folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
from datasets.exceptions import DatasetGenerationError

from .feature_folder import tables_beside_features


__all__ = ["FILE_FORMATS", "read_local"]

FILE_FORMATS = {".parquet": "parquet", ".csv": "csv", ".json": "json", ".jsonl": "json"}


def read_local(path: Path, **kwargs: Any) -> datasets.DatasetDict:
    """
    Read a local data set.

    Args:
        path (`pathlib.Path`):
            A parquet, csv, json or jsonl file, which becomes the train split; a folder that `save_to_disk` wrote; a
            folder of images (with `metadata.jsonl` or `metadata.csv`, or a folder per class) or of such files, where
            `datasets` finds the splits by name; or a folder of such files beside features of videos, npy or HDF5.
        **kwargs:
            Passed to `datasets.load_dataset`, or to `datasets.load_from_disk` for a saved folder.

    Returns:
        `datasets.DatasetDict`

    Raises:
        FileNotFoundError: If there is nothing at `path`, or the folder has no data.
        ValueError: If the kind of the file is unknown, or its rows cannot be read.
    """
    if not path.exists():
        raise FileNotFoundError(f"there is no file or folder {path}, looked for from {Path.cwd()}")
    if path.is_file() and path.suffix not in FILE_FORMATS:
        raise ValueError(f"cannot read {path}: expected a file ending in {', '.join(FILE_FORMATS)}, or a folder")
    try:
        data = _read(path, **kwargs)
    except DatasetGenerationError as error:
        raise ValueError(
            f"cannot read {path}: {error.__cause__ or error}. Every file of a data set needs the same columns with "
            "values of the same type, also in splits that are only evaluated"
        ) from error
    return datasets.DatasetDict(train=data) if isinstance(data, datasets.Dataset) else data


def _read(path: Path, **kwargs: Any) -> datasets.Dataset | datasets.DatasetDict:
    if path.is_file():
        return datasets.load_dataset(FILE_FORMATS[path.suffix], data_files=str(path), **kwargs)
    if (path / "dataset_dict.json").is_file() or (path / "state.json").is_file():
        return datasets.load_from_disk(str(path), **kwargs)
    tables = None if "data_files" in kwargs else tables_beside_features(path, FILE_FORMATS)
    if tables is not None:
        file_format, data_files = tables
        return datasets.load_dataset(file_format, data_files=data_files, **kwargs)
    return datasets.load_dataset(str(path), **kwargs)
