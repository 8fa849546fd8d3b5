from __future__ import annotations

import json
from collections.abc import Callable
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
