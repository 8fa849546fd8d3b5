"""Image processor on torchvision, the default backend."""

from __future__ import annotations

import torch
from transformers.image_processing_backends import TorchvisionBackend
from transformers.image_utils import ChannelDimension

from .image_processing_common import CommonImageProcessing


__all__ = ["XModalLTImageProcessor"]


class XModalLTImageProcessor(CommonImageProcessing, TorchvisionBackend):
    r"""
    Turns images into normalised `pixel_values`, in batches, on CPU or GPU.

    Images may be PIL images of any mode, file paths, numpy arrays or tensors, one or a list. Every PIL image or
    file becomes upright RGB first, with transparent pixels on white and 16-bit grey scaled to 8 bits (see
    [`~xmodal_lt.processing.to_rgb`]); then come resize, center crop, rescale and normalisation, as set.

    [`XModalLTImageProcessorPil`] does the same without torchvision. On smooth (natural-like) 8-bit images, resized up
    or down by bilinear, bicubic or Lanczos interpolation, the pixels of the two differ by at most 2 levels of 255, and
    by 0.25 levels on average: 2/255/std = 0.035 after ImageNet's normalisation. White noise, the worst case, reaches 5
    levels (bicubic). Nearest-neighbour resizing breaks ties differently and has no such bound.

    Args:
        do_convert_rgb (`bool`, *optional*, defaults to `True`):
            Whether to convert images to RGB.
        do_resize (`bool`, *optional*, defaults to `True`):
            Whether to resize images to `size`.
        size (`dict[str, int]`, *optional*, defaults to `{"height": 224, "width": 224}`):
            Size after the resize. `{"shortest_edge": s}` keeps the aspect ratio; use it with `do_center_crop`.
        resample (`PIL.Image.Resampling`, *optional*, defaults to `BICUBIC`):
            Interpolation of the resize, always with antialiasing.
        do_center_crop (`bool`, *optional*, defaults to `False`):
            Whether to cut the center out after the resize.
        crop_size (`dict[str, int]`, *optional*, defaults to `{"height": 224, "width": 224}`):
            Size of the center crop.
        do_rescale (`bool`, *optional*, defaults to `True`):
            Whether to multiply pixel values by `rescale_factor`. Switch it off for float arrays in [0, 1].
        rescale_factor (`float`, *optional*, defaults to `1/255`):
            Factor of the rescale.
        do_normalize (`bool`, *optional*, defaults to `True`):
            Whether to subtract `image_mean` and divide by `image_std`.
        image_mean (`list[float]`, *optional*, defaults to ImageNet's):
            Mean of each channel, on the scale after the rescale.
        image_std (`list[float]`, *optional*, defaults to ImageNet's):
            Standard deviation of each channel, on the same scale.

    Example:

    ```python
    >>> from PIL import Image
    >>> from xmodal_lt.processing import XModalLTImageProcessor
    >>> processor = XModalLTImageProcessor(size={"height": 64, "width": 64})
    >>> processor(images=Image.new("RGBA", (72, 72)), return_tensors="pt")["pixel_values"].shape
    torch.Size([1, 3, 64, 64])

    ```
    """

    def convert_to_rgb(
        self, image: torch.Tensor, input_data_format: str | ChannelDimension | None = None
    ) -> torch.Tensor:
        if image.dtype == torch.uint8 and image.ndim == 3 and image.shape[0] == 4:
            # The base class rounds down here, the PIL backend to the nearest: up to 3 levels apart after a resize.
            alpha = image[3:].float() / 255
            return (alpha * image[:3] + (1 - alpha) * 255).round().to(torch.uint8)
        return super().convert_to_rgb(image, input_data_format=input_data_format)
