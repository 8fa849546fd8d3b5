"""Finding published files in the user's folder, laid out as the archives and repositories that hold them are."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .messages import some_of
from .source_files import MissingFile, Need, SourceFile


__all__ = ["ImagePlaces", "Layout", "require_files"]


class ImagePlaces:
    """
    The folders in which files of a data set may lie.

    Args:
        data_dir (`pathlib.Path`):
            The folder that the user named.
        subfolders (`Sequence[str]`, *optional*):
            Folders in it where else to look.

    Raises:
        FileNotFoundError: If there is no such folder.
    """

    def __init__(self, data_dir: Path, subfolders: Sequence[str] = ()) -> None:
        # Absolute, as what is found goes into the data set, which may be used from elsewhere.
        self._data_dir, self._subfolders = data_dir.absolute(), tuple(subfolders)
        if not data_dir.is_dir():
            raise FileNotFoundError(f"`data_dir` must be a folder that exists, got {self._data_dir}")

    def find(self, file: SourceFile) -> Path | None:
        """
        Look for a file or folder.

        Args:
            file ([`SourceFile`]):
                What it may be called.

        Returns:
            `pathlib.Path` or `None`: Where it is, absolute.
        """
        candidates = (self._data_dir / folder / name for name in file.names for folder in ("", *self._subfolders))
        return next((path for path in candidates if path.exists()), None)

    def require(self, file: SourceFile) -> Path:
        """
        Find a file or folder that must be there.

        Args:
            file ([`SourceFile`]):
                What it may be called.

        Returns:
            `pathlib.Path`: Where it is, absolute.

        Raises:
            FileNotFoundError: If it is not there.
        """
        path = self.find(file)
        if path is None:
            raise self._error([MissingFile(" or ".join(file.names), file.published)])
        return path

    def find_wanted(self, file: SourceFile, wanted: bool | None) -> Path | None:
        """
        Find a file that is not needed.

        Args:
            file ([`SourceFile`]):
                What it may be called.
            wanted (`bool`, *optional*):
                Whether it is asked for; by default if it is there.

        Returns:
            `pathlib.Path` or `None`: Where it is, absolute.

        Raises:
            FileNotFoundError: If it is asked for and not there.
        """
        if wanted is None:
            return self.find(file)
        return self.require(file) if wanted else None

    def missing(self, needs: Iterable[Need]) -> list[MissingFile]:
        """
        List what is not there.

        Args:
            needs (`Iterable[SourceFile or AnyOf]`):
                What to look for.

        Returns:
            `list[MissingFile]`: In that order, what is optional too.
        """
        return [missing for need in needs if (missing := need.missing(self.find))]

    def require_all(self, needs: Iterable[Need]) -> None:
        """
        Check that all is there that is not optional.

        Args:
            needs (`Iterable[SourceFile or AnyOf]`):
                What to look for.

        Raises:
            FileNotFoundError: One that names all that is not there.
        """
        needed = [missing for missing in self.missing(needs) if not missing.optional]
        if needed:
            raise self._error(needed)

    def _error(self, missing: Sequence[MissingFile]) -> FileNotFoundError:
        folders = f" or its folders {some_of(self._subfolders)}" if self._subfolders else ""
        if len(missing) == 1:
            return FileNotFoundError(
                f"there is no {missing[0].names} in {self._data_dir}{folders}. Get {missing[0].published}"
            )
        names = "; ".join(f"{one.names} (get {one.published})" for one in missing)
        return FileNotFoundError(f"{len(missing)} files or folders are not in {self._data_dir}{folders}: {names}")


@dataclass(frozen=True)
class Layout:
    """
    What a data set is made from.

    Args:
        needs (`tuple[SourceFile or AnyOf, ...]`):
            Its files and folders.
        subfolders (`tuple[str, ...]`, *optional*):
            Folders in the user's folder where else to look for each of them.
    """

    needs: tuple[Need, ...]
    subfolders: tuple[str, ...] = ()

    def open(self, data_dir: Path) -> ImagePlaces:
        """
        Check that all is there that is not optional.

        Args:
            data_dir (`pathlib.Path`):
                The folder that the user named.

        Returns:
            [`ImagePlaces`]: Where it is.

        Raises:
            FileNotFoundError: One that names all that is not there.
        """
        places = ImagePlaces(data_dir, self.subfolders)
        places.require_all(self.needs)
        return places

    def missing(self, data_dir: Path | None) -> list[MissingFile]:
        """
        List what is not there.

        Args:
            data_dir (`pathlib.Path`, *optional*):
                The folder that the user named. Without it, or if there is no such folder, all is missing.

        Returns:
            `list[MissingFile]`: What is optional too.
        """
        if data_dir is None or not data_dir.is_dir():
            return [missing for need in self.needs if (missing := need.missing(lambda file: None))]
        return ImagePlaces(data_dir, self.subfolders).missing(self.needs)


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
