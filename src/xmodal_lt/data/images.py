"""One way from whatever a data set stores as an image to a PIL image in RGB."""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import fsspec
from PIL import Image

from .file_paths import is_url


__all__ = ["decode_image"]

# All that Pillow's decoders raise on broken files: SyntaxError for a bad PNG chunk, RuntimeError for AVIF.
_BROKEN = (
    *(OSError, SyntaxError, ValueError, EOFError, RuntimeError, LookupError, ArithmeticError, MemoryError),
    *(struct.error, Image.DecompressionBombError, Image.DecompressionBombWarning),
)

# Of a file that is fetched: more than any image of as many pixels as are allowed has.
_MOST_BYTES = 300_000_000


def decode_image(value: Any, name: str | None = None) -> Image.Image:
    """
    Decode one image as training, evaluation and prediction need it. Of an animation it is the first frame.

    A small file can unpack to many gigabytes. Files of more pixels than `PIL.Image.MAX_IMAGE_PIXELS` are refused
    before any is decoded: 89 million unless you set it, which are a quarter of a gigabyte in RGB, and far more than a
    model sees.

    Args:
        value (`PIL.Image.Image`, `dict`, `bytes`, `str` or `pathlib.Path`):
            The image, its encoded bytes, its path, or what `datasets.Image(decode=False)` yields: a `dict` with
            `"bytes"` and `"path"`.
        name (`str`, *optional*):
            What an error calls the image beside its path, for instance its `image_id`.

    Returns:
        `PIL.Image.Image`: Upright, mode `"RGB"`, transparent parts on white.

    Raises:
        TypeError: If `value` is none of the accepted kinds.
        FileNotFoundError: If its path does not exist.
        ValueError: If it is not an image, is cut off or has too many pixels, or none.

    Example:

    ```python
    >>> from PIL import Image
    >>> from xmodal_lt.data import decode_image

    >>> decode_image(Image.new("RGBA", (2, 2), (0, 0, 0, 0))).getpixel((0, 0))
    (255, 255, 255)
    ```
    """
    # Not at the top: it brings torch, which nothing else here needs.
    from xmodal_lt.processing import to_rgb

    source, path = _source_of(value)
    name = f"{name} ({path})" if name and path else name or path or "given as bytes"
    try:
        if isinstance(source, Image.Image):
            _check_size(source)
            return to_rgb(source)
        with Image.open(_opened(source)) as image:
            _check_size(image, Image.MAX_IMAGE_PIXELS)
            image.load()  # Pillow reads lazily, and the file closes here
            return to_rgb(image)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"The image {name} has no file at {path}. Restore the file or drop the row."
        ) from error
    except _BROKEN as error:
        raise ValueError(
            f"Cannot read the image {name}: {error}. Replace the file, or load the data set with "
            '`bad_images="skip"` (in recipes `dataset.bad_images=skip`) to leave unreadable images out.'
        ) from error


def _check_size(image: Image.Image, most: int | None = None) -> None:
    """Pillow itself only warns of up to twice as many pixels."""
    pixels = image.width * image.height
    if pixels == 0:
        raise ValueError(f"it has no pixels, its size is {image.width} x {image.height}")
    if most is not None and pixels > most:
        raise ValueError(
            f"it has {image.width} x {image.height} pixels, more than the {most:,} of PIL.Image.MAX_IMAGE_PIXELS"
        )


def _source_of(value: Any) -> tuple[Any, str | None]:
    """What `Image.open` takes (or an image, untouched), and the path if there is one."""
    if isinstance(value, Image.Image):
        return value, getattr(value, "filename", None)
    if isinstance(value, bytes):
        return io.BytesIO(value), None
    if isinstance(value, (str, Path)):
        return value, str(value)
    if isinstance(value, Mapping) and value.get("bytes") is not None:
        return io.BytesIO(value["bytes"]), value.get("path")
    if isinstance(value, Mapping) and value.get("path"):
        return value["path"], value["path"]
    raise TypeError(
        "expected an image as PIL image, path, bytes, or dict with 'bytes' or 'path', "
        f"got {value if isinstance(value, Mapping) else type(value).__name__}"
    )


def _opened(source: Any) -> Any:
    """The content of a URL, which rows of the Hub and of users' own tables may name; anything else as it is."""
    if not isinstance(source, str) or not is_url(source):
        return source
    with fsspec.open(source) as file:
        content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise ValueError(f"it is of more than {_MOST_BYTES:,} bytes")
    return io.BytesIO(content)
