"""Distribution-balanced loss of multi-label data.

Symbols of the paper (Wu et al. 2020): r rebalancing weight, alpha, beta and mu of its smoothing, nu class-specific
bias with scale kappa, lambda the tolerance of negatives.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from .focal_binary_loss import focal_binary_loss, prior_shift
from .loss_tools import check_not_negative, multi_hot, positive_counts, widen


def distribution_balanced_loss(
    logits: Tensor,
    targets: Tensor,
    class_counts: Sequence[int] | Tensor,
    num_samples: int,
    rebalance: bool = True,
    alpha: float = 0.1,
    beta: float = 10.0,
    mu: float = 0.2,
    kappa: float = 0.05,
    lam: float = 2.0,
    focal_gamma: float | None = 2.0,
    focal_balance: float = 2.0,
    reduction: str = "mean",
) -> Tensor:
    r"""Focal binary cross-entropy, rebalanced for labels that occur together and tolerant to negatives.

    Rebalancing weighs class c of sample i by alpha + sigmoid(beta (r - mu)), with r = (1 / n_c) / sum_k y_ik / n_k:
    how often class-aware sampling would draw the sample for c, over how often it draws it at all.

    Tolerance of negatives shifts the logits by nu_c = -kappa log(N / n_c - 1) / lambda, then scales those of negatives
    by lambda and their weight by 1 / lambda, so that easy negatives push less.

    Args:
        logits (`Tensor`): `[B, C]`.
        targets (`Tensor`): 1 for labels that apply, 0 for others, `[B, C]`.
        class_counts (`Sequence[int]` or `Tensor`): training samples that carry each label, `[C]`, all positive.
        num_samples (`int`): N, the training samples.
        rebalance (`bool`, *optional*, defaults to `True`):
            Whether to rebalance. A sample without labels has no r; it takes r = 0, the least weight.
        alpha (`float`, *optional*, defaults to 0.1): least weight.
        beta (`float`, *optional*, defaults to 10.0): steepness of the weight in r.
        mu (`float`, *optional*, defaults to 0.2): the r of medium weight; 0.2 for COCO-LT, 0.3 for VOC-LT.
        kappa (`float`, *optional*, defaults to 0.05): scale of the shift; 0 for none.
        lam (`float`, *optional*, defaults to 2.0):
            Scale of the negatives, above 0; 2 for COCO-LT, 5 for VOC-LT, 1 for none.
        focal_gamma (`float` or `None`, *optional*, defaults to 2.0): focusing, at least 0; `None` for no focal factor.
        focal_balance (`float`, *optional*, defaults to 2.0): constant factor that goes with the focal factor.
        reduction (`str`, *optional*, defaults to `"mean"`): `"mean"` over B and C, `"sum"` or `"none"`.

    Returns:
        `Tensor`: scalar, or `[B, C]` with `reduction="none"`; float32 or wider.

    Raises:
        ValueError: for an unknown reduction, shapes that differ, `lam` or a focusing outside its range, a class
            without samples, or one that is in all `num_samples` (unless `kappa=0`): its shift would be infinite.

    Source:
        Wu et al. 2020, eq. 3 to 9 (distribution-balanced loss). Their configurations without focal factor multiply the
        loss by 0.5.

    Example:

    ```python
    >>> import torch
    >>> from xmodal_lt.losses import distribution_balanced_loss
    >>> logits, targets = torch.zeros(1, 2), torch.tensor([[1, 0]])
    >>> plain = {"rebalance": False, "kappa": 0.0, "lam": 1.0, "focal_gamma": None}
    >>> distribution_balanced_loss(logits, targets, [60, 5], num_samples=100, reduction="none", **plain)  # log 2
    tensor([[0.6931, 0.6931]])
    >>> distribution_balanced_loss(logits, targets, [60, 5], num_samples=100, reduction="none")
    tensor([[0.3745, 0.1469]])
    ```
    """
    check_not_negative(focal_gamma=focal_gamma or 0.0)
    logits = widen(logits)
    counts = positive_counts(class_counts, logits.shape[-1])
    shift = prior_shift(counts, num_samples, kappa, lam)
    balance = 1.0 if focal_gamma is None else focal_balance
    inverse = (1 / counts).to(logits)
    scaled_inverse = beta * inverse

    def weight(labels: Tensor) -> Tensor:
        total = (labels * inverse).sum(-1, keepdim=True)  # no matrix product, which autocast would narrow
        share = total.reciprocal_().nan_to_num_(posinf=0.0)
        smooth = (share * scaled_inverse).sub_(beta * mu).sigmoid_()
        return torch.rsub(smooth, balance * alpha, alpha=-balance)

    return focal_binary_loss(
        logits,
        multi_hot(targets, logits),
        gamma=focal_gamma,
        weight=weight if rebalance else balance,
        shift=None if shift is None else shift.to(logits),
        lam=lam,
        reduction=reduction,
    )


__all__ = ["distribution_balanced_loss"]
