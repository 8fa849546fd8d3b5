from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hub_server import HubServer
from huggingface_hub import DatasetCard
from PIL import Image

from xmodal_lt.cli import main
from xmodal_lt.data import convert_dataset, load_lt
from xmodal_lt.data.conversion_folder import ConversionFolder
from xmodal_lt.data.data_card import card_for_hub
from xmodal_lt.data.parquet_shards import Shard, measure_split, plan_shards, write_shard


ROWS = [
    {"label": "zèbre|rayé", "words": ["black", "white"]},
    {"label": "ant", "words": ["小"]},
    {"label": "zèbre|rayé", "words": ["black"]},
    {"label": "ant", "words": ["small", "black"]},
    {"label": "ant", "words": ["six legs"]},
]


@pytest.fixture
def source(image_folder, tmp_path) -> Path:
    """A folder of images, one of which is a JPEG that would be another if it were encoded anew."""
    image_folder(ROWS)
    folder = image_folder(ROWS[3:], "test")
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "train" / "1.png", format="JPEG", quality=7)
    return folder


def rows_of(dataset: datasets.Dataset) -> list[dict]:
    """Rows with the bytes of their images, wherever these are."""
    rows = list(dataset.cast_column("image", datasets.Image(decode=False)))
    return [{**row, "image": row["image"]["bytes"] or Path(row["image"]["path"]).read_bytes()} for row in rows]


def assert_same(dataset: datasets.DatasetDict, other: datasets.DatasetDict) -> None:
    assert list(dataset) == list(other)
    for split, part in dataset.items():
        assert part.features == other[split].features
        assert rows_of(part) == rows_of(other[split])


def shards(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "data").iterdir())


def test_the_rows_come_back(source, tmp_path):
    original = load_lt(source)
    converted = convert_dataset(source, tmp_path / "out", shard_size="1KB")
    assert (converted.num_rows, converted.num_written) == ({"train": 5, "test": 2}, converted.num_shards)
    assert_same(load_lt(tmp_path / "out"), original)
    assert_same(datasets.load_dataset(str(tmp_path / "out")), original)
    assert original["train"].features["label"].names == ["ant", "zèbre|rayé"]


@pytest.mark.parametrize("name", ["emoji-lt", "emoji-lt-multilabel"])
def test_a_registered_data_set_comes_back(name, emoji_cache, tmp_path):
    original = load_lt(name, cache_dir=emoji_cache)
    convert_dataset(name, tmp_path / "out", shard_size="2MB", num_proc=2, cache_dir=emoji_cache)
    assert_same(load_lt(tmp_path / "out"), original)


def test_shards_are_of_about_the_asked_size_and_in_order(source, tmp_path):
    convert_dataset(source, tmp_path / "out", shard_size="1KB")
    train = [name for name in shards(tmp_path / "out") if name.startswith("train")]
    assert train == ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet"]
    ids = [pq.read_table(tmp_path / "out" / "data" / name, columns=["image_id"]) for name in train]
    assert [row for table in ids for row in table["image_id"].to_pylist()] == [f"train/{row}" for row in range(5)]


def test_shards_and_row_groups_hold_every_row_once():
    sizes = np.array([5, 0, 100, 1, 1, 1, 50])
    for most in (1, 7, 60, 10**9):
        plan = plan_shards("train", sizes, most)
        groups = [group for shard in plan for group in shard.row_groups]
        assert [row for start, stop in groups for row in range(start, stop)] == list(range(7))
    assert plan_shards("test", sizes[:0], 10)[0].num_rows == 0


def test_row_groups_are_small_enough_to_be_read_into_memory():
    (shard,) = plan_shards("train", np.full(100, 10**7), 10**10)
    assert shard.num_rows == 100
    assert max(stop - start for start, stop in shard.row_groups) <= 4


def test_a_shard_may_have_several_row_groups(source, tmp_path):
    shard = Shard("a.parquet", "train", [(1, 3), (3, 4)])
    assert write_shard(measure_split(load_lt(source)["train"], "train"), shard, tmp_path) == 3
    groups = pq.ParquetFile(tmp_path / "a.parquet")
    assert [groups.read_row_group(number)["image_id"].to_pylist() for number in range(groups.num_row_groups)] == [
        ["train/1", "train/2"],
        ["train/3"],
    ]


