import pickle

import pytest
import torch
from PIL import Image
from transformers import ViTImageProcessor

from xmodal_lt.processing import XModalLTImageProcessor, XModalLTImageProcessorPil, build_train_transform


OFF = {"crop_scale": None, "horizontal_flip": 0.0}
SQUASH = {"size": {"height": 32, "width": 32}}
CROP = {"size": {"shortest_edge": 35}, "do_center_crop": True, "crop_size": {"height": 32, "width": 32}}
PLAIN = {**SQUASH, "do_normalize": False, "resample": Image.Resampling.BILINEAR}


@pytest.mark.parametrize("settings", [SQUASH, CROP, PLAIN], ids=["squash", "crop", "plain"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_with_everything_off_the_pixels_are_those_of_the_image_processor(smooth_image, settings, mode):
    image_processor = XModalLTImageProcessor(**settings)
    image = smooth_image(40, 55).convert(mode)
    expected = image_processor(image, return_tensors="pt")["pixel_values"][0]
    torch.testing.assert_close(build_train_transform(image_processor, **OFF)(image), expected, rtol=0, atol=0)


def test_settings_of_the_pil_backend_are_taken_over(smooth_image):
    image_processor = XModalLTImageProcessorPil(**SQUASH)
    image = smooth_image(40, 55)
    expected = image_processor(image, return_tensors="pt")["pixel_values"][0]
    # Two levels of 255 between the backends, divided by ImageNet's smallest standard deviation.
    torch.testing.assert_close(build_train_transform(image_processor, **OFF)(image), expected, rtol=0, atol=0.036)


def test_settings_of_an_image_processor_of_transformers_are_taken_over(smooth_image):
    image_processor = ViTImageProcessor(**SQUASH)
    image = smooth_image(40, 55)
    expected = image_processor(image, return_tensors="pt")["pixel_values"][0]
    torch.testing.assert_close(build_train_transform(image_processor, **OFF)(image), expected, rtol=0, atol=0)


def test_flip_only_gives_the_image_or_its_mirror(smooth_image):
    image_processor = XModalLTImageProcessor(**SQUASH)
    image = smooth_image(40, 55)
    plain = image_processor(image, return_tensors="pt")["pixel_values"][0]
    flipped = build_train_transform(image_processor, crop_scale=None, horizontal_flip=1.0)(image)
    torch.testing.assert_close(flipped, plain.flip(-1), rtol=0, atol=0)


def test_full_augmentation_gives_normalised_images_of_the_crop_size(smooth_image):
    torch.manual_seed(0)
    settings = {"rand_augment": (2, 9), "color_jitter": 0.4, "random_erasing": 1.0}
    transform = build_train_transform(XModalLTImageProcessor(**CROP), **settings)
    pixel_values = transform(smooth_image(90, 70))
    assert pixel_values.shape == (3, 32, 32)
    assert pixel_values.dtype == torch.float32
    assert (pixel_values == 0).any()  # erased to the mean colour
    assert pixel_values.abs().max() < 3  # the range of ImageNet's normalisation


@pytest.mark.parametrize(
    "settings",
    [{"crop_scale": (0.2, 0.5)}, {"color_jitter": 0.5}, {"color_jitter": (0.5, 0, 0)}, {"rand_augment": (1, 15)}],
    ids=str,
)
def test_each_augmentation_changes_the_image(smooth_image, settings):
    image_processor = XModalLTImageProcessor(**SQUASH)
    image = smooth_image(40, 55)
    torch.manual_seed(0)
    transform = build_train_transform(image_processor, **{**OFF, **settings})
    views = [transform(image) for _ in range(4)]
    plain = image_processor(image, return_tensors="pt")["pixel_values"][0]
    assert any((view - plain).abs().max() > 0.1 for view in views)


def test_cutout_paints_one_box_of_one_colour(smooth_image):
    torch.manual_seed(0)
    image_processor = XModalLTImageProcessor(**PLAIN)
    image = smooth_image(40, 55)
    plain = image_processor(image, return_tensors="pt")["pixel_values"][0]
    transform = build_train_transform(image_processor, **OFF, cutout=0.5)
    sizes = set()
    for _ in range(20):
        view = transform(image)
        changed = (view != plain).any(dim=0)
        rows, columns = (changed.any(dim=axis).nonzero().flatten() for axis in (1, 0))
        box = view[:, rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        assert torch.equal(box, box[:, :1, :1].expand_as(box))
        sizes.add(max(box.shape[1:]))
    assert max(sizes) == 16  # half of 32, and less where the box is cut at the border
    assert min(sizes) >= 7


def test_cutout_out_of_range_is_refused():
    with pytest.raises(ValueError, match="`cutout` must be a part"):
        build_train_transform(XModalLTImageProcessor(), cutout=1.0)


def test_the_seed_decides(smooth_image):
    transform = build_train_transform(XModalLTImageProcessor(**SQUASH), rand_augment=(2, 9))
    views = []
    for _ in range(2):
        torch.manual_seed(3)
        views.append(transform(smooth_image(40, 55)))
    torch.testing.assert_close(views[0], views[1], rtol=0, atol=0)


def test_transform_is_picklable(smooth_image):
    transform = build_train_transform(XModalLTImageProcessor(**SQUASH), **OFF)
    image = smooth_image(40, 55)
    torch.testing.assert_close(pickle.loads(pickle.dumps(transform))(image), transform(image), rtol=0, atol=0)


@pytest.mark.parametrize("crop_scale", [(0.0, 1.0), (0.5, 0.2), (0.5, 1.5)])
def test_crop_scale_out_of_range_is_refused(crop_scale):
    with pytest.raises(ValueError, match="`crop_scale` must be an area range"):
        build_train_transform(XModalLTImageProcessor(), crop_scale=crop_scale)


@pytest.mark.parametrize("name", ["horizontal_flip", "random_erasing"])
def test_probability_out_of_range_is_refused(name):
    with pytest.raises(ValueError, match=f"`{name}` must be a probability"):
        build_train_transform(XModalLTImageProcessor(), **{name: 1.5})


def test_image_processor_without_a_fixed_size_is_refused():
    with pytest.raises(ValueError, match="do_center_crop=True"):
        build_train_transform(XModalLTImageProcessor(size={"shortest_edge": 32}))
