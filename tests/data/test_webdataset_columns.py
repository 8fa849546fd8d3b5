from __future__ import annotations

import json

import datasets
import pytest
from own_sets import comparable, png, shade_of, write_tar

from xmodal_lt.data import load_lt
from xmodal_lt.data.webdataset_columns import lift_webdataset


BOTH = pytest.mark.parametrize("streaming", [False, True])
FIELDS = {"words": ["fur"], "label": "cat"}


def archive(folder, **samples):
    """A folder of one shard, with the files of each sample by their endings; a dictionary becomes JSON."""
    files = [
        (f"{key}.{ending}", data if isinstance(data, bytes) else json.dumps(data).encode())
        for key, endings in samples.items()
        for ending, data in endings.items()
    ]
    write_tar(folder / "shards" / "train-00000.tar", files)
    return folder / "shards"


def load(folder, streaming, **options):
    return load_lt(folder, streaming=streaming, **options)["train"]


@BOTH
def test_endings_and_fields_become_columns(tmp_path, streaming):
    fields = {**FIELDS, "size": {"width": 4}, "note": None}
    train = load(archive(tmp_path, a={"png": png(3), "json": fields, "txt": b"a cat"}), streaming)
    assert train.column_names[:4] == ["image", "words", "label", "image_id"]
    assert sorted(train.column_names[4:]) == ["note", "size", "txt"]
    row = next(iter(train))
    assert (shade_of(row["image"]), row["words"], row["image_id"]) == (3, ["fur"], "a")
    assert (row["txt"], row["size"], row["note"]) == ("a cat", {"width": 4}, None)


@BOTH
def test_a_class_is_the_label(tmp_path, streaming):
    train = load(archive(tmp_path, a={"png": png(1), "cls": b"7"}, b={"png": png(2), "cls": b"3"}), streaming)
    assert train.features["label"].names == ["3", "7"]
    assert [row["label"] for row in train] == [1, 0]


@BOTH
def test_the_label_of_the_json_goes_before_the_class(tmp_path, streaming):
    train = load(archive(tmp_path, a={"png": png(1), "cls": b"7", "json": FIELDS}), streaming)
    assert train.features["label"].names == ["cat"]
    assert train.column_names[-1] == "cls"


@BOTH
def test_fields_do_not_take_the_names_of_files(tmp_path, streaming):
    fields = {**FIELDS, "txt": "other", "image_id": "given"}
    row = next(iter(load(archive(tmp_path, a={"png": png(1), "json": fields, "txt": b"kept"}), streaming)))
    assert (row["txt"], row["image_id"]) == ("kept", "given")


@BOTH
def test_of_two_kinds_of_images_one_must_be_named(tmp_path, streaming):
    samples = {"a": {"png": png(1), "mask.png": png(2), "cls": b"0"}}
    folder = archive(tmp_path, **samples)
    with pytest.raises(
        ValueError, match=r"no column 'image'; its columns are .* Name the right one as `image_column`"
    ):
        load(folder, streaming)
    row = next(iter(load(folder, streaming, image_column="mask.png")))
    assert (shade_of(row["image"]), shade_of(row["png"])) == (2, 1)


@BOTH
def test_a_key_may_hold_folders(tmp_path, streaming):
    train = load(archive(tmp_path, **{"in/a": {"png": png(1), "cls": b"0"}}), streaming)
    assert next(iter(train))["image_id"] == "in/a"


@pytest.mark.parametrize("key", ["../a", "in/../../a", "/etc/a"])
@BOTH
def test_a_key_that_leads_out_of_the_archive_is_refused(tmp_path, streaming, key):
    folder = archive(tmp_path, **{key: {"png": png(1), "cls": b"0"}})
    with pytest.raises(ValueError, match=r"of an archive would be outside of it: expected names without '\.\.'"):
        list(load(folder, streaming))


def whole(number, **files):
    """Samples that have all files, as `datasets` takes the columns from the first five."""
    return {f"{row}": {"png": png(row), **files} for row in range(number)}


@BOTH
def test_a_sample_without_its_json_lacks_a_label(tmp_path, streaming):
    folder = archive(tmp_path, **whole(5, json={"label": "cat"}), last={"png": png(9)})
    with pytest.raises(ValueError, match="no label"):
        list(load(folder, streaming))


@BOTH
def test_a_sample_without_its_json_lacks_its_words(tmp_path, streaming):
    files = {"cls": b"0", "json": {"words": ["fur"]}}
    folder = archive(tmp_path, **whole(5, **files), last={"png": png(9), "cls": b"0"})
    with pytest.raises(ValueError, match="no words"):
        list(load(folder, streaming))
    assert [shade_of(row["image"]) for row in load(folder, streaming, missing_words="skip")] == list(range(5))


@BOTH
def test_a_sample_without_its_image_can_be_skipped(tmp_path, streaming):
    folder = archive(tmp_path, **whole(5, cls=b"0"), last={"cls": b"0"})
    assert [row["image"] is None for row in load(folder, streaming)] == [False] * 5 + [True]
    assert len(list(load(folder, streaming, bad_images="skip"))) == 5


def test_other_files_keep_their_columns():
    part = datasets.Dataset.from_dict({"__key__": ["a"], "json": [{"label": "cat"}]})
    assert lift_webdataset(part) is part


def test_columns_are_lifted_alike(tmp_path):
    """Fields of several types, of which later samples lack some."""
    more = {**FIELDS, "box": [[0.5, 1.0]], "at": {"x": 1, "in": {"y": [2]}}}
    folder = archive(tmp_path, **whole(5, json=more), last={"png": png(9), "json": FIELDS})
    table, stream = (load(folder, streaming) for streaming in (False, True))
    assert stream.features == table.features
    assert list(map(comparable, stream)) == list(map(comparable, table))
    assert [row["at"] for row in stream][4:] == [{"x": 1, "in": {"y": [2]}}, None]
