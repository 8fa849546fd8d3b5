from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import datasets
import h5py
import numpy as np
import pytest
from PIL import Image

from xmodal_lt.data import load_lt


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that tests load must not fill, nor come from, the user's cache."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.fixture(scope="session")
def emoji_cache(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("emoji"))


@pytest.fixture(scope="session")
def emoji_lt(emoji_cache: str) -> datasets.DatasetDict:
    return load_lt("emoji-lt", cache_dir=emoji_cache)


@pytest.fixture(scope="session")
def emoji_lt_multilabel(emoji_cache: str) -> datasets.DatasetDict:
    return load_lt("emoji-lt-multilabel", cache_dir=emoji_cache)


@pytest.fixture
def image_folder(tmp_path: Path) -> Callable[..., Path]:
    """Writes one split of an image folder: an image for each row of metadata. Returns the folder of all splits."""

    def write(rows: list[dict], split: str = "train") -> Path:
        folder = tmp_path / "images" / split
        folder.mkdir(parents=True)
        rows = [{"file_name": f"{number}.png", "words": ["word"], **row} for number, row in enumerate(rows)]
        for number, row in enumerate(rows):
            Image.new("RGB", (8, 8), (number, 0, 0)).save(folder / row["file_name"])
        (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
        return folder.parent

    return write


@pytest.fixture
def write_features(tmp_path: Path) -> Callable[..., Path]:
    """Writes arrays [T, D] by video id to a folder of npy files or, for a name that ends in `.h5`, an HDF5 file."""

    def write(name: str, arrays: dict[str, np.ndarray]) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".h5":
            with h5py.File(path, "w") as file:
                for video_id, array in arrays.items():
                    file[video_id] = array
            return path
        path.mkdir()
        for video_id, array in arrays.items():
            np.save(path / f"{video_id}.npy", array)
        return path

    return write


@pytest.fixture
def numbered() -> Callable[..., np.ndarray]:
    """An array [rows, 2] whose row `r` is `(base + r, 0)`, so that a slice of it shows where it is from."""

    def make(rows: int, base: int = 0) -> np.ndarray:
        return np.stack([np.arange(base, base + rows), np.zeros(rows)], axis=1).astype(np.float32)

    return make


@pytest.fixture
def write_images(tmp_path: Path) -> Callable[..., None]:
    """Writes one tiny image under many names, as links, so that thousands cost nothing."""

    def write(folder: Path, names: Iterable[str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        image = tmp_path / "tiny.jpg"
        Image.new("RGB", (2, 2), (255, 0, 0)).save(image)
        for name in names:
            (folder / name).hardlink_to(image)

    return write


@pytest.fixture
def labels_with_counts() -> Callable[..., list[list[int]]]:
    """Makes lists of class ids of that number, in which each class is as often as its count says."""

    def make(counts: list[int], rows: int, given: Iterable[list[int]] = ()) -> list[list[int]]:
        labels = [sorted(row) for row in given]
        left = Counter(dict(enumerate(counts)))
        left.subtract(class_id for row in labels for class_id in row)
        spread: list[list[int]] = [[] for _ in range(rows - len(labels))]
        for number, class_id in enumerate(left.elements()):  # never twice in a row, as no class has more than rows
            spread[number % len(spread)].append(class_id)
        return labels + spread

    return make


@pytest.fixture
def cooccurring() -> Callable[..., list[list[int]]]:
    """Makes the lists of all images of a class, in the first of which are others, as often as `partners` says."""

    def make(class_id: int, count: int, partners: dict[int, int]) -> list[list[int]]:
        return [[class_id, *(other for other, n in partners.items() if row < n)] for row in range(count)]

    return make
