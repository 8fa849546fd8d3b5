from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import datasets
import numpy as np
import pytest

from xmodal_lt.data import FEATURES, load_lt, read_features


ROWS = [
    {"features": "clips/cat.npy", "label": "cat", "words": ["fur", "claw"]},
    {"features": "dog.h5::video", "label": "dog", "words": ["bark"]},
]


@pytest.fixture
def folder(write_features, numbered) -> Path:
    """The folder `my_videos`, with features of a cat and of a dog; rows are still to be written."""
    write_features("my_videos/clips", {"cat": numbered(3)})
    return write_features("my_videos/dog.h5", {"video": numbered(4, base=10)}).parent


def write_jsonl(path: Path, rows: list[dict]) -> Path:
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def write_parquet(path: Path, rows: list[dict]) -> Path:
    datasets.Dataset.from_list(rows).to_parquet(path)
    return path


def check(dataset: datasets.DatasetDict, numbered: Callable, splits: tuple[str, ...] = ("train", "test")) -> None:
    assert tuple(dataset) == splits
    for part in dataset.values():
        assert part.column_names == ["features", "words", "label", "image_id"]
        assert part.features["features"] == FEATURES
        np.testing.assert_array_equal(read_features(part[0]["features"]), numbered(3))
        np.testing.assert_array_equal(read_features(part[1]["features"]), numbered(4, base=10))
        assert part.features["label"].names == ["cat", "dog"]


@pytest.mark.parametrize("write", [write_jsonl, write_parquet])
def test_a_file(folder, numbered, write):
    check(load_lt(write(folder / f"videos.{write.__name__[6:]}", ROWS)), numbered, splits=("train",))


@pytest.mark.parametrize("write", [write_jsonl, write_parquet])
def test_a_folder_with_a_file_for_each_split(folder, numbered, write):
    for name in ("train", "test"):
        write(folder / f"{name}.{write.__name__[6:]}", ROWS)
    check(load_lt(folder), numbered)


def test_a_folder_with_one_file_beside_several_hdf5_files(folder, write_features, numbered):
    write_features("my_videos/sound.h5", {"video": numbered(2)})
    write_jsonl(folder / "videos.jsonl", ROWS)
    check(load_lt(folder), numbered, splits=("train",))


def test_names_of_features_do_not_make_splits(folder, write_features, numbered):
    write_features("my_videos/test_features.h5", {"video": numbered(2)})
    write_features("my_videos/validation", {"dev": numbered(2)})
    for name in ("my_train_rows", "my_test_rows"):
        write_jsonl(folder / f"{name}.jsonl", ROWS)
    check(load_lt(folder), numbered)


def test_shards_of_a_split(folder, numbered):
    for number, row in enumerate(ROWS):
        write_parquet(folder / f"train-0000{number}-of-00002.parquet", [row])
    check(load_lt(folder), numbered, splits=("train",))


def test_the_folder_may_be_relative(folder, numbered, monkeypatch):
    write_jsonl(folder / "videos.jsonl", ROWS)
    monkeypatch.chdir(folder.parent)
    check(load_lt("./my_videos"), numbered, splits=("train",))


def test_files_of_rows_in_several_formats(folder):
    write_jsonl(folder / "train.jsonl", ROWS)
    write_parquet(folder / "test.parquet", ROWS)
    with pytest.raises(ValueError, match=r"rows in several formats, \['test\.parquet', 'train\.jsonl'\]: keep one"):
        load_lt(folder)


def test_a_folder_of_images_may_hold_an_array(image_folder, numbered):
    folder = image_folder([{"label": "cat"}])
    np.save(folder / "embeddings.npy", numbered(3))
    (folder / "notes.csv").write_text("a,b\n1,2\n")
    assert load_lt(folder)["train"].column_names == ["image", "words", "label", "image_id"]


def test_a_saved_data_set(folder, numbered, tmp_path):
    load_lt(write_jsonl(folder / "videos.jsonl", ROWS)).save_to_disk(tmp_path / "saved")
    with pytest.raises(ValueError, match=r"leads out of .* the one that you pass as `file_dir`"):
        load_lt(tmp_path / "saved")
    check(load_lt(tmp_path / "saved", file_dir=folder), numbered, splits=("train",))


def test_privileged_features(folder, numbered):
    rows = [{**row, "privileged_features": "clips/cat.npy"} for row in ROWS]
    train = load_lt(write_jsonl(folder / "videos.jsonl", rows))["train"]
    assert train.column_names == ["features", "privileged_features", "words", "label", "image_id"]
    np.testing.assert_array_equal(read_features(train[1]["privileged_features"]), numbered(3))
