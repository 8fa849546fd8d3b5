"""References to extracted features, rows of an array in an npy or HDF5 file, and reading what they refer to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import datasets
import numpy as np
from numpy.lib.format import open_memmap


__all__ = [
    "FEATURES",
    "FEATURE_FORMATS",
    "HDF5_FORMATS",
    "count_rows",
    "import_h5py",
    "open_features",
    "parse_reference",
    "read_features",
]

# Type of a column of references. `key` is null for npy files, and a null `stop` means the last row.
FEATURES = {
    "path": datasets.Value("string"),
    "key": datasets.Value("string"),
    "start": datasets.Value("int64"),
    "stop": datasets.Value("int64"),
}
HDF5_FORMATS = (".h5", ".hdf5")
FEATURE_FORMATS = (".npy", *HDF5_FORMATS)


def read_features(reference: Mapping[str, Any]) -> np.ndarray:
    """
    Read the features that a row of a data set refers to.

    The file is opened and closed for each call, so that worker processes share nothing.

    Args:
        reference (`Mapping`):
            What a column of type `FEATURES` yields: `"path"` of an `.npy`, `.h5` or `.hdf5` file that holds arrays of
            shape [T, D]; `"key"`, the name of the data set in an HDF5 file, else `None`; and the rows, from `"start"`
            (at least 0) to before `"stop"` (at most T; `None` for T).

    Returns:
        `np.ndarray`: float32, shape [stop - start, D], finite.

    Raises:
        FileNotFoundError: If the file is not there.
        ImportError: If it is an HDF5 file and h5py is not installed.
        TypeError: If `reference` is something else.
        ValueError: If the file cannot be read, holds something else than numbers in rows and columns, has not those
            rows, or has values in them that are not finite.

    Example:

    ```python
    >>> import numpy as np
    >>> from xmodal_lt.data import read_features

    >>> np.save("video0.npy", np.ones((6, 4)))
    >>> read_features({"path": "video0.npy", "key": None, "start": 2, "stop": None}).shape
    (4, 4)
    ```
    """
    if not isinstance(reference, Mapping) or not reference.get("path"):
        raise TypeError(
            f"expected a reference to features, with 'path', 'key', 'start' and 'stop', got {reference!r:.200}"
        )
    start, stop = reference.get("start") or 0, reference.get("stop")
    with open_features(reference["path"], reference.get("key")) as array:
        rows = len(array)
        stop = rows if stop is None else stop
        if not 0 <= start < stop <= rows:
            raise ValueError(f"it has {rows} rows, but rows {start} to before {stop} are asked for")
        with np.errstate(over="ignore"):  # what is too large for float32 becomes infinite, and is named below
            features = np.array(array[start:stop], dtype=np.float32)
        if not np.isfinite(features).all():
            raise ValueError("it has values that are NaN or infinite in float32")
    return features


def count_rows(path: str | Path, key: str | None = None) -> int:
    """
    Count the rows of an array. Only its header is read.

    Args:
        path (`str` or `pathlib.Path`):
            An `.npy`, `.h5` or `.hdf5` file.
        key (`str`, *optional*):
            Name of the data set in an HDF5 file.

    Returns:
        `int`: T of an array of shape [T, D], at least 1.

    Raises:
        FileNotFoundError: If the file is not there.
        ImportError: If it is an HDF5 file and h5py is not installed.
        ValueError: If the file cannot be read, or holds something else than numbers in rows and columns.
    """
    with open_features(str(path), key) as array:
        return len(array)


def parse_reference(text: str) -> dict[str, Any]:
    """
    Make a reference to a whole array from how a file of rows names it. No file is opened.

    Args:
        text (`str`):
            Path of an `.npy` file, or path of an HDF5 file and name of a data set in it as `"file.h5::name"`.

    Returns:
        `dict[str, Any]`: A reference for [`read_features`].

    Raises:
        ValueError: If it ends in something else, or the name is missing or not called for.
    """
    path, separator, key = text.partition("::")
    suffix = Path(path).suffix.lower()
    if suffix not in FEATURE_FORMATS or bool(key) != (suffix in HDF5_FORMATS) or bool(separator) != bool(key):
        raise ValueError(
            f"expected the path of features as 'file.npy', or as 'file.h5::name' with the name of a data set in an "
            f"HDF5 file ({' or '.join(HDF5_FORMATS)}), got {text!r}"
        )
    return {"path": path, "key": key or None, "start": 0, "stop": None}


def import_h5py() -> ModuleType:
    """
    Import h5py, which only HDF5 files need.

    Returns:
        `ModuleType`

    Raises:
        ImportError: If it is not installed.
    """
    try:
        import h5py
    except ImportError as error:
        raise ImportError('HDF5 files need h5py. Run `pip install "xmodal-lt[video]"`') from error
    return h5py


@contextmanager
def open_features(path: str, key: str | None) -> Iterator[Any]:
    """
    Open features without reading them.

    Args:
        path (`str`):
            An `.npy`, `.h5` or `.hdf5` file.
        key (`str`, *optional*):
            Name of the data set in an HDF5 file.

    Returns:
        `Iterator`: A context that gives an array of numbers [T, D], which is read where it is sliced. Errors inside
        the block are named after the file.

    Raises:
        FileNotFoundError: If the file is not there.
        ImportError: If it is an HDF5 file and h5py is not installed.
        ValueError: If the file cannot be read, or holds something else.
    """
    try:
        with _open_array(path, key) as array:
            _check_array(array)
            yield array
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"There is no file {path} to read features from. Restore it or drop the row."
        ) from error
    # h5py raises all of these on broken files.
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        name = path if key is None else f"{path}::{key}"
        raise ValueError(
            f"Cannot read the features {name}: {error}. Replace the file, or load the data set with "
            '`bad_images="skip"` to leave unreadable ones out.'
        ) from error


@contextmanager
def _open_array(path: str, key: str | None) -> Iterator[Any]:
    suffix = Path(path).suffix.lower()
    if suffix not in FEATURE_FORMATS:
        raise ValueError(f"expected a file ending in {', '.join(FEATURE_FORMATS)}")
    if suffix not in HDF5_FORMATS:
        if key is not None:
            raise ValueError(f"only an HDF5 file has data sets such as {key!r}")
        yield open_memmap(path, mode="r")  # what `np.load` does, but never a pickle, nor advice to allow one
        return
    h5py = import_h5py()
    with h5py.File(path, "r") as file:
        if not key or key not in file:
            raise ValueError(f"it has no data set {key!r}")
        found = file[key]
        if not isinstance(found, h5py.Dataset):
            raise ValueError(f"{key!r} is a group, expected a data set")
        # Whoever wrote the file would choose which other files of this machine are read.
        if found.file.filename != file.filename or found.external is not None or found.is_virtual:
            raise ValueError(f"{key!r} has its values in another file, expected them in this one. Copy them into it")
        yield found


def _check_array(array: Any) -> None:
    if array.dtype.kind not in "iuf":
        raise ValueError(f"expected numbers, got values of type {array.dtype}")
    if array.shape is None or len(array.shape) != 2 or 0 in array.shape:
        raise ValueError(f"expected rows and columns, both at least 1, got shape {array.shape}")
