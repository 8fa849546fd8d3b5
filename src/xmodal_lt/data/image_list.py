"""Lists of images: `path id id ...`, `path caption`, or an image id a line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from .text_file import TextFile


__all__ = [
    "IDS_HOMEPAGE",
    "LISTS_HOMEPAGE",
    "OTHER_LISTS_HOMEPAGE",
    "ImageList",
    "ListedImage",
    "is_image_name",
    "read_captions",
    "read_ids",
]

# The repositories that publish the lists of VOC-LT and COCO-LT: CPRFL, LMPT (the same, and captions), and DB loss.
LISTS_HOMEPAGE = "https://github.com/jiexuanyan/CPRFL"
OTHER_LISTS_HOMEPAGE = "https://github.com/richard-peng-xia/LMPT"
IDS_HOMEPAGE = "https://github.com/wutong16/DistributionBalancedLoss"

# Neither a folder nor a drive can be in it, so that it cannot lead out of the folder of the images.
_IMAGE_NAME = re.compile(r"[\w-]+\.(?:jpe?g|png)", re.IGNORECASE)


@dataclass(frozen=True)
class ListedImage:
    """
    One image and its classes.

    Args:
        name (`str`):
            Name of its file, without folder.
        labels (`list[int]`):
            Its class ids, each once; empty if it has none.
    """

    name: str
    labels: list[int]

    @property
    def image_id(self) -> str:
        """Name of the file without its ending."""
        return PurePosixPath(self.name).stem


class ImageList:
    """
    Images and class ids as lines `path id id ...`.

    Args:
        file ([`TextFile`]):
            The list.
        folder (`str`):
            Folder that every path starts with.
        num_classes (`int`):
            Classes, numbered from 0.
    """

    def __init__(self, file: TextFile, folder: str, num_classes: int) -> None:
        self._file, self._folder, self._num_classes = file, folder, num_classes

    @property
    def files(self) -> list[Path]:
        """What is read."""
        return [self._file.path]

    def read(self) -> list[ListedImage]:
        """
        Read all images, in the order of the file.

        Returns:
            `list[ListedImage]`

        Raises:
            ValueError: If a line is something else, has an unknown class or one twice, or an image is there twice.
        """
        return [
            ListedImage(name, self._class_ids(number, fields))
            for number, name, fields in _images_of(self._file, self._folder)
        ]

    def _class_ids(self, number: int, text: str) -> list[int]:
        fields = text.split()
        ids = [int(field) for field in fields if _is_number(field)]
        if len(ids) < len(fields) or any(class_id >= self._num_classes for class_id in ids):
            raise self._file.unexpected(
                number, f"class ids from 0 to {self._num_classes - 1} after the path, got {text!r:.100}"
            )
        if len(set(ids)) < len(ids):
            raise self._file.unexpected(number, f"each class once, got {text!r:.100}")
        return ids


def read_captions(file: TextFile, folder: str) -> dict[str, list[str]]:
    """
    Read lines `path caption`.

    Args:
        file ([`TextFile`]):
            The list.
        folder (`str`):
            Folder that every path starts with.

    Returns:
        `dict[str, list[str]]`: The one caption of each image, by its id.

    Raises:
        ValueError: If a line is something else, or an image is there twice.
    """
    captions = {}
    for number, name, caption in _images_of(file, folder):
        if not caption:
            raise file.unexpected(number, f"a caption after the path of {name}, got none")
        captions[PurePosixPath(name).stem] = [caption]
    return captions


def read_ids(file: TextFile, pattern: str, example: str) -> list[str]:
    """
    Read an image id a line.

    Args:
        file ([`TextFile`]):
            The list.
        pattern (`str`):
            Regular expression of an id.
        example (`str`):
            One of the ids, for errors.

    Returns:
        `list[str]`: In the order of the file.

    Raises:
        ValueError: If a line is something else, or an id is there twice.
    """
    ids: dict[str, None] = {}
    for number, line in file.lines():
        if not re.fullmatch(pattern, line, re.ASCII):
            raise file.unexpected(number, f"an image id in plain text such as {example!r}, got {line!r:.100}")
        if line in ids:
            raise file.unexpected(number, f"each image once, but {line!r} is there again")
        ids[line] = None
    return list(ids)


def is_image_name(name: str) -> bool:
    """
    Tell whether a text is the name of an image file alone.

    Args:
        name (`str`):
            Text of a published file.

    Returns:
        `bool`: `False` for a path with folders.
    """
    return _IMAGE_NAME.fullmatch(name) is not None


def _images_of(file: TextFile, folder: str) -> Iterator[tuple[int, str, str]]:
    """Number of each line, name of the image, and what follows its path."""
    seen = set()
    for number, line in file.lines():
        path, *rest = line.split(maxsplit=1)
        parent, _, name = path.rpartition("/")
        if parent != folder or not is_image_name(name):
            raise file.unexpected(number, f"the path of an image, {folder}/<name>.jpg, got {path!r:.100}")
        if PurePosixPath(name).stem in seen:
            raise file.unexpected(number, f"each image once, but {path!r} is there again")
        seen.add(PurePosixPath(name).stem)
        yield number, name, "".join(rest)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()
