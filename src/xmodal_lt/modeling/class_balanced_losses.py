"""Losses that weigh classes by the inverse of their effective number of samples, (1 - beta) / (1 - beta^n_c)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from .class_reweighting import class_balanced_weights, effective_number_weights
from .focal_binary_loss import Weight, focal_binary_loss, prior_shift
from .loss_tools import (
    check_class_ids,
    check_not_negative,
    check_reduction,
    multi_hot,
    positive_counts,
    reduce_loss,
    widen,
)


CLASS_BALANCED_MODES = ("by_class", "average_n", "average_w", "min_n")


def class_balanced_focal_loss(
    logits: Tensor,
    target: Tensor,
    class_counts: Sequence[int] | Tensor,
    beta: float = 0.9999,
    gamma: float = 2.0,
    reduction: str = "mean",
) -> Tensor:
    r"""Sigmoid focal loss of single-label data, summed over the classes, times the weight of the target class.

    Args:
        logits (`Tensor`): `[B, C]`, one sigmoid for each class.
        target (`Tensor`): class ids, long `[B]`.
        class_counts (`Sequence[int]` or `Tensor`): training samples of each class, `[C]`, all positive.
        beta (`float`, *optional*, defaults to 0.9999): of the weights, see [`class_balanced_weights`].
        gamma (`float`, *optional*, defaults to 2.0): focusing, at least 0; 0 is weighted binary cross-entropy.
        reduction (`str`, *optional*, defaults to `"mean"`): `"mean"` over B, `"sum"` or `"none"`.

    Returns:
        `Tensor`: scalar, or `[B]` with `reduction="none"`; float32 or wider.

    Raises:
        ValueError: for an unknown reduction, wrong shapes, a class without samples, `beta` outside [0, 1), or a
            negative focusing.

    Source:
        Cui et al. 2019, eq. 10 and 13 (class-balanced loss).

    Example:

    ```python
    >>> import torch
    >>> from xmodal_lt.losses import class_balanced_focal_loss
    >>> logits, target = torch.zeros(1, 2), torch.tensor([1])
    >>> loss = class_balanced_focal_loss(logits, target, class_counts=[9, 9])  # 2 classes * 0.5^2 * log 2
    >>> round(float(loss), 4)
    0.3466
    ```
    """
    target = check_class_ids(target, logits)
    check_not_negative(gamma=gamma)
    check_reduction(reduction)
    logits = widen(logits)
    weights = class_balanced_weights(positive_counts(class_counts, logits.shape[-1]), beta).to(logits)
    one_hot = torch.zeros_like(logits).scatter(1, target[:, None], 1.0)
    losses = focal_binary_loss(logits, one_hot, gamma, 1.0, reduction="none").sum(-1)
    return reduce_loss(weights[target] * losses, reduction)


def class_balanced_softmax_loss(
    logits: Tensor,
    target: Tensor,
    class_counts: Sequence[int] | Tensor,
    beta: float = 0.9999,
    reduction: str = "mean",
) -> Tensor:
    r"""Binary cross-entropy of softmax probabilities, averaged over the classes, times the weight of the target class.

    This is what a widespread implementation of class-balanced loss calls "softmax". The paper's is cross-entropy with
    [`class_balanced_weights`].

    Args:
        logits (`Tensor`): `[B, C]`, C at least 2.
        target (`Tensor`): class ids, long `[B]`.
        class_counts (`Sequence[int]` or `Tensor`): training samples of each class, `[C]`, all positive.
        beta (`float`, *optional*, defaults to 0.9999): of the weights, see [`class_balanced_weights`].
        reduction (`str`, *optional*, defaults to `"mean"`): `"mean"` over B, `"sum"` or `"none"`.

    Returns:
        `Tensor`: scalar, or `[B]` with `reduction="none"`; float32 or wider.

    Raises:
        ValueError: for an unknown reduction, wrong shapes, a class without samples, or `beta` outside [0, 1).

    Source:
        The released code of vandit15/Class-balanced-loss-pytorch, after Cui et al. 2019.

    Example:

    ```python
    >>> import torch
    >>> from xmodal_lt.losses import class_balanced_softmax_loss
    >>> logits, target = torch.zeros(1, 2), torch.tensor([1])
    >>> round(float(class_balanced_softmax_loss(logits, target, class_counts=[9, 9])), 4)  # log 2
    0.6931
    ```
    """
    target = check_class_ids(target, logits)
    logits = widen(logits)
    weights = class_balanced_weights(positive_counts(class_counts, logits.shape[-1]), beta).to(logits)
    log_p = F.log_softmax(logits, dim=-1)
    log_q = _log_complement(log_p)
    losses = -log_q.scatter(1, target[:, None], log_p.gather(1, target[:, None])).mean(-1)
    return reduce_loss(weights[target] * losses, reduction)


def class_balanced_multilabel_loss(
    logits: Tensor,
    targets: Tensor,
    class_counts: Sequence[int] | Tensor,
    beta: float = 0.9,
    mode: str = "by_class",
    focal_gamma: float | None = 2.0,
    focal_balance: float = 2.0,
    num_samples: int | None = None,
    kappa: float = 0.0,
    lam: float = 1.0,
    reduction: str = "mean",
) -> Tensor:
    r"""Focal binary cross-entropy of multi-label data, weighed by (1 - beta) / (1 - beta^n).

    Positives and negatives have the same weight, and the weights are not scaled to a mean.

    Args:
        logits (`Tensor`): `[B, C]`.
        targets (`Tensor`): 1 for labels that apply, 0 for others, `[B, C]`.
        class_counts (`Sequence[int]` or `Tensor`): training samples that carry each label, `[C]`, all positive.
        beta (`float`, *optional*, defaults to 0.9): in [0, 1); 0 weighs all alike.
        mode (`str`, *optional*, defaults to `"by_class"`):
            `"by_class"`: n is the count of the element's class. The others weigh a sample as a whole:
            `"average_n"` by the mean count of its labels, `"min_n"` by their least count, `"average_w"` by the mean
            of their weights. There a sample without labels takes the least weight, 1 - beta.
        focal_gamma (`float` or `None`, *optional*, defaults to 2.0): focusing, at least 0; `None` for no focal factor.
        focal_balance (`float`, *optional*, defaults to 2.0): constant factor that goes with the focal factor.
        num_samples (`int`, *optional*): training samples; needed if `kappa` is not 0.
        kappa (`float`, *optional*, defaults to 0.0): shift of the logits as in [`distribution_balanced_loss`].
        lam (`float`, *optional*, defaults to 1.0):
            Scale of the negatives, above 0, as in [`distribution_balanced_loss`].
        reduction (`str`, *optional*, defaults to `"mean"`): `"mean"` over B and C, `"sum"` or `"none"`.

    Returns:
        `Tensor`: scalar, or `[B, C]` with `reduction="none"`; float32 or wider.

    Raises:
        ValueError: for an unknown mode or reduction, shapes that differ, a class without samples, `beta`, `lam` or a
            focusing outside its range, or a `kappa` without a `num_samples` above all counts.

    Source:
        Cui et al. 2019 for multi-label data, as in the released configurations of Wu et al. 2020, which multiply the
        loss by 10.

    Example:

    ```python
    >>> import torch
    >>> from xmodal_lt.losses import class_balanced_multilabel_loss
    >>> logits, targets = torch.zeros(1, 2), torch.tensor([[1, 0]])
    >>> class_balanced_multilabel_loss(logits, targets, [100, 1], reduction="none")  # log 2 / 2 times 0.1 and 1
    tensor([[0.0347, 0.3466]])
    ```
    """
    if mode not in CLASS_BALANCED_MODES:
        raise ValueError(f"Unknown mode {mode!r}; expected one of {', '.join(CLASS_BALANCED_MODES)}.")
    check_not_negative(focal_gamma=focal_gamma or 0.0)
    logits = widen(logits)
    targets = multi_hot(targets, logits)
    counts = positive_counts(class_counts, logits.shape[-1])
    shift = prior_shift(counts, num_samples, kappa, lam)
    balance = 1.0 if focal_gamma is None else focal_balance
    return focal_binary_loss(
        logits,
        targets,
        gamma=focal_gamma,
        weight=_multilabel_weight(counts, beta, mode, balance, logits),
        shift=None if shift is None else shift.to(logits),
        lam=lam,
        reduction=reduction,
    )


def _log_complement(log_p: Tensor) -> Tensor:
    """log(1 - p) of log probabilities that sum to 1; for the largest from the others, where 1 - p may round to 0."""
    top = log_p.argmax(-1, keepdim=True)
    others = log_p.scatter(-1, top, -torch.inf)
    return torch.log1p(-others.exp()).scatter(-1, top, others.logsumexp(-1, keepdim=True))


def _multilabel_weight(counts: Tensor, beta: float, mode: str, balance: float, logits: Tensor) -> Weight:
    """The weights of the elements times `balance`: `[C]`, or a function from labels `[B, C]` to `[B, 1]`."""
    by_class = effective_number_weights(counts, beta).to(logits)
    if mode == "by_class":
        return balance * by_class
    counts = counts.to(logits)

    def of_samples(labels: Tensor) -> Tensor:
        if mode == "min_n":
            n = (counts / labels).amin(-1, keepdim=True)  # infinite for classes without label
            return balance * effective_number_weights(n, beta)
        values, none = (by_class, 1 - beta) if mode == "average_w" else (counts, torch.inf)
        mean = (labels * values).sum(-1, keepdim=True) / labels.sum(-1, keepdim=True)
        mean = mean.nan_to_num(nan=none)
        return balance * (mean if mode == "average_w" else effective_number_weights(mean, beta))

    return of_samples


__all__ = [
    "CLASS_BALANCED_MODES",
    "class_balanced_focal_loss",
    "class_balanced_multilabel_loss",
    "class_balanced_softmax_loss",
]
