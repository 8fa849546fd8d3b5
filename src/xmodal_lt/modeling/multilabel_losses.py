"""Losses of multi-label problems on long-tailed data, built on binary cross-entropy."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from .class_reweighting import class_margins
from .focal_binary_loss import focal_binary_loss
from .loss_tools import (
    check_not_negative,
    check_positive,
    check_reduction,
    class_weights,
    multi_hot,
    positive_counts,
    widen,
)


def multilabel_soft_margin_loss(logits: Tensor, targets: Tensor, reduction: str = "mean") -> Tensor:
    r"""Multi-label soft margin loss, which is binary cross-entropy of every element.

    Args:
        logits (`Tensor`): `[B, C]`.
        targets (`Tensor`): 1 for labels that apply, 0 for others, `[B, C]`; probabilities too.
        reduction (`str`, *optional*, defaults to `"mean"`):
            `"mean"` over B and C, `"sum"` or `"none"`. PyTorch's function of this name averages over C first, also
            with the other two; the mean is the same.

    Returns:
        `Tensor`: scalar, or `[B, C]` with `reduction="none"`; float32 or wider.

    Raises:
        ValueError: for an unknown reduction or shapes that differ.

    Example:

    ```python
    >>> import torch
    >>> from xmodal_lt.losses import multilabel_soft_margin_loss
    >>> round(float(multilabel_soft_margin_loss(torch.zeros(1, 2), torch.tensor([[1, 0]]))), 4)  # log 2
    0.6931
    ```
    """
    return _binary_cross_entropy(widen(logits), targets, None, reduction)


def multilabel_focal_loss(
    logits: Tensor,
    targets: Tensor,
    gamma: float = 2.0,
    alpha: float = 2.0,
    reduction: str = "mean",
    detach_focus: bool = False,
) -> Tensor:
    r"""Focal loss of every element, alpha (1 - p_t)^gamma b with b = BCE(x, y) and p_t = exp(-b).

    Args:
        logits (`Tensor`): `[B, C]`.
        targets (`Tensor`):
            1 for labels that apply, 0 for others, `[B, C]`. For a value y between, 1 - p_t becomes |sigmoid(x) - y|,
            as in quality focal loss.
        gamma (`float`, *optional*, defaults to 2.0): focusing, at least 0; 0 is binary cross-entropy times alpha.
        alpha (`float`, *optional*, defaults to 2.0): constant factor.
        reduction (`str`, *optional*, defaults to `"mean"`): `"mean"` over B and C, `"sum"` or `"none"`.
        detach_focus (`bool`, *optional*, defaults to `False`):
            Whether the focusing factor is a constant for the gradient. The loss is the same.

    Returns:
        `Tensor`: scalar, or `[B, C]` with `reduction="none"`; float32 or wider.

    Raises:
        ValueError: for an unknown reduction, shapes that differ or a negative gamma.

    Source:
        Lin et al. 2017, eq. 4 (focal loss), with the factor 2 of Wu et al. 2020. The modulator is of each element; a
        modulator of the batch's mean loss, as in the released code of CPRFL, is another loss.

    Example:

    ```python
    >>> import torch
    >>> from xmodal_lt.losses import multilabel_focal_loss
    >>> round(float(multilabel_focal_loss(torch.zeros(1, 2), torch.tensor([[1, 0]]))), 4)  # 2 * 0.5^2 * log 2
    0.3466
    ```
    """
    check_not_negative(gamma=gamma)
    logits = widen(logits)
    targets = multi_hot(targets, logits)
    return focal_binary_loss(logits, targets, gamma, alpha, reduction=reduction, detach_focus=detach_focus)


def reweighted_multilabel_loss(
    logits: Tensor,
    targets: Tensor,
    class_counts: Sequence[int] | Tensor,
    num_samples: int,
    power: float = 0.5,
    reduction: str = "mean",
) -> Tensor:
    r"""Binary cross-entropy, positives and negatives of class c weighed by (N / n_c)^power.

    Args:
        logits (`Tensor`): `[B, C]`.
        targets (`Tensor`): 1 for labels that apply, 0 for others, `[B, C]`.
        class_counts (`Sequence[int]` or `Tensor`): training samples that carry each label, `[C]`, all positive.
        num_samples (`int`): N, the training samples.
        power (`float`, *optional*, defaults to 0.5): 0.5 for smooth re-weighting, 1 for the inverse frequency.
        reduction (`str`, *optional*, defaults to `"mean"`): `"mean"` over B and C, `"sum"` or `"none"`.

    Returns:
        `Tensor`: scalar, or `[B, C]` with `reduction="none"`; float32 or wider.

    Raises:
        ValueError: for an unknown reduction, shapes that differ, or a class without samples.

    Source:
        The re-weighting baseline of Wu et al. 2020 (RS and RW of table 1), after Mahajan et al. 2018.

    Example:

    ```python
    >>> import torch
    >>> from xmodal_lt.losses import reweighted_multilabel_loss
    >>> logits, targets = torch.zeros(1, 2), torch.tensor([[1, 0]])
    >>> reweighted_multilabel_loss(logits, targets, [25, 1], num_samples=100, reduction="none")  # log 2 times 2 and 10
    tensor([[1.3863, 6.9315]])
    ```
    """
    logits = widen(logits)
    weight = (num_samples / positive_counts(class_counts, logits.shape[-1])).pow(power)
    return _binary_cross_entropy(logits, targets, weight.to(logits), reduction)


def multilabel_ldam_loss(
    logits: Tensor,
    targets: Tensor,
    class_counts: Sequence[int] | Tensor,
    max_margin: float = 0.5,
    scale: float = 1.0,
    weight: Sequence[float] | Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    r"""Label-distribution-aware margins: binary cross-entropy of `scale * (logits - m)`, with m only at positives.

    Args:
        logits (`Tensor`): `[B, C]`.
        targets (`Tensor`): 1 for labels that apply, 0 for others, `[B, C]`.
        class_counts (`Sequence[int]` or `Tensor`): training samples that carry each label, `[C]`, all positive.
        max_margin (`float`, *optional*, defaults to 0.5):
            Margin of the rarest class, at least 0; n_c^(-1/4) makes the others'.
        scale (`float`, *optional*, defaults to 1.0): factor of the logits, above 0; larger for cosines, such as 30.
        weight (`Sequence[float]` or `Tensor`, *optional*):
            Factors of the classes' elements, `[C]`. They do not divide the mean.
        reduction (`str`, *optional*, defaults to `"mean"`): `"mean"` over B and C, `"sum"` or `"none"`.

    Returns:
        `Tensor`: scalar, or `[B, C]` with `reduction="none"`; float32 or wider.

    Raises:
        ValueError: for an unknown reduction, shapes that differ, a class without samples, or a margin or scale
            outside its range.

    Source:
        The LDAM baseline that Wu et al. 2020 and CPRFL compare with. Neither gives its formula: the margins of Cao et
        al. 2019 are put into a sigmoid cross-entropy here.

    Example:

    ```python
    >>> import torch
    >>> from xmodal_lt.losses import multilabel_ldam_loss
    >>> logits, targets = torch.tensor([[0.25, 0.0]]), torch.tensor([[1, 0]])
    >>> multilabel_ldam_loss(logits, targets, class_counts=[16, 1], reduction="none")  # the margin of 16 is 0.25
    tensor([[0.6931, 0.6931]])
    ```
    """
    check_not_negative(max_margin=max_margin)
    check_positive(scale=scale)
    logits = widen(logits)
    targets = multi_hot(targets, logits)
    margins = class_margins(positive_counts(class_counts, logits.shape[-1]), max_margin).to(logits)
    logits = scale * torch.addcmul(logits, targets, margins, value=-1)
    return _binary_cross_entropy(logits, targets, class_weights(weight, logits), reduction)


def _binary_cross_entropy(logits: Tensor, targets: Tensor, weight: Tensor | None, reduction: str) -> Tensor:
    check_reduction(reduction)
    return F.binary_cross_entropy_with_logits(logits, multi_hot(targets, logits), weight, reduction=reduction)


__all__ = [
    "multilabel_focal_loss",
    "multilabel_ldam_loss",
    "multilabel_soft_margin_loss",
    "reweighted_multilabel_loss",
]
