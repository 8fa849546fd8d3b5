"""A model as exporters take it: for prediction only, tensors in and tensors out; and the check of what they make."""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from xmodal_lt import __version__
from xmodal_lt.modeling.modeling_long_tail import LongTailPreTrainedModel


__all__ = ["TOLERANCE", "Exportable", "check_export", "export_metadata", "image_size", "inference_copy"]

TOLERANCE = 1e-4
_CHECKED_BATCHES = (1, 3)
_LONGEST_CHECKED = 9  # steps of videos
_VIDEO_INPUTS = ("features", "feature_mask")


class _Prediction(nn.Module):
    """The outputs of a model by their order, as a graph has no names of fields."""

    def __init__(self, model: nn.Module, outputs: Sequence[str]):
        super().__init__()
        self.model, self.outputs = model, outputs

    def _select(self, outputs: Any) -> tuple[Tensor, ...]:
        return tuple(outputs[name] for name in self.outputs)


class _ImagePrediction(_Prediction):
    def forward(self, pixel_values: Tensor) -> tuple[Tensor, ...]:
        return self._select(self.model(pixel_values=pixel_values))


class _VideoPrediction(_Prediction):
    def forward(self, features: Tensor, feature_mask: Tensor) -> tuple[Tensor, ...]:
        return self._select(self.model(features=features, feature_mask=feature_mask))


