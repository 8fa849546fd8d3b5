"""How the images or videos of a run are prepared: its processor, augmentation, and the checks of both."""

from __future__ import annotations

from typing import Any, TypeAlias

import torch
from transformers import AutoImageProcessor, PreTrainedTokenizerBase
from transformers.image_processing_utils import BaseImageProcessor

from xmodal_lt.modeling.modeling_long_tail import LongTailPreTrainedModel
from xmodal_lt.modeling.vision_encoder import HF_PREFIX
from xmodal_lt.processing import (
    XModalFeatureExtractor,
    XModalLTImageProcessor,
    XModalProcessor,
    build_train_transform,
    image_processor_from_timm,
)

from .checkpoint import recipe_of_stage, saved_image_processor
from .recipe import ImagesRecipe, Recipe


ImageProcessor: TypeAlias = "BaseImageProcessor | XModalFeatureExtractor"
Processor: TypeAlias = "XModalProcessor | ImageProcessor"


def build_processor(
    recipe: Recipe, model: LongTailPreTrainedModel, tokenizer: PreTrainedTokenizerBase | None
) -> Processor:
    """The processor that is saved with the model: of images, and of words where the method takes them; of videos
    alone, beside which their tokenizer is saved by itself."""
    if model.get_vision_encoder().takes_features:
        return _feature_extractor(model)
    image_processor = _image_processor(recipe.images, model)
    return image_processor if tokenizer is None else XModalProcessor(image_processor, tokenizer)


def _feature_extractor(model: LongTailPreTrainedModel) -> XModalFeatureExtractor:
    visual = model.get_vision_encoder().model
    privileged = getattr(model.base_model, "semantic_encoder", None)  # of words, for some models: without these sizes
    return XModalFeatureExtractor(
        visual.input_size,
        getattr(privileged, "input_size", None),
        max_steps=getattr(visual, "max_steps", None),
        privileged_max_steps=getattr(privileged, "max_steps", None),
    )


def image_part(processor: Processor) -> ImageProcessor:
    """What prepares images or videos: a processor itself, or the part of one that takes words too."""
    return getattr(processor, "image_processor", processor)


def augmentation(images: ImagesRecipe, processor: ImageProcessor) -> Any:
    """The train-time transform of a recipe; `None` for videos, which have none."""
    if isinstance(processor, XModalFeatureExtractor):
        return None
    return build_train_transform(
        processor,
        crop_scale=_pair("crop_scale", images.crop_scale),
        horizontal_flip=images.horizontal_flip,
        cutout=images.cutout,
        rand_augment=_pair("rand_augment", images.rand_augment),
        color_jitter=images.color_jitter,
        random_erasing=images.random_erasing,
    )


def check_image_size(images: ImagesRecipe, model: LongTailPreTrainedModel) -> None:
    """Raises a `ValueError` when an image backbone cannot take images of the recipe's size."""
    if model.get_vision_encoder().takes_features:
        return
    was_training = model.training
    try:
        with torch.inference_mode():
            model.eval().try_images(torch.zeros(1, 3, images.size, images.size))
    except (AssertionError, RuntimeError, ValueError) as error:
        raise ValueError(
            f"images.size={images.size} does not fit backbone {model.config.backbone!r}: {error}. Set images.size to "
            f"what the backbone takes, or model.config.backbone_kwargs.img_size={images.size} where timm allows it."
        ) from error
    finally:
        model.train(was_training)


def check_checkpoint_images(recipe: Recipe, model: LongTailPreTrainedModel, given: ImageProcessor) -> None:
    """Checks that images are prepared as they were for the checkpoint that the run starts from, if that is known.

    Args:
        recipe (`Recipe`): of the run.
        model (`LongTailPreTrainedModel`): its model, made from the checkpoint.
        given (`BaseImageProcessor`): its image processor; videos are not prepared in any way.

    Raises:
        ValueError: for another size, mean, standard deviation or resampling filter.
    """
    checkpoint = recipe.model.checkpoint
    if checkpoint is None or isinstance(given, XModalFeatureExtractor):
        return
    saved = saved_image_processor(checkpoint)
    if saved is None and (earlier := recipe_of_stage(checkpoint)) is not None:
        saved = _image_processor(earlier.images, model)
    if saved is None:
        return
    before, now = _preparation(saved), _preparation(given)
    differing = [name for name in now if before[name] != now[name]]
    if differing:
        was, would_be = (", ".join(f"{name}={each[name]}" for name in differing) for each in (before, now))
        raise ValueError(
            f"model.checkpoint={checkpoint} was trained on images with {was}, and this recipe prepares them with "
            f"{would_be}; set images.size, images.mean and images.std to the checkpoint's, or start from another."
        )


def _preparation(processor: BaseImageProcessor) -> dict[str, Any]:
    """How a processor prepares images, as plain values."""
    return {
        "size": dict(processor.size),
        "mean": list(processor.image_mean),
        "std": list(processor.image_std),
        "resample": int(processor.resample),
    }


def _pair(name: str, values: list[Any] | None) -> Any:
    if values is not None and len(values) != 2:
        raise ValueError(f"images.{name}={values} must be two values; see `build_train_transform`.")
    return None if values is None else tuple(values)


def _image_processor(images: ImagesRecipe, model: LongTailPreTrainedModel) -> BaseImageProcessor:
    """The backbone's own settings at the recipe's size, which is reached by a resize alone."""
    backbone = model.config.backbone
    if backbone.startswith(HF_PREFIX):
        own = _transformers_processor(backbone.removeprefix(HF_PREFIX), images)
    else:
        own = image_processor_from_timm(model.get_vision_encoder().data_config())
    return XModalLTImageProcessor(
        size={"height": images.size, "width": images.size},
        resample=own.resample,
        image_mean=images.mean or own.image_mean,
        image_std=images.std or own.image_std,
    )


def _transformers_processor(source: str, images: ImagesRecipe) -> BaseImageProcessor:
    """The backbone's own, or the package's where it has none and the recipe says what is needed of it.

    Raises:
        ValueError: when it has none, and the recipe lacks mean or standard deviation.
    """
    try:
        return AutoImageProcessor.from_pretrained(source)
    except OSError as error:
        if images.mean is not None and images.std is not None:
            return XModalLTImageProcessor()
        raise ValueError(
            f"{source!r} has no preprocessor_config.json, which says how its images are normalised; set images.mean "
            f"and images.std, or save its image processor there. {error}"
        ) from error


__all__ = [
    "augmentation",
    "build_processor",
    "check_checkpoint_images",
    "check_image_size",
    "image_part",
]
