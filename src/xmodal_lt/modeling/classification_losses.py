"""Classification losses by name, for single-label and multi-label problems, and their class weights."""

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .asymmetric_losses import asymmetric_loss, multi_grained_focal_loss
from .class_balanced_losses import (
    class_balanced_focal_loss,
    class_balanced_multilabel_loss,
    class_balanced_softmax_loss,
)
from .class_reweighting import class_balanced_weights, inverse_frequency_weights
from .distribution_balanced_loss import distribution_balanced_loss
from .lade_loss import lade_loss
from .loss_tools import class_weights, widen
from .multilabel_losses import (
    multilabel_focal_loss,
    multilabel_ldam_loss,
    multilabel_soft_margin_loss,
    reweighted_multilabel_loss,
)
from .single_label_losses import (
    asymmetric_single_label_loss,
    focal_cross_entropy,
    ldam_loss,
    logit_adjusted_cross_entropy,
)


SINGLE_LABEL = "single_label_classification"
MULTI_LABEL = "multi_label_classification"

ClassificationLoss = Callable[[Tensor, Tensor], Tensor]


def _cross_entropy(
    logits: Tensor, target: Tensor, weight: Sequence[float] | Tensor | None = None, label_smoothing: float = 0.0
) -> Tensor:
    logits = widen(logits)
    return F.cross_entropy(logits, target, weight=class_weights(weight, logits), label_smoothing=label_smoothing)


def _ldam(
    logits: Tensor,
    target: Tensor,
    class_counts: Sequence[int] | Tensor,
    cosine_scale: float,
    weight: Sequence[float] | Tensor | None = None,
    max_margin: float = 0.5,
) -> Tensor:
    """LDAM of logits that are cosines already scaled, as the model returns them."""
    return ldam_loss(widen(logits) / cosine_scale, target, class_counts, max_margin, cosine_scale, weight)


def _binary_cross_entropy(
    logits: Tensor,
    target: Tensor,
    weight: Sequence[float] | Tensor | None = None,
    pos_weight: float | Sequence[float] | None = None,
) -> Tensor:
    logits = widen(logits)
    positives = None if pos_weight is None else torch.as_tensor(pos_weight, dtype=logits.dtype, device=logits.device)
    return F.binary_cross_entropy_with_logits(
        logits, target.to(logits.dtype), weight=class_weights(weight, logits), pos_weight=positives
    )


def _multilabel_ldam(
    logits: Tensor,
    target: Tensor,
    class_counts: Sequence[int] | Tensor,
    cosine_scale: float | None = None,
    weight: Sequence[float] | Tensor | None = None,
    max_margin: float = 0.5,
) -> Tensor:
    """Margins of the cosines, where the logits are scaled cosines, or of the logits themselves."""
    scale = cosine_scale or 1.0
    return multilabel_ldam_loss(widen(logits) / scale, target, class_counts, max_margin, scale, weight)


# name -> (problem type, function of logits and labels). What a function takes besides is given by name: the class
# counts, number of samples and scale of cosines by the model, `weight` by `weighting`, the rest by the config.
CLASSIFICATION_LOSSES: dict[str, tuple[str, Callable[..., Tensor]]] = {
    "cross_entropy": (SINGLE_LABEL, _cross_entropy),
    "focal": (SINGLE_LABEL, partial(focal_cross_entropy, gamma=1.0)),
    "ldam": (SINGLE_LABEL, _ldam),
    "logit_adjusted": (SINGLE_LABEL, logit_adjusted_cross_entropy),
    "lade": (SINGLE_LABEL, lade_loss),
    "asymmetric_single_label": (SINGLE_LABEL, asymmetric_single_label_loss),
    "class_balanced_focal": (SINGLE_LABEL, class_balanced_focal_loss),
    "class_balanced_softmax": (SINGLE_LABEL, class_balanced_softmax_loss),
    "bce": (MULTI_LABEL, _binary_cross_entropy),
    "multilabel_soft_margin": (MULTI_LABEL, multilabel_soft_margin_loss),
    "multilabel_focal": (MULTI_LABEL, multilabel_focal_loss),
    "asymmetric": (MULTI_LABEL, asymmetric_loss),
    "multi_grained_focal": (MULTI_LABEL, multi_grained_focal_loss),
    "class_balanced_multilabel": (MULTI_LABEL, class_balanced_multilabel_loss),
    "reweighted_multilabel": (MULTI_LABEL, reweighted_multilabel_loss),
    "distribution_balanced": (MULTI_LABEL, distribution_balanced_loss),
    "multilabel_ldam": (MULTI_LABEL, _multilabel_ldam),
}
DEFAULT_LOSS = {SINGLE_LABEL: "cross_entropy", MULTI_LABEL: "bce"}

WEIGHTINGS: dict[str, Callable[..., Tensor]] = {
    "class_balanced": class_balanced_weights,
    "inverse": inverse_frequency_weights,
    "inverse_sqrt": partial(inverse_frequency_weights, power=0.5),
}
# Arguments of `build_classification_loss` that make the class weights.
WEIGHTING_KEYS = ("weighting", "beta")


