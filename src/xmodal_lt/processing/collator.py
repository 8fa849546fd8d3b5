"""From samples of a data set to a batch of tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import index
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import default_collate
from transformers import PreTrainedTokenizerBase
from transformers.image_processing_utils import BaseImageProcessor

from .feature_extraction_xmodal_lt import XModalFeatureExtractor
from .processing_xmodal_lt import XModalProcessor
from .word_tokenizer import encode_word_lists


__all__ = ["XModalCollator"]

DEFAULT_LABEL_COLUMNS = {"single_label_classification": "label", "multi_label_classification": "labels"}
PRECOMPUTED = ("features", "pixel_values")


@dataclass
class XModalCollator:
    r"""
    Makes the batch that every model takes: `pixel_values`, `input_ids`, `attention_mask`, `labels`; of videos
    `features` and `feature_mask` in place of `pixel_values`.

    Samples without a label column give a batch without `labels`, samples without a words column one without word ids.
    Where samples hold vectors as `features` (encoded images, from a feature cache) or `pixel_values` (images that the
    data set has transformed), these are stacked and no image is read. Sequences [T, D] as `features`, and as
    `privileged_features`, are padded.

    Args:
        processor ([`XModalProcessor`], an image processor or [`XModalFeatureExtractor`]):
            Prepares images and words, or videos; with one that is not an [`XModalProcessor`], words are left out
            unless there is a `tokenizer`.
        transform (`Callable[[PIL.Image.Image], torch.Tensor]`, *optional*):
            Takes the place of the image processor: one image to float [3, H, W], normalised. For training, made by
            [`build_train_transform`].
        problem_type (`str`, *optional*, defaults to `"single_label_classification"`):
            `"single_label_classification"`: a sample's label is a class id. `"multi_label_classification"`: it is a
            list of class ids, made into a multi-hot row.
        num_labels (`int`, *optional*):
            Number of classes. Needed for multi-label; for single-label, class ids are checked against it.
        image_column (`str`, *optional*, defaults to `"image"`):
            Column with the images (decoded PIL images of any mode).
        words_column (`str`, *optional*, defaults to `"words"`):
            Column with the lists of words; `None` in it is an empty list.
        label_column (`str`, *optional*):
            Column with the labels: `"label"` for single-label, `"labels"` for multi-label by default.
        tokenizer (`PreTrainedTokenizerBase`, *optional*):
            Of the words, where the processor has none.
        encode_sentences (`Callable[[list[str]], dict[str, torch.Tensor]]`, *optional*):
            Gives `input_ids` and `attention_mask` of the samples' `"sentence"`, where they have one.

    Example:

    ```python
    >>> from PIL import Image
    >>> from xmodal_lt.processing import XModalCollator, XModalLTImageProcessor
    >>> collator = XModalCollator(XModalLTImageProcessor(size={"height": 64, "width": 64}))
    >>> batch = collator([{"image": Image.new("RGB", (72, 72)), "label": 3}])
    >>> {name: tuple(tensor.shape) for name, tensor in batch.items()}
    {'pixel_values': (1, 3, 64, 64), 'labels': (1,)}

    ```
    """

    processor: XModalProcessor | BaseImageProcessor | XModalFeatureExtractor
    transform: Callable[[Image.Image], torch.Tensor] | None = None
    problem_type: str = "single_label_classification"
    num_labels: int | None = None
    image_column: str = "image"
    words_column: str = "words"
    label_column: str | None = None
    tokenizer: PreTrainedTokenizerBase | None = None
    encode_sentences: Callable[[list[str]], dict[str, torch.Tensor]] | None = None

    def __post_init__(self) -> None:
        if self.problem_type not in DEFAULT_LABEL_COLUMNS:
            raise ValueError(
                f"`problem_type` must be one of {list(DEFAULT_LABEL_COLUMNS)}, got {self.problem_type!r}."
            )
        if self.problem_type == "multi_label_classification" and self.num_labels is None:
            raise ValueError("Multi-hot labels need a width: set `num_labels` to the number of classes.")

    def __call__(self, features: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        first = features[0]
        batch = self._visuals(features)
        if "privileged_features" in first:
            batch |= self._sequences(features, "privileged_features")
        if "sentence" in first and self.encode_sentences is not None:
            batch |= self.encode_sentences(_column(features, "sentence"))
        elif self.words_column in first:
            batch |= self._words(features)
        label_column = self.label_column or DEFAULT_LABEL_COLUMNS[self.problem_type]
        if label_column in first:
            batch["labels"] = self._labels(_column(features, label_column))
        return batch

    def _visuals(self, samples: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        ready = next((name for name in PRECOMPUTED if name in samples[0]), None)
        if ready is None:
            return self._images(samples)
        if ready == "features" and np.ndim(samples[0][ready]) == 2:
            return self._sequences(samples, ready)
        return {ready: _stack(samples, ready)}

    def _sequences(self, samples: Sequence[Mapping[str, Any]], name: str) -> dict[str, torch.Tensor]:
        if not isinstance(self.processor, XModalFeatureExtractor):
            raise ValueError(
                f"The samples hold sequences of features as {name!r}, which need an XModalFeatureExtractor as "
                f"processor, not a {type(self.processor).__name__}."
            )
        return dict(self.processor(**{name: _column(samples, name)}, return_tensors="pt"))

    def _words(self, samples: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        words = [() if sample is None else sample for sample in _column(samples, self.words_column)]
        if isinstance(self.processor, XModalProcessor):
            encoded = self.processor.encode_words(words)
        elif self.tokenizer is not None:
            encoded = encode_word_lists(self.tokenizer, words)
        else:
            return {}
        return {name: torch.tensor(rows) for name, rows in encoded.items()}

    def _images(self, samples: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        images = _column(samples, self.image_column)
        if any(image is None for image in images):
            raise ValueError(f"A sample of the batch has no image ({self.image_column!r} is None); filter it out.")
        if self.transform is not None:
            return {"pixel_values": torch.stack([self.transform(image) for image in images])}
        processor = self.processor
        if isinstance(processor, XModalFeatureExtractor):
            raise ValueError("The samples hold images, but the processor is an XModalFeatureExtractor, of videos.")
        image_processor = processor.image_processor if isinstance(processor, XModalProcessor) else processor
        return {"pixel_values": image_processor(images=images, return_tensors="pt")["pixel_values"]}

    def _labels(self, labels: list[Any]) -> torch.Tensor:
        if self.problem_type == "single_label_classification":
            return torch.tensor([self._class_id(label) for label in labels])
        assert self.num_labels is not None  # checked in __post_init__
        multi_hot = torch.zeros(len(labels), self.num_labels)
        for row, class_ids in zip(multi_hot, labels, strict=True):
            if not isinstance(class_ids, list | tuple | np.ndarray | torch.Tensor):
                raise TypeError(f"A multi-label sample needs a list of class ids, got {class_ids!r}.")
            row[[self._class_id(class_id) for class_id in class_ids]] = 1.0
        return multi_hot

    def _class_id(self, label: Any) -> int:
        try:
            class_id = index(label)
        except TypeError:
            raise TypeError(
                f"A class id must be an integer, got {label!r}; where samples have lists of class ids, set "
                "`problem_type='multi_label_classification'`."
            ) from None
        if class_id < 0 or (self.num_labels is not None and class_id >= self.num_labels):
            raise ValueError(f"Class id {class_id} is not in [0, num_labels), with num_labels={self.num_labels}.")
        return class_id


def _column(samples: Sequence[Mapping[str, Any]], name: str) -> list[Any]:
    for position, sample in enumerate(samples):
        if name not in sample:
            raise ValueError(f"Sample {position} of the batch has no column {name!r}, only {sorted(sample)}.")
    return [sample[name] for sample in samples]


def _to_float32(row: Any) -> torch.Tensor:
    # A copy of what is no tensor, as the rows of a feature cache cannot be written to, of which torch would warn.
    return row.float() if isinstance(row, torch.Tensor) else torch.tensor(np.asarray(row, dtype=np.float32))


def _stack(samples: Sequence[Mapping[str, Any]], name: str) -> torch.Tensor:
    rows = [_to_float32(row) for row in _column(samples, name)]
    shapes = sorted({tuple(row.shape) for row in rows})
    if len(shapes) > 1:
        raise ValueError(f"The {name!r} of a batch must be of one shape, got {shapes}.")
    return default_collate(rows)  # in a worker straight into the memory that it shares
