"""Opening a data set by name, path or Hub id, with the columns that it comes with."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any, Literal

import datasets
import pyarrow.parquet as pq
from datasets.utils.file_utils import xopen
from huggingface_hub.constants import HF_HUB_CACHE

from .file_paths import keep_path, place_file
from .local import FILE_FORMATS, check_local, is_saved, load_arguments, read_local
from .messages import did_you_mean
from .registry import dataset_spec, list_datasets
from .table import Splits
from .webdataset_columns import lift_webdataset


__all__ = ["RawSource", "open_source", "source_kind"]

_SAVED_PIECES = 64  # pieces in which a saved table is streamed
_FEW_FILES = 64
_HUB_ID = re.compile(r"\w[\w.-]*/[\w.-]+")


@dataclass(frozen=True)
class RawSource:
    """
    A data set as it comes.

    Args:
        splits (`datasets.DatasetDict` or `datasets.IterableDatasetDict`):
            Its rows.
        place (`Callable[[str], str]`):
            From a path in a row to the file.
        key (`str`, *optional*):
            Of streams: other text if the data is another one.
        reopen (`Callable`, *optional*):
            Of streams of parquet files: opens them with these columns alone.
        cache_dir (`str` or `pathlib.Path`, *optional*, defaults to that of `datasets`):
            Where to keep what is read of streams.
    """

    splits: Splits
    place: Callable[[str], str]
    key: str = ""
    reopen: Callable[[list[str]], datasets.IterableDatasetDict] | None = None
    cache_dir: str | Path | None = None

    def without_images(self, image_column: str) -> RawSource | None:
        """
        The same rows with null for each image, so that the bytes of images are not read.

        Args:
            image_column (`str`):
                The column of images.

        Returns:
            [`RawSource`] or `None`: `None` where the files can only be read as a whole.
        """
        columns = self.splits["train"].column_names
        if self.reopen is None or columns is None or image_column not in columns:
            return None
        kept = [name for name in columns if name != image_column]
        splits = {split: _with_nulls(part, image_column) for split, part in self.reopen(kept).items()}
        return RawSource(datasets.IterableDatasetDict(splits), self.place)


def open_source(
    name_or_path: str | Path,
    data_dir: str | Path | None,
    file_dir: str | Path | None,
    streaming: bool,
    kwargs: Mapping[str, Any],
) -> RawSource:
    """
    Open a data set.

    Args:
        name_or_path (`str` or `pathlib.Path`):
            A registered name, a local file or folder, or a Hub id.
        data_dir (`str` or `pathlib.Path`, *optional*):
            As for `load_lt`.
        file_dir (`str` or `pathlib.Path`, *optional*):
            As for `load_lt`.
        streaming (`bool`):
            Whether to open streams.
        kwargs (`Mapping[str, Any]`):
            Options of the builder, or of `datasets.load_dataset`.

    Returns:
        [`RawSource`]

    Raises:
        FileNotFoundError: If a local path does not exist.
        TypeError: If the options choose one split.
        ValueError: If the name is unknown, or an option does not fit.
    """
    name, folder = str(name_or_path), None if data_dir is None else str(data_dir)
    if streaming and kwargs.get("num_proc") is not None:
        raise ValueError("num_proc is for data that is built, and a stream is read as it is: leave it out")
    kind = source_kind(name)
    if kind == "local":
        return _open_local((Path(name).expanduser() / (folder or "")).absolute(), file_dir, streaming, kwargs)
    if file_dir is not None and kind == "registered":
        raise ValueError(f"file_dir is for tables of your own; the files of {name!r} are in its data_dir")
    open_it = _open_hub if kind == "hub" else _open_registered
    return open_it(name, folder, streaming, kwargs)


def source_kind(name: str) -> Literal["registered", "local", "hub"]:
    """
    Tell what a name of a data set stands for, seen from the current folder.

    Args:
        name (`str`):
            A registered name, a local file or folder, or a Hub id.

    Returns:
        `str`: `"registered"`, `"local"` or `"hub"`.

    Raises:
        ValueError: If it is none of them.
    """
    if name in list_datasets():
        return "registered"
    path = Path(name).expanduser()
    if path.exists() or path.suffix in FILE_FORMATS or name.startswith(("/", ".", "~")):
        return "local"
    if not _HUB_ID.fullmatch(name):
        dataset_spec(name)  # which says what there is
    return "hub"


def _open_local(path: Path, file_dir: str | Path | None, streaming: bool, kwargs: Mapping[str, Any]) -> RawSource:
    root = Path(file_dir).expanduser() if file_dir is not None else path.parent if path.is_file() else path
    place = partial(place_file, folder=root)
    if streaming:
        return _stream_local(path, place, kwargs)
    return RawSource(_lifted(read_local(path, **kwargs), kwargs), place)


def _open_hub(name: str, folder: str | None, streaming: bool, kwargs: Mapping[str, Any]) -> RawSource:
    arguments = {"path": name, "data_dir": folder, **kwargs}
    if streaming:
        return _stream(arguments, partial(place_file, folder=None))
    place = partial(place_file, folder=None, caches=_download_folders(kwargs))
    return RawSource(_lifted(datasets.load_dataset(**arguments), kwargs), place)


def _open_registered(name: str, folder: str | None, streaming: bool, kwargs: Mapping[str, Any]) -> RawSource:
    options = {key: value for key, value in kwargs.items() if key != "num_proc"}
    builder_class = dataset_spec(name).builder
    _check_options(name, builder_class, options)
    builder = builder_class(data_dir=folder, **options)
    if streaming:
        cache_dir = kwargs.get("cache_dir")
        return RawSource(builder.as_streaming_dataset(), keep_path, builder.cache_dir, cache_dir=cache_dir)
    builder.download_and_prepare(num_proc=kwargs.get("num_proc"))
    return RawSource(builder.as_dataset(), keep_path)


def _check_options(name: str, builder: type[datasets.DatasetBuilder], options: Mapping[str, Any]) -> None:
    of_builder = {*signature(builder).parameters} - {"self", "args", "kwargs"}
    known = {*(field.name for field in fields(builder.BUILDER_CONFIG_CLASS)), *of_builder, "cache_dir", "hash"}
    unknown = [option for option in options if option not in known]
    if unknown:
        common = {field.name for field in fields(datasets.BuilderConfig)} | {"hash"}
        own = sorted(known - common)
        raise TypeError(f"{name!r} has no option {unknown[0]!r}.{did_you_mean(unknown[0], own)} Its options are {own}")


def _download_folders(kwargs: Mapping[str, Any]) -> tuple[Path, ...]:
    """Where files of the Hub are put that a table refers to."""
    own = kwargs.get("cache_dir")
    return tuple(Path(one) for one in (own, datasets.config.HF_DATASETS_CACHE, HF_HUB_CACHE) if one is not None)


def _stream_local(path: Path, place: Callable[[str], str], kwargs: Mapping[str, Any]) -> RawSource:
    check_local(path)
    if not is_saved(path):
        return _stream(load_arguments(path, kwargs), place)
    saved = read_local(path, **kwargs)
    pieces = {split: max(1, min(_SAVED_PIECES, len(part))) for split, part in saved.items()}
    streams = {split: part.to_iterable_dataset(num_shards=pieces[split]) for split, part in saved.items()}
    key = " ".join(part._fingerprint for part in saved.values())
    return RawSource(datasets.IterableDatasetDict(streams), place, key)


def _stream(arguments: dict[str, Any], place: Callable[[str], str]) -> RawSource:
    builder = datasets.load_dataset_builder(**arguments)
    streams = builder.as_streaming_dataset()
    cache_dir = arguments.get("cache_dir")
    if builder.name != "parquet":
        return RawSource(_lifted(streams, arguments), place, builder.cache_dir, cache_dir=cache_dir)
    reopen = partial(_reopen, arguments) if _splits_are_alike(builder) else None
    return RawSource(_by_row_groups(streams), place, builder.cache_dir, reopen, cache_dir)


def _splits_are_alike(builder: datasets.DatasetBuilder) -> bool:
    """Whether all splits of parquet files have the same columns: `datasets` cannot read columns that a file lacks."""
    columns = []
    for files in builder.config.data_files.values():
        with xopen(files[0], "rb") as file:
            columns.append(set(pq.read_schema(file).names))
    return all(names == columns[0] for names in columns)


def _lifted(splits: Any, options: Mapping[str, Any]) -> Splits:
    if not isinstance(splits, datasets.DatasetDict | datasets.IterableDatasetDict):
        raise TypeError(
            f"load_lt reads all splits, but `datasets` gave a {type(splits).__name__}: leave out {list(options)}"
        )
    return type(splits)({split: lift_webdataset(part) for split, part in splits.items()})


def _reopen(arguments: dict[str, Any], columns: list[str]) -> datasets.IterableDatasetDict:
    builder = datasets.load_dataset_builder(**arguments)
    builder.config.columns = columns
    return _by_row_groups(builder.as_streaming_dataset())


def _by_row_groups(streams: datasets.IterableDatasetDict) -> datasets.IterableDatasetDict:
    """Few files are shared out by their row groups, for which each file is opened now."""
    return datasets.IterableDatasetDict(
        {split: part.reshard() if part.num_shards < _FEW_FILES else part for split, part in streams.items()}
    )


def _with_nulls(part: datasets.IterableDataset, image_column: str) -> datasets.IterableDataset:
    features = datasets.Features({**part.features, image_column: datasets.Image(decode=False)})
    return part.map(partial(_null, image_column), features=features)


def _null(column: str, row: dict[str, Any]) -> dict[str, Any]:
    return {column: None}
