"""A validation split for data that comes without one."""

from collections import defaultdict
from collections.abc import Sequence

import datasets
import numpy as np


def carve_validation(
    train: datasets.Dataset,
    labels: Sequence[int] | Sequence[Sequence[int]],
    fraction: float,
    seed: int,
    groups: Sequence[str] | None = None,
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
        groups (`Sequence[str]`, *optional*):
            What each row is a part of, such as its video. Rows of one group stay together, and a group counts as one
            sample that has the labels of all its rows.

    Returns:
        `datasets.DatasetDict`: with `train` and `validation`.
    """
    members = defaultdict(list)
    for row, group in enumerate(range(len(labels)) if groups is None else groups):
        members[group].append(row)
    parts = list(members.values())
    label_sets = [_labels_of(rows, labels) for rows in parts]
    counts = np.bincount(np.concatenate([*label_sets, []]).astype(int), minlength=1)
    parts_of = defaultdict(list)
    for part, label_set in enumerate(label_sets):
        if label_set:
            parts_of[min(label_set, key=lambda label: counts[label])].append(part)
    rng = np.random.default_rng(seed)
    held_out: list[int] = []
    for _, candidates in sorted(parts_of.items()):
        if len(candidates) >= 3:
            count = min(len(candidates) - 1, max(1, round(fraction * len(candidates))))
            taken = _take(rng.permutation(candidates).tolist(), count, label_sets, counts)
            held_out += [row for part in taken for row in parts[part]]
    kept = np.setdiff1d(np.arange(len(labels)), held_out)
    return datasets.DatasetDict(train=train.select(kept), validation=train.select(sorted(held_out)))


def _labels_of(rows: list[int], labels: Sequence[int] | Sequence[Sequence[int]]) -> list[int]:
    """The distinct labels of some rows."""
    own = [labels[row] for row in rows]
    return list(dict.fromkeys(label for item in own for label in ([item] if isinstance(item, int) else item)))


def _take(parts: list[int], count: int, label_sets: list[list[int]], left: np.ndarray) -> list[int]:
    """The first `count` parts without which every class still has a sample; updates the samples `left` of each class.

    A class that is never the rarest has no rows of its own, and might lose all its samples with those of others.
    """
    taken: list[int] = []
    for part in parts:
        if len(taken) < count and (left[label_sets[part]] > 1).all():
            left[label_sets[part]] -= 1
            taken.append(part)
    return taken


__all__ = ["carve_validation"]
