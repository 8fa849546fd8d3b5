from __future__ import annotations

import io
import os
import pickle
import shutil
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from PIL import Image

from xmodal_lt.data import Cifar100LT, dataset_spec, load_lt, long_tailed_counts, make_long_tailed


FINE = ["apple", "aquarium_fish", "bear", "bus"]
COARSE = ["aquatic_mammals", "vehicles_1"]
SIZES = {"train": 80, "test": 8}


class Python2Pickler(pickle._Pickler):
    """Writes bytes and text as Python 2 wrote its strings, as in the published files."""

    def save_string(self, value: bytes | str) -> None:
        raw = value.encode() if isinstance(value, str) else value
        self.write(pickle.BINSTRING + struct.pack("<i", len(raw)) + raw)
        self.memoize(value)

    dispatch = pickle._Pickler.dispatch | {bytes: save_string, str: save_string}


def as_published(content: Any) -> bytes:
    file = io.BytesIO()
    Python2Pickler(file, protocol=2).dump(content)
    return file.getvalue().replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")


def batch(split: str) -> dict[bytes, Any]:
    """Images of four classes, which take turns, of random colours."""
    rng = np.random.default_rng(len(split))
    fine = [row % 4 for row in range(SIZES[split])]
    return {
        b"data": rng.integers(0, 256, (SIZES[split], 3072), dtype=np.uint8),
        b"fine_labels": fine,
        b"coarse_labels": [label // 2 for label in fine],
        b"filenames": [f"{FINE[label]}_{split[0]}_{row:06}.png".encode() for row, label in enumerate(fine)],
        b"batch_label": b"training batch 1 of 1",
    }


def meta() -> dict[bytes, Any]:
    names = {"fine_label_names": FINE, "coarse_label_names": COARSE}
    return {key.encode(): [name.encode() for name in values] for key, values in names.items()}


@pytest.fixture
def cifar(tmp_path: Path) -> Path:
    """The folder that holds `cifar-100-python`."""
    folder = tmp_path / "files" / "cifar-100-python"
    folder.mkdir(parents=True)
    for name, content in (("train", batch("train")), ("test", batch("test")), ("meta", meta())):
        (folder / name).write_bytes(as_published(content))
    return folder.parent


@pytest.fixture
def archive(cifar: Path, tmp_path: Path) -> Path:
    """The folder that holds `cifar-100-python.tar.gz`, which ends with a member that points out of the folder."""
    folder = tmp_path / "archive"
    folder.mkdir()
    with tarfile.open(folder / "cifar-100-python.tar.gz", "w:gz") as tar:
        tar.add(cifar / "cifar-100-python", "cifar-100-python")
        tar.add(cifar / "cifar-100-python" / "meta", "../outside")
    return folder


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    """A folder that holds what `uoft-cs/cifar100` does."""
    folder = tmp_path / "hub"
    folder.mkdir()
    features = datasets.Features(
        img=datasets.Image(),
        fine_label=datasets.ClassLabel(names=FINE),
        coarse_label=datasets.ClassLabel(names=COARSE),
    )
    for split in SIZES:
        content = batch(split)
        images = content[b"data"].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        columns = {
            "img": [Image.fromarray(image) for image in images],
            "fine_label": content[b"fine_labels"],
            "coarse_label": content[b"coarse_labels"],
        }
        datasets.Dataset.from_dict(columns, features).to_parquet(folder / f"{split}-00000-of-00001.parquet")
    return folder


def overwrite(cifar: Path, name: str, content: Any, write: Callable[[Any], bytes] = as_published) -> None:
    (cifar / "cifar-100-python" / name).write_bytes(write(content))


def test_columns_and_sizes(cifar):
    dataset = load_lt("cifar100-lt", data_dir=cifar, imbalance_ratio=10)
    assert {split: part.num_rows for split, part in dataset.items()} == {"train": 20 + 9 + 4 + 2, "test": 8}
    for part in dataset.values():
        assert part.features == datasets.Features(
            image=datasets.Image(),
            words=datasets.List(datasets.Value("string")),
            label=datasets.ClassLabel(names=FINE),
            image_id=datasets.Value("string"),
        )


def test_rows_are_as_in_the_files(cifar):
    test = load_lt("cifar100-lt", data_dir=cifar)["test"]
    assert test["label"][:] == [0, 1, 2, 3, 0, 1, 2, 3]
    assert test["words"][:4] == [["aquatic mammals"], ["aquatic mammals"], ["vehicles 1"], ["vehicles 1"]]
    assert test["image_id"][1] == "test/aquarium_fish_t_000001.png"
    row = batch("test")[b"data"][5]
    assert test[5]["image"].mode == "RGB"
    for channel, values in enumerate(np.split(row, 3)):  # red, then green, then blue, each line by line
        np.testing.assert_array_equal(np.asarray(test[5]["image"])[:, :, channel], values.reshape(32, 32))


@pytest.mark.parametrize("profile", ["exponential", "step", "pareto"])
def test_the_training_split_is_cut_as_make_long_tailed_does(cifar, profile):
    whole = load_lt("cifar100-lt", data_dir=cifar, imbalance_ratio=1)["train"]
    assert len(whole) == 80
    options = {"imbalance_ratio": 10, "profile": profile, "seed": 3}
    train = load_lt("cifar100-lt", data_dir=cifar, **options)["train"]
    assert train["image_id"][:] == make_long_tailed(whole, "label", **options)["image_id"][:]
    assert np.bincount(train["label"][:]).tolist() == long_tailed_counts(4, 20, 10, profile)


def test_the_files_may_be_named_directly_or_packed(cifar, archive):
    expected = load_lt("cifar100-lt", data_dir=cifar)
    for data_dir in (cifar / "cifar-100-python", archive):
        dataset = load_lt("cifar100-lt", data_dir=data_dir)
        for split, part in expected.items():
            assert dataset[split].to_dict() == part.to_dict()


def test_nothing_is_unpacked(archive, tmp_path):
    before = {path for path in tmp_path.rglob("*") if "cache" not in path.parts}
    load_lt("cifar100-lt", data_dir=archive)
    assert {path for path in tmp_path.rglob("*") if "cache" not in path.parts} == before


def test_the_hub_gives_the_same_rows(cifar, hub):
    expected = load_lt("cifar100-lt", data_dir=cifar, imbalance_ratio=10, seed=1)
    dataset = load_lt("cifar100-lt", hub_id=str(hub), imbalance_ratio=10, seed=1)
    for split, part in expected.items():
        assert dataset[split].features == part.features
        for column in ("label", "words"):
            assert dataset[split][column][:] == part[column][:]
        images = zip(dataset[split]["image"], part["image"], strict=True)
        assert all(first.tobytes() == second.tobytes() for first, second in images)
        rows = [int(name[-10:-4]) for name in part["image_id"]]
        assert dataset[split]["image_id"][:] == [f"{split}/{row}" for row in rows]


def test_the_hub_must_have_the_columns(hub):
    for file in hub.iterdir():
        datasets.Dataset.from_parquet(str(file)).rename_column("img", "image").to_parquet(file)
    with pytest.raises(
        ValueError, match=r"must have a split 'train' with the columns img \(Image\), fine_label \(Class"
    ):
        Cifar100LT(hub_id=str(hub))


def test_files_written_anew_by_a_recent_python_are_read(cifar):
    for name, content in (("train", batch("train")), ("test", batch("test")), ("meta", meta())):
        overwrite(cifar, name, content, write=pickle.dumps)
    assert len(load_lt("cifar100-lt", data_dir=cifar)["test"]) == 8


def test_options_and_files_have_caches_of_their_own(cifar, tmp_path):
    def cache(**options) -> str:
        return Cifar100LT(cache_dir=str(tmp_path / "own"), data_dir=str(cifar), **options).cache_dir

    caches = [cache(), cache(seed=1), cache(imbalance_ratio=10), cache(profile="step")]
    assert cache() == caches[0]
    os.utime(cifar / "cifar-100-python" / "train", ns=(0, 0))
    assert len({*caches, cache()}) == 5


def test_new_files_are_read(cifar):
    assert load_lt("cifar100-lt", data_dir=cifar)["test"]["label"][0] == 0
    content = batch("test")
    content[b"fine_labels"][0] = 3
    overwrite(cifar, "test", content)
    assert load_lt("cifar100-lt", data_dir=cifar)["test"]["label"][0] == 3


def test_a_second_load_reads_the_cache(cifar):
    first, second = (load_lt("cifar100-lt", data_dir=cifar)["train"] for _ in range(2))
    assert first.cache_files == second.cache_files


class Harmful:
    """Its pickle makes a folder when it is read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("name", ["train", "test", "meta"])
def test_a_pickle_that_would_run_code_is_refused(cifar, tmp_path, name):
    overwrite(cifar, name, {b"data": Harmful(tmp_path / "harm")}, write=pickle.dumps)
    with pytest.raises(
        ValueError, match=rf"cannot read '{name}' of .*it asks for (posix|nt)\.mkdir, which no file of"
    ):
        load_lt("cifar100-lt", data_dir=cifar)
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize("layout", ["folder", "archive"])
def test_a_cut_off_file_is_named(cifar, archive, layout):
    data_dir, name = (cifar, "cifar-100-python/train") if layout == "folder" else (archive, "cifar-100-python.tar.gz")
    whole = (data_dir / name).read_bytes()
    (data_dir / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"cannot read 'train' of .*\. Get cifar-100-python\.tar\.gz anew from https"):
        load_lt("cifar100-lt", data_dir=data_dir)


def without(content: dict, key: bytes) -> dict:
    return {name: value for name, value in content.items() if name != key}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train", [1, 2], "expected a dict with 'data', 'fine_labels', .*, got list"),
        ("train", without(batch("train"), b"coarse_labels"), "expected a dict with .*'coarse_labels'"),
        ("train", batch("train") | {b"data": np.zeros((80, 100), np.uint8)}, r"got uint8 \(80, 100\)"),
        ("train", batch("train") | {b"data": np.zeros((80, 3072))}, r"got float64 \(80, 3072\)"),
        ("train", batch("train") | {b"data": [0] * 80}, "data to be uint8 .*, got list"),
        ("test", batch("test") | {b"data": np.zeros((7, 3072), np.uint8)}, r"as many images as labels .* \[7, 8\]"),
        ("test", batch("test") | {b"filenames": [b"a.png"]}, r"as many images as labels and file names, got \[1, 8\]"),
        ("test", batch("test") | {b"fine_labels": [4] * 8}, "fine_labels to be ids from 0 to 3"),
        ("test", batch("test") | {b"coarse_labels": [-1] * 8}, "coarse_labels to be ids from 0 to 1"),
        ("test", batch("test") | {b"fine_labels": [0.5] * 8}, "fine_labels to be ids from 0 to 3"),
        ("test", batch("test") | {b"filenames": [1] * 8}, r"filenames to be a list of names, got \[1, 1"),
        ("meta", meta() | {b"fine_label_names": []}, r"fine_label_names to be a list of names, got \[\]"),
        ("meta", batch("test"), "expected a dict with 'fine_label_names', 'coarse_label_names'"),
    ],
)
def test_files_that_hold_something_else(cifar, name, content, message):
    overwrite(cifar, name, content)
    with pytest.raises(ValueError, match=f"'{name}' of .* is not as published: .*{message}"):
        load_lt("cifar100-lt", data_dir=cifar)


def test_without_files_the_error_says_where_they_are():
    with pytest.raises(
        FileNotFoundError, match=r"cifar-100-python\.tar\.gz from https://www\.cs\.toronto\.edu/~kriz/"
    ):
        load_lt("cifar100-lt")


def test_a_folder_without_the_files(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"no .*nowhere/cifar-100-python\.tar\.gz, and .* lacks 'train', 'test'"
    ):
        load_lt("cifar100-lt", data_dir=tmp_path / "nowhere")


def test_a_missing_file_is_named(cifar):
    (cifar / "cifar-100-python" / "meta").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"cifar-100-python lacks 'meta'\. Get .* from https://www\.cs\.toronto"
    ):
        load_lt("cifar100-lt", data_dir=cifar)


def test_an_archive_without_a_file_names_it(cifar, archive):
    shutil.rmtree(archive)
    archive.mkdir()
    with tarfile.open(archive / "cifar-100-python.tar.gz", "w:gz") as tar:
        tar.add(cifar / "cifar-100-python" / "meta", "cifar-100-python/meta")
    with pytest.raises(
        FileNotFoundError, match=r"tar\.gz has no file cifar-100-python/train\. Get it anew from https"
    ):
        load_lt("cifar100-lt", data_dir=archive)


def test_files_and_hub_cannot_both_be_meant(cifar):
    with pytest.raises(ValueError, match="give data_dir or hub_id, not both"):
        load_lt("cifar100-lt", data_dir=cifar, hub_id="uoft-cs/cifar100")


@pytest.mark.parametrize("options", [{"imbalance_ratio": 0.01}, {"profile": "linear"}])
def test_options_out_of_range(cifar, options):
    with pytest.raises(ValueError, match=f"{next(iter(options))} .* got '?{next(iter(options.values()))}"):
        load_lt("cifar100-lt", data_dir=cifar, **options)


def test_cifar100_lt_is_registered():
    spec = dataset_spec("cifar100-lt")
    assert (spec.builder, spec.head, spec.tail, spec.boundaries) == (Cifar100LT, 100, 20, "decoupling")
    assert spec.problem_type == "single_label_classification"
    assert "cifar-100-python.tar.gz" in spec.access
