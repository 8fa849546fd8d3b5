"""VireoFood-172: photographs of Chinese dishes with their ingredients, of 172 dishes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from . import vireofood_files
from .vireofood_files import HOMEPAGE, VireoFoodFiles, open_vireofood
from .worded_image_builder import WordedImageBuilder, WordedImageConfig


__all__ = ["VireoFood172", "VireoFood172Config"]


@dataclass
class VireoFood172Config(WordedImageConfig):
    """
    Options of VireoFood-172.

    Args:
        version (`datasets.Version`, *optional*, defaults to `1.0.0`):
            Version of the data; also part of the cache's path.
        missing_images (`str`, *optional*, defaults to `"error"`):
            Images that are listed and not there: `"error"`, or `"skip"` to leave them out, with a warning that counts
            them when the data is built.
        validation (`bool`, *optional*):
            Whether there is a validation split, which the papers leave unused. By default there is if `VAL.txt` is
            there; with `True` it must be there, and with `False` it is ignored.

    Raises:
        ValueError: If an option is not one of those.
    """

    validation: bool | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.validation is not None and not isinstance(self.validation, bool):
            raise ValueError(f"validation must be True, False or None, got {self.validation!r}")


class VireoFood172(WordedImageBuilder):
    """
    Builder of VireoFood-172, a single-label set. Its lists and images are the user's own copies.

    Columns: `image` (its path; it is read when it is used), `words` (its ingredients, of 353, in the order of
    `IngredientList.txt`; in all splits, though prediction does not read them), `label` (of 172 dishes, in the order of
    `FoodList.txt`), `image_id` (`"3/1_2"`). Splits: `train`, 66,071 images; `validation`, 11,016, if its list is
    there; and `test`, 33,154. The papers use train and test alone.

    Args:
        data_dir (`str` or `pathlib.Path`):
            Folder with `ready_chinese_food`, the images in a folder for each dish, as `ready_chinese_food/3/1_2.jpg`;
            and `SplitAndIngreLabel` with `TR.txt`, `VAL.txt` and `TE.txt` (lines `/3/1_2.jpg`), `FoodList.txt`,
            `IngredientList.txt` and `IngreLabel.txt` (a path, then for each ingredient 1, or in its absence -1 or in
            other copies 0). Both may also be in `VireoFood172`.
        **kwargs:
            Options of [`VireoFood172Config`], and `cache_dir`.

    Raises:
        FileNotFoundError: If a file or image is not there.
        ValueError: If a file is not as published, or an option is not as expected.

    Example:

    ```python
    >>> from xmodal_lt.data import load_lt

    >>> food = load_lt("vireofood-172", data_dir="data/vireofood-172", validation=False)  # doctest: +SKIP
    >>> food["train"].num_rows, food["test"].num_rows  # doctest: +SKIP
    (66071, 33154)
    ```
    """

    BUILDER_CONFIG_CLASS = VireoFood172Config
    config: VireoFood172Config

    LAYOUT = vireofood_files.LAYOUT
    _LABEL = "label"
    _CODE = (__file__, vireofood_files.__file__)
    _HOMEPAGE = HOMEPAGE
    _DESCRIPTION = "Photographs of Chinese dishes with their ingredients, of 172 dishes."
    _ACCESS = (
        f"VireoFood-172 is read from your copy: get it by the form at {HOMEPAGE}, unpack ready_chinese_food and "
        "SplitAndIngreLabel in one folder, and pass it as `data_dir`"
    )

    def _open(self, data_dir: Path, config: VireoFood172Config) -> VireoFoodFiles:
        return open_vireofood(data_dir, config.validation, config.missing_images)
