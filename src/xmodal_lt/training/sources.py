"""Where the data and the weights of a run come from, this machine or the Hub: known only where it runs, as a folder
and an id on the Hub read alike."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from xmodal_lt.data.sources import source_kind
from xmodal_lt.modeling.vision_encoder import HF_PREFIX

from .recipe import DatasetRecipe, ModelRecipe


__all__ = ["dataset_source", "hub_id", "hub_models"]

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_TEXT_PREFIXES = ("clip:", "sentence:")


def hub_id(name: str) -> str | None:
    """A name `org/name` that is no local path, seen from here: an id on the Hub."""
    return name if _HUB_ID.fullmatch(name) and not Path(name).exists() else None


def dataset_source(recipe: DatasetRecipe) -> Literal["registered", "hub", "local"]:
    """Tells what `load_lt` takes the data of a recipe for, seen from here."""
    return source_kind(recipe.name or str(recipe.path))


def hub_models(recipe: ModelRecipe) -> list[str]:
    """Names the ids on the Hub among what a recipe names as the source of a model's parts, seen from here."""
    if recipe.checkpoint is not None:
        names = [recipe.checkpoint]
    else:
        backbone, texts = str(recipe.config.get("backbone")), map(recipe.config.get, ("text_backbone", "semantics"))
        names = [backbone.removeprefix(HF_PREFIX)] if backbone.startswith(HF_PREFIX) else []
        names += [str(text).partition(":")[2] for text in texts if str(text).startswith(_TEXT_PREFIXES)]
    return [name for name in names if hub_id(name)]
