from __future__ import annotations

import json

import numpy as np
import pytest

from xmodal_lt.data import load_lt, read_features


@pytest.fixture
def broken(image_folder):
    """Two images each to train and test on, of which one cannot be read."""
    for split in ("train", "test"):
        folder = image_folder([{"label": "cat"}, {"label": "cat"}], split=split)
        (folder / split / "1.png").write_bytes(b"not an image")
    return folder


@pytest.fixture
def wordless(image_folder):
    image_folder([{"label": "cat"}, {"label": "cat", "words": []}], split="test")
    return image_folder([{"label": "cat"}, {"label": "cat", "words": []}, {"label": "dog", "words": [" "]}])


def test_bad_images_fail_when_accessed(broken):
    train = load_lt(broken)["train"]
    assert len(train) == 2
    with pytest.raises(OSError, match="cannot identify image file"):
        _ = train[1]["image"]


def test_bad_images_can_be_skipped_with_a_count(broken, caplog):
    dataset = load_lt(broken, bad_images="skip")
    assert {split: list(part["image_id"]) for split, part in dataset.items()} == {
        "train": ["train/0"],
        "test": ["test/0"],
    }
    assert "Left out 1 of 2 images of split 'train' that cannot be read: '" in caplog.text
    assert "1.png" in caplog.text


def test_nothing_left_to_read(broken):
    (broken / "train" / "0.png").write_bytes(b"")
    with pytest.raises(ValueError, match="no sample of split 'train' is left"):
        load_lt(broken, bad_images="skip")


def test_training_samples_without_words_are_named(wordless):
    with pytest.raises(
        ValueError, match=r"2 of 3 training samples have no words: 'train/1', 'train/2'\. Add words, or"
    ):
        load_lt(wordless)


def test_samples_without_words_can_be_skipped_with_a_count(wordless, caplog):
    dataset = load_lt(wordless, missing_words="skip")
    assert list(dataset["train"]["image_id"]) == ["train/0"]
    assert dataset["train"].features["label"].names == ["cat"]  # the only dog went, so it is no class
    assert len(dataset["test"]) == 2
    assert "Left out: 2 of 3 training samples have no words" in caplog.text


def test_samples_without_words_can_be_kept(wordless):
    assert list(load_lt(wordless, missing_words="keep")["train"]["words"]) == [["word"], [], []]


@pytest.fixture
def videos(write_features, tmp_path):
    """Two videos each to train and test on, of which one cannot be read; one of the others has no sound."""
    write_features("videos", {"good": np.ones((2, 2)), "bad": np.full((2, 2), np.nan)})
    rows = [
        {"features": "good.npy", "privileged_features": "good.npy", "label": "cat"},
        {"features": "bad.npy", "privileged_features": "good.npy", "label": "cat"},
        {"features": "good.npy", "privileged_features": None, "label": "cat"},
    ]
    for split in ("train", "test"):
        (tmp_path / "videos" / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return tmp_path / "videos"


def test_bad_features_fail_when_they_are_read(videos):
    train = load_lt(videos)["train"]
    assert len(train) == 3
    with pytest.raises(ValueError, match=r"bad\.npy"):
        read_features(train[1]["features"])


def test_bad_features_can_be_skipped_with_a_count(videos, caplog):
    dataset = load_lt(videos, bad_images="skip")
    assert {split: list(part["image_id"]) for split, part in dataset.items()} == {
        "train": ["train/0"],
        "test": ["test/0", "test/2"],  # prediction needs no privileged features
    }
    assert "Left out 1 of 3 features of split 'train' that cannot be read: '" in caplog.text
    assert "bad.npy" in caplog.text
    assert "Left out 1 of 2 privileged features of split 'train' that cannot be read: 'train/2'" in caplog.text


def test_bad_privileged_features_are_skipped_in_every_split(videos):
    (videos / "more.npy").write_bytes(b"not an array")
    rows = [{"features": "good.npy", "privileged_features": name, "label": "cat"} for name in ("good.npy", "more.npy")]
    (videos / "test.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert list(load_lt(videos, bad_images="skip")["test"]["image_id"]) == ["test/0"]
