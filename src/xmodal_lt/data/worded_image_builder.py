"""What builders of image sets share in which the words of every image are published beside its labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

import datasets

from . import bit_table, class_images, image_folders, name_list
from .image_folders import MissingImages
from .image_set_builder import ImageSetBuilder, ImageSetConfig
from .messages import check_choice


__all__ = ["WordedImageBuilder", "WordedImageConfig", "WordedRow"]


@dataclass
class WordedImageConfig(ImageSetConfig):
    """
    Options that every such data set has.

    Args:
        version (`datasets.Version`, *optional*, defaults to `1.0.0`):
            Version of the data; also part of the cache's path.
        missing_images (`str`, *optional*, defaults to `"error"`):
            Images that are listed and not there: `"error"`, or `"skip"` to leave them out, with a warning that counts
            them when the data is built.

    Raises:
        ValueError: If an option is not one of those.
    """

    missing_images: MissingImages = "error"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("missing_images", self.missing_images, get_args(MissingImages))


@dataclass(frozen=True, slots=True)
class WordedRow:
    """
    What becomes a row of the data set.

    Args:
        image_id (`str`):
            The path of the image in its list, without its ending.
        path (`str`):
            The file.
        words (`list[str]`):
            Description words.
        target (`int` or `list[int]`):
            Its class id, or several.
    """

    image_id: str
    path: str
    words: list[str]
    target: int | list[int]


class WordedImageBuilder(ImageSetBuilder):
    """
    Base of builders of image sets with published words.

    Columns: `image`, `words` (in all splits), `label` or `labels`, and `image_id`, the path of the image in its list
    without the ending. The data set holds the paths of the images, which are read when they are used.

    Args:
        data_dir (`str` or `pathlib.Path`):
            Folder with the lists and the images.
        **kwargs:
            Options of the builder's config, and `cache_dir`.

    Raises:
        FileNotFoundError: If a file or image is not there.
        ValueError: If a file is not as published, or an option is not as expected.
    """

    BUILDER_CONFIG_CLASS = WordedImageConfig
    config: WordedImageConfig

    # With the property `class_names`, by class id.
    _files: Any
    _LABEL: ClassVar[Literal["label", "labels"]]
    _KIND_CODE = (
        __file__,
        *(str(module.__file__) for module in (bit_table, class_images, image_folders, name_list)),
    )

    def _columns(self) -> dict[str, Any]:
        label = datasets.ClassLabel(names=self._files.class_names)
        return {
            "words": datasets.List(datasets.Value("string")),
            self._LABEL: datasets.List(label) if self._LABEL == "labels" else label,
        }

    def _values(self, row: WordedRow) -> dict[str, Any]:
        return {"words": row.words, self._LABEL: row.target}
