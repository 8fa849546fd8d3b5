"""Which rows of a stream each process and worker reads in an epoch: every row once, in batches of equal number."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np


__all__ = ["Run", "StreamPlan"]


@dataclass(frozen=True)
class Run:
    """
    Rows that follow one another in a piece of a stream.

    Args:
        piece (`int`):
            Number of the piece.
        start (`int`):
            First row, counted in the piece.
        stop (`int`):
            Row before which it ends.
    """

    piece: int
    start: int
    stop: int


@dataclass(frozen=True)
class StreamPlan:
    """
    Shares out the pieces of a stream, in an order that is another one in each epoch.

    The pieces, one after the other, are cut where batches end. Every process has equally many batches, all of
    `batch_size` rows but the last one, in which the processes have equally many rows, or one more. Only where there
    are fewer rows left than processes do some get a row that another one has too, as none may go without a batch.

    Args:
        sizes (`Sequence[int]`):
            Rows of each piece.
        batch_size (`int`):
            Rows of a batch of one process.
        num_processes (`int`, *optional*, defaults to 1):
            Processes that train together.
        num_workers (`int`, *optional*, defaults to 1):
            Workers of each process.
        seed (`int`, *optional*):
            Chooses the order of the pieces; they stay in theirs without it.
        drop_last (`bool`, *optional*, defaults to `False`):
            Whether the epoch ends before the last batches if not all of them have `batch_size` rows.

    Raises:
        ValueError: If a number is below 1, or there are no rows.
    """

    sizes: Sequence[int]
    batch_size: int
    num_processes: int = 1
    num_workers: int = 1
    seed: int | None = None
    drop_last: bool = False

    def __post_init__(self) -> None:
        for name in ("batch_size", "num_processes", "num_workers"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if sum(self.sizes) < 1:
            raise ValueError("the stream has no rows")

    @property
    def num_batches(self) -> int:
        """Batches of each process in an epoch."""
        whole, left = divmod(sum(self.sizes), self.batch_size * self.num_processes)
        return whole if self.drop_last else whole + (left > 0)

    def num_rows(self, process: int) -> int:
        """
        Rows that a process reads in an epoch.

        Args:
            process (`int`):
                Its number.

        Returns:
            `int`
        """
        start, stop = self._range(process)
        return stop - start

    def runs(self, process: int, worker: int, epoch: int) -> list[Run]:
        """
        What one worker reads.

        Args:
            process (`int`):
                Number of its process.
            worker (`int`):
                Number of the worker in it.
            epoch (`int`):
                The epoch.

        Returns:
            `list[Run]`: In reading order, without empty ones.
        """
        start, stop = self._range(process)
        # A data loader takes a batch of each worker in turn: the last one, which may be smaller, is to come last.
        turn = (worker - self.num_batches) % self.num_workers
        before, own = _share(self.num_batches, self.num_workers, turn)
        first = start + before * self.batch_size
        return self._between(first, min(first + own * self.batch_size, stop), epoch)

    def _range(self, process: int) -> tuple[int, int]:
        """Rows of a process, counted in the epoch's order."""
        if self.drop_last:
            own = self.num_batches * self.batch_size
            return process * own, (process + 1) * own
        full = (self.num_batches - 1) * self.batch_size
        before, last = _share(sum(self.sizes) - full * self.num_processes, self.num_processes, process)
        start = process * full + before
        return start, start + full + max(last, 1)

    def _between(self, start: int, stop: int, epoch: int) -> list[Run]:
        """Of all rows in the epoch's order, and again from the first, those from `start` to before `stop`."""
        order = self._order(epoch)
        ends = list(accumulate(self.sizes[piece] for piece in order))
        runs = []
        while start < stop:
            row = start % ends[-1]
            position = bisect_right(ends, row)
            piece = order[position]
            first = row - (ends[position] - self.sizes[piece])
            count = min(stop - start, self.sizes[piece] - first)
            runs.append(Run(piece, first, first + count))
            start += count
        return runs

    def _order(self, epoch: int) -> list[int]:
        pieces = np.arange(len(self.sizes))
        if self.seed is not None:
            pieces = np.random.default_rng((self.seed, epoch)).permutation(pieces)
        return pieces.tolist()


def _share(items: int, parts: int, part: int) -> tuple[int, int]:
    """How many items come before a part's, and how many are its own; the last parts have more."""
    each, left = divmod(items, parts)
    more = parts - left  # the first part with one more
    return part * each + max(part - more, 0), each + (part >= more)
