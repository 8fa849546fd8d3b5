"""Loading a data set as a check and a conversion need it: all rows of all splits, as tables, and its classes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import datasets

from .class_stats import ClassStats
from .class_stats_cache import cached_class_stats
from .loading import load_lt
from .local import is_saved
from .registry import DatasetSpec, dataset_spec, list_datasets


__all__ = ["find_spec", "load_whole", "train_stats"]

_FOR_PARTS = ("streaming", "split")


def find_spec(name_or_path: str | Path) -> DatasetSpec | None:
    """
    Look up a data set that may have no name.

    Args:
        name_or_path (`str` or `pathlib.Path`):
            As for [`load_lt`].

    Returns:
        [`DatasetSpec`] or `None`: `None` for a path or Hub id.
    """
    return dataset_spec(str(name_or_path)) if str(name_or_path) in list_datasets() else None


def load_whole(
    name_or_path: str | Path, data_dir: str | Path | None, num_proc: int | None, options: Mapping[str, Any]
) -> datasets.DatasetDict:
    """
    Load all rows of all splits.

    Args:
        name_or_path (`str` or `pathlib.Path`):
            As for [`load_lt`].
        data_dir (`str` or `pathlib.Path`, *optional*):
            As for [`load_lt`].
        num_proc (`int`, *optional*):
            Processes that build it. Of what `save_to_disk` wrote nothing is left to build.
        options (`Mapping[str, Any]`):
            Other arguments of [`load_lt`].

    Returns:
        `datasets.DatasetDict`

    Raises:
        ValueError: If an option chooses a part of the data set or a stream, and as by [`load_lt`].
    """
    for_parts = [name for name in _FOR_PARTS if options.get(name)]
    if for_parts:
        raise ValueError(f"{for_parts} cannot be used here, where all rows of all splits are read: leave it out")
    if num_proc is not None and not _is_saved(name_or_path, data_dir):
        options = {**options, "num_proc": num_proc}
    return load_lt(name_or_path, data_dir, **options)


def _is_saved(name_or_path: str | Path, data_dir: str | Path | None) -> bool:
    return find_spec(name_or_path) is None and is_saved(Path(name_or_path).expanduser() / (data_dir or ""))


def train_stats(dataset: datasets.DatasetDict, spec: DatasetSpec | None, **thresholds: int) -> ClassStats:
    """
    Count the classes of the training split.

    Args:
        dataset (`datasets.DatasetDict`):
            The data set.
        spec ([`DatasetSpec`], *optional*):
            What is known of it, where its groups come from.
        **thresholds (`int`):
            `head` and `tail` that take the place of those.

    Returns:
        [`ClassStats`]
    """
    own: dict[str, Any] = {}
    if spec is not None:
        own = {"head": spec.head, "tail": spec.tail, "boundaries": spec.boundaries}
    return cached_class_stats(dataset["train"], **own | thresholds)
