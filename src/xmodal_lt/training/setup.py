"""From a recipe to the objects that a run needs: data, processor and model."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import torch
from huggingface_hub.errors import StrictDataclassFieldValidationError
from transformers import AutoImageProcessor, AutoTokenizer, PreTrainedTokenizerBase
from transformers.image_processing_utils import BaseImageProcessor

from xmodal_lt.data import ClassStats, dataset_spec, list_datasets, load_lt
from xmodal_lt.modeling.modeling_long_tail import LongTailPreTrainedModel
from xmodal_lt.modeling.vision_encoder import HF_PREFIX
from xmodal_lt.processing import (
    XModalLTImageProcessor,
    XModalProcessor,
    build_train_transform,
    build_word_tokenizer,
    image_processor_from_timm,
)
from xmodal_lt.registry import get_method

from .recipe import DatasetRecipe, ImagesRecipe, ModelRecipe, Recipe
from .validation_split import carve_validation


@dataclass(frozen=True)
class LongTailData:
    """The splits of a data set and what is known of its classes."""

    splits: datasets.DatasetDict
    stats: ClassStats
    problem_type: str

    @property
    def has_words(self) -> bool:
        return "words" in self.splits["train"].column_names


def load_data(recipe: DatasetRecipe, seed: int) -> LongTailData:
    """Loads the data set of a recipe, with a validation split and the statistics of its training classes.

    Raises:
        ValueError: as `load_lt`; for a class without a training sample.
    """
    splits = load_lt(
        recipe.name or str(recipe.path),
        data_dir=recipe.data_dir,
        image_column=recipe.image_column,
        words_column=recipe.words_column,
        label_column=recipe.label_column,
        missing_words=recipe.missing_words,
        bad_images=recipe.bad_images,
        **recipe.kwargs,
    )
    label_column = "labels" if "labels" in splits["train"].column_names else "label"
    spec = dataset_spec(recipe.name) if recipe.name in list_datasets() else None
    # Of the whole training split: what validation takes from it does not move a class to another group.
    stats = ClassStats.from_dataset(
        splits["train"],
        head=_first_given(recipe.head_threshold, spec.head if spec else 100),
        tail=_first_given(recipe.tail_threshold, spec.tail if spec else 20),
        boundaries=spec.boundaries if spec else "decoupling",
    ).require_all()
    if "validation" not in splits and recipe.validation_fraction > 0:
        labels = splits["train"][label_column][:]
        carved = carve_validation(splits["train"], labels, recipe.validation_fraction, seed)
        splits = datasets.DatasetDict({**splits, **carved})
    problem_type = "multi_label_classification" if label_column == "labels" else "single_label_classification"
    return LongTailData(splits, stats, problem_type)


def _first_given(value: int | None, default: int) -> int:
    return default if value is None else value


def build_model(
    recipe: Recipe, data: LongTailData, tokenizer: PreTrainedTokenizerBase | None
) -> LongTailPreTrainedModel:
    """Makes the model of a recipe: from its config and pretrained backbone, or from a checkpoint.

    Raises:
        ValueError: for a config field that the method does not have; for classes or words unlike the data's.
    """
    if recipe.model.checkpoint is not None:
        return _model_from_checkpoint(recipe.model, data, tokenizer)
    method = get_method(recipe.model.type)
    settings = dict(recipe.model.config)
    _check_fields(settings, method.config_class())
    _check_given_labels(settings, data)
    names = dict(enumerate(data.stats.class_names))
    settings |= {
        "id2label": names,
        "label2id": {name: index for index, name in names.items()},
        "problem_type": data.problem_type,
        "class_counts": data.stats.counts.tolist(),
        "num_samples": data.stats.num_samples,
    }
    if tokenizer is not None:
        settings.setdefault("vocab_size", len(tokenizer))
    with _naming_wrong_fields():
        config = method.config_class()(**settings)
    _check_vocabulary_size(config, tokenizer)
    model: LongTailPreTrainedModel = method.classifier_class()(config)
    if recipe.model.pretrained is not None:
        model.load_pretrained_backbone(recipe.model.pretrained)
    return model


def _model_from_checkpoint(
    recipe: ModelRecipe, data: LongTailData, tokenizer: PreTrainedTokenizerBase | None
) -> LongTailPreTrainedModel:
    if recipe.pretrained is not None:
        raise ValueError("model.checkpoint brings its own backbone weights; leave model.pretrained out.")
    method = get_method(recipe.type)
    settings = dict(recipe.config)
    _check_fields(settings, method.config_class())
    _check_given_labels(settings, data)
    config = _checkpoint_config(method.config_class(), str(recipe.checkpoint))
    if settings.get("backbone", config.backbone) != config.backbone:
        raise ValueError(
            f"The checkpoint has the backbone {config.backbone!r}, the recipe {settings['backbone']!r}; leave "
            "model.config.backbone out."
        )
    with _naming_wrong_fields():
        config = type(config).from_dict(config.to_dict() | settings)
    try:
        model: LongTailPreTrainedModel = method.classifier_class().from_pretrained(recipe.checkpoint, config=config)
    except RuntimeError as error:  # tensors of other shapes
        raise ValueError(
            f"The checkpoint's weights do not fit a model with {settings or 'its own config'}: {error} Leave out of "
            "model.config what changes shapes."
        ) from error
    classes = [model.config.id2label[index] for index in range(model.config.num_labels)]
    if classes != list(data.stats.class_names):
        raise ValueError(
            f"The checkpoint has {len(classes)} labels, {classes[:3]} first, and the data set "
            f"{data.stats.num_classes} classes, {list(data.stats.class_names[:3])} first; they must be the same in "
            "the same order."
        )
    _check_vocabulary_size(model.config, tokenizer)
    if tokenizer is not None and _saved_vocabulary(recipe.checkpoint) not in (None, tokenizer.get_vocab()):
        raise ValueError(
            "The checkpoint's words are not those of this training split; train on the data it came from."
        )
    model.config.class_counts = data.stats.counts.tolist()
    model.config.num_samples = data.stats.num_samples
    return model


def _checkpoint_config(config_class: Any, checkpoint: str) -> Any:
    folder = Path(checkpoint)
    if folder.is_dir() and not (folder / "config.json").is_file():
        raise ValueError(f"model.checkpoint={checkpoint} is no finished run: it has no config.json; finish it first.")
    try:
        return config_class.from_pretrained(checkpoint)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"model.checkpoint={checkpoint} is no folder of a finished run (train it first), and no model of that "
            f"name could be had from the Hub: {str(error).splitlines()[0]}"
        ) from error


def _saved_vocabulary(checkpoint: str | None) -> dict[str, int] | None:
    """The words of a checkpoint, or `None` for one of a single stage, which is saved without its tokenizer."""
    try:
        return AutoTokenizer.from_pretrained(checkpoint).get_vocab()
    except (OSError, ValueError):
        return None


def takes_words(model_type: str) -> bool:
    """Whether a method is trained with description words."""
    return "vocab_size" in _field_names(get_method(model_type).config_class())


def build_processor(
    recipe: Recipe, model: LongTailPreTrainedModel, tokenizer: PreTrainedTokenizerBase | None
) -> XModalProcessor | BaseImageProcessor:
    """The processor that is saved with the model: of images, and of words where the method takes them."""
    image_processor = _image_processor(recipe.images, model)
    return image_processor if tokenizer is None else XModalProcessor(image_processor, tokenizer)


def build_tokenizer(recipe: Recipe, data: LongTailData) -> PreTrainedTokenizerBase | None:
    """The word tokenizer of the training split, or `None` for methods without words.

    Raises:
        ValueError: when the method needs words and the data has none.
    """
    if not takes_words(recipe.model.type):
        return None
    if not data.has_words:
        raise ValueError(
            f"Model {recipe.model.type!r} learns from description words, but the data has no words column; name it "
            "with dataset.words_column, or train the baseline with model.type=lt_classifier."
        )
    return build_word_tokenizer(data.splits["train"], recipe.dataset.max_words)


def augmentation(images: ImagesRecipe, image_processor: BaseImageProcessor) -> Any:
    """The train-time transform of a recipe."""
    return build_train_transform(
        image_processor,
        crop_scale=_pair("crop_scale", images.crop_scale),
        horizontal_flip=images.horizontal_flip,
        rand_augment=_pair("rand_augment", images.rand_augment),
        color_jitter=images.color_jitter,
        random_erasing=images.random_erasing,
    )


def check_image_size(images: ImagesRecipe, model: LongTailPreTrainedModel) -> None:
    """Raises a `ValueError` when the backbone cannot take images of the recipe's size."""
    was_training = model.training
    try:
        with torch.inference_mode():
            model.eval().get_vision_encoder()(torch.zeros(1, 3, images.size, images.size))
    except (AssertionError, RuntimeError, ValueError) as error:
        raise ValueError(
            f"images.size={images.size} does not fit backbone {model.config.backbone!r}: {error}. Set images.size to "
            f"what the backbone takes, or model.config.backbone_kwargs.img_size={images.size} where timm allows it."
        ) from error
    finally:
        model.train(was_training)


