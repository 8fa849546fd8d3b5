"""Export of the plain classifier in timm's own Hub format, which loads without this package."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import timm
import torch
from timm.models import save_for_hf
from torch import nn
from transformers.image_utils import PILImageResampling

from xmodal_lt.modeling.modeling_lt_classifier import ImageClassifier

from .exportable import TOLERANCE, image_size, inference_copy


__all__ = ["export_timm"]

_INTERPOLATIONS = {
    PILImageResampling.NEAREST: "nearest",
    PILImageResampling.BILINEAR: "bilinear",
    PILImageResampling.BICUBIC: "bicubic",
    PILImageResampling.LANCZOS: "lanczos",
}
# Of timm's own weights for the architecture, which these are not.
_OF_OTHER_WEIGHTS = ("tag", "license", "origin_url", "paper_ids", "paper_name", "notes")


def export_timm(model: Any, folder: str | Path, image_processor: Any | None = None) -> Path:
    """
    Write an [`ImageClassifier`] as timm's Hub format: `config.json` and `model.safetensors`.

    `timm.create_model("local-dir:FOLDER", pretrained=True)` loads it without this package, and from the Hub
    `timm.create_model("hf-hub:org/name", pretrained=True)`. Class scales are taken into the linear head.

    Args:
        model ([`ImageClassifier`]):
            With a timm backbone and a linear head; it stays as it is.
        folder (`str` or `Path`):
            Where the two files go; made if it is missing.
        image_processor (`BaseImageProcessor`, *optional*):
            What prepared the images of the training, for the `pretrained_cfg`; timm's own settings for the backbone
            without one.

    Returns:
        `Path`: The folder.

    Raises:
        ValueError: For a model, backbone or head that timm has no format for, for preprocessing that timm cannot
            express, and if timm's model gives other logits; nothing is written then.

    Example:

    ```python
    >>> from xmodal_lt import ImageClassifier, ImageClassifierConfig
    >>> from xmodal_lt.hub import export_timm

    >>> model = ImageClassifier(ImageClassifierConfig(backbone="resnet18", num_labels=10))
    >>> export_timm(model, "outputs/timm")  # doctest: +SKIP
    PosixPath('outputs/timm')
    ```
    """
    _check_exportable(model)
    data_config = {} if image_processor is None else _data_config(image_processor)
    twin = _twin(model)
    _check_logits(twin, model, image_size(model, image_processor))
    target = Path(folder)
    names = [model.config.id2label[index] for index in range(model.config.num_labels)]
    # timm writes in place: so to a folder beside the target, and then whole files are moved.
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target, prefix=".timm-") as unfinished:
        save_for_hf(twin, unfinished, {"label_names": names}, safe_serialization=True, data_config=data_config or None)
        for file in Path(unfinished).iterdir():
            file.replace(target / file.name)
    return target


def _check_exportable(model: Any) -> None:
    if not isinstance(model, ImageClassifier):
        kind = getattr(getattr(model, "config", None), "model_type", type(model).__name__)
        raise ValueError(
            f"timm's format holds a backbone and a linear layer, and so models of type lt_classifier, not {kind}; "
            "export this one to ONNX, or with its code (remote-code)."
        )
    config = model.config
    if not model.get_vision_encoder().is_timm:
        raise ValueError(
            f"Backbone {config.backbone!r} is not timm's; export to ONNX, or with the model's code (remote-code)."
        )
    if config.head != "linear":
        raise ValueError(
            f"timm's classifiers are linear, and head={config.head!r} is not; export to ONNX, or with the model's "
            "code (remote-code)."
        )
    if model.get_vision_encoder().reparameterized:
        raise ValueError(
            f"The branches of {config.backbone!r} were merged for prediction, and timm builds it with its branches; "
            "export the checkpoint from before."
        )


def _twin(model: ImageClassifier) -> Any:
    """timm's own model with the weights of the backbone and of the head."""
    config = model.config
    twin: Any = timm.create_model(
        config.backbone, pretrained=False, num_classes=config.num_labels, **(config.backbone_kwargs or {})
    )
    head = twin.get_classifier()
    if not isinstance(head, nn.Linear) or head.in_features != model.get_vision_encoder().hidden_size:
        raise ValueError(
            f"timm's {config.backbone} classifies by {type(head).__name__}, not by one linear layer on its pooled "
            "features; export to ONNX, or with the model's code (remote-code)."
        )
    # The backbone with its branches: those of `inference_state_dict` may be merged.
    backbone = model.get_vision_encoder().model.state_dict()
    name = next(name for name, module in twin.named_modules() if module is head)
    state_dict = model.inference_state_dict()
    weights = {f"{name}.{part}": state_dict[f"classifier.{part}"] for part in ("weight", "bias")}
    twin.load_state_dict(backbone | weights)
    twin.pretrained_cfg = {key: value for key, value in twin.pretrained_cfg.items() if key not in _OF_OTHER_WEIGHTS}
    return twin.float().eval()


@torch.no_grad()
def _check_logits(twin: nn.Module, model: ImageClassifier, size: tuple[int, int]) -> None:
    images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    expected = inference_copy(model)(pixel_values=images).logits
    difference = (twin(images) - expected).abs().max().item()
    if not difference <= TOLERANCE * max(1.0, expected.abs().max().item()):
        raise ValueError(
            f"timm's {model.config.backbone} with these weights gives other logits, by {difference:.2g}: it does more "
            "between the pooled features and its head; export to ONNX, or with the model's code (remote-code)."
        )


def _data_config(image_processor: Any) -> dict[str, Any]:
    """The settings of a processor as those of timm's transforms; the way back from `image_processor_from_timm`."""
    size, crop = image_processor.size, image_processor.crop_size if image_processor.do_center_crop else None
    edge = size["shortest_edge"]
    if not image_processor.do_resize or (edge and not crop):
        raise ValueError(
            "timm's transforms resize images to one size, and this processor does not; give it a size of height and "
            "width, or a center crop."
        )
    resized = (edge, edge) if edge else (size["height"], size["width"])
    height, width = (crop["height"], crop["width"]) if crop else resized
    if height * resized[1] != width * resized[0]:
        raise ValueError(f"timm's transforms keep the shape of a crop, and {height}x{width} of {resized} has another.")
    return {
        "input_size": (3, height, width),
        "interpolation": _INTERPOLATIONS[PILImageResampling(image_processor.resample)],
        "mean": tuple(image_processor.image_mean),
        "std": tuple(image_processor.image_std),
        "crop_pct": height / resized[0],
        "crop_mode": "center" if edge else "squash",
    }
