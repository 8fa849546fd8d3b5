import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from xmodal_lt.data import load_lt, read_features
from xmodal_lt.training.training_data import (
    CachedFeatureData,
    TrainingData,
    evaluation_data,
    privileged_evaluation_data,
)


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


@pytest.fixture(scope="module")
def video_rows(write_videos, tmp_path_factory):
    """Videos with words and privileged features."""
    return load_lt(write_videos(tmp_path_factory.mktemp("data") / "videos", privileged=True))["test"]


def without(rows, column):
    """The rows with nothing in a column, as where another split has the column."""
    empty = [] if column == "words" else None
    return rows.map(lambda row: {column: empty}, features=rows.features)


def test_samples_of_videos_hold_what_their_files_hold(video_rows):
    sample = TrainingData(video_rows)[3]
    assert sorted(sample) == ["features", "label", "privileged_features", "words"]
    for column in ("features", "privileged_features"):
        np.testing.assert_array_equal(sample[column], read_features(video_rows[3][column]))
    assert (sample["label"], sample["words"]) == (video_rows[3]["label"], video_rows[3]["words"])


def test_workers_read_the_same_videos(video_rows):
    data = TrainingData(video_rows)
    loader = DataLoader(data, batch_size=8, num_workers=2, collate_fn=lambda samples: [s["features"] for s in samples])
    for index, features in enumerate(features for batch in loader for features in batch):
        np.testing.assert_array_equal(features, data[index]["features"])


def test_evaluation_has_the_videos_alone(video_rows):
    assert sorted(evaluation_data(video_rows)[0]) == ["features", "label"]


def test_cached_features_come_with_what_is_privileged(video_rows):
    data = TrainingData(video_rows)
    sample = CachedFeatureData(data, np.ones((1, len(data), 5), np.float32))[2]
    assert sample["features"].tolist() == [1.0] * 5
    np.testing.assert_array_equal(sample["privileged_features"], data[2]["privileged_features"])


@pytest.mark.parametrize("column", ["words", "privileged_features"])
def test_evaluation_with_what_is_privileged(video_rows, column):
    rows = video_rows.remove_columns({"words": "privileged_features", "privileged_features": "words"}[column])
    assert sorted(privileged_evaluation_data(rows)[0]) == sorted(["features", "label", column])


@pytest.mark.parametrize("column", ["words", "privileged_features"])
def test_no_evaluation_with_what_no_row_has(video_rows, column):
    rows = video_rows.remove_columns({"words": "privileged_features", "privileged_features": "words"}[column])
    assert privileged_evaluation_data(without(rows, column)) is None
    assert privileged_evaluation_data(rows.remove_columns(column)) is None
