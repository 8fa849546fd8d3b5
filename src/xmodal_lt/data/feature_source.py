"""Features of many videos, found by the video's id."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from functools import cached_property
from pathlib import Path
from typing import Any

from .feature_files import HDF5_FORMATS, count_rows, import_h5py
from .fingerprint import fingerprint_of_files
from .messages import did_you_mean, some_of


__all__ = ["FeatureSource"]


class FeatureSource:
    """
    A folder with a file `<video id>.npy` for each video, or an HDF5 file with a data set for each video id.

    In an HDF5 file an id may also be that of a group which holds exactly one data set of two dimensions, whatever its
    name.

    Args:
        path (`str` or `pathlib.Path`):
            The folder (its subfolders are not searched), or the `.h5` or `.hdf5` file.

    Raises:
        FileNotFoundError: If there is nothing at `path`, or no `.npy` file in the folder.
        ValueError: If it is another kind of file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser().absolute()
        if self.path.is_dir():
            if next(self.path.glob("*.npy"), None) is None:
                raise FileNotFoundError(
                    f"{self.path} has no features: expected a file `<video id>.npy` for each video"
                )
        elif not self.path.exists():
            raise FileNotFoundError(f"there is no folder or file {self.path} with features of videos")
        elif self.path.suffix.lower() not in HDF5_FORMATS:
            raise ValueError(
                f"{self.path} must be a folder with a file `<video id>.npy` for each video, or a file ending in "
                f"{' or '.join(HDF5_FORMATS)}"
            )

    @property
    def ids(self) -> AbstractSet[str]:
        """
        Ids of the videos, in no order.

        Raises:
            ImportError: If it is an HDF5 file and h5py is not installed.
            ValueError: If the HDF5 file cannot be read.
        """
        return self._keys.keys()

    @property
    def fingerprint(self) -> str:
        """Changes when a file is added, replaced or gone, or the source lies elsewhere."""
        return fingerprint_of_files([self.path] if self.path.is_file() else sorted(self.path.glob("*.npy")))

    def reference(self, video_id: str, start: int = 0, stop: int | None = None) -> dict[str, Any]:
        """
        Refer to rows of a video. Its array is not opened.

        Args:
            video_id (`str`):
                One of `ids`.
            start (`int`, *optional*, defaults to 0):
                First row, at least 0.
            stop (`int`, *optional*, defaults to the number of rows):
                The row after the last one.

        Returns:
            `dict[str, Any]`: A reference for [`read_features`].

        Raises:
            ValueError: If there is no such id, or its HDF5 group does not hold exactly one data set of two dimensions.
        """
        path, key = self._locate(video_id)
        return {"path": str(path), "key": key, "start": start, "stop": stop}

    def length(self, video_id: str) -> int:
        """
        Count the rows of a video. Only the header of its array is read.

        Args:
            video_id (`str`):
                One of `ids`.

        Returns:
            `int`: At least 1.

        Raises:
            ValueError: As for [`reference`], or if the array cannot be read or has another shape than [T, D].
        """
        return count_rows(*self._locate(video_id))

    def _locate(self, video_id: str) -> tuple[Path, str | None]:
        """The file of a video, and the name of its data set if it is an HDF5 file."""
        if video_id not in self.ids:
            raise ValueError(f"{self.path} has no features of {video_id!r}.{did_you_mean(video_id, self.ids)}")
        if self.path.is_dir():
            return self.path / f"{video_id}.npy", None
        keys = self._keys[video_id]
        if len(keys) != 1:
            found = some_of(keys) or "none"
            raise ValueError(
                f"group {video_id!r} of {self.path} must hold exactly one data set of two dimensions, found {found}"
            )
        return self.path, keys[0]

    @cached_property
    def _keys(self) -> dict[str, tuple[str, ...]]:
        """By id, the data sets that may be meant; none for an `.npy` file. One pass, as it may be many thousands."""
        if self.path.is_dir():
            return {file.stem: () for file in self.path.glob("*.npy")}
        h5py = import_h5py()
        try:
            with h5py.File(self.path, "r") as file:
                return {name: tuple(_data_sets(item, name, h5py.Dataset)) for name, item in file.items()}
        except (OSError, KeyError, RuntimeError) as error:
            raise ValueError(f"cannot list the videos of {self.path}: {error}. Replace the file") from error


def _data_sets(item: Any, name: str, kind: Any) -> list[str]:
    if isinstance(item, kind):
        return [name]
    return [f"{name}/{key}" for key, child in item.items() if isinstance(child, kind) and len(child.shape or ()) == 2]
