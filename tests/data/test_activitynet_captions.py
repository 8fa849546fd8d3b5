from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from xmodal_lt.data import ActivityNetCaptions, dataset_spec, load_lt, read_features
from xmodal_lt.data.activitynet_files import spelling_in


LABELS = "activity_net.v1-3.min.json"


def captions(duration: float, *parts: tuple[float, float, str]) -> dict[str, Any]:
    return {
        "duration": duration,
        "timestamps": [[start, end] for start, end, _ in parts],
        "sentences": [sentence for _, _, sentence in parts],
    }


def labels(duration: float, *parts: tuple[float, float, str], subset: str = "training") -> dict[str, Any]:
    annotations = [{"segment": [start, end], "label": label} for start, end, label in parts]
    return {"duration": duration, "subset": subset, "resolution": "320x240", "url": "", "annotations": annotations}


FILES: dict[str, Any] = {
    "train.json": {
        "v_aa": captions(100.0, (0.0, 40.0, "A man skis."), (40.0, 100.0, " He falls in snow.")),
        "v_bb": captions(50.0, (0.0, 50.0, "Dogs surf.")),
    },
    "val_1.json": {"v_cc": captions(20.0, (0.0, 9.0, "A boy surfs."))},
    "val_2.json": {"v_cc": captions(20.0, (12.0, 20.0, "The boy swims."), (0.0, 12.0, "A sea."))},
    LABELS: {
        "taxonomy": [],
        "version": "VERSION 1.3",
        "database": {
            "aa": labels(100.0, (0.0, 30.0, "Skiing"), (50.0, 90.0, "Falling"), (90.0, 101.0, "Skiing")),
            "bb": labels(50.0, (10.0, 30.0, "Surfing")),
            "cc": labels(20.0, (10.0, 20.0, "Surfing"), subset="validation"),
            "dd": labels(20.0, subset="testing"),
        },
    },
}
# Rows for each second: 0.1, 0.1 and 0.5.
ROWS = {"v_aa": 10, "v_bb": 5, "v_cc": 10}


@pytest.fixture
def arrays(numbered) -> dict[str, np.ndarray]:
    return {video_id: numbered(rows) for video_id, rows in ROWS.items()}


@pytest.fixture
def activitynet(tmp_path, write_features, arrays) -> Path:
    """The folder of the four annotation files and of the folder `features`."""
    folder = write_features("activitynet/features", arrays).parent
    for name, content in FILES.items():
        (folder / name).write_text(json.dumps(content))
    return folder


def overwrite(folder: Path, name: str, change: Callable[[dict[str, Any]], Any]) -> None:
    content = json.loads((folder / name).read_text())
    change(content)
    (folder / name).write_text(json.dumps(content))


def rows_of(part) -> dict[str, list[int]]:
    """The numbers in the first column of the features of each sample, which are those of the rows."""
    return {row["image_id"]: read_features(row["features"])[:, 0].tolist() for row in part}


def test_columns_and_splits(activitynet):
    dataset = load_lt("activitynet-captions", data_dir=activitynet)
    assert {split: list(part["image_id"]) for split, part in dataset.items()} == {
        "train": ["v_aa", "v_bb"],
        "test": ["v_cc"],
    }
    assert dataset["train"].column_names == ["features", "words", "label", "image_id", "video_id"]


def test_the_classes_are_all_labels_of_the_label_file(activitynet):
    assert load_lt("activitynet-captions", data_dir=activitynet)["train"].features["label"].names == [
        "Falling",
        "Skiing",
        "Surfing",
    ]


def test_a_video_has_the_label_with_the_longest_time(activitynet):
    train = load_lt("activitynet-captions", data_dir=activitynet)["train"]
    names = train.features["label"].int2str(train["label"][:])
    assert names == ["Skiing", "Surfing"]  # 41 seconds of skiing in two parts, 40 of falling in one


def test_a_video_has_the_words_of_all_its_captions(activitynet):
    dataset = load_lt("activitynet-captions", data_dir=activitynet)
    assert list(dataset["train"]["words"]) == [["man", "skis", "falls", "snow"], ["dogs", "surf"]]
    assert list(dataset["test"]["words"]) == [["boy", "surfs", "swims", "sea"]]  # of both validation files


