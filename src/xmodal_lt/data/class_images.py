"""From the lists of a published single-label image set to rows: where each image is, its class, the classes' names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

from .fingerprint import fingerprint_of_files
from .messages import some_of


__all__ = ["ClassImage", "ClassImages", "ClassRow", "ClassSource", "NameSource", "NamedClass", "PathFormat", "Seen"]


@dataclass(frozen=True)
class PathFormat:
    """
    What paths of images look like: `<folders>/<name>.jpg`.

    Args:
        folders (`str`):
            Regular expression of the folders, whose one group is the key of the class.
        example (`str`):
            One of the paths, for errors.
    """

    folders: str
    example: str

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Matches a path as a whole. Neither `..` nor a drive can be in one, so that none leads out of its folder."""
        return re.compile(rf"{self.folders}/[\w-]+\.(?i:jpe?g|png)", re.ASCII)

    def class_key(self, path: str) -> str | None:
        """
        What a path calls the class.

        Args:
            path (`str`):
                Text of a published file.

        Returns:
            `str` or `None`: `None` if this is no such path.
        """
        match = self.pattern.fullmatch(path)
        return match and match[1]


@dataclass(frozen=True, slots=True)
class ClassImage:
    """
    One image and its class.

    Args:
        path (`str`):
            Its file, seen from the folder of all images, with `/` between folders.
        class_id (`int`):
            Its class.
        class_key (`str`):
            What its path calls the class, such as `"n01440764"`.
    """

    path: str
    class_id: int
    class_key: str

    @property
    def image_id(self) -> str:
        """The path without its ending."""
        return self.path.rpartition(".")[0]


class ClassSource(Protocol):
    """A file that says which images a split has, and their classes."""

    @property
    def path(self) -> Path:
        """The file, which exists."""

    def read(self) -> list[ClassImage]:
        """The images, each once."""


@dataclass(frozen=True)
class NamedClass:
    """
    A class and its name.

    Args:
        class_id (`int`):
            The class.
        name (`str`):
            What people call it.
        key (`str`, *optional*):
            What paths call it, where the file says so.
    """

    class_id: int
    name: str
    key: str | None = None


class NameSource(Protocol):
    """A file of class names."""

    @property
    def path(self) -> Path:
        """The file, which exists."""

    def read(self) -> list[NamedClass]:
        """The classes, in any order."""


@dataclass(frozen=True, slots=True)
class ClassRow:
    """
    What becomes a row of the data set.

    Args:
        image_id (`str`):
            The path in the list, without its ending.
        path (`str`):
            The file.
        label (`int`):
            Class id.
    """

    image_id: str
    path: str
    label: int


class Seen:
    """The images of a file so far, against which each further one is checked."""

    def __init__(self) -> None:
        self._images: set[str] = set()
        self._keys: dict[int, str] = {}
        self._ids: dict[str, int] = {}

    def objection(self, image: ClassImage) -> str | None:
        """
        Check one more image.

        Args:
            image ([`ClassImage`]):
                The image.

        Returns:
            `str` or `None`: What was expected and what is there; `None` if nothing is wrong.
        """
        if image.image_id in self._images:
            return f"each image once, but {image.path!r} is there again"
        self._images.add(image.image_id)
        key = self._keys.setdefault(image.class_id, image.class_key)
        class_id = self._ids.setdefault(image.class_key, image.class_id)
        if (class_id, key) == (image.class_id, image.class_key):
            return None
        before = f"class {image.class_id} in {key!r}" if key != image.class_key else f"{key!r} with class {class_id}"
        return f"one class for each folder, {before} as before, got class {image.class_id} in {image.class_key!r}"


