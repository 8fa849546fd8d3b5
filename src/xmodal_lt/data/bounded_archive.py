"""Opening one file of an archive that others made: nothing is written to disk, and little is read into memory."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from gzip import GzipFile
from pathlib import Path, PurePosixPath
from typing import IO


__all__ = ["open_member"]


@contextmanager
def open_member(path: Path, name: str, most_bytes: int) -> Iterator[IO[bytes] | None]:
    """
    Open a file of a `.tar.gz` archive. Other members are passed over, whatever they are and wherever they point to.

    Args:
        path (`pathlib.Path`):
            The archive.
        name (`str`):
            The file's path in it.
        most_bytes (`int`):
            Most bytes that the archive may unpack to, up to the end of that file.

    Returns:
        `Iterator[IO[bytes] or None]`: A context that gives the file, `None` if there is none of that name.

    Raises:
        ValueError: If it is a link or a device, or the archive unpacks to more.
        Exception: Others, if the archive is broken.
    """
    with _BoundedGzip(path, most_bytes) as unpacked, tarfile.open(fileobj=unpacked, mode="r:") as archive:
        member = next((one for one in archive if PurePosixPath(one.name) == PurePosixPath(name)), None)
        if member is None:
            yield None
        elif not member.isreg():
            raise ValueError(f"{name} in it is not a file but a link, folder or device")
        else:
            yield archive.extractfile(member)


class _BoundedGzip(GzipFile):
    """
    A packed file that is unpacked no further than to a certain byte. All sizes in an archive, of headers too, are
    claims that its reader believes.
    """

    def __init__(self, path: Path, most_bytes: int) -> None:
        super().__init__(path)
        self._most_bytes = most_bytes

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_SET:  # otherwise `tell` asks
            self._check(offset)
        return super().seek(offset, whence)

    def read(self, size: int | None = -1) -> bytes:
        self._check(self._most_bytes + 1 if size is None or size < 0 else self.tell() + size)
        return super().read(size)

    def _check(self, end: int) -> None:
        if end > self._most_bytes:
            raise ValueError(f"it unpacks to more than {self._most_bytes:,} bytes")
