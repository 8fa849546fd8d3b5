"""Where Grad-CAM looks inside a backbone, and how what it finds there becomes a map of places."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..modeling.vision_encoder import VisionEncoder


__all__ = ["CamTarget", "cam_target"]

_FIRST_NORM = re.compile(r".*\.(norm1|layer_norm1|layernorm_before)")  # of a transformer block, by several names
_STAGE = re.compile(r".*\bstages\.\d+")
_OTHERS = "Choose a backbone such as resnet50, a ViT or a Swin"


@dataclass(frozen=True)
class CamTarget:
    """
    A layer of a backbone whose output has places.

    Args:
        layer (`torch.nn.Module`):
            The layer.
        channels_last (`bool`):
            Whether its maps are `[B, H, W, C]` and not `[B, C, H, W]`.
        aspect (`float`):
            Height over width of the images, from which the grid of tokens `[B, N, C]` is found.
        places (`int`, *optional*):
            How many of the tokens, the last ones, are patches of the image.
    """

    layer: nn.Module
    channels_last: bool
    aspect: float
    places: int | None = None

    def as_map(self, activations: Any) -> Tensor:
        """
        Bring the layer's output, or its gradient, into one form.

        Args:
            activations (`Tensor`):
                Tokens `[B, N, C]`, or a map in the order that `channels_last` says.

        Returns:
            `Tensor`: `[B, C, H, W]` in float32 or wider.

        Raises:
            ValueError: If it is neither, or if its tokens fill no grid of the images' shape.
        """
        if not isinstance(activations, Tensor) or activations.ndim not in (3, 4):
            raise ValueError(f"the backbone's last layer gives no single map of features. {_OTHERS}")
        if activations.dtype.itemsize < 4:
            activations = activations.float()
        if activations.ndim == 4:
            return activations.permute(0, 3, 1, 2) if self.channels_last else activations
        tokens = activations if self.places is None else activations[:, -self.places :]
        height = round((tokens.shape[1] * self.aspect) ** 0.5)
        if height == 0 or tokens.shape[1] % height:
            raise ValueError(f"the backbone's {tokens.shape[1]} tokens fill no grid of the image's shape. {_OTHERS}")
        return tokens.unflatten(1, (height, -1)).permute(0, 3, 1, 2)


def cam_target(encoder: VisionEncoder, images: Tensor) -> CamTarget:
    """
    Choose the layer for Grad-CAM.

    Of a CNN, or of a transformer with stages such as Swin, it is the last stage. Of a ViT it is the first norm of the
    last block: from there on the class token reads the patches, which in the output of the block have no say any more.

    Args:
        encoder ([`VisionEncoder`]):
            Of images: a timm or a transformers backbone.
        images (`Tensor`):
            One or more of those that will be looked at, `[B, 3, H, W]`.

    Returns:
        [`CamTarget`]

    Raises:
        ValueError: If the backbone takes videos, or has no such layer.

    Example:

    ```python
    >>> import torch
    >>> from xmodal_lt.analysis.cam_targets import cam_target
    >>> from xmodal_lt.modeling.vision_encoder import VisionEncoder

    >>> encoder = VisionEncoder("test_vit", {"img_size": 64}).eval()
    >>> target = cam_target(encoder, torch.zeros(1, 3, 64, 64))
    >>> target.layer is encoder.model.blocks[-1].norm1, target.places
    (True, 16)
    ```
    """
    if encoder.takes_features:
        raise ValueError("attention maps are of images, and this model takes videos as sequences of features")
    layer = _last_layer(encoder)
    if layer is None:
        raise ValueError(f"no layer for attention maps is known in {type(encoder.model).__name__}. {_OTHERS}")
    channels_last = isinstance(layer, nn.LayerNorm) or getattr(encoder.model, "output_fmt", "NCHW") == "NHWC"
    target = CamTarget(layer, channels_last, aspect=images.shape[-2] / images.shape[-1])
    if not isinstance(layer, nn.LayerNorm):
        return target
    with torch.no_grad():  # how many tokens are places is known to the encoder
        places = encoder.local_features(images[:1]).shape[1]
    return CamTarget(layer, channels_last, target.aspect, places)


def _last_layer(encoder: VisionEncoder) -> nn.Module | None:
    modules = dict(encoder.model.named_modules())
    if encoder.is_timm:
        stages = getattr(encoder.model, "feature_info", None)
        block = modules.get(stages[-1]["module"]) if stages else None
        return getattr(block, "norm1", block)
    for pattern in (_FIRST_NORM, _STAGE):
        found = [module for name, module in modules.items() if pattern.fullmatch(name)]
        if found:
            return found[-1]
    return None
