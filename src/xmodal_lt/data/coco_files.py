"""Finding and reading the files of COCO-LT: the lists that define it, and the annotations of COCO 2017."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from .image_list import (
    IDS_HOMEPAGE,
    LISTS_HOMEPAGE,
    OTHER_LISTS_HOMEPAGE,
    ImageList,
    ListedImage,
    is_image_name,
    read_ids,
)
from .image_places import ImagePlaces, Layout
from .json_file import JsonFile
from .labelled_images import Captions, ImageSplit, LabelledImages, LabelSource
from .messages import some_of
from .source_files import AnyOf, SourceFile
from .text_file import TextFile


__all__ = ["CLASSES", "HOMEPAGE", "LAYOUT", "open_coco"]

HOMEPAGE = "https://cocodataset.org"
# By class id, which is the place of the category among the sorted ids of the official file, of which there are gaps.
CLASSES = (
    *("person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light"),
    *("fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow"),
    *("elephant", "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee"),
    *("skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard"),
    *("tennis racket", "bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple"),
    *("sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch"),
    *("potted plant", "bed", "dining table", "toilet", "tv", "laptop", "mouse", "remote", "keyboard", "cell phone"),
    *("microwave", "oven", "toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors", "teddy bear"),
    *("hair drier", "toothbrush"),
)

# How the published repositories lay out their files and tell users to lay out the images.
_SUBFOLDERS = ("coco", "data", "data/coco", "images", "coco/images", "appendix/coco")
_LISTS = f"data/coco of {LISTS_HOMEPAGE} or of {OTHER_LISTS_HOMEPAGE}"
_IDS_PUBLISHED = f"appendix/coco/longtail2017 of {IDS_HOMEPAGE}"
_IDS = SourceFile(("longtail2017/img_id.pkl", "img_id.pkl"), f"img_id.pkl from {_IDS_PUBLISHED}")
_ANNOTATIONS = f"annotations_trainval2017.zip ({HOMEPAGE}/#download)"
_CAPTIONS = SourceFile(("annotations/captions_train2017.json",), f"it from {_ANNOTATIONS}", optional=True)


@dataclass(frozen=True)
class _Source:
    """What a split is made from: its list with labels, or object instances; and the folder of its images."""

    list_name: str
    folder: str

    @property
    def archive(self) -> str:
        return f"{self.folder}.zip ({HOMEPAGE}/#download)"

    @property
    def images(self) -> SourceFile:
        return SourceFile((self.folder,), f"{self.archive} and unpack it in `data_dir`")

    @property
    def listed(self) -> SourceFile:
        return SourceFile((self.list_name,), f"{self.list_name} from {_LISTS}")

    @property
    def instances(self) -> SourceFile:
        name = f"annotations/instances_{self.folder}.json"
        return SourceFile((name,), f"{name} from {_ANNOTATIONS}")


_TRAIN, _TEST = _Source("coco_lt_train.txt", "train2017"), _Source("coco_lt_test.txt", "val2017")
LAYOUT = Layout(
    (
        _TRAIN.images,
        _TEST.images,
        AnyOf(((_TRAIN.listed,), (_IDS, _TRAIN.instances))),
        AnyOf(((_TEST.listed,), (_TEST.instances,))),
        _CAPTIONS,
    ),
    _SUBFOLDERS,
)


def open_coco(data_dir: Path, captions: bool | None = None) -> LabelledImages:
    """
    Find the files of COCO-LT.

    Args:
        data_dir (`pathlib.Path`):
            Folder that holds them.
        captions (`bool`, *optional*):
            Whether to read captions; by default if they are there.

    Returns:
        [`LabelledImages`]

    Raises:
        FileNotFoundError: If files are not there.
    """
    places = LAYOUT.open(data_dir)
    splits = {
        "train": _open_split(places, _TRAIN, _IDS),
        "test": _open_split(places, _TEST),
    }
    path = places.find_wanted(_CAPTIONS, captions)
    return LabelledImages(splits, None if path is None else Captions(path, partial(_read_captions, path)))


def _open_split(places: ImagePlaces, source: _Source, ids: SourceFile | None = None) -> ImageSplit:
    listed = places.find(source.listed)
    labels: LabelSource
    if listed is not None:
        labels = ImageList(TextFile(listed, _LISTS), source.folder, len(CLASSES))
    else:
        chosen = None if ids is None else TextFile(places.require(ids), _IDS_PUBLISHED)
        labels = _Instances(JsonFile(places.require(source.instances), _ANNOTATIONS), chosen)
    return ImageSplit(labels, places.require(source.images), source.archive)


class _Instances:
    """Labels from a file of object instances: of all its images, or of those in a list of ids."""

    def __init__(self, file: JsonFile, ids: TextFile | None) -> None:
        self._file, self._ids = file, ids

    @property
    def files(self) -> list[Path]:
        return [self._file.path] if self._ids is None else [self._file.path, self._ids.path]

    def read(self) -> list[ListedImage]:
        content = self._file.read()
        class_ids, names = self._read_categories(content), _read_image_names(self._file, content)
        # Crowds are instances too: an image with nothing but a crowd of people has the class person.
        labels: dict[int, set[int]] = {image_id: set() for image_id in self._choose(names)}
        for number, entry in enumerate(self._file.field(content, "annotations", list, "the file")):
            where = f"annotation {number}"
            image_id = self._file.field(entry, "image_id", int, where)
            category = self._file.field(entry, "category_id", int, where)
            if image_id not in names or category not in class_ids:
                raise self._file.unexpected(
                    f"image and category of {where} to be in the file, got {image_id} and {category}"
                )
            if image_id in labels:
                labels[image_id].add(class_ids[category])
        return [ListedImage(names[image_id], sorted(ids)) for image_id, ids in labels.items()]

    def _read_categories(self, content: dict[str, Any]) -> dict[int, int]:
        """Class ids by category id."""
        names = {}
        for number, entry in enumerate(self._file.field(content, "categories", list, "the file")):
            where = f"category {number}"
            category = self._file.field(entry, "id", int, where)
            names[category] = self._file.field(entry, "name", str, where)
        found = [names[category] for category in sorted(names)]
        if found != list(CLASSES):
            other = [name for name in found if name not in CLASSES]
            raise self._file.unexpected(
                f"the {len(CLASSES)} categories of COCO in their order, got {len(found)}"
                + (f", with {some_of(other, limit=5)}" if other else "")
            )
        return {category: class_id for class_id, category in enumerate(sorted(names))}

    def _choose(self, names: dict[int, str]) -> list[int]:
        if self._ids is None:
            return list(names)
        ids = [int(image_id) for image_id in read_ids(self._ids, r"[1-9]\d*", "554625")]
        unknown = [str(image_id) for image_id in ids if image_id not in names]
        if unknown:
            raise ValueError(
                f"{len(unknown)} of {len(ids)} images of {self._ids.path} are not in {self._file.path}: "
                f"{some_of(unknown, limit=5)}. The list is for train2017"
            )
        return ids


def _read_image_names(file: JsonFile, content: dict[str, Any]) -> dict[int, str]:
    """Names of the image files by the ids in a file of annotations."""
    names: dict[int, str] = {}
    for number, entry in enumerate(file.field(content, "images", list, "the file")):
        where = f"image {number}"
        image_id, name = file.field(entry, "id", int, where), file.field(entry, "file_name", str, where)
        if not is_image_name(name):
            raise file.unexpected(f"'file_name' of {where} to be the name of an image without folder, got {name!r}")
        if image_id in names:
            raise file.unexpected(f"each image once, but {image_id} is there again as {where}")
        names[image_id] = name
    return names


def _read_captions(path: Path) -> dict[str, list[str]]:
    file = JsonFile(path, _ANNOTATIONS)
    content = file.read()
    names, captions = _read_image_names(file, content), defaultdict(list)
    for number, entry in enumerate(file.field(content, "annotations", list, "the file")):
        where = f"annotation {number}"
        image_id = file.field(entry, "image_id", int, where)
        if image_id not in names:
            raise file.unexpected(f"image of {where} to be in the file, got {image_id}")
        captions[PurePosixPath(names[image_id]).stem].append(file.field(entry, "caption", str, where))
    return captions