def _pair(name: str, values: list[Any] | None) -> Any:
    if values is not None and len(values) != 2:
        raise ValueError(f"images.{name}={values} must be two values; see `build_train_transform`.")
    return None if values is None else tuple(values)


def _image_processor(images: ImagesRecipe, model: LongTailPreTrainedModel) -> BaseImageProcessor:
    """The backbone's own settings at the recipe's size, which is reached by a resize alone."""
    backbone = model.config.backbone
    if backbone.startswith(HF_PREFIX):
        own = AutoImageProcessor.from_pretrained(backbone.removeprefix(HF_PREFIX))
    else:
        own = image_processor_from_timm(model.get_vision_encoder().data_config())
    return XModalLTImageProcessor(
        size={"height": images.size, "width": images.size},
        resample=own.resample,
        image_mean=images.mean or own.image_mean,
        image_std=images.std or own.image_std,
    )


def _field_names(config_class: type) -> list[str]:
    return [field.name for field in dataclasses.fields(config_class)]


def _check_fields(settings: dict[str, Any], config_class: type) -> None:
    known = [*_field_names(config_class), "num_labels"]
    unknown = [name for name in settings if name not in known]
    if unknown:
        close = difflib.get_close_matches(unknown[0], known, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"model.config has no field {unknown[0]!r} in {config_class.__name__}.{hint}")


@contextmanager
def _naming_wrong_fields() -> Iterator[None]:
    try:
        yield
    except StrictDataclassFieldValidationError as error:
        raise ValueError(f"model.config: {error.__cause__}") from error


def _check_given_labels(settings: dict[str, Any], data: LongTailData) -> None:
    given = settings.pop("num_labels", data.stats.num_classes)
    if given != data.stats.num_classes:
        raise ValueError(
            f"model.config.num_labels={given}, but the data set has {data.stats.num_classes} classes; leave the field "
            "out, the data set sets it."
        )


def _check_vocabulary_size(config: Any, tokenizer: PreTrainedTokenizerBase | None) -> None:
    if tokenizer is not None and config.vocab_size != len(tokenizer):
        raise ValueError(
            f"The model's vocab_size is {config.vocab_size}, but the tokenizer of the training words has "
            f"{len(tokenizer)} entries; leave vocab_size out, or set dataset.max_words={config.num_words}."
        )


__all__ = [
    "LongTailData",
    "augmentation",
    "build_model",
    "build_processor",
    "build_tokenizer",
    "check_image_size",
    "load_data",
    "takes_words",
]