def test_a_second_run_goes_on_after_the_whole_shards(source, tmp_path, capsys):
    folder = tmp_path / "out"
    first = convert_dataset(source, folder, shard_size="1KB")
    kept, lost = (folder / "data" / name for name in (shards(folder)[0], shards(folder)[-1]))
    before, content = kept.stat().st_mtime_ns, lost.read_bytes()
    lost.unlink()
    (folder / "data" / f".{lost.name}.abc.tmp").write_bytes(b"half a shard")
    again = convert_dataset(source, folder, shard_size="1KB")
    assert (again.num_written, again.num_shards) == (1, first.num_shards)
    assert (kept.stat().st_mtime_ns, lost.read_bytes()) == (before, content)
    with pytest.raises(SystemExit) as ended:
        main(["datasets", "convert", str(source), "--output", str(folder), "--shard-size", "1KB"])
    assert not ended.value.code
    assert f"Nothing left to write: {first.num_shards} parquet files are there." in capsys.readouterr().out
    assert len(shards(folder)) == first.num_shards


def test_what_was_cut_off_or_lost_is_written_again(source, tmp_path):
    folder = tmp_path / "out"
    convert_dataset(source, folder, shard_size="1KB")
    before = {path: path.read_bytes() for path in folder.rglob("*.*") if path.suffix in (".parquet", ".md")}
    first, second, *_ = (folder / "data" / name for name in shards(folder))
    first.write_bytes(b"")
    second.write_bytes(second.read_bytes()[:-1])
    (folder / "README.md").unlink()
    assert convert_dataset(source, folder, shard_size="1KB").num_written == 2
    assert {path: path.read_bytes() for path in before} == before


def test_what_was_written_into_the_card_stays(source, tmp_path):
    convert_dataset(source, tmp_path / "out")
    card = tmp_path / "out" / "README.md"
    card.write_text(card.read_text() + "\nThanks to my zoo.")
    for shard in (tmp_path / "out" / "data").iterdir():
        shard.unlink()
    assert convert_dataset(source, tmp_path / "out").num_written == 2
    assert card.read_text().endswith("Thanks to my zoo.")


def test_two_runs_do_not_write_one_folder(source, tmp_path):
    folder = ConversionFolder(tmp_path / "out")
    with folder.open("another run"):
        unfinished = tmp_path / "out" / "data" / ".a.parquet.0.tmp"
        unfinished.parent.mkdir()
        unfinished.write_text("half a file")
        with pytest.raises(OSError, match=r"another run is writing .*out: wait for its end"):
            convert_dataset(source, tmp_path / "out")
        assert unfinished.exists()


def test_a_run_that_was_killed_at_once_leaves_a_folder_that_can_be_used(source, tmp_path):
    (tmp_path / "out").mkdir()
    for name in (".xmodal_lt_conversion.lock", "..xmodal_lt_conversion.0.tmp"):
        (tmp_path / "out" / name).touch()
    assert convert_dataset(source, tmp_path / "out").num_written == 2
    assert not (tmp_path / "out" / "..xmodal_lt_conversion.0.tmp").exists()


def test_an_interrupted_run_is_not_finished(source, tmp_path, monkeypatch):
    def fail(*_, **__) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr("pyarrow.parquet.ParquetWriter.write_table", fail)
        with pytest.raises(OSError, match="disk full"):
            convert_dataset(source, tmp_path / "out")
    assert not (tmp_path / "out" / "README.md").exists()
    assert shards(tmp_path / "out") == []
    assert convert_dataset(source, tmp_path / "out").num_written == 2
    assert_same(load_lt(tmp_path / "out"), load_lt(source))


