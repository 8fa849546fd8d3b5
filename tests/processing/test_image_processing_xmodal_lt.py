import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image

from xmodal_lt.processing import XModalLTImageProcessor, XModalLTImageProcessorPil


BACKENDS = pytest.mark.parametrize("backend", [XModalLTImageProcessor, XModalLTImageProcessorPil])

# Stated in the docstring of XModalLTImageProcessor. Both backends resize 8-bit images with fixed-point weights, and
# round after each of the two passes (rows, columns): at most one level apart for each.
MAX_LEVELS = 2
MEAN_LEVELS = 0.25


def level_difference(image, **settings) -> torch.Tensor:
    """Absolute difference of the backends in levels of 255."""
    first, second = (
        processor_class(do_normalize=False, **settings)(image, return_tensors="pt")["pixel_values"]
        for processor_class in (XModalLTImageProcessor, XModalLTImageProcessorPil)
    )
    return (first - second).abs() * 255


@pytest.mark.parametrize("resample", [Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS])
@pytest.mark.parametrize("size", [(72, 72), (30, 47), (320, 200), (64, 64), (131, 517)], ids=str)
@pytest.mark.parametrize(
    "geometry",
    [
        {"size": {"height": 64, "width": 64}},
        {"size": {"shortest_edge": 65}, "do_center_crop": True, "crop_size": {"height": 56, "width": 56}},
    ],
    ids=["squash", "crop"],
)
def test_backends_give_equal_pixels(smooth_image, resample, size, geometry):
    difference = level_difference(smooth_image(*size), resample=resample, **geometry)
    assert difference.max() <= MAX_LEVELS + 1e-3
    assert difference.mean() <= MEAN_LEVELS


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "L", "1", "CMYK", "I;16", "I", "F"])
def test_backends_agree_on_every_mode(smooth_image, mode):
    image = smooth_image(40, 40)
    if mode in ("RGBA", "LA"):
        image.putalpha(image.convert("L"))
    image = image.convert("L").convert(mode) if mode in ("I;16", "I", "F") else image.convert(mode)
    assert level_difference(image, size={"height": 64, "width": 64}).max() <= MAX_LEVELS + 1e-3


@pytest.mark.parametrize("to_input", [np.array, lambda image: torch.from_numpy(np.array(image)).permute(2, 0, 1)])
def test_backends_agree_on_rgba_arrays(smooth_image, to_input):
    image = smooth_image(40, 40)
    image.putalpha(image.convert("L"))
    assert level_difference(to_input(image), do_resize=False).max() < 1e-3


@BACKENDS
def test_values_are_rescaled_and_normalised(backend):
    processor = backend(size={"height": 4, "width": 4}, image_mean=[0.5, 0.5, 0.5], image_std=[0.5, 0.25, 0.125])
    pixel_values = processor(Image.new("RGB", (4, 4), (255, 255, 0)), return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(pixel_values[0, :, 0, 0], torch.tensor([1.0, 2.0, -4.0]))
    assert pixel_values.dtype == torch.float32


@BACKENDS
def test_batch_of_mixed_sizes_and_modes_equals_single_images(backend, smooth_image):
    images = [smooth_image(40, 30), smooth_image(30, 40, seed=1).convert("RGBA"), smooth_image(40, 30, seed=2)]
    processor = backend(size={"height": 16, "width": 16})
    batch = processor(images, return_tensors="pt")["pixel_values"]
    assert batch.shape == (3, 3, 16, 16)
    for row, image in zip(batch, images, strict=True):
        torch.testing.assert_close(row, processor(image, return_tensors="pt")["pixel_values"][0], rtol=0, atol=0)


@BACKENDS
def test_a_path_gives_the_same_pixels_as_its_image(backend, smooth_image, tmp_path):
    image = smooth_image(20, 20)
    image.putalpha(image.convert("L"))
    image.save(tmp_path / "image.png")
    processor = backend(size={"height": 20, "width": 20})
    from_path = processor([str(tmp_path / "image.png")], return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(from_path, processor(image, return_tensors="pt")["pixel_values"], rtol=0, atol=0)


@BACKENDS
def test_a_base64_string_is_read(backend, smooth_image):
    buffer = io.BytesIO()
    smooth_image(40, 40).save(buffer, format="PNG")
    encoded = base64.b64encode(buffer.getvalue()).decode()
    assert backend()(encoded, return_tensors="pt")["pixel_values"].shape == (1, 3, 224, 224)


@BACKENDS
def test_empty_list_is_refused(backend):
    with pytest.raises(ValueError, match="empty list"):
        backend()([])


@BACKENDS
def test_missing_image_is_refused(backend):
    with pytest.raises(TypeError, match="NoneType"):
        backend()([None])


@BACKENDS
def test_save_and_load_keep_all_settings(backend, tmp_path):
    processor = backend(
        size={"shortest_edge": 36},
        do_center_crop=True,
        crop_size={"height": 32, "width": 32},
        resample=Image.Resampling.BILINEAR,
        image_mean=[0.1, 0.2, 0.3],
    )
    processor.save_pretrained(tmp_path)
    assert backend.from_pretrained(tmp_path).to_dict() == processor.to_dict()


def test_a_folder_saved_by_one_backend_loads_as_the_other(tmp_path):
    processor = XModalLTImageProcessorPil(size={"height": 32, "width": 32})
    processor.save_pretrained(tmp_path)
    assert XModalLTImageProcessor.from_pretrained(tmp_path).to_dict() == processor.to_dict()
