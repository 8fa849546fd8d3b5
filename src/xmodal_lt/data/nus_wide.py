"""NUS-WIDE: photographs of Flickr with the tags of their users, long-tailed over 81 concepts, several in an image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from . import nus_wide_files
from .nus_wide_files import HOMEPAGE, NusWideFiles, open_nus_wide
from .worded_image_builder import WordedImageBuilder, WordedImageConfig


__all__ = ["NusWide", "NusWideConfig"]


@dataclass
class NusWideConfig(WordedImageConfig):
    """
    Options of NUS-WIDE.

    Args:
        version (`datasets.Version`, *optional*, defaults to `1.0.0`):
            Version of the data; also part of the cache's path.
        missing_images (`str`, *optional*, defaults to `"error"`):
            Images that are listed and not there, as Flickr no longer shows all of them: `"error"`, or `"skip"` to
            leave them out, with a warning that counts them when the data is built.
        drop_concept_tags (`bool`, *optional*, defaults to `False`):
            Whether tags that are names of concepts are left out of the words, which the papers do not do: most
            concepts are tags too, so that the words of an image nearly tell its labels. A tag is one if it is equal
            to a concept but for case, `_`, `-` and blanks: `"Sky"` is, and `"bird"` is not where the concept is
            `"birds"`. Which images the data set has does not depend on it, so that some have no words then; for such
            images of train [`load_lt`] needs `missing_words="keep"` or `"skip"`.

    Raises:
        ValueError: If an option is not one of those.
    """

    drop_concept_tags: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.drop_concept_tags, bool):
            raise ValueError(f"drop_concept_tags must be True or False, got {self.drop_concept_tags!r}")


class NusWide(WordedImageBuilder):
    """
    Builder of NUS-WIDE, a multi-label set. Its lists and images are the user's own copies.

    Columns: `image` (its path; it is read when it is used), `words` (those of 1,000 tags that its user gave, in the
    order of `TagList1k.txt`; in test too, where prediction does not read them), `labels` (of 81 concepts, in the order
    of `Concepts81.txt`), `image_id` (`"actor/0001_2124494179"`). Splits: `train`, 121,962 images, and `test`, 81,636:
    those images of the official split that have at least one concept and at least one of the 1,000 tags. There is no
    validation split.

    Args:
        data_dir (`str` or `pathlib.Path`):
            Folder in which the published archives are unpacked, with `ImageList/TrainImagelist.txt` and
            `TestImagelist.txt` (lines `actor\\0001_2124494179.jpg`), `ConceptsList/Concepts81.txt`,
            `Groundtruth/TrainTestLabels`, `NUS_WID_Tags` with `TagList1k.txt`, `Train_Tags1k.dat` and
            `Test_Tags1k.dat`, and the images, `Flickr/actor/0001_2124494179.jpg`. All of them may also be in
            `NUS-WIDE`, and the files without the folder that is named before them.
        **kwargs:
            Options of [`NusWideConfig`], and `cache_dir`.

    Raises:
        FileNotFoundError: If a file or image is not there.
        ValueError: If a file is not as published, or an option is not as expected.

    Example:

    ```python
    >>> from xmodal_lt.data import load_lt

    >>> nus_wide = load_lt("nus-wide", data_dir="data/nus-wide")  # doctest: +SKIP
    >>> nus_wide["train"].num_rows, nus_wide["test"].num_rows  # doctest: +SKIP
    (121962, 81636)
    ```
    """

    BUILDER_CONFIG_CLASS = NusWideConfig
    config: NusWideConfig

    LAYOUT = nus_wide_files.LAYOUT
    _LABEL = "labels"
    _CODE = (__file__, nus_wide_files.__file__)
    _HOMEPAGE = HOMEPAGE
    _DESCRIPTION = "Photographs of Flickr with their tags, long-tailed over 81 concepts, several of them in an image."
    _ACCESS = (
        f"NUS-WIDE is read from your copy: get NUS-WIDE.zip and NUS_WID_Tags.zip from {HOMEPAGE}, the image lists of "
        "its first release and the images, which the publisher gives on request, unpack them in one folder, and pass "
        "it as `data_dir`"
    )

    def _open(self, data_dir: Path, config: NusWideConfig) -> NusWideFiles:
        return open_nus_wide(data_dir, config.drop_concept_tags, config.missing_images)
