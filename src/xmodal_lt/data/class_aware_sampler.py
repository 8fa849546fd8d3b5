"""Class-aware sampling: all classes in turn, whatever their counts."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np

from .class_members import ClassMembers, Labels
from .class_sampler import ClassSampler


__all__ = ["ClassAwareSampler"]


class ClassAwareSampler(ClassSampler):
    """
    Visits all classes in turn and draws a few rows of each, so that all have the same share.

    Classes come in a random order, which is shuffled again after each round. A visit takes the next
    `samples_per_class` rows of the class; its rows are shuffled each time they are used up. An epoch is
    ⌊max_c n_c · C / `reduce`⌋ draws, where C counts the classes that have samples; the others are not visited.

    In multi-label sets a row is among those of each of its labels, so rows with many labels come more often.
    A row without a label is never drawn.

    Args:
        labels (`Sequence[int]`, `np.ndarray` or `Sequence[Sequence[int]]`):
            Class ids, whole numbers from 0, shape [N]; or, for multi-label sets, an array of zeros and ones, shape
            [N, C], or a list with the class ids of each sample.
        samples_per_class (`int`, *optional*, defaults to 4):
            Rows of one class in a row, at least 1. OLTR and cRT take 4, distribution-balanced loss 3.
        reduce (`int`, *optional*, defaults to 1):
            Shortens the epoch, at least 1. Distribution-balanced loss takes 4.
        seed (`int`, *optional*, defaults to 0):
            From 0.

    Raises:
        ValueError: If there are no labels, one is negative, an array of several labels is not of zeros and ones, or
            `samples_per_class` or `reduce` is below 1, or `reduce` leaves no draw.
        TypeError: If the labels are not whole numbers.

    Source:
        Shen et al., "Relay Backpropagation for Effective Learning of Deep Convolutional Neural Networks" (2016),
        as in the code of OLTR and classifier-balancing; for several labels as in the code of Wu et al.,
        "Distribution-Balanced Loss for Multi-Label Classification in Long-Tailed Datasets" (2020).

    Example:

    ```python
    >>> from collections import Counter

    >>> from xmodal_lt.data import ClassAwareSampler

    >>> labels = [0, 0, 0, 0, 0, 0, 1, 1, 2]
    >>> sampler = ClassAwareSampler(labels, samples_per_class=2)
    >>> len(sampler), sorted(Counter(labels[row] for row in sampler).items())
    (18, [(0, 6), (1, 6), (2, 6)])
    ```
    """

    def __init__(self, labels: Labels, samples_per_class: int = 4, reduce: int = 1, seed: int = 0) -> None:
        for name, value in (("samples_per_class", samples_per_class), ("reduce", reduce)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a whole number of at least 1, got {value}")
        super().__init__(ClassMembers.from_labels(labels), seed)
        self.samples_per_class = samples_per_class
        self.reduce = reduce
        if not len(self):
            raise ValueError(f"reduce={reduce} leaves nothing of an epoch of {self._full_length} draws; lower it")

    @property
    def class_probabilities(self) -> np.ndarray:
        """Share of the visits that each class has, shape [C]; 0 for a class without samples."""
        visited = self._members.counts > 0
        return visited / visited.sum()

    @property
    def _full_length(self) -> int:
        counts = self._members.counts
        return int(counts.max() * np.count_nonzero(counts))

    def __len__(self) -> int:
        return self._full_length // self.reduce

    def __iter__(self) -> Iterator[int]:
        return islice(self._rounds(self._generator()), len(self))

    def _rounds(self, generator: np.random.Generator) -> Iterator[int]:
        classes = np.flatnonzero(self._members.counts)
        cycles = {class_id: self._cycle(class_id, generator) for class_id in classes.tolist()}
        while True:
            for class_id in generator.permutation(classes).tolist():
                yield from islice(cycles[class_id], self.samples_per_class)

    def _cycle(self, class_id: int, generator: np.random.Generator) -> Iterator[int]:
        while True:
            # Numbers of Python's own are made one at a time: a list of them takes five times the memory.
            for row in generator.permutation(self._members.of(class_id)):
                yield int(row)
