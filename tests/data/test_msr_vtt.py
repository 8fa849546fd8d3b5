from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest

from xmodal_lt.data import FEATURES, MsrVtt, dataset_spec, load_lt, read_features


TRAIN_VAL, TEST = "train_val_videodatainfo.json", "test_videodatainfo.json"
CATEGORIES = [9, 16, 9, 9, 16, 9]
SPLITS = ["train", "train", "train", "validate", "test", "test"]
CAPTIONS = {
    "video0": ["a car drives fast", "the fast red car"],
    "video1": ["a woman eats soup"],
    "video2": ["a truck"],
    "video3": ["a bus stops"],
    "video4": ["someone eats cake"],
    "video5": [],
}


def info(ids: list[int]) -> dict[str, Any]:
    """A file with those videos, in the form of the published ones."""
    videos = [
        {
            "category": CATEGORIES[number],
            "url": f"https://example.org/{number}",
            "video_id": f"video{number}",
            "start time": 1.5,
            "end time": 12.0,
            "split": SPLITS[number],
            "id": number,
        }
        for number in ids
    ]
    sentences = [
        {"caption": caption, "video_id": video["video_id"], "sen_id": number}
        for video in videos
        for number, caption in enumerate(CAPTIONS[video["video_id"]])
    ]
    about = {"contributor": "", "data_created": "", "version": "1.0", "description": "", "year": "2016"}
    return {"info": about, "videos": videos, "sentences": sentences}


def overwrite(folder: Path, name: str, change: Callable[[dict[str, Any]], Any]) -> None:
    content = json.loads((folder / name).read_text())
    change(content)
    (folder / name).write_text(json.dumps(content))


@pytest.fixture
def arrays(numbered) -> dict[str, np.ndarray]:
    """Features of each video, of 2 to 7 rows."""
    return {f"video{number}": numbered(2 + number, base=100 * number) for number in range(6)}


@pytest.fixture
def msr_vtt(tmp_path, write_features, arrays) -> Path:
    """The folder of both annotation files and of the folder `features`."""
    write_features("msr_vtt/features", arrays)
    (tmp_path / "msr_vtt" / TRAIN_VAL).write_text(json.dumps(info([0, 1, 2, 3])))
    (tmp_path / "msr_vtt" / TEST).write_text(json.dumps(info([4, 5])))
    return tmp_path / "msr_vtt"


def test_columns_and_splits(msr_vtt):
    dataset = load_lt("msr-vtt", data_dir=msr_vtt)
    assert {split: list(part["image_id"]) for split, part in dataset.items()} == {
        "train": ["video0", "video1", "video2"],
        "validation": ["video3"],
        "test": ["video4", "video5"],
    }
    for part in dataset.values():
        assert part.column_names == ["features", "words", "label", "image_id", "video_id"]
        assert part.features["features"] == FEATURES
        assert part.features["words"] == datasets.List(datasets.Value("string"))
        assert part.features["image_id"] == datasets.Value("string")


def test_labels_are_the_twenty_categories(msr_vtt):
    train = load_lt("msr-vtt", data_dir=msr_vtt)["train"]
    names = train.features["label"].names
    assert (len(names), names[0], names[9], names[16], names[19]) == (
        20,
        "music",
        "vehicles/autos",
        "food/drink",
        "advertisement",
    )
    assert list(train["label"]) == [9, 16, 9]


def test_words_are_those_of_all_captions(msr_vtt):
    dataset = load_lt("msr-vtt", data_dir=msr_vtt)
    assert list(dataset["train"]["words"]) == [
        ["car", "drives", "fast", "red"],
        ["woman", "eats", "soup"],
        ["truck"],
    ]
    assert list(dataset["test"]["words"]) == [["eats", "cake"], []]


def test_rows_refer_to_whole_videos(msr_vtt, arrays):
    for part in load_lt("msr-vtt", data_dir=msr_vtt).values():
        for row in part:
            np.testing.assert_array_equal(read_features(row["features"]), arrays[row["image_id"]])


@pytest.mark.parametrize("place", ["msr_vtt/features.h5", "elsewhere/s3d.h5", "elsewhere/s3d"])
def test_features_in_other_places(msr_vtt, write_features, arrays, place):
    shutil.rmtree(msr_vtt / "features")
    path = write_features(place, arrays)
    options = {} if path.parent == msr_vtt else {"features": path}
    row = load_lt("msr-vtt", data_dir=msr_vtt, **options)["test"][0]
    np.testing.assert_array_equal(read_features(row["features"]), arrays["video4"])


