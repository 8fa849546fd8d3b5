from __future__ import annotations

import json
import os

import datasets
import pyarrow.parquet as pq
import pytest
from own_sets import (
    COUNTS,
    FORMATS,
    comparable,
    image_folder,
    parquet_of_several_labels,
    parquet_shards,
    png,
    sample_files,
    webdataset_shards,
    write_tar,
)

from xmodal_lt.data import load_lt
from xmodal_lt.data.loading import open_streams
from xmodal_lt.data.sharded_stream import ShardedStream


def all_rows(stream: ShardedStream) -> list[tuple[int, dict]]:
    return [row for piece in range(len(stream.sizes)) for row in stream.read(piece)]


@pytest.mark.parametrize("name", FORMATS)
def test_the_pieces_together_hold_the_rows_of_the_table(name, tmp_path):
    path = FORMATS[name](tmp_path / name)
    table, streams = load_lt(path), open_streams(path)
    assert list(streams) == list(table)
    for split, stream in streams.items():
        part = table[split]
        numbers, rows = zip(*all_rows(stream), strict=True)
        assert numbers == tuple(range(COUNTS[split]))
        assert list(map(comparable, rows)) == list(map(comparable, part))
        assert sum(stream.sizes) == len(stream) == COUNTS[split]
        assert sorted(stream.column_names) == sorted(part.column_names)
        assert stream.annotations.features == part.remove_columns("image").features
        assert list(stream.annotations) == list(part.remove_columns("image"))


@pytest.mark.parametrize("maker", [parquet_shards, webdataset_shards])
def test_any_rows_of_a_piece_can_be_read(maker, tmp_path):
    stream = open_streams(maker(tmp_path / "pets"))["train"]
    whole = all_rows(stream)
    for piece, size in enumerate(stream.sizes):
        first = sum(stream.sizes[:piece])
        for start in range(size):
            for stop in range(start + 1, size + 1):
                part = list(stream.read(piece, start, stop))
                wanted = whole[first + start : first + stop]
                assert [(number, comparable(row)) for number, row in part] == [(n, comparable(r)) for n, r in wanted]


def test_parts_of_a_long_piece_are_its_rows(tmp_path):
    """Longer than what is read at a time."""
    files = [file for copy in range(8) for file in _sample(copy)]
    stream = open_streams(write_tar(tmp_path / "long.tar", files))["train"]
    assert stream.sizes == (56,)
    for start, stop in ((0, 1), (15, 17), (16, 32), (31, 56), (55, 56)):
        rows = list(stream.read(0, start, stop))
        assert [number for number, _ in rows] == list(range(start, stop))
        assert [row["note"] for _, row in rows] == [number % 7 for number in range(start, stop)]


def _sample(copy):
    return [(f"{copy}{name}", data) for row in range(COUNTS["train"]) for name, data in sample_files("train", row)]


def test_few_parquet_files_are_read_by_their_row_groups(tmp_path):
    streams = open_streams(parquet_shards(tmp_path / "pets"))
    assert {split: stream.sizes for split, stream in streams.items()} == {"train": (2, 2, 2, 1), "test": (2, 1)}


def test_columns_can_be_left_out(tmp_path):
    path = parquet_of_several_labels(tmp_path / "pets")
    stream = open_streams(path)["train"].remove_columns(["words"])
    assert stream.column_names == ["image", "labels", "image_id"]
    assert stream.annotations.column_names == ["labels", "image_id"]
    assert sorted(all_rows(stream)[0][1]) == ["image", "image_id", "labels"]


class NoReading:
    """In place of what reads the rows of a stream."""

    def __call__(self, *_, **__):
        raise AssertionError("rows are read")


@pytest.fixture
def unread(monkeypatch):
    def forbid():
        monkeypatch.setattr(datasets.IterableDataset, "__iter__", NoReading())
        monkeypatch.setattr(datasets.IterableDataset, "iter", NoReading())

    return forbid


@pytest.mark.parametrize("labels", ["parquet_of_class_labels", "parquet_shards"])
def test_what_is_small_is_read_once(labels, tmp_path, unread):
    path = FORMATS[labels](tmp_path / "pets")
    first = open_streams(path)
    unread()
    second = open_streams(path)
    for split, stream in first.items():
        assert second[split].sizes == stream.sizes
        assert list(second[split].annotations) == list(stream.annotations)


def _other_label(path):
    file = path / "train-00001-of-00002.parquet"
    table = pq.read_table(file)
    labels = table.column("label").to_pylist()
    changed = table.set_column(table.column_names.index("label"), table.field("label"), [labels[::-1]])
    pq.write_table(changed, file, row_group_size=2)
    os.utime(file, ns=(0, os.stat(file).st_mtime_ns + 1_000_000_000))  # noqa: PTH116


def test_a_changed_parquet_file_is_noticed(tmp_path):
    path = FORMATS["parquet_of_class_labels"](tmp_path / "pets")
    before = list(open_streams(path)["train"].annotations["label"])
    _other_label(path)
    after = open_streams(path)["train"]
    assert list(after.annotations["label"]) == before[:4] + before[4:][::-1]
    assert [row["label"] for _, row in all_rows(after)] == list(after.annotations["label"])


