"""The folder of a conversion: what of it is whole, of which data set it is, and that one run alone writes it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

from filelock import FileLock, Timeout

from xmodal_lt.atomic_file import atomic_path


__all__ = ["ConversionFolder"]

_MARKER = ".xmodal_lt_conversion"
_LOCK = ".xmodal_lt_conversion.lock"


class ConversionFolder:
    """
    A folder that is written, with a marker that tells which data set it is of and which files were written.

    Args:
        path (`pathlib.Path`):
            The folder; nothing is made there before [`~ConversionFolder.open`].

    Raises:
        FileExistsError: If it holds something else.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._marker = self.path / _MARKER
        self._state: dict[str, Any] = {}
        self._noting = Lock()  # shards are written by several threads
        self._check()

    def _check(self) -> None:
        if self._marker.is_file() or not self.path.exists():
            return
        if not self.path.is_dir() or any(_MARKER not in one.name for one in self.path.iterdir()):
            raise FileExistsError(
                f"{self.path} is not empty and holds no converted data set: name a new folder, or delete it first"
            )

    @contextmanager
    def open(self, fingerprint: str) -> Iterator[None]:
        """
        Take the folder for a data set.

        Args:
            fingerprint (`str`):
                Other text if the data set is another one.

        Returns:
            `Iterator[None]`: A context, in which no other run can take it.

        Raises:
            FileExistsError: If it is another one's.
            OSError: If another run has it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.path / _LOCK)
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise OSError(f"another run is writing {self.path}: wait for its end, or name another folder") from error
        try:
            self._take(fingerprint)
            yield
        finally:
            lock.release()

    def _take(self, fingerprint: str) -> None:
        self._check()
        self._state = json.loads(self._marker.read_text()) if self._marker.is_file() else {}
        if self._state.get("fingerprint", fingerprint) != fingerprint:
            raise FileExistsError(
                f"{self.path} holds a converted data set of other rows, options or shard size, or its source has "
                "changed since: name a new folder, or delete this one first"
            )
        for left_over in self.path.rglob(".*.tmp"):  # of a run that was killed
            left_over.unlink()
        self._state = {"fingerprint": fingerprint, "sizes": self._state.get("sizes", {})}
        self._write_marker()

    def is_whole(self, file: str) -> bool:
        """
        Tell whether a file is there as it was written.

        Args:
            file (`str`):
                Its path in the folder.

        Returns:
            `bool`
        """
        try:
            return (self.path / file).stat().st_size == self._state["sizes"].get(file)
        except FileNotFoundError:
            return False

    def note(self, files: Iterable[str]) -> None:
        """
        Note that files are written.

        Args:
            files (`Iterable[str]`):
                Their paths in the folder.
        """
        with self._noting:
            self._state["sizes"] |= {file: (self.path / file).stat().st_size for file in files}
            self._write_marker()

    def _write_marker(self) -> None:
        with atomic_path(self._marker) as unfinished:
            unfinished.write_text(json.dumps(self._state))
