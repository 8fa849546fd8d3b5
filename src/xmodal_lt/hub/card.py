"""Model cards: of a finished run, from what the run left, and of a recipe that is not trained yet."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard, ModelCardData
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from transformers.utils import logging

from xmodal_lt.analysis import plot_per_class_gain, save_figure
from xmodal_lt.registry import get_method
from xmodal_lt.training.output_folder import write_text

from .card_metadata import card_metadata
from .card_subject import CardSubject, public_name, read_results, subject_of_recipe, subject_of_run
from .card_texts import (
    data_text,
    environment_table,
    facts_table,
    groups_text,
    infers_words,
    licence_text,
    limits,
    package_to_install,
    rows_table,
)
from .markdown import Markdown, code, escape, table
from .method_texts import METHOD_TEXTS, PACKAGE_BIBTEX
from .paper_results import paper_results
from .result_tables import class_table, group_table, overall_table, paper_table
from .training_tables import (
    classification_loss,
    config_table,
    image_settings,
    privileged_text,
    stage_table,
    start_of_weights,
)
from .widget_examples import WidgetExample, widget_examples


__all__ = ["write_card", "write_recipe_card", "write_recipe_cards"]

logger = logging.get_logger(__name__)

_CARD = "README.md"
_MOST_CLASSES = 1000  # that a card lists
_GAIN = "per_class_gain_test.png"
_FIGURES = {"per_class_test.png": "Score of each class in the test split"}


def write_card(
    folder: str | Path,
    *,
    baseline: str | Path | None = None,
    output: str | Path | None = None,
    repo_id: str | None = None,
    license: str | None = None,
    examples: bool | None = None,
) -> Path:
    """
    Write the model card of a finished run, from what is in its folder.

    Args:
        folder (`str` or `Path`):
            Of the run, or any folder with a saved model of this package; what the folder does not tell, such as the
            recipe or the results, the card says to be unknown.
        baseline (`str` or `Path`, *optional*):
            Folder of a finished run on the same data, to compare with; draws the gain of each class over it.
        output (`str` or `Path`, *optional*):
            The file; `README.md` in `folder` when absent. A card elsewhere shows no pictures, which stay in `folder`.
        repo_id (`str`, *optional*):
            Where the model is, or will be, on the Hub: the examples load it from there, and else from a folder of
            `folder`'s name.
        license (`str`, *optional*):
            The Hub's id of the licence that you give the model. When absent it is `apache-2.0` if the data set's
            licence lets everyone pass it on, `other` with a link to its terms if not, and `unknown` for your own data.
        examples (`bool`, *optional*):
            Whether test pictures, with what the model says of them, are put beside the card. When absent, only where
            the data set's licence lets everyone pass its pictures on, and only if it can be loaded.

    Returns:
        `Path`: The card.

    Raises:
        FileNotFoundError: If there is no model in the folder, or the baseline has no results.
        ValueError: If the model is none of this package, or the baseline is on other data; for examples of videos, of
            a run without results, or of a card elsewhere.

    Example:

    ```python
    >>> from xmodal_lt.hub import write_card

    >>> write_card("outputs/cmltnet_emoji_lt", baseline="outputs/baseline_emoji_lt")  # doctest: +SKIP
    ```
    """
    folder = Path(folder)
    target = folder / _CARD if output is None else Path(output)
    subject = subject_of_run(folder, repo_id)
    shows_pictures = target.resolve().parent == folder.resolve()
    compared = None if baseline is None else _compare(subject, folder, Path(baseline), draw=shows_pictures)
    pictures = _examples(subject, folder, examples, shows_pictures)
    metadata = card_metadata(subject, license, [picture.entry() for picture in pictures])
    body = _body(subject, license, compared, pictures, folder / "figures" if shows_pictures else None)
    write_text(target, str(_join(metadata, body)))
    return target


def write_recipe_card(recipe: str | Path, output: str | Path) -> Path:
    """
    Write the card of a recipe that is not trained yet: without any result.

    Args:
        recipe (`str` or `Path`):
            A recipe on a data set that has a registered name.
        output (`str` or `Path`):
            The file.

    Returns:
        `Path`: The card.

    Raises:
        FileNotFoundError, ValueError: As [`~xmodal_lt.training.Recipe.load`]; for a data set without such a name.
    """
    file = Path(recipe)
    subject = subject_of_recipe(file)
    body = _body(subject, None, recipe_file=public_name(file.as_posix()))
    write_text(Path(output), str(_join(card_metadata(subject, None), body)))
    return Path(output)


def write_recipe_cards(folder: str | Path, output: str | Path) -> list[Path]:
    """
    Write the cards of all recipes in a folder, without those in folders below.

    Args:
        folder (`str` or `Path`):
            With the recipes, `<name>.yaml`.
        output (`str` or `Path`):
            Folder for the cards, `<name>.md`.

    Returns:
        `list[Path]`: The cards.

    Raises:
        FileNotFoundError: If the folder has no recipes.
        ValueError: As [`write_recipe_card`].
    """
    recipes = sorted(Path(folder).glob("*.yaml"))
    if not recipes:
        raise FileNotFoundError(f"There is no recipe in {folder}; expected files <name>.yaml.")
    return [write_recipe_card(recipe, Path(output) / f"{recipe.stem}.md") for recipe in recipes]


def _compare(subject: CardSubject, folder: Path, baseline: Path, draw: bool) -> tuple[str, Mapping[str, Any]]:
    """Name and results by split of the baseline, once it is known to be on the same data."""
    splits = read_results(baseline)["splits"]
    if "test" not in subject.splits or "test" not in splits:
        lacking = folder if "test" not in subject.splits else baseline
        raise ValueError(f"{lacking} has no results of a test split to compare; leave the baseline out.")
    name = baseline.resolve().name
    figure = plot_per_class_gain(subject.splits["test"], splits["test"], name=subject.name, baseline_name=name)
    if draw:
        save_figure(figure, folder / "figures" / _GAIN)
    return name, splits


def _examples(subject: CardSubject, folder: Path, wanted: bool | None, shown: bool) -> list[WidgetExample]:
    allowed = subject.spec is not None and subject.spec.redistribution
    reasons = {
        "the model is of videos": subject.has_videos,
        "there are no results of a test split": "test" not in subject.splits,
        "there is no recipe that names the data": subject.recipe is None,
        "the card is not in the folder of the run": not shown,
    }
    hindrance = next((reason for reason, holds in reasons.items() if holds), None)
    if wanted and hindrance:
        raise ValueError(f"Example pictures are wanted, but {hindrance}; leave them out.")
    if wanted:
        return widget_examples(folder, subject.splits["test"])
    if wanted is False or hindrance or not allowed:
        return []
    try:
        return widget_examples(folder, subject.splits["test"])
    except (ValueError, OSError, ImportError) as error:
        logger.warning(f"The card has no example pictures, as the data cannot be loaded: {error}")
        return []


def _join(metadata: ModelCardData, body: str) -> ModelCard:
    return ModelCard(f"---\n{metadata.to_yaml()}\n---\n\n{body}")


def _body(
    subject: CardSubject,
    license: str | None,
    compared: tuple[str, Mapping[str, Any]] | None = None,
    pictures: Sequence[WidgetExample] = (),
    figures: Path | None = None,
    recipe_file: str | None = None,
) -> str:
    text = _template().render(
        **_model_context(subject, license),
        **_data_context(subject),
        **_training_context(subject),
        **_results_context(subject, compared),
        **_figures_context(figures, pictures, gain=compared is not None),
        recipe=subject.recipe,
        recipe_file=recipe_file,
        location=json.dumps(subject.location, ensure_ascii=False),
        shell_location=shlex.quote(subject.location),
        package=package_to_install(subject),
        infers_words=infers_words(subject),
        package_bibtex=PACKAGE_BIBTEX,
    )
    return re.sub(r"\n{3,}", "\n\n", text)


def _model_context(subject: CardSubject, license: str | None) -> dict[str, Any]:
    kind = "multi-label" if subject.is_multi_label else "single-label"
    samples = "videos" if subject.has_videos else "images"
    results, config = subject.results or {}, subject.config
    sizes = getattr(config, "backbone_kwargs", None) or {}
    return {
        "title": escape(subject.name),
        "trained": subject.is_trained,
        "method": METHOD_TEXTS[subject.model_type],
        "model_type": subject.model_type,
        "config_class": get_method(subject.model_type).config,
        "backbone": code(subject.backbone),
        "task": f"{kind} classification of {samples}" + (f", {config.num_labels:,} classes" if config else ""),
        "inputs": samples,
        "videos": subject.has_videos,
        "feature_size": sizes.get("input_size") if subject.has_videos else None,
        "multi_label": subject.is_multi_label,
        "has_code": subject.has_code,
        "parameters": f"{results['parameters']:,}" if "parameters" in results else None,
        "limits": limits(subject),
        "licence_note": licence_text(subject, license),
    }


def _data_context(subject: CardSubject) -> dict[str, Any]:
    spec, results = subject.spec, subject.results or {}
    return {
        "data_intro": data_text(subject),
        "facts": facts_table(spec) if spec is not None and spec.facts else None,
        "rows": rows_table(results),
        "groups": groups_text(subject),
        "environment": environment_table(results),
    }


def _training_context(subject: CardSubject) -> dict[str, Any]:
    recipe = subject.recipe
    if recipe is None:
        return {}
    found = (subject.results or {}).get("rebalance") or {}
    return {
        "start": start_of_weights(recipe.model),
        "privileged": privileged_text(recipe),
        "loss": classification_loss(subject),
        "images": None if subject.has_videos else image_settings(recipe.images),
        "seed": recipe.seed,
        "rebalance": ", ".join(f"{name} {value:g}" for name, value in found.items() if isinstance(value, float)),
        "stages": stage_table(subject) if recipe.stages else None,
        "config": config_table(recipe.model) if recipe.model.config else None,
    }


def _results_context(subject: CardSubject, compared: tuple[str, Mapping[str, Any]] | None) -> dict[str, Any]:
    papers = paper_results(subject.model_type, subject.dataset_name, subject.backbone)
    baseline, others = compared or (None, {})
    splits = []
    for split in sorted(subject.splits, key="test".__ne__):  # the test split first
        runs = {subject.name: subject.splits[split]}
        if split in others:
            runs[f"{baseline} (baseline)"] = others[split]
        rows = papers if split == "test" else []
        splits.append({"name": split, "groups": group_table(runs, rows), "overall": overall_table(runs, rows)})
    listed = next((subject.splits[split["name"]] for split in splits), None)
    return {
        "results": splits,
        "baseline": None if baseline is None else escape(baseline),
        "papers": paper_table(papers) if papers else None,
        **_class_context(subject, listed),
    }


def _class_context(subject: CardSubject, results: Mapping[str, Any] | None) -> dict[str, Any]:
    if subject.config is None:
        return {"classes": None}
    count = subject.config.num_labels
    shown = f"{count:,} classes" if count <= _MOST_CLASSES else f"The first {_MOST_CLASSES:,} of {count:,} classes"
    if results is not None:
        return {"classes": class_table(results, _MOST_CLASSES), "classes_title": shown}
    names = subject.config.id2label
    rows = [(str(index), names[index]) for index in range(min(count, _MOST_CLASSES))]
    return {"classes": table(("id", "class"), rows), "classes_title": shown}


def _figures_context(figures: Path | None, pictures: Sequence[WidgetExample], gain: bool) -> dict[str, Any]:
    if figures is None:
        return {"training_curves": False, "figures": [], "examples": None}
    drawn = _FIGURES | {_GAIN: "Gain of each class over the baseline"} if gain else _FIGURES  # not over another one
    there = [
        {"file": f"figures/{name}", "title": title} for name, title in drawn.items() if (figures / name).is_file()
    ]
    rows = [
        (
            Markdown(f"![{picture.group}]({picture.file})"),
            picture.image_id,
            ", ".join(picture.labels),
            ", ".join(f"{entry['label']} {100 * entry['score']:.1f} %" for entry in picture.predictions[:3]),
        )
        for picture in pictures
    ]
    return {
        "training_curves": (figures / "training_curves.png").is_file(),
        "figures": there,
        "examples": table(("picture", "name in the data", "true", "predicted"), rows) if rows else None,
    }


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("xmodal_lt.hub"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # Markdown: what may hold anything is escaped where it is put in
    )
    return environment.get_template("model_card.md.jinja")
