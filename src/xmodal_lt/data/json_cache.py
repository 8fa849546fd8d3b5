"""Small results that take long to get, kept beside the cache of `datasets`."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import datasets

import xmodal_lt
from xmodal_lt.atomic_file import atomic_path


__all__ = ["cached_json"]

logger = logging.getLogger(__name__)


def cached_json(kind: str, key: str, make: Callable[[], Any], cache_dir: str | Path | None = None) -> Any:
    """
    Get a result from the cache, or make it and put it there. A cache that cannot be written costs a warning.

    Args:
        kind (`str`):
            What it is: the name of a folder.
        key (`str`):
            Other text if the result is another one.
        make (`Callable`):
            Makes the result, which JSON can hold.
        cache_dir (`str` or `pathlib.Path`, *optional*, defaults to that of `datasets`):
            Where the cache is.

    Returns:
        The result.
    """
    digest = sha256(f"{xmodal_lt.__version__} {key}".encode()).hexdigest()[:32]
    file = Path(cache_dir or datasets.config.HF_DATASETS_CACHE) / "xmodal_lt" / kind / f"{digest}.json"
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # not there, or not whole
        result = make()
    try:
        with atomic_path(file) as unfinished:
            unfinished.write_text(json.dumps(result), encoding="utf-8")
    except OSError as error:
        logger.warning("Cannot keep %s in the cache: %s. It is made again the next time.", kind, error)
    return result
