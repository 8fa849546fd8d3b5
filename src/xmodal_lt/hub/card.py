"""Model cards: of a finished run, from what the run left, and of a recipe that is not trained yet."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path, PurePath
from typing import Any

from huggingface_hub import ModelCard
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from transformers.utils import logging

from xmodal_lt.analysis import plot_per_class_gain, save_figure
from xmodal_lt.card_record import read_card_record, write_card_record
from xmodal_lt.registry import get_method
from xmodal_lt.training.output_folder import write_text

from .card_metadata import card_metadata, check_scores
from .card_subject import (
    CardSubject,
    public_name,
    read_config,
    read_results,
    subject_of_recipe,
    subject_of_run,
)
from .card_texts import (
    data_text,
    environment_table,
    facts_table,
    groups_text,
    infers_words,
    licence_text,
    limits,
    package_to_install,
    picture_credit,
    rows_table,
)
from .file_names import CARD, shows_pictures
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


__all__ = ["rewrite_card", "write_card", "write_recipe_card", "write_recipe_cards"]

logger = logging.get_logger(__name__)

_MOST_CLASSES = 1000  # that a card lists
_GAIN = "per_class_gain_test.png"
_FIGURES = {
    "per_class_test.png": "Score of each class in the test split",
    "tsne_test.png": "Feature spaces of the test split, by t-SNE",
    "attention_test.png": "Where the model looks, by Grad-CAM",
    "predictions_test.png": "Predictions for single test images",
}


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
    target = folder / CARD if output is None else Path(output)
    subject = subject_of_run(folder, repo_id)
    beside = target.resolve().parent == folder.resolve()
    compared = None if baseline is None else _compare(subject, folder, Path(baseline), draw=beside)
    pictures = _examples(subject, folder, examples, beside)
    extras = _Extras(license, compared, pictures, folder / "figures" if beside else None, _may_be_shown(subject))
    write_text(target, _card(subject, extras))
    if target.resolve() == (folder / CARD).resolve():
        write_card_record(folder, _options(extras, baseline))
    return target


def rewrite_card(folder: str | Path, staged: str | Path, repo_id: str) -> bool:
    """
    Write the card of a run for its repository, unless somebody wrote or changed the one in the run's folder.

    It has what that card was written with: the same baseline, licence and examples. A run without a card gets one.

    Args:
        folder (`str` or `Path`):
            Of the run.
        staged (`str` or `Path`):
            With the files that are published, where the card goes: it shows the figures that are there, and says how
            to load the model with its source if that is there.
        repo_id (`str`):
            Where the model will be.

    Returns:
        `bool`: Whether it was written. If not, the card in `folder` is somebody's own and none was put into `staged`.

    Raises:
        FileNotFoundError: If there is no model in one of the folders.
        ValueError: If the model is none of this package; if a card of somebody's own tells other scores of the test
            split than the results of the run.
    """
    folder, staged = Path(folder), Path(staged)
    subject = subject_of_run(folder, repo_id)
    options = read_card_record(folder)
    if options is None and (folder / CARD).is_file():
        check_scores(folder / CARD, subject)
        return False
    subject = replace(subject, config=read_config(staged))
    if options is None:
        extras = _Extras(examples=_examples(subject, staged, None, shown=True))
    else:
        examples = [WidgetExample(**entry) for entry in options["examples"]]
        extras = _Extras(
            license=options["license"],
            compared=None if options["baseline"] is None else _compare_again(subject, folder, options["baseline"]),
            examples=[example for example in examples if (staged / example.file).is_file()],
        )
    # Figures with pictures that are there may be published.
    write_text(staged / CARD, _card(subject, replace(extras, figures=staged / "figures", shows_pictures=True)))
    return True


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
    write_text(Path(output), _card(subject, _Extras(), public_name(file.as_posix())))
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


@dataclass(frozen=True)
class _Extras:
    """What a card has besides its subject."""

    license: str | None = None
    compared: tuple[str, Mapping[str, Any]] | None = None  # name and results by split of the baseline
    examples: Sequence[WidgetExample] = ()
    figures: Path | None = None  # their folder, if the card is beside it
    shows_pictures: bool = False  # also in figures


def _options(extras: _Extras, baseline: str | Path | None) -> dict[str, Any]:
    """What is kept to write the card again: of the baseline also the scores, as its folder may go."""
    kept = None
    if baseline is not None and extras.compared is not None:
        name, splits = extras.compared
        scores = {
            split: {key: value for key, value in results.items() if key != "per_class"}
            for split, results in splits.items()
        }
        kept = {"folder": str(Path(baseline).resolve()), "name": name, "splits": scores}
    return {"license": extras.license, "baseline": kept, "examples": [asdict(one) for one in extras.examples]}


def _compare_again(subject: CardSubject, folder: Path, kept: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    try:
        return _compare(subject, folder, Path(kept["folder"]), draw=False)
    except (ValueError, OSError) as error:
        logger.warning(f"The card has the scores of its baseline as they were when it was first written: {error}")
        return kept["name"], kept["splits"]


def _may_be_shown(subject: CardSubject) -> bool:
    """Whether everyone may pass the pictures of the data on."""
    return subject.spec is not None and subject.spec.redistribution


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
    if wanted is False or hindrance or not _may_be_shown(subject):
        return []
    try:
        return widget_examples(folder, subject.splits["test"])
    except (ValueError, OSError, ImportError) as error:
        logger.warning(f"The card has no example pictures, as the data cannot be loaded: {error}")
        return []


def _card(subject: CardSubject, extras: _Extras, recipe_file: str | None = None) -> str:
    metadata = card_metadata(subject, extras.license, [picture.entry() for picture in extras.examples])
    return str(ModelCard(f"---\n{metadata.to_yaml()}\n---\n\n{_body(subject, extras, recipe_file)}"))


def _body(subject: CardSubject, extras: _Extras, recipe_file: str | None) -> str:
    text = _template().render(
        **_model_context(subject, extras.license),
        **_data_context(subject),
        **_training_context(subject),
        **_results_context(subject, extras.compared),
        **_figures_context(subject, extras),
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
        "backbone": code(public_name(subject.backbone)),
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
        "start": start_of_weights(subject),
        "privileged": privileged_text(subject),
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


def _figures_context(subject: CardSubject, extras: _Extras) -> dict[str, Any]:
    figures = extras.figures
    if figures is None:
        return {"training_curves": False, "figures": [], "examples": None, "credit": None}
    gain = {} if extras.compared is None else {_GAIN: "Gain of each class over the baseline"}  # not over another one
    there = {name: title for name, title in (_FIGURES | gain).items() if (figures / name).is_file()}
    if not extras.shows_pictures:
        there = {name: title for name, title in there.items() if not shows_pictures(PurePath(name))}
    rows = [
        (
            Markdown(f"![{picture.group}]({picture.file})"),
            picture.image_id,
            ", ".join(picture.labels),
            ", ".join(f"{entry['label']} {100 * entry['score']:.1f} %" for entry in picture.predictions[:3]),
        )
        for picture in extras.examples
    ]
    return {
        "training_curves": (figures / "training_curves.png").is_file(),
        "figures": [{"file": f"figures/{name}", "title": title} for name, title in there.items()],
        "examples": table(("picture", "name in the data", "true", "predicted"), rows) if rows else None,
        "credit": picture_credit(subject) if rows or any(map(shows_pictures, map(PurePath, there))) else None,
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
