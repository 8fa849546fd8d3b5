"""Which rows each class has: what every sampler that balances classes draws from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# The one place where labels are checked; samplers must refuse what counting refuses.
from .label_arrays import check_class_ids, is_single_label, multi_hot


__all__ = ["ClassMembers", "Labels"]

Labels = Sequence[int] | Sequence[Sequence[int]] | np.ndarray


@dataclass(frozen=True, eq=False)
class ClassMembers:
    """
    Rows grouped by class, in memory that grows with the labels alone.

    Args:
        rows (`np.ndarray`):
            Rows of class 0, of class 1 and so on, int64, one for each label of each sample.
        offsets (`np.ndarray`):
            Where the rows of each class start, and where the last ones end, int64, shape [C + 1].
        num_samples (`int`):
            Samples, N.
    """

    rows: np.ndarray
    offsets: np.ndarray
    num_samples: int

    @classmethod
    def from_labels(cls, labels: Labels, sampler: str | None = None) -> ClassMembers:
        """
        Group the rows of a training split.

        Args:
            labels (`array_like` or `list[list[int]]`):
                Class ids, shape [N]; or, for multi-label sets, an array of zeros and ones, shape [N, C], or a list
                with the class ids of each sample.
            sampler (`str`, *optional*):
                Name of a sampler that takes one label a sample; several are then refused.

        Returns:
            [`ClassMembers`]: C is the width of the array or else the largest id plus one.

        Raises:
            ValueError: If there are no labels, one is negative, an array of several labels is not of zeros and ones,
                or a sample has several labels and must not.
            TypeError: If the labels are not whole numbers.
        """
        labels = labels[:]  # a column of a data set would be read row by row
        if len(labels) == 0:
            raise ValueError("there are no labels to sample by. Pass the class ids of the training split")
        if not is_single_label(labels):
            if sampler is not None:
                raise ValueError(
                    f"{sampler} takes one label a sample, but sample 0 has a list or row of them: "
                    f"{np.asarray(labels[0]).tolist()}. ClassAwareSampler takes several"
                )
            by_class = multi_hot(labels, None).tocsc()
            members = cls(by_class.indices.astype(np.int64), by_class.indptr.astype(np.int64), len(labels))
            if not members.rows.size:
                raise ValueError(f"none of the {len(labels)} samples has a label, so there is no class to sample by")
            return members
        ids = np.asarray(labels)
        check_class_ids(ids, np.arange(len(ids)), None)
        offsets = np.concatenate([[0], np.cumsum(np.bincount(ids))])
        return cls(np.argsort(ids, kind="stable"), offsets, len(ids))

    @property
    def counts(self) -> np.ndarray:
        """Samples of each class, int64, shape [C]."""
        return np.diff(self.offsets)

    def of(self, class_id: int) -> np.ndarray:
        """
        The rows of a class.

        Args:
            class_id (`int`):
                From 0 to C - 1.

        Returns:
            `np.ndarray`: Rising row numbers, int64.
        """
        return self.rows[self.offsets[class_id] : self.offsets[class_id + 1]]
