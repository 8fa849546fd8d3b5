"""Local folders where files of rows lie beside the features of videos that the rows name."""

from __future__ import annotations

import re
from pathlib import Path

from PIL import Image

from .feature_files import FEATURE_FORMATS


__all__ = ["tables_beside_features"]

_SPLIT_WORDS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
}


def tables_beside_features(folder: Path, formats: dict[str, str]) -> tuple[str, dict[str, list[str]]] | None:
    """
    Find the files of rows in a folder of features, for which `datasets` would take HDF5 files too.

    Args:
        folder (`pathlib.Path`):
            The folder. Files of rows are looked for in itself, features also in its subfolders.
        formats (`dict[str, str]`):
            Name of the format for each ending of a file of rows.

    Returns:
        `tuple` or `None`: The format of the files of rows and their paths by split, which the file's name holds, or
        else all for `"train"`. `None` if there are no such files, no features, or there are images.

    Raises:
        ValueError: If the files of rows are of several formats.
    """
    tables = sorted(file for file in folder.iterdir() if file.suffix in formats and file.is_file())
    if not tables or not _is_of_features(folder):
        return None
    kinds = {formats[file.suffix] for file in tables}
    if len(kinds) > 1:
        raise ValueError(f"{folder} has files of rows in several formats, {[file.name for file in tables]}: keep one")
    found = {
        split: [str(file) for file in tables if _split_of(file.stem) == split]
        for split in dict.fromkeys(_SPLIT_WORDS.values())
    }
    splits = {split: files for split, files in found.items() if files}
    return kinds.pop(), splits or {"train": list(map(str, tables))}


def _is_of_features(folder: Path) -> bool:
    suffixes = {path.suffix.lower() for path in folder.rglob("*")}
    images = set(Image.registered_extensions()).difference(FEATURE_FORMATS)
    return not suffixes.isdisjoint(FEATURE_FORMATS) and suffixes.isdisjoint(images)


def _split_of(stem: str) -> str | None:
    words = re.split(r"[^a-z]+", stem.lower())
    return next((_SPLIT_WORDS[word] for word in words if word in _SPLIT_WORDS), None)
