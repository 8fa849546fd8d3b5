"""CIFAR-100-LT: CIFAR-100 cut down to a long tail, with the superclass as the privileged word."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np

from . import cifar_files, cifar_hub, long_tail, pickled_arrays
from .cifar_files import HOMEPAGE, CifarFiles, CifarSplit, missing_cifar_files
from .cifar_hub import CifarOnHub
from .long_tail import Profile, check_profile, long_tailed_rows
from .source_files import MissingFile


__all__ = ["Cifar100LT", "Cifar100LTConfig"]

_DESCRIPTION = (
    "CIFAR-100 with a long-tailed training split. The word of an image is its superclass; the test split is whole and "
    "balanced."
)
_VERSION = datasets.Version("1.0.0")


@dataclass
class Cifar100LTConfig(datasets.BuilderConfig):
    """
    Options of CIFAR-100-LT.

    Args:
        version (`datasets.Version`, *optional*, defaults to `1.0.0`):
            Version of the data; also part of the cache's path.
        imbalance_ratio (`float`, *optional*, defaults to 100):
            Training images of the most frequent class over those of the least frequent, at least 1. Usual values are
            10, 50 and 100.
        profile (`str`, *optional*, defaults to `"exponential"`):
            How the counts fall: `"exponential"`, `"step"` or `"pareto"`, see [`long_tailed_counts`].
        seed (`int`, *optional*, defaults to 0):
            Chooses the training images, from 0.
        hub_id (`str`, *optional*):
            Id of a data set on the Hub, `"uoft-cs/cifar100"`, to read instead of the files in `data_dir`.

    Raises:
        ValueError: If the ratio or profile is not one of those.
    """

    version: datasets.Version | str | None = _VERSION
    imbalance_ratio: float = 100
    profile: Profile = "exponential"
    seed: int = 0
    hub_id: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_profile(self.imbalance_ratio, self.profile)


class Cifar100LT(datasets.GeneratorBasedBuilder):
    """
    Builder of CIFAR-100-LT, a single-label set. Its images are the user's own copy of CIFAR-100.

    Columns: `image` (RGB, 32 by 32), `words` (the superclass), `label` (class), `image_id`
    (`"train/<name of the file>"`, or `"train/<row>"` from the Hub). Splits: `train`, cut down as
    [`make_long_tailed`] does it, so that class 0 has the most images and the last class the fewest; and `test`, whole.
    There is no validation split.

    Args:
        data_dir (`str`, *optional*):
            Folder with `cifar-100-python.tar.gz`, or with the folder `cifar-100-python` that is in it, or that folder
            itself. Get it from https://www.cs.toronto.edu/~kriz/cifar.html.
        hub_id (`str`, *optional*):
            Id of a data set on the Hub, `"uoft-cs/cifar100"`, instead of `data_dir`.
        **kwargs:
            The other options of [`Cifar100LTConfig`], and `cache_dir`.

    Raises:
        FileNotFoundError: If the files are not there.
        ValueError: If they cannot be read or are something else, or an option is out of its range.

    Example:

    ```python
    >>> from xmodal_lt.data import load_lt

    >>> cifar = load_lt("cifar100-lt", data_dir="data", imbalance_ratio=100)  # doctest: +SKIP
    >>> cifar["train"].num_rows  # doctest: +SKIP
    10847
    ```
    """

    BUILDER_CONFIG_CLASS = Cifar100LTConfig
    config: Cifar100LTConfig

    def __init__(self, *args: Any, data_dir: str | None = None, hub_id: str | None = None, **kwargs: Any) -> None:
        self._source = _open_source(data_dir, hub_id, kwargs.get("cache_dir"))
        # Without it `datasets` would reuse what an earlier version of this code or of the files had written.
        kwargs.setdefault("hash", _source_hash(self._source.fingerprint))
        super().__init__(*args, data_dir=data_dir, hub_id=hub_id, **kwargs)

    @classmethod
    def missing_files(cls, data_dir: Path | None, **options: Any) -> list[MissingFile]:
        """What is not there of what the data set is made from."""
        return [] if options.get("hub_id") else missing_cifar_files(data_dir)

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo(
            description=_DESCRIPTION,
            homepage=HOMEPAGE,
            features=datasets.Features(
                {
                    "image": datasets.Image(),
                    "words": datasets.List(datasets.Value("string")),
                    "label": datasets.ClassLabel(names=self._source.names["fine"]),
                    "image_id": datasets.Value("string"),
                }
            ),
        )

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:
        train, test = self._source.read_split("train"), self._source.read_split("test")
        config = self.config
        rows = {
            "train": long_tailed_rows(train.fine_labels, config.imbalance_ratio, config.profile, config.seed),
            "test": np.arange(len(test.fine_labels)),
        }
        return [
            datasets.SplitGenerator(name=name, gen_kwargs={"name": name, "split": split, "rows": rows[name]})
            for name, split in (("train", train), ("test", test))
        ]

    def _generate_examples(
        self, name: str, split: CifarSplit, rows: np.ndarray
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        superclasses = [superclass.replace("_", " ") for superclass in self._source.names["coarse"]]
        for row in rows.tolist():
            example = {
                "image": split.image(row),
                "words": [superclasses[split.coarse_labels[row]]],
                "label": int(split.fine_labels[row]),
                "image_id": f"{name}/{split.file_names[row]}",
            }
            yield row, example


def _open_source(data_dir: str | None, hub_id: str | None, cache_dir: str | None) -> CifarFiles | CifarOnHub:
    if data_dir is not None and hub_id is not None:
        raise ValueError(f"give data_dir or hub_id, not both; got {data_dir!r} and {hub_id!r}")
    if hub_id is not None:
        return CifarOnHub(hub_id, cache_dir)
    if data_dir is None:
        raise FileNotFoundError(
            f"CIFAR-100-LT is made from your copy of CIFAR-100: get cifar-100-python.tar.gz from {HOMEPAGE} and pass "
            'its folder as `data_dir`, or load the data from the Hub with `hub_id="uoft-cs/cifar100"`'
        )
    return CifarFiles(data_dir)


def _source_hash(fingerprint: str) -> str:
    """Changes with the code that makes the data and with the files that it is made from."""
    digest = hashlib.sha256(fingerprint.encode())
    modules = (cifar_files, cifar_hub, long_tail, pickled_arrays)
    for file in (__file__, *(str(module.__file__) for module in modules)):
        digest.update(Path(file).read_bytes())
    return digest.hexdigest()
