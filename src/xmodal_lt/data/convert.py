"""Converting any data set to parquet files and, of videos, files of features: to move, to share, to load fast."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import Any

import datasets
from datasets.utils.py_utils import convert_file_size_to_int

import xmodal_lt
from xmodal_lt.atomic_file import atomic_path
from xmodal_lt.metrics.groups import Boundaries

from .class_stats import ClassStats
from .data_card import CardFacts, move_card, write_data_card
from .hub_upload import check_upload, upload_data_set
from .loading import load_lt
from .parquet_shards import MeasuredSplit, Shard, measure_split, plan_shards, write_shard
from .registry import DatasetSpec, dataset_spec, list_datasets


__all__ = ["ConvertedDataset", "convert"]

logger = logging.getLogger(__name__)

_MARKER = ".xmodal_lt_conversion"
_CARD = "README.md"
# Options of `load_lt` that change no row, and those that name a file or folder.
_WITHOUT_EFFECT = ("cache_dir", "num_proc")
_PLACES = ("features", "privileged_features", "file_dir")


@dataclass(frozen=True)
class ConvertedDataset:
    """
    What [`convert`] did.

    Args:
        folder (`pathlib.Path`):
            Where the data set is.
        num_rows (`dict[str, int]`):
            Rows of each split.
        num_shards (`int`):
            Parquet files of the data set.
        num_written (`int`):
            Those of them that were written now; 0 if all had been written before.
        url (`str`, *optional*):
            Where it is on the Hub, if it was sent there.
    """

    folder: Path
    num_rows: dict[str, int]
    num_shards: int
    num_written: int
    url: str | None = None


def convert(
    name_or_path: str | Path,
    output: str | Path,
    *,
    data_dir: str | Path | None = None,
    shard_size: int | str = "500MB",
    num_proc: int | None = None,
    push_to_hub: str | None = None,
    public: bool = False,
    **options: Any,
) -> ConvertedDataset:
    """
    Write a data set as parquet files, with the images' bytes as they are in their files, and a data card.

    The folder holds `data/<split>-00000-of-000NN.parquet` and `README.md`: [`load_lt`] and `datasets.load_dataset`
    read it, and so does the viewer of the Hub. A run that was interrupted goes on after its last whole file if it is
    repeated; so does one that has finished, which then has nothing to do.

    Of videos, the parquet files refer to `features/<split>-00000-of-000NN.npy`, and to such files in the folder
    `privileged_features`: the arrays of a shard one after the other, float16 where all in the split are, else float32.
    Only a folder on this machine can be loaded then, so that one on the Hub is first to be downloaded, by
    `huggingface_hub.snapshot_download`.

    Args:
        name_or_path (`str` or `pathlib.Path`):
            As for [`load_lt`].
        output (`str` or `pathlib.Path`):
            Folder to write: a new or empty one, or that of an earlier run.
        data_dir (`str` or `pathlib.Path`, *optional*):
            As for [`load_lt`].
        shard_size (`int` or `str`, *optional*, defaults to `"500MB"`):
            Bytes of images, features and other values in a shard, about.
        num_proc (`int`, *optional*):
            Processes that build the data set, and shards to write at a time.
        push_to_hub (`str`, *optional*):
            Id of a data set on the Hub, `"org/name"`, to upload the folder to.
        public (`bool`, *optional*, defaults to `False`):
            Whether everyone may see it there.
        **options:
            Other arguments of [`load_lt`].

    Returns:
        [`ConvertedDataset`]

    Raises:
        FileExistsError: If `output` holds something else, or another data set.
        FileNotFoundError: If files of the data set are not there.
        ValueError: If an option is wrong; a row has no image or no features; or the features of videos cannot be read
            or are of different widths in a split.
        OSError: If the Hub refuses.

    Example:

    ```python
    >>> from xmodal_lt.data.convert import convert

    >>> convert("emoji-lt", "emoji-lt-parquet").num_rows
    {'train': 2638, 'validation': 400, 'test': 758}
    ```
    """
    shard_bytes = _read_size(shard_size)
    folder = _Folder(Path(output).expanduser())
    spec = dataset_spec(str(name_or_path)) if str(name_or_path) in list_datasets() else None
    if push_to_hub is not None:
        _warn_before_publishing(spec, public)
        check_upload(push_to_hub, public)
    dataset = _load(name_or_path, data_dir, options | ({} if num_proc is None else {"num_proc": num_proc}))
    splits = {name: measure_split(part, name) for name, part in dataset.items()}
    facts = _facts(name_or_path, spec, options, folder.path.name)
    fingerprint = _fingerprint(splits, facts.options, shard_bytes)
    folder.open(fingerprint)
    shards = [shard for name, split in splits.items() for shard in plan_shards(name, split.sizes, shard_bytes)]
    files = [[folder.path / file for file in splits[shard.split].files(shard)] for shard in shards]
    left = [shard for shard, own in zip(shards, files, strict=True) if not all(file.exists() for file in own)]
    if left:
        _write(splits, left, folder.path, num_proc or 1)
    if not folder.is_finished:
        num_bytes = {name: int(split.sizes.sum()) for name, split in splits.items()}
        download_size = sum(file.stat().st_size for file in chain(*files))
        with atomic_path(folder.path / _CARD) as unfinished:
            write_data_card(unfinished, facts, dataset, _stats(dataset, spec), num_bytes, download_size)
        folder.finish(fingerprint)
    url = None
    if push_to_hub is not None:
        move_card(folder.path / _CARD, folder.location, push_to_hub)
        folder.finish(fingerprint, push_to_hub)
        url = upload_data_set(folder.path, push_to_hub, public)
    return ConvertedDataset(folder.path, dict(dataset.num_rows), len(shards), len(left), url)


class _Folder:
    """The folder that is written, with a marker that tells which data set it is of."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._marker = self.path / _MARKER
        in_use = self.path.exists() and not (self.path.is_dir() and next(self.path.iterdir(), None) is None)
        if in_use and not self._marker.is_file():
            raise FileExistsError(
                f"{self.path} is not empty and holds no converted data set: name a new folder, or delete it first"
            )

    @property
    def is_finished(self) -> bool:
        """Whether an earlier run has come to its end."""
        return bool(self._read()["finished"])

    def open(self, fingerprint: str) -> None:
        """Take the folder for the data set, unless it is another one's."""
        if self._marker.is_file():
            if self._read().get("fingerprint") != fingerprint:
                raise FileExistsError(
                    f"{self.path} holds a converted data set of other rows, options or shard size, or its source has "
                    "changed since: name a new folder, or delete this one first"
                )
            for left_over in self.path.glob("*/.*.tmp"):  # of a run that was killed
                left_over.unlink()
            return
        self._mark(fingerprint, finished=False)

    @property
    def location(self) -> str:
        """Where the card says that the data set is: here, or on the Hub."""
        return self._read().get("location") or self.path.name

    def finish(self, fingerprint: str, location: str | None = None) -> None:
        """Note that all is written, and where the card says that it is."""
        self._mark(fingerprint, finished=True, location=location or self.location)

    def _mark(self, fingerprint: str, **state: Any) -> None:
        with atomic_path(self._marker) as unfinished:
            unfinished.write_text(json.dumps({"fingerprint": fingerprint, **state}))

    def _read(self) -> dict[str, Any]:
        return json.loads(self._marker.read_text())


