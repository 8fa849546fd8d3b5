"""Weights and margins of the classes from their training counts."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from .loss_tools import check_below_one, positive_counts


def class_balanced_weights(class_counts: Sequence[int] | Tensor, beta: float) -> Tensor:
    r"""Weights by the inverse of the effective number of samples, (1 - beta) / (1 - beta^n_c), scaled to sum to C.

    They are the `weight` of a cross-entropy, `F.cross_entropy(logits, target, weight=weights.to(logits))`, or of the
    losses of this package that take one.

    Args:
        class_counts (`Sequence[int]` or `Tensor`):
            Training samples of each class, `[C]`, all positive; for multi-label data, those that carry the label.
        beta (`float`):
            In [0, 1). 0 weighs all classes alike, values towards 1 approach the inverse counts; 0.9, 0.99, 0.999 and
            0.9999 are usual.

    Returns:
        `Tensor`: float64 `[C]`, on the CPU.

    Raises:
        ValueError: when a class has no sample, whose effective number is zero, or `beta` is outside [0, 1).

    Source:
        Cui et al. 2019, eq. 2 and section 4 (class-balanced loss).

    Example:

    ```python
    >>> from xmodal_lt.losses import class_balanced_weights
    >>> class_balanced_weights([100, 1], beta=0.9)
    tensor([0.1818, 1.8182], dtype=torch.float64)
    ```
    """
    weights = effective_number_weights(positive_counts(class_counts), beta)
    return weights * (len(weights) / weights.sum())


def inverse_frequency_weights(class_counts: Sequence[int] | Tensor, power: float = 1.0) -> Tensor:
    r"""Weights n_c^(-power), scaled to a mean of 1.

    Args:
        class_counts (`Sequence[int]` or `Tensor`): training samples of each class, `[C]`, all positive.
        power (`float`, *optional*, defaults to 1.0):
            1 for the inverse counts, 0.5 for the smoother inverse square roots, 0 for equal weights.

    Returns:
        `Tensor`: float64 `[C]`, on the CPU.

    Raises:
        ValueError: when a class has no sample.

    Source:
        Shi et al. 2024 (LIFT), the generalized re-weighting of the released code; with `power=0.5`, the smooth
        re-weighting of Mahajan et al. 2018.

    Example:

    ```python
    >>> from xmodal_lt.losses import inverse_frequency_weights
    >>> inverse_frequency_weights([90, 10], power=0.5)
    tensor([0.5000, 1.5000], dtype=torch.float64)
    ```
    """
    weights = positive_counts(class_counts).pow(-power)
    return weights / weights.mean()


def effective_number_weights(counts: Tensor, beta: float) -> Tensor:
    """`(1 - beta) / (1 - beta^n)` of positive counts of any shape, not scaled.

    Raises:
        ValueError: when `beta` is outside [0, 1).
    """
    check_below_one(beta=beta)
    if beta == 0:
        return torch.ones_like(counts)
    return (1 - beta) / -torch.expm1(counts * math.log(beta))  # exact in float32 too


def class_margins(counts: Tensor, max_margin: float) -> Tensor:
    """Label-distribution-aware margins, proportional to n^(-1/4), the largest being `max_margin`."""
    return max_margin * (counts.min() / counts).pow(0.25)


__all__ = ["class_balanced_weights", "class_margins", "effective_number_weights", "inverse_frequency_weights"]
