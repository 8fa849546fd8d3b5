"""Heads of VL-LTR beside the language-guided one, which read sentences without learning anything."""

import torch
import torch.nn.functional as F
from torch import Tensor

from .class_sentences import ClassSentences
from .loss_tools import widen


_UNVOTED = 1e-6  # probability of a class without a vote, so that logits and losses stay finite


def nearest_sentence_logits(
    image_embeds: Tensor, sentences: ClassSentences, logit_scale: Tensor, num_neighbors: int
) -> Tensor:
    r"""Classes by a vote of the sentences next to each image (the KNN head of the paper's table 4).

    The k sentences of any class with the largest cosines vote for their classes with weights
    \\(\mathrm{softmax}_k(\exp(s) \cos)\\).

    Args:
        image_embeds (`Tensor`): `[B, D]`, not normalised.
        sentences ([`ClassSentences`]): those of the C classes.
        logit_scale (`Tensor`): s, 0-d.
        num_neighbors (`int`): k; all sentences where there are fewer.

    Returns:
        `Tensor`: the logarithm of each class's share of the votes, `[B, C]`; float32 or wider.

    Source:
        Tian et al. 2022 (VL-LTR), table 4, which does not say how neighbours vote; the weights are those of Wu et al.
        2018 ("Unsupervised feature learning via non-parametric instance discrimination").
    """
    embeds = F.normalize(widen(image_embeds), dim=-1)
    texts = F.normalize(sentences.embeds.to(embeds.dtype), dim=-1).flatten(0, 1)
    # Places without a sentence are masked and not left out, as shapes that depend on values cannot be exported. Of a
    # new model, all are.
    (num_classes, most), valid = sentences.valid.shape, sentences.valid.flatten()
    products = _products(embeds, texts).masked_fill(~valid & valid.any(), -torch.inf)
    cosines, neighbours = products.topk(min(num_neighbors, len(valid)), dim=-1)
    votes = (widen(logit_scale).exp() * cosines).softmax(dim=-1).masked_fill(~valid[neighbours], 0)
    shares = votes.new_zeros(votes.shape[0], num_classes)
    return shares.scatter_add(1, neighbours // most, votes).clamp_min(_UNVOTED).log()


def zero_shot_logits(image_embeds: Tensor, class_embeds: Tensor, logit_scale: Tensor) -> Tensor:
    r"""Classes by the cosines \\(\exp(s) \cos(E, t_c)\\) of images and class embeddings.

    Args:
        image_embeds (`Tensor`): E `[B, D]`, not normalised.
        class_embeds (`Tensor`): t `[C, D]`, see [`prompt_ensemble`].
        logit_scale (`Tensor`): s, 0-d.

    Returns:
        `Tensor`: `[B, C]`; float32 or wider.
    """
    images, classes = (F.normalize(widen(embeds), dim=-1) for embeds in (image_embeds, class_embeds))
    return widen(logit_scale).exp() * _products(images, classes.to(images.dtype))


def prompt_ensemble(text_embeds: Tensor, class_ids: Tensor, num_classes: int) -> Tensor:
    """The embedding of each class: the mean of its prompts' embeddings of length 1, brought to length 1 again.

    Args:
        text_embeds (`Tensor`): of S prompts, `[S, D]`.
        class_ids (`Tensor`): the class of each prompt, long `[S]`.
        num_classes (`int`): C, each with at least one prompt.

    Returns:
        `Tensor`: `[C, D]`; float32 or wider.

    Source:
        Radford et al. 2021 (CLIP), section 3.1.4.
    """
    embeds = F.normalize(widen(text_embeds), dim=-1)
    sums = torch.zeros(num_classes, embeds.shape[1], dtype=embeds.dtype, device=embeds.device)
    return F.normalize(sums.index_add(0, class_ids, embeds), dim=-1)  # of the sum as of the mean


def _products(images: Tensor, texts: Tensor) -> Tensor:
    """Of all images and texts, `[B, S]`; never in half precision, whose rounding the scale would magnify."""
    with torch.autocast(images.device.type, enabled=False):
        return images @ texts.T


__all__ = ["nearest_sentence_logits", "prompt_ensemble", "zero_shot_logits"]
