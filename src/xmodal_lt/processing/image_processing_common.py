"""What the torchvision and the PIL image processor share: default settings and how an image is read."""

from __future__ import annotations

import os
from typing import Any

from PIL import Image
from transformers.image_processing_utils import BaseImageProcessor
from transformers.image_utils import ImageInput, PILImageResampling, SizeDict
from transformers.utils.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

from .rgb_conversion import to_rgb


__all__ = ["CommonImageProcessing"]


class CommonImageProcessing(BaseImageProcessor):
    """Defaults and input handling, mixed in before a backend. Not for use alone."""

    resample = PILImageResampling.BICUBIC
    image_mean = IMAGENET_DEFAULT_MEAN
    image_std = IMAGENET_DEFAULT_STD
    size = SizeDict(height=224, width=224)
    crop_size = SizeDict(height=224, width=224)
    do_convert_rgb = True
    do_resize = True
    do_center_crop = False
    do_rescale = True
    do_normalize = True

    def fetch_images(self, image_url_or_urls: Any) -> Any:
        # The backends decode a file straight to RGB, which drops alpha. Opening it by PIL makes a path give the same
        # pixels as the image that `PIL.Image.open` gives. (`Path.is_file` would raise for a long base64 string.)
        if isinstance(image_url_or_urls, str | os.PathLike) and os.path.isfile(image_url_or_urls):  # noqa: PTH113
            image = Image.open(image_url_or_urls)
            image.load()  # closes the file: a large batch of paths must not run out of file handles
            return image
        return super().fetch_images(image_url_or_urls)

    def _prepare_images_structure(self, images: ImageInput, expected_ndims: int = 3) -> ImageInput:
        if isinstance(images, list | tuple) and not images:
            raise ValueError("`images` is an empty list; pass one image or a list with at least one image.")
        return super()._prepare_images_structure(images, expected_ndims=expected_ndims)

    def process_image(self, image: ImageInput, *args: Any, **kwargs: Any) -> Any:
        if kwargs.get("do_convert_rgb") and isinstance(image, Image.Image):
            image, kwargs["do_convert_rgb"] = to_rgb(image), False
        return super().process_image(image, *args, **kwargs)
