"""From the data configuration of a timm model to an image processor."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from transformers.image_utils import PILImageResampling

from .image_processing_pil_xmodal_lt import XModalLTImageProcessorPil
from .image_processing_xmodal_lt import XModalLTImageProcessor


__all__ = ["image_processor_from_timm"]

BACKENDS: dict[str, type[XModalLTImageProcessor] | type[XModalLTImageProcessorPil]] = {
    "torchvision": XModalLTImageProcessor,
    "pil": XModalLTImageProcessorPil,
}
INTERPOLATIONS = {
    "nearest": PILImageResampling.NEAREST,
    "bilinear": PILImageResampling.BILINEAR,
    "bicubic": PILImageResampling.BICUBIC,
    "lanczos": PILImageResampling.LANCZOS,
}
REQUIRED_KEYS = ("input_size", "interpolation", "crop_pct", "mean", "std")


def image_processor_from_timm(
    data_config: Mapping[str, Any], backend: Literal["torchvision", "pil"] = "torchvision"
) -> XModalLTImageProcessor | XModalLTImageProcessorPil:
    """
    Makes the image processor that prepares images as timm's evaluation transform does.

    Args:
        data_config (`Mapping[str, Any]`):
            What `timm.data.resolve_model_data_config(model)` gives: `input_size` (3, H, W), `interpolation`,
            `crop_pct`, `mean`, `std`, and optionally `crop_mode` (`"center"`, the default, or `"squash"`).
        backend (`str`, *optional*, defaults to `"torchvision"`):
            `"torchvision"` or `"pil"`.

    Returns:
        [`XModalLTImageProcessor`] or [`XModalLTImageProcessorPil`]: with `crop_pct` turned into a resize to
        `floor(input_size / crop_pct)` and a center crop to `input_size`.

    Raises:
        ValueError: for a missing key, or a setting that an image processor cannot express.

    Example:

    ```python
    >>> import timm
    >>> from xmodal_lt.processing import image_processor_from_timm
    >>> model = timm.create_model("resnet18", pretrained=False)
    >>> image_processor_from_timm(timm.data.resolve_model_data_config(model)).crop_size["height"]
    224

    ```
    """
    missing = [key for key in REQUIRED_KEYS if key not in data_config]
    if missing:
        raise ValueError(
            f"`data_config` lacks {missing}, it has {sorted(data_config)}; pass what "
            "timm.data.resolve_model_data_config(model) gives."
        )
    return BACKENDS[_checked("backend", backend, BACKENDS)](
        resample=INTERPOLATIONS[_checked("interpolation", data_config["interpolation"], INTERPOLATIONS)],
        image_mean=list(data_config["mean"]),
        image_std=list(data_config["std"]),
        **_geometry(data_config),
    )


def _geometry(data_config: Mapping[str, Any]) -> dict[str, Any]:
    channels, height, width = data_config["input_size"]
    if channels != 3:
        raise ValueError(f"`input_size` must have 3 channels (RGB), got {tuple(data_config['input_size'])}.")
    crop_pct = data_config["crop_pct"]
    if not 0 < crop_pct <= 1:
        raise ValueError(f"`crop_pct` must be in (0, 1], got {crop_pct}.")
    crop_mode = _checked("crop_mode", data_config.get("crop_mode") or "center", ("center", "squash"))
    scaled_height, scaled_width = math.floor(height / crop_pct), math.floor(width / crop_pct)
    crop = {"do_center_crop": True, "crop_size": {"height": height, "width": width}}
    if crop_mode == "squash":
        return {"size": {"height": scaled_height, "width": scaled_width}, **crop}
    if height != width:
        raise ValueError(f"`crop_mode='center'` needs a square input, got {height}x{width}; set `crop_mode='squash'`.")
    return {"size": {"shortest_edge": scaled_height}, **crop}


def _checked(name: str, value: Any, allowed: Any) -> Any:
    if value not in allowed:
        raise ValueError(f"`{name}` must be one of {list(allowed)}, got {value!r}.")
    return value
