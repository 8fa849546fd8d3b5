"""From the lists of a published image set to rows: where each image is, its classes, and the words of its captions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from .captions import caption_words
from .fingerprint import fingerprint_of_files
from .image_list import ListedImage
from .image_places import require_files


__all__ = ["Captions", "ImageRow", "ImageSplit", "LabelSource", "LabelledImages"]


class LabelSource(Protocol):
    """Files that say which images a split has, and their classes."""

    @property
    def files(self) -> list[Path]:
        """What is read, all of which exist."""

    def read(self) -> list[ListedImage]:
        """The images, each once."""


@dataclass(frozen=True)
class ImageSplit:
    """
    One split.

    Args:
        labels ([`LabelSource`]):
            Its images and their classes.
        folder (`pathlib.Path`):
            Folder of its images.
        published (`str`):
            Archive that these are published in, for errors.
    """

    labels: LabelSource
    folder: Path
    published: str


@dataclass(frozen=True)
class Captions:
    """
    Captions of training images.

    Args:
        path (`pathlib.Path`):
            Their file.
        read (`Callable`):
            Reads it: captions by image id.
    """

    path: Path
    read: Callable[[], dict[str, list[str]]]


@dataclass(frozen=True)
class ImageRow:
    """
    What becomes a row of the data set.

    Args:
        image_id (`str`):
            Name of the image's file, without its ending.
        path (`pathlib.Path`):
            The file.
        labels (`list[int]`):
            Class ids.
        words (`list[str]`):
            Description words; none without captions.
    """

    image_id: str
    path: Path
    labels: list[int]
    words: list[str]


@dataclass(frozen=True)
class LabelledImages:
    """
    The files of an image set.

    Args:
        splits (`dict[str, ImageSplit]`):
            Its splits, `"train"` first.
        captions ([`Captions`], *optional*):
            Captions of the training images, of which there may be others too.
    """

    splits: dict[str, ImageSplit]
    captions: Captions | None = None

    @property
    def fingerprint(self) -> str:
        """Changes when a file that is read is replaced, or the images are in another folder."""
        folders = (str(split.folder) for split in self.splits.values())
        return "\n".join([*folders, fingerprint_of_files(self._files())])

    def read_rows(self) -> dict[str, list[ImageRow]]:
        """
        Read the rows of each split. No image is opened.

        Returns:
            `dict[str, list[ImageRow]]`

        Raises:
            FileNotFoundError: If images are not there.
            ValueError: If a file is not as published.
        """
        captions = {} if self.captions is None else self.captions.read()
        rows: dict[str, list[ImageRow]] = {}
        for name, split in self.splits.items():
            images = split.labels.read()
            require_files(split.folder, [image.name for image in images], f"images of split {name!r}", split.published)
            rows[name] = [_row(image, split.folder, captions) for image in images]
        return rows

    def _files(self) -> Iterable[Path]:
        for split in self.splits.values():
            yield from split.labels.files
        if self.captions is not None:
            yield self.captions.path


def _row(image: ListedImage, folder: Path, captions: dict[str, list[str]]) -> ImageRow:
    words = caption_words(captions.get(image.image_id, []))
    return ImageRow(image.image_id, folder / image.name, image.labels, words)
