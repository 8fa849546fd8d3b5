"""Which files of a run belong on the Hub, and in what form."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from transformers.utils import CONFIG_NAME, IMAGE_PROCESSOR_NAME, PROCESSOR_NAME

from xmodal_lt.registry import get_method
from xmodal_lt.training.output_folder import RESULTS, OutputFolder
from xmodal_lt.training.recipe import stage_names

from .file_names import CARD, RECIPE, is_copied, is_figure, is_of_model, is_weights
from .private_text import refuse_private_text, without_folders


__all__ = ["stage_model"]

_LARGEST = 50 * 1024**2  # bytes of a file that holds no weights


def stage_model(folder: Path, staged: Path, repo_id: str, with_code: bool = False) -> None:
    """
    Put what belongs on the Hub into an empty folder.

    Args:
        folder (`pathlib.Path`):
            Folder of a finished run, or of a saved model with its processor.
        staged (`pathlib.Path`):
            The empty folder.
        repo_id (`str`):
            Where the model will be, for the card.
        with_code (`bool`, *optional*, defaults to `False`):
            Whether the model's source goes along. It always does where it is beside the model already.

    Raises:
        ValueError: If the run is not finished, the folder holds no model of this package with its processor, or what
            would be published holds a secret, a path of this machine, a link to a place outside or a file that is
            too large.
        FileNotFoundError: If there is no such folder.
    """
    config = _check_folder(folder)
    _copy(folder, staged)
    _save_model(folder, staged, config)
    if with_code or "auto_map" in config:
        from .remote_code import export_remote_code

        export_remote_code(staged)
    if not (staged / CARD).exists():
        from .card import write_card

        write_card(staged, repo_id=repo_id)  # before the places of the data are taken out, whose pictures it may show
    places = _hide_places(staged)
    refuse_private_text(staged, places)
    _check_sizes(staged)


def _check_folder(folder: Path) -> dict[str, Any]:
    """The config of the model in a folder that can be published."""
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {str(folder)!r}; give that of a finished run.")
    run = OutputFolder(folder)
    if run.marker.exists():
        _check_finished(run)
    if not (folder / CONFIG_NAME).is_file():
        raise ValueError(f"{folder} is no finished run and no saved model: it has no {CONFIG_NAME}.")
    try:
        config = json.loads((folder / CONFIG_NAME).read_text())
        get_method(str(config.get("model_type")))
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{folder / CONFIG_NAME} is no config of a model of this package: {error}") from error
    if not any((folder / name).is_file() for name in (IMAGE_PROCESSOR_NAME, PROCESSOR_NAME)):
        raise ValueError(
            f"{folder} holds a model without its processor, as a single stage leaves it: give the folder of the run, "
            "or save the processor there too (`processor.save_pretrained`)."
        )
    return config


def _check_finished(run: OutputFolder) -> None:
    if not run.results.is_file():
        raise ValueError(f"The run in {run.path} is not finished: it has no {RESULTS}; resume it (resume=true).")
    names = stage_names(run.path / RECIPE)
    # Who needs the space may delete the checkpoints of a finished run, all of them.
    missing = [name for name in names if not run.finished_stage(name).exists()]
    if missing and (run.path / "checkpoints").exists():
        raise ValueError(
            f"The run in {run.path} is not finished: its stages {missing} left no model in checkpoints/; resume it "
            "(resume=true)."
        )


def _copy(folder: Path, staged: Path) -> None:
    """What is published as it is."""
    root = folder.resolve()
    for file in _files(folder):
        if not file.resolve().is_relative_to(root):
            raise ValueError(f"{file} is a link out of the folder; put a copy of the file in its place.")
        if not is_of_model(file.name):
            target = staged / file.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)


def _files(folder: Path) -> Iterator[Path]:
    """The files of a folder that are published, and those that its model is read from."""
    for file in sorted(folder.iterdir()):
        if file.is_file() and (is_of_model(file.name) or is_copied(file.name)):
            yield file
    figures = folder / "figures"
    if figures.is_dir():
        yield from (file for file in sorted(figures.rglob("*")) if is_figure(file.name) and file.is_file())


def _save_model(folder: Path, staged: Path, config: dict[str, Any]) -> None:
    """The model without what only training needs."""
    classifier = get_method(config["model_type"]).classifier_class()
    model, loading = classifier.from_pretrained(folder, output_loading_info=True)
    if loading["missing_keys"]:
        some = sorted(loading["missing_keys"])[:3]
        raise ValueError(f"{folder} lacks weights of a classifier, {some} for instance: push a whole one.")
    model.save_pretrained(staged, for_inference=True)


def _hide_places(staged: Path) -> set[str]:
    """Takes the user's folders out of the recipe, the results and the config; gives what was taken out."""
    places: set[str] = set()
    if (staged / RECIPE).exists():
        recipe = OmegaConf.to_container(OmegaConf.load(staged / RECIPE))
        (staged / RECIPE).write_text(OmegaConf.to_yaml(OmegaConf.create(without_folders(recipe, places))))
    if (staged / RESULTS).exists():
        results = json.loads((staged / RESULTS).read_text())
        results["dataset"] = without_folders(results.get("dataset"), places)
        (staged / RESULTS).write_text(json.dumps(results, indent=2))
    config = json.loads((staged / CONFIG_NAME).read_text())
    config = without_folders(config, places, keep=("id2label", "label2id"))
    (staged / CONFIG_NAME).write_text(json.dumps(config, indent=2) + "\n")
    return places


def _check_sizes(staged: Path) -> None:
    for file in sorted(path for path in staged.rglob("*") if path.is_file()):
        size = file.stat().st_size
        if size > _LARGEST and not is_weights(file.name):
            raise ValueError(
                f"{file.relative_to(staged).as_posix()} has {size / 1e6:.0f} MB, more than a file beside the weights "
                f"may have ({_LARGEST / 1e6:.0f} MB); take it out of the folder."
            )
