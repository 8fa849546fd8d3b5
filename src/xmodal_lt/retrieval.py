"""Retrieval of images by phrases, with a saved VL-LTR model: which concepts its space of images and text knows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL.Image import Image
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from xmodal_lt.analysis import plot_retrieval, retrieve_images
from xmodal_lt.data import decode_image
from xmodal_lt.modeling.sentence_encoder import tokenize_sentences
from xmodal_lt.prediction import Predictor, split_revision
from xmodal_lt.training.evaluate_checkpoint import load_data_of_run, rows_of_split
from xmodal_lt.training.histories import short_names
from xmodal_lt.training.setup import LongTailData
from xmodal_lt.training.training_data import TrainingData


@dataclass(frozen=True)
class Retrieval:
    """The images that models find for phrases, the most similar first.

    Args:
        phrases (`list[str]`): P phrases.
        names (`dict[str, list[list[str]]]`):
            By model, for each phrase, what its k images are called: their paths, or their `image_id` in a split.
        scores (`dict[str, numpy.ndarray]`): cosines `[P, k]` by model.
        images (`dict[str, list[list[PIL.Image.Image]]]`): the images themselves, in the order of `names`.
    """

    phrases: list[str]
    names: dict[str, list[list[str]]]
    scores: dict[str, np.ndarray]
    images: dict[str, list[list[Image]]]

    def rows(self) -> Iterator[dict[str, Any]]:
        """One row for each image that was found: `phrase`, `model`, `rank` from 1, `score` and `image`."""
        for index, phrase in enumerate(self.phrases):
            for model, names in self.names.items():
                ranked = zip(names[index], self.scores[model][index].tolist(), strict=True)
                for rank, (name, score) in enumerate(ranked, start=1):
                    yield {"phrase": phrase, "model": model, "rank": rank, "score": score, "image": name}

    def plot(self, title: str | None = None) -> Figure:
        """The figure of all images, see [`plot_retrieval`]."""
        return plot_retrieval(self.phrases, self.images, self.scores, title=title)


def retrieve(
    model: str,
    phrases: Sequence[str],
    images: Iterable[str | Path] | None = None,
    *,
    dataset: str | None = None,
    split: str | None = None,
    top_k: int = 5,
    baseline: str | None = None,
    batch_size: int = 64,
    device: str | torch.device | None = None,
    bad_images: Literal["error", "skip"] = "error",
) -> Retrieval:
    """Finds the images with the greatest cosine similarity to phrases, among files or in a split of a data set.

    Args:
        model (`str`): folder of a VL-LTR run, or a Hub id, with its text encoder and tokenizer.
        phrases (`Sequence[str]`): at least one, such as `"a spotted animal"`.
        images (`Iterable[str | Path]`, *optional*): files, or folders that are searched for images.
        dataset (`str`, *optional*):
            Data set name or path, in place of `images`; the one in the run's `recipe.yaml` when both are absent.
        split (`str`, *optional*): which of its splits; `"test"` when absent.
        top_k (`int`, *optional*, defaults to 5): images for each phrase; all, if there are fewer.
        baseline (`str`, *optional*): another such model, to compare with.
        batch_size (`int`, *optional*, defaults to 64): images at a time.
        device (`str` or `torch.device`, *optional*): the accelerator when there is one, else the CPU.
        bad_images (`str`, *optional*, defaults to `"error"`):
            Or `"skip"`, to warn of files that are no images and go on.

    Returns:
        [`Retrieval`]: by the names of the models' folders.

    Raises:
        ValueError: for a model without a text encoder, blank phrases, images beside a data set, numbers below 1, or an
            unreadable image.
        OSError: when there is no such model or image, or the model has no tokenizer beside it.

    Source:
        VL-LTR, section 4.6 and figure 6.

    Example:

    ```python
    >>> from xmodal_lt.retrieval import retrieve

    >>> found = retrieve("outputs/vl_ltr_emoji_lt", ["a spotted animal", "a stick"])  # doctest: +SKIP
    >>> found.plot().savefig("retrieval.png")  # doctest: +SKIP
    ```
    """
    phrases = list(phrases)
    if not phrases or not all(phrase.strip() for phrase in phrases):
        raise ValueError(f"Expected one or more phrases, none of them blank; got {phrases}.")
    for name, number in {"top_k": top_k, "batch_size": batch_size}.items():
        if number < 1:
            raise ValueError(f"{name}={number} must be at least 1.")
    if images is not None and (dataset is not None or split is not None):
        raise ValueError("Give either images or a data set and its split, and not both.")
    own = _JointSpace.from_pretrained(model, device)
    paths = [Path(name).resolve() for name in (model, baseline) if name is not None]
    labels = short_names(list(dict.fromkeys(paths)))  # a model may be its own baseline
    spaces = {labels[0]: own}
    if baseline is not None:
        device = own.predictor.model.device
        spaces[f"{labels[-1]} (baseline)"] = _JointSpace.from_pretrained(baseline, device)
    if images is None:
        source = _split_source(load_data_of_run(model, dataset, as_table=True), split or "test", batch_size)
    else:
        source = _Source(own.predictor.read_files(images, batch_size, bad_images), name=str, read=decode_image)
    keys, image_embeds = _embed_all(source, spaces)
    retrieval = Retrieval(phrases, {}, {}, {})
    for label, space in spaces.items():
        scores, indices = retrieve_images(space.embed_phrases(phrases), image_embeds[label], top_k)
        found = [[keys[index] for index in of_phrase] for of_phrase in indices]
        retrieval.scores[label] = scores
        retrieval.names[label] = [list(map(source.name, of_phrase)) for of_phrase in found]
        retrieval.images[label] = [list(map(source.read, of_phrase)) for of_phrase in found]
    return retrieval


@dataclass(frozen=True)
class _JointSpace:
    """A model that embeds images and phrases in one space."""

    predictor: Predictor
    tokenizer: PreTrainedTokenizerBase

    @classmethod
    def from_pretrained(cls, name: str, device: str | torch.device | None) -> _JointSpace:
        predictor = Predictor.from_pretrained(name, device)
        config: Any = predictor.model.config
        if config.model_type != "vl_ltr":
            raise ValueError(
                f"{name!r} is a model of type {config.model_type!r}, which embeds no phrases; give a VL-LTR run."
            )
        if config.text_backbone is None:
            raise ValueError(
                f"{name!r} holds no text encoder to embed phrases with. Give the own folder of a run with "
                "model.config.text_backbone, not a model that was saved with for_inference=True."
            )
        if predictor.model.get_vision_encoder().takes_features:
            raise ValueError(f"{name!r} takes videos as features, which cannot be shown; give a model of images.")
        repo, options = split_revision(name)
        try:
            tokenizer = AutoTokenizer.from_pretrained(repo, **options)
        except (OSError, ValueError) as error:
            raise OSError(f"{name!r} holds no tokenizer; give the folder of a finished run, which does.") from error
        return cls(predictor, tokenizer)

    @torch.inference_mode()
    def embed_phrases(self, phrases: Sequence[str]) -> Tensor:
        """`[P, D]`, not normalised."""
        model: Any = self.predictor.model
        inputs = tokenize_sentences(self.tokenizer, phrases, model.config.max_tokens)
        return model.base_model.encode_text(**{name: tensor.to(model.device) for name, tensor in inputs.items()})

    @torch.inference_mode()
    def embed_images(self, images: Sequence[Image]) -> Tensor:
        """`[B, D]`, not normalised, on the CPU in float32."""
        model: Any = self.predictor.model
        image_processor: Any = self.predictor.image_processor
        inputs = image_processor(list(images), return_tensors="pt")
        return model.base_model.embed_images(inputs["pixel_values"].to(model.device)).float().cpu()


@dataclass(frozen=True)
class _Source:
    """Where images come from.

    Args:
        batches (`Iterable[list[tuple[Any, PIL.Image.Image]]]`): all of them once, each with its key.
        name (`Callable[[Any], str]`): what the image of a key is called.
        read (`Callable[[Any], PIL.Image.Image]`): the image of a key once more.
    """

    batches: Iterable[list[tuple[Any, Image]]]
    name: Callable[[Any], str]
    read: Callable[[Any], Image]


def _split_source(data: LongTailData, split: str, batch_size: int) -> _Source:
    """The images of a split; their keys are row numbers."""
    rows_of_split(data, split)  # which names the splits there are, if it is none
    if data.has_videos:
        raise ValueError("The samples of the data set are videos, of which there are features alone; give images.")
    samples, ids = TrainingData(data.splits[split]), data.splits[split]["image_id"][:]

    def read(index: int) -> Image:
        return samples.visual_sample(index)["image"]

    numbers = range(len(samples))
    parts = (numbers[start : start + batch_size] for start in numbers[::batch_size])
    return _Source(([(index, read(index)) for index in part] for part in parts), ids.__getitem__, read)


def _embed_all(source: _Source, spaces: Mapping[str, _JointSpace]) -> tuple[list[Any], dict[str, Tensor]]:
    """The keys of all images, and their embeddings `[N, D]` by model; each image is read once for all models."""
    keys: list[Any] = []
    embeds: dict[str, list[Tensor]] = {label: [] for label in spaces}
    for batch in source.batches:
        keys.extend(key for key, _ in batch)
        images = [image for _, image in batch]
        for label, space in spaces.items():
            embeds[label].append(space.embed_images(images))
    if not keys:
        raise ValueError("None of the images can be read.")
    return keys, {label: torch.cat(parts) for label, parts in embeds.items()}


__all__ = ["Retrieval", "retrieve"]
