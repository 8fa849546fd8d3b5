"""Statistics of a training split, kept beside the cache of `datasets` until the split is another one."""

from __future__ import annotations

import dataclasses
import json
from hashlib import sha256
from pathlib import Path

import datasets

import xmodal_lt
from xmodal_lt.atomic_file import atomic_path
from xmodal_lt.metrics.groups import Boundaries

from .class_stats import ClassStats


__all__ = ["cached_class_stats"]


def cached_class_stats(
    dataset: datasets.Dataset, head: int = 100, tail: int = 20, boundaries: Boundaries = "decoupling"
) -> ClassStats:
    """
    [`ClassStats.from_dataset`], counted once for each training split.

    Args:
        dataset (`datasets.Dataset`):
            The training split. If it is in memory and not in files, it is counted each time.
        head (`int`, *optional*, defaults to 100):
            As for [`ClassStats.from_dataset`].
        tail (`int`, *optional*, defaults to 20):
            As for [`ClassStats.from_dataset`].
        boundaries (`str`, *optional*, defaults to `"decoupling"`):
            As for [`ClassStats.from_dataset`].

    Returns:
        [`ClassStats`]

    Raises:
        TypeError: As [`ClassStats.from_dataset`].
        ValueError: As [`ClassStats.from_dataset`].
    """
    key = sha256(f"{xmodal_lt.__version__} {dataset._fingerprint}".encode()).hexdigest()[:32]
    file = Path(datasets.config.HF_DATASETS_CACHE) / "xmodal_lt" / "class_stats" / f"{key}.json"
    try:
        counted = ClassStats.from_dict(json.loads(file.read_text()))
    except (OSError, ValueError, TypeError):  # not there, or not whole
        counted = ClassStats.from_dataset(dataset)
        if dataset.cache_files:
            with atomic_path(file) as unfinished:
                unfinished.write_text(json.dumps(counted.to_dict()))
    return dataclasses.replace(counted, head_threshold=head, tail_threshold=tail, boundaries=boundaries)
