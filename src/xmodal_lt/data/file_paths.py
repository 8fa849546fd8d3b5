"""Paths in users' own tables: relative ones start at a folder, and none leads out of it."""

from __future__ import annotations

import os
import re
from pathlib import Path


__all__ = ["place_file"]

# Of places elsewhere alone: others, such as file:// and zip://, lead to files of this machine.
_URL = re.compile(r"(https?|hf|s3|gs|gcs|az|abfss?)://")


def place_file(path: str, folder: Path | None) -> str:
    """
    Find where a path in a table leads.

    Args:
        path (`str`):
            A URL (http, https, hf, or of a cloud's storage), which is kept; a path that is relative to the folder, or
            an absolute one inside it.
        folder (`pathlib.Path`, *optional*):
            The folder. Without it, as for tables from the Hub, there may be URLs alone.

    Returns:
        `str`: An absolute path, or the URL.

    Raises:
        ValueError: If the path leads elsewhere.
    """
    if _URL.match(path):
        return path
    if folder is None:
        raise ValueError(
            f"{path!r:.200} is a path on this machine, but the table is not from it: expected URLs, or images in the "
            "data set itself. If you trust the table and have its files, download the folder "
            "(`huggingface_hub.snapshot_download`) and load that"
        )
    root = os.path.abspath(folder)  # noqa: PTH100 - `Path` keeps "..", and `resolve` follows links, which are fine
    placed = os.path.abspath(os.path.join(root, path))  # noqa: PTH100, PTH118
    if "\0" in path or not placed.startswith(root.rstrip(os.sep) + os.sep):
        raise ValueError(
            f"{path!r:.200} leads out of {root}. Files must lie in the folder of the data, or in the one that you "
            "pass as `file_dir`"
        )
    return placed