def test_a_video_refers_to_all_its_rows(activitynet):
    dataset = load_lt("activitynet-captions", data_dir=activitynet)
    assert rows_of(dataset["train"]) == {"v_aa": list(range(10)), "v_bb": list(range(5))}


def test_clips_are_the_labelled_parts(activitynet):
    dataset = load_lt("activitynet-captions", data_dir=activitynet, level="clip")
    train = dataset["train"]
    assert list(train["image_id"]) == ["v_aa/0", "v_aa/1", "v_aa/2", "v_bb/0"]
    assert list(train["video_id"]) == ["v_aa", "v_aa", "v_aa", "v_bb"]  # what keeps the clips of a video in one split
    assert train.features["label"].int2str(train["label"][:]) == ["Skiing", "Falling", "Skiing", "Surfing"]
    assert list(dataset["test"]["image_id"]) == ["v_cc/0"]


def test_a_clip_refers_to_its_share_of_the_rows(activitynet):
    dataset = load_lt("activitynet-captions", data_dir=activitynet, level="clip")
    assert rows_of(dataset["train"]) == {
        "v_aa/0": [0, 1, 2],
        "v_aa/1": [5, 6, 7, 8],
        "v_aa/2": [9],  # it ends after the video
        "v_bb/0": [1, 2],
    }
    assert rows_of(dataset["test"]) == {"v_cc/0": [5, 6, 7, 8, 9]}


@pytest.mark.parametrize(
    ("segment", "rows"), [([41, 42], [4]), ([39, 41], [3, 4]), ([100, 100], [9]), ([30, 10], [1, 2])]
)
def test_a_clip_has_the_rows_that_it_touches_and_at_least_one(activitynet, segment, rows):
    overwrite(activitynet, LABELS, lambda file: file["database"]["aa"]["annotations"][0].update(segment=segment))
    options = {"level": "clip", "missing_words": "keep"}
    train = load_lt("activitynet-captions", data_dir=activitynet, **options)["train"]
    assert rows_of(train)["v_aa/0"] == rows


def test_a_clip_has_the_words_of_the_captions_that_overlap_it(activitynet):
    dataset = load_lt("activitynet-captions", data_dir=activitynet, level="clip")
    assert list(dataset["train"]["words"]) == [["man", "skis"], ["falls", "snow"], ["falls", "snow"], ["dogs", "surf"]]
    assert list(dataset["test"]["words"]) == [["boy", "swims", "sea"]]


def test_a_clip_without_captions_has_no_words(activitynet):
    overwrite(activitynet, "train.json", lambda file: file["v_bb"].update(timestamps=[[30, 50]]))
    with pytest.raises(ValueError, match="1 of 4 training samples have no words: 'v_bb/0'"):
        load_lt("activitynet-captions", data_dir=activitynet, level="clip")


def test_privileged_features_of_a_clip_are_its_share_too(activitynet, write_features, numbered):
    sound = write_features("sound", {"v_aa": numbered(100), "v_bb": numbered(1)})
    options = {"level": "clip", "privileged_features": sound}
    dataset = load_lt("activitynet-captions", data_dir=activitynet, **options)
    train = dataset["train"]
    assert [len(read_features(row)) for row in train["privileged_features"]] == [30, 40, 10, 1]
    assert list(dataset["test"]["privileged_features"]) == [None]


@pytest.mark.parametrize("level", ["video", "clip"])
def test_ids_of_features_may_lack_the_prefix(activitynet, write_features, arrays, level):
    path = write_features("plain.h5", {video_id.removeprefix("v_"): array for video_id, array in arrays.items()})
    dataset = load_lt("activitynet-captions", data_dir=activitynet, features=path, level=level)
    assert {reference["key"] for reference in dataset["train"]["features"]} == {"aa", "bb"}


