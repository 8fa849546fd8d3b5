import pytest
import torch
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from xmodal_lt.data import load_lt
from xmodal_lt.training.training_data import CachedFeatureData, TrainingData, evaluation_data


@pytest.fixture(scope="module")
def rows(colour_data):
    return load_lt(colour_data)["train"]


@pytest.fixture
def data(rows):
    transform = v2.Compose([v2.RandomResizedCrop(16), v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
    return TrainingData(rows, transform, seed=5)


def test_augmentation_does_not_depend_on_the_order(data):
    forward = [data[index]["pixel_values"] for index in range(4)]
    backward = [data[index]["pixel_values"] for index in reversed(range(4))]
    for first, second in zip(forward, reversed(backward), strict=True):
        torch.testing.assert_close(first, second, rtol=0, atol=0)


def test_augmentation_changes_with_epoch_row_and_seed(data, rows):
    first = data[0]["pixel_values"]
    data.set_epoch(1)
    assert not torch.equal(first, data[0]["pixel_values"])
    data.set_epoch(0)
    assert torch.equal(first, data[0]["pixel_values"])
    assert not torch.equal(first, TrainingData(rows, data.transform, seed=6)[0]["pixel_values"])


def test_augmentation_leaves_the_global_generator_alone(data):
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    _ = data[0]
    assert torch.equal(torch.rand(2), expected)


def test_workers_see_the_epoch_and_give_the_same_samples(data):
    data.set_epoch(2)
    expected = torch.stack([data[index]["pixel_values"] for index in range(len(data))])
    loader = DataLoader(
        data, batch_size=8, num_workers=2, collate_fn=lambda samples: [s["pixel_values"] for s in samples]
    )
    assert torch.equal(torch.stack([image for batch in loader for image in batch]), expected)


def test_evaluation_has_no_words_and_plain_images(rows):
    sample = evaluation_data(rows)[0]
    assert sorted(sample) == ["image", "label"]
    assert sample["image"].size == (40, 40)


def test_cached_view_follows_the_epoch(data):
    features = torch.arange(2 * len(data)).reshape(2, len(data), 1).numpy()
    cached = CachedFeatureData(data, features)
    seen = []
    for epoch in range(3):
        cached.set_epoch(epoch)
        seen.append(int(cached[1]["features"][0]))
    assert seen == [1, len(data) + 1, 1]
    assert cached[1]["words"] == data[1]["words"]


def test_cache_of_other_data_is_refused(data):
    with pytest.raises(ValueError, match="holds 3 rows"):
        CachedFeatureData(data, torch.zeros(1, 3, 2).numpy())
