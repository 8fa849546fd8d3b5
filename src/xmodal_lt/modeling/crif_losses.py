"""The losses of CRIF that need its semantic modality."""

import torch
import torch.nn.functional as F
from torch import Tensor

from .alignment_losses import centroid_alignment_loss, deep_coral_loss, kl_alignment_loss, l2_alignment_loss
from .classification_losses import ClassificationLoss
from .configuration_crif import CRIFConfig
from .crif_outputs import CRIFModelOutput
from .loss_tools import widen


def semantic_loss_parts(
    config: CRIFConfig,
    outputs: CRIFModelOutput,
    logits: dict[str, Tensor],
    labels: Tensor,
    words: Tensor | None,
    classify: ClassificationLoss,
) -> dict[str, Tensor]:
    """L_sim, L_align, L_recon and the classification of semantic features, over the samples that have words.

    Args:
        config ([`CRIFConfig`]): of the model.
        outputs ([`CRIFModelOutput`]): with the features of the semantic modality.
        logits (`dict[str, Tensor]`): `[B, C]`, of the branches that read it.
        labels (`Tensor`): class ids `[B]`, or targets `[B, C]`.
        words (`Tensor` or `None`): 0 or 1 for each word, `[B, W]`; `None` where privileged features stand for words.
        classify (`ClassificationLoss`): the classification loss.

    Returns:
        `dict[str, Tensor]`: scalars `similarity`, `alignment`, `reconstruction` and `<branch>_classification`; of a
        batch without any word they are 0.
    """
    images, targets = _given(outputs.image_embeds), _given(outputs.semantic_embeds)
    if config.detach_words:
        targets = targets.detach()
    described = labels.new_ones(len(labels), dtype=torch.bool) if words is None else words.any(dim=1)
    names = ("similarity", "alignment", "reconstruction", *(f"{branch}_classification" for branch in logits))
    if not described.any():
        word_logits = _given(outputs.word_logits)
        inputs = ((images, targets), (images, targets), (word_logits,), *((rows,) for rows in logits.values()))
        return {name: _nothing(*tensors) for name, tensors in zip(names, inputs, strict=True)}
    images, targets, labels = images[described], targets[described], labels[described]
    size = config.content_size
    losses = (
        l2_alignment_loss(images, targets, config.normalize_similarity),
        content_alignment_loss(config, images[:, :size], targets[:, :size], labels),
        feature_reconstruction_loss(_given(outputs.inferred_embeds), _given(outputs.semantic_features))
        if words is None
        else word_reconstruction_loss(_given(outputs.word_logits)[described], words[described], config.word_loss),
        *(classify(rows[described], labels) for rows in logits.values()),
    )
    return dict(zip(names, losses, strict=True))


def _nothing(*tensors: Tensor) -> Tensor:
    """Zero, but joined to the graph: every rank of a distributed run must reach the same parameters."""
    return 0.0 * torch.stack([widen(tensor).sum() for tensor in tensors]).sum()


def _given(features: Tensor | None) -> Tensor:
    assert features is not None  # the caller has words
    return features


def content_alignment_loss(config: CRIFConfig, images: Tensor, words: Tensor, labels: Tensor) -> Tensor:
    """L_align: `config.alignment_function` of content features.

    Args:
        config ([`CRIFConfig`]): of the model.
        images (`Tensor`): x_c, `[B, D]`.
        words (`Tensor`): t_c, `[B, D]`; detached by the caller where they are fixed targets.
        labels (`Tensor`): class ids `[B]` or targets `[B, C]`, for the centroids.

    Returns:
        `Tensor`: scalar.
    """
    if config.alignment_function == "l2":
        return l2_alignment_loss(images, words)
    if config.alignment_function == "kl":
        return kl_alignment_loss(images, words, detach_words=False)
    if config.alignment_function == "centroid":
        return centroid_alignment_loss(images, words, labels)
    return deep_coral_loss(images, words, config.coral_mode)


def word_reconstruction_loss(word_logits: Tensor, words: Tensor, kind: str) -> Tensor:
    """L_recon on words.

    Args:
        word_logits (`Tensor`): predicted words, `[B, W]`.
        words (`Tensor`): 0/1 targets, `[B, W]`, with at least one word in each row.
        kind (`str`): `"bce"`, or `"cross_entropy"` to the words in equal shares.

    Returns:
        `Tensor`: scalar.
    """
    logits = widen(word_logits)
    targets = words.to(logits.dtype)
    if kind == "cross_entropy":
        return F.cross_entropy(logits, targets / targets.sum(dim=1, keepdim=True))
    return F.binary_cross_entropy_with_logits(logits, targets)


def feature_reconstruction_loss(inferred_embeds: Tensor, semantic_features: Tensor) -> Tensor:
    """L_recon where the semantic modality has no words: mean squared error of t_r to t, a fixed target."""
    return F.mse_loss(widen(inferred_embeds), widen(semantic_features.detach()))


__all__ = [
    "content_alignment_loss",
    "feature_reconstruction_loss",
    "semantic_loss_parts",
    "word_reconstruction_loss",
]
