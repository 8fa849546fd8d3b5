"""The two streams of BBN, and the weight that shifts from one to the other during training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from .class_sampler import EpochSampler
from .frequency_samplers import ReversedSampler


__all__ = ["DualSampler", "bbn_mixing_weight"]


class DualSampler(EpochSampler[tuple[int, int]]):
    """
    Draws the pairs that BBN trains on: a row of the data as they are, and one of the reversed distribution.

    The first rows of an epoch are a permutation of all N; the second ones are those of a [`ReversedSampler`]. The
    data set that is indexed must take a pair, and return a sample for both branches.

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
        (2020), the bilateral-branch structure.

    Example:

    ```python
    >>> from xmodal_lt.data import DualSampler

    >>> uniform, reversed_rows = zip(*DualSampler([0, 0, 0, 1]))
    >>> sorted(uniform)
    [0, 1, 2, 3]
    ```
    """

    def __init__(self, labels: Sequence[int] | np.ndarray, seed: int = 0) -> None:
        super().__init__(seed)
        self.reversed = ReversedSampler(labels, seed)

    def set_epoch(self, epoch: int) -> None:
        """
        Choose the streams of an epoch.

        Args:
            epoch (`int`):
                From 0.
        """
        super().set_epoch(epoch)
        self.reversed.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.reversed)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        # The reversed rows have stream 0 of this seed and epoch.
        uniform = self._generator(stream=1).permutation(len(self))
        yield from zip(map(int, uniform), self.reversed, strict=True)


def bbn_mixing_weight(epoch: int, num_epochs: int) -> float:
    """
    The weight λ of BBN's conventional branch in an epoch; that of the re-balancing branch is 1 - λ.

    λ = 1 - ((t - 1) / T)², from 1 in the first epoch to almost 0 in the last.

    The released code takes T = 100 for a run of 90 epochs and T = 200 for one of 180, so that λ ends higher; pass that
    T as `num_epochs` to reproduce it. Here T is what is given.

    Args:
        epoch (`int`):
            t, from 1 to `num_epochs`.
        num_epochs (`int`):
            T.

    Returns:
        `float`: Above 0, at most 1.

    Raises:
        ValueError: If the epoch is not from 1 to `num_epochs`.

    Source:
        Zhou et al., "BBN: Bilateral-Branch Network with Cumulative Learning for Long-Tailed Visual Recognition"
        (2020), the parabolic decay of its cumulative learning; with t - 1 for t, as in the released code.

    Example:

    ```python
    >>> from xmodal_lt.data import bbn_mixing_weight

    >>> [bbn_mixing_weight(epoch, num_epochs=4) for epoch in (1, 2, 3, 4)]
    [1.0, 0.9375, 0.75, 0.4375]
    ```
    """
    if not 1 <= epoch <= num_epochs:
        raise ValueError(
            f"epoch must be from 1 to num_epochs={num_epochs}, got {epoch}. Add 1 to one that starts at 0"
        )
    return 1 - ((epoch - 1) / num_epochs) ** 2
