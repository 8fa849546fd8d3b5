"""What can be found wrong with a recipe before its data is loaded."""

from __future__ import annotations

import dataclasses
import difflib
from typing import Any

from huggingface_hub.errors import StrictDataclassFieldValidationError

from xmodal_lt.modeling.classification_losses import (
    CLASSIFICATION_LOSSES,
    MULTI_LABEL,
    SINGLE_LABEL,
    build_classification_loss,
)
from xmodal_lt.registry import get_method

from .recipe import ModelRecipe, Recipe


# For what a loss is told by its model, which takes it from the data.
_STAND_INS: dict[str, Any] = {"class_counts": (2, 1), "num_samples": 3, "cosine_scale": 1.0}


def check_recipe(recipe: Recipe) -> None:
    """Checks the fields of the model's config, and the names and arguments of the losses.

    Raises:
        ValueError: for an unknown model type, field, loss or argument, and for a field's value of the wrong type.
    """
    check_config(recipe.model)
    config = recipe.model.config
    loss, arguments = config.get("classification_loss"), config.get("classification_loss_kwargs") or {}
    if loss is not None or recipe.model.checkpoint is None:  # else the loss may be the checkpoint's
        _check_loss("model.config.classification_loss", loss, arguments)
    for name, stage in recipe.stages.items():
        if stage.loss is not None:
            _check_loss(f"stages.{name}.loss", stage.loss, stage.loss_kwargs)


def check_config(recipe: ModelRecipe) -> None:
    """Checks every field of the model's config by itself.

    Raises:
        ValueError: for an unknown model type or field (with the nearest known one), or a value of the wrong type.
    """
    config_class = get_method(recipe.type).config_class()
    known = [*field_names(config_class), "num_labels"]
    config = config_class()
    for name, value in own_fields(recipe).items():
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise ValueError(f"model.config has no field {name!r} in {config_class.__name__}.{hint}")
        try:
            if name != "num_labels":  # no field, and checked against the data
                setattr(config, name, value)  # validates it
        except StrictDataclassFieldValidationError as error:
            raise ValueError(f"model.config: {error.__cause__}") from error


def own_fields(recipe: ModelRecipe) -> dict[str, Any]:
    """The fields of the config that the recipe sets; a backbone of `None` stands for the checkpoint's."""
    fields = dict(recipe.config)
    if recipe.checkpoint is not None and fields.get("backbone") is None:
        fields.pop("backbone", None)
    return fields


def field_names(config_class: type) -> list[str]:
    """The fields of a config class."""
    return [field.name for field in dataclasses.fields(config_class)]


def _check_loss(key: str, name: str | None, arguments: dict[str, Any]) -> None:
    """Without a name, the loss is the default one of a problem type that only the data tells."""
    if name is None:
        problem_types = [SINGLE_LABEL, MULTI_LABEL]
    else:
        problem_types = [CLASSIFICATION_LOSSES[name][0] if name in CLASSIFICATION_LOSSES else SINGLE_LABEL]
    errors = []
    for problem_type in problem_types:
        try:
            build_classification_loss(name, problem_type, **{**_STAND_INS, **arguments})
        except ValueError as error:
            errors.append(error)
    if len(errors) == len(problem_types):
        raise ValueError(f"{key}: {errors[0]}") from errors[0]


__all__ = ["check_config", "check_recipe", "field_names", "own_fields"]
