"""Training pictures by what the encoder of a model sees in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL.Image import Image
from torch import Tensor
from tqdm.auto import tqdm

from xmodal_lt.analysis.concept_retrieval import retrieve_images
from xmodal_lt.analysis.feature_spaces import feature_spaces
from xmodal_lt.prediction import Predictor
from xmodal_lt.training.evaluate_checkpoint import load_data_of_run
from xmodal_lt.training.training_data import TrainingData


__all__ = ["PictureIndex"]

_SPACE = "visual"  # which every method has
_BATCH_SIZE = 64


@dataclass(frozen=True)
class PictureIndex:
    """
    Pictures that can be found by their likeness. Make one with [`PictureIndex.build`].

    Args:
        samples ([`TrainingData`]):
            The pictures, which are read when they are found.
        features (`np.ndarray`):
            A row for each, shape [N, D].
        class_names (`list[str]`):
            Names of the classes.
    """

    samples: TrainingData
    features: np.ndarray
    class_names: list[str]

    @classmethod
    def build(cls, predictor: Predictor, model: str, dataset: str) -> PictureIndex:
        """
        Encode all training pictures of a data set, which takes a while for a large one.

        Args:
            predictor ([`Predictor`]):
                The model.
            model (`str`):
                Its folder or Hub id: the data are read as its run read them.
            dataset (`str`):
                Name or path of the data set.

        Returns:
            [`PictureIndex`]

        Raises:
            ValueError: As `load_lt`, and for a data set of videos.
        """
        data = load_data_of_run(model, dataset, as_table=True)
        if data.has_videos:
            raise ValueError(
                f"the samples of {dataset!r} are videos, which cannot be shown; give a data set of images"
            )
        samples = TrainingData(data.splits["train"])
        parts = []
        for start in tqdm(range(0, len(samples), _BATCH_SIZE), desc="Indexing training pictures", unit="batch"):
            rows = range(start, min(start + _BATCH_SIZE, len(samples)))
            image_processor: Any = predictor.image_processor
            batch = image_processor([samples.visual_sample(row)["image"] for row in rows], return_tensors="pt")
            parts.append(_features(predictor.model, batch["pixel_values"]))
        return cls(samples, np.concatenate(parts), list(data.stats.class_names))

    def most_similar(self, model: Any, pixel_values: Tensor, count: int) -> list[tuple[Image, str]]:
        """
        Find the pictures with the greatest cosine similarity to an image.

        Args:
            model (`LongTailPreTrainedModel`):
                The one that the index was built with.
            pixel_values (`Tensor`):
                The image, `[1, 3, H, W]`.
            count (`int`):
                How many; all, if there are fewer.

        Returns:
            `list[tuple[PIL.Image.Image, str]]`: The pictures and the names of their classes, the most similar first.
        """
        _, (found,) = retrieve_images(_features(model, pixel_values), self.features, count)
        return [(self.samples.visual_sample(index)["image"], self._classes_of(index)) for index in found.tolist()]

    def _classes_of(self, index: int) -> str:
        labels = self.samples.labels[index]
        return ", ".join(self.class_names[label] for label in (labels if isinstance(labels, list) else [labels]))


def _features(model: Any, pixel_values: Tensor) -> np.ndarray:
    return feature_spaces(model, [{"pixel_values": pixel_values}])[_SPACE]