def test_ids_of_captions_may_lack_the_prefix(activitynet):
    for name in ("train.json", "val_1.json", "val_2.json"):
        content = json.loads((activitynet / name).read_text())
        content = {video_id.removeprefix("v_"): entry for video_id, entry in content.items()}
        (activitynet / name).write_text(json.dumps(content))
    dataset = load_lt("activitynet-captions", data_dir=activitynet)
    assert rows_of(dataset["train"]) == {"aa": list(range(10)), "bb": list(range(5))}


def test_spellings():
    assert spelling_in({"a"}, "v_a") == "a"
    assert spelling_in({"v_a"}, "a") == "v_a"
    assert spelling_in({"v_a", "a"}, "a") == "a"
    assert spelling_in({"v_v_a", "a"}, "v_a") == "v_v_a"  # the plain id is `v_a`
    assert spelling_in({"b"}, "a") is None


def test_the_published_layout_of_c3d_features(activitynet, tmp_path, arrays):
    with h5py.File(tmp_path / "c3d.hdf5", "w") as file:
        for video_id, array in arrays.items():
            file[f"{video_id}/c3d_features"] = array
    dataset = load_lt("activitynet-captions", data_dir=activitynet, features=tmp_path / "c3d.hdf5", level="clip")
    assert rows_of(dataset["train"])["v_aa/1"] == [5, 6, 7, 8]


def test_missing_features_are_counted_and_named(activitynet):
    (activitynet / "features" / "v_bb.npy").unlink()
    with pytest.raises(ValueError, match=r"1 of 2 videos of split 'train' have no features in .*features: 'v_bb'"):
        load_lt("activitynet-captions", data_dir=activitynet)


@pytest.mark.parametrize(("level", "left"), [("video", ["v_bb"]), ("clip", ["v_bb/0"])])
def test_videos_without_features_can_be_left_out(activitynet, caplog, level, left):
    (activitynet / "features" / "v_aa.npy").unlink()
    overwrite(activitynet, "val_1.json", dict.clear)  # with no skier left, there is only surfing to test
    options = {"missing_features": "skip", "level": level}
    dataset = load_lt("activitynet-captions", data_dir=activitynet, **options)
    assert list(dataset["train"]["image_id"]) == left
    assert "Left out: 1 of 2 videos of split 'train' have no features" in caplog.text


def test_captioned_videos_without_a_label_are_counted_and_named(activitynet):
    overwrite(activitynet, LABELS, lambda file: file["database"].pop("bb"))
    with pytest.raises(
        ValueError, match=rf"1 of 2 captioned videos of split 'train' have no label in .*{LABELS}: 'v_bb'"
    ):
        load_lt("activitynet-captions", data_dir=activitynet, missing_features="skip")


def test_a_video_of_the_testing_subset_has_no_label(activitynet):
    overwrite(activitynet, "train.json", lambda file: file.update(v_dd=captions(20.0)))
    with pytest.raises(ValueError, match=r"1 of 3 captioned videos of split 'train' have no label .*: 'v_dd'"):
        load_lt("activitynet-captions", data_dir=activitynet)


def test_a_clip_of_a_broken_file_names_it(activitynet):
    (activitynet / "features" / "v_aa.npy").write_bytes(b"not an array")
    with pytest.raises(ValueError, match=r"Cannot read the features .*v_aa\.npy"):
        load_lt("activitynet-captions", data_dir=activitynet, level="clip")


@pytest.mark.parametrize("level", ["video", "clip"])
def test_two_processes_make_the_same_rows(activitynet, tmp_path, level):
    builds = [
        load_lt(
            "activitynet-captions",
            data_dir=activitynet,
            level=level,
            num_proc=num_proc,
            cache_dir=str(tmp_path / f"cache{num_proc}"),
        )
        for num_proc in (1, 2)
    ]
    assert {split: part.to_dict() for split, part in builds[0].items()} == {
        split: part.to_dict() for split, part in builds[1].items()
    }


@pytest.mark.parametrize("file", [*FILES, "features/v_aa.npy"])
def test_a_changed_file_has_a_cache_of_its_own(activitynet, file):
    before = ActivityNetCaptions(data_dir=activitynet).cache_dir
    assert ActivityNetCaptions(data_dir=activitynet).cache_dir == before
    os.utime(activitynet / file, ns=(0, 0))
    assert ActivityNetCaptions(data_dir=activitynet).cache_dir != before


