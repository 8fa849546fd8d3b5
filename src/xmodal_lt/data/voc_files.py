"""Finding and reading the files of VOC-LT: the lists that define it, and the annotations of PASCAL VOC."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree

from .image_list import (
    IDS_HOMEPAGE,
    LISTS_HOMEPAGE,
    OTHER_LISTS_HOMEPAGE,
    ImageList,
    ListedImage,
    read_captions,
    read_ids,
)
from .image_places import ImagePlaces, Layout, require_files
from .labelled_images import Captions, ImageSplit, LabelledImages, LabelSource
from .messages import some_of
from .source_files import AnyOf, SourceFile
from .text_file import TextFile


__all__ = ["CLASSES", "HOMEPAGE", "LAYOUT", "Difficult", "open_voc"]

HOMEPAGE = "http://host.robots.ox.ac.uk/pascal/VOC/"
# By class id, which is alphabetical: the name in the annotations, and the one that people read.
CLASSES = {
    "aeroplane": "aeroplane",
    "bicycle": "bicycle",
    "bird": "bird",
    "boat": "boat",
    "bottle": "bottle",
    "bus": "bus",
    "car": "car",
    "cat": "cat",
    "chair": "chair",
    "cow": "cow",
    "diningtable": "dining table",
    "dog": "dog",
    "horse": "horse",
    "motorbike": "motorbike",
    "person": "person",
    "pottedplant": "potted plant",
    "sheep": "sheep",
    "sofa": "sofa",
    "train": "train",
    "tvmonitor": "tv monitor",
}

Difficult = Literal["positive", "leave_out"]

_CLASS_ID = {name: class_id for class_id, name in enumerate(CLASSES)}
_ID, _ID_EXAMPLE = r"(?:\d{4}_)?\d{6}", "2008_000023"
# How the published repositories lay out their files and tell users to lay out the images.
_SUBFOLDERS = ("voc", "data", "data/voc", "appendix")
_LISTS = f"data/voc of {LISTS_HOMEPAGE} or of {OTHER_LISTS_HOMEPAGE}"
_CAPTIONS_PUBLISHED = f"data/voc of {OTHER_LISTS_HOMEPAGE}"
_CAPTIONS = SourceFile(("voc_lt_captions.txt",), f"it from {_CAPTIONS_PUBLISHED}", optional=True)


@dataclass(frozen=True)
class _Source:
    """What a split is made from: its list with labels, or its list of ids; the folder of its images; its archive."""

    list_name: str
    id_names: tuple[str, ...]
    ids_published: str
    folder: str
    archive: str

    @property
    def listed(self) -> SourceFile:
        return SourceFile((self.list_name,), f"{self.list_name} from {_LISTS}")

    @property
    def ids(self) -> SourceFile:
        return SourceFile(self.id_names, f"{Path(self.id_names[-1]).name} from {self.ids_published}")

    @property
    def images(self) -> SourceFile:
        return SourceFile((self.folder,), f"{self.archive} and unpack it in `data_dir`")


_TEST_ARCHIVE = f"VOCtest_06-Nov-2007.tar ({HOMEPAGE}voc2007/)"
_SOURCES = {
    "train": _Source(
        list_name="voc_lt_train.txt",
        id_names=("VOCdevkit/longtail2012/img_id.txt", "longtail2012/img_id.txt", "img_id.txt"),
        ids_published=f"appendix/VOCdevkit/longtail2012 of {IDS_HOMEPAGE}",
        folder="VOCdevkit/VOC2012/JPEGImages",
        archive=f"VOCtrainval_11-May-2012.tar ({HOMEPAGE}voc2012/)",
    ),
    "test": _Source(
        list_name="voc_lt_test.txt",
        id_names=("VOCdevkit/VOC2007/ImageSets/Main/test.txt",),
        ids_published=_TEST_ARCHIVE,
        folder="VOCdevkit/VOC2007/JPEGImages",
        archive=_TEST_ARCHIVE,
    ),
}
LAYOUT = Layout(
    (
        *(source.images for source in _SOURCES.values()),
        *(AnyOf(((source.listed,), (source.ids,))) for source in _SOURCES.values()),
        _CAPTIONS,
    ),
    _SUBFOLDERS,
)


def open_voc(data_dir: Path, difficult: Difficult = "positive", captions: bool | None = None) -> LabelledImages:
    """
    Find the files of VOC-LT.

    Args:
        data_dir (`pathlib.Path`):
            Folder that holds them.
        difficult (`str`, *optional*, defaults to `"positive"`):
            Objects marked as difficult: `"positive"`, or `"leave_out"`, for which the labels must come from the
            annotations.
        captions (`bool`, *optional*):
            Whether to read captions; by default if they are there.

    Returns:
        [`LabelledImages`]

    Raises:
        FileNotFoundError: If files are not there.
        ValueError: If a list is not as published, or cannot tell which objects are difficult and should.
    """
    places = LAYOUT.open(data_dir)
    splits = {}
    for split, source in _SOURCES.items():
        folder = places.require(source.images)
        labels = _find_labels(split, source, places, folder.parent / "Annotations", difficult)
        splits[split] = ImageSplit(labels, folder, source.archive)
    path = places.find_wanted(_CAPTIONS, captions)
    if path is None:
        return LabelledImages(splits)
    read = partial(read_captions, TextFile(path, _CAPTIONS_PUBLISHED), _SOURCES["train"].folder)
    return LabelledImages(splits, Captions(path, read))


def _find_labels(
    split: str, source: _Source, places: ImagePlaces, annotations: Path, difficult: Difficult
) -> LabelSource:
    listed = places.find(source.listed)
    if listed is not None and difficult == "positive":
        return ImageList(TextFile(listed, _LISTS), source.folder, len(CLASSES))
    ids = places.find(source.ids)
    if ids is not None:
        return _Annotations(TextFile(ids, source.ids_published), annotations, difficult, source.archive)
    raise ValueError(
        f"{listed} does not tell which objects of split {split!r} are difficult. With difficult='leave_out' the "
        f"labels come from the annotations of PASCAL VOC: add {source.ids.published}, or keep difficult='positive'"
    )


class _Annotations:
    """Labels from the XML file that each image of a list of ids has."""

    def __init__(self, ids: TextFile, folder: Path, difficult: Difficult, published: str) -> None:
        self._list, self._folder, self._difficult, self._published = ids, folder, difficult, published

    @property
    def files(self) -> list[Path]:
        names = [f"{image_id}.xml" for image_id in self._ids]
        require_files(self._folder, names, f"annotations of {self._list.path.name}", self._published)
        return [self._list.path, *(self._folder / name for name in names)]

    def read(self) -> list[ListedImage]:
        return [
            ListedImage(f"{image_id}.jpg", self._class_ids(self._folder / f"{image_id}.xml")) for image_id in self._ids
        ]

    @cached_property
    def _ids(self) -> list[str]:
        return read_ids(self._list, _ID, _ID_EXAMPLE)

    def _class_ids(self, path: Path) -> list[int]:
        try:
            root = _parse(path.read_bytes())
        except (ElementTree.ParseError, ValueError) as error:
            raise ValueError(f"cannot read {path}: {error}. Get it anew from {self._published}") from error
        # Parts of an object, such as a hand, are below it and have names too.
        objects = [(found.findtext("name", ""), found.findtext("difficult", "0")) for found in root.findall("object")]
        unknown = sorted({name for name, _ in objects if name not in _CLASS_ID})
        if root.tag != "annotation" or unknown:
            raise ValueError(
                f"{path} is not as published: expected an <annotation> with objects of {len(CLASSES)} classes, got a "
                f"<{root.tag}> with {some_of(unknown) or 'these'}. Get it anew from {self._published}"
            )
        kept = {name for name, flag in objects if self._difficult == "positive" or flag.strip() != "1"}
        return sorted(_CLASS_ID[name] for name in kept)


def _parse(content: bytes) -> ElementTree.Element:
    # Some versions of expat let a few lines of entities grow to gigabytes, and no annotation has any. UTF-16, in which
    # they could hide, has zeros.
    if b"<!DOCTYPE" in content or b"\0" in content:
        raise ValueError("it declares a document type, or is not in UTF-8")
    return ElementTree.fromstring(content)
