"""Samplers that draw classes with probabilities that depend on their counts, and rows with replacement."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence

import numpy as np

from .class_members import ClassMembers
from .class_sampler import ClassSampler


__all__ = ["EffectiveNumberSampler", "ReversedSampler", "SquareRootSampler"]

# Rows drawn at a time: enough for numpy to be fast, few enough for the first to come at once.
_CHUNK = 16384


class FrequencySampler(ClassSampler):
    """
    Base of samplers that draw N rows with replacement: a class by its probability, then one of its rows.

    Args:
        labels (`Sequence[int]` or `np.ndarray`):
            Class id of each sample, whole numbers from 0, shape [N].
        seed (`int`, *optional*, defaults to 0):
            From 0.
    """

    def __init__(self, labels: Sequence[int] | np.ndarray, seed: int = 0) -> None:
        super().__init__(ClassMembers.from_labels(labels, sampler=type(self).__name__), seed)

    @abstractmethod
    def _class_weights(self, counts: np.ndarray) -> np.ndarray:
        """What the probability of classes with `counts`, all above 0, is proportional to."""

    @property
    def class_probabilities(self) -> np.ndarray:
        counts = self._members.counts
        weights = np.zeros(len(counts))
        weights[counts > 0] = self._class_weights(counts[counts > 0])
        return weights / weights.sum()

    def __len__(self) -> int:
        return self._members.num_samples

    def __iter__(self) -> Iterator[int]:
        generator = self._generator()
        counts, starts = self._members.counts, self._members.offsets
        # Empty classes are left out, so that no rounding of the sum can make one of them the last.
        classes = np.flatnonzero(counts)
        upper = np.cumsum(self.class_probabilities[classes])
        upper[-1] = 1.0
        for start in range(0, len(self), _CHUNK):
            size = min(_CHUNK, len(self) - start)
            drawn = classes[np.searchsorted(upper, generator.random(size), side="right")]
            places = starts[drawn] + (generator.random(size) * counts[drawn]).astype(np.int64)
            yield from self._members.rows[places].tolist()


class EffectiveNumberSampler(FrequencySampler):
    """
    Draws rows by the inverse effective number of their class ("CB resampling").

    A row of class y has the weight (1 - β) / (1 - β^n_y). With β = 0 all rows are equally likely, towards β = 1 all
    classes are. An epoch is N draws with replacement. Classes without samples have probability 0.

    Args:
        labels (`Sequence[int]` or `np.ndarray`):
            Class id of each sample, whole numbers from 0, shape [N].
        beta (`float`, *optional*, defaults to 0.9999):
            β, at least 0 and below 1.
        seed (`int`, *optional*, defaults to 0):
            From 0.

    Raises:
        ValueError: If there are no labels, one is negative, a sample has several, or β is out of its range.
        TypeError: If the labels are not whole numbers.

    Source:
        Cui et al., "Class-Balanced Loss Based on Effective Number of Samples" (2019); as a sampler in the code of Cao
        et al., "Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss" (2019).

    Example:

    ```python
    >>> from xmodal_lt.data import EffectiveNumberSampler

    >>> sampler = EffectiveNumberSampler([0, 0, 0, 1], beta=0.5)
    >>> sampler.class_probabilities.round(3).tolist()
    [0.632, 0.368]
    ```
    """

    def __init__(self, labels: Sequence[int] | np.ndarray, beta: float = 0.9999, seed: int = 0) -> None:
        if not 0 <= beta < 1:
            raise ValueError(f"beta must be at least 0 and below 1, got {beta}. Usual values are 0.9 to 0.9999")
        super().__init__(labels, seed)
        self.beta = beta

    def _class_weights(self, counts: np.ndarray) -> np.ndarray:
        return counts * (1 - self.beta) / (1 - self.beta**counts)


class SquareRootSampler(FrequencySampler):
    """
    Draws classes with probabilities proportional to √n_c: between instance-balanced and class-balanced.

    An epoch is N draws with replacement. Classes without samples have probability 0.

    Args:
        labels (`Sequence[int]` or `np.ndarray`):
            Class id of each sample, whole numbers from 0, shape [N].
        seed (`int`, *optional*, defaults to 0):
            From 0.

    Raises:
        ValueError: If there are no labels, one is negative, or a sample has several.
        TypeError: If the labels are not whole numbers.

    Source:
        Kang et al., "Decoupling Representation and Classifier for Long-Tailed Recognition" (2020), equation 1 with
        q = 1/2; VL-LTR trains with it.

    Example:

    ```python
    >>> from xmodal_lt.data import SquareRootSampler

    >>> SquareRootSampler([0, 0, 0, 0, 1]).class_probabilities.round(3).tolist()
    [0.667, 0.333]
    ```
    """

    def _class_weights(self, counts: np.ndarray) -> np.ndarray:
        return np.sqrt(counts)


class ReversedSampler(FrequencySampler):
    """
    Draws classes with probabilities proportional to n_max / n_c: the rarest class is the most likely.

    An epoch is N draws with replacement. Classes without samples have probability 0.

    Args:
        labels (`Sequence[int]` or `np.ndarray`):
            Class id of each sample, whole numbers from 0, shape [N].
        seed (`int`, *optional*, defaults to 0):
            From 0.

    Raises:
        ValueError: If there are no labels, one is negative, or a sample has several.
        TypeError: If the labels are not whole numbers.

    Source:
        Zhou et al., "BBN: Bilateral-Branch Network with Cumulative Learning for Long-Tailed Visual Recognition"
        (2020), the sampler of the re-balancing branch.

    Example:

    ```python
    >>> from xmodal_lt.data import ReversedSampler

    >>> ReversedSampler([0, 0, 0, 1]).class_probabilities.tolist()
    [0.25, 0.75]
    ```
    """

    def _class_weights(self, counts: np.ndarray) -> np.ndarray:
        return counts.max() / counts
