from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from xmodal_lt.data.emoji_art import STYLES, draw_emoji, picture_hash, to_png
from xmodal_lt.data.images import decode_image


FLAGS = [("f3", "f4"), ("f8", "ef"), ("eb", "f7")]  # NO, SJ, FR


@pytest.mark.parametrize("style", STYLES)
def test_a_drawing_fills_a_72_pixel_square_on_its_background(style):
    image = np.asarray(decode_image(to_png(draw_emoji("1f600", style), (0, 0, 255))))
    assert image.shape == (72, 72, 3)
    assert image[0, 0].tolist() == [0, 0, 255]
    red, green, blue = image[26, 36].tolist()  # the forehead of a yellow face
    assert min(red, green) > 150 > blue


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("code", ["0023-fe0f-20e3", "263a-fe0f", "1f3f3-fe0f-200d-1f308"])
def test_files_are_found_however_a_package_names_them(style, code):
    assert draw_emoji(code, style).size == (72, 72)


@pytest.mark.parametrize("style", STYLES)
def test_a_missing_drawing_is_named(style):
    with pytest.raises(FileNotFoundError, match="no drawing of the emoji ffff"):
        draw_emoji("ffff", style)


def test_only_emoji_that_look_the_same_have_the_same_hash():
    norway, svalbard, france = (picture_hash(draw_emoji(f"1f1{a}-1f1{b}", "twemoji")) for a, b in FLAGS)
    assert norway == svalbard != france


def test_the_hash_ignores_the_colour_of_what_is_transparent():
    clear_red, clear_black, black = (
        Image.new("RGBA", (1, 1), c) for c in ((255, 0, 0, 0), (0, 0, 0, 0), (0, 0, 0, 255))
    )
    assert picture_hash(clear_red) == picture_hash(clear_black) != picture_hash(black)
