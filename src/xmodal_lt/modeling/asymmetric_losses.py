"""Multi-label losses that focus on positives and on negatives with different strength.

Per element, with p = sigmoid(x), the negatives' probability shifted to p_m = max(p - m, 0), and label y:

    loss = -y (1 - p)^gamma_pos log(p) - (1 - y) p_m^gamma_neg log(1 - p_m)
"""

import math
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from .analytic_gradient import analytic_loss
from .loss_tools import (
    REDUCTIONS,
    check_below_one,
    check_not_negative,
    log_larger,
    multi_hot,
    positive_counts,
    power,
    widen,
)


ASYMMETRIC_REDUCTIONS = (*REDUCTIONS, "batchmean")


def asymmetric_loss(
    logits: Tensor,
    targets: Tensor,
    gamma_neg: float = 4.0,
    gamma_pos: float = 0.0,
    clip: float = 0.05,
    detach_focus: bool = True,
    reduction: str = "mean",
) -> Tensor:
    r"""Binary cross-entropy that turns easy negatives down, and those of low probability off.

    Args:
        logits (`Tensor`): `[B, C]`.
        targets (`Tensor`): 1 for labels that apply, 0 for others, `[B, C]`; a value between mixes the two terms.
        gamma_neg (`float`, *optional*, defaults to 4.0): focusing of the negatives, at least 0.
        gamma_pos (`float`, *optional*, defaults to 0.0): focusing of the positives, at least 0.
        clip (`float`, *optional*, defaults to 0.05):
            m in [0, 1): the probability below which a negative counts nothing; 0 for no shift.
        detach_focus (`bool`, *optional*, defaults to `True`):
            Whether the focusing factors are constants for the gradient, as in the released training. The loss is the
            same.
        reduction (`str`, *optional*, defaults to `"mean"`):
            `"mean"` over B and C, as CPRFL; `"sum"` as the authors' code, which makes the loss B C times larger and so
            needs a smaller learning rate; `"batchmean"` (sum over C, mean over B); or `"none"`.

    Returns:
        `Tensor`: scalar, or `[B, C]` with `reduction="none"`; float32 or wider.

    Raises:
        ValueError: for an unknown reduction, shapes that differ, a negative focusing, or a clip outside [0, 1).

    Source:
        Ridnik et al. 2021, eq. 7 (asymmetric loss). The released code raises probabilities to 1e-8 before the
        logarithm, which ends the gradient of positives whose logit is below -18.4; the log-sigmoid here needs no such
        bound.

    Example:

    ```python
    >>> import torch
    >>> from xmodal_lt.losses import asymmetric_loss
    >>> logits, targets = torch.tensor([[0.0, -3.0]]), torch.tensor([[1, 0]])
    >>> asymmetric_loss(logits, targets, reduction="none")  # log 2; sigmoid(-3) is below 0.05
    tensor([[0.6931, 0.0000]])
    ```
    """
    check_not_negative(gamma_neg=gamma_neg, gamma_pos=gamma_pos)
    check_below_one(clip=clip)
    logits = widen(logits)
    terms = partial(
        _terms,
        gamma_neg=gamma_neg,
        gamma_pos=gamma_pos,
        clip=clip,
        detach_focus=detach_focus,
    )
    return analytic_loss(terms, logits, multi_hot(targets, logits), reduction, ASYMMETRIC_REDUCTIONS)


