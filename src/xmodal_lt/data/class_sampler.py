"""What the samplers share: streams that depend on labels, seed and epoch alone, and the chances of every row."""

from __future__ import annotations

from abc import abstractmethod
from typing import TypeVar

import numpy as np
from torch.utils.data import Sampler

from .class_members import ClassMembers


__all__ = ["ClassSampler", "EpochSampler"]

Draw = TypeVar("Draw", covariant=True)


class EpochSampler(Sampler[Draw]):
    """
    Base of samplers whose stream is the same on every rank, and in a resumed run.

    Args:
        seed (`int`):
            From 0. Streams of other seeds are independent.

    Raises:
        ValueError: If the seed is negative.
    """

    def __init__(self, seed: int) -> None:
        if seed < 0:
            raise ValueError(f"seed must be a whole number of at least 0, got {seed}")
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """
        Choose the stream of an epoch; Accelerate and the Trainer call it before each.

        Args:
            epoch (`int`):
                From 0, which is also where a new sampler starts.
        """
        self.epoch = epoch

    def _generator(self, stream: int = 0) -> np.random.Generator:
        """A new one for each pass, so that iterating again draws the same."""
        return np.random.default_rng([self.seed, self.epoch, stream])


class ClassSampler(EpochSampler[int]):
    """
    Base of samplers that choose a class and then one of its rows, each of them as likely as the others.

    Args:
        members (`ClassMembers`):
            Rows of each class.
        seed (`int`):
            From 0.
    """

    def __init__(self, members: ClassMembers, seed: int) -> None:
        super().__init__(seed)
        self._members = members

    @property
    @abstractmethod
    def class_probabilities(self) -> np.ndarray:
        """Expected share of each class among the draws, shape [C]; 0 for a class without samples."""

    @property
    def sample_probabilities(self) -> np.ndarray:
        """Expected share of each row among the draws, shape [N]; 0 for a row without a label."""
        counts = self._members.counts
        share = np.divide(self.class_probabilities, counts, out=np.zeros(len(counts)), where=counts > 0)
        return np.bincount(self._members.rows, np.repeat(share, counts), minlength=self._members.num_samples)
