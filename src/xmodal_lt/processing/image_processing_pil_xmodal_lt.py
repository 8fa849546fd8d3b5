"""Image processor on PIL and numpy, for where torchvision is missing."""

from transformers.image_processing_backends import PilBackend

from .image_processing_common import CommonImageProcessing


__all__ = ["XModalLTImageProcessorPil"]


class XModalLTImageProcessorPil(CommonImageProcessing, PilBackend):
    r"""
    Turns images into normalised `pixel_values` by PIL and numpy, one at a time, on CPU.

    The settings, defaults and saved files are those of [`XModalLTImageProcessor`], whose documentation states how
    close the pixels are. A folder saved by either loads as either, torchvision by default:
    `AutoImageProcessor.from_pretrained(folder, backend="pil")` gives this one.

    Example:

    ```python
    >>> from PIL import Image
    >>> from xmodal_lt.processing import XModalLTImageProcessorPil
    >>> processor = XModalLTImageProcessorPil(size={"height": 64, "width": 64})
    >>> processor(images=Image.new("L", (72, 72)), return_tensors="pt")["pixel_values"].shape
    torch.Size([1, 3, 64, 64])

    ```
    """
