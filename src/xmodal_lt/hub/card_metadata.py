"""The YAML block of a card: what the Hub reads to list, filter and score a model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from xmodal_lt.modeling.vision_encoder import FEATURES_PREFIX, HF_PREFIX
from xmodal_lt.training.recipe import ModelRecipe

from .card_subject import CardSubject, hub_id


__all__ = ["base_models", "card_metadata"]

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
    task = "video-classification" if subject.has_videos else "image-classification"
    results = _eval_results(subject, task)
    metrics = ["mean_average_precision", "precision", "recall", "f1"] if subject.is_multi_label else ["accuracy"]
    kinds = [
        "multi-label-classification" if subject.is_multi_label else None,
        "privileged-information" if subject.model_type in ("cmltnet", "crif") else None,
    ]
    models = [] if subject.recipe is None else base_models(subject.recipe.model)
    terms = subject.spec if license is None and _license(subject) == _OTHER else None
    return ModelCardData(
        pipeline_tag=task,
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


def base_models(recipe: ModelRecipe) -> list[str]:
    """
    Name the models on the Hub whose weights training starts from.

    Args:
        recipe ([`~xmodal_lt.training.recipe.ModelRecipe`]):
            The model of a recipe.

    Returns:
        `list[str]`: Their ids: of the backbone and, where a CLIP or a sentence model reads text, of that. Empty if
        the weights are random, or from a pip package or a local file.
    """
    if recipe.checkpoint is not None:
        return [found] if (found := hub_id(recipe.checkpoint)) else []
    if recipe.pretrained != "hub":
        return []
    texts = [recipe.config.get("text_backbone") if recipe.pretrained_text else None, recipe.config.get("semantics")]
    sources = [str(text).partition(":")[2] for text in texts if str(text).startswith(("clip:", "sentence:"))]
    return [*_backbone_id(recipe.config.get("backbone", "")), *filter(None, map(hub_id, sources))]


def _backbone_id(backbone: str) -> list[str]:
    if backbone.startswith(HF_PREFIX):
        return [backbone.removeprefix(HF_PREFIX)]
    if backbone.startswith(FEATURES_PREFIX):
        return [_VILT]  # the only one of these with weights on the Hub
    from timm.models import get_pretrained_cfg

    config = get_pretrained_cfg(backbone)
    return [] if config is None or config.hf_hub_id is None else [config.hf_hub_id]


def _license(subject: CardSubject) -> str:
    if subject.spec is None:
        return "unknown"
    return _LICENSE if subject.spec.redistribution else _OTHER


def _datasets(subject: CardSubject) -> list[str] | None:
    """A registered name or a Hub id; the name of a local folder says nothing to others."""
    name = subject.spec.name if subject.spec is not None else subject.dataset_hub_id
    return None if name is None else [name]


def _eval_results(subject: CardSubject, task: str) -> list[EvalResult]:
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
            task_type=task,
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
