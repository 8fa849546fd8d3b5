"""Which files of a run belong on the Hub, and in what form."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from transformers.utils import CONFIG_NAME, IMAGE_PROCESSOR_NAME, PROCESSOR_NAME

from xmodal_lt.card_record import CARD_RECORD
from xmodal_lt.data import list_datasets
from xmodal_lt.data.registry import dataset_spec
from xmodal_lt.registry import get_method
from xmodal_lt.training.output_folder import RESULTS, OutputFolder
from xmodal_lt.training.recipe import stage_names

from .card_subject import read_results
from .file_names import (
    CARD,
    RECIPE,
    VOCABULARIES,
    is_copied,
    is_figure,
    is_of_model,
    is_weights,
    shows_pictures,
)
from .private_text import refuse_private_text, without_folders


__all__ = ["stage_model"]

logger = logging.getLogger(__name__)

_LARGEST = 50 * 1024**2  # bytes of a file that holds no weights
# Keys of JSON files below which there are names of classes and pieces of texts.
_NO_PLACES = ("id2label", "label2id", "splits", "privileged_branches", "added_tokens_decoder", "extra_special_tokens")


def stage_model(
    folder: Path, staged: Path, repo_id: str, with_code: bool = False, with_pictures: bool = False
) -> None:
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
        with_pictures (`bool`, *optional*, defaults to `False`):
            Whether figures that show images of the data set go along though its licence does not let everyone pass
            them on.

    Raises:
        ValueError: If the run is not finished, the folder holds no model of this package with its processor, or what
            would be published holds a secret, a path of this machine, a link to a place outside or a file that is
            too large.
        FileNotFoundError: If there is no such folder.
    """
    config = _check_folder(folder)
    _copy(folder, staged)
    dropped = [] if with_pictures or _may_show_pictures(folder) else _drop_pictures(staged)
    _save_model(folder, staged, config)
    if with_code or "auto_map" in config:
        from .remote_code import export_remote_code

        export_remote_code(staged)
    _write_card(folder, staged, repo_id, dropped)
    refuse_private_text(staged, _hide_places(staged) | _own_places(folder))
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
    config = _read_json(folder / CONFIG_NAME)
    try:
        if not isinstance(config, dict):
            raise ValueError(f"it holds {type(config).__name__}, expected a mapping")
        get_method(str(config.get("model_type")))
    except ValueError as error:
        raise ValueError(f"{folder / CONFIG_NAME} is no config of a model of this package: {error}") from error
    if not any((folder / name).is_file() for name in (IMAGE_PROCESSOR_NAME, PROCESSOR_NAME)):
        raise ValueError(
            f"{folder} holds a model without its processor, as a single stage leaves it: give the folder of the run, "
            "or save the processor there too (`processor.save_pretrained`)."
        )
    _check_texts(run)
    return config


def _check_texts(run: OutputFolder) -> None:
    """Reads what the card is made from, and what places are taken out of, while errors can name the user's files."""
    for file in _files(run.path):
        if file.suffix == ".json":
            _read_json(file)
    if run.results.is_file():
        read_results(run.path)
    if (run.path / RECIPE).is_file():
        stage_names(run.path / RECIPE)


def _read_json(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:  # cut off, or not even text
        raise ValueError(f"Cannot read {file}: {error}; restore it from a copy.") from error


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


def _may_show_pictures(folder: Path) -> bool:
    """Whether everyone may pass on the images of the data set that the run was made on."""
    if not (folder / RECIPE).is_file():
        return False
    name = OmegaConf.select(OmegaConf.load(folder / RECIPE), "dataset.name")
    return name in list_datasets() and dataset_spec(name).redistribution


def _drop_pictures(staged: Path) -> list[str]:
    """Takes out the figures that show images of the data set; gives their names."""
    figures = staged / "figures"
    dropped = [file for file in sorted(figures.rglob("*")) if file.is_file()]
    dropped = [file for file in dropped if shows_pictures(file.relative_to(figures))]
    for file in dropped:
        file.unlink()
    return [file.relative_to(staged).as_posix() for file in dropped]


def _write_card(folder: Path, staged: Path, repo_id: str, dropped: Collection[str]) -> None:
    """A card that fits what is published, unless somebody has written one by hand."""
    from .card import rewrite_card, write_card

    if (staged / CARD).exists():
        rewrite_card(folder, staged, repo_id)
    else:
        write_card(staged, repo_id=repo_id)
    (staged / CARD_RECORD).unlink(missing_ok=True)
    card = (staged / CARD).read_text(encoding="utf-8", errors="replace")
    for name in dropped:
        if name in card:
            raise ValueError(
                f"{folder / CARD} shows {name}, but the licence of the data set is not known to let everyone pass its "
                "images on: take it out of the card, or push --with-pictures if you may."
            )
        logger.warning("%s stays here: its images may not be free to pass on; push --with-pictures if they are.", name)


def _save_model(folder: Path, staged: Path, config: dict[str, Any]) -> None:
    """The model without what only training needs."""
    classifier = get_method(config["model_type"]).classifier_class()
    model, loading = classifier.from_pretrained(folder, output_loading_info=True)
    if loading["missing_keys"]:
        some = sorted(loading["missing_keys"])[:3]
        raise ValueError(f"{folder} lacks weights of a classifier, {some} for instance: push a whole one.")
    model.save_pretrained(staged, for_inference=True)


def _hide_places(staged: Path) -> set[str]:
    """Takes the user's folders out of the recipe and the JSON files; gives what was taken out."""
    places: set[str] = set()
    if (staged / RECIPE).exists():
        recipe = OmegaConf.to_container(OmegaConf.load(staged / RECIPE))
        public = OmegaConf.to_yaml(OmegaConf.create(without_folders(recipe, places)))
        (staged / RECIPE).write_text(public, encoding="utf-8")
    for file in sorted(staged.glob("*.json")):
        if file.name not in VOCABULARIES:
            content = _read_json(file)
            public = without_folders(content, places, keep=_NO_PLACES)
            if public != content:
                file.write_text(json.dumps(public, indent=2) + "\n", encoding="utf-8")
    return places


def _own_places(folder: Path) -> set[str]:
    """Where the run is, where the user is, and the user's own folder."""
    places = (folder.absolute(), folder.resolve(), Path.cwd(), Path.home())
    return {str(place) for place in places if place.parent != place}


def _check_sizes(staged: Path) -> None:
    for file in sorted(path for path in staged.rglob("*") if path.is_file()):
        size = file.stat().st_size
        if size > _LARGEST and not is_weights(file.name):
            raise ValueError(
                f"{file.relative_to(staged).as_posix()} has {size / 1e6:.0f} MB, more than a file beside the weights "
                f"may have ({_LARGEST / 1e6:.0f} MB); take it out of the folder."
            )