def test_validation_videos_can_be_for_training(msr_vtt):
    dataset = load_lt("msr-vtt", data_dir=msr_vtt, validation_in_train=True)
    assert list(dataset) == ["train", "test"]
    assert list(dataset["train"]["image_id"]) == ["video0", "video1", "video2", "video3"]


def test_privileged_features_are_a_column_of_their_own(msr_vtt, write_features, numbered):
    speech = write_features("speech.h5", {f"video{number}": numbered(1, base=number) for number in range(6)})
    train = load_lt("msr-vtt", data_dir=msr_vtt, privileged_features=speech)["train"]
    assert train.column_names == ["features", "privileged_features", "words", "label", "image_id", "video_id"]
    assert train.features["privileged_features"] == FEATURES
    assert read_features(train[2]["privileged_features"]).tolist() == [[2, 0]]


def test_only_training_videos_need_privileged_features(msr_vtt, write_features, numbered):
    speech = write_features("speech", {f"video{number}": numbered(1) for number in range(3)})
    dataset = load_lt("msr-vtt", data_dir=msr_vtt, privileged_features=speech)
    assert None not in list(dataset["train"]["privileged_features"])
    assert list(dataset["test"]["privileged_features"]) == [None, None]


@pytest.mark.parametrize("column", ["features", "privileged_features"])
def test_missing_features_are_counted_and_named(msr_vtt, write_features, arrays, column):
    del arrays["video1"], arrays["video2"]
    options = {column: write_features("some.h5", arrays)}
    with pytest.raises(
        ValueError,
        match=rf"2 of 3 videos of split 'train' have no {column} in .*some\.h5: 'video1', 'video2'\. .*\"skip\"",
    ):
        load_lt("msr-vtt", data_dir=msr_vtt, **options)


@pytest.mark.parametrize("column", ["features", "privileged_features"])
def test_videos_without_features_can_be_left_out(msr_vtt, write_features, arrays, column, caplog):
    del arrays["video2"]
    options = {column: write_features("some.h5", arrays), "missing_features": "skip"}
    dataset = load_lt("msr-vtt", data_dir=msr_vtt, **options)
    assert list(dataset["train"]["image_id"]) == ["video0", "video1"]
    assert f"Left out: 1 of 3 videos of split 'train' have no {column} in " in caplog.text


def test_features_of_other_videos(msr_vtt, write_features, numbered):
    path = write_features("other", {"clip7": numbered(2)})
    with pytest.raises(
        ValueError, match=r"3 of 3 videos .* 'video0', 'video1', 'video2'\. It has features of 'clip7'"
    ):
        load_lt("msr-vtt", data_dir=msr_vtt, features=path, missing_features="skip")


def test_a_broken_file_can_be_left_out(msr_vtt, caplog):
    (msr_vtt / "features" / "video0.npy").write_bytes(b"not an array")
    assert len(load_lt("msr-vtt", data_dir=msr_vtt)["train"]) == 3
    dataset = load_lt("msr-vtt", data_dir=msr_vtt, bad_images="skip")
    assert list(dataset["train"]["image_id"]) == ["video1", "video2"]
    assert "Left out 1 of 3 features of split 'train' that cannot be read" in caplog.text


def test_training_videos_without_captions_are_named(msr_vtt):
    overwrite(msr_vtt, TRAIN_VAL, lambda content: content.update(sentences=content["sentences"][:2]))
    with pytest.raises(ValueError, match="2 of 3 training samples have no words: 'video1', 'video2'"):
        load_lt("msr-vtt", data_dir=msr_vtt)


def test_two_processes_make_the_same_rows(msr_vtt, tmp_path):
    builds = [
        load_lt("msr-vtt", data_dir=msr_vtt, num_proc=num_proc, cache_dir=str(tmp_path / f"cache{num_proc}"))
        for num_proc in (1, 2)
    ]
    assert {split: part.to_dict() for split, part in builds[0].items()} == {
        split: part.to_dict() for split, part in builds[1].items()
    }


@pytest.mark.parametrize("file", [TRAIN_VAL, TEST, "features/video3.npy"])
def test_a_changed_file_has_a_cache_of_its_own(msr_vtt, file):
    before = MsrVtt(data_dir=msr_vtt).cache_dir
    assert MsrVtt(data_dir=msr_vtt).cache_dir == before
    os.utime(msr_vtt / file, ns=(0, 0))
    assert MsrVtt(data_dir=msr_vtt).cache_dir != before