@dataclass(frozen=True)
class Exportable:
    """A module for prediction with the names and shapes of its inputs and outputs.

    Args:
        module (`nn.Module`): in eval mode, on the CPU; tensors in, a tuple of tensors out.
        axes (`dict[str, dict[int, str]]`): for each input its axes that vary, `batch` and, of videos, `steps`.
        outputs (`tuple[str, ...]`): `logits`, and `word_logits` where the model infers words.
        size (`tuple[int, ...]`): the image size, height and width; or the width of the features of videos.
        most_steps (`int`): of videos, the longest that the model takes, as far as the check goes.
    """

    module: nn.Module
    axes: dict[str, dict[int, str]]
    outputs: tuple[str, ...]
    size: tuple[int, ...]
    most_steps: int = _LONGEST_CHECKED

    @classmethod
    def from_model(cls, model: Any, image_processor: Any | None = None) -> Exportable:
        """Makes one of a model, which stays as it is.

        Args:
            model ([`LongTailPreTrainedModel`]): a classifier, in any stage, of any dtype, on any device.
            image_processor (`BaseImageProcessor`, *optional*): tells the image size; the backbone does without one.

        Raises:
            ValueError: for a model that is none of this package.
        """
        model = inference_copy(model)
        encoder = model.get_vision_encoder()
        settings: dict[str, Any] = {}
        module_class: type[_Prediction]
        if encoder.takes_features:
            module_class, axes = _VideoPrediction, {name: {0: "batch", 1: "steps"} for name in _VIDEO_INPUTS}
            settings["size"] = (encoder.model.input_size,)
            settings["most_steps"] = min(_LONGEST_CHECKED, getattr(encoder.model, "max_steps", _LONGEST_CHECKED))
        else:
            module_class, axes = _ImagePrediction, {"pixel_values": {0: "batch"}}
            settings["size"] = image_size(model, image_processor)
        infers_words = getattr(model.config, "num_words", None) is not None
        outputs = ("logits", "word_logits") if infers_words else ("logits",)
        return cls(module_class(model, outputs).eval(), axes, outputs, **settings)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of the inputs: `pixel_values`, or `features` and `feature_mask` of videos."""
        return tuple(self.axes)

    def random_inputs(self, batch: int) -> tuple[Tensor, ...]:
        """A batch of random images or videos, the same at each call; videos of several lengths."""
        generator = torch.Generator().manual_seed(batch)
        if "pixel_values" in self.axes:
            return (torch.randn(batch, 3, *self.size, generator=generator),)
        steps = min(batch + 4, self.most_steps)
        lengths = (steps - torch.arange(batch)).clamp_min(1)
        features = torch.randn(batch, steps, *self.size, generator=generator)
        return features, (torch.arange(steps) < lengths[:, None]).long()

    def export(self) -> torch.export.ExportedProgram:
        """The module as a graph by `torch.export`, for batches of any size; without the places of its source files.

        Raises:
            ValueError: when something of it cannot be put into a graph.
        """
        dynamic = {name: dict.fromkeys(axes, torch.export.Dim.DYNAMIC) for name, axes in self.axes.items()}
        try:
            with torch.no_grad(), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # an LSTM sets attributes of its own
                program = torch.export.export(self.module, self.random_inputs(2), dynamic_shapes=dynamic)
        except Exception as error:  # any, by what the graph cannot hold
            config: Any = self.module.model.config  # type: ignore[union-attr]
            raise ValueError(
                f"torch.export cannot make a graph of {config.model_type} with backbone {config.backbone!r} "
                f"({str(error).splitlines()[0]}); take another backbone."
            ) from error
        for graph_module in program.graph_module.modules():
            for node in getattr(getattr(graph_module, "graph", None), "nodes", ()):
                node.meta.pop("stack_trace", None)  # which names folders of this machine
        return program


def inference_copy(model: Any) -> LongTailPreTrainedModel:
    """A copy of a model without what only training needs, in float32, in eval mode, on the CPU.

    Raises:
        ValueError: for a model that is none of this package.
    """
    if not isinstance(model, LongTailPreTrainedModel):
        raise ValueError(
            f"{type(model).__name__} is no model of xmodal_lt; export it with the tools of its own library."
        )
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder, for_inference=True)
        copy = type(model).from_pretrained(folder, dtype=torch.float32)
    return copy.eval().requires_grad_(False)


def image_size(model: Any, image_processor: Any | None = None) -> tuple[int, int]:
    """Height and width of the images that a model predicts: what its processor gives, or its backbone was made for."""
    if image_processor is not None:
        for wanted, name in (("do_center_crop", "crop_size"), ("do_resize", "size")):
            size = getattr(image_processor, name, None) if getattr(image_processor, wanted, False) else None
            if size is not None and size["height"] and size["width"]:
                return size["height"], size["width"]
    encoder = model.get_vision_encoder()
    if encoder.is_timm:
        height, width = encoder.data_config()["input_size"][1:]
        return height, width
    size = (model.config.backbone_config or {}).get("image_size") or 224
    height, width = (size, size) if isinstance(size, int) else size
    return height, width


def export_metadata(
    model: Any, image_processor: Any | None = None, tokenizer: PreTrainedTokenizerBase | None = None
) -> dict[str, str]:
    """What a file without a config has to say of itself.

    Args:
        model ([`LongTailPreTrainedModel`]): the model.
        image_processor (`BaseImageProcessor` or `XModalFeatureExtractor`, *optional*): prepares its inputs.
        tokenizer (`PreTrainedTokenizerBase`, *optional*): knows the words that the model infers.

    Returns:
        `dict[str, str]`: `xmodal_lt_version`, `model_type`, `problem_type` and, as JSON, `labels`, a list in the order
        of the logits; `preprocessing`, the settings of the processor; `words`, in the order of the word logits.
    """
    config = model.config
    metadata = {
        "xmodal_lt_version": __version__,
        "model_type": config.model_type,
        "problem_type": config.problem_type,
        "labels": json.dumps([config.id2label[index] for index in range(config.num_labels)], ensure_ascii=False),
    }
    if image_processor is not None:
        metadata["preprocessing"] = json.dumps(json.loads(image_processor.to_json_string()))
    if tokenizer is not None and getattr(config, "num_words", None) is not None:
        words = tokenizer.convert_ids_to_tokens(list(range(config.num_special_tokens, config.vocab_size)))
        metadata["words"] = json.dumps(words, ensure_ascii=False)
    return metadata


def check_export(exportable: Exportable, predict: Callable[..., Sequence[Any]], what: str) -> None:
    """Compares an export with the model, on random inputs in batches of 1 and 3.

    Args:
        exportable ([`Exportable`]): the model.
        predict (`Callable`): the export, from the inputs to arrays in the order of the outputs.
        what (`str`): what an error calls it.

    Raises:
        ValueError: where an output differs by more than 1e-4, absolutely and relative to the largest value.
    """
    for batch, inputs in _batches(exportable):
        with torch.no_grad():
            expected = exportable.module(*inputs)
        for name, wanted, given in zip(exportable.outputs, expected, predict(*inputs), strict=True):
            difference = np.abs(wanted.numpy() - np.asarray(given)).max()
            limit = TOLERANCE * max(1.0, float(wanted.abs().max()))
            if not difference <= limit:  # nor if it is no number
                raise ValueError(
                    f"The {what} gives other {name} than the model, by {difference:.2g} in a batch of {batch} where "
                    f"{limit:.2g} are allowed; nothing was written. Please report it with the model's config.json."
                )


def _batches(exportable: Exportable) -> Iterator[tuple[int, tuple[Tensor, ...]]]:
    return ((batch, exportable.random_inputs(batch)) for batch in _CHECKED_BATCHES)
