"""CIFAR-100 from the Hub, or from a folder with the same files."""

from __future__ import annotations

import datasets
import numpy as np

from .cifar_files import CifarSplit
from .table import column_values


__all__ = ["CifarOnHub"]

_COLUMNS = {"img": datasets.Image, "fine_label": datasets.ClassLabel, "coarse_label": datasets.ClassLabel}


class CifarOnHub:
    """
    A data set with the columns of `uoft-cs/cifar100`.

    Args:
        hub_id (`str`):
            Its id on the Hub, or a local folder.
        cache_dir (`str`, *optional*):
            Where `datasets` keeps it.

    Raises:
        ValueError: If it has other splits or columns.
    """

    def __init__(self, hub_id: str, cache_dir: str | None = None) -> None:
        builder = datasets.load_dataset_builder(hub_id, cache_dir=cache_dir)
        builder.download_and_prepare()
        self._splits = builder.as_dataset()
        for split in ("train", "test"):
            features = self._splits[split].features if split in self._splits else {}
            if not all(isinstance(features.get(name), kind) for name, kind in _COLUMNS.items()):
                wanted = ", ".join(f"{name} ({kind.__name__})" for name, kind in _COLUMNS.items())
                raise ValueError(
                    f"hub_id={hub_id!r} must have a split {split!r} with the columns {wanted}, as "
                    f"'uoft-cs/cifar100' has; it has the splits {list(self._splits)}, this one with {dict(features)}"
                )
        self.fingerprint = f"{hub_id} {builder.hash}"

    @property
    def names(self) -> dict[str, list[str]]:
        """Names of the classes, `"fine"`, and of the superclasses, `"coarse"`, by id."""
        features = self._splits["train"].features
        return {kind: features[f"{kind}_label"].names for kind in ("fine", "coarse")}

    def read_split(self, split: str) -> CifarSplit:
        """
        Read the labels of a split; images are read one by one, and stay encoded.

        Args:
            split (`str`):
                `"train"` or `"test"`.

        Returns:
            [`CifarSplit`]: Named by their row, as the Hub's files have no names of images.
        """
        part = self._splits[split]
        images = part.select_columns("img").cast_column("img", datasets.Image(decode=False))
        fine, coarse = (np.asarray(column_values(part, f"{kind}_label")) for kind in ("fine", "coarse"))
        return CifarSplit(fine, coarse, list(map(str, range(len(part)))), lambda row: images[row]["img"])
