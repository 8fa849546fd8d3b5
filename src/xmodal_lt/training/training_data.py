"""Rows of a data set as a model's training samples, with randomness that a resumed run repeats."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import datasets
import torch
from PIL import Image
from torch import Tensor

from xmodal_lt.data import ClassCorpus, decode_image, read_features


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
        self.transform = transform
        self.corpus = corpus
        self.seed = seed
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
        # Shared memory: workers that outlive an epoch see the next one's number.
        self._epoch = torch.zeros(1, dtype=torch.int64).share_memory_()

    def __len__(self) -> int:
        return len(self._labels)

    @property
    def labels(self) -> list[Any]:
        """The label of every row, for samplers."""
        return self._labels

    def set_epoch(self, epoch: int) -> None:
        """Sets the epoch that the augmentation depends on."""
        self._epoch[0] = epoch

    @property
    def epoch(self) -> int:
        """The epoch that the augmentation depends on."""
        return int(self._epoch)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {**self.visual_sample(index), **self.annotations(index)}

    def annotations(self, index: int) -> dict[str, Any]:
        """Label, and words, privileged features or a sentence, of a row."""
        sample: dict[str, Any] = {self.label_column: self._labels[index]}
        if self._words is not None:
            sample["words"] = self._words[index]
        if self._privileged is not None:
            sample["privileged_features"] = read_features(self._privileged[index])
        if self.corpus is not None:
            sample["sentence"] = self.corpus.pick(self._labels[index], self._sample_seed(index))
        return sample

    def visual_sample(self, index: int) -> dict[str, Any]:
        """The `features` of a row with a video, else its image: augmented `pixel_values`, or the plain `image` without
        a transform."""
        if self._videos is not None:
            return {"features": read_features(self._videos[index])}
        assert self._images is not None  # a row has either
        row = self._images[index]
        image = decode_image(row["image"], row["image_id"])
        if self.transform is None:
            return {"image": image}
        with _seeded(self._sample_seed(index)):
            return {"pixel_values": self.transform(image)}

    def _sample_seed(self, index: int) -> int:
        prime = 1_000_003
        return ((self.seed * prime + self.epoch) * prime + index) % 2**63


def _references(dataset: datasets.Dataset, column: str) -> list[Any] | None:
    """References to features, read once: they are small."""
    return dataset[column][:] if column in dataset.column_names else None


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Torch's CPU generator at `seed` inside, and as it was afterwards.

    `torch.random.fork_rng` and `torch.manual_seed` do this for every device, which costs more than the augmentation.
    """
    state = torch.get_rng_state()
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(state)


class CachedFeatureData(torch.utils.data.Dataset):
    """[`TrainingData`] whose images are replaced by cached backbone features.

    Args:
        data (`TrainingData`): words and labels.
        features (array of shape `[V, N, D]`): V views of the N rows; epoch e reads view e modulo V.
    """

    def __init__(self, data: TrainingData, features: Any):
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


def evaluation_data(rows: datasets.Dataset, corpus: ClassCorpus | None = None) -> TrainingData:
    """A split as prediction sees it: plain images or videos and labels, nothing privileged.

    With a `corpus` each has a sentence too, for the loss of a stage that learns from them.
    """
    rows = rows.remove_columns([name for name in PRIVILEGED if name in rows.column_names])
    return TrainingData(rows, corpus=corpus)


def privileged_evaluation_data(rows: datasets.Dataset) -> TrainingData | None:
    """A split with its words or privileged features, for analysis; `None` where it lacks them."""
    if "privileged_features" in rows.column_names:
        return None if None in rows["privileged_features"][:] else TrainingData(rows)
    words = rows["words"][:] if "words" in rows.column_names else []
    return TrainingData(rows) if any(words) else None  # single images may go without words


__all__ = ["PRIVILEGED", "CachedFeatureData", "TrainingData", "evaluation_data", "privileged_evaluation_data"]
