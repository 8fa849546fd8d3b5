"""Cross-modal focal loss of a model with one classifier for each modality."""

import torch
import torch.nn.functional as F
from torch import Tensor

from .loss_tools import check_class_ids, check_not_negative, multi_hot, power, reduce_loss, widen


EPSILON = 1e-9  # of the paper: keeps the weight finite where both probabilities are zero


def cross_modal_focal_loss(
    logits_a: Tensor,
    logits_b: Tensor,
    target: Tensor,
    gamma: float = 3.0,
    alpha: float = 1.0,
    focus_positives: bool = True,
    detach_other: bool = False,
    reduction: str = "mean",
) -> Tensor:
    r"""Mean of the focal losses of two classifiers, each turned down where the other one is right too.

    With p and q the probabilities that a and b give to the truth, the loss of a is -alpha (1 - w)^gamma log(p), with
    w = q * 2pq / (p + q): the harmonic mean of both, times the other's. That of b has p and q exchanged.

    Args:
        logits_a (`Tensor`): logits of the first modality, `[B, C]`.
        logits_b (`Tensor`): logits of the second modality, `[B, C]`.
        target (`Tensor`):
            Class ids, long `[B]`, for softmax probabilities; or 0 and 1, `[B, C]`, for a sigmoid of each element,
            where the probability of the truth is 1 - sigmoid(x) for a 0.
        gamma (`float`, *optional*, defaults to 3.0): focusing, at least 0.
        alpha (`float`, *optional*, defaults to 1.0): constant factor.
        focus_positives (`bool`, *optional*, defaults to `True`):
            Whether positives are focused too; else they keep -alpha log(p). `False` needs targets `[B, C]`.
        detach_other (`bool`, *optional*, defaults to `False`):
            Whether the other classifier's probability is a constant for the gradient. The loss is the same.
        reduction (`str`, *optional*, defaults to `"mean"`): `"mean"`, `"sum"` or `"none"`.

    Returns:
        `Tensor`: scalar, or with `reduction="none"` `[B]` for class ids and `[B, C]` for multi-hot targets; float32 or
        wider.

    Raises:
        ValueError: for an unknown reduction, wrong shapes, a negative `gamma`, or class ids with
            `focus_positives=False`.

    Source:
        George and Marcel 2021, eq. 5 and 6 (CMFL), for the two classes of face anti-spoofing. More classes and several
        labels are an extension. The paper adds binary cross-entropy of a joint classifier, and halves both.

    Example:

    ```python
    >>> import torch
    >>> from xmodal_lt.losses import cross_modal_focal_loss
    >>> sure, unsure, target = torch.tensor([[9.0, 0.0]]), torch.tensor([[0.0, 0.0]]), torch.tensor([0])
    >>> losses = [cross_modal_focal_loss(unsure, other, target) for other in (unsure, sure)]
    >>> [round(float(loss), 4) for loss in losses]  # the same classifier counts less beside a sure one
    [0.2924, 0.0129]
    ```
    """
    check_not_negative(gamma=gamma)
    if logits_a.shape != logits_b.shape:
        raise ValueError(
            f"Both modalities must have logits [B, C], got {tuple(logits_a.shape)} and {tuple(logits_b.shape)}."
        )
    logits_a, logits_b = widen(logits_a), widen(logits_b)
    if target.ndim == 1:
        target = check_class_ids(target, logits_a)
        if not focus_positives:
            raise ValueError("focus_positives=False needs targets [B, C] of 0 and 1; class ids have no negatives.")
        losses = [F.cross_entropy(logits, target, reduction="none") for logits in (logits_a, logits_b)]
        focused: Tensor | float = 1.0
    else:
        targets = multi_hot(target, logits_a)
        losses = [
            F.binary_cross_entropy_with_logits(logits, targets, reduction="none") for logits in (logits_a, logits_b)
        ]
        focused = 1.0 if focus_positives else 1 - targets
    a, b = losses
    focus_a = _focus(a, b.detach() if detach_other else b, focused, gamma)
    focus_b = _focus(b, a.detach() if detach_other else a, focused, gamma)
    return reduce_loss(0.5 * alpha * (focus_a * a + focus_b * b), reduction)


def _focus(own_loss: Tensor, other_loss: Tensor, focused: Tensor | float, gamma: float) -> Tensor:
    """`(1 - w)^gamma` of the negative log probabilities of the truth."""
    p, q = (-own_loss).exp(), (-other_loss).exp()
    weight = (q + EPSILON) * 2 * p * q / (p + q + EPSILON)
    # Never 0, where powers below 1 have no derivative
    return power((1 - focused * weight).clamp_min(torch.finfo(p.dtype).tiny), gamma)


__all__ = ["cross_modal_focal_loss"]