@dataclass(frozen=True)
class ClassImages:
    """
    The files of an image set.

    Args:
        root (`pathlib.Path`):
            Folder that the paths of images start from.
        sources (`dict[str, ClassSource]`):
            Its splits, `"train"` first.
        published (`str`):
            What to get from where and how to lay it out, for errors of missing images.
        names ([`NameSource`], *optional*, defaults to what paths call the classes):
            Names of the classes.
        flat (`str`, *optional*):
            A folder whose images lie directly in it, although the paths have a folder of the class between.
    """

    root: Path
    sources: dict[str, ClassSource]
    published: str
    names: NameSource | None = None
    flat: str | None = None

    @property
    def fingerprint(self) -> str:
        """Changes when a file that is read is replaced, or the images are in another folder."""
        files = [source.path for source in self.sources.values()]
        if self.names is not None:
            files.append(self.names.path)
        return "\n".join([str(self.root), str(self.flat), fingerprint_of_files(files)])

    @cached_property
    def class_names(self) -> list[str]:
        """
        Names by class id, for people to read: `_` and `/` become blanks, and a name that several classes have is
        followed by the key of the class.

        Raises:
            ValueError: If a file is not as published, or the names are not those of the classes.
        """
        train = self.sources["train"]
        keys = _keys_by_id(train.read(), train.path)
        names = [_readable(name) for name in (keys if self.names is None else _names_for(keys, self.names))]
        times = Counter(names)
        return [f"{name} ({key})" if times[name] > 1 else name for name, key in zip(names, keys, strict=True)]

    def read_rows(self) -> dict[str, list[ClassRow]]:
        """
        Read the rows of each split. Folders of classes must be there; their files are not looked at, of which there
        are hundreds of thousands.

        Returns:
            `dict[str, list[ClassRow]]`

        Raises:
            FileNotFoundError: If folders are not there.
            ValueError: If a file is not as published, or splits have other classes than train.
        """
        rows: dict[str, list[ClassRow]] = {}
        train: dict[int, str] = {}
        for split, source in self.sources.items():
            images = source.read()
            keys = {image.class_id: image.class_key for image in images}
            train = train or keys
            self._check_classes(split, keys, train)
            paths = [self._place(image.path) for image in images]
            self._require_folders(split, paths)
            rows[split] = [
                ClassRow(image.image_id, f"{self.root}/{path}", image.class_id)
                for image, path in zip(images, paths, strict=True)
            ]
        return rows

    def _place(self, path: str) -> str:
        if self.flat is not None and path.startswith(f"{self.flat}/"):
            return f"{self.flat}/{path.rpartition('/')[2]}"
        return path

    def _check_classes(self, split: str, keys: dict[int, str], train: dict[int, str]) -> None:
        other = [f"{class_id} in {key}" for class_id, key in keys.items() if train.get(class_id) != key]
        if other:
            raise ValueError(
                f"{len(other)} classes of split {split!r} are not as in 'train', which must have an image of each: "
                f"{some_of(other, limit=5)} of {self.sources[split].path}. Check that the lists belong together"
            )

    def _require_folders(self, split: str, paths: list[str]) -> None:
        folders = dict.fromkeys(path.rpartition("/")[0] for path in paths)
        missing = [folder for folder in folders if not (self.root / folder).is_dir()]
        if missing:
            raise FileNotFoundError(
                f"{len(missing)} of {len(folders)} folders of images of split {split!r} are not in {self.root}: "
                f"{some_of(missing, limit=5)}. Get {self.published}"
            )


def _keys_by_id(images: Sequence[ClassImage], path: Path) -> list[str]:
    keys = {image.class_id: image.class_key for image in images}
    absent = [class_id for class_id in range(len(keys)) if class_id not in keys]
    if absent:
        raise ValueError(
            f"{path} has images of {len(keys)} classes up to class {max(keys)}, but none of class {absent[0]}: class "
            "ids must run from 0 without gaps"
        )
    return [keys[class_id] for class_id in range(len(keys))]


def _names_for(keys: Sequence[str], source: NameSource) -> list[str]:
    named = {one.class_id: one for one in source.read()}
    if sorted(named) != list(range(len(keys))):
        differing = [str(class_id) for class_id in sorted(named.keys() ^ set(range(len(keys))))]
        raise ValueError(
            f"{source.path} must name the {len(keys)} classes of train, 0 to {len(keys) - 1}, each once; it names "
            f"{len(named)}, and differs in class {some_of(differing, limit=5)}"
        )
    other = [
        f"class {class_id} is {named[class_id].key!r}, but {key!r} in the paths of train"
        for class_id, key in enumerate(keys)
        if named[class_id].key not in (None, key)
    ]
    if other:
        raise ValueError(f"{source.path} has {len(other)} classes in another order than train: {other[0]}")
    return [named[class_id].name for class_id in range(len(keys))]


def _readable(name: str) -> str:
    return " ".join(re.split(r"[\s_/]+", name)).strip()
