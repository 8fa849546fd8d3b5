"""Images in many folders, of which the user's copy may lack some."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .fingerprint import fingerprint_of_files
from .messages import some_of


__all__ = ["ImageFolders", "MissingImages"]

logger = logging.getLogger(__name__)

MissingImages = Literal["error", "skip"]


@dataclass(frozen=True)
class ImageFolders:
    """
    A folder with the folders of images.

    Args:
        root (`pathlib.Path`):
            The folder.
        missing (`str`):
            What images that are not there mean: `"error"`, or `"skip"` to leave them out with a warning.
        published (`str`):
            What to get from where, for errors.
    """

    root: Path
    missing: MissingImages
    published: str

    @property
    def fingerprint(self) -> str:
        """Changes when the images are in another folder and, where missing ones are left out, when some come or go."""
        if self.missing == "error":
            return str(self.root)
        return f"{self.root}\n{fingerprint_of_files(sorted(self.root.iterdir()))}"

    def present(self, split: str, paths: Sequence[str]) -> list[int]:
        """
        Look for images. Folders are listed, and no image is looked at by itself: there are hundreds of thousands.

        Args:
            split (`str`):
                Whose images they are, for errors.
            paths (`Sequence[str]`):
                Their files, seen from the folder: `"folder/name.jpg"`.

        Returns:
            `list[int]`: Which of the paths are there.

        Raises:
            FileNotFoundError: If one is not there, where that is an error; or none is.
        """
        parted = [path.rpartition("/")[::2] for path in paths]
        names = {folder: self._names(folder) for folder in dict.fromkeys(folder for folder, _ in parted)}
        found = [row for row, (folder, name) in enumerate(parted) if name in names[folder]]
        if len(found) == len(paths):
            return found
        there = set(found)
        absent = [path for row, path in enumerate(paths) if row not in there]
        message = f"{len(absent)} of {len(paths)} images of split {split!r} are not in {self.root}: " + some_of(
            absent, limit=5
        )
        if not found:
            raise FileNotFoundError(f"{message}. Get {self.published}")
        if self.missing == "error":
            raise FileNotFoundError(
                f'{message}. Get {self.published}, or pass `missing_images="skip"` to leave these images out'
            )
        logger.warning("Left out: %s", message)
        return found

    def _names(self, folder: str) -> set[str]:
        place = self.root / folder
        return {file.name for file in place.iterdir()} if place.is_dir() else set()
