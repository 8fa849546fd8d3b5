"""What builders of published multi-label image sets share: lists of labels, and the words of captions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import datasets

from . import captions, image_list, labelled_images
from .image_set_builder import ImageSetBuilder, ImageSetConfig
from .labelled_images import ImageRow, LabelledImages


__all__ = ["ImageListBuilder", "ImageListConfig"]


@dataclass
class ImageListConfig(ImageSetConfig):
    """
    Options that every such data set has.

    Args:
        version (`datasets.Version`, *optional*, defaults to `1.0.0`):
            Version of the data; also part of the cache's path.
        captions (`bool`, *optional*):
            Whether training images have the words of their captions. By default they have if the file of captions is
            there; with `True` it must be there, and with `False` it is ignored.

    Raises:
        ValueError: If an option is not one of those.
    """

    captions: bool | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.captions is not None and not isinstance(self.captions, bool):
            raise ValueError(f"captions must be True, False or None, got {self.captions!r}")


class ImageListBuilder(ImageSetBuilder):
    """
    Base of builders of multi-label image sets that are published as lists.

    Columns: `image`, `words` if there are captions (empty outside train), `labels`, and `image_id`, the name of the
    image's file without its ending. The data set holds the paths of the images, which are read when they are used.

    Args:
        data_dir (`str` or `pathlib.Path`):
            Folder with the lists and the images.
        **kwargs:
            Options of the builder's config, and `cache_dir`.

    Raises:
        FileNotFoundError: If a file is not there.
        ValueError: If a file is not as published, or an option is not as expected.
    """

    BUILDER_CONFIG_CLASS = ImageListConfig
    config: ImageListConfig
    _files: LabelledImages

    # Names of the classes, by id.
    _CLASS_NAMES: ClassVar[tuple[str, ...]]
    _KIND_CODE = (__file__, *(str(module.__file__) for module in (captions, image_list, labelled_images)))

    def _columns(self) -> dict[str, Any]:
        words = {} if self._files.captions is None else {"words": datasets.List(datasets.Value("string"))}
        return {**words, "labels": datasets.List(datasets.ClassLabel(names=list(self._CLASS_NAMES)))}

    def _values(self, row: ImageRow) -> dict[str, Any]:
        words = {} if self._files.captions is None else {"words": row.words}
        return {**words, "labels": row.labels}
