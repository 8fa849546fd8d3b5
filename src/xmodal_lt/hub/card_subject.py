"""What a card is about: a finished run, or a recipe that nobody has trained yet."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transformers.utils import CONFIG_NAME

from xmodal_lt.data import list_datasets
from xmodal_lt.data.registry import DatasetSpec, dataset_spec
from xmodal_lt.modeling.configuration_long_tail import LongTailConfig
from xmodal_lt.modeling.vision_encoder import FEATURES_PREFIX
from xmodal_lt.registry import get_method
from xmodal_lt.training.output_folder import RESULTS, OutputFolder
from xmodal_lt.training.recipe import Recipe

from .private_text import without_folders


__all__ = ["CardSubject", "hub_id", "public_name", "read_results", "subject_of_recipe", "subject_of_run"]

RECIPE = "recipe.yaml"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True)
class CardSubject:
    """
    What is known of a model.

    Args:
        name (`str`):
            What the card calls it.
        location (`str`):
            Where the examples load it from.
        model_type (`str`):
            Its method.
        backbone (`str`):
            As in its config.
        problem_type (`str`):
            `"single_label_classification"` or `"multi_label_classification"`.
        config (`LongTailConfig`, *optional*):
            Of the saved model; `None` before it is trained.
        recipe ([`Recipe`], *optional*):
            What it is trained by.
        results (`Mapping[str, Any]`, *optional*):
            Content of `results.json`.
        steps (`Mapping[str, int]`, *optional*):
            Optimisation steps of each stage.
    """

    name: str
    location: str
    model_type: str
    backbone: str
    problem_type: str
    config: LongTailConfig | None = None
    recipe: Recipe | None = None
    results: Mapping[str, Any] | None = None
    steps: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_trained(self) -> bool:
        return self.config is not None

    @property
    def is_multi_label(self) -> bool:
        return self.problem_type == "multi_label_classification"

    @property
    def has_videos(self) -> bool:
        return self.backbone.startswith(FEATURES_PREFIX)

    @property
    def has_code(self) -> bool:
        """Whether the saved model brings the source files that it needs."""
        return bool(getattr(self.config, "auto_map", None))

    @property
    def splits(self) -> Mapping[str, Any]:
        """The results of each split; none before it is evaluated."""
        return {} if self.results is None else self.results["splits"]

    @property
    def _dataset(self) -> str | None:
        """Name or path of the data, as the recipe or the results have it."""
        if self.recipe is not None:
            return self.recipe.dataset.name or self.recipe.dataset.path
        return None if self.results is None else self.results.get("dataset", {}).get("name")

    @property
    def dataset_name(self) -> str | None:
        """The data set without the folders of this machine."""
        return None if self._dataset is None else hub_id(self._dataset) or Path(self._dataset).name

    @property
    def dataset_hub_id(self) -> str | None:
        return None if self._dataset is None else hub_id(self._dataset)

    @property
    def spec(self) -> DatasetSpec | None:
        """What is known of the data set, if it has a registered name."""
        return dataset_spec(self._dataset) if self._dataset in list_datasets() else None


def subject_of_run(folder: Path, repo_id: str | None = None) -> CardSubject:
    """
    Read what is known of a saved model.

    Args:
        folder (`pathlib.Path`):
            Of a finished run, or any folder with a saved model of this package.
        repo_id (`str`, *optional*):
            Where it is, or will be, on the Hub; the folder's own name stands for it when absent.

    Returns:
        [`CardSubject`]

    Raises:
        FileNotFoundError: If the folder holds no model.
        ValueError: If the model is none of this package, or a file cannot be read.
    """
    file = folder / CONFIG_NAME
    if not file.is_file():
        raise FileNotFoundError(f"There is no {file}; give the folder of a finished run, or of a saved model.")
    model_type = _read_json(file).get("model_type")
    config = get_method(str(model_type)).config_class().from_pretrained(folder)
    history = OutputFolder(folder).history
    return CardSubject(
        name=repo_id.rpartition("/")[2] if repo_id else folder.resolve().name,
        location=repo_id or folder.resolve().name,
        model_type=config.model_type,
        backbone=config.backbone,
        problem_type=str(config.problem_type),
        config=config,
        recipe=Recipe.load(folder / RECIPE) if (folder / RECIPE).is_file() else None,
        results=read_results(folder) if (folder / RESULTS).is_file() else None,
        steps=_steps(_read_json(history)) if history.is_file() else {},
    )


def subject_of_recipe(file: Path) -> CardSubject:
    """
    Read what is known of a model before it is trained.

    Args:
        file (`pathlib.Path`):
            A recipe on a data set that has a registered name.

    Returns:
        [`CardSubject`]: Named as the recipe, and located where its run will be.

    Raises:
        FileNotFoundError, ValueError: As [`Recipe.load`]; if the data set has no registered name.
    """
    recipe = Recipe.load(file)
    if recipe.dataset.name not in list_datasets():
        raise ValueError(
            f"{file} trains on {recipe.dataset.name or recipe.dataset.path!r}, of which nothing is known before the "
            f"run; a recipe's card needs dataset.name to be one of {list_datasets()}."
        )
    default = get_method(recipe.model.type).config_class().backbone
    return CardSubject(
        name=file.stem,
        location=recipe.output_dir,
        model_type=recipe.model.type,
        backbone=recipe.model.config.get("backbone") or default,
        problem_type=dataset_spec(str(recipe.dataset.name)).problem_type,
        recipe=recipe,
    )


def read_results(folder: Path) -> dict[str, Any]:
    """
    Read the scores of a finished run.

    Args:
        folder (`pathlib.Path`):
            Of the run.

    Returns:
        `dict[str, Any]`: Content of its `results.json`.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it cannot be read.
    """
    file = OutputFolder(folder).results
    if not file.is_file():
        raise FileNotFoundError(f"There is no {file}; give the folder of a finished run.")
    results = _read_json(file)
    if "splits" not in results:
        raise ValueError(
            f"{file} has no splits, which the results of a run have; restore it, or run the recipe again."
        )
    return results


def hub_id(name: str) -> str | None:
    """A name `org/name` that is no local path: an id on the Hub."""
    return name if _HUB_ID.fullmatch(name) and not Path(name).exists() else None


def public_name(value: str) -> str:
    """A name as others may read it: of an absolute path, also one behind `clip:` and the like, the last part."""
    return without_folders(value, set())


def _read_json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:  # cut off, or not even text
        raise ValueError(f"Cannot read {file}: {error}. Restore it from a copy, or run the recipe again.") from error
    if not isinstance(content, dict):
        raise ValueError(f"{file} holds {type(content).__name__}, expected a mapping; restore it from a copy.")
    return content


def _steps(history: Mapping[str, list[dict[str, Any]]]) -> dict[str, int]:
    return {stage: max(entry.get("step", 0) for entry in logs) for stage, logs in history.items() if logs}
