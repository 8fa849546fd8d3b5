"""Losses that shape features and attention maps, beside a classification loss."""

import torch
from torch import Tensor

from .loss_tools import check_not_negative, widen


def discriminative_centroid_loss(
    features: Tensor, target: Tensor, centroids: Tensor, margin: float = 10.0, repel_weight: float = 0.01
) -> Tensor:
    r"""Pulls features to the centroid of their class, and away from the other centroids.

        sum_i ||f_i - c_yi||^2 / (2 B) + repel_weight * max(margin - sum_i sum_{j != yi} ||f_i - c_j||^2 / (B C), 0)

    Args:
        features (`Tensor`): `[B, D]`.
        target (`Tensor`): class ids, long `[B]`.
        centroids (`Tensor`):
            `[C, D]`, learned with the model. In the first term their gradient is divided by 1 + the class's samples
            in the batch, so that frequent classes move no faster than rare ones.
        margin (`float`, *optional*, defaults to 10.0): mean squared distance to the others above which none repels.
        repel_weight (`float`, *optional*, defaults to 0.01): weight of the second term.

    Returns:
        `Tensor`: scalar; float32 or wider.

    Raises:
        ValueError: for wrong shapes or a negative margin or weight.

    Source:
        Liu et al. 2019 (OLTR), the large-margin loss of the released code, where the total loss takes it times 0.01.

    Example:

    ```python
    >>> import torch
    >>> from xmodal_lt.losses import discriminative_centroid_loss
    >>> features, centroids = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 0.0], [9.0, 0.0]])
    >>> float(discriminative_centroid_loss(features, torch.tensor([0]), centroids))  # 2^2 / 2; 7^2 / 2 is above 10
    2.0
    ```
    """
    if features.ndim != 2 or target.shape != features.shape[:1] or features.shape[1:] != centroids.shape[1:]:
        raise ValueError(
            f"Expected features [B, D], target [B] and centroids [C, D], got {tuple(features.shape)}, "
            f"{tuple(target.shape)} and {tuple(centroids.shape)}."
        )
    check_not_negative(margin=margin, repel_weight=repel_weight)
    features, centroids = widen(features), widen(centroids)
    rows, classes = len(features), len(centroids)
    own = centroids[target]
    slowness = centroids.new_ones(classes).scatter_add(0, target, centroids.new_ones(rows))[target][:, None]
    attracting = own.detach() + (own - own.detach()) / slowness  # the centroids, with a smaller gradient
    attract = (features - attracting).square().sum() / (2 * rows)

    # All distances from the two spreads about the mean centroid, without B C D products
    centre = centroids.mean(0)
    spread = classes * (features - centre).square().sum() + rows * (centroids - centre).square().sum()
    others = (spread - (features - own).square().sum()) / (rows * classes)
    return attract + repel_weight * (margin - others).clamp_min(0)


def attention_decorrelation_loss(attention: Tensor) -> Tensor:
    r"""Mean squared overlap of different attention maps: sum of (A A^T o (1 - I))^2 / (B S^2).

    Args:
        attention (`Tensor`): S maps over K places for each sample, `[B, S, K]`, such as softmax weights.

    Returns:
        `Tensor`: scalar; float32 or wider. 0 when no two maps of a sample share a place.

    Raises:
        ValueError: when `attention` is not `[B, S, K]`.

    Source:
        Meng et al. 2019 (ATNet), the penalty of the multi-focus attention, after Lin et al. 2017 (structured
        self-attention).

    Example:

    ```python
    >>> import torch
    >>> from xmodal_lt.losses import attention_decorrelation_loss
    >>> apart, alike = torch.eye(2)[None], torch.ones(1, 2, 1)
    >>> [float(attention_decorrelation_loss(attention)) for attention in (apart, alike)]
    [0.0, 0.5]
    ```
    """
    if attention.ndim != 3:
        raise ValueError(f"Expected attention [B, S, K], got {tuple(attention.shape)}.")
    attention = widen(attention)
    with torch.autocast(attention.device.type, enabled=False):  # it would narrow the product
        overlap = attention @ attention.mT
    maps = overlap.shape[-1]
    apart = 1 - torch.eye(maps, dtype=overlap.dtype, device=overlap.device)
    return (overlap * apart).square().sum() / (len(attention) * maps**2)


__all__ = ["attention_decorrelation_loss", "discriminative_centroid_loss"]
