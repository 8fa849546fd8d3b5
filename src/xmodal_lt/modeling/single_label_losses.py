"""Losses of single-label problems on long-tailed data."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from .class_reweighting import class_margins
from .loss_tools import (
    check_class_ids,
    check_not_negative,
    check_positive,
    check_reduction,
    class_weights,
    one_minus_exp,
    positive_counts,
    power,
    reduce_loss,
    widen,
)


def logit_adjusted_cross_entropy(
    logits: Tensor,
    target: Tensor,
    class_counts: Sequence[int] | Tensor,
    tau: float = 1.0,
    weight: Sequence[float] | Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    r"""Cross-entropy of `logits + tau * log(prior)`; with `tau=1` this is balanced softmax.

    Args:
        logits (`Tensor`): `[B, C]`.
        target (`Tensor`): class ids, long `[B]`.
        class_counts (`Sequence[int]` or `Tensor`): training samples of each class, `[C]`, all positive.
        tau (`float`, *optional*, defaults to 1.0): strength of the adjustment; 0 is plain cross-entropy.
        weight (`Sequence[float]` or `Tensor`, *optional*): class weights, `[C]`.
        reduction (`str`, *optional*, defaults to `"mean"`):
            `"mean"` over B, by the weights of the samples where there are any, `"sum"` or `"none"`.

    Returns:
        `Tensor`: scalar, or `[B]` with `reduction="none"`; float32 or wider.

    Raises:
        ValueError: for an unknown reduction, wrong shapes, or a class without samples (its log prior is minus
            infinity).

    Source:
        Menon et al. 2021, eq. 10 (logit adjustment); Ren et al. 2020, eq. 4 (balanced softmax).

    Example:

    ```python
    >>> import torch
    >>> from xmodal_lt.losses import logit_adjusted_cross_entropy
    >>> logits, target = torch.zeros(1, 2), torch.tensor([1])
    >>> round(float(logit_adjusted_cross_entropy(logits, target, class_counts=[3, 1])), 4)  # -log(1/4)
    1.3863
    ```
    """
    target = check_class_ids(target, logits)
    check_reduction(reduction)
    logits = widen(logits)
    counts = positive_counts(class_counts, logits.shape[-1])
    log_prior = (counts / counts.sum()).log().to(logits)
    return F.cross_entropy(logits + tau * log_prior, target, weight=class_weights(weight, logits), reduction=reduction)


def focal_cross_entropy(
    logits: Tensor,
    target: Tensor,
    gamma: float,
    weight: Sequence[float] | Tensor | None = None,
    reduction: str = "mean",
    detach_focus: bool = False,
) -> Tensor:
    r"""Cross-entropy that turns well-classified samples down, (1 - p)^gamma e with e = w_y CE and p = exp(-e).

    Args:
        logits (`Tensor`): `[B, C]`.
        target (`Tensor`): class ids, long `[B]`.
        gamma (`float`): focusing, at least 0; 0 is weighted cross-entropy, and 0.5 to 2 are usual.
        weight (`Sequence[float]` or `Tensor`, *optional*):
            Class weights, `[C]`. They enter p too: without them, p is the softmax probability of the target.
        reduction (`str`, *optional*, defaults to `"mean"`):
            `"mean"` over B whatever the weights, unlike PyTorch's weighted cross-entropy, `"sum"` or `"none"`.
        detach_focus (`bool`, *optional*, defaults to `False`):
            Whether the focusing factor is a constant for the gradient. The loss is the same.

    Returns:
        `Tensor`: scalar, or `[B]` with `reduction="none"`; float32 or wider.

    Raises:
        ValueError: for an unknown reduction, wrong shapes or a negative focusing.

    Source:
        Lin et al. 2017, eq. 4 (focal loss), for softmax and with weights as in the released code of Cao et al. 2019.

    Example:

    ```python
    >>> import torch
    >>> from xmodal_lt.losses import focal_cross_entropy
    >>> logits, target = torch.zeros(1, 2), torch.tensor([1])
    >>> round(float(focal_cross_entropy(logits, target, gamma=2.0)), 4)  # 0.5^2 * log 2
    0.1733
    ```
    """
    target = check_class_ids(target, logits)
    check_not_negative(gamma=gamma)
    logits = widen(logits)
    losses = F.cross_entropy(logits, target, weight=class_weights(weight, logits), reduction="none")
    focus = power(one_minus_exp(-losses), gamma)
    return reduce_loss((focus.detach() if detach_focus else focus) * losses, reduction)


def ldam_loss(
    cosine: Tensor,
    target: Tensor,
    class_counts: Sequence[int] | Tensor,
    max_margin: float = 0.5,
    scale: float = 30.0,
    weight: Sequence[float] | Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    r"""Label-distribution-aware margin loss: cross-entropy of `scale * (cosine - m_y)`, with m_y only at the target.

    The margin of class c is proportional to n_c^(-1/4), and `max_margin` for the rarest class.

    Args:
        cosine (`Tensor`):
            `[B, C]`, in [-1, 1]: the cosines of features and class vectors, that is the output of a classifier that
            normalizes both and has no bias. Margins mean nothing for logits of another size.
        target (`Tensor`): class ids, long `[B]`.
        class_counts (`Sequence[int]` or `Tensor`): training samples of each class, `[C]`, all positive.
        max_margin (`float`, *optional*, defaults to 0.5): margin of the rarest class, at least 0.
        scale (`float`, *optional*, defaults to 30.0): inverse temperature of the softmax, above 0.
        weight (`Sequence[float]` or `Tensor`, *optional*):
            Class weights, `[C]`; deferred re-weighting (DRW) passes [`class_balanced_weights`] in the last epochs.
        reduction (`str`, *optional*, defaults to `"mean"`):
            `"mean"` over B, by the weights of the samples where there are any, `"sum"` or `"none"`.

    Returns:
        `Tensor`: scalar, or `[B]` with `reduction="none"`; float32 or wider.

    Raises:
        ValueError: for an unknown reduction, wrong shapes, a class without samples, or a margin or scale outside its
            range.

    Source:
        Cao et al. 2019, eq. 10 and 13 (LDAM).

    Example:

    ```python
    >>> import torch
    >>> from xmodal_lt.losses import ldam_loss
    >>> cosine, target = torch.zeros(1, 2), torch.tensor([1])
    >>> round(float(ldam_loss(cosine, target, class_counts=[16, 1], scale=2.0)), 4)  # log(1 + e^(2 * 0.5))
    1.3133
    ```
    """
    target = check_class_ids(target, cosine)
    check_not_negative(max_margin=max_margin)
    check_positive(scale=scale)
    check_reduction(reduction)
    cosine = widen(cosine)
    margins = class_margins(positive_counts(class_counts, cosine.shape[-1]), max_margin).to(cosine)
    logits = scale * cosine.scatter_add(1, target[:, None], -margins[target][:, None])
    return F.cross_entropy(logits, target, weight=class_weights(weight, logits), reduction=reduction)


def asymmetric_single_label_loss(
    logits: Tensor,
    target: Tensor,
    gamma_neg: float = 4.0,
    gamma_pos: float = 0.0,
    label_smoothing: float = 0.1,
    reduction: str = "mean",
) -> Tensor:
    r"""Smoothed cross-entropy whose target term is focused by (1 - p)^gamma_pos and whose others by p^gamma_neg.

    Args:
        logits (`Tensor`): `[B, C]`.
        target (`Tensor`): class ids, long `[B]`.
        gamma_neg (`float`, *optional*, defaults to 4.0):
            Focusing of the other classes, at least 0. They have a term only if labels are smoothed.
        gamma_pos (`float`, *optional*, defaults to 0.0): focusing of the target class, at least 0.
        label_smoothing (`float`, *optional*, defaults to 0.1): share of the label that all C classes have alike.
        reduction (`str`, *optional*, defaults to `"mean"`): `"mean"` over B, `"sum"` or `"none"`.

    Returns:
        `Tensor`: scalar, or `[B]` with `reduction="none"`; float32 or wider.

    Raises:
        ValueError: for an unknown reduction, wrong shapes or a negative focusing.

    Source:
        Ridnik et al. 2021 (asymmetric loss), the single-label variant of the released code.

    Example:

    ```python
    >>> import torch
    >>> from xmodal_lt.losses import asymmetric_single_label_loss
    >>> logits, target = torch.zeros(1, 2), torch.tensor([1])
    >>> loss = asymmetric_single_label_loss(logits, target)  # (0.95 + 0.05 * 0.5^4) * log 2
    >>> round(float(loss), 4)
    0.6607
    ```
    """
    target = check_class_ids(target, logits)
    check_not_negative(gamma_neg=gamma_neg, gamma_pos=gamma_pos)
    log_p = F.log_softmax(widen(logits), dim=-1)
    ids = target[:, None]
    log_p_target = log_p.gather(1, ids)[:, 0]
    own = power(one_minus_exp(log_p_target), gamma_pos) * log_p_target
    # The power of p as an exponential, which has a derivative also where p rounds to 0.
    others = ((gamma_neg * log_p).exp() * log_p).scatter(1, ids, 0.0).sum(-1)
    share = label_smoothing / log_p.shape[1]
    return reduce_loss(-((1 - label_smoothing + share) * own + share * others), reduction)


__all__ = ["asymmetric_single_label_loss", "focal_cross_entropy", "ldam_loss", "logit_adjusted_cross_entropy"]
