from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path

import datasets
import numpy as np
import pytest
from datasets.distributed import split_dataset_by_node
from own_sets import (
    COUNTS,
    FORMATS,
    comparable,
    image_folder,
    jsonl_file,
    parquet_shards,
    png,
    rows_of,
    shade_of,
    webdataset_shards,
)
from torch.utils.data import DataLoader

from xmodal_lt.data import load_lt
from xmodal_lt.data.columns import to_schema
from xmodal_lt.data.loading import open_streams
from xmodal_lt.data.sources import open_source


def check_same(table: datasets.DatasetDict, stream: datasets.IterableDatasetDict) -> None:
    """The same splits, columns and rows; also their ids, but for those that a table makes of the rows' numbers."""
    assert list(stream) == list(table)
    for split, part in table.items():
        assert isinstance(stream[split], datasets.IterableDataset)
        assert stream[split].features == part.features
        assert stream[split].column_names == part.column_names
        ids = not all(row["image_id"].removeprefix(f"{split}/").isdigit() for row in part)
        streamed, stored = (
            [{name: row[name] for name in row if ids or name != "image_id"} for row in map(comparable, rows)]
            for rows in (stream[split], part)
        )
        assert streamed == stored


def tables(folder: Path, **splits: list[dict]) -> dict:
    """The arguments of `load_lt` for a folder of tables; `datasets` would take the image of all rows for the data."""
    (folder / "tables").mkdir(parents=True)
    (folder / "tables" / "a.png").write_bytes(png(1))
    for split, rows in splits.items():
        lines = [json.dumps({"image": "a.png", **row}) for row in rows]
        (folder / "tables" / f"{split}.jsonl").write_text("\n".join(lines))
    files = {split: str(folder / "tables" / f"{split}.jsonl") for split in splits}
    return {"name_or_path": str(folder / "tables"), "data_files": files}


@pytest.mark.parametrize("name", FORMATS)
def test_streamed_rows_are_those_of_the_table(name, tmp_path):
    path = FORMATS[name](tmp_path / name)
    table = load_lt(path)
    check_same(table, load_lt(path, streaming=True))
    assert {split: len(part) for split, part in table.items()} == {split: COUNTS[split] for split in table}
    for split, part in table.items():
        shades = sorted(shade_of(image) for image in part["image"])
        assert shades == [(100 if split == "test" else 0) + row for row in range(COUNTS[split])]


@pytest.mark.parametrize(
    ("name", "names", "dog"),
    [
        ("parquet_shards", ["cat", "dog"], 1),
        ("parquet_of_class_labels", ["bird", "dog", "cat"], 1),
        ("parquet_of_numbers", ["9", "10"], 1),  # and not "10" before "9", as text is sorted
        ("parquet_of_several_labels", ["dog", "pet"], [1, 0]),
        ("webdataset_shards", ["0", "1"], 1),
        ("tar_file", ["cat", "dog"], 1),
    ],
)
@pytest.mark.parametrize("streaming", [False, True])
def test_labels_become_class_ids(name, names, dog, streaming, tmp_path):
    train = load_lt(FORMATS[name](tmp_path / name), streaming=streaming)["train"]
    column = "labels" if isinstance(dog, list) else "label"
    feature = train.features[column]
    assert getattr(feature, "feature", feature).names == names
    labels = [row[column] for row in train]
    assert [row for row, label in enumerate(labels) if label == dog] == [
        row for row, given in enumerate(rows_of("train")) if given["label"] == "dog"
    ]


@pytest.mark.parametrize("name", ["image_folder", "parquet_shards", "csv_file", "webdataset_shards", "saved_to_disk"])
def test_words_are_those_of_the_files(name, tmp_path):
    stream = load_lt(FORMATS[name](tmp_path / name), streaming=True)
    for split, part in stream.items():
        assert [row["words"] for row in part] == [row["words"] for row in rows_of(split)]


