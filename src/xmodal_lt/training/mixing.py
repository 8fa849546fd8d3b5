"""Mixup and CutMix: batches whose images and labels are those of two samples each."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torchvision.transforms import v2


def build_mixing(mixup: float, cutmix: float, num_labels: int) -> v2.Transform | None:
    """The transform of batches of images and class ids.

    Args:
        mixup (`float`): alpha of Mixup, whose share is drawn from Beta(alpha, alpha); 0 for none.
        cutmix (`float`): alpha of CutMix; 0 for none. With both, each batch draws one of them.
        num_labels (`int`): classes, C.

    Returns:
        `v2.Transform` or `None`: makes images `[B, 3, H, W]` and targets `[B, C]`; draws from torch's generator of the
        CPU, which checkpoints keep.

    Source:
        Zhang et al. 2018 (Mixup) and Yun et al. 2019 (CutMix), as torchvision has them.
    """
    given = ((v2.MixUp, mixup), (v2.CutMix, cutmix))
    transforms = [transform(alpha=alpha, num_classes=num_labels) for transform, alpha in given if alpha > 0]
    if not transforms:
        return None
    return transforms[0] if len(transforms) == 1 else v2.RandomChoice(transforms)


def mix_batch(mix: v2.Transform, inputs: dict[str, Any]) -> dict[str, Tensor]:
    """The batch with mixed images and labels.

    Raises:
        ValueError: for a batch of cached features or of videos, or with several labels an image.
    """
    images, labels = inputs.get("pixel_values"), inputs.get("labels")
    if images is None or labels is None or labels.ndim != 1:
        raise ValueError(
            "mixup and cutmix mix images with one label each. On cached features set cache_features=false; "
            "leave them out for videos and for several labels an image."
        )
    mixed, targets = mix(images, labels)
    return {**inputs, "pixel_values": mixed, "labels": targets}


__all__ = ["build_mixing", "mix_batch"]
