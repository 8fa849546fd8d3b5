"""A validation split for data that comes without one."""

from collections import defaultdict
from collections.abc import Sequence

import datasets
import numpy as np


def carve_validation(
    train: datasets.Dataset, labels: Sequence[int] | Sequence[Sequence[int]], fraction: float, seed: int
) -> datasets.DatasetDict:
    """Moves a share of each class from `train` to `validation`.

    A class with three or more samples has some in both, so that settings which matter to the tail can be chosen; a
    class with fewer stays in train. A multi-label sample counts for the rarest of its classes, and no class loses its
    last training sample.

    Args:
        train (`datasets.Dataset`): the training split.
        labels (`Sequence[int]` or `Sequence[Sequence[int]]`): label or labels of each row.
        fraction (`float`): share of each class to move, in (0, 1).
        seed (`int`): chooses the samples.

    Returns:
        `datasets.DatasetDict`: with `train` and `validation`.
    """
    label_sets = [[label] if isinstance(label, int) else list(dict.fromkeys(label)) for label in labels]
    counts = np.bincount(np.concatenate([*label_sets, []]).astype(int), minlength=1)
    rows_of = defaultdict(list)
    for row, label_set in enumerate(label_sets):
        if label_set:
            rows_of[min(label_set, key=lambda label: counts[label])].append(row)
    rng = np.random.default_rng(seed)
    held_out: list[int] = []
    for _, rows in sorted(rows_of.items()):
        if len(rows) >= 3:
            count = min(len(rows) - 1, max(1, round(fraction * len(rows))))
            held_out += _take(rng.permutation(rows).tolist(), count, label_sets, counts)
    kept = np.setdiff1d(np.arange(len(label_sets)), held_out)
    return datasets.DatasetDict(train=train.select(kept), validation=train.select(sorted(held_out)))


def _take(rows: list[int], count: int, label_sets: list[list[int]], left: np.ndarray) -> list[int]:
    """The first `count` rows without which every class still has a sample; updates the samples `left` of each class.

    A class that is never the rarest has no rows of its own, and might lose all its samples with those of others.
    """
    taken: list[int] = []
    for row in rows:
        if len(taken) < count and (left[label_sets[row]] > 1).all():
            left[label_sets[row]] -= 1
            taken.append(row)
    return taken


__all__ = ["carve_validation"]