def multi_grained_focal_loss(
    logits: Tensor,
    targets: Tensor,
    class_counts: Sequence[int] | Tensor,
    gamma_neg: float = 4.0,
    gamma_pos: float = 0.0,
    clip: float = 0.05,
    detach_focus: bool = True,
    reduction: str = "mean",
) -> Tensor:
    r"""Asymmetric loss whose weight and focusing of negatives grow towards the tail.

    Class c has w_c = (1 - ln(n_c / n_max))^(1/6), at least 1: its elements weigh w_c, and its negatives are focused
    with gamma_neg + w_c.

    Args:
        logits (`Tensor`): `[B, C]`.
        targets (`Tensor`): 1 for labels that apply, 0 for others, `[B, C]`; a value between mixes the two terms.
        class_counts (`Sequence[int]` or `Tensor`): training samples of each class, `[C]`, all positive.
        gamma_neg (`float`, *optional*, defaults to 4.0):
            Focusing of the negatives, at least 0, to which w_c is added.
        gamma_pos (`float`, *optional*, defaults to 0.0): focusing of the positives, at least 0.
        clip (`float`, *optional*, defaults to 0.05): as in [`asymmetric_loss`].
        detach_focus (`bool`, *optional*, defaults to `True`): as in [`asymmetric_loss`].
        reduction (`str`, *optional*, defaults to `"mean"`):
            As in [`asymmetric_loss`]; the authors' code takes the `"sum"`.

    Returns:
        `Tensor`: scalar, or `[B, C]` with `reduction="none"`; float32 or wider.

    Raises:
        ValueError: for an unknown reduction, shapes that differ, a negative focusing, a clip outside [0, 1), or a
            class without samples.

    Source:
        Zhang et al. 2023 (COMIC), the multi-grained focal loss as in the released code.

    Example:

    ```python
    >>> import torch
    >>> from xmodal_lt.losses import asymmetric_loss, multi_grained_focal_loss
    >>> logits, targets = torch.zeros(1, 2), torch.ones(1, 2)
    >>> loss = multi_grained_focal_loss(logits, targets, class_counts=[100, 1], reduction="none")
    >>> loss / asymmetric_loss(logits, targets, reduction="none")  # (1 + ln 100)^(1/6) for the rare class
    tensor([[1.0000, 1.3328]])
    ```
    """
    check_not_negative(gamma_neg=gamma_neg, gamma_pos=gamma_pos)
    check_below_one(clip=clip)
    logits = widen(logits)
    counts = positive_counts(class_counts, logits.shape[-1])
    weight = (1 - (counts / counts.max()).log()).pow(1 / 6).to(logits)
    terms = partial(
        _terms,
        gamma_neg=gamma_neg + weight,
        gamma_pos=gamma_pos,
        clip=clip,
        detach_focus=detach_focus,
        weight=weight,
    )
    return analytic_loss(terms, logits, multi_hot(targets, logits), reduction, ASYMMETRIC_REDUCTIONS)


def _terms(
    logits: Tensor,
    targets: Tensor,
    with_gradient: bool,
    gamma_neg: float | Tensor,
    gamma_pos: float,
    clip: float,
    detach_focus: bool,
    weight: Tensor | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Loss of this module, times the weights of the classes, and its derivative by the logits."""
    p = torch.sigmoid(logits)
    miss = 1 - p
    log_p = log_larger(p, miss)
    shifted = (p - clip).clamp_min_(0) if clip else p
    rest = shifted - 1
    log_q = torch.neg(shifted).log1p_() if clip else log_p - logits.clamp_min(0)
    log_p.add_(logits.clamp_max(0))
    focus_pos = power(miss, gamma_pos) if gamma_pos else None
    focus_neg = _negative_focus(shifted, rest, gamma_neg)
    sign: float | Tensor = -1.0 if weight is None else -weight

    gradient = None
    if with_gradient:
        gradient = torch.div(miss, rest, out=rest).mul_(p) if clip else -p
        if not detach_focus:
            slope = log_q.div(shifted.clamp_min(torch.finfo(p.dtype).tiny)).mul_(gamma_neg)
            gradient.addcmul_(slope.mul_(p), miss)
            miss = torch.addcmul(miss, p, log_p, value=-gamma_pos)
        positive = miss if focus_pos is None else miss * focus_pos
        gradient.mul_(focus_neg).lerp_(positive, targets).mul_(sign)
    if focus_pos is not None:
        log_p.mul_(focus_pos)
    return log_q.mul_(focus_neg).lerp_(log_p, targets).mul_(sign), gradient


def _negative_focus(shifted: Tensor, rest: Tensor, gamma: float | Tensor) -> Tensor:
    """`shifted ** gamma`, which is 0 where the shift cut a negative off, also for gamma 0."""
    if isinstance(gamma, Tensor):  # in a third of the time of a power with an exponent for each class
        return rest.log1p().mul_(gamma / math.log(2)).exp2_()
    return power(shifted, gamma) if gamma else shifted.sign()


__all__ = ["ASYMMETRIC_REDUCTIONS", "asymmetric_loss", "multi_grained_focal_loss"]
