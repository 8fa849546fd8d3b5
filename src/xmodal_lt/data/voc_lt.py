"""VOC-LT: photographs of PASCAL VOC with a long tail over 20 classes of objects, several of them in an image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from . import voc_files
from .image_list import LISTS_HOMEPAGE
from .image_list_builder import ImageListBuilder, ImageListConfig
from .labelled_images import LabelledImages
from .messages import check_choice
from .voc_files import CLASSES, HOMEPAGE, Difficult, open_voc


__all__ = ["VocLT", "VocLTConfig"]


@dataclass
class VocLTConfig(ImageListConfig):
    """
    Options of VOC-LT.

    Args:
        version (`datasets.Version`, *optional*, defaults to `1.0.0`):
            Version of the data; also part of the cache's path.
        captions (`bool`, *optional*):
            Whether training images have the words of their captions. By default they have if the file of captions is
            there; with `True` it must be there, and with `False` it is ignored.
        difficult (`str`, *optional*, defaults to `"positive"`):
            Objects that PASCAL VOC marks as difficult: `"positive"` counts them as any other, as the published lists
            do; `"leave_out"` ignores them, for which the labels must come from the annotations.

    Raises:
        ValueError: If an option is not one of those.
    """

    difficult: Difficult = "positive"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("difficult", self.difficult, get_args(Difficult))


class VocLT(ImageListBuilder):
    """
    Builder of VOC-LT, a multi-label set. Its lists and images are the user's own copies.

    Columns: `image` (its path; it is read when it is used), `words` if there is a file of captions (those of the
    caption, which a model wrote; empty in test), `labels` (of 20 classes; empty only where all objects are difficult
    and left out), `image_id` (`"2008_000023"`). Splits: `train`, 1,142 images of VOC2012, and `test`, that of VOC2007.

    Args:
        data_dir (`str` or `pathlib.Path`):
            Folder with `VOCdevkit/VOC2012` and `VOCdevkit/VOC2007`, and the lists. For train this is
            `voc_lt_train.txt` (lines `path id id ...`), else `img_id.txt` (an image id a line), whose labels come from
            the annotations of VOC2012; for test `voc_lt_test.txt`, else `ImageSets/Main/test.txt` of VOC2007. They,
            and `voc_lt_captions.txt` (lines `path caption`), may also be in the folders of the repositories that
            publish them, such as `data/voc` or `VOCdevkit/longtail2012`.
        **kwargs:
            Options of [`VocLTConfig`], and `cache_dir`.

    Raises:
        FileNotFoundError: If a file or image is not there.
        ValueError: If a file is not as published, or an option is not as expected.

    Example:

    ```python
    >>> from xmodal_lt.data import load_lt

    >>> voc = load_lt("voc-lt", data_dir="data/voc-lt")  # doctest: +SKIP
    >>> voc["train"].num_rows, voc["test"].num_rows  # doctest: +SKIP
    (1142, 4952)
    ```
    """

    BUILDER_CONFIG_CLASS = VocLTConfig
    config: VocLTConfig

    _CLASS_NAMES = tuple(CLASSES.values())
    LAYOUT = voc_files.LAYOUT
    _CODE = (__file__, voc_files.__file__)
    _HOMEPAGE = HOMEPAGE
    _DESCRIPTION = "Photographs of PASCAL VOC with a long tail over 20 classes, several of them in an image."
    _ACCESS = (
        "VOC-LT is made from the images of PASCAL VOC 2012 and 2007 and from lists that repositories of papers "
        "publish: get VOCtrainval_11-May-2012.tar and VOCtest_06-Nov-2007.tar from "
        f"{HOMEPAGE}, unpack them in one folder, put voc_lt_train.txt and voc_lt_test.txt from {LISTS_HOMEPAGE} "
        "there, and pass the folder as `data_dir`"
    )

    def _open(self, data_dir: Path, config: VocLTConfig) -> LabelledImages:
        return open_voc(data_dir, config.difficult, config.captions)