def _read_size(size: int | str) -> int:
    try:
        found = convert_file_size_to_int(size)
    except ValueError:
        found = 0
    if found < 1:
        raise ValueError(f"shard_size must be a size such as '500MB' or '1GB', got {size!r}")
    return found


def _load(name_or_path: str | Path, data_dir: str | Path | None, options: dict[str, Any]) -> datasets.DatasetDict:
    dataset = load_lt(name_or_path, data_dir, **options)
    if not isinstance(dataset, datasets.DatasetDict):
        raise ValueError(f"only a data set that is not streamed can be converted: leave out {list(options)}")
    return dataset


def _warn_before_publishing(spec: DatasetSpec | None, public: bool) -> None:
    if public and spec is not None and not spec.redistribution:
        logger.warning(
            "The terms of %s do not allow everyone to pass it on (%s): publish it only if you may.",
            spec.name,
            spec.access,
        )


def _facts(name_or_path: str | Path, spec: DatasetSpec | None, options: Mapping[str, Any], location: str) -> CardFacts:
    known = {name: value for name, value in options.items() if name not in _WITHOUT_EFFECT}
    # Not whole paths, which are nobody else's business. `datasets` has an option `features` too, of types.
    places = {name: known[name] for name in _PLACES if isinstance(known.get(name), str | Path)}
    known |= {name: Path(place).name for name, place in places.items()}
    if spec is not None:
        name, source, access = spec.name, f"`{spec.name}` of xmodal-lt, {spec.homepage}", spec.access
    else:
        path = Path(name_or_path).expanduser()
        name = path.absolute().name if path.exists() else str(name_or_path)
        source, access = f"`{name}`", "not stated"
    return CardFacts(name, source, access, known, location, xmodal_lt.__version__)


def _fingerprint(splits: Mapping[str, MeasuredSplit], options: Mapping[str, Any], shard_bytes: int) -> str:
    parts = [*(split.fingerprint for split in splits.values()), repr(sorted(options.items())), str(shard_bytes)]
    return sha256("\n".join(parts).encode()).hexdigest()


def _write(splits: Mapping[str, MeasuredSplit], shards: list[Shard], folder: Path, workers: int) -> None:
    with (
        datasets.utils.tqdm(total=sum(shard.num_rows for shard in shards), unit=" rows", desc="Writing") as progress,
        # Threads are enough: reading and writing files is most of the work.
        ThreadPoolExecutor(workers) as pool,
    ):
        for num_rows in pool.map(partial(_write_one, splits, folder), shards):
            progress.update(num_rows)


def _write_one(splits: Mapping[str, MeasuredSplit], folder: Path, shard: Shard) -> int:
    return write_shard(splits[shard.split], shard, folder)


def _stats(dataset: datasets.DatasetDict, spec: DatasetSpec | None) -> ClassStats:
    if spec is None:
        boundaries: Boundaries = "multilabel" if "labels" in dataset["train"].column_names else "decoupling"
        return ClassStats.from_dataset(dataset["train"], boundaries=boundaries)
    return ClassStats.from_dataset(dataset["train"], head=spec.head, tail=spec.tail, boundaries=spec.boundaries)
