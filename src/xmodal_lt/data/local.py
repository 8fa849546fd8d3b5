"""Local files and folders that `datasets` reads, and how it is to read them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import datasets
from datasets.exceptions import DatasetGenerationError

from .feature_folder import tables_beside_features


__all__ = ["FILE_FORMATS", "check_local", "is_saved", "load_arguments", "read_local"]

_TABLE_FORMATS = {".parquet": "parquet", ".csv": "csv", ".json": "json", ".jsonl": "json"}
FILE_FORMATS = {**_TABLE_FORMATS, ".tar": "webdataset"}


def read_local(path: Path, **kwargs: Any) -> Any:
    """
    Read a local data set as tables.

    Args:
        path (`pathlib.Path`):
            What [`load_arguments`] takes, or a folder that `save_to_disk` wrote.
        **kwargs:
            Passed to `datasets.load_dataset`, or to `datasets.load_from_disk` for a saved folder.

    Returns:
        `datasets.DatasetDict`, or what `datasets` gives instead if an option chooses one split.

    Raises:
        FileNotFoundError: If there is nothing at `path`.
        ValueError: If the kind of the file is unknown, or its rows cannot be read.
    """
    check_local(path)
    if is_saved(path):
        data = datasets.load_from_disk(str(path), **kwargs)
        return datasets.DatasetDict(train=data) if isinstance(data, datasets.Dataset) else data
    try:
        return datasets.load_dataset(**load_arguments(path, kwargs))
    except DatasetGenerationError as error:
        raise ValueError(
            f"cannot read {path}: {error.__cause__ or error}. Every file of a data set needs the same columns with "
            "values of the same type, also in splits that are only evaluated"
        ) from error


def check_local(path: Path) -> None:
    """
    Check that there is something to read.

    Args:
        path (`pathlib.Path`):
            A file or folder.

    Raises:
        FileNotFoundError: If there is nothing.
        ValueError: If it is a file of an unknown kind.
    """
    if not path.exists():
        raise FileNotFoundError(f"there is no file or folder {path}, looked for from {Path.cwd()}")
    if path.is_file() and path.suffix not in FILE_FORMATS:
        raise ValueError(f"cannot read {path}: expected a file ending in {', '.join(FILE_FORMATS)}, or a folder")


def is_saved(path: Path) -> bool:
    """
    Tell whether `save_to_disk` wrote a folder.

    Args:
        path (`pathlib.Path`):
            A file or folder.

    Returns:
        `bool`
    """
    return (path / "dataset_dict.json").is_file() or (path / "state.json").is_file()


def load_arguments(path: Path, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """
    What `datasets.load_dataset` needs to read a file or folder.

    Args:
        path (`pathlib.Path`):
            A parquet, csv, json, jsonl or tar file, which becomes the train split; a folder of images (with
            `metadata.jsonl` or `metadata.csv`, or a folder per class) or of such files, where `datasets` finds the
            splits by name; or a folder of such files beside features of videos, npy or HDF5.
        kwargs (`Mapping[str, Any]`):
            Further arguments.

    Returns:
        `dict[str, Any]`

    Raises:
        ValueError: If a folder has files of rows in several formats.
    """
    if path.is_file():
        return {"path": FILE_FORMATS[path.suffix], "data_files": str(path), **kwargs}
    tables = None if "data_files" in kwargs else tables_beside_features(path, _TABLE_FORMATS)
    if tables is not None:
        file_format, data_files = tables
        return {"path": file_format, "data_files": data_files, **kwargs}
    return {"path": str(path), **kwargs}
