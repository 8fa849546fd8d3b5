"""Converting any data set to parquet files and, of videos, files of features: to move, to share, to load fast."""

from __future__ import annotations

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

from .conversion_folder import ConversionFolder
from .data_card import CardFacts, card_for_hub, write_data_card
from .hub_upload import check_upload, upload_data_set
from .parquet_shards import MeasuredSplit, Shard, measure_split, plan_shards, write_shard
from .registry import DatasetSpec
from .whole_dataset import find_spec, load_whole, train_stats


__all__ = ["ConvertedDataset", "convert_dataset"]

logger = logging.getLogger(__name__)

_CARD = "README.md"
# Options of `load_lt` that change no row, and those that name a file or folder.
_WITHOUT_EFFECT = ("cache_dir", "num_proc")
_PLACES = ("features", "privileged_features", "file_dir")


@dataclass(frozen=True)
class ConvertedDataset:
    """
    What [`convert_dataset`] did.

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


def convert_dataset(
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
    repeated; so does one that has finished, which then writes only what has been lost since. The files of all images
    and features must be on this machine.

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
        ValueError: If an option is wrong; a row has no image, one at a URL, or no features; the features of videos
            cannot be read or are of different widths in a split; or a column refers to other files than images.
        OSError: If another run is writing the folder, or the Hub refuses.

    Example:

    ```python
    >>> from xmodal_lt.data import convert_dataset

    >>> convert_dataset("emoji-lt", "emoji-lt-parquet").num_rows
    {'train': 2638, 'validation': 400, 'test': 758}
    ```
    """
    shard_bytes = _read_size(shard_size)
    folder = ConversionFolder(Path(output).expanduser())
    spec = find_spec(name_or_path)
    if push_to_hub is not None:
        _warn_before_publishing(spec, public)
        check_upload(push_to_hub, public)
    dataset = load_whole(name_or_path, data_dir, num_proc, options)
    splits = {name: measure_split(part, name) for name, part in dataset.items()}
    facts = _facts(name_or_path, spec, options, folder.path.name)
    shards = [shard for name, split in splits.items() for shard in plan_shards(name, split.sizes, shard_bytes)]
    files = {shard.file: splits[shard.split].files(shard) for shard in shards}
    url = None
    with folder.open(_fingerprint(splits, facts.options, shard_bytes)):
        left = [shard for shard in shards if not all(map(folder.is_whole, files[shard.file]))]
        if left:
            _write(splits, left, folder, num_proc or 1)
        card = folder.path / _CARD
        if not card.is_file() or card.stat().st_size == 0:
            num_bytes = {name: int(split.sizes.sum()) for name, split in splits.items()}
            download_size = sum((folder.path / file).stat().st_size for file in chain(*files.values()))
            with atomic_path(card) as unfinished:
                write_data_card(unfinished, facts, dataset, train_stats(dataset, spec), num_bytes, download_size)
        if push_to_hub is not None:
            text = card_for_hub(card.read_text(encoding="utf-8"), folder.path.name, push_to_hub)
            url = upload_data_set(folder.path, push_to_hub, text, public)
    return ConvertedDataset(folder.path, dict(dataset.num_rows), len(shards), len(left), url)


def _read_size(size: int | str) -> int:
    try:
        found = convert_file_size_to_int(size)
    except ValueError:
        found = 0
    if found < 1:
        raise ValueError(f"shard_size must be a size such as '500MB' or '1GB', got {size!r}")
    return found


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


def _write(splits: Mapping[str, MeasuredSplit], shards: list[Shard], folder: ConversionFolder, workers: int) -> None:
    with (
        datasets.utils.tqdm(total=sum(shard.num_rows for shard in shards), unit=" rows", desc="Writing") as progress,
        # Threads are enough: reading and writing files is most of the work.
        ThreadPoolExecutor(workers) as pool,
    ):
        for num_rows in pool.map(partial(_write_one, splits, folder), shards):
            progress.update(num_rows)


def _write_one(splits: Mapping[str, MeasuredSplit], folder: ConversionFolder, shard: Shard) -> int:
    split = splits[shard.split]
    num_rows = write_shard(split, shard, folder.path)
    folder.note(split.files(shard))
    return num_rows
