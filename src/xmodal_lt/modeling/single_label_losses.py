"""Losses of single-label problems on long-tailed data."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from .loss_tools import class_weights, positive_counts, widen


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
        reduction (`str`, *optional*, defaults to `"mean"`): `"mean"`, `"sum"` or `"none"`.

    Returns:
        `Tensor`: scalar, or `[B]` with `reduction="none"`; float32 or wider.

    Raises:
        ValueError: when a class has no sample (its log prior is minus infinity) or C differs from the counts' length.

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
    logits = widen(logits)
    counts = positive_counts(class_counts, logits)
    log_prior = (counts / counts.sum()).log()
    return F.cross_entropy(logits + tau * log_prior, target, weight=class_weights(weight, logits), reduction=reduction)


__all__ = ["logit_adjusted_cross_entropy"]
