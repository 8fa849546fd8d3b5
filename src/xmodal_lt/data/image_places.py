"""Finding published files in the user's folder, laid out as the archives and repositories that hold them are."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from .messages import some_of


__all__ = ["ImagePlaces", "require_files"]


class ImagePlaces:
    """
    The folders in which files of a data set may lie.

    Args:
        data_dir (`pathlib.Path`):
            The folder that the user named.
        subfolders (`Sequence[str]`):
            Folders in it where else to look.

    Raises:
        FileNotFoundError: If there is no such folder.
    """

    def __init__(self, data_dir: Path, subfolders: Sequence[str]) -> None:
        # Absolute, as what is found goes into the data set, which may be used from elsewhere.
        self._data_dir, self._subfolders = data_dir.absolute(), tuple(subfolders)
        if not data_dir.is_dir():
            raise FileNotFoundError(f"`data_dir` must be a folder that exists, got {self._data_dir}")

    def find(self, *names: str) -> Path | None:
        """
        Look for a file or folder.

        Args:
            *names (`str`):
                Paths that it may have, seen from one of the folders; the first has priority.

        Returns:
            `pathlib.Path` or `None`: Where it is, absolute.
        """
        candidates = (self._data_dir / folder / name for name in names for folder in ("", *self._subfolders))
        return next((path for path in candidates if path.exists()), None)

    def require(self, *names: str, published: str) -> Path:
        """
        Find a file or folder that must be there.

        Args:
            *names (`str`):
                As for [`find`].
            published (`str`):
                What to get from where, for the error.

        Returns:
            `pathlib.Path`: Where it is, absolute.

        Raises:
            FileNotFoundError: If it is not there.
        """
        path = self.find(*names)
        if path is None:
            raise self.missing(*names, published=published)
        return path

    def find_wanted(self, name: str, wanted: bool | None, published: str) -> Path | None:
        """
        Find a file that is not needed.

        Args:
            name (`str`):
                As for [`find`].
            wanted (`bool`, *optional*):
                Whether it is asked for; by default if it is there.
            published (`str`):
                What to get from where, for the error.

        Returns:
            `pathlib.Path` or `None`: Where it is, absolute.

        Raises:
            FileNotFoundError: If it is asked for and not there.
        """
        if wanted is None:
            return self.find(name)
        return self.require(name, published=published) if wanted else None

    def missing(self, *names: str, published: str) -> FileNotFoundError:
        """
        Word an error.

        Args:
            *names (`str`):
                As for [`find`].
            published (`str`):
                What to get from where.

        Returns:
            `FileNotFoundError`: To raise.
        """
        return FileNotFoundError(
            f"there is no {' or '.join(names)} in {self._data_dir} or its folders {some_of(self._subfolders)}. "
            f"Get {published}"
        )


def require_files(folder: Path, names: Collection[str], what: str, published: str) -> None:
    """
    Check that files are there.

    Args:
        folder (`pathlib.Path`):
            Folder of all of them.
        names (`Collection[str]`):
            Their names.
        what (`str`):
            What an error calls them.
        published (`str`):
            Archive that they are published in, for the error.

    Raises:
        FileNotFoundError: If some are not there.
    """
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(
            f"{len(missing)} of {len(names)} {what} are not in {folder}: {some_of(missing, limit=5)}. "
            f"Get them from {published} and unpack it in `data_dir`"
        )
