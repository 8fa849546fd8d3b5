from __future__ import annotations

import json
import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import h5py
import numpy as np
import pytest
from hub_server import HubServer
from huggingface_hub import DatasetCard
from made_sets import made_set
from test_convert import run_client

from xmodal_lt.data import convert_dataset, load_lt, read_features
from xmodal_lt.data.parquet_shards import measure_split, plan_shards, write_shard


COLUMNS = ("features", "privileged_features")
TRAIN = [
    {"features": "clips/0.npy", "privileged_features": "sound.h5::a", "label": "zèbre", "words": ["black", "white"]},
    {"features": "clips/1.npy", "privileged_features": "sound.h5::b", "label": "ant", "words": ["小"]},
    {"features": "clips/0.npy", "privileged_features": "sound.h5::a", "label": "ant", "words": ["small"]},
    {"features": "clips/2.npy", "privileged_features": "sound.h5::b", "label": "ant", "words": ["six legs"]},
]
TEST = [{"features": "clips/2.npy", "privileged_features": None, "label": "zèbre", "words": []}]


def write_rows(folder: Path, split: str, rows: list[dict[str, Any]]) -> None:
    (folder / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))


def array(rows: int, width: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, width)).astype(np.float32)


@pytest.fixture
def source(write_features, tmp_path) -> Path:
    """A folder of two splits: features of clips as npy files, privileged ones, of train alone, in an HDF5 file."""
    write_features("source/clips", {str(number): array(3 + number, 4, number) for number in range(3)})
    write_features("source/sound.h5", {name: array(2, 3, ord(name)).astype(np.float16) for name in "ab"})
    write_rows(tmp_path / "source", "train", TRAIN)
    write_rows(tmp_path / "source", "test", TEST)
    return tmp_path / "source"


def rows_of(part: datasets.Dataset) -> list[dict[str, Any]]:
    """Rows with their features themselves, wherever these are."""

    def read(reference: dict[str, Any] | None) -> list | None:
        return None if reference is None else read_features(reference).tolist()

    names = [name for name in COLUMNS if name in part.column_names]
    return [{**row, **{name: read(row[name]) for name in names}} for row in part]


def assert_same(dataset: datasets.DatasetDict, other: datasets.DatasetDict) -> None:
    assert list(dataset) == list(other)
    for split, part in dataset.items():
        assert part.features == other[split].features
        assert rows_of(part) == rows_of(other[split])


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.glob("*/*")}


def test_the_rows_come_back(source, tmp_path):
    converted = convert_dataset(source, tmp_path / "out", shard_size="1KB")
    assert (converted.num_rows, converted.num_written, converted.num_shards) == ({"train": 4, "test": 1}, 3, 3)
    back = load_lt(tmp_path / "out")
    assert_same(back, load_lt(source))
    assert back["train"].features["label"].names == ["ant", "zèbre"]
    assert {row["features"]["path"].split("/out/")[1] for row in back["test"]} == {"features/test-00000-of-00001.npy"}


def test_a_folder_that_was_moved_comes_back_as_a_table_and_as_a_stream(source, tmp_path):
    original = load_lt(source)
    convert_dataset(source, tmp_path / "out", shard_size="1KB")
    moved = (tmp_path / "out").rename(tmp_path / "moved")
    for path in sorted(source.rglob("*"), reverse=True):
        path.rename(path.with_name(f"gone-{path.name}"))
    streams = load_lt(moved, streaming=True)
    assert {split: rows_of(part) for split, part in streams.items()} == {
        split: rows_of(part) for split, part in load_lt(moved).items()
    }
    (moved / "README.md").unlink()  # the splits are found by the names of the files as well
    assert [part.num_rows for part in load_lt(moved).values()] == [part.num_rows for part in original.values()]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("msr-vtt", {}),
        ("activitynet-captions", {"level": "clip", "missing_words": "skip"}),
    ],
)
def test_a_registered_data_set_comes_back(name, options, tmp_path):
    with made_set(name, tmp_path / "official") as made:
        given = {"data_dir": made.data_dir, **made.options, **options}
        convert_dataset(name, tmp_path / "out", **given)
        assert_same(load_lt(tmp_path / "out"), load_lt(name, **given))
    card = (tmp_path / "out" / "README.md").read_text()
    assert str(tmp_path) not in card  # paths of this machine are nobody else's business
    assert all(f"`{option}=" in card for option in (*made.options, *options))