def test_the_features_of_videos_are_streamed(write_features, tmp_path):
    write_features("videos", {"a": np.ones((2, 2)), "b": np.zeros((3, 2))})
    rows = [{"features": f"{name}.npy", "words": ["fur"], "label": name} for name in "ab"]
    (tmp_path / "videos" / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    table, stream = (load_lt(tmp_path / "videos", streaming=streaming)["train"] for streaming in (False, True))
    assert stream.features == table.features
    assert stream.remove_columns("image_id").to_list() == table.remove_columns("image_id").to_list()
    with pytest.raises(ValueError, match=r"is of videos, whose features are read one by one .* without streaming"):
        open_streams(tmp_path / "videos")


@pytest.mark.parametrize("streaming", [False, True])
def test_named_columns_are_streamed_and_other_images_are_images_too(streaming, tmp_path):
    image, text = datasets.Image(), datasets.Value("string")
    features = {"picture": image, "image": image, "thumb": image, "tags": text, "kind": text, "image_id": text}
    pictures = [{"bytes": png(shade), "path": None} for shade in (1, 2, 3)]
    row = dict(zip(features, [*pictures, "fur; tail", "cat", "7"], strict=True))
    rows = datasets.Dataset.from_list([row, {**row, "thumb": None}], datasets.Features(features))
    rows.to_parquet(tmp_path / "pets" / "train.parquet")
    names = {"image_column": "picture", "words_column": "tags", "label_column": "kind", "words_separator": ";"}
    train = load_lt(tmp_path / "pets", streaming=streaming, **names)["train"]
    assert train.column_names == ["image", "words", "label", "image_id", "thumb"]
    assert train.features["image"] == train.features["thumb"] == image
    first, second = train
    assert (shade_of(first["image"]), shade_of(first["thumb"]), second["thumb"]) == (1, 3, None)
    assert (first["words"], first["label"], first["image_id"]) == (["fur", "tail"], 0, "7")


@pytest.mark.parametrize("maker", [parquet_shards, webdataset_shards, image_folder])
@pytest.mark.parametrize("nodes", [1, 2])
def test_nodes_and_workers_cover_every_row_once(maker, nodes, tmp_path):
    train = load_lt(maker(tmp_path / "pets"), streaming=True)["train"]
    seen = []
    for node in range(nodes):
        part = train if nodes == 1 else split_dataset_by_node(train, rank=node, world_size=nodes)
        for batch in DataLoader(part, batch_size=2, num_workers=2, collate_fn=list):
            seen += [shade_of(row["image"]) for row in batch]
    assert sorted(seen) == list(range(COUNTS["train"]))


@pytest.fixture
def wordless(tmp_path):
    """Two of four training samples, and a test sample, lack words; the only bird is one of them."""
    train = [("cat", ["fur"]), ("bird", []), ("cat", [" "]), ("dog", ["tail"])]
    of_test = [("cat", [])]
    return tables(
        tmp_path,
        train=[{"label": label, "words": words} for label, words in train],
        test=[{"label": label, "words": words} for label, words in of_test],
    )


def test_streamed_samples_without_words_are_an_error_when_they_are_read(wordless):
    with pytest.raises(ValueError, match=r"a row of column 'words': a training sample has no words\. Add words, or"):
        list(load_lt(**wordless, streaming=True)["train"])


def test_samples_without_words_are_skipped_alike(wordless):
    table, stream = (load_lt(**wordless, missing_words="skip", streaming=streaming) for streaming in (False, True))
    check_same(table, stream)
    assert table["train"].features["label"].names == ["cat", "dog"]  # the bird went
    assert len(list(stream["test"])) == 1


def test_samples_without_words_are_kept_alike(wordless):
    table, stream = (load_lt(**wordless, missing_words="keep", streaming=streaming) for streaming in (False, True))
    check_same(table, stream)
    assert [row["words"] for row in stream["train"]] == [["fur"], [], [], ["tail"]]


@pytest.fixture
def broken(tmp_path):
    """An image folder with an image in each split that cannot be read."""
    folder = image_folder(tmp_path / "pets")
    for split in COUNTS:
        (folder / split / "1.png").write_bytes(b"not an image")
    return folder


def test_streamed_images_that_cannot_be_read_are_an_error_when_they_are_read(broken):
    rows = iter(load_lt(broken, streaming=True)["train"])
    assert shade_of(next(rows)["image"]) == 0
    with pytest.raises(ValueError, match=r"Cannot read the image train/\w+ \(.*1\.png\): cannot identify image file"):
        next(rows)


def test_images_that_cannot_be_read_are_skipped_alike(broken, caplog):
    table, stream = (load_lt(broken, bad_images="skip", streaming=streaming) for streaming in (False, True))
    caplog.clear()
    check_same(table, stream)
    assert [shade_of(row["image"]) for row in stream["train"]] == [0, 2, 3, 4, 5, 6]
    assert "Left out one of the images of split 'train' that cannot be read" in caplog.text
    assert os.path.join("train", "1.png") in caplog.text  # noqa: PTH118


def test_streams_to_train_on_are_without_what_is_skipped(broken):
    streams = open_streams(broken, bad_images="skip")
    assert {split: len(stream) for split, stream in streams.items()} == {"train": 6, "test": 2}
    rows = [row for piece in range(len(streams["train"].sizes)) for _, row in streams["train"].read(piece)]
    assert [shade_of(row["image"]) for row in rows] == [0, 2, 3, 4, 5, 6]


def test_ids_of_a_stream_do_not_depend_on_what_is_skipped_or_shared_out(broken, tmp_path):
    kept = [row["image_id"] for row in load_lt(broken, bad_images="skip", streaming=True)["train"]]
    whole = parquet_shards(tmp_path / "whole")
    train = load_lt(whole, streaming=True)["train"]
    ids = [row["image_id"] for row in train]
    assert len(set(ids)) == len(ids) and len(set(kept)) == len(kept)
    shared = [row["image_id"] for rank in range(2) for row in split_dataset_by_node(train, rank, 2)]
    worked = [
        name for batch in DataLoader(train, 1, num_workers=2, collate_fn=list) for name in (batch[0]["image_id"],)
    ]
    assert sorted(shared) == sorted(worked) == sorted(ids)


@pytest.mark.parametrize(("option", "value"), [("missing_words", "ignore"), ("bad_images", "ignore")])
def test_unknown_choices_are_named(option, value, tmp_path):
    with pytest.raises(ValueError, match=f"{option} must be one of .* got 'ignore'"):
        load_lt(parquet_shards(tmp_path / "pets"), streaming=True, **{option: value})


def test_a_label_that_train_lacks_is_named_when_it_is_read(tmp_path):
    source = tables(tmp_path, train=[{"label": "cat"}, {"label": "dog"}], test=[{"label": "cow"}])
    with pytest.raises(ValueError, match="split 'test' has 1 labels of which 'train' has no sample: 'cow'"):
        load_lt(**source)
    with pytest.raises(
        ValueError, match="column 'label': the label 'cow' is not one of the 2 classes of split 'train'"
    ):
        list(load_lt(**source, streaming=True)["test"])


def test_a_streamed_row_without_a_label_is_named(tmp_path):
    source = tables(tmp_path, train=[{"label": "cat"}, {"label": None}])
    with pytest.raises(ValueError, match=r"column 'label': it has no label\. Drop such rows first"):
        list(load_lt(**source, streaming=True)["train"])


def test_processes_that_build_have_nothing_to_do_for_a_stream(tmp_path):
    with pytest.raises(ValueError, match="num_proc is for data that is built, and a stream is read as it is"):
        load_lt(parquet_shards(tmp_path / "pets"), streaming=True, num_proc=2)


@pytest.mark.parametrize("streaming", [False, True])
def test_one_split_alone_is_refused(streaming, tmp_path):
    with pytest.raises((TypeError, ValueError), match="split"):
        load_lt(parquet_shards(tmp_path / "pets"), streaming=streaming, split="train")


@pytest.mark.parametrize("streaming", [False, True])
def test_columns_that_are_missing_are_named(streaming, tmp_path):
    with pytest.raises(ValueError, match=r"no column 'imgae'; .* Did you mean 'image'\?"):
        load_lt(parquet_shards(tmp_path / "pets"), streaming=streaming, image_column="imgae")


@pytest.mark.parametrize("streaming", [False, True])
def test_images_of_a_table_may_lie_in_another_folder(streaming, tmp_path):
    file = jsonl_file(tmp_path / "pets")
    moved = tmp_path / "tables" / "rows.jsonl"
    moved.parent.mkdir()
    file.rename(moved)
    train = load_lt(moved, file_dir=tmp_path / "pets", streaming=streaming)["train"]
    assert [shade_of(row["image"]) for row in train] == list(range(COUNTS["train"]))


def test_registered_data_sets_have_no_folder_of_files(tmp_path):
    with pytest.raises(ValueError, match="file_dir is for tables of your own; the files of 'emoji-lt' are in its"):
        load_lt("emoji-lt", file_dir=tmp_path)


@pytest.mark.parametrize("path", ["../secret.png", "in/../../secret.png", "{root}/secret.png", "/etc/hosts", "in/.."])
@pytest.mark.parametrize("streaming", [False, True])
def test_paths_that_lead_out_of_the_folder_are_refused(path, streaming, tmp_path):
    (tmp_path / "secret.png").write_bytes(png(9))
    (tmp_path / "tables" / "in").mkdir(parents=True)
    row = {"image": path.format(root=tmp_path), "label": "cat"}
    (tmp_path / "tables" / "rows.jsonl").write_text(json.dumps(row))
    with pytest.raises(ValueError, match=r"column 'image': .* leads out of .* the one that you pass as `file_dir`"):
        list(load_lt(tmp_path / "tables" / "rows.jsonl", streaming=streaming)["train"])


@pytest.mark.parametrize("column", ["features", "privileged_features"])
@pytest.mark.parametrize("path", ["../a.npy", "../b.h5::v", "{root}/a.npy"])
@pytest.mark.parametrize("streaming", [False, True])
def test_features_outside_of_the_folder_are_refused(column, path, streaming, tmp_path):
    (tmp_path / "tables").mkdir()
    row = {"features": "in.npy", "label": "cat", column: path.format(root=tmp_path)}
    (tmp_path / "tables" / "rows.jsonl").write_text(json.dumps(row))
    with pytest.raises(ValueError, match=f"column '{column}': .* leads out of"):
        list(load_lt(tmp_path / "tables" / "rows.jsonl", streaming=streaming)["train"])


@pytest.mark.parametrize("streaming", [False, True])
def test_an_image_that_parquet_holds_as_a_path_must_lie_in_the_folder(streaming, tmp_path):
    (tmp_path / "secret.png").write_bytes(png(9))
    (tmp_path / "tables").mkdir()
    stored = datasets.Features({"image": {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}})
    rows = [{"image": {"bytes": None, "path": str(tmp_path / "secret.png")}, "label": "cat"}]
    features = datasets.Features({**stored, "label": datasets.Value("string")})
    datasets.Dataset.from_list(rows, features).to_parquet(tmp_path / "tables" / "train.parquet")
    with pytest.raises(ValueError, match="leads out of"):
        list(load_lt(tmp_path / "tables", streaming=streaming)["train"])


@pytest.mark.parametrize("streaming", [False, True])
def test_other_columns_of_images_may_not_lead_out_either(streaming, tmp_path):
    (tmp_path / "secret.png").write_bytes(png(9))
    (tmp_path / "tables").mkdir()
    features = {"image": datasets.Image(), "thumb": datasets.Image(), "label": datasets.Value("string")}
    thumb = {"bytes": None, "path": str(tmp_path / "secret.png")}
    rows = [{"image": {"bytes": png(1), "path": None}, "thumb": thumb, "label": "cat"}]
    datasets.Dataset.from_list(rows, datasets.Features(features)).to_parquet(tmp_path / "tables" / "train.parquet")
    with pytest.raises(ValueError, match="leads out of"):
        list(load_lt(tmp_path / "tables", streaming=streaming)["train"])


@pytest.mark.parametrize("path", ["a.png", "/etc/hosts", "../a.png"])
@pytest.mark.parametrize("streaming", [False, True])
def test_a_table_of_the_hub_names_no_files_of_this_machine(path, streaming, tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(png(1))
    (tmp_path / "rows.jsonl").write_text(json.dumps({"image": path, "label": "cat"}))
    for load in (datasets.load_dataset, datasets.load_dataset_builder):  # in place of a download
        local = partial(load, "json", data_files=str(tmp_path / "rows.jsonl"))
        monkeypatch.setattr(datasets, load.__name__, lambda local=local, **_: local())
    monkeypatch.chdir(tmp_path)
    source = open_source("someone/pets", None, None, streaming, {})
    with pytest.raises(ValueError, match="is a path on this machine, but the table is not from it: expected URLs"):
        list(to_schema(source.splits, place=source.place)["train"])
