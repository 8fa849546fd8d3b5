"""Places-LT: photographs of Places with a long tail over 365 classes of scenes."""

from __future__ import annotations

from pathlib import Path

from .class_image_builder import ClassImageBuilder
from .class_images import ClassImages, PathFormat
from .class_list import LISTS_HOMEPAGE, NameList, find_lists, list_files
from .image_places import Layout
from .image_set_builder import ImageSetConfig
from .source_files import SourceFile
from .text_file import TextFile


__all__ = ["HOMEPAGE", "PlacesLT"]

HOMEPAGE = "http://places2.csail.mit.edu"

# A class is one folder, or two: `apartment_building/outdoor`.
_PATHS = PathFormat(r"(?:train|val)/([\w-]+(?:/[\w-]+)?)", "train/airfield/00004851.jpg")
_ARCHIVES = (
    f"the images of Places365-Standard from {HOMEPAGE} and lay them out as train/<class>/<image>.jpg and "
    "val/<class>/<image>.jpg, such as train/airfield/00004851.jpg and not data_256/a/airfield/00004851.jpg"
)
# How repositories that hold the lists lay them out.
_SUBFOLDERS = ("Places_LT", "data/Places_LT", "Places_LT_v2", "data/Places_LT_v2")
_NAMES_PUBLISHED = "https://github.com/ChangyaoTian/VL-LTR"
_IMAGES = SourceFile(("train",), _ARCHIVES)
_LISTS = list_files("Places_LT")
_NAMES = SourceFile(("labels.txt",), f"it from {_NAMES_PUBLISHED}", optional=True)


class PlacesLT(ClassImageBuilder):
    """
    Builder of Places-LT, a single-label set. Its lists and images are the user's own copies.

    Columns: `image` (its path; it is read when it is used), `label` (of 365 classes), `image_id`
    (`"train/airfield/00004851"`). Splits: `train`, 62,500 images; `validation`, 20 images a class, if its list is
    there; and `test`, 100 a class, which are validation images of Places365.

    Args:
        data_dir (`str` or `pathlib.Path`):
            Folder with `train` and `val`, the images of Places365-Standard in a folder for each class, such as
            `train/airfield` and `train/apartment_building/outdoor`. Then `Places_LT_train.txt`, `Places_LT_val.txt`
            and `Places_LT_test.txt` (lines `path id`), and `labels.txt` (lines `name id`), without which classes are
            named by their folders, as `"apartment building outdoor"`. These may also be in `Places_LT` or
            `data/Places_LT`.
        **kwargs:
            `cache_dir`.

    Raises:
        FileNotFoundError: If a list, or a folder of images, is not there. Images are looked for when they are used.
        ValueError: If a file is not as published.

    Example:

    ```python
    >>> from xmodal_lt.data import load_lt

    >>> places = load_lt("places-lt", data_dir="data/places-lt")  # doctest: +SKIP
    >>> places["train"].num_rows, places["test"].num_rows  # doctest: +SKIP
    (62500, 36500)
    ```
    """

    LAYOUT = Layout((_IMAGES, *_LISTS.values(), _NAMES), _SUBFOLDERS)
    _CODE = (__file__,)
    _HOMEPAGE = HOMEPAGE
    _DESCRIPTION = "Photographs of Places with a long tail over 365 classes of scenes."
    _ACCESS = (
        f"Places-LT is made from the images of Places and from lists that a repository publishes: get {_ARCHIVES}, "
        f"in one folder, put Places_LT_train.txt, Places_LT_val.txt and Places_LT_test.txt from {LISTS_HOMEPAGE} "
        "there, and pass the folder as `data_dir`"
    )

    def _open(self, data_dir: Path, config: ImageSetConfig) -> ClassImages:
        places = self.LAYOUT.open(data_dir)
        root = places.require(_IMAGES).parent
        names = places.find(_NAMES)
        return ClassImages(
            root, find_lists(places, _LISTS, _PATHS), _ARCHIVES, names=None if names is None else _names(names)
        )


def _names(path: Path) -> NameList:
    pattern = r"(?P<name>.*\w.*)\s+(?P<id>[0-9]{1,6})"
    return NameList(TextFile(path, _NAMES_PUBLISHED), pattern, "apartment_building/outdoor 8")
