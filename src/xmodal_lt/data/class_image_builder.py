"""What builders of published single-label image sets share: one label for each image, and classes named by files."""

from __future__ import annotations

from typing import Any

import datasets

from . import class_images, class_list
from .class_images import ClassImages, ClassRow
from .image_set_builder import ImageSetBuilder


__all__ = ["ClassImageBuilder"]


class ClassImageBuilder(ImageSetBuilder):
    """
    Base of builders of single-label image sets that are published as lists.

    Columns: `image`, `label`, and `image_id`, the path of the image in its list without the ending. The data set holds
    the paths of the images, which are read when they are used.

    Args:
        data_dir (`str` or `pathlib.Path`):
            Folder with the lists and the images.
        **kwargs:
            Options of [`ImageSetConfig`], and `cache_dir`.

    Raises:
        FileNotFoundError: If a list, or a folder of images, is not there.
        ValueError: If a file is not as published.
    """

    _files: ClassImages

    _KIND_CODE = (__file__, *(str(module.__file__) for module in (class_images, class_list)))

    def _columns(self) -> dict[str, Any]:
        return {"label": datasets.ClassLabel(names=self._files.class_names)}

    def _values(self, row: ClassRow) -> dict[str, Any]:
        return {"label": row.label}
