from __future__ import annotations

import pytest

from xmodal_lt.data import load_lt


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