def test_a_file_holds_each_part_once_and_null_stays_null(source, tmp_path):
    convert_dataset(source, tmp_path / "out")
    assert files(tmp_path / "out") == {
        "data/train-00000-of-00001.parquet",
        "data/test-00000-of-00001.parquet",
        "features/train-00000-of-00001.npy",
        "features/test-00000-of-00001.npy",
        "privileged_features/train-00000-of-00001.npy",
    }
    clips = np.load(tmp_path / "out" / "features" / "train-00000-of-00001.npy")
    np.testing.assert_array_equal(clips, np.concatenate([array(3 + number, 4, number) for number in range(3)]))
    back = load_lt(tmp_path / "out")
    assert [(row["features"]["start"], row["features"]["stop"]) for row in back["train"]] == [
        (0, 3),
        (3, 7),
        (0, 3),
        (7, 12),
    ]
    assert back["test"][0]["privileged_features"] is None


@pytest.mark.parametrize(
    ("dtypes", "expected"),
    [
        (["<f2", "<f2", "<f2"], np.float16),
        (["<f2", "<f4", "<f2"], np.float32),
        ([">f8", "i1", "<u8"], np.float32),
    ],
)
def test_half_precision_is_kept_and_anything_else_is_as_it_is_read(source, tmp_path, dtypes, expected):
    for number, dtype in enumerate(dtypes):
        values = np.asfortranarray((10 * array(3 + number, 4, number)).astype(dtype))
        np.save(source / "clips" / f"{number}.npy", values)
    train = load_lt(source)["train"]
    measured = measure_split(train, "train")
    (shard,) = plan_shards("train", measured.sizes, 10**9)
    write_shard(measured, shard, tmp_path)
    stored = np.load(tmp_path / shard.feature_file("features"))
    assert stored.dtype == expected
    np.testing.assert_array_equal(stored, np.concatenate([read_features(train[row]["features"]) for row in (0, 1, 3)]))


def test_one_array_is_in_memory_at_a_time(source, tmp_path):
    rows = []
    for number in range(8):
        np.save(source / "clips" / f"large{number}.npy", np.zeros((500, 1000), np.float32))
        rows.append({**TRAIN[0], "features": f"clips/large{number}.npy"})
    write_rows(source, "train", rows)
    measured = measure_split(load_lt(source)["train"], "train")
    (shard,) = plan_shards("train", measured.sizes, 10**9)
    tracemalloc.start()
    write_shard(measured, shard, tmp_path / "out")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (tmp_path / "out" / shard.feature_file("features")).stat().st_size > 16e6
    assert peak < 5e6  # two arrays, and a little


def test_features_count_for_the_size_of_a_shard(source):
    measured = measure_split(load_lt(source)["train"], "train")
    own = np.array([3 * 4 * 4, 4 * 4 * 4, 3 * 4 * 4, 5 * 4 * 4]) + 2 * 3 * 2
    assert (measured.sizes >= own).all() and (measured.sizes < own + 400).all()


@pytest.mark.parametrize("lost", ["data/train-00001-of-00002.parquet", "privileged_features/train-00001-of-00002.npy"])
def test_a_second_run_writes_what_is_not_there(source, tmp_path, lost):
    folder = tmp_path / "out"
    first = convert_dataset(source, folder, shard_size="1KB")
    before = {path: (folder / path).read_bytes() for path in files(folder)}
    kept = (folder / "features" / "train-00000-of-00002.npy").stat().st_mtime_ns
    (folder / lost).unlink()
    (folder / "features" / ".train-00001-of-00002.npy.abc.tmp").write_bytes(b"half a file")
    again = convert_dataset(source, folder, shard_size="1KB")
    assert (first.num_written, again.num_written) == (3, 1)
    assert {path: (folder / path).read_bytes() for path in files(folder)} == before
    assert (folder / "features" / "train-00000-of-00002.npy").stat().st_mtime_ns == kept


def test_a_shard_that_fails_leaves_no_file_of_its_own(source, tmp_path):
    np.save(source / "clips" / "2.npy", np.full((5, 4), np.nan))
    with pytest.raises(ValueError, match=r'2\.npy: it has values that are NaN .* with `bad_images="skip"`'):
        convert_dataset(source, tmp_path / "out")
    assert files(tmp_path / "out") <= {"privileged_features/train-00000-of-00001.npy"}
    assert not (tmp_path / "out" / "README.md").exists()


def replaced_array(source: Path) -> None:
    np.save(source / "clips" / "1.npy", array(4, 4, 99))
    os.utime(source / "clips" / "1.npy", ns=(1, 1))  # of the same size, and so perhaps of the same moment


