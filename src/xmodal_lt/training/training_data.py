"""Rows of a data set as a model's training samples, with randomness that a resumed run repeats."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import datasets
import torch
from PIL import Image
from torch import Tensor

from xmodal_lt.data import ClassCorpus, read_features
from xmodal_lt.data.sharded_stream import ShardedStream

from .sampling import Sampling
from .streamed_data import StreamedData


Rows: TypeAlias = "datasets.Dataset | ShardedStream"  # of a split, as a table or a stream
PRIVILEGED = ("words", "privileged_features")  # columns that prediction does without


class TrainingData(torch.utils.data.Dataset):
    """Samples for training: an augmented image, or the features of a video, what is privileged, and the label.

    Augmentation depends on the seed, the epoch and the row alone, so it is the same with any number of workers or
    processes, and after a resume in the middle of an epoch.

    Args:
        dataset (`datasets.Dataset`): with the columns of `load_lt`.
        transform (`Callable[[PIL.Image.Image], Tensor]`, *optional*):
            From an image to float `[3, H, W]`; samples hold the plain image when absent.
        seed (`int`, *optional*, defaults to 0): of the augmentation and of the sentences.
        corpus (`ClassCorpus`, *optional*): of which each sample of a class gets a sentence, another one each epoch.
    """

    def __init__(
        self,
        dataset: datasets.Dataset,
        transform: Callable[[Image.Image], Tensor] | None = None,
        seed: int = 0,
        corpus: ClassCorpus | None = None,
    ):
        self._sampling = Sampling(transform, seed, corpus)
        self.label_column = "labels" if "labels" in dataset.column_names else "label"
        # The small columns are read once; images stay on disk until they are asked for.
        self._labels = dataset[self.label_column][:]
        self._words = dataset["words"][:] if "words" in dataset.column_names else None
        self._privileged = _references(dataset, "privileged_features")
        self._videos = None if "image" in dataset.column_names else dataset["features"][:]
        self._images: datasets.Dataset | None = None
        if self._videos is None:
            images = dataset.select_columns(["image", "image_id"])
            self._images = images.cast_column("image", datasets.Image(decode=False))

    def __len__(self) -> int:
        return len(self._labels)

    @property
    def labels(self) -> list[Any]:
        """The label of every row, for samplers."""
        return self._labels

    @property
    def transform(self) -> Callable[[Image.Image], Tensor] | None:
        """The augmentation."""
        return self._sampling.transform

    def set_epoch(self, epoch: int) -> None:
        """Sets the epoch that the augmentation depends on."""
        self._sampling.set_epoch(epoch)

    @property
    def epoch(self) -> int:
        """The epoch that the augmentation depends on."""
        return self._sampling.epoch

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {**self.visual_sample(index), **self.annotations(index)}

    def annotations(self, index: int) -> dict[str, Any]:
        """Label, and words, privileged features or a sentence, of a row."""
        sample: dict[str, Any] = {self.label_column: self._labels[index]}
        if self._words is not None:
            sample["words"] = self._words[index]
        if self._privileged is not None:
            sample["privileged_features"] = read_features(self._privileged[index])
        return {**sample, **self._sampling.sentence(index, self._labels[index])}

    def visual_sample(self, index: int) -> dict[str, Any]:
        """The `features` of a row with a video, else its image: augmented `pixel_values`, or the plain `image` without
        a transform."""
        if self._videos is not None:
            return {"features": read_features(self._videos[index])}
        assert self._images is not None  # a row has either
        row = self._images[index]
        return self._sampling.visual(index, row["image"], row["image_id"])


def _references(dataset: datasets.Dataset, column: str) -> list[Any] | None:
    """References to features, read once: they are small."""
    return dataset[column][:] if column in dataset.column_names else None


class CachedFeatureData(torch.utils.data.Dataset):
    """[`TrainingData`] whose images are replaced by cached backbone features.

    Args:
        data (`TrainingData` or `StreamedData`): words and labels.
        features (array of shape `[V, N, D]`): V views of the N rows; epoch e reads view e modulo V.
    """

    def __init__(self, data: TrainingData | StreamedData, features: Any):
        if features.shape[1] != len(data):
            raise ValueError(f"The feature cache holds {features.shape[1]} rows, the data set {len(data)}.")
        self.data = data
        self.features = features

    def __len__(self) -> int:
        return len(self.data)

    @property
    def labels(self) -> list[Any]:
        """The label of every row, for samplers."""
        return self.data.labels

    def set_epoch(self, epoch: int) -> None:
        """Sets the epoch, and with it the view."""
        self.data.set_epoch(epoch)

    def __getitem__(self, index: int) -> dict[str, Any]:
        view = self.data.epoch % len(self.features)
        return {"features": self.features[view, index], **self.data.annotations(index)}


def training_data(
    rows: Rows,
    transform: Callable[[Image.Image], Tensor] | None,
    seed: int,
    corpus: ClassCorpus | None,
    shuffle_buffer: int,
) -> TrainingData | StreamedData:
    """The training split as samples; of a stream, in an order of its own."""
    if isinstance(rows, ShardedStream):
        return StreamedData(rows, transform, seed, corpus, shuffle_buffer)
    return TrainingData(rows, transform, seed, corpus)


def evaluation_data(rows: Rows, corpus: ClassCorpus | None = None) -> TrainingData | StreamedData:
    """A split as prediction sees it: plain images or videos and labels, nothing privileged.

    With a `corpus` each has a sentence too, for the loss of a stage that learns from them.
    """
    privileged = [name for name in PRIVILEGED if name in rows.column_names]
    if isinstance(rows, ShardedStream):
        return StreamedData(rows.remove_columns(privileged), corpus=corpus)
    return TrainingData(rows.remove_columns(privileged), corpus=corpus)


def privileged_evaluation_data(rows: Rows) -> TrainingData | StreamedData | None:
    """A split with its words or privileged features, for analysis; `None` where it lacks them."""
    if isinstance(rows, ShardedStream):
        return StreamedData(rows) if _has_words(rows.annotations) else None
    if "privileged_features" in rows.column_names:
        return None if None in rows["privileged_features"][:] else TrainingData(rows)
    return TrainingData(rows) if _has_words(rows) else None


def _has_words(rows: datasets.Dataset) -> bool:
    """Whether any row has words: single images may go without."""
    return "words" in rows.column_names and any(rows["words"])


__all__ = [
    "PRIVILEGED",
    "CachedFeatureData",
    "Rows",
    "TrainingData",
    "evaluation_data",
    "privileged_evaluation_data",
    "training_data",
]
