"""Classification losses, by name, for single-label and multi-label problems."""

import inspect
from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from .loss_tools import widen
from .single_label_losses import logit_adjusted_cross_entropy


SINGLE_LABEL = "single_label_classification"
MULTI_LABEL = "multi_label_classification"

ClassificationLoss = Callable[[Tensor, Tensor], Tensor]


def _cross_entropy(logits: Tensor, target: Tensor, label_smoothing: float = 0.0) -> Tensor:
    return F.cross_entropy(widen(logits), target, label_smoothing=label_smoothing)


def _binary_cross_entropy(logits: Tensor, target: Tensor, pos_weight: float | Sequence[float] | None = None) -> Tensor:
    logits = widen(logits)
    weight = None if pos_weight is None else torch.as_tensor(pos_weight, dtype=logits.dtype, device=logits.device)
    return F.binary_cross_entropy_with_logits(logits, target.to(logits.dtype), pos_weight=weight)


# name -> (problem type, function, whether it takes the class counts)
CLASSIFICATION_LOSSES: dict[str, tuple[str, Callable[..., Tensor], bool]] = {
    "cross_entropy": (SINGLE_LABEL, _cross_entropy, False),
    "logit_adjusted": (SINGLE_LABEL, logit_adjusted_cross_entropy, True),
    "bce": (MULTI_LABEL, _binary_cross_entropy, False),
}
DEFAULT_LOSS = {SINGLE_LABEL: "cross_entropy", MULTI_LABEL: "bce"}


def build_classification_loss(
    name: str | None,
    problem_type: str,
    class_counts: Sequence[int] | None = None,
    **kwargs,
) -> ClassificationLoss:
    """Makes the function `(logits, labels) -> scalar` that a model calls for each of its classifiers.

    Args:
        name (`str` or `None`): a key of `CLASSIFICATION_LOSSES`; `None` takes cross-entropy for single-label and
            binary cross-entropy for multi-label problems.
        problem_type (`str`): `"single_label_classification"` or `"multi_label_classification"`.
        class_counts (`Sequence[int]`, *optional*): training samples of each class, for losses that use priors.
        **kwargs: further arguments of the loss, such as `tau`, `label_smoothing` or `pos_weight`.

    Returns:
        `Callable[[Tensor, Tensor], Tensor]`: the loss.

    Raises:
        ValueError: for an unknown name, problem type or argument, a loss of the other problem type, or missing class
            counts.
    """
    if problem_type not in DEFAULT_LOSS:
        raise ValueError(f"Unknown problem type {problem_type!r}; expected one of {', '.join(DEFAULT_LOSS)}.")
    name = name or DEFAULT_LOSS[problem_type]
    if name not in CLASSIFICATION_LOSSES:
        raise ValueError(f"Unknown classification loss {name!r}; expected one of {', '.join(CLASSIFICATION_LOSSES)}.")
    loss_type, function, needs_counts = CLASSIFICATION_LOSSES[name]
    if loss_type != problem_type:
        fitting = [key for key, (kind, _, _) in CLASSIFICATION_LOSSES.items() if kind == problem_type]
        raise ValueError(
            f"Loss {name!r} is for {loss_type}, the model's problem type is {problem_type}; try {fitting}."
        )
    # After logits and labels. The config has the counts, and `reduction` stays "mean", because models add scalars.
    known = [
        key for key in list(inspect.signature(function).parameters)[2:] if key not in ("class_counts", "reduction")
    ]
    unknown = [key for key in kwargs if key not in known]
    if unknown:
        raise ValueError(f"Loss {name!r} takes no {unknown}; its arguments are {known}.")
    if not needs_counts:
        return partial(function, **kwargs)
    if class_counts is None:
        raise ValueError(f"Loss {name!r} needs `class_counts` in the config: the training samples of each class.")
    return partial(function, class_counts=class_counts, **kwargs)


__all__ = [
    "CLASSIFICATION_LOSSES",
    "MULTI_LABEL",
    "SINGLE_LABEL",
    "ClassificationLoss",
    "build_classification_loss",
]
