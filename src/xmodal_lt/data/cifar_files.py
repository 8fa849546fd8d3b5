"""Reading the published files of CIFAR-100, which are pickles, without running any code that they may hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image

from .bounded_archive import open_member
from .messages import some_of
from .pickled_arrays import load_pickle
from .source_files import MissingFile


__all__ = ["HOMEPAGE", "CifarFiles", "CifarSplit", "missing_cifar_files"]

HOMEPAGE = "https://www.cs.toronto.edu/~kriz/cifar.html"

_ARCHIVE = "cifar-100-python.tar.gz"
_FOLDER = "cifar-100-python"
_FILES = ("train", "test", "meta")
_SIZE = 32
_MOST_BYTES = 2**29  # of the archive unpacked; the published one has about a third of them


@dataclass(frozen=True, eq=False)
class CifarSplit:
    """
    One split of CIFAR-100.

    Args:
        fine_labels (`np.ndarray`):
            Class ids, int64, shape [N].
        coarse_labels (`np.ndarray`):
            Superclass ids, int64, shape [N].
        file_names (`Sequence[str]`):
            What tells the images of the split apart, N names.
        image (`Callable[[int], Any]`):
            From a row to its image, as `datasets.Image` encodes it.
    """

    fine_labels: np.ndarray
    coarse_labels: np.ndarray
    file_names: Sequence[str]
    image: Callable[[int], Any]


class CifarFiles:
    """
    The files of CIFAR-100 as its authors publish them.

    Args:
        data_dir (`str` or `pathlib.Path`):
            Folder with `cifar-100-python.tar.gz`, or with the folder `cifar-100-python` that is in it, or that folder
            itself.

    Raises:
        FileNotFoundError: If a file is not there.
    """

    def __init__(self, data_dir: str | Path) -> None:
        self.path = _locate(Path(data_dir).expanduser())

    @property
    def fingerprint(self) -> str:
        """Changes when the files are replaced."""
        files = [self.path] if self.path.is_file() else [self.path / name for name in _FILES]
        return "\n".join(f"{file.name} {file.stat().st_size} {file.stat().st_mtime_ns}" for file in files)

    @cached_property
    def names(self) -> dict[str, list[str]]:
        """
        Names of the classes, `"fine"`, and of the superclasses, `"coarse"`, by id.

        Raises:
            FileNotFoundError: If `meta` is not there.
            ValueError: If it cannot be read or holds something else.
        """
        meta = self._read("meta", (b"fine_label_names", b"coarse_label_names"))
        return {kind: self._read_names(meta, f"{kind}_label_names", "meta") for kind in ("fine", "coarse")}

    def read_split(self, split: str) -> CifarSplit:
        """
        Read a split, with all its pixels.

        Args:
            split (`str`):
                `"train"` or `"test"`.

        Returns:
            [`CifarSplit`]

        Raises:
            FileNotFoundError: If the file is not there.
            ValueError: If it cannot be read or holds something else.
        """
        batch = self._read(split, (b"data", b"fine_labels", b"coarse_labels", b"filenames"))
        pixels = batch[b"data"]
        if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.shape[1:] != (3 * _SIZE**2,):
            got = f"{pixels.dtype} {pixels.shape}" if isinstance(pixels, np.ndarray) else type(pixels).__name__
            raise self._unexpected(split, f"data to be uint8 of shape (N, {3 * _SIZE**2}), got {got}")
        fine, coarse = (self._read_labels(batch, kind, split) for kind in ("fine", "coarse"))
        names = self._read_names(batch, "filenames", split)
        rows = {len(pixels), len(fine), len(coarse), len(names)}
        if len(rows) > 1:
            raise self._unexpected(split, f"as many images as labels and file names, got {sorted(rows)}")
        # Each row holds all of red, then green, then blue.
        images = pixels.reshape(-1, 3, _SIZE, _SIZE).transpose(0, 2, 3, 1)
        return CifarSplit(fine, coarse, names, lambda row: Image.fromarray(images[row]))

    def _read_names(self, content: dict[bytes, Any], key: str, file: str) -> list[str]:
        names = content[key.encode()]
        if not isinstance(names, list) or not names or not all(isinstance(name, bytes) for name in names):
            raise self._unexpected(file, f"{key} to be a list of names, got {names!r:.100}")
        return [name.decode() for name in names]

    def _read_labels(self, batch: dict[bytes, Any], kind: str, split: str) -> np.ndarray:
        labels = np.asarray(batch[f"{kind}_labels".encode()])
        known = len(self.names[kind])
        if labels.ndim != 1 or labels.dtype.kind not in "iu" or not ((labels >= 0) & (labels < known)).all():
            raise self._unexpected(split, f"{kind}_labels to be ids from 0 to {known - 1}, one for each image")
        return labels.astype(np.int64)

    def _read(self, name: str, keys: tuple[bytes, ...]) -> dict[bytes, Any]:
        try:
            with self._open(name) as file:
                content = load_pickle(file)
        except FileNotFoundError:
            raise
        except Exception as error:  # broken pickles and archives raise almost anything
            raise ValueError(
                f"cannot read {name!r} of {self.path}: {error}. Get {_ARCHIVE} anew from {HOMEPAGE}"
            ) from error
        if not isinstance(content, dict) or not set(keys) <= set(content):
            got = some_of(list(map(str, content))) if isinstance(content, dict) else type(content).__name__
            raise self._unexpected(name, f"a dict with {some_of([key.decode() for key in keys])}, got {got}")
        return content

    @contextmanager
    def _open(self, name: str) -> Iterator[IO[bytes]]:
        """A file as it lies in the folder, or in the archive, of which nothing is written to disk."""
        if self.path.is_dir():
            if (self.path / name).stat().st_size > _MOST_BYTES:
                raise ValueError(f"it has more than {_MOST_BYTES:,} bytes")
            with (self.path / name).open("rb") as file:
                yield file
            return
        with open_member(self.path, f"{_FOLDER}/{name}", _MOST_BYTES) as packed:
            if packed is None:
                raise FileNotFoundError(f"{self.path} has no file {_FOLDER}/{name}. Get it anew from {HOMEPAGE}")
            yield packed

    def _unexpected(self, name: str, expected: str) -> ValueError:
        return ValueError(
            f"{name!r} of {self.path} is not as published: expected {expected}. Get {_ARCHIVE} anew from {HOMEPAGE}"
        )


def missing_cifar_files(data_dir: Path | None) -> list[MissingFile]:
    """
    Tell whether the files are missing.

    Args:
        data_dir (`pathlib.Path`, *optional*):
            Folder where they may be.

    Returns:
        `list[MissingFile]`: One or none.
    """
    if data_dir is not None and _find(data_dir) is not None:
        return []
    return [
        MissingFile(
            f"{_ARCHIVE} or {_FOLDER}",
            f"{_ARCHIVE} from {HOMEPAGE} and pass its folder as `data_dir`, or load the data from the Hub with "
            '`hub_id="uoft-cs/cifar100"`',
        )
    ]


def _find(data_dir: Path) -> Path | None:
    """The folder with all the files, or the archive."""
    whole = (folder for folder in _folders(data_dir) if not _lacking(folder))
    archive = data_dir / _ARCHIVE
    return next(whole, archive if archive.is_file() else None)


def _folders(data_dir: Path) -> tuple[Path, Path]:
    return data_dir / _FOLDER, data_dir


def _lacking(folder: Path) -> list[str]:
    return [name for name in _FILES if not (folder / name).is_file()]


def _locate(data_dir: Path) -> Path:
    path = _find(data_dir)
    if path is not None:
        return path
    # The folder that has some of them is the one that was meant.
    folder = min(_folders(data_dir), key=lambda folder: len(_lacking(folder)))
    raise FileNotFoundError(
        f"there is no {data_dir / _ARCHIVE}, and {folder} lacks {some_of(_lacking(folder))}. "
        f"Get {missing_cifar_files(None)[0].published}"
    )
