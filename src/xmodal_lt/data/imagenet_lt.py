"""ImageNet-LT: photographs of ImageNet with a long tail over 1,000 classes."""

from __future__ import annotations

from pathlib import Path

from .class_image_builder import ClassImageBuilder
from .class_images import ClassImages, PathFormat
from .class_list import LISTS_HOMEPAGE, NameList, find_lists, list_files
from .image_places import Layout
from .image_set_builder import ImageSetConfig
from .source_files import SourceFile
from .text_file import TextFile


__all__ = ["HOMEPAGE", "ImageNetLT"]

HOMEPAGE = "https://image-net.org"

_PATHS = PathFormat(r"(?:train|val)/(n\d{8})", "train/n01440764/n01440764_762.JPEG")
_ARCHIVES = (
    f"ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar from {HOMEPAGE} and unpack them as "
    "train/<wnid>/<image>.JPEG and as val/<wnid>/<image>.JPEG or val/<image>.JPEG"
)
# How repositories that hold the lists lay them out.
_SUBFOLDERS = ("ImageNet_LT", "data/ImageNet_LT")
_NAMES_PUBLISHED = "https://github.com/ChangyaoTian/VL-LTR"
_IMAGES = SourceFile(("train",), _ARCHIVES)
_LISTS = list_files("ImageNet_LT")
_NAMES = SourceFile(("labels.txt",), f"it from {_NAMES_PUBLISHED}", optional=True)


class ImageNetLT(ClassImageBuilder):
    """
    Builder of ImageNet-LT, a single-label set. Its lists and images are the user's own copies.

    Columns: `image` (its path; it is read when it is used), `label` (of 1,000 classes), `image_id`
    (`"train/n01440764/n01440764_762"`). Splits: `train`, 115,846 images; `validation`, 20 images a class, if its list
    is there; and `test`, 50 a class, which are the validation images of ImageNet.

    Args:
        data_dir (`str` or `pathlib.Path`):
            Folder with `train` and `val`, the images of ImageNet (ILSVRC 2012) in a folder for each class, named by
            its wnid; those of `val` may also lie there without folders, as they unpack. Then
            `ImageNet_LT_train.txt`, `ImageNet_LT_val.txt` and `ImageNet_LT_test.txt` (lines `path id`), and
            `labels.txt` (lines `wnid id name`), without which classes are named by their wnid. These may also be in
            `ImageNet_LT` or `data/ImageNet_LT`.
        **kwargs:
            `cache_dir`.

    Raises:
        FileNotFoundError: If a list, or a folder of images, is not there. Images are looked for when they are used.
        ValueError: If a file is not as published.

    Example:

    ```python
    >>> from xmodal_lt.data import load_lt

    >>> imagenet = load_lt("imagenet-lt", data_dir="data/imagenet-lt")  # doctest: +SKIP
    >>> imagenet["train"].num_rows, imagenet["test"].num_rows  # doctest: +SKIP
    (115846, 50000)
    ```
    """

    LAYOUT = Layout((_IMAGES, *_LISTS.values(), _NAMES), _SUBFOLDERS)
    _CODE = (__file__,)
    _HOMEPAGE = HOMEPAGE
    _DESCRIPTION = "Photographs of ImageNet with a long tail over 1,000 classes."
    _ACCESS = (
        "ImageNet-LT is made from the images of ImageNet and from lists that a repository publishes: get "
        f"{_ARCHIVES} in one folder, put ImageNet_LT_train.txt, ImageNet_LT_val.txt and ImageNet_LT_test.txt from "
        f"{LISTS_HOMEPAGE} there, and pass the folder as `data_dir`"
    )

    def _open(self, data_dir: Path, config: ImageSetConfig) -> ClassImages:
        places = self.LAYOUT.open(data_dir)
        root = places.require(_IMAGES).parent
        names = places.find(_NAMES)
        return ClassImages(
            root,
            find_lists(places, _LISTS, _PATHS),
            _ARCHIVES,
            names=None if names is None else _names(names),
            flat="val" if _is_flat(root / "val") else None,
        )


def _names(path: Path) -> NameList:
    pattern = r"(?P<key>n[0-9]{8})\s+(?P<id>[0-9]{1,6})\s+(?P<name>.*\w.*)"
    return NameList(TextFile(path, _NAMES_PUBLISHED), pattern, "n01440764 0 tench")


def _is_flat(folder: Path) -> bool:
    """Whether images lie in the folder as the archive unpacks, not sorted into folders of classes."""
    return not any(path.is_dir() for path in folder.glob("n*")) and any(folder.glob("*.JPEG"))
