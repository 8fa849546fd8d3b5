"""The weighted focal binary cross-entropy: focal, class-balanced and distribution-balanced loss are cases of it.

Per element, with logit x, label y, weight w, shift nu and scale lambda of the negatives:

    z = s (x + nu), where s is 1 for positives and lambda for negatives
    b = BCE(z, y), p = sigmoid(z)
    loss = w / s * |p - y|^gamma * b

For labels 0 and 1, |p - y| is 1 - p_t with p_t = exp(-b), as the papers write it. For labels between, where 1 - p_t
does not vanish at p = y, it makes quality focal loss (Li et al. 2020).
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from .analytic_gradient import analytic_loss
from .loss_tools import check_positive, log_larger


# A number, a tensor that broadcasts to `[B, C]` whatever B is, or a function that makes one from rows of the targets
Weight = float | Tensor | Callable[[Tensor], Tensor]


def prior_shift(counts: Tensor, num_samples: int | None, kappa: float, lam: float) -> Tensor | None:
    r"""nu = -kappa * log(N / n_c - 1) / lambda, `[C]`, the bias of negative-tolerant regularization; `None` for none.

    Raises:
        ValueError: when lambda is not above 0, or a class is in every sample (its log odds are infinite) or in more
            than `num_samples`.
    """
    check_positive(lam=lam)
    if not kappa:
        return None
    if num_samples is None or counts.max() >= num_samples:
        raise ValueError(
            f"num_samples={num_samples} must be larger than every class count (the largest is "
            f"{int(counts.max())}): the shift of the logits is kappa * log(num_samples / count - 1). Pass the number "
            "of training samples, or kappa=0 for no shift."
        )
    return -kappa * (num_samples / counts - 1).log() / lam


def focal_binary_loss(
    logits: Tensor,
    targets: Tensor,
    gamma: float | None,
    weight: Weight,
    shift: Tensor | None = None,
    lam: float = 1.0,
    reduction: str = "mean",
    detach_focus: bool = False,
) -> Tensor:
    """The loss of this module, reduced; without focusing where `gamma` is `None` or 0.

    With `detach_focus`, the gradient takes the focusing factor for a constant.
    """
    terms = partial(_weighted_terms, gamma=gamma, weight=weight, shift=shift, lam=lam, detach_focus=detach_focus)
    return analytic_loss(terms, logits, targets, reduction)


def _weighted_terms(
    logits: Tensor,
    targets: Tensor,
    with_gradient: bool,
    gamma: float | None,
    weight: Weight,
    shift: Tensor | None,
    lam: float,
    detach_focus: bool,
) -> tuple[Tensor, Tensor | None]:
    """The loss and its derivative by the logits."""
    if shift is not None:
        logits = logits + shift
    if lam != 1:
        scale = torch.rsub(targets, lam, alpha=lam - 1)
        logits = logits * scale
    loss, gradient = _focal_terms(logits, targets, with_gradient, gamma, detach_focus)
    factor = weight(targets) if callable(weight) else weight
    loss.mul_(factor)
    if gradient is not None:
        gradient.mul_(factor)  # times the scale of the inner derivative and over that of the weight
    return loss if lam == 1 else loss.div_(scale), gradient


def _focal_terms(
    logits: Tensor, targets: Tensor, with_gradient: bool, gamma: float | None, detach_focus: bool
) -> tuple[Tensor, Tensor | None]:
    """`|d|^gamma b` and its derivative `sign(d) |d|^(gamma - 1) (d^2 + gamma p (1 - p) b)`, with `d = p - y`.

    The second summand is that of the focusing factor.

    Works in place as far as it can, because fewer tensors stay in the cache.
    """
    p = torch.sigmoid(logits)
    complement = 1 - p
    bce = logits.clamp_min(0).addcmul_(logits, targets, value=-1).sub_(log_larger(p, complement))
    variance = complement.mul_(p)
    distance = p.sub_(targets)
    if not gamma:
        return bce, distance
    squared = distance.square()
    if gamma == 2:  # the usual one needs no power
        slope, focus = distance, squared
    else:
        slope = distance.abs().clamp_min_(torch.finfo(p.dtype).tiny).pow_(gamma - 1).copysign_(distance)
        focus = slope * distance
    gradient = None
    if with_gradient and detach_focus:
        gradient = distance * focus
    elif with_gradient:
        gradient = torch.addcmul(squared, variance, bce, value=gamma).mul_(slope)
    return bce.mul_(focus), gradient


__all__ = ["Weight", "focal_binary_loss", "prior_shift"]
