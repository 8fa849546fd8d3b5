"""Finding and reading the files of iNaturalist 2018: its annotations, or lists made from them, and its categories."""

from __future__ import annotations

from pathlib import Path

from .class_images import ClassImage, ClassImages, ClassSource, NamedClass, PathFormat, Seen
from .class_list import ClassList
from .image_places import ImagePlaces, Layout
from .json_file import JsonFile
from .source_files import SourceFile
from .text_file import TextFile


__all__ = ["HOMEPAGE", "LAYOUT", "LISTS_HOMEPAGE", "open_inaturalist"]

HOMEPAGE = "https://github.com/visipedia/inat_comp/tree/master/2018"
LISTS_HOMEPAGE = "https://github.com/facebookresearch/classifier-balancing"

_PATHS = PathFormat(
    r"train_val2018/[\w-]+/(\d{1,6})", "train_val2018/Plantae/7291/9f8ecb39e5f767e39e9b28e34488f179.jpg"
)
_ARCHIVE = f"train_val2018.tar.gz from {HOMEPAGE} and unpack it in `data_dir`"
# How repositories that hold the lists lay them out.
_SUBFOLDERS = ("iNaturalist18", "data/iNaturalist18")
_IMAGES = SourceFile(("train_val2018",), _ARCHIVE)
_SOURCES = {
    split: SourceFile(
        (f"{part}2018.json", f"iNaturalist18_{part}.txt"),
        f"{part}2018.json from {HOMEPAGE}, or iNaturalist18_{part}.txt from {LISTS_HOMEPAGE}",
    )
    for split, part in (("train", "train"), ("test", "val"))  # of the official test split no labels are published
}
_CATEGORIES = SourceFile(("categories.json",), f"it from {HOMEPAGE}", optional=True)
LAYOUT = Layout((_IMAGES, *_SOURCES.values(), _CATEGORIES), _SUBFOLDERS)


def open_inaturalist(data_dir: Path) -> ClassImages:
    """
    Find the files of iNaturalist 2018.

    Args:
        data_dir (`pathlib.Path`):
            Folder that holds them.

    Returns:
        [`ClassImages`]

    Raises:
        FileNotFoundError: If files are not there.
    """
    places = LAYOUT.open(data_dir)
    root = places.require(_IMAGES).parent
    sources = {split: _find_source(places, file) for split, file in _SOURCES.items()}
    path = places.find(_CATEGORIES)
    names = None if path is None else _Categories(JsonFile(path, HOMEPAGE))
    return ClassImages(root, sources, _ARCHIVE, names)


def _find_source(places: ImagePlaces, file: SourceFile) -> ClassSource:
    path = places.require(file)
    if path.suffix == ".json":
        return _Annotations(JsonFile(path, HOMEPAGE))
    return ClassList(TextFile(path, LISTS_HOMEPAGE), _PATHS)


class _Annotations:
    """Images and their categories as the official files have them, `images` and `annotations`."""

    def __init__(self, file: JsonFile) -> None:
        self._file = file

    @property
    def path(self) -> Path:
        return self._file.path

    def read(self) -> list[ClassImage]:
        file, content = self._file, self._file.read()
        categories = self._read_categories(content)
        images, seen = [], Seen()
        for number, entry in enumerate(file.field(content, "images", list, "the file")):
            where = f"image {number}"
            path, image_id = file.field(entry, "file_name", str, where), file.field(entry, "id", int, where)
            key = _PATHS.class_key(path)
            if key is None:
                raise file.unexpected(
                    f"'file_name' of {where} to be the path of an image such as {_PATHS.example!r}, got {path!r:.100}"
                )
            if image_id not in categories:
                raise file.unexpected(f"one annotation of {where}, the id of which is {image_id}, got none")
            image = ClassImage(path, categories.pop(image_id), key)
            objection = seen.objection(image)
            if objection is not None:
                raise file.unexpected(f"{objection} as {where}")
            images.append(image)
        if not images or categories:
            raise file.unexpected(
                f"images, and annotations of these alone, got {len(images)} images and {len(categories)} annotations "
                "of others"
            )
        return images

    def _read_categories(self, content: dict) -> dict[int, int]:
        """Category ids by image id."""
        categories: dict[int, int] = {}
        for number, entry in enumerate(self._file.field(content, "annotations", list, "the file")):
            where = f"annotation {number}"
            image_id = self._file.field(entry, "image_id", int, where)
            if image_id in categories:
                raise self._file.unexpected(f"one annotation of each image, got another of {image_id} as {where}")
            categories[image_id] = self._file.field(entry, "category_id", int, where)
        return categories


class _Categories:
    """Names of the categories, published after the competition, in which they were hidden."""

    def __init__(self, file: JsonFile) -> None:
        self._file = file

    @property
    def path(self) -> Path:
        return self._file.path

    def read(self) -> list[NamedClass]:
        classes: dict[int, NamedClass] = {}
        for number, entry in enumerate(self._file.read(list)):
            where = f"category {number}"
            class_id, name = self._file.field(entry, "id", int, where), self._file.field(entry, "name", str, where)
            if class_id in classes or not name.strip():
                raise self._file.unexpected(f"each category once and with a name, got {entry!r:.100} as {where}")
            classes[class_id] = NamedClass(class_id, name, key=str(class_id))
        return list(classes.values())
