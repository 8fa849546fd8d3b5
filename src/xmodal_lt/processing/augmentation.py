"""Training transforms that follow the settings of an image processor."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torchvision.transforms import v2
from transformers.image_processing_utils import BaseImageProcessor
from transformers.image_utils import ImageInput, pil_torch_interpolation_mapping

from .image_processing_xmodal_lt import XModalLTImageProcessor


__all__ = ["build_train_transform"]


def build_train_transform(
    image_processor: BaseImageProcessor,
    crop_scale: tuple[float, float] | None = (0.08, 1.0),
    horizontal_flip: float = 0.5,
    cutout: float = 0.0,
    rand_augment: tuple[int, int] | None = None,
    color_jitter: float | Sequence[float] | None = None,
    random_erasing: float = 0.0,
) -> v2.Compose:
    """
    Builds the augmentation of one image, ending in the pixels that `image_processor` would give.

    With `crop_scale=None` an image is resized (and center-cropped) as at evaluation; that and a horizontal flip is the
    recipe of ATNet, which CMLTNet's schedule follows. With every augmentation off, the pixels are the image
    processor's.

    Args:
        image_processor (`BaseImageProcessor`):
            Gives size, interpolation, mean and standard deviation.
        crop_scale (`tuple[float, float]`, *optional*, defaults to `(0.08, 1.0)`):
            Range of the area of a random resized crop, as a part of the image; `None` for no random crop.
        horizontal_flip (`float`, *optional*, defaults to 0.5):
            Probability of a flip.
        cutout (`float`, *optional*, defaults to 0.0):
            Height and width, as parts of the image's, of a box anywhere in it that is painted over in a random colour;
            at the border less of it is seen. CPRFL uses 0.5.
        rand_augment (`tuple[int, int]`, *optional*):
            Number of operations and magnitude (0 to 30) of RandAugment.
        color_jitter (`float` or `Sequence[float]`, *optional*):
            Strength of brightness, contrast and saturation, or one for each of them (and of hue, as the fourth).
        random_erasing (`float`, *optional*, defaults to 0.0):
            Probability that a rectangle is erased (set to the mean colour).

    Returns:
        `torchvision.transforms.v2.Compose`: from a PIL image of any mode to float32 [3, H, W], normalised.

    Raises:
        ValueError: for a setting out of range, or an image processor without a fixed output size.

    Example:

    ```python
    >>> from PIL import Image
    >>> from xmodal_lt.processing import XModalLTImageProcessor, build_train_transform
    >>> image_processor = XModalLTImageProcessor(size={"height": 64, "width": 64})
    >>> transform = build_train_transform(image_processor, rand_augment=(2, 9))
    >>> transform(Image.new("RGB", (72, 72))).shape
    torch.Size([3, 64, 64])

    ```
    """
    for name, probability in (("horizontal_flip", horizontal_flip), ("random_erasing", random_erasing)):
        if not 0 <= probability <= 1:
            raise ValueError(f"`{name}` must be a probability in [0, 1], got {probability}.")
    if not 0 <= cutout < 1:
        raise ValueError(f"`cutout` must be a part of the image's height and width in [0, 1), got {cutout}.")
    reference = _torchvision_twin(image_processor)
    steps: list[nn.Module] = [_ReadImage(reference), _crop(reference, crop_scale)]
    if horizontal_flip:
        steps.append(v2.RandomHorizontalFlip(horizontal_flip))
    if cutout:
        steps.append(_Cutout(cutout))
    if rand_augment is not None:
        num_ops, magnitude = rand_augment
        steps.append(v2.RandAugment(num_ops, magnitude, fill=_mean_colour(reference)))
    if color_jitter is not None:
        steps.append(v2.ColorJitter(*([color_jitter] * 3 if isinstance(color_jitter, int | float) else color_jitter)))
    steps.append(_Normalize(reference))
    if random_erasing:
        steps.append(v2.RandomErasing(random_erasing))
    return v2.Compose(steps)


class _ReadImage(nn.Module):
    """The image processor's own reading of an image: uint8 RGB [3, H, W]."""

    def __init__(self, image_processor: XModalLTImageProcessor) -> None:
        super().__init__()
        self.image_processor = image_processor

    def forward(self, image: ImageInput) -> torch.Tensor:
        return self.image_processor.process_image(image, do_convert_rgb=self.image_processor.do_convert_rgb)


class _EvaluationGeometry(nn.Module):
    """The image processor's own resize and center crop, whose rounding differs from that of `v2.CenterCrop`."""

    def __init__(self, image_processor: XModalLTImageProcessor) -> None:
        super().__init__()
        self.image_processor = image_processor

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        processor = self.image_processor
        if processor.do_resize:
            image = processor.resize(image, processor.size, processor.resample)
        return processor.center_crop(image, processor.crop_size) if processor.do_center_crop else image


class _Cutout(nn.Module):
    """A box of one colour, drawn anywhere, over a uint8 image [3, H, W]."""

    def __init__(self, size: float) -> None:
        super().__init__()
        self.size = size

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        rows, columns = (self._span(length) for length in image.shape[-2:])
        image = image.clone()
        image[:, rows, columns] = torch.randint(0, 256, (3, 1, 1), dtype=torch.uint8)
        return image

    def _span(self, length: int) -> slice:
        width = round(self.size * length)
        start = int(torch.randint(length, ())) - width // 2
        return slice(max(0, start), start + width)


class _Normalize(nn.Module):
    """The image processor's own rescale and normalisation."""

    def __init__(self, image_processor: XModalLTImageProcessor) -> None:
        super().__init__()
        self.image_processor = image_processor

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        processor = self.image_processor
        settings = ("do_rescale", "rescale_factor", "do_normalize", "image_mean", "image_std")
        return processor.rescale_and_normalize(image, **{name: getattr(processor, name) for name in settings}).float()


def _torchvision_twin(image_processor: BaseImageProcessor) -> XModalLTImageProcessor:
    """The same settings on the backend that works on tensors."""
    return XModalLTImageProcessor(**image_processor.to_dict())


def _crop(image_processor: XModalLTImageProcessor, crop_scale: tuple[float, float] | None) -> nn.Module:
    size = image_processor.crop_size if image_processor.do_center_crop else image_processor.size
    if not (size.height and size.width):
        raise ValueError(f"The image processor gives images of unequal size ({size}); set `do_center_crop=True`.")
    if crop_scale is None:
        return _EvaluationGeometry(image_processor)
    low, high = crop_scale
    if not 0 < low <= high <= 1:
        raise ValueError(f"`crop_scale` must be an area range (low, high) within (0, 1], got {crop_scale}.")
    interpolation = pil_torch_interpolation_mapping[image_processor.resample]
    return v2.RandomResizedCrop((size.height, size.width), scale=(low, high), interpolation=interpolation)


def _mean_colour(image_processor: XModalLTImageProcessor) -> list[float]:
    return [round(channel / image_processor.rescale_factor) for channel in image_processor.image_mean]
