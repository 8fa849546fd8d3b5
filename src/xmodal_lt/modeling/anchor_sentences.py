"""Anchor sentences: the few sentences of each class that its images match best (AnSS of VL-LTR)."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .contrastive_losses import inverse_temperature
from .loss_tools import INTEGERS, widen


BLOCK_BYTES = 2**24  # of one matrix of sentences by images; some three of them stand at once

Batches = Iterable[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Anchors:
    """The sentences that were kept of each class, M places for each of C classes.

    Args:
        embeds (`Tensor`): `[C, M, D]`, as the encoder gave them; zeros where a class has fewer than M sentences.
        num_sentences (`Tensor`): how many places of each class are taken, long `[C]`, from 0 to M.
        indices (`Tensor`): place of the sentence among those of its class, long `[C, M]`; -1 where there is none.
        losses (`Tensor`): `[C, M]`, increasing; infinity without a sentence, or for one that was not scored.
    """

    embeds: Tensor
    num_sentences: Tensor
    indices: Tensor
    losses: Tensor


@torch.no_grad()
def sentence_losses(
    text_embeds: Tensor,
    text_labels: Tensor,
    image_embeds: Tensor,
    image_labels: Tensor,
    logit_scale: float | Tensor,
) -> Tensor:
    r"""How badly each sentence finds the images of its class among all images: the text side of the contrastive loss.

    Args:
        text_embeds (`Tensor`): S sentences, `[S, D]`, of any length.
        text_labels (`Tensor`): their classes, `[S]`.
        image_embeds (`Tensor`): N images, `[N, D]`, of any length; the paper takes at most 50 of each class.
        image_labels (`Tensor`): their classes, `[N]`.
        logit_scale (`float` or `Tensor`): log(1/tau), as CLIP's parameter: cosines are multiplied by its exponential.

    Returns:
        `Tensor`: `[S]`, without history; float32 or wider. Infinity for a sentence whose class has no image. It takes
        some 50 MB however many sentences there are.

    Raises:
        ValueError: for shapes that do not fit, labels that are no class ids, or embeddings that are not finite.

    Source:
        Tian et al. 2022 (VL-LTR), section 3.3 with L_lin of eq. 2.

    Example:

    ```python
    >>> import torch
    >>> from xmodal_lt.modeling.anchor_sentences import sentence_losses
    >>> images, sentences = torch.eye(2), torch.tensor([[1.0, 0.0], [1.0, 1.0]])
    >>> losses = sentence_losses(sentences, torch.tensor([0, 0]), images, torch.tensor([0, 1]), logit_scale=0.0)
    >>> [round(loss, 4) for loss in losses.tolist()]  # log(1 + 1/e), log 2
    [0.3133, 0.6931]
    ```
    """
    return _scorer(image_embeds, image_labels, logit_scale)(text_embeds, text_labels)


@torch.no_grad()
def select_anchors(
    batches: Batches,
    image_embeds: Tensor,
    image_labels: Tensor,
    num_classes: int,
    num_anchors: int,
    logit_scale: float | Tensor,
) -> Anchors:
    r"""Keeps the sentences of each class with the smallest [`sentence_losses`], while their embeddings go by.

    Of equal losses the earlier sentence is kept; so a class without images keeps its first sentences.

    Args:
        batches (`Iterable[tuple[Tensor, Tensor]]`):
            Embeddings `[S, D]` and classes `[S]` of sentences, in batches of any size and in any order of the classes.
            No more than a batch and the kept sentences stand in memory.
        image_embeds (`Tensor`): N images, `[N, D]`, of any length; the paper takes at most 50 of each class.
        image_labels (`Tensor`): their classes, `[N]`.
        num_classes (`int`): C.
        num_anchors (`int`): M, sentences to keep of each class.
        logit_scale (`float` or `Tensor`): log(1/tau), as CLIP's parameter: cosines are multiplied by its exponential.

    Returns:
        [`Anchors`]: on the device of the first batch.

    Raises:
        ValueError: for no batch, shapes that do not fit, labels outside 0..C-1, embeddings that are not finite, or
            fewer than one class or anchor.

    Source:
        Tian et al. 2022 (VL-LTR), section 3.3.

    Example:

    ```python
    >>> import torch
    >>> from xmodal_lt.modeling.anchor_sentences import select_anchors
    >>> images, image_labels = torch.eye(2), torch.tensor([0, 1])
    >>> sentences = [(torch.tensor([[1.0, 1.0], [1.0, 0.0]]), torch.tensor([0, 0]))]
    >>> anchors = select_anchors(sentences, images, image_labels, num_classes=2, num_anchors=1, logit_scale=0.0)
    >>> anchors.indices.tolist(), anchors.num_sentences.tolist()
    ([[1], [-1]], [1, 0])
    ```
    """
    _check_class_ids("image_labels", image_labels, num_classes)
    return _keep_best(batches, _scorer(image_embeds, image_labels, logit_scale), num_classes, num_anchors)


@torch.no_grad()
def cut_off(batches: Batches, num_classes: int, num_anchors: int) -> Anchors:
    """Keeps the first sentences of each class, whatever they say: the paper's "Cut Off".

    Args:
        batches (`Iterable[tuple[Tensor, Tensor]]`): as for [`select_anchors`].
        num_classes (`int`): C.
        num_anchors (`int`): M, sentences to keep of each class.

    Returns:
        [`Anchors`]: on the device of the first batch; all losses are infinity.

    Raises:
        ValueError: for no batch, shapes that do not fit, labels outside 0..C-1, or fewer than one class or anchor.

    Source:
        Tian et al. 2022 (VL-LTR), table 4.
    """
    return _keep_best(
        batches,
        lambda embeds, labels: torch.full(labels.shape, torch.inf, device=embeds.device),
        num_classes,
        num_anchors,
    )


def _scorer(
    image_embeds: Tensor, image_labels: Tensor, logit_scale: float | Tensor
) -> Callable[[Tensor, Tensor], Tensor]:
    """[`sentence_losses`] of fixed images, which are normalised only once."""
    _check_rows("image", image_embeds, image_labels)
    images, factor = F.normalize(widen(image_embeds), dim=-1), inverse_temperature(logit_scale)
    block = max(1, BLOCK_BYTES // max(1, len(images) * images.element_size()))

    def score(text_embeds: Tensor, text_labels: Tensor) -> Tensor:
        _check_rows("text", text_embeds, text_labels)
        if text_embeds.shape[1] != images.shape[1]:
            raise ValueError(
                f"Sentences [S, D] and images [N, D] must have one width D, got {tuple(text_embeds.shape)} and "
                f"{tuple(images.shape)}."
            )
        texts, labels = text_embeds.to(images), text_labels.to(image_labels.device)
        losses = texts.new_empty(len(texts))  # small results between the blocks would scatter the memory
        for part, rows, own in zip(losses.split(block), texts.split(block), labels.split(block), strict=True):
            part.copy_(_block_losses(rows, own, images, image_labels, factor))
        if losses.isnan().any():
            raise ValueError("Embeddings of sentences or of images are not finite, so sentences cannot be compared.")
        return losses

    return score


def _block_losses(
    texts: Tensor, text_labels: Tensor, images: Tensor, image_labels: Tensor, factor: float | Tensor
) -> Tensor:
    with torch.autocast(images.device.type, enabled=False):  # it would narrow the product
        logits = (F.normalize(texts, dim=-1) * factor) @ images.T
    same = text_labels[:, None] == image_labels
    counts = same.sum(1)
    losses = logits.logsumexp(1) - logits.mul_(same).sum(1) / counts
    return losses.masked_fill_(counts == 0, torch.inf)


def _keep_best(
    batches: Batches, score: Callable[[Tensor, Tensor], Tensor], num_classes: int, num_anchors: int
) -> Anchors:
    """Of each class the `num_anchors` sentences of the smallest score, of equal ones the earlier."""
    if num_classes < 1 or num_anchors < 1:
        raise ValueError(f"num_classes={num_classes} and num_anchors={num_anchors} must be at least 1.")
    anchors: Anchors | None = None
    seen = [0] * num_classes
    for embeds, labels in batches:
        _check_rows("text", embeds, labels)
        _check_class_ids("text_labels", labels, num_classes)
        if anchors is None:
            anchors = _no_anchors(embeds, num_classes, num_anchors)
        losses = score(embeds, labels).to(anchors.losses)
        embeds, labels = embeds.to(anchors.embeds), labels.to(anchors.embeds.device)
        classes, sizes = labels.unique(return_counts=True)
        by_class = labels.argsort(stable=True).split(sizes.tolist())
        for class_id, rows in zip(classes.tolist(), by_class, strict=True):
            indices = torch.arange(seen[class_id], seen[class_id] + len(rows), device=rows.device)
            _merge(anchors, class_id, seen[class_id], embeds[rows], indices, losses[rows])
            seen[class_id] += len(rows)
    if anchors is None:
        raise ValueError("There are no sentences to choose from; give at least one batch.")
    anchors.num_sentences.copy_(torch.tensor(seen).clamp_max(num_anchors))
    return anchors


def _no_anchors(embeds: Tensor, num_classes: int, num_anchors: int) -> Anchors:
    places = num_classes, num_anchors
    return Anchors(
        embeds=embeds.new_zeros(*places, embeds.shape[1]),
        num_sentences=embeds.new_zeros(num_classes, dtype=torch.long),
        indices=embeds.new_full(places, -1, dtype=torch.long),
        losses=embeds.new_full(places, torch.inf, dtype=widen(embeds).dtype),
    )


def _merge(anchors: Anchors, class_id: int, seen: int, embeds: Tensor, indices: Tensor, losses: Tensor) -> None:
    """Puts new sentences of a class among those that are kept, after `seen` earlier ones."""
    kept = [field[class_id] for field in (anchors.losses, anchors.indices, anchors.embeds)]
    taken, places = min(seen, len(kept[0])), len(kept[0])
    candidates = [torch.cat((field[:taken], new)) for field, new in zip(kept, (losses, indices, embeds), strict=True)]
    best = candidates[0].sort(stable=True).indices[:places]  # stable: the earlier ones stand first
    for field, rows in zip(kept, candidates, strict=True):
        field[: len(best)] = rows[best]


def _check_rows(kind: str, embeds: Tensor, labels: Tensor) -> None:
    if embeds.ndim != 2 or labels.shape != embeds.shape[:1] or labels.dtype not in INTEGERS:
        raise ValueError(
            f"Expected {kind}_embeds [N, D] and {kind}_labels [N] of integer class ids, got {tuple(embeds.shape)} and "
            f"{tuple(labels.shape)} of {labels.dtype}."
        )


def _check_class_ids(name: str, labels: Tensor, num_classes: int) -> None:
    outside = labels[(labels < 0) | (labels >= num_classes)]
    if len(outside):
        raise ValueError(
            f"{name} has the class {int(outside[0])}, but there are {num_classes} classes: expected 0 to "
            f"{num_classes - 1}."
        )


__all__ = ["BLOCK_BYTES", "Anchors", "cut_off", "select_anchors", "sentence_losses"]
