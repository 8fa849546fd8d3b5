"""The YAML block of a card: what the Hub reads to list, filter and score a model."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData
from huggingface_hub.repocard import metadata_load
from huggingface_hub.repocard_data import model_index_to_eval_results
from yaml import YAMLError

from xmodal_lt.modeling.vision_encoder import FEATURES_PREFIX, HF_PREFIX
from xmodal_lt.training.recipe import ModelRecipe

from .card_subject import CardSubject


__all__ = ["base_models", "card_metadata", "check_scores"]

_VILT = "dandelin/vilt-b32-mlm"
_LICENSE = "apache-2.0"  # of this package and of what it trains
_OTHER = "other"  # as the Hub calls terms that have no id, which a name and a link then stand for
# Score in results.json: the metric's id on the Hub and its name here.
_OVERALL = {
    "accuracy": ("accuracy", "top-1 accuracy"),
    "accuracy_top5": ("accuracy", "top-5 accuracy"),
    "macro_accuracy": ("accuracy", "macro accuracy"),
    "map": ("mean_average_precision", "mAP"),
    "precision_at_1": ("precision", "precision at 1"),
    "precision_at_5": ("precision", "precision at 5"),
    "recall_at_1": ("recall", "recall at 1"),
    "recall_at_5": ("recall", "recall at 5"),
    "cf1": ("f1", "CF1"),
    "of1": ("f1", "OF1"),
}
_GROUP_RATES = {
    "micro": ("accuracy", "accuracy of {} classes"),
    "macro": ("accuracy", "macro accuracy of {} classes"),
    "map": ("mean_average_precision", "mAP of {} classes"),
}


def card_metadata(subject: CardSubject, license: str | None, widget: Sequence[dict[str, Any]] = ()) -> ModelCardData:
    """
    Make the metadata of a card.

    Args:
        subject ([`CardSubject`]):
            What the card is about.
        license (`str` or `None`):
            Id of the model's licence on the Hub. When absent it is that of this package if everyone may pass the
            data on, `other` with a link to the data set's terms if not, and `unknown` for data of your own.
        widget (`Sequence[dict]`, *optional*):
            Example pictures and what the model says of them.

    Returns:
        `huggingface_hub.ModelCardData`
    """
    results = _eval_results(subject)
    metrics = ["mean_average_precision", "precision", "recall", "f1"] if subject.is_multi_label else ["accuracy"]
    kinds = [
        "multi-label-classification" if subject.is_multi_label else None,
        "privileged-information" if subject.model_type in ("cmltnet", "crif") else None,
    ]
    models = [] if subject.recipe is None else base_models(subject.recipe.model, subject.hub_models)
    terms = subject.spec if license is None and _license(subject) == _OTHER else None
    return ModelCardData(
        pipeline_tag=_task(subject),
        library_name="transformers",
        license=_license(subject) if license is None else license,
        license_name=None if terms is None else f"{terms.name}-terms",
        license_link=None if terms is None else terms.homepage,
        datasets=_datasets(subject),
        metrics=metrics,
        base_model=models or None,
        tags=["xmodal-lt", "long-tailed", subject.model_type.replace("_", "-"), *filter(None, kinds)],
        model_name=subject.name if results else None,
        eval_results=results or None,
        widget=list(widget) or None,
    )


def base_models(recipe: ModelRecipe, known: Collection[str]) -> list[str]:
    """
    Name the models on the Hub whose weights training starts from.

    Args:
        recipe ([`~xmodal_lt.training.recipe.ModelRecipe`]):
            The model of a recipe.
        known (`Collection[str]`):
            What of the names in it is known to be an id on the Hub; the others may be folders.

    Returns:
        `list[str]`: Their ids: of the backbone and, where a CLIP or a sentence model reads text, of that. Empty if
        the weights are random, or from a pip package or a local file.
    """
    if recipe.checkpoint is not None:
        return [name for name in (recipe.checkpoint,) if name in known]
    if recipe.pretrained != "hub":
        return []
    texts = [recipe.config.get("text_backbone") if recipe.pretrained_text else None, recipe.config.get("semantics")]
    sources = [str(text).partition(":")[2] for text in texts if str(text).startswith(("clip:", "sentence:"))]
    return [*_backbone_id(recipe.config.get("backbone", ""), known), *filter(known.__contains__, sources)]


def _backbone_id(backbone: str, known: Collection[str]) -> list[str]:
    if backbone.startswith(HF_PREFIX):
        return [name for name in (backbone.removeprefix(HF_PREFIX),) if name in known]
    if backbone.startswith(FEATURES_PREFIX):
        return [_VILT]  # the only one of these with weights on the Hub
    from timm.models import get_pretrained_cfg

    config = get_pretrained_cfg(backbone)
    return [] if config is None or config.hf_hub_id is None else [config.hf_hub_id]


def check_scores(card: Path, subject: CardSubject) -> None:
    """
    Check that a card that somebody wrote or changed does not tell other scores than the run's.

    Args:
        card (`pathlib.Path`):
            The card.
        subject ([`CardSubject`]):
            What it is about.

    Raises:
        ValueError: If a score of the test split in its `model-index` is not that of `results.json`, rounded to as many
            decimals; or if its metadata cannot be read.
    """
    try:
        index = (metadata_load(card) or {}).get("model-index")
        told = [] if index is None else model_index_to_eval_results(index)[1]
    except (ValueError, YAMLError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"The metadata of {card} cannot be read: {error}. Mend them, or delete the card.") from error
    own = {(result.metric_type, result.metric_name): result.metric_value for result in _eval_results(subject)}
    for result in told:
        value = own.get((result.metric_type, result.metric_name))
        if value is not None and result.dataset_split in ("test", None) and not _rounded(value, result.metric_value):
            raise ValueError(
                f"{card} gives {result.metric_value} as {result.metric_name}, and results.json {value:.4f}: the card "
                "is of an earlier run. Write it anew (xmodal-lt card), or mend its model-index."
            )


def _rounded(value: float, told: Any) -> bool:
    """Whether a number is told as it is, with as many decimals as somebody chose."""
    decimals = len(str(told).partition(".")[2])
    return isinstance(told, (int, float)) and round(value, decimals) == round(told, decimals)


def _task(subject: CardSubject) -> str:
    return "video-classification" if subject.has_videos else "image-classification"


def _license(subject: CardSubject) -> str:
    if subject.spec is None:
        return "unknown"
    return _LICENSE if subject.spec.redistribution else _OTHER


def _datasets(subject: CardSubject) -> list[str] | None:
    """A registered name or a Hub id; the name of a local folder says nothing to others."""
    name = subject.spec.name if subject.spec is not None else subject.dataset_hub_id
    return None if name is None else [name]


def _eval_results(subject: CardSubject) -> list[EvalResult]:
    """Scores of the test split as they are in results.json; those that are not defined are left out."""
    results = subject.splits.get("test")
    if results is None:
        return []
    found = [(*names, results.get(score)) for score, names in _OVERALL.items()]
    for group in ("head", "medium", "tail"):
        rates = results["groups"][group]
        found += [(metric, name.format(group), rates.get(rate)) for rate, (metric, name) in _GROUP_RATES.items()]
    dataset = subject.dataset_name or Path(subject.location).name
    return [
        EvalResult(
            task_type=_task(subject),
            dataset_type=subject.dataset_hub_id or dataset,
            dataset_name=dataset,
            dataset_split="test",
            metric_type=metric,
            metric_name=name,
            metric_value=value,
        )
        for metric, name, value in found
        if value is not None
    ]
