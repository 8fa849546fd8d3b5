"""iNaturalist 2018: photographs of plants and animals, by nature long-tailed over 8,142 species."""

from __future__ import annotations

from pathlib import Path

from . import inaturalist_files
from .class_image_builder import ClassImageBuilder
from .class_images import ClassImages
from .image_set_builder import ImageSetConfig
from .inaturalist_files import HOMEPAGE, open_inaturalist


__all__ = ["INaturalist2018"]


class INaturalist2018(ClassImageBuilder):
    """
    Builder of iNaturalist 2018, a single-label set. Its annotations and images are the user's own copies.

    Columns: `image` (its path; it is read when it is used), `label` (of 8,142 species), `image_id`
    (`"train_val2018/Plantae/7291/9f8ecb39e5f767e39e9b28e34488f179"`). Splits: `train`, 437,513 images, and `test`, the
    official validation split of 3 images a class. There is no validation split.

    Args:
        data_dir (`str` or `pathlib.Path`):
            Folder with `train_val2018`, the images; `train2018.json` and `val2018.json`, else the lists
            `iNaturalist18_train.txt` and `iNaturalist18_val.txt` (lines `path id`); and `categories.json`, which was
            published later than these and without which classes are named by their number. All but the images may
            also be in `iNaturalist18` or `data/iNaturalist18`.
        **kwargs:
            `cache_dir`.

    Raises:
        FileNotFoundError: If a file, or a folder of images, is not there. Images are looked for when they are used.
        ValueError: If a file is not as published.

    Example:

    ```python
    >>> from xmodal_lt.data import load_lt

    >>> inaturalist = load_lt("inaturalist-2018", data_dir="data/inaturalist-2018")  # doctest: +SKIP
    >>> inaturalist["train"].num_rows, inaturalist["test"].num_rows  # doctest: +SKIP
    (437513, 24426)
    ```
    """

    LAYOUT = inaturalist_files.LAYOUT
    _CODE = (__file__, inaturalist_files.__file__)
    _HOMEPAGE = HOMEPAGE
    _DESCRIPTION = "Photographs of plants and animals, by nature long-tailed over 8,142 species."
    _ACCESS = (
        "iNaturalist 2018 is read from your copy: get train_val2018.tar.gz, train2018.json, val2018.json and, for the "
        f"names of species, categories.json from {HOMEPAGE}, unpack them in one folder, and pass it as `data_dir`"
    )

    def _open(self, data_dir: Path, config: ImageSetConfig) -> ClassImages:
        return open_inaturalist(data_dir)
