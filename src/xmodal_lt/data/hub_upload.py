"""Sending a converted data set to the Hub."""

from __future__ import annotations

import logging
from fnmatch import fnmatch
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import RepositoryNotFoundError

from .feature_shards import FEATURE_COLUMNS


__all__ = ["check_upload", "upload_data_set"]

logger = logging.getLogger(__name__)

_SHARDS = ["data/*.parquet", *(f"{folder}/*.npy" for folder in FEATURE_COLUMNS)]


def check_upload(repo_id: str, public: bool = False) -> None:
    """
    Find out whether an upload could succeed, before hours of work.

    Args:
        repo_id (`str`):
            Where to, `"org/name"`.
        public (`bool`, *optional*, defaults to `False`):
            Whether everyone may see it.

    Raises:
        ValueError: If that is no id of a repository, or that of one that everyone can see and `public` is not set.
        OSError: If the user is not logged in, or the Hub cannot be reached.
    """
    api = HfApi()
    api.whoami()
    try:
        is_private = api.repo_info(repo_id, repo_type="dataset").private
    except RepositoryNotFoundError:
        return
    if not public and not is_private:
        raise ValueError(f"everyone can see {repo_id}: say so with `public=True` (`--public`), or name another one")
    if public and is_private:
        logger.warning("%s is private and stays so: make it public in its settings.", repo_id)


def upload_data_set(folder: Path, repo_id: str, card: str, public: bool = False) -> str:
    """
    Upload the parquet files, those of features and a card in one commit, and take away what an earlier one left there
    of such files.

    Args:
        folder (`pathlib.Path`):
            Folder of the converted data set.
        repo_id (`str`):
            Where to, `"org/name"`. Made if it is not there.
        card (`str`):
            The card to put there.
        public (`bool`, *optional*, defaults to `False`):
            Whether everyone may see it, if it is made.

    Returns:
        `str`: Address of the data set.

    Raises:
        OSError: If the Hub refuses.
    """
    api = HfApi()
    repository = api.create_repo(repo_id, repo_type="dataset", private=not public, exist_ok=True)
    files = {path.relative_to(folder).as_posix(): path for one in _SHARDS for path in sorted(folder.glob(one))}
    there = [name for name in api.list_repo_files(repo_id, repo_type="dataset") if _is_shard(name)]
    api.create_commit(
        repo_id,
        repo_type="dataset",
        operations=[
            *(CommitOperationDelete(name) for name in there if name not in files),
            *(CommitOperationAdd(name, path) for name, path in files.items()),
            CommitOperationAdd("README.md", card.encode()),
        ],
        commit_message="Upload the data set as parquet",
    )
    return str(repository)


def _is_shard(name: str) -> bool:
    return any(fnmatch(name, pattern) for pattern in _SHARDS)
