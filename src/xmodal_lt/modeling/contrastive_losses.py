"""Contrastive losses of images and sentences of the same classes.

Symbols of VL-LTR: S is the matrix of cosines of images (rows) and sentences (columns), tau the temperature.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from .loss_tools import INTEGERS, check_below_one, widen


VARIANTS = ("code", "paper")


def class_contrastive_loss(
    image_embeds: Tensor,
    text_embeds: Tensor,
    labels: Tensor,
    logit_scale: float | Tensor,
    label_smoothing: float = 0.1,
    variant: str = "code",
) -> Tensor:
    r"""Cross-entropy of each image to all sentences of its class, and of each sentence to all images of its class.

    Args:
        image_embeds (`Tensor`): `[B, D]`, of any length.
        text_embeds (`Tensor`): one sentence of the class of each image, `[B, D]`, of any length.
        labels (`Tensor`): class ids of the pairs, `[B]`.
        logit_scale (`float` or `Tensor`): log(1/tau), as CLIP's parameter: cosines are multiplied by its exponential.
        label_smoothing (`float`, *optional*, defaults to 0.1):
            Share of the target, in [0, 1), that is spread over the whole batch. Not used by `"paper"`.
        variant (`str`, *optional*, defaults to `"code"`):
            `"code"` is the mean of the two sides, with label smoothing, as the released code computes it; `"paper"` is
            their sum without smoothing, as eq. 2 prints it.

    Returns:
        `Tensor`: scalar, averaged over the batch; float32 or wider.

    Raises:
        ValueError: for an unknown variant, wrong shapes, labels that are no class ids, or a smoothing outside [0, 1).

    Source:
        Tian et al. 2022 (VL-LTR), eq. 2.

    Example:

    ```python
    >>> import torch
    >>> from xmodal_lt.losses import class_contrastive_loss
    >>> images = sentences = torch.ones(2, 3)  # all alike: each side is log 2
    >>> loss = class_contrastive_loss(images, sentences, torch.tensor([0, 1]), logit_scale=0.0)
    >>> round(float(loss), 4)
    0.6931
    ```
    """
    _check_variant(variant)
    check_below_one(label_smoothing=label_smoothing)
    logits = cosine_logits(image_embeds, text_embeds, logit_scale)
    if labels.shape != logits.shape[:1] or labels.dtype not in INTEGERS:
        raise ValueError(
            f"Expected labels [{len(logits)}] of integer class ids, one for each pair of image and sentence, got "
            f"{tuple(labels.shape)} of {labels.dtype}."
        )
    same = (labels[:, None] == labels).to(logits.dtype)
    targets = same / same.sum(1, keepdim=True)  # symmetric, so that it serves the columns too
    smoothing = label_smoothing if variant == "code" else 0.0
    image_side = F.cross_entropy(logits, targets, label_smoothing=smoothing)
    text_side = F.cross_entropy(logits.T, targets, label_smoothing=smoothing)
    return _join(image_side, text_side, variant)


def contrastive_distillation_loss(
    image_embeds: Tensor,
    text_embeds: Tensor,
    teacher_image_embeds: Tensor,
    teacher_text_embeds: Tensor,
    logit_scale: float | Tensor,
    teacher_logit_scale: float | Tensor,
    variant: str = "code",
) -> Tensor:
    r"""Cross-entropy of how images and sentences match each other to how they match for a frozen teacher.

    Args:
        image_embeds (`Tensor`): `[B, D]`, of any length.
        text_embeds (`Tensor`): one sentence for each image, `[B, D]`, of any length.
        teacher_image_embeds (`Tensor`): the teacher's of the same images, `[B, D']`; they get no gradient.
        teacher_text_embeds (`Tensor`): the teacher's of the same sentences, `[B, D']`; they get no gradient.
        logit_scale (`float` or `Tensor`): log(1/tau), as CLIP's parameter: cosines are multiplied by its exponential.
        teacher_logit_scale (`float` or `Tensor`): the teacher's own; log(100) of the published CLIPs. No gradient.
        variant (`str`, *optional*, defaults to `"code"`):
            `"code"` is the mean of the two sides over the teacher's whole softmax, as the released code computes it;
            `"paper"` is their sum with the probability of the pair alone, as eq. 3 prints it. Eq. 3 has one tau for
            both matrices; here the teacher keeps its own in both variants.

    Returns:
        `Tensor`: scalar, averaged over the batch; float32 or wider. Its least value is not 0 but, of `"code"`, the
        entropy of the teacher.

    Raises:
        ValueError: for an unknown variant, wrong shapes, or a teacher that saw another number of pairs.

    Source:
        Tian et al. 2022 (VL-LTR), eq. 3.

    Example:

    ```python
    >>> import torch
    >>> from xmodal_lt.losses import contrastive_distillation_loss
    >>> alike, apart = torch.ones(2, 2), torch.eye(2)
    >>> loss = contrastive_distillation_loss(alike, alike, apart, apart, 0.0, 4.6)  # log 2, whatever the teacher says
    >>> round(float(loss), 4)
    0.6931
    ```
    """
    _check_variant(variant)
    logits = cosine_logits(image_embeds, text_embeds, logit_scale)
    with torch.no_grad():
        teacher_logits = cosine_logits(teacher_image_embeds, teacher_text_embeds, teacher_logit_scale)
    if logits.shape != teacher_logits.shape:
        raise ValueError(
            f"The teacher must embed the same pairs, but there are {len(logits)} pairs and {len(teacher_logits)} of "
            "the teacher."
        )
    side = _soft_cross_entropy if variant == "code" else _pair_cross_entropy
    return _join(side(logits, teacher_logits), side(logits.T, teacher_logits.T), variant)


def cosine_logits(image_embeds: Tensor, text_embeds: Tensor, logit_scale: float | Tensor) -> Tensor:
    """S / tau, the scaled cosines of all images and all sentences of a batch of pairs.

    Args:
        image_embeds (`Tensor`): `[B, D]`, of any length.
        text_embeds (`Tensor`): `[B, D]`, of any length.
        logit_scale (`float` or `Tensor`): log(1/tau).

    Returns:
        `Tensor`: `[B, B]`, images by sentences; float32 or wider.

    Raises:
        ValueError: for other shapes.
    """
    if image_embeds.ndim != 2 or image_embeds.shape != text_embeds.shape:
        raise ValueError(
            f"Images and sentences must be pairs of embeddings of one shape [B, D], got {tuple(image_embeds.shape)} "
            f"and {tuple(text_embeds.shape)}."
        )
    factor = inverse_temperature(logit_scale)
    images, texts = F.normalize(widen(image_embeds), dim=-1), F.normalize(widen(text_embeds), dim=-1)
    with torch.autocast(images.device.type, enabled=False):  # it would narrow the product
        return factor * (images @ texts.T)


def inverse_temperature(logit_scale: float | Tensor) -> float | Tensor:
    """1 / tau, the exponential of CLIP's parameter, in float32 or wider.

    Args:
        logit_scale (`float` or `Tensor`): log(1/tau), a number or a tensor without dimensions.

    Returns:
        `float` or `Tensor`: of the same kind.

    Raises:
        ValueError: for a tensor that has dimensions.
    """
    if not isinstance(logit_scale, Tensor):
        return math.exp(logit_scale)
    if logit_scale.ndim:
        raise ValueError(
            f"logit_scale must be a number or a tensor without dimensions, got shape {tuple(logit_scale.shape)}."
        )
    return widen(logit_scale).exp()


def _soft_cross_entropy(logits: Tensor, teacher_logits: Tensor) -> Tensor:
    return F.cross_entropy(logits, teacher_logits.softmax(dim=1))


def _pair_cross_entropy(logits: Tensor, teacher_logits: Tensor) -> Tensor:
    """Of the diagonal alone, where the pairs are."""
    return -(teacher_logits.softmax(dim=1).diagonal() * logits.log_softmax(dim=1).diagonal()).mean()


def _join(image_side: Tensor, text_side: Tensor, variant: str) -> Tensor:
    total = image_side + text_side
    return total / 2 if variant == "code" else total


def _check_variant(variant: str) -> None:
    if variant not in VARIANTS:
        raise ValueError(f"Unknown variant {variant!r}; expected one of {', '.join(VARIANTS)}.")


__all__ = [
    "VARIANTS",
    "class_contrastive_loss",
    "contrastive_distillation_loss",
    "cosine_logits",
    "inverse_temperature",
]
