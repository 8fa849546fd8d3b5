"""Statistics of a training split, kept beside the cache of `datasets` until the split is another one."""

from __future__ import annotations

import dataclasses

import datasets

from xmodal_lt.metrics.groups import Boundaries

from .class_stats import ClassStats
from .json_cache import cached_json


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
    if not dataset.cache_files:
        return ClassStats.from_dataset(dataset, head=head, tail=tail, boundaries=boundaries)
    values = cached_json("class_stats", dataset._fingerprint, lambda: ClassStats.from_dataset(dataset).to_dict())
    counted = ClassStats.from_dict(values)
    return dataclasses.replace(counted, head_threshold=head, tail_threshold=tail, boundaries=boundaries)
