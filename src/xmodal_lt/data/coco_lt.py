"""COCO-LT: photographs of COCO 2017 with a long tail over 80 classes of objects, several of them in an image."""

from __future__ import annotations

from pathlib import Path

from . import coco_files
from .coco_files import CLASSES, HOMEPAGE, open_coco
from .image_list import LISTS_HOMEPAGE
from .image_list_builder import ImageListBuilder, ImageListConfig
from .labelled_images import LabelledImages


__all__ = ["CocoLT"]


class CocoLT(ImageListBuilder):
    """
    Builder of COCO-LT, a multi-label set. Its lists and images are the user's own copies.

    Columns: `image` (its path; it is read when it is used), `words` if there is a file of captions (those of the
    captions, which people wrote, about five for each image; empty in test), `labels` (of 80 classes, by category id;
    crowds count as other objects do; empty for 48 images of test), `image_id` (`"000000554625"`). Splits: `train`,
    1,909 images of train2017, and `test`, val2017.

    Args:
        data_dir (`str` or `pathlib.Path`):
            Folder with `train2017` and `val2017`, and the lists. For train this is `coco_lt_train.txt` (lines
            `path id id ...`), else `img_id.pkl` (plain text, an image id a line; a pickle is refused), whose labels
            come from `annotations/instances_train2017.json`; for test `coco_lt_test.txt`, else
            `annotations/instances_val2017.json`. They, and `annotations/captions_train2017.json`, may also be in the
            folders of the repositories that publish the lists, such as `data/coco` or `longtail2017`.
        **kwargs:
            Options of [`ImageListConfig`], and `cache_dir`.

    Raises:
        FileNotFoundError: If a file or image is not there.
        ValueError: If a file is not as published, or an option is not as expected.

    Example:

    ```python
    >>> from xmodal_lt.data import load_lt

    >>> coco = load_lt("coco-lt", data_dir="data/coco")  # doctest: +SKIP
    >>> coco["train"].num_rows, coco["test"].num_rows  # doctest: +SKIP
    (1909, 5000)
    ```
    """

    _CLASS_NAMES = CLASSES
    LAYOUT = coco_files.LAYOUT
    _CODE = (__file__, coco_files.__file__)
    _HOMEPAGE = HOMEPAGE
    _DESCRIPTION = "Photographs of COCO 2017 with a long tail over 80 classes, several of them in an image."
    _ACCESS = (
        "COCO-LT is made from the images of COCO 2017 and from lists that repositories of papers publish: get "
        f"train2017.zip and val2017.zip from {HOMEPAGE}/#download, unpack them in one folder, put coco_lt_train.txt "
        f"and coco_lt_test.txt from {LISTS_HOMEPAGE} there, and pass the folder as `data_dir`"
    )

    def _open(self, data_dir: Path, config: ImageListConfig) -> LabelledImages:
        return open_coco(data_dir, config.captions)
