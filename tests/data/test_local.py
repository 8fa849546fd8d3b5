from __future__ import annotations

import csv

import datasets
import pytest
from PIL import Image

from xmodal_lt.data import load_lt


@pytest.fixture
def loaded(image_folder):
    image_folder([{"label": "cat", "words": ["fur", "claw"]}, {"label": "dog"}])
    return load_lt(image_folder([{"label": "dog"}], split="test"))


def check(dataset: datasets.DatasetDict, splits: tuple[str, ...] = ("train", "test")) -> None:
    assert tuple(dataset) == splits
    train = dataset["train"]
    assert train.column_names[:4] == ["image", "words", "label", "image_id"]
    assert list(train["words"]) == [["fur", "claw"], ["word"]]
    assert [train.features["label"].int2str(label) for label in train["label"]] == ["cat", "dog"]
    assert [image.getpixel((0, 0)) for image in train["image"]] == [(0, 0, 0), (1, 0, 0)]


def test_image_folder(loaded):
    check(loaded)


def test_image_folder_with_a_folder_for_each_class(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / "pets" / name / "0.png")
    train = load_lt(tmp_path / "pets")["train"]
    assert train.column_names == ["image", "label", "image_id"]
    assert train.features["label"].names == ["cat", "dog"]


def test_saved_dataset_dict(loaded, tmp_path):
    loaded.save_to_disk(tmp_path / "saved")
    check(load_lt(tmp_path / "saved"))


def test_a_saved_single_split_is_for_training(loaded, tmp_path):
    loaded["train"].save_to_disk(tmp_path / "saved")
    check(load_lt(tmp_path / "saved"), splits=("train",))


def test_parquet_folder_and_a_folder_inside_it(loaded, tmp_path):
    (tmp_path / "pets" / "files").mkdir(parents=True)
    for split, part in loaded.items():
        part.to_parquet(tmp_path / "pets" / "files" / f"{split}-00000-of-00001.parquet")
    # `to_parquet` leaves images in their files, which are not in that folder.
    check(load_lt(tmp_path / "pets" / "files", file_dir=tmp_path))
    check(load_lt(tmp_path / "pets", data_dir="files", file_dir=tmp_path))


def test_parquet_file(loaded, tmp_path):
    loaded["train"].to_parquet(tmp_path / "pets.parquet")
    check(load_lt(tmp_path / "pets.parquet"), splits=("train",))


def test_csv_file_with_paths_seen_from_its_folder(image_folder):
    folder = image_folder([{}, {}])
    with (folder / "pets.csv").open("w", newline="") as file:
        rows = [["file", "tags", "species"], ["train/0.png", "fur; claw", "cat"], ["train/1.png", "word", "dog"]]
        csv.writer(file).writerows(rows)
    dataset = load_lt(
        folder / "pets.csv", image_column="file", words_column="tags", label_column="species", words_separator=";"
    )
    check(dataset, splits=("train",))


def test_jsonl_file(image_folder):
    folder = image_folder([{"label": "cat", "words": ["fur", "claw"]}, {"label": "dog"}])
    check(load_lt(folder / "train" / "metadata.jsonl", image_column="file_name"), splits=("train",))


@pytest.mark.parametrize("name", ["./nowhere", "nowhere/pets.csv"])
def test_a_path_that_does_not_exist(name):
    with pytest.raises(FileNotFoundError, match=r"there is no file or folder .*nowhere"):
        load_lt(name)


def test_a_file_of_another_kind(tmp_path):
    (tmp_path / "pets.xlsx").touch()
    with pytest.raises(ValueError, match=r"pets\.xlsx: expected a file ending in \.parquet, \.csv"):
        load_lt(tmp_path / "pets.xlsx")
