from __future__ import annotations

import io
import struct
import threading
import zlib
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image

from xmodal_lt.data import images
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


def encode(image: Image.Image, file_format: str, **kwargs) -> bytes:
    file = io.BytesIO()
    image.save(file, format=file_format, **kwargs)
    return file.getvalue()


def rgb_png(width: int, height: int, bits: int, rows: bytes) -> bytes:
    """A PNG in RGB of a size that it claims, whatever its rows are."""
    header = struct.pack(">IIBBBBB", width, height, bits, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    parts = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


# Above what Pillow warns of, and above what it refuses.
@pytest.mark.parametrize("size", [(10_000, 9_000), (20_000, 20_000)])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_an_image_of_too_many_pixels_is_refused_before_it_is_decoded(size):
    # Once decoded, it would be cut off.
    with pytest.raises(ValueError, match=r"Cannot read the image train/7: .*pixels"):
        decode_image(rgb_png(*size, bits=8, rows=bytes(100)), name="train/7")


def test_the_most_pixels_are_those_of_pillow(monkeypatch, red):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 12)
    assert decode_image(png(red)).size == (4, 3)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 11)
    message = r"4 x 3 pixels, more than the 11 of PIL\.Image\.MAX_IMAGE_PIXELS"
    with pytest.warns(Image.DecompressionBombWarning), pytest.raises(ValueError, match=message):
        decode_image(png(red))
    assert decode_image(red).size == (4, 3)  # it is in memory already
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert decode_image(png(red)).size == (4, 3)


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"\xff\xd8\xff", b"GIF89a" + bytes(20), bytes(1000)])
def test_a_file_of_another_kind_with_the_name_of_an_image(content, tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"Cannot read the image .*a\.jpg"):
        decode_image(path)


def test_an_image_without_pixels():
    with pytest.raises(ValueError, match="it has no pixels, its size is 0 x 3"):
        decode_image(Image.new("RGB", (0, 3)))


@pytest.mark.parametrize("file_format", ["JPEG", "GIF", "WEBP", "TIFF", "BMP", "AVIF"])
def test_half_a_file_is_an_error_of_ours(file_format):
    Image.init()
    if file_format not in Image.SAVE:
        pytest.skip(f"this Pillow writes no {file_format}")
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    content = encode(noise, file_format)
    with pytest.raises(ValueError, match="Cannot read the image cut"):
        decode_image(content[: len(content) // 2], name="cut")


def test_a_jpeg_for_printers_keeps_its_colours(red):
    # Four inks, which JPEG files of Adobe, and those of Pillow, hold inverted.
    content = encode(red.convert("CMYK"), "JPEG", quality=100)
    assert b"Adobe" in content
    np.testing.assert_allclose(np.asarray(decode_image(content)), np.asarray(red), atol=4)


def test_sixteen_bit_greyscale_tiff_keeps_its_contrast():
    grey = Image.fromarray(np.array([[0, 0x4000, 0xFFFF]], dtype=np.uint16))
    assert np.asarray(decode_image(encode(grey, "TIFF")))[0, :, 0].tolist() == [0, 0x40, 0xFF]


def test_sixteen_bit_colour_keeps_its_contrast():
    values = np.array([0x0000, 0x4012, 0xFFFF], dtype=">u2").tobytes()
    content = rgb_png(1, 1, bits=16, rows=b"\0" + values)
    assert decode_image(content).getpixel((0, 0)) == (0x00, 0x40, 0xFF)


@pytest.mark.parametrize("file_format", ["GIF", "WEBP", "PNG"])
def test_the_first_frame_of_an_animation(file_format, red):
    blue = Image.new("RGB", red.size, (0, 0, 255))
    lossless = {"lossless": True} if file_format == "WEBP" else {}
    content = encode(red, file_format, save_all=True, append_images=[blue, blue], duration=10, **lossless)
    assert Image.open(io.BytesIO(content)).n_frames > 1
    assert decode_image(content).getpixel((0, 0)) == (255, 0, 0)


def test_the_image_of_a_url_is_fetched_up_to_a_limit(tmp_path, monkeypatch):
    Image.new("RGB", (3, 2), (9, 0, 0)).save(tmp_path / "a.png")
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    monkeypatch.setattr(SimpleHTTPRequestHandler, "log_message", lambda *_: None)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        assert decode_image({"bytes": None, "path": f"{url}/a.png"}).size == (3, 2)
        with pytest.raises(FileNotFoundError, match=r"The image x .* has no file at http://.*/b\.png"):
            decode_image(f"{url}/b.png", "x")
        monkeypatch.setattr(images, "_MOST_BYTES", 10)
        with pytest.raises(ValueError, match="it is of more than 10 bytes"):
            decode_image(f"{url}/a.png")
        server.shutdown()


def test_urls_of_this_machine_are_not_opened(tmp_path):
    Image.new("RGB", (3, 2)).save(tmp_path / "a.png")
    with pytest.raises(FileNotFoundError, match="has no file at file://"):
        decode_image(f"file://{tmp_path}/a.png")
