import pytest
import timm
import torch
from PIL import Image

from xmodal_lt.processing import XModalLTImageProcessor, XModalLTImageProcessorPil, image_processor_from_timm


CONFIG = {
    "input_size": (3, 64, 64),
    "interpolation": "bicubic",
    "crop_pct": 0.875,
    "mean": (0.5, 0.4, 0.3),
    "std": (0.2, 0.3, 0.4),
}


def test_settings_of_a_timm_model():
    model = timm.create_model("resnet18", pretrained=False)
    processor = image_processor_from_timm(timm.data.resolve_model_data_config(model))
    assert dict(processor.size) == {"shortest_edge": 235}
    assert dict(processor.crop_size) == {"height": 224, "width": 224}
    assert processor.do_center_crop
    assert processor.resample == Image.Resampling.BICUBIC
    assert tuple(processor.image_mean) == (0.485, 0.456, 0.406)


@pytest.mark.parametrize("size", [(90, 90), (128, 80), (40, 60)], ids=str)
@pytest.mark.parametrize(
    "change",
    [
        {},
        {"crop_pct": 1.0},
        {"crop_pct": 1.0, "crop_mode": "squash"},
        {"crop_pct": 0.8, "crop_mode": "squash", "input_size": (3, 64, 32)},
        {"interpolation": "bilinear"},
    ],
    ids=str,
)
def test_pixels_equal_those_of_timm(smooth_image, size, change):
    config = CONFIG | change
    image = smooth_image(*size)
    pixel_values = image_processor_from_timm(config, backend="pil")(image, return_tensors="pt")["pixel_values"][0]
    # Both resize by PIL, so only float32 rounding of the normalisation is left.
    torch.testing.assert_close(pixel_values, timm.data.create_transform(**config)(image), rtol=0, atol=1e-5)


def test_backend_is_chosen():
    assert isinstance(image_processor_from_timm(CONFIG), XModalLTImageProcessor)
    assert isinstance(image_processor_from_timm(CONFIG, backend="pil"), XModalLTImageProcessorPil)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"crop_mode": "border"}, "`crop_mode` must be one of"),
        ({"interpolation": "random"}, "`interpolation` must be one of"),
        ({"input_size": (1, 64, 64)}, "3 channels"),
        ({"input_size": (3, 64, 32)}, "64x32"),
        ({"crop_pct": 1.5}, "`crop_pct` must be in"),
    ],
)
def test_settings_that_cannot_be_expressed_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        image_processor_from_timm(CONFIG | change)


def test_missing_key_is_named():
    with pytest.raises(ValueError, match="lacks \\['mean'\\]"):
        image_processor_from_timm({key: value for key, value in CONFIG.items() if key != "mean"})


def test_unknown_backend_is_refused():
    with pytest.raises(ValueError, match="`backend` must be one of"):
        image_processor_from_timm(CONFIG, backend="jax")