def build_classification_loss(
    name: str | None,
    problem_type: str,
    class_counts: Sequence[int] | None = None,
    num_samples: int | None = None,
    cosine_scale: float | None = None,
    weighting: str | None = None,
    **kwargs,
) -> ClassificationLoss:
    """Makes the function `(logits, labels) -> scalar` that a model calls for each of its classifiers.

    Args:
        name (`str` or `None`): a key of `CLASSIFICATION_LOSSES`; `None` takes cross-entropy for single-label and
            binary cross-entropy for multi-label problems.
        problem_type (`str`): `"single_label_classification"` or `"multi_label_classification"`.
        class_counts (`Sequence[int]`, *optional*): training samples of each class, for losses and weights that use
            them.
        num_samples (`int`, *optional*): training samples, for losses that use it.
        cosine_scale (`float`, *optional*): factor of the cosines that are the logits, for losses that need cosines.
        weighting (`str`, *optional*):
            Class weights of a loss that takes them, a key of `WEIGHTINGS`: `"class_balanced"` (by the effective number
            of samples, with the further argument `beta`, 0.9999 by default), `"inverse"` or `"inverse_sqrt"` (by the
            class counts). Their mean is 1.
        **kwargs: further arguments of the loss, such as `tau`, `gamma`, `label_smoothing` or `pos_weight`.

    Returns:
        `Callable[[Tensor, Tensor], Tensor]`: the loss.

    Raises:
        ValueError: for an unknown name, problem type, weighting or argument, a loss of the other problem type, missing
            class counts, or a loss of cosines for a model without a cosine head.
    """
    name, function = _find_loss(name, problem_type)
    signature = inspect.signature(function)
    parameters = list(signature.parameters)[2:]
    given: dict[str, Any] = {"class_counts": class_counts, "num_samples": num_samples, "cosine_scale": cosine_scale}
    known_to_model = {key: value for key, value in given.items() if key in parameters}
    required = [key for key in known_to_model if signature.parameters[key].default is inspect.Parameter.empty]
    _check_given(name, {key: known_to_model[key] for key in required})
    if weighting is not None:
        if "weight" not in parameters:
            raise ValueError(f"Loss {name!r} takes no class weights; leave out weighting={weighting!r}.")
        known_to_model["weight"] = _weights(weighting, class_counts, kwargs)
    # `reduction` stays "mean", because models add scalars.
    settable = [key for key in parameters if key not in (*given, "weight", "reduction")]
    unknown = [key for key in kwargs if key not in settable]
    if unknown:
        also = "; `beta` belongs to weighting='class_balanced'" if "beta" in unknown else ""
        raise ValueError(f"Loss {name!r} takes no {unknown}; its arguments are {settable}{also}.")
    return partial(function, **known_to_model, **kwargs)


def _find_loss(name: str | None, problem_type: str) -> tuple[str, Callable[..., Tensor]]:
    if problem_type not in DEFAULT_LOSS:
        raise ValueError(f"Unknown problem type {problem_type!r}; expected one of {', '.join(DEFAULT_LOSS)}.")
    name = name or DEFAULT_LOSS[problem_type]
    if name not in CLASSIFICATION_LOSSES:
        raise ValueError(f"Unknown classification loss {name!r}; expected one of {', '.join(CLASSIFICATION_LOSSES)}.")
    loss_type, function = CLASSIFICATION_LOSSES[name]
    if loss_type != problem_type:
        fitting = [key for key, (kind, _) in CLASSIFICATION_LOSSES.items() if kind == problem_type]
        raise ValueError(
            f"Loss {name!r} is for {loss_type}, the model's problem type is {problem_type}; try {fitting}."
        )
    return name, function


def _check_given(name: str, required: dict[str, Any]) -> None:
    """Raises a `ValueError` when the loss needs what the model cannot give."""
    if "cosine_scale" in required and required["cosine_scale"] is None:
        raise ValueError(
            f"Loss {name!r} is a loss of cosines, so it needs a normalised classifier: an `lt_classifier` with "
            "head='cosine'."
        )
    missing = [key for key, value in required.items() if value is None]
    if missing:
        raise ValueError(
            f"Loss {name!r} needs `{missing[0]}` in the config: the training samples"
            f"{' of each class' if missing[0] == 'class_counts' else ''}."
        )


def _weights(weighting: str, class_counts: Sequence[int] | None, kwargs: dict[str, Any]) -> Tensor:
    """The class weights; takes the arguments that are theirs out of `kwargs`."""
    if weighting not in WEIGHTINGS:
        raise ValueError(f"Unknown weighting {weighting!r}; expected one of {', '.join(WEIGHTINGS)}.")
    if class_counts is None:
        raise ValueError(f"weighting={weighting!r} needs `class_counts` in the config.")
    own = {"beta": kwargs.pop("beta", 0.9999)} if weighting == "class_balanced" else {}
    return WEIGHTINGS[weighting](class_counts, **own)


__all__ = [
    "CLASSIFICATION_LOSSES",
    "MULTI_LABEL",
    "SINGLE_LABEL",
    "WEIGHTINGS",
    "WEIGHTING_KEYS",
    "ClassificationLoss",
    "build_classification_loss",
]
