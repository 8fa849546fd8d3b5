"""Losses that bring image features close to word features."""

import torch.nn.functional as F
from torch import Tensor

from .loss_tools import widen


KL_DIRECTIONS = ("word_to_image", "image_to_word")
KL_REDUCTIONS = ("batchmean", "mean", "sum", "none")


def kl_alignment_loss(
    image_embeds: Tensor,
    word_embeds: Tensor,
    reduction: str = "batchmean",
    direction: str = "word_to_image",
    detach_words: bool = True,
) -> Tensor:
    r"""KL divergence between the softmaxes of word and image features.

    Args:
        image_embeds (`Tensor`): image features in the shared space, `[B, D]`.
        word_embeds (`Tensor`): word features in the shared space, `[B, D]`.
        reduction (`str`, *optional*, defaults to `"batchmean"`):
            `"batchmean"` (sum over D, mean over B), `"mean"` (mean over B and D, as the released ATNet code),
            `"sum"`, or `"none"` for `[B, D]`.
        direction (`str`, *optional*, defaults to `"word_to_image"`):
            `"word_to_image"` is KL(words || image), the words being the target; `"image_to_word"` is
            KL(image || words), the order in which the paper prints the arguments.
        detach_words (`bool`, *optional*, defaults to `True`):
            Whether gradients stop at `word_embeds`, so that images move towards words and not the reverse.

    Returns:
        `Tensor`: scalar, or `[B, D]` with `reduction="none"`; float32 or wider.

    Raises:
        ValueError: for an unknown reduction or direction, or for shapes that differ.

    Source:
        CMLTNet, eq. 2. The paper leaves direction, reduction and gradient open.

    Example:

    ```python
    >>> import torch
    >>> from xmodal_lt.losses import kl_alignment_loss
    >>> same = torch.tensor([[1.0, 2.0]])
    >>> float(kl_alignment_loss(same, same))
    0.0
    ```
    """
    if direction not in KL_DIRECTIONS:
        raise ValueError(f"Unknown direction {direction!r}; expected one of {', '.join(KL_DIRECTIONS)}.")
    if reduction not in KL_REDUCTIONS:
        raise ValueError(f"Unknown reduction {reduction!r}; expected one of {', '.join(KL_REDUCTIONS)}.")
    if image_embeds.shape != word_embeds.shape:
        raise ValueError(
            f"image_embeds and word_embeds must have one shape, got {tuple(image_embeds.shape)} and "
            f"{tuple(word_embeds.shape)}; project both to the same space first."
        )
    words = word_embeds.detach() if detach_words else word_embeds
    log_image = F.log_softmax(widen(image_embeds), dim=-1)
    log_words = F.log_softmax(widen(words), dim=-1)
    predicted, target = (log_image, log_words) if direction == "word_to_image" else (log_words, log_image)
    divergence = F.kl_div(predicted, target, reduction="none", log_target=True)
    # Reduced here, because PyTorch announces that "mean" of `kl_div` will become its "batchmean".
    if reduction == "none":
        return divergence
    if reduction == "mean":
        return divergence.mean()
    total = divergence.sum()
    return total / len(divergence) if reduction == "batchmean" else total


__all__ = ["KL_DIRECTIONS", "KL_REDUCTIONS", "kl_alignment_loss"]
