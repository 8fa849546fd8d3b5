"""Lists of images with one class each, `path id` a line, and lists of class names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from .class_images import ClassImage, ClassSource, NamedClass, PathFormat, Seen
from .image_places import ImagePlaces
from .source_files import SourceFile
from .text_file import TextFile


__all__ = ["LISTS_HOMEPAGE", "ClassList", "NameList", "find_lists", "list_files"]

# The repository that publishes the lists of ImageNet-LT and Places-LT.
LISTS_HOMEPAGE = "https://github.com/zhmiao/OpenLongTailRecognition-OLTR"


class ClassList:
    """
    Images and class ids as lines `path id`.

    Args:
        file ([`TextFile`]):
            The list.
        paths ([`PathFormat`]):
            What its paths look like.
    """

    def __init__(self, file: TextFile, paths: PathFormat) -> None:
        self._file, self._paths = file, paths

    @property
    def path(self) -> Path:
        """The list."""
        return self._file.path

    def read(self) -> list[ClassImage]:
        """
        Read all images, in the order of the file.

        Returns:
            `list[ClassImage]`

        Raises:
            ValueError: If a line is something else, an image is there twice, or a class has two folders or a folder
                two classes.
        """
        pattern = re.compile(rf"({self._paths.pattern.pattern})\s+(\d{{1,6}})", re.ASCII)
        images, seen = [], Seen()
        for number, line in self._file.lines():
            match = pattern.fullmatch(line)
            if match is None:
                expected = f"the path of an image and a class id, such as '{self._paths.example} 0'"
                raise self._file.unexpected(number, f"{expected}, got {line!r:.100}")
            path, key, class_id = match.groups()
            image = ClassImage(path, int(class_id), key)
            objection = seen.objection(image)
            if objection is not None:
                raise self._file.unexpected(number, objection)
            images.append(image)
        return images


class NameList:
    """
    Names of classes, one a line.

    Args:
        file ([`TextFile`]):
            The list.
        pattern (`str`):
            Regular expression of a line, with groups `id`, `name` and perhaps `key`.
        example (`str`):
            One of the lines, for errors.
    """

    def __init__(self, file: TextFile, pattern: str, example: str) -> None:
        self._file, self._pattern, self._example = file, re.compile(pattern), example

    @property
    def path(self) -> Path:
        """The list."""
        return self._file.path

    def read(self) -> list[NamedClass]:
        """
        Read all names, in the order of the file.

        Returns:
            `list[NamedClass]`

        Raises:
            ValueError: If a line is something else, or a class is there twice.
        """
        classes: dict[int, NamedClass] = {}
        for number, line in self._file.lines():
            match = self._pattern.fullmatch(line)
            if match is None:
                raise self._file.unexpected(number, f"a line such as {self._example!r}, got {line!r:.100}")
            class_id = int(match["id"])
            if class_id in classes:
                raise self._file.unexpected(number, f"each class once, but class {class_id} is there again")
            classes[class_id] = NamedClass(class_id, match["name"], match.groupdict().get("key"))
        return list(classes.values())


def list_files(prefix: str) -> dict[str, SourceFile]:
    """
    Name the lists of ImageNet-LT or Places-LT.

    Args:
        prefix (`str`):
            What their names start with, as `ImageNet_LT` in `ImageNet_LT_train.txt`.

    Returns:
        `dict[str, SourceFile]`: By split; that of `"validation"` is optional.
    """
    parts = {"train": "train", "validation": "val", "test": "test"}
    return {
        split: SourceFile((f"{prefix}_{part}.txt",), f"it from {LISTS_HOMEPAGE}", optional=split == "validation")
        for split, part in parts.items()
    }


def find_lists(places: ImagePlaces, lists: Mapping[str, SourceFile], paths: PathFormat) -> dict[str, ClassSource]:
    """
    Find the lists of ImageNet-LT or Places-LT.

    Args:
        places ([`ImagePlaces`]):
            Where they may lie.
        lists (`Mapping[str, SourceFile]`):
            Their names, as [`list_files`] gives them.
        paths ([`PathFormat`]):
            What their paths look like.

    Returns:
        `dict[str, ClassSource]`: By split; without `"validation"` if there is no such list.

    Raises:
        FileNotFoundError: If the list of train or test is not there.
    """
    sources: dict[str, ClassSource] = {}
    for split, file in lists.items():
        path = places.find(file) if file.optional else places.require(file)
        if path is not None:
            sources[split] = ClassList(TextFile(path, LISTS_HOMEPAGE), paths)
    return sources
