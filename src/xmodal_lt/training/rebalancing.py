"""Re-balancing of a trained classifier in closed form: tau-normalisation, nearest class mean, logit adjustment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from transformers.utils import logging

from xmodal_lt.metrics import shot_accuracy
from xmodal_lt.modeling.classifier_heads import NearestMeanClassifier, tau_normalized
from xmodal_lt.modeling.loss_tools import positive_counts
from xmodal_lt.modeling.modeling_long_tail import LongTailPreTrainedModel
from xmodal_lt.modeling.modeling_lt_classifier import ImageClassifier

from .recipe import RebalanceRecipe


logger = logging.get_logger(__name__)


@dataclass(frozen=True)
class Features:
    """Backbone features `[N, D]` and class ids `[N]` of a split."""

    features: Tensor
    labels: Tensor


def check_rebalancing(recipe: RebalanceRecipe, model: LongTailPreTrainedModel, has_validation: bool) -> None:
    """Raises a `ValueError` when the model or the data do not allow the recipe's method."""
    if not isinstance(model, ImageClassifier):
        raise ValueError(
            f"rebalance changes the head of an lt_classifier, the model is of type {model.config.model_type!r}."
        )
    if model.config.problem_type != "single_label_classification":
        raise ValueError(f"rebalance is for single-label problems, the data is of type {model.config.problem_type}.")
    if model.config.class_scales:
        raise ValueError(
            "rebalance changes a head without class scales (LWS); start from the model before them, or from one that "
            "was saved with for_inference=True."
        )
    if recipe.method == "nearest_mean":
        return
    if model.config.head != "linear":
        raise ValueError(
            f"rebalance.method={recipe.method} changes a linear head; the model has head={model.config.head!r}."
        )
    if recipe.tau is None and not has_validation:
        raise ValueError("rebalance.tau is chosen on a validation split, and the data has none; give rebalance.tau.")


def rebalance(
    recipe: RebalanceRecipe,
    model: ImageClassifier,
    features: Callable[[str], Features],
) -> dict[str, Any]:
    """Changes the model's head in place.

    Args:
        recipe (`RebalanceRecipe`): the method and its strength.
        model (`ImageClassifier`): with `class_counts` in its config.
        features (`Callable[[str], Features]`): gives those of a split, which are asked for when they are needed.

    Returns:
        `dict`: for `results.json`: `method` and, where it has one, `tau`, and `validation_macro_accuracy` by tau where
        it was chosen.
    """
    if recipe.method == "nearest_mean":
        train = features("train")
        means = NearestMeanClassifier(train.features.shape[1], model.config.num_labels)
        means.fit(train.features, train.labels)
        model.replace_head("nearest_mean").load_state_dict(means.state_dict())
        return {"method": recipe.method}
    head, counts = cast(nn.Linear, model.classifier), np.asarray(model.config.class_counts)
    change, tau, report = _CHANGES[recipe.method], recipe.tau, {}
    if tau is None:
        scores = _validation_scores(recipe.taus, head, counts, change, features("validation"))
        tau = max(sorted(scores), key=lambda tau: scores[tau])  # the smallest of equals
        report = {"validation_macro_accuracy": {str(tau): score for tau, score in scores.items()}}
        logger.info(f"tau={tau} has the best validation macro accuracy, {scores[tau]:.4f}.")
    with torch.no_grad():
        weight, bias = change(head, counts, tau)
        head.weight.copy_(weight)
        head.bias.copy_(bias)
    return {"method": recipe.method, "tau": tau, **report}


Change = Callable[[nn.Linear, np.ndarray, float], tuple[Tensor, Tensor]]


def _normalized(head: nn.Linear, counts: np.ndarray, tau: float) -> tuple[Tensor, Tensor]:
    """Weights of equalised norms; no bias (Kang et al. 2020, eq. 3, and its code)."""
    return tau_normalized(head.weight, tau), torch.zeros_like(head.bias)


def _adjusted(head: nn.Linear, counts: np.ndarray, tau: float) -> tuple[Tensor, Tensor]:
    """A bias that takes the log priors out of the logits (Menon et al. 2021, eq. 9)."""
    priors = positive_counts(counts.tolist(), head.out_features) / counts.sum()
    log_prior = priors.log().to(head.bias)
    return head.weight, head.bias - tau * log_prior


_CHANGES: dict[str, Change] = {"tau_norm": _normalized, "logit_adjustment": _adjusted}


@torch.no_grad()
def _validation_scores(
    taus: Sequence[float], head: nn.Linear, counts: np.ndarray, change: Change, validation: Features
) -> dict[float, float]:
    """The macro accuracy on validation of each tau."""
    features, references = validation.features.to(head.weight), validation.labels.numpy()
    scores = {}
    for tau in taus:
        predictions = nn.functional.linear(features, *change(head, counts, tau)).argmax(-1).cpu().numpy()
        scores[tau] = float(np.nanmean(shot_accuracy(predictions, references, counts)["per_class"]))
    return scores


__all__ = ["Features", "check_rebalancing", "rebalance"]
