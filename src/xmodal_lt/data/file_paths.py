"""Paths in users' own tables: relative ones start at a folder, and none leads out of it."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path


__all__ = ["is_url", "keep_path", "place_file"]

# Of places elsewhere alone: others, such as file:// and zip://, lead to files of this machine.
_URL = re.compile(r"(https?|hf|s3|gs|gcs|az|abfss?)://")


def keep_path(path: str) -> str:
    """
    Leave a path as it is: that of a builder, which knows where its files are.

    Args:
        path (`str`):
            Any path.

    Returns:
        `str`: The same.
    """
    return path


def place_file(path: str, folder: Path | None, caches: Sequence[Path] = ()) -> str:
    """
    Find where a path in a table leads.

    Args:
        path (`str`):
            A URL (http, https, hf, or of a cloud's storage), which is kept; a path that is relative to the folder, or
            an absolute one inside it.
        folder (`pathlib.Path`, *optional*):
            The folder. Without it, as for tables from the Hub, there may be URLs alone.
        caches (`Sequence[pathlib.Path]`, *optional*):
            Other folders that absolute paths may lie in: those to which files of the Hub are downloaded.

    Returns:
        `str`: An absolute path, or the URL.

    Raises:
        ValueError: If the path leads elsewhere.
    """
    if is_url(path) or any(_is_inside(path, cache) for cache in caches):
        return path
    if folder is None:
        raise ValueError(
            f"{path!r:.200} is a path on this machine, but the table is not from it: expected URLs, or images in the "
            "data set itself. If you trust the table and have its files, download the folder "
            "(`huggingface_hub.snapshot_download`) and load that"
        )
    placed = os.path.abspath(folder / path)  # noqa: PTH100 - as below
    if not _is_inside(placed, folder):
        raise ValueError(
            f"{path!r:.200} leads out of {folder.absolute()}. Files must lie in the folder of the data, or in the one "
            "that you pass as `file_dir`"
        )
    return placed


def is_url(path: str) -> bool:
    """
    Tell whether a path is a URL of a place elsewhere.

    Args:
        path (`str`):
            Any path.

    Returns:
        `bool`: `False` for those that lead to files of this machine, such as `file://` and `zip://`.
    """
    return _URL.match(path) is not None


def _is_inside(path: str, folder: Path) -> bool:
    """Whether an absolute path is in a folder, as it is named or without links; what is in it may be a link."""
    # `Path.absolute` keeps "..", and `Path.resolve` would follow links inside the folder, too.
    roots = (os.path.abspath(folder), os.path.realpath(folder))  # noqa: PTH100
    is_plain = "\0" not in path and os.path.abspath(path) == os.path.normpath(path)  # noqa: PTH100
    return is_plain and os.path.normpath(path).startswith(tuple(root.rstrip(os.sep) + os.sep for root in roots))
