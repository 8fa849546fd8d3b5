import os

import pytest

from xmodal_lt.data import load_lt
from xmodal_lt.training.data_fingerprint import fingerprint_of_inputs, fingerprint_of_rows


@pytest.fixture
def folder(write_videos, tmp_path):
    return write_videos(tmp_path / "videos", privileged=True)


def fingerprints(folder) -> tuple[str, str]:
    data = load_lt(folder)
    return fingerprint_of_rows(data), fingerprint_of_inputs(data["train"])


def test_the_same_data_have_the_same_fingerprints(folder):
    assert fingerprints(folder) == fingerprints(folder)


@pytest.mark.parametrize("file", ["clips/train-run-0.npy", "sound/train-swim-3.npy"])
def test_features_that_were_extracted_anew_change_both(folder, file):
    before = fingerprints(folder)
    os.utime(folder / file, ns=(0, 0))
    assert not set(before) & set(fingerprints(folder))


@pytest.mark.parametrize(("old", "new"), [("take 1", "take one"), ('"label": "jump"', '"label": "run"')])
def test_other_words_or_labels_change_both(folder, old, new):
    before = fingerprints(folder)
    file = folder / "train.jsonl"
    file.write_text(file.read_text().replace(old, new, 1))
    assert not set(before) & set(fingerprints(folder))


def test_features_of_another_split_leave_the_inputs_of_this_one(folder):
    rows, inputs = fingerprints(folder)
    os.utime(folder / "clips" / "test-run-0.npy", ns=(0, 0))
    assert fingerprints(folder)[0] != rows
    assert fingerprints(folder)[1] == inputs


def test_a_missing_file_is_not_read_here(folder):
    before = fingerprints(folder)
    (folder / "clips" / "train-run-0.npy").unlink()
    assert not set(before) & set(fingerprints(folder))


def test_images_have_fingerprints_of_their_rows(shapes):
    assert fingerprints(shapes) == fingerprints(shapes)
