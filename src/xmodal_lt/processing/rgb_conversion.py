"""One conversion to 8-bit RGB for every kind of PIL image, so that each backend and each transform sees the same."""

import numpy as np
from PIL import ExifTags, Image, ImageOps


__all__ = ["to_rgb"]

# Pillow reads 16-bit grey PNG and TIFF files as one of these; "I" is what its PPM reader gives for 16-bit values.
SIXTEEN_BIT_MODES = ("I;16", "I;16L", "I;16B", "I;16N", "I")
PREMULTIPLIED_MODES = {"La": "LA", "RGBa": "RGBA"}


def to_rgb(image: Image.Image) -> Image.Image:
    """
    Gives an upright 8-bit RGB image.

    Transparent pixels (an alpha channel, or a transparent colour of a palette, grey or RGB file) show a white
    background. `Image.convert("RGB")` alone drops alpha, which uncovers whatever colour is stored below it (often
    black), and clips 16-bit grey values at 255, which turns such an image white.

    Args:
        image (`PIL.Image.Image`):
            An image of any mode. 16-bit grey (`"I;16"`, `"I"`) is scaled from [0, 65535] to [0, 255]; `"F"` is read
            as values in [0, 255]. A camera's orientation tag is applied.

    Returns:
        `PIL.Image.Image`: the image in mode `"RGB"`; the same object where nothing had to be changed.

    Example:

    ```python
    >>> from PIL import Image
    >>> from xmodal_lt.processing import to_rgb
    >>> to_rgb(Image.new("RGBA", (1, 1), (0, 0, 0, 0))).getpixel((0, 0))
    (255, 255, 255)

    ```
    """
    if image.getexif().get(ExifTags.Base.Orientation, 1) != 1:
        image = ImageOps.exif_transpose(image)
    if image.mode in SIXTEEN_BIT_MODES:
        image = _to_eight_bit(image)
    if image.mode in PREMULTIPLIED_MODES:
        image = image.convert(PREMULTIPLIED_MODES[image.mode])
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return image if image.mode == "RGB" else image.convert("RGB")


def _to_eight_bit(image: Image.Image) -> Image.Image:
    values = np.asarray(image).astype(np.int64).clip(0, 65535)
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))
