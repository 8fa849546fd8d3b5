"""Write a file so that its path holds either the old content or the whole new one, whatever happens meanwhile."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


__all__ = ["atomic_path"]


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """
    Give a temporary path to write to, and rename it to `path` once the block has ended without an error.

    The folder of `path` is made if it is missing. After an error the temporary file is removed and a file that was
    at `path` before is still there.

    Args:
        path (`str` or `os.PathLike`): Where the file shall be in the end.

    Returns:
        `Iterator[Path]`: A context that gives a hidden path in the same folder, as a rename is atomic only within
        one file system.

    Example:

    ```python
    >>> from xmodal_lt.atomic_file import atomic_path

    >>> with atomic_path("output/results.json") as temporary:  # doctest: +SKIP
    ...     temporary.write_text("{}")
    ```
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
    try:
        yield temporary
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