def test_changed_metadata_and_more_shards_are_noticed(tmp_path):
    folder = image_folder(tmp_path / "pets")
    assert len(open_streams(folder)["train"]) == COUNTS["train"]
    file = folder / "train" / "metadata.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    file.write_text("\n".join(json.dumps({**row, "words": ["other"]}) for row in rows))
    assert open_streams(folder)["train"].annotations["words"][0] == ["other"]
    shards = webdataset_shards(tmp_path / "shards")
    assert len(open_streams(shards)["train"]) == COUNTS["train"]
    write_tar(shards / "train-00002.tar", [(f"more{name}", data) for name, data in sample_files("train", 0)])
    assert len(open_streams(shards)["train"]) == COUNTS["train"] + 1


def test_other_options_have_an_index_of_their_own(tmp_path):
    path = parquet_shards(tmp_path / "pets")
    assert open_streams(path)["train"].annotations["words"][0] == ["fur", "train 0"]
    assert open_streams(path, label_column="label", words_column="words")["train"].column_names[1] == "words"
    assert len(open_streams(path, missing_words="skip", bad_images="skip")["train"]) == COUNTS["train"]


def test_a_file_that_lost_rows_since_they_were_counted_is_named(tmp_path):
    path = webdataset_shards(tmp_path / "pets")
    stream = open_streams(path)["train"]
    write_tar(path / "train-00001.tar", [file for row in (4, 5) for file in sample_files("train", row)])
    assert len(list(stream.read(0))) == 4
    with pytest.raises(
        ValueError, match=r"piece 1 .* split 'train' has 2 rows, but had 3 when .* have changed\. Start"
    ):
        list(stream.read(1))


def test_a_row_that_cannot_be_converted_is_named(tmp_path):
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])})
    rows = [{"image": {"bytes": png(0), "path": None}, "label": label} for label in (0, -1)]
    datasets.Dataset.from_list(rows, features).to_parquet(tmp_path / "pets" / "train.parquet")
    with pytest.raises(
        ValueError, match=r"of split 'train': a row of column 'label': it has no label\. Drop such rows"
    ):
        open_streams(tmp_path / "pets")


def test_only_the_training_split_needs_words(tmp_path):
    path = parquet_shards(tmp_path / "pets")
    file = path / "test-00000-of-00001.parquet"
    datasets.Dataset.from_parquet(str(file), cache_dir=str(tmp_path)).remove_columns("words").to_parquet(file)
    table, streams = load_lt(path), open_streams(path)
    for split, stream in streams.items():
        assert [comparable(row) for _, row in all_rows(stream)] == list(map(comparable, table[split]))


@pytest.mark.parametrize("labels", ["parquet_of_class_labels", "parquet_shards"])
def test_the_images_in_parquet_files_are_not_read_for_the_index(labels, tmp_path):
    path = FORMATS[labels](tmp_path / "pets")
    for file in path.glob("*.parquet"):
        _break_images(file)
    stream = open_streams(path)["train"]
    assert len(stream) == len(list(stream.annotations)) == COUNTS["train"]
    with pytest.raises(OSError, match=r"."):  # the file is broken indeed
        all_rows(stream)


def _break_images(file):
    """Overwrites the pages of all columns of images."""
    groups = pq.read_metadata(file)
    data = bytearray(file.read_bytes())
    for group in range(groups.num_row_groups):
        for number in range(groups.row_group(group).num_columns):
            column = groups.row_group(group).column(number)
            if column.path_in_schema.startswith("image"):
                start = column.dictionary_page_offset or column.data_page_offset
                data[start : start + column.total_compressed_size] = b"\xff" * column.total_compressed_size
    file.write_bytes(bytes(data))


def test_which_images_can_be_read_is_found_out_anew_if_they_change(tmp_path):
    lines = [json.dumps({"image": f"{row}.png", "label": "cat"}) for row in range(3)]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    for row in range(3):
        (tmp_path / f"{row}.png").write_bytes(b"broken" if row == 1 else png(row))
    ids = [f"train/{number}" for number in range(3)]
    assert list(open_streams(tmp_path / "rows.jsonl", bad_images="skip")["train"].annotations["image_id"]) == ids[:2]
    (tmp_path / "1.png").write_bytes(png(1))
    stream = open_streams(tmp_path / "rows.jsonl", bad_images="skip")["train"]
    assert list(stream.annotations["image_id"]) == [row["image_id"] for _, row in all_rows(stream)] == ids


def test_the_index_is_kept_where_the_user_says(tmp_path):
    path = FORMATS["parquet_shards"](tmp_path / "pets")
    open_streams(path, cache_dir=str(tmp_path / "mine"))
    assert (tmp_path / "mine" / "xmodal_lt" / "class_names").is_dir() and list((tmp_path / "mine").rglob("*.arrow"))
    assert not list((tmp_path / "cache").rglob("*.arrow"))
