"""Label-distribution-disentangling loss.

Symbols of the paper (Hong et al. 2021): p_s prior of the training set, p_u = 1/C uniform prior, f_c logit of class c,
alpha weight of the regularizer, lambda its penalty.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from .loss_tools import check_class_ids, positive_counts, widen


def lade_loss(
    logits: Tensor,
    target: Tensor,
    class_counts: Sequence[int] | Tensor,
    alpha: float = 0.1,
    lam: float = 0.1,
) -> Tensor:
    r"""Balanced softmax with a regularizer that makes each logit the log density ratio p_u(x | c) / p_u(x).

    The regularizer is the sum over the classes, by their priors, of

        -(mean of f_c over the batch's samples of c - Z_c - lambda Z_c^2),
        Z_c = log mean_i exp(f_c(x_i)) p_u(c) / p_s(c) over the whole batch

    It compares samples within the batch, so that it has no unreduced form.

    Args:
        logits (`Tensor`): `[B, C]`. They are those of a balanced prior: predict with them as they are, or add the log
            prior of the test data.
        target (`Tensor`): class ids, long `[B]`.
        class_counts (`Sequence[int]` or `Tensor`): training samples of each class, `[C]`, all positive.
        alpha (`float`, *optional*, defaults to 0.1): weight of the regularizer; 0 is balanced softmax.
        lam (`float`, *optional*, defaults to 0.1): strength of the penalty that keeps Z_c near 0.

    Returns:
        `Tensor`: scalar; float32 or wider.

    Raises:
        ValueError: for wrong shapes or a class without samples.

    Source:
        Hong et al. 2021 (LADE), as in the released code. For a class that the batch lacks, the first mean is 0 there.

    Example:

    ```python
    >>> import torch
    >>> from xmodal_lt.losses import lade_loss
    >>> logits, target = torch.zeros(2, 2), torch.tensor([0, 1])
    >>> round(float(lade_loss(logits, target, class_counts=[5, 5])), 4)  # log 2; the regularizer is at its minimum
    0.6931
    ```
    """
    target = check_class_ids(target, logits)
    logits = widen(logits)
    counts = positive_counts(class_counts, logits.shape[-1])
    prior = (counts / counts.sum()).to(logits)
    log_prior = prior.log()
    cross_entropy = F.cross_entropy(logits + log_prior, target)
    if not alpha or not len(logits):  # the mean over no samples is nan, as in PyTorch
        return cross_entropy

    rows, classes = logits.shape
    none, own = torch.zeros_like(prior), logits.gather(1, target[:, None])[:, 0]
    present = none.scatter_add(0, target, torch.ones_like(own))  # `bincount` would wait for a GPU
    own_mean = none.scatter_add(0, target, own) / present.clamp(min=1)
    log_mean = (logits - log_prior).logsumexp(0) - math.log(classes) - math.log(rows)
    regularizer = -(prior * (own_mean - log_mean - lam * log_mean.square())).sum()
    return cross_entropy + alpha * regularizer


__all__ = ["lade_loss"]
