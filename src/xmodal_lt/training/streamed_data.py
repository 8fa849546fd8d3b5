"""Samples of a stream, shared out over processes and the workers of their data loaders."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import copy
from functools import partial
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from xmodal_lt.data import ClassCorpus
from xmodal_lt.data.sharded_stream import ShardedStream
from xmodal_lt.data.stream_plan import StreamPlan

from .sampling import Sampling


class StreamedData(torch.utils.data.Dataset):
    """What [`TrainingData`] is for tables: samples for training, of rows that are read in the order of their files.

    In training the files, or pieces of them, come in another order in each epoch, and rows through a buffer of which
    a random one leaves. Augmentation depends on the seed, the epoch and the row alone; the order of the rows on the
    number of processes and workers too.

    Args:
        stream (`ShardedStream`): with the columns of `load_lt`.
        transform (`Callable[[PIL.Image.Image], Tensor]`, *optional*): as for `TrainingData`.
        seed (`int`, *optional*, defaults to 0): of the augmentation, of the sentences and of the order.
        corpus (`ClassCorpus`, *optional*): as for `TrainingData`.
        shuffle_buffer (`int`, *optional*):
            Rows that each worker holds to draw from; the order is that of the files when absent.
    """

    def __init__(
        self,
        stream: ShardedStream,
        transform: Callable[[Image.Image], Tensor] | None = None,
        seed: int = 0,
        corpus: ClassCorpus | None = None,
        shuffle_buffer: int | None = None,
    ):
        self.stream = stream
        self.shuffle_buffer = shuffle_buffer
        self.label_column = "labels" if "labels" in stream.column_names else "label"
        self._sampling = Sampling(transform, seed, corpus)

    def __len__(self) -> int:
        return len(self.stream)

    @property
    def labels(self) -> list[Any]:
        """The label of every row."""
        return self.stream.annotations[self.label_column][:]

    @property
    def epoch(self) -> int:
        """The epoch that augmentation and order depend on."""
        return self._sampling.epoch

    def set_epoch(self, epoch: int) -> None:
        """Sets the epoch that augmentation and order depend on."""
        self._sampling.set_epoch(epoch)

    def annotations(self, index: int) -> dict[str, Any]:
        """Label, and words or a sentence, of a row."""
        return self._annotations(index, self.stream.annotations[index])

    def _annotations(self, index: int, row: dict[str, Any]) -> dict[str, Any]:
        label = row[self.label_column]
        words = {"words": row["words"]} if "words" in row else {}
        return {self.label_column: label, **words, **self._sampling.sentence(index, label)}

    def sample(self, index: int, row: dict[str, Any]) -> dict[str, Any]:
        """A sample of a row as the stream has it."""
        visual = self._sampling.visual(index, row["image"], row["image_id"])
        return {**visual, **self._annotations(index, row)}

    def in_order(self) -> StreamedData:
        """The same samples in the order of the files, in the same epoch from now on."""
        ordered = copy(self)
        ordered.shuffle_buffer = None
        return ordered

    def share(self, batch_size: int, num_processes: int = 1, process: int = 0, drop_last: bool = False) -> StreamShare:
        """What one process reads, for a `DataLoader` with that `batch_size` and `drop_last`."""
        return StreamShare(self, batch_size, num_processes, process, drop_last)

    def rows(self, plan: StreamPlan, process: int, worker: int) -> Iterator[tuple[int, dict[str, Any]]]:
        """Rows of one worker in this epoch, by number."""
        runs = plan.runs(process, worker, self.epoch)
        in_order = (row for run in runs for row in self.stream.read(run.piece, run.start, run.stop))
        if self.shuffle_buffer is None:
            return in_order
        generator = np.random.default_rng((self._sampling.seed, self.epoch, process, worker))
        return _shuffled(in_order, self.shuffle_buffer, generator)

    @property
    def order_seed(self) -> int | None:
        """Chooses the order of the files, if it is not theirs."""
        return None if self.shuffle_buffer is None else self._sampling.seed


class StreamShare(torch.utils.data.IterableDataset):
    """The samples of one process; see [`StreamedData.share`]."""

    def __init__(self, data: StreamedData, batch_size: int, num_processes: int, process: int, drop_last: bool):
        self.data = data
        self.process = process
        self._plan_of = partial(StreamPlan, data.stream.sizes, batch_size, num_processes, drop_last=drop_last)

    def __len__(self) -> int:
        return self._plan_of().num_rows(self.process)

    def set_epoch(self, epoch: int) -> None:
        """Sets the epoch of the data."""
        self.data.set_epoch(epoch)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        worker = torch.utils.data.get_worker_info()
        number, workers = (0, 1) if worker is None else (worker.id, worker.num_workers)
        plan = self._plan_of(num_workers=workers, seed=self.data.order_seed)
        for index, row in self.data.rows(plan, self.process, number):
            yield self.data.sample(index, row)


def _shuffled(rows: Iterator[Any], size: int, generator: np.random.Generator) -> Iterator[Any]:
    """The rows in another order: each new one takes the place of a random one of the last `size`, which comes out."""
    buffer: list[Any] = []
    for row in rows:
        if len(buffer) < size:
            buffer.append(row)
            continue
        place = int(generator.integers(size))
        yield buffer[place]
        buffer[place] = row
    generator.shuffle(buffer)
    yield from buffer


__all__ = ["StreamShare", "StreamedData"]
