import numpy as np
import pytest
from PIL import Image

from xmodal_lt.processing import to_rgb


def pixel(image: Image.Image) -> tuple[int, ...]:
    converted = to_rgb(image)
    assert converted.mode == "RGB"
    return converted.getpixel((0, 0))


@pytest.mark.parametrize(
    ("mode", "colour"), [("RGBA", (9, 9, 9, 0)), ("LA", (9, 0)), ("RGBa", (0, 0, 0, 0)), ("La", (0, 0))]
)
def test_transparent_pixels_show_white(mode, colour):
    assert pixel(Image.new(mode, (2, 2), colour)) == (255, 255, 255)


def test_half_transparent_black_is_grey():
    assert pixel(Image.new("RGBA", (2, 2), (0, 0, 0, 127))) == (128, 128, 128)


def test_opaque_alpha_keeps_the_colour():
    assert pixel(Image.new("RGBA", (2, 2), (10, 20, 30, 255))) == (10, 20, 30)


@pytest.mark.parametrize("transparency", [0, bytes([0])])
def test_transparent_palette_colour_shows_white(transparency):
    image = Image.new("P", (2, 2), 0)
    image.putpalette([9, 9, 9])
    image.info["transparency"] = transparency
    assert pixel(image) == (255, 255, 255)


@pytest.mark.parametrize(("mode", "colour"), [("RGB", (9, 9, 9)), ("L", 9)])
def test_transparent_colour_of_an_opaque_mode_shows_white(mode, colour):
    image = Image.new(mode, (2, 2), colour)
    image.info["transparency"] = colour
    assert pixel(image) == (255, 255, 255)


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("1", 1, (255, 255, 255)),
        ("L", 7, (7, 7, 7)),
        ("CMYK", (0, 255, 255, 0), (255, 0, 0)),
        ("YCbCr", (128, 128, 128), (128, 128, 128)),
        ("HSV", (0, 255, 255), (255, 0, 0)),
        ("F", 7.4, (7, 7, 7)),
    ],
)
def test_other_modes(mode, colour, expected):
    assert pixel(Image.new(mode, (2, 2), colour)) == expected


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I"])
def test_sixteen_bit_grey_is_scaled_to_eight_bits(mode):
    values = np.array([[0, 128, 129, 32896, 65535]])
    dtype = {"I;16": "<u2", "I;16B": ">u2", "I": "<i4"}[mode]
    image = Image.frombytes(mode, (5, 1), values.astype(dtype).tobytes())
    assert np.asarray(to_rgb(image))[0, :, 0].tolist() == [0, 0, 1, 128, 255]


def test_orientation_tag_is_applied():
    image = Image.new("RGB", (4, 2))
    image.getexif()[0x0112] = 6
    assert to_rgb(image).size == (2, 4)


def test_rgb_is_not_copied():
    image = Image.new("RGB", (2, 2))
    assert to_rgb(image) is image
