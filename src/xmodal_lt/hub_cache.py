"""Are the files that were downloaded from the Hub what it has? The client compares their sizes alone."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from huggingface_hub import try_to_load_from_cache
from huggingface_hub.errors import HFValidationError


__all__ = ["check_downloaded_model"]

# Of configs, weights, tokenizers and code; not of figures, cards and exports, which no load reads.
_LOADED = {".bin", ".json", ".model", ".py", ".safetensors", ".txt"}
_whole: dict[Path, tuple[int, int]] = {}  # size and time of what this process has found whole


def check_downloaded_model(repo_id: str, revision: str | None = None) -> None:
    """
    Compare the cached files that a load of a model reads with the digests that the Hub gave for them.

    The loaders of this package do so, those of transformers do not. A file is read once in a process, and again if it
    changes.

    Args:
        repo_id (`str`):
            The model, `"org/name"`.
        revision (`str`, *optional*):
            Branch, tag or commit, `main` by default.

    Raises:
        OSError: If a file is damaged. It is taken out of the cache, so that the next load gets it anew.

    Example:

    ```python
    >>> from xmodal_lt.hub_cache import check_downloaded_model

    >>> check_downloaded_model("org/never-downloaded")  # nothing is there that could be damaged
    ```
    """
    try:
        config = try_to_load_from_cache(repo_id, "config.json", revision=revision)
    except HFValidationError:  # such as a path of a folder that is not there
        return
    if not isinstance(config, str):
        return
    for file in sorted(Path(config).parent.iterdir()):
        stored = file.resolve()
        # Files are named by their digests, but not on file systems without links.
        if file.suffix not in _LOADED or not file.is_file() or stored.parent.name != "blobs":
            continue
        status = stored.stat()
        state = status.st_size, status.st_mtime_ns
        if _whole.get(stored) == state:
            continue
        if not _is_whole(stored):
            stored.unlink()
            file.unlink()
            raise OSError(f"the download of {file.name} was damaged, and is deleted from the cache; load it again")
        _whole[stored] = state


def _is_whole(stored: Path) -> bool:
    """Large files are named by their SHA-256, others as git does."""
    digest = hashlib.sha256() if re.fullmatch(r"[0-9a-f]{64}", stored.name) else hashlib.sha1()
    if digest.name == "sha1":
        if not re.fullmatch(r"[0-9a-f]{40}", stored.name):
            return True  # of a server that names files otherwise
        digest.update(b"blob %d\0" % stored.stat().st_size)
    with stored.open("rb") as content:
        while part := content.read(1 << 20):
            digest.update(part)
    return digest.hexdigest() == stored.name
