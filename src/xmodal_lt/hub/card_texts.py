"""What a card says in words: of the data, of the model's limits, and of how to install what it needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from xmodal_lt.data.dataset_list import group_rules
from xmodal_lt.data.registry import DatasetSpec
from xmodal_lt.training.setup import takes_words

from .card_subject import CardSubject
from .markdown import Markdown, escape, table


__all__ = [
    "data_text",
    "environment_table",
    "facts_table",
    "groups_text",
    "infers_words",
    "licence_text",
    "limits",
    "package_to_install",
    "picture_credit",
    "rows_table",
]

_FEW_TEST_SAMPLES = 10
_EMOJI = (
    "The pictures show, rendered to pixels, drawings of [Twemoji](https://github.com/jdecked/twemoji), copyright "
    "Twitter, Inc and other contributors, under [CC-BY-4.0](https://creativecommons.org/licenses/by/4.0/), and of "
    "[OpenMoji](https://openmoji.org), designed by the OpenMoji project, under "
    "[CC-BY-SA-4.0](https://creativecommons.org/licenses/by-sa/4.0/)."
)
_CREDITS = {"emoji-lt": _EMOJI, "emoji-lt-multilabel": _EMOJI}


def data_text(subject: CardSubject) -> str:
    """
    Say what data the model is trained on.

    Args:
        subject ([`CardSubject`]):
            What the card is about.

    Returns:
        `str`: Markdown: the name, the home page, and licence and access.
    """
    spec = subject.spec
    if spec is not None:
        options = {} if subject.recipe is None else subject.recipe.dataset.kwargs
        built = "".join(
            f" Option `{name}` is {escape(str(value))}." for name, value in options.items() if _tells(value)
        )
        return f"[{spec.name}]({spec.homepage}). Licence and access: {spec.access}.{built}"
    if subject.dataset_name is None:
        return "The checkpoint does not say what data it was trained on."
    name = escape(subject.dataset_name)
    if subject.dataset_hub_id is not None:
        return f"[{name}](https://huggingface.co/datasets/{subject.dataset_hub_id}); its card states the licence."
    return f"Data of its owner, called {name}. No licence is recorded."


def _tells(value: Any) -> bool:
    """Whether an option says something to others: not a path, nor nothing."""
    return value is not None and not (isinstance(value, str) and "/" in value)


def facts_table(spec: DatasetSpec) -> Markdown:
    """
    List the published numbers of a data set.

    Args:
        spec ([`~xmodal_lt.data.registry.DatasetSpec`]):
            What is known of it.

    Returns:
        `Markdown`: Each with its source.
    """
    rows = [(fact.quantity.replace("_", " "), f"{fact.value:,}", fact.source) for fact in spec.facts]
    return table(("quantity", "number", "source"), rows)


def rows_table(results: Mapping[str, Any]) -> Markdown | None:
    """
    List the splits of the run's data.

    Args:
        results (`Mapping[str, Any]`):
            Content of `results.json`.

    Returns:
        `Markdown`, or `None` where they are not recorded.
    """
    rows = results.get("dataset", {}).get("rows")
    return None if not rows else table(("split", "number"), [(split, f"{number:,}") for split, number in rows.items()])


def groups_text(subject: CardSubject) -> str | None:
    """
    Say which classes are head, medium and tail.

    Args:
        subject ([`CardSubject`]):
            What the card is about.

    Returns:
        `str`, or `None` where it is not known.
    """
    for results in subject.splits.values():
        return _rules(**results["thresholds"])
    spec, recipe = subject.spec, subject.recipe
    if spec is None or recipe is None:
        return None
    head, tail = recipe.dataset.head_threshold, recipe.dataset.tail_threshold
    return _rules(
        head=spec.head if head is None else head,
        tail=spec.tail if tail is None else tail,
        boundaries=recipe.dataset.boundaries or spec.boundaries,
    )


def _rules(**thresholds: Any) -> str:
    return ", ".join(f"{group} {escape(rule)}" for group, rule in group_rules(**thresholds).items())


def licence_text(subject: CardSubject, license: str | None) -> str:
    """
    Say what the weights may be used for.

    Args:
        subject ([`CardSubject`]):
            What the card is about.
        license (`str` or `None`):
            The licence that the publisher of the model chose.

    Returns:
        `str`: One or two sentences.
    """
    if license is not None:
        return f"Licence of the weights: {escape(license)}. The data have terms of their own, see below."
    if subject.spec is None:
        return "The licence of the weights is not stated."
    if subject.spec.redistribution:
        return "The weights are under Apache-2.0, as the code; pictures of the data keep their licence, see below."
    return "The weights come from data under terms of their own, see below; check that these allow your use."


def picture_credit(subject: CardSubject) -> str:
    """
    Name whose the pictures of a card are.

    Args:
        subject ([`CardSubject`]):
            What the card is about.

    Returns:
        `str`: Markdown.
    """
    spec = subject.spec
    if spec is None:
        return "The pictures are from the data, whose licence they keep, see above."
    if spec.name in _CREDITS:
        return _CREDITS[spec.name]
    return f"The pictures are from [{spec.name}]({spec.homepage}). Licence and access: {spec.access}."


def limits(subject: CardSubject) -> list[str]:
    """
    Name what the results say of the model's limits.

    Args:
        subject ([`CardSubject`]):
            What the card is about.

    Returns:
        `list[str]`: Sentences.
    """
    found = ["A class with few training samples is usually recognised less well than a frequent one."]
    results = subject.splits.get("test")
    if results is not None:
        found = [*_head_and_tail(results), *_few_test_samples(results)]
    if infers_words(subject):
        found.append("Words that it infers are its own guesses, not a description that somebody wrote.")
    return found


def _head_and_tail(results: Mapping[str, Any]) -> list[str]:
    rate, name = ("map", "mAP") if "map" in results else ("macro", "the mean accuracy of classes")
    head, tail = (results["groups"][group][rate] for group in ("head", "tail"))
    if head is None or tail is None:
        return []
    return [f"In the test split, {name} is {100 * head:.1f} % for head and {100 * tail:.1f} % for tail classes."]


def _few_test_samples(results: Mapping[str, Any]) -> list[str]:
    rows = results["per_class"]
    few = sum(row["test_count"] < _FEW_TEST_SAMPLES for row in rows)
    if not few:
        return []
    return [
        f"{few:,} of {len(rows):,} classes have fewer than {_FEW_TEST_SAMPLES} test samples, so that the score of a "
        "single one of them says little."
    ]


def infers_words(subject: CardSubject) -> bool:
    """
    Tell whether the model names the words that a sample suggests.

    Args:
        subject ([`CardSubject`]):
            What the card is about.

    Returns:
        `bool`
    """
    if subject.config is not None:
        return getattr(subject.config, "vocab_size", None) is not None
    # A checkpoint that the recipe starts from is not looked at: it may be gone, or on the Hub.
    return subject.recipe is not None and takes_words(replace(subject.recipe.model, checkpoint=None))


def package_to_install(subject: CardSubject) -> str:
    """
    Name the package, with the extras that training needs if the model is still to be trained.

    Args:
        subject ([`CardSubject`]):
            What the card is about.

    Returns:
        `str`: As pip takes it.
    """
    if subject.is_trained or subject.recipe is None:
        return "xmodal-lt"
    recipe = subject.recipe
    texts = (recipe.model.config.get(name) for name in ("semantics", "text_backbone"))
    needed = {
        "emoji": str(subject.dataset_name).startswith("emoji"),
        "lite0": recipe.model.pretrained == "lite0",
        "text": any(str(text).startswith(("glove", "sentence")) for text in texts),
        "video": subject.has_videos,
    }
    extras = ",".join(name for name, wanted in needed.items() if wanted)
    return f'"xmodal-lt[{extras}]"' if extras else "xmodal-lt"


def environment_table(results: Mapping[str, Any]) -> Markdown | None:
    """
    List the versions that the run was made with.

    Args:
        results (`Mapping[str, Any]`):
            Content of `results.json`.

    Returns:
        `Markdown`, or `None` where they are not recorded.
    """
    versions = results.get("versions")
    return None if not versions else table(("package", "version"), versions.items())