def test_a_folder_of_something_else_is_left_alone(source, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="out is not empty and holds no converted data set: name a new folder"):
        convert_dataset(source, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.txt"]


def other_size(source: Path) -> dict:
    return {"shard_size": 700}


def other_option(source: Path) -> dict:
    return {"missing_words": "keep"}


def changed_image(source: Path) -> dict:
    Image.new("RGB", (9, 9)).save(source / "train" / "0.png")
    return {}


def changed_word(source: Path) -> dict:
    path = source / "train" / "metadata.jsonl"
    path.write_text(path.read_text().replace("six legs", "six feet"))
    return {}


@pytest.mark.parametrize("change", [other_size, other_option, changed_image, changed_word])
def test_a_folder_of_other_rows_is_left_alone(source, tmp_path, change):
    convert_dataset(source, tmp_path / "out")
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    with pytest.raises(FileExistsError, match="of other rows, options or shard size, or its source has changed since"):
        convert_dataset(source, tmp_path / "out", **change(source))
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == before


def test_the_card_tells_what_is_known(source, tmp_path):
    convert_dataset(source, tmp_path / "animals", words_separator=";")
    card = DatasetCard.load(tmp_path / "animals" / "README.md")
    assert card.data.task_categories == ["image-classification"]
    assert card.data.size_categories == ["n<1K"]
    assert [file["split"] for file in card.data.configs[0]["data_files"]] == ["train", "test"]
    assert [split["num_examples"] for split in card.data.dataset_info["splits"]] == [5, 2]
    for text in (
        "Licence and access: not stated",
        "Options: `words_separator=';'`",
        "load_lt('animals')",
        "| train | 5 |",
        "The imbalance ratio of the training split is 1.50",
        "| tail | < 20 | 2 |",
        "| `words` | words that describe it, for training alone |",
    ):
        assert text in card.text
    assert str(tmp_path) not in card.content  # paths of this machine are nobody else's business


def test_the_card_of_the_hub_says_that_it_is_there(source, tmp_path):
    convert_dataset(source, tmp_path / "animals")
    card = (tmp_path / "animals" / "README.md").read_text() + "\nThanks to my zoo."
    moved = card_for_hub(card, "animals", "org/zoo")
    assert moved == card.replace("'animals'", "'org/zoo'") != card


def test_the_card_of_a_registered_data_set(emoji_cache, tmp_path):
    convert_dataset("emoji-lt-multilabel", tmp_path / "out", cache_dir=emoji_cache)
    card = DatasetCard.load(tmp_path / "out" / "README.md")
    assert card.data.task_ids == ["multi-label-image-classification"]
    assert card.data.size_categories == ["1K<n<10K"]
    assert "CC-BY-SA-4.0" in card.text and "| head | >= 100 |" in card.text


def test_a_stream_is_refused(source, tmp_path):
    with pytest.raises(ValueError, match=r"\['streaming'\] cannot be used here"):
        convert_dataset(source, tmp_path / "out", streaming=True)


def test_missing_images_are_named_before_anything_is_written(source, tmp_path):
    load_lt(source)
    (source / "test" / "0.png").unlink()
    with pytest.raises((FileNotFoundError, ValueError), match=r"0\.png"):
        convert_dataset(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("place", ["https://example.org/1.png", "hf://datasets/org/name/1.png"])
def test_images_at_urls_are_refused(place, source, tmp_path):
    path = source / "rows.jsonl"
    rows = [{"image": str(source / "train" / "0.png"), "label": "ant"}, {"image": place, "label": "ant"}]
    path.write_text("\n".join(map(json.dumps, rows)))
    message = rf"image of row train/1 of split 'train' is at '{place}': expected images on this machine\. Download"
    with pytest.raises(ValueError, match=message):
        convert_dataset(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "kind",
    [
        datasets.Audio(),
        datasets.Video(),
        datasets.Pdf(),
        datasets.List(datasets.Image()),
        {"inner": datasets.Image(decode=False)},
    ],
    ids=["audio", "video", "pdf", "list", "nested"],
)
def test_files_that_other_columns_name_are_not_taken_in(kind, source, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("my password")
    stored = {"bytes": None, "path": str(secret)}
    value = {"inner": stored} if isinstance(kind, dict) else [stored] if isinstance(kind, datasets.List) else stored
    features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("string"), "extra": kind})
    row = {"image": {"bytes": (source / "train" / "0.png").read_bytes(), "path": None}, "label": "ant", "extra": value}
    table = pa.table({name: [row[name]] for name in features}, schema=features.arrow_schema)
    pq.write_table(table, tmp_path / "rows.parquet")
    with pytest.raises(ValueError, match=r"columns \['extra'\] of split 'train' hold files .* Drop the columns first"):
        convert_dataset(tmp_path / "rows.parquet", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_all_images_of_a_row_are_taken_in_and_count(image_folder, tmp_path):
    """A second column of images, which may be null."""
    source = image_folder([{"label": "ant", "mask_file_name": name} for name in (None, "2.png", "0.png")])
    Image.new("RGB", (99, 9)).save(source / "train" / "2.png")
    size = (source / "train" / "2.png").stat().st_size
    measured = measure_split(load_lt(source)["train"], "train")
    assert np.argsort(measured.sizes).tolist() == [0, 2, 1] and measured.sizes[1] > size
    convert_dataset(source, tmp_path / "out")
    masks = load_lt(tmp_path / "out")["train"].cast_column("mask", datasets.Image(decode=False))["mask"]
    assert [mask and mask["bytes"] for mask in masks] == [
        None,
        *((source / "train" / name).read_bytes() for name in ("2.png", "0.png")),
    ]


@pytest.mark.parametrize("size", ["", "0", "5 apples", -3])
def test_sizes_that_are_none(source, tmp_path, size):
    with pytest.raises(ValueError, match="shard_size must be a size such as '500MB'"):
        convert_dataset(source, tmp_path / "out", shard_size=size)


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer().running() as server:
        yield server


def run_client(hub: HubServer, home: Path, *arguments: str) -> subprocess.CompletedProcess:
    """A client in a process of its own: it reads where the Hub is when it is imported."""
    return subprocess.run(
        [sys.executable, *arguments], env=hub.environment(home), capture_output=True, text=True, timeout=120
    )


@pytest.mark.slow
def test_a_data_set_is_sent_to_the_hub_and_comes_back(hub, source, tmp_path):
    def push(*arguments: str) -> subprocess.CompletedProcess:
        convert_and_push = ["-m", "xmodal_lt", "datasets", "convert", *arguments, "--push-to-hub", "org/animals"]
        return run_client(hub, tmp_path / "home", *convert_and_push)

    done = push(str(source), "--output", str(tmp_path / "fine"), "--shard-size", "1KB")
    assert done.returncode == 0, done.stderr
    repository = hub.repositories["dataset", "org/animals"]
    assert repository.private
    assert [commit.message for commit in repository.commits[1:]] == ["Upload the data set as parquet"]
    assert set(repository.files) == {
        ".gitattributes",
        "README.md",
        *(f"data/{name}" for name in shards(tmp_path / "fine")),
    }
    assert b"load_lt('org/animals')" in repository.files["README.md"]
    assert "load_lt('fine')" in (tmp_path / "fine" / "README.md").read_text()

    # Fewer shards: those of before go, in the same commit.
    assert push(str(source), "--output", str(tmp_path / "coarse")).returncode == 0
    assert len(repository.commits) == 3
    assert sorted(repository.files)[2:] == [f"data/{name}" for name in shards(tmp_path / "coarse")]

    read = "from xmodal_lt.data import load_lt; print(load_lt('org/animals')['train']['words'][:])"
    back = run_client(hub, tmp_path / "home", "-c", read)
    assert back.stdout.strip() == str([row["words"] for row in ROWS]), back.stderr

    # What is private here does not go where everyone can see it.
    repository.private = False
    refused = push(str(source), "--output", str(tmp_path / "third"))
    assert refused.returncode == 2 and "everyone can see org/animals" in refused.stderr
    assert not (tmp_path / "third").exists() and len(repository.commits) == 3


@pytest.mark.slow
def test_publishing_is_asked_for_and_warned_of(hub, source, tmp_path):
    push = ["-m", "xmodal_lt", "datasets", "convert"]
    where = ["--output", str(tmp_path / "out"), "--push-to-hub", "org/public", "--public"]
    done = run_client(hub, tmp_path / "home", *push, str(source), *where)
    assert done.returncode == 0, done.stderr
    assert not hub.repositories["dataset", "org/public"].private
    warned = run_client(hub, tmp_path / "home", *push, "voc-lt", *where)
    assert warned.returncode != 0  # there is no data_dir
    assert "The terms of voc-lt do not allow everyone to pass it on" in warned.stderr