def replaced_privileged_array(source: Path) -> None:
    with h5py.File(source / "sound.h5", "a") as file:
        file["c"] = array(2, 3, 7)


@pytest.mark.parametrize("change", [replaced_array, replaced_privileged_array])
def test_a_folder_of_other_features_is_left_alone(source, tmp_path, change):
    convert_dataset(source, tmp_path / "out")
    before = {path: (tmp_path / "out" / path).read_bytes() for path in files(tmp_path / "out")}
    change(source)
    with pytest.raises(FileExistsError, match="of other rows, options or shard size, or its source has changed since"):
        convert_dataset(source, tmp_path / "out")
    assert {path: (tmp_path / "out" / path).read_bytes() for path in files(tmp_path / "out")} == before


def no_file(source: Path) -> None:
    (source / "clips" / "1.npy").unlink()
    (source / "clips" / "2.npy").unlink()


def no_array(source: Path) -> None:
    np.save(source / "clips" / "1.npy", np.zeros(4))


def another_width(source: Path) -> None:
    np.save(source / "clips" / "1.npy", np.zeros((4, 5), np.float32))


def no_features(source: Path) -> None:
    write_rows(source, "train", [*TRAIN, {**TRAIN[0], "features": None}])


def rows_that_are_not_there(source: Path) -> None:
    reference = {"path": "clips/1.npy", "key": None, "start": 2, "stop": 5}
    for split, rows in {"train": TRAIN, "test": TEST}.items():
        write_rows(source, split, [{**row, "features": reference} for row in rows])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (no_file, r"2 files of features of split 'train' are not there: .*clips/1\.npy', .*clips/2\.npy'\. Restore"),
        (no_array, r"Cannot read the features .*1\.npy: expected rows and columns"),
        (another_width, r"features of row 'train/1' of split 'train' are 5 wide \(.*1\.npy\), but .* are 4 wide"),
        (no_features, r"row 'train/4' of split 'train' has no features\. Drop such rows first"),
        (rows_that_are_not_there, r"of row 'train/0' .* are rows 2 to before 5 of .*1\.npy, which has 4 rows"),
    ],
)
def test_what_cannot_be_stored_is_named_before_anything_is_written(source, tmp_path, spoil, message):
    spoil(source)
    with pytest.raises((FileNotFoundError, ValueError), match=message):
        convert_dataset(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_features_that_change_while_they_are_converted(source, tmp_path):
    measured = measure_split(load_lt(source)["train"], "train")
    (shard,) = plan_shards("train", measured.sizes, 10**9)
    another_width(source)
    with pytest.raises(ValueError, match=r"1\.npy has features that are 5 wide, which were 4 wide when"):
        write_shard(measured, shard, tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*.*"))


def test_the_card_tells_what_the_columns_are(source, tmp_path):
    convert_dataset(source, tmp_path / "clips")
    card = DatasetCard.load(tmp_path / "clips" / "README.md")
    assert card.data.task_categories == ["video-classification"]
    assert [split["num_examples"] for split in card.data.dataset_info["splits"]] == [4, 1]
    assert card.data.dataset_info["download_size"] == sum(
        (tmp_path / "clips" / path).stat().st_size for path in files(tmp_path / "clips")
    )
    for text in (
        "load_lt('clips')",
        "`huggingface_hub.snapshot_download`",
        "| split | videos |",
        "| `features` | features of the video: rows `start` to before `stop` of the npy file `path` |",
        "| `privileged_features` | features that only training has, in the same way, or null |",
    ):
        assert text in card.text
    assert "image" not in card.text.replace("image_id", "")


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer().running() as server:
        yield server


@pytest.mark.slow
def test_videos_are_sent_to_the_hub_and_come_back(hub, source, tmp_path):
    def client(*arguments: str) -> str:
        done = run_client(hub, tmp_path / "home", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def push(folder: str, *more: str) -> None:
        output = ["--output", str(tmp_path / folder), "--push-to-hub", "org/clips", *more]
        client("-m", "xmodal_lt", "datasets", "convert", str(source), *output)

    push("fine", "--shard-size", "1KB")
    push("coarse")  # files of before go
    repository = hub.repositories["dataset", "org/clips"]
    assert set(repository.files) == {".gitattributes", "README.md", *files(tmp_path / "coarse")}

    example = repository.files["README.md"].decode().split("```")[1].removeprefix("python")
    show = "print([read_features(row['features']).tolist() for row in dataset['train']])"
    back = client("-c", f"{example}\n{show}")
    assert back.strip() == str([row["features"] for row in rows_of(load_lt(source)["train"])])
