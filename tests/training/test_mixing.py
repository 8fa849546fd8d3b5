"""Mixup and CutMix on images that show which sample each of their pixels comes from."""

import pytest
import torch
from torch.testing import assert_close

from xmodal_lt.training.mixing import build_mixing, mix_batch


NUM_LABELS = 4
LABELS = torch.tensor([2, 0, 2])
# Image i is 1 in channel i: after mixing, channels are the shares of the samples.
IMAGES = torch.eye(3)[:, :, None, None].repeat(1, 1, 8, 8)
KINDS = {"mixup": (0.8, 0.0), "cutmix": (0.0, 1.0), "both": (0.8, 1.0)}


def _mixed(mix, seed):
    torch.manual_seed(seed)
    return mix_batch(mix, {"pixel_values": IMAGES, "labels": LABELS, "other": 5})


def _is_pasted(images) -> bool:
    """Whether each pixel is of one sample."""
    return bool(((images == 0) | (images == 1)).all())


@pytest.mark.parametrize("kind", KINDS)
def test_labels_have_the_shares_of_the_images(kind):
    mix = build_mixing(*KINDS[kind], NUM_LABELS)
    pasted = set()
    for seed in range(20):
        batch = _mixed(mix, seed)
        images, targets = batch["pixel_values"], batch["labels"]
        assert batch["other"] == 5
        assert images.min() >= 0
        assert_close(images.sum(1), torch.ones(3, 8, 8))
        shares = images.mean((2, 3))
        assert_close(targets, shares @ torch.nn.functional.one_hot(LABELS, NUM_LABELS).float())
        if shares.max() < 1:  # else a box of no size, which has no kind
            pasted.add(_is_pasted(images))
            assert _is_pasted(images) or (images == images[:, :, :1, :1]).all()
    assert pasted == {"mixup": {False}, "cutmix": {True}, "both": {False, True}}[kind]
    assert torch.equal(IMAGES, torch.eye(3)[:, :, None, None].repeat(1, 1, 8, 8))


def test_draws_depend_on_the_generator_of_the_cpu_alone():
    mix = build_mixing(0.8, 1.0, NUM_LABELS)
    first, again, other = (_mixed(mix, seed)["pixel_values"] for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_without_alpha_there_is_none():
    assert build_mixing(0.0, 0.0, NUM_LABELS) is None


@pytest.mark.parametrize(
    "batch",
    [
        {"features": torch.ones(3, 5), "labels": LABELS},
        {"pixel_values": IMAGES, "labels": torch.eye(3, NUM_LABELS)},
        {"pixel_values": IMAGES},
    ],
)
def test_batches_of_something_else_are_refused(batch):
    with pytest.raises(ValueError, match=r"images with one label each.*cache_features=false"):
        mix_batch(build_mixing(0.8, 0.0, NUM_LABELS), batch)
