"""What a card is about: a finished run, or a recipe that nobody has trained yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transformers.utils import CONFIG_NAME

from xmodal_lt.data import list_datasets
from xmodal_lt.data.json_file import JsonFile
from xmodal_lt.data.registry import DatasetSpec, dataset_spec
from xmodal_lt.modeling.configuration_long_tail import LongTailConfig
from xmodal_lt.modeling.vision_encoder import FEATURES_PREFIX
from xmodal_lt.registry import get_method
from xmodal_lt.training.output_folder import RESULTS, OutputFolder
from xmodal_lt.training.recipe import Recipe
from xmodal_lt.training.sources import hub_id, hub_models

from .file_names import RECIPE
from .private_text import without_folders


__all__ = [
    "CardSubject",
    "hub_id",
    "public_name",
    "read_config",
    "read_results",
    "subject_of_recipe",
    "subject_of_run",
]

_ORIGIN = "a copy of the run, or run the recipe again"


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
        hub_models (`Sequence[str]`, *optional*):
            What the recipe names as sources of weights and is known to be on the Hub; all else may be a folder.
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
    hub_models: Sequence[str] = ()

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
    def _source(self) -> str | None:
        """`"registered"`, `"hub"` or `"local"`, as the run found its data; `None` where it is not recorded."""
        return None if self.results is None else self.results.get("dataset", {}).get("source")

    @property
    def dataset_name(self) -> str | None:
        """The data set without the folders of this machine."""
        return None if self._dataset is None else self.dataset_hub_id or Path(self._dataset).name

    @property
    def dataset_hub_id(self) -> str | None:
        """Known from the run alone: a name that is no folder here may have been one where it ran."""
        return self._dataset if self._source == "hub" else None

    @property
    def spec(self) -> DatasetSpec | None:
        """What is known of the data set, if it has a registered name."""
        registered = self._source in ("registered", None) and self._dataset in list_datasets()
        return dataset_spec(str(self._dataset)) if registered else None


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
    config = read_config(folder)
    history = OutputFolder(folder).history
    results = read_results(folder) if (folder / RESULTS).is_file() else None
    return CardSubject(
        name=repo_id.rpartition("/")[2] if repo_id else folder.resolve().name,
        location=repo_id or folder.resolve().name,
        model_type=config.model_type,
        backbone=config.backbone,
        problem_type=str(config.problem_type),
        config=config,
        recipe=Recipe.load(folder / RECIPE) if (folder / RECIPE).is_file() else None,
        results=results,
        steps=_steps(JsonFile(history, _ORIGIN).read()) if history.is_file() else {},
        hub_models=(results or {}).get("hub_models", ()),
    )


def read_config(folder: Path) -> LongTailConfig:
    """
    Read the config of a saved model.

    Args:
        folder (`pathlib.Path`):
            With the model.

    Returns:
        `LongTailConfig`: Of the model's method.

    Raises:
        FileNotFoundError: If the folder holds no model.
        ValueError: If the model is none of this package, or the file cannot be read.
    """
    file = folder / CONFIG_NAME
    if not file.is_file():
        raise FileNotFoundError(f"There is no {file}; give the folder of a finished run, or of a saved model.")
    model_type = JsonFile(file, _ORIGIN).read().get("model_type")
    return get_method(str(model_type)).config_class().from_pretrained(folder)


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
        hub_models=() if recipe.model.checkpoint is not None else hub_models(recipe.model),
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
    results = JsonFile(file, _ORIGIN).read()
    if "splits" not in results:
        raise ValueError(
            f"{file} has no splits, which the results of a run have; restore it, or run the recipe again."
        )
    return results


def public_name(value: str) -> str:
    """A name as others may read it: of an absolute path, also one behind `clip:` and the like, the last part."""
    return without_folders(value, set())


def _steps(history: Mapping[str, list[dict[str, Any]]]) -> dict[str, int]:
    return {stage: max(entry.get("step", 0) for entry in logs) for stage, logs in history.items() if logs}
