"""The metrics of this package as Spaces of the Hub, from which `evaluate.load("org/lt_map")` loads them."""

from __future__ import annotations

import shutil
import tempfile
from functools import partial
from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.errors import RepositoryNotFoundError

from xmodal_lt import __version__
from xmodal_lt.metrics import evaluate_module

from .retries import explaining_refusals, patiently


__all__ = ["push_metric_space", "write_metric_space"]

_OF_NEW_SPACE = {".gitattributes", "README.md"}


def write_metric_space(name: str, folder: str | Path) -> Path:
    """
    Write the folder of a metric's Space: its module, `app.py`, `requirements.txt`, and `README.md`, the card.

    Args:
        name (`str`):
            One that [`~xmodal_lt.metrics.evaluate_module`] knows, such as `"lt_map"`.
        folder (`str` or `pathlib.Path`):
            Where the folder goes, which is called as the metric is.

    Returns:
        `pathlib.Path`: The folder. `evaluate.load` loads it, without network, where this package is installed.

    Raises:
        ValueError: If there is no such metric.

    Example:

    ```python
    >>> from xmodal_lt.hub import write_metric_space

    >>> sorted(path.name for path in write_metric_space("shot_accuracy", "spaces").iterdir())
    ['README.md', 'app.py', 'requirements.txt', 'shot_accuracy.py']
    ```
    """
    source, target = evaluate_module(name), Path(folder) / name
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    # The module calls functions of this version.
    (target / "requirements.txt").write_text(f"xmodal-lt>={__version__}\n", encoding="utf-8")
    return target


def push_metric_space(name: str, owner: str, *, private: bool | None = None, token: str | None = None) -> str:
    """
    Publish a metric as the Space `owner/name`, in one commit.

    It has the metric's name, as `evaluate` looks in a Space for a module that is called as the Space is.

    Args:
        name (`str`):
            One that [`~xmodal_lt.metrics.evaluate_module`] knows, such as `"lt_map"`.
        owner (`str`):
            The user or organisation.
        private (`bool`, *optional*):
            Whether a Space that is made can be seen by its owners alone; as they have chosen by default.
        token (`str`, *optional*):
            In place of the user's own.

    Returns:
        `str`: Address of the Space.

    Raises:
        ValueError: If there is no such metric, or the Space is there and holds something else.
        OSError: If the user is not logged in or has no right to write, or the Hub cannot be reached.

    Example:

    ```python
    >>> import evaluate
    >>> from xmodal_lt.hub import push_metric_space

    >>> push_metric_space("lt_map", "org")  # doctest: +SKIP
    'https://huggingface.co/spaces/org/lt_map'
    >>> metric = evaluate.load("org/lt_map")  # doctest: +SKIP
    ```
    """
    repo_id, api = f"{owner}/{name}", HfApi(token=token)
    with tempfile.TemporaryDirectory(prefix="xmodal-lt-space-") as staging, explaining_refusals(repo_id):
        folder = write_metric_space(name, staging)
        _check_space(api, repo_id, name)
        create = partial(api.create_repo, repo_id, repo_type="space", space_sdk="gradio", private=private)
        url = patiently(partial(create, exist_ok=True))
        upload = partial(api.upload_folder, repo_id=repo_id, repo_type="space", folder_path=folder)
        patiently(partial(upload, commit_message=f"Upload the metric {name} of xmodal-lt {__version__}"))
    return str(url)


def _check_space(api: HfApi, repo_id: str, name: str) -> None:
    """Refuses to write over what is not the metric's."""
    try:
        files = set(patiently(partial(api.list_repo_files, repo_id, repo_type="space")))
    except RepositoryNotFoundError:
        return
    if files - _OF_NEW_SPACE and f"{name}.py" not in files:
        raise ValueError(f"The Space {repo_id} is there and is no metric: it has no {name}.py. Name another owner.")
