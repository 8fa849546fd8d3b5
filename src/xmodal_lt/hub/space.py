"""The demo as a Space of the Hub."""

from __future__ import annotations

import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory

from huggingface_hub import SpaceCardData

from xmodal_lt import __version__
from xmodal_lt.prediction import split_revision

from .card_subject import hub_id
from .staging import stage_model


__all__ = ["write_space"]

_MODEL = "model"  # folder of the Space for a model that is not on the Hub
_PYTHON = "3.11"  # the oldest that this package runs on; Spaces have an older one unless told
_APP = '"""The demo of a model that was trained with xmodal-lt."""\n\n{lines}\n'
_APP_OF_HUB = """from xmodal_lt.hub.demo_app import launch_demo


launch_demo({model!r})"""
_APP_OF_FOLDER = """from pathlib import Path

from xmodal_lt.hub.demo_app import launch_demo


launch_demo(str(Path(__file__).with_name({model!r})))"""
_CARD = """---
{metadata}
---

# {title}

Drop a picture: the classes that {model} sees in it, marked as head, medium or tail by their number of training
images, the words that it infers, where each of its branches looks, all from the image alone.

Made by `xmodal-lt demo --space`. `requirements.txt` installs xmodal-lt; where you use a version that is not on PyPI,
put its place there, such as `xmodal-lt[demo] @ git+https://...`.
"""


def write_space(folder: str | Path, model: str, *, requirement: str | None = None) -> Path:
    """
    Write the folder of a Space that shows a model: `app.py`, `requirements.txt` and `README.md`.

    The Space installs this package by pip, and runs no code from the model's repository. A model on the Hub is
    downloaded when the Space starts; one in a local folder is put into the Space, as [`push_to_hub`] would send it.

    Args:
        folder (`str` or `Path`):
            New or empty folder. Upload it with `hf upload org/name FOLDER --repo-type space`.
        model (`str`):
            Hub id, `org/name` or `org/name@revision`, or the folder of a finished run.
        requirement (`str`, *optional*):
            How pip gets this package with its extra `demo`: this version of it from PyPI when absent.

    Returns:
        `Path`: The folder.

    Raises:
        ImportError: If gradio is not installed, whose version the Space runs.
        ValueError: If the folder is not empty, the model is neither, or it holds what must not be published.

    Example:

    ```python
    >>> from xmodal_lt.hub.space import write_space

    >>> write_space("my_space", "org/cmltnet-emoji-lt@v1.0")  # doctest: +SKIP
    ```
    """
    try:
        gradio_version = version("gradio")
    except PackageNotFoundError as error:
        raise ImportError(
            'A Space needs gradio, whose version it runs. Run `pip install "xmodal-lt[demo]"`'
        ) from error
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} is not empty; give a new folder for the Space.")
    local = Path(model).is_dir()
    name = Path(model).resolve().name if local else model
    repo = None if local else hub_id(split_revision(model)[0])
    if not local and repo is None:
        raise ValueError(f"{model!r} is no folder, and no Hub id such as org/name or org/name@revision.")
    with TemporaryDirectory() as temporary:
        staged = Path(temporary)
        if local:
            (staged / _MODEL).mkdir()
            stage_model(Path(model), staged / _MODEL, name)
        lines = _APP_OF_FOLDER.format(model=_MODEL) if local else _APP_OF_HUB.format(model=model)
        texts = {
            "app.py": _APP.format(lines=lines),
            "requirements.txt": f"{requirement or f'xmodal-lt[demo]=={__version__}'}\n",
            "README.md": _card(name, repo, gradio_version),
        }
        for file, text in texts.items():
            (staged / file).write_text(text, encoding="utf-8")
        shutil.copytree(staged, folder, dirs_exist_ok=True)
    return folder


def _card(name: str, repo: str | None, gradio_version: str) -> str:
    metadata = SpaceCardData(
        title=name,
        emoji="\N{FRAME WITH PICTURE}",
        colorFrom="blue",
        colorTo="green",
        sdk="gradio",
        sdk_version=gradio_version,
        python_version=_PYTHON,
        app_file="app.py",
        pinned=False,
        models=None if repo is None else [repo],
        tags=["image-classification", "long-tailed-recognition"],
    )
    return _CARD.format(metadata=metadata.to_yaml(), title=name, model=f"`{name}`")
