"""What tells whether a cached data set is still what its code and source files would make."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path


__all__ = ["build_hash", "fingerprint_of_files"]


def fingerprint_of_files(files: Iterable[Path]) -> str:
    """
    Describe files by place, size and time. Their content is not read.

    Args:
        files (`Iterable[pathlib.Path]`):
            Files that exist.

    Returns:
        `str`: Other text if a file is replaced, added, moved or gone.
    """
    stats = ((file.absolute(), file.stat()) for file in files)
    return "\n".join(f"{path} {stat.st_size} {stat.st_mtime_ns}" for path, stat in stats)


def build_hash(code: Iterable[str | Path], *fingerprints: str) -> str:
    """
    Hash the code that makes a data set and what it is made from: the `hash` of a `datasets.DatasetBuilder`.

    Args:
        code (`Iterable[str or pathlib.Path]`):
            Source files of the code.
        *fingerprints (`str`):
            What the data is made from, in an order of your own.

    Returns:
        `str`: 64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for file in code:
        digest.update(Path(file).read_bytes())
    for fingerprint in fingerprints:
        digest.update(f"\0{fingerprint}".encode())
    return digest.hexdigest()