def test_levels_have_caches_of_their_own(activitynet):
    builders = [ActivityNetCaptions(data_dir=activitynet, level=level) for level in ("video", "clip")]
    assert builders[0].cache_dir != builders[1].cache_dir


def change_video(**fields) -> Callable[[dict[str, Any]], None]:
    return lambda file: file["v_bb"].update(fields)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda file: file.update(v_bb=[]), r"video 'v_bb' to be an object, got \[\]"),
        (lambda file: file["v_bb"].pop("timestamps"), "video 'v_bb' to have the field 'timestamps', got "),
        (change_video(sentences=[]), "as many sentences as timestamps for video 'v_bb', got 0 and 1"),
        (change_video(sentences=[1]), "sentence 0 of video 'v_bb' to be a string, got 1"),
        (change_video(timestamps=[3]), "timestamp 0 of video 'v_bb' to be start and end in seconds, got 3"),
        (change_video(timestamps=[[0, "end"]]), "timestamp 0 of video 'v_bb' to be a number, got 'end'"),
    ],
)
def test_captions_that_hold_something_else(activitynet, change, message):
    overwrite(activitynet, "train.json", change)
    with pytest.raises(ValueError, match=rf"train\.json is not as published: expected {message}.*anew from https"):
        load_lt("activitynet-captions", data_dir=activitynet)


def change_labels(**fields) -> Callable[[dict[str, Any]], None]:
    return lambda file: file["database"]["bb"].update(fields)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda file: file.pop("database"), "the file to have the field 'database'"),
        (change_labels(annotations=None), "'annotations' of video 'bb' to be a list, got None"),
        (change_labels(duration=0), "'duration' of video 'bb' to be above 0, got 0"),
        (
            change_labels(annotations=[{"label": "Surfing"}]),
            "annotation 0 of video 'bb' to have the field 'segment', got ",
        ),
        (
            change_labels(annotations=[{"segment": [1], "label": "Surfing"}]),
            "'segment' of annotation 0 of video 'bb' to be start and end in seconds",
        ),
        (
            change_labels(annotations=[{"segment": [1, 2], "label": 3}]),
            "'label' of annotation 0 of video 'bb' to be a string, got 3",
        ),
    ],
)
def test_labels_that_hold_something_else(activitynet, change, message):
    overwrite(activitynet, LABELS, change)
    with pytest.raises(ValueError, match=rf"{LABELS} is not as published: expected {message}.*anew from http"):
        load_lt("activitynet-captions", data_dir=activitynet)


def test_a_video_in_both_splits(activitynet):
    overwrite(activitynet, "val_2.json", lambda file: file.update(v_aa=captions(100.0)))
    with pytest.raises(
        ValueError, match=r"val_2\.json is not as published: expected no video of train\.json, got 'v_"
    ):
        load_lt("activitynet-captions", data_dir=activitynet)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(activitynet, name):
    (activitynet / name).unlink()
    with pytest.raises(FileNotFoundError, match=rf"no {name} in .*\. Get {name} from http"):
        load_lt("activitynet-captions", data_dir=activitynet)


def test_without_a_folder_the_error_says_what_to_get():
    with pytest.raises(FileNotFoundError, match=rf"get train\.json, .* and {LABELS} from .* as `data_dir`"):
        load_lt("activitynet-captions")


def test_without_features_the_error_says_where_they_go(activitynet):
    shutil.rmtree(activitynet / "features")
    with pytest.raises(FileNotFoundError, match=r"no features or features\.h5 in .*pass another place as `features`"):
        load_lt("activitynet-captions", data_dir=activitynet)


def test_an_unknown_level(activitynet):
    with pytest.raises(ValueError, match=r"level must be one of \['video', 'clip'\], got 'frame'"):
        load_lt("activitynet-captions", data_dir=activitynet, level="frame")


def test_activitynet_captions_is_registered():
    spec = dataset_spec("activitynet-captions")
    assert (spec.builder, spec.problem_type) == (ActivityNetCaptions, "single_label_classification")
    assert LABELS in spec.access