def test_options_and_sources_have_caches_of_their_own(msr_vtt, write_features, arrays):
    other = write_features("other", arrays)
    builders = [
        MsrVtt(data_dir=msr_vtt),
        MsrVtt(data_dir=msr_vtt, validation_in_train=True),
        MsrVtt(data_dir=msr_vtt, missing_features="skip"),
        MsrVtt(data_dir=msr_vtt, features=other),
        MsrVtt(data_dir=msr_vtt, privileged_features=other),
    ]
    assert len({builder.cache_dir for builder in builders}) == 5


def test_new_captions_and_features_are_read(msr_vtt, numbered):
    assert load_lt("msr-vtt", data_dir=msr_vtt)["train"]["words"][2] == ["truck"]
    overwrite(msr_vtt, TRAIN_VAL, lambda content: content["sentences"][3].update(caption="a lorry"))
    (msr_vtt / "features" / "video5.npy").unlink()
    dataset = load_lt("msr-vtt", data_dir=msr_vtt, missing_features="skip")
    assert dataset["train"]["words"][2] == ["lorry"]
    assert list(dataset["test"]["image_id"]) == ["video4"]


def change_video(**fields) -> Callable[[dict[str, Any]], None]:
    return lambda content: content["videos"][1].update(fields)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content.pop("videos"), "the file to have the field 'videos'"),
        (lambda content: content.update(sentences={}), r"'sentences' of the file to be a list, got \{\}"),
        (lambda content: content["videos"].insert(1, 7), "video 1 to be an object, got 7"),
        (lambda content: content["videos"][1].pop("category"), "video 1 to have the field 'category', got "),
        (lambda content: content["sentences"][2].pop("caption"), "sentence 2 to have the field 'caption', got "),
        (change_video(category=20), "'category' of video 1 to be from 0 to 19, got 20"),
        (change_video(category="music"), "'category' of video 1 to be a whole number, got 'music'"),
        (change_video(split="val"), r"'split' of video 1 to be one of \['train', 'validate', 'test'\], got 'val'"),
        (change_video(video_id="video0"), "each video once, but 'video0' is there again as video 1"),
        (
            lambda content: content["sentences"][0].update(video_id="video9"),
            "sentence 0 to be of a video of the file, got 'video9'",
        ),
    ],
)
def test_files_that_hold_something_else(msr_vtt, change, message):
    overwrite(msr_vtt, TRAIN_VAL, change)
    with pytest.raises(ValueError, match=rf"{TRAIN_VAL} is not as published: expected {message}.*anew from https"):
        load_lt("msr-vtt", data_dir=msr_vtt)


def test_a_cut_off_file_is_named(msr_vtt):
    (msr_vtt / TEST).write_bytes((msr_vtt / TEST).read_bytes()[:100])
    with pytest.raises(ValueError, match=rf"cannot read .*{TEST}: .*\. Get it anew from https"):
        load_lt("msr-vtt", data_dir=msr_vtt)


@pytest.mark.parametrize("name", [TRAIN_VAL, TEST])
def test_a_missing_file_is_named(msr_vtt, name):
    (msr_vtt / name).unlink()
    with pytest.raises(FileNotFoundError, match=rf"no {name} in .*\. Get {name} from https"):
        load_lt("msr-vtt", data_dir=msr_vtt)


def test_without_a_folder_the_error_says_what_to_get():
    with pytest.raises(FileNotFoundError, match=r"get train_val_videodatainfo\.json and test_.*as `data_dir`"):
        load_lt("msr-vtt")


def test_without_features_the_error_says_where_they_go(msr_vtt):
    shutil.rmtree(msr_vtt / "features")
    with pytest.raises(
        FileNotFoundError, match=r"no features or features\.h5 in .* a folder .* HDF5 file .* as `features`"
    ):
        load_lt("msr-vtt", data_dir=msr_vtt)


def test_an_unknown_choice(msr_vtt):
    with pytest.raises(ValueError, match=r"missing_features must be one of \['error', 'skip'\], got 'ignore'"):
        load_lt("msr-vtt", data_dir=msr_vtt, missing_features="ignore")


def test_msr_vtt_is_registered():
    spec = dataset_spec("msr-vtt")
    assert (spec.builder, spec.problem_type) == (MsrVtt, "single_label_classification")
    assert TRAIN_VAL in spec.access
