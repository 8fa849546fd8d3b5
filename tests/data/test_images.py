from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from xmodal_lt.data.images import decode_image


def png(image: Image.Image, **kwargs) -> bytes:
    file = io.BytesIO()
    image.save(file, format="PNG", **kwargs)
    return file.getvalue()


@pytest.fixture
def red() -> Image.Image:
    return Image.new("RGB", (4, 3), (255, 0, 0))


def test_every_form_of_an_image_is_read(red, tmp_path):
    path = tmp_path / "red.png"
    red.save(path)
    for value in (
        red,
        png(red),
        path,
        str(path),
        {"bytes": png(red), "path": None},
        {"bytes": None, "path": str(path)},
    ):
        assert decode_image(value).tobytes() == red.tobytes()


def test_a_jpeg_is_read_before_its_file_closes(red, tmp_path):
    red.save(tmp_path / "red.jpg")  # unlike PNG, read no further than its header until its pixels are asked for
    assert decode_image(tmp_path / "red.jpg").tobytes() == Image.open(tmp_path / "red.jpg").tobytes()


def test_transparent_parts_show_white():
    half = Image.new("RGBA", (1, 1), (0, 0, 0, 51))
    assert decode_image(half).getpixel((0, 0)) == (204, 204, 204)


@pytest.mark.parametrize("mode", ["LA", "PA"])
def test_other_modes_with_alpha_are_laid_on_white(mode):
    assert decode_image(Image.new(mode, (2, 2))).getpixel((0, 0)) == (255, 255, 255)


def test_a_palette_with_a_transparent_entry_is_laid_on_white():
    palette = Image.new("P", (2, 2), 0)
    palette.putpalette([0, 0, 0, 10, 20, 30])
    assert decode_image(png(palette, transparency=0)).getpixel((0, 0)) == (255, 255, 255)


def test_sixteen_bit_greyscale_keeps_its_contrast():
    grey = Image.fromarray(np.array([[0, 0x4000, 0xFFFF]], dtype=np.uint16))
    assert np.asarray(decode_image(png(grey)))[0, :, 0].tolist() == [0, 0x40, 0xFF]


def test_exif_orientation_is_applied(red):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    file = io.BytesIO()
    red.save(file, format="JPEG", exif=exif)
    assert decode_image(file.getvalue()).size == (3, 4)


def test_a_truncated_file_is_named(tmp_path):
    path = tmp_path / "cut.png"
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    path.write_bytes(png(Image.fromarray(noise))[:1000])
    with pytest.raises(ValueError, match=r"Cannot read the image .*cut\.png: .*bad_images=\"skip\""):
        decode_image(str(path))


def test_a_file_that_is_no_image_is_named_as_asked():
    with pytest.raises(ValueError, match="Cannot read the image train/7"):
        decode_image(b"not an image", name="train/7")


def test_an_error_names_both_id_and_file():
    with pytest.raises(ValueError, match=r"train/7 \(a\.png\)"):
        decode_image({"bytes": b"not an image", "path": "a.png"}, name="train/7")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.png"):
        decode_image({"bytes": None, "path": str(tmp_path / "nowhere.png")})


@pytest.mark.parametrize("value", [None, 3, {"bytes": None, "path": None}])
def test_what_is_no_image_is_a_type_error(value):
    with pytest.raises(TypeError, match="expected an image"):
        decode_image(value)
