"""Losses that bring image features close to word features."""

import torch
import torch.nn.functional as F
from torch import Tensor

from .loss_tools import reduce_loss, widen


KL_DIRECTIONS = ("word_to_image", "image_to_word")
KL_REDUCTIONS = ("batchmean", "mean", "sum", "none")
CORAL_MODES = ("coral", "literal")


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
    _check_pairs(image_embeds, word_embeds)
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


def l2_alignment_loss(
    image_embeds: Tensor, word_embeds: Tensor, normalize: bool = False, reduction: str = "mean"
) -> Tensor:
    r"""Euclidean distance of each image to its words: the mean of \\(\lVert x_i - t_i \rVert_2\\) over the batch.

    Args:
        image_embeds (`Tensor`): image features in the shared space, `[B, D]`.
        word_embeds (`Tensor`): word features in the shared space, `[B, D]`.
        normalize (`bool`, *optional*, defaults to `False`):
            Whether features are brought to length 1 first; distances are then between 0 and 2.
        reduction (`str`, *optional*, defaults to `"mean"`): `"mean"`, `"sum"`, or `"none"` for `[B]`.

    Returns:
        `Tensor`: scalar, or `[B]` with `reduction="none"`; float32 or wider. Equal features have the gradient 0.

    Raises:
        ValueError: for an unknown reduction, or for shapes that differ.

    Source:
        CRIF, eq. 13, which prints the norm without a reduction; its text calls the measure normalised.

    Example:

    ```python
    >>> import torch
    >>> from xmodal_lt.losses import l2_alignment_loss
    >>> float(l2_alignment_loss(torch.tensor([[3.0, 4.0]]), torch.zeros(1, 2)))
    5.0
    ```
    """
    _check_pairs(image_embeds, word_embeds)
    images, words = widen(image_embeds), widen(word_embeds)
    if normalize:
        images, words = F.normalize(images, dim=-1), F.normalize(words, dim=-1)
    distances = torch.linalg.vector_norm(images - words, dim=-1)
    return reduce_loss(distances, reduction)


def deep_coral_loss(image_embeds: Tensor, word_embeds: Tensor, mode: str = "coral") -> Tensor:
    r"""Distance of the covariances of image and word features: \\(\lVert C_x - C_t \rVert_F^2 / (4 D^2)\\).

    Args:
        image_embeds (`Tensor`): image features in the shared space, `[B, D]`.
        word_embeds (`Tensor`): word features in the shared space, `[B', D]`; as many as images for `"literal"`.
        mode (`str`, *optional*, defaults to `"coral"`):
            `"coral"` compares the covariances over the batch (that of a single sample is 0); `"literal"` the features
            themselves, \\(\lVert x - t \rVert_F^2 / (4 D^2)\\), as CRIF prints it.

    Returns:
        `Tensor`: scalar; float32 or wider.

    Raises:
        ValueError: for an unknown mode, or for shapes that do not fit.

    Source:
        Sun and Saenko 2016 (Deep CORAL), eq. 1. CRIF names it in the text of eq. 10.

    Example:

    ```python
    >>> import torch
    >>> from xmodal_lt.losses import deep_coral_loss
    >>> features = torch.tensor([[0.0], [2.0]])
    >>> [float(deep_coral_loss(features, features + shift)) for shift in (0.0, 5.0)]  # blind to the mean
    [0.0, 0.0]
    ```
    """
    if mode not in CORAL_MODES:
        raise ValueError(f"Unknown mode {mode!r}; expected one of {', '.join(CORAL_MODES)}.")
    if mode == "literal":
        _check_pairs(image_embeds, word_embeds)
    if image_embeds.ndim != 2 or word_embeds.ndim != 2 or image_embeds.shape[1] != word_embeds.shape[1]:
        raise ValueError(
            f"Expected image_embeds [B, D] and word_embeds [B', D], got {tuple(image_embeds.shape)} and "
            f"{tuple(word_embeds.shape)}; project both to the same space first."
        )
    images, words = widen(image_embeds), widen(word_embeds)
    difference = images - words if mode == "literal" else _covariance(images) - _covariance(words)
    return difference.square().sum() / (4 * images.shape[1] ** 2)


def centroid_alignment_loss(
    image_embeds: Tensor,
    word_embeds: Tensor,
    labels: Tensor,
    word_labels: Tensor | None = None,
    pooled: bool = False,
) -> Tensor:
    r"""Squared distance between the image and the word centroid of each class, summed over the classes.

    Classes without a sample in the batch, in either modality, are left out.

    Args:
        image_embeds (`Tensor`): image features in the shared space, `[B, D]`.
        word_embeds (`Tensor`): word features in the shared space, `[B', D]`.
        labels (`Tensor`): class ids `[B]`, or 0/1 targets `[B, C]` where a sample has several classes.
        word_labels (`Tensor`, *optional*): those of the words, `[B']` or `[B', C]`; `labels` when absent.
        pooled (`bool`, *optional*, defaults to `False`):
            Whether the squared distances of both centroids to the centroid of images and words together are added.

    Returns:
        `Tensor`: scalar; float32 or wider.

    Raises:
        ValueError: for shapes that do not fit.

    Source:
        Li et al. 2020 (SSAN), the explicit semantic alignment; its code sums over the classes and takes the loss times
        0.004. CRIF compares it in table V.

    Example:

    ```python
    >>> import torch
    >>> from xmodal_lt.losses import centroid_alignment_loss
    >>> images, words = torch.tensor([[0.0], [2.0]]), torch.tensor([[4.0], [4.0]])
    >>> float(centroid_alignment_loss(images, words, torch.tensor([0, 0])))  # (1 - 4)^2
    9.0
    ```
    """
    if word_labels is None:
        word_labels = labels
    embeds, targets = (image_embeds, word_embeds), (labels, word_labels)
    rows_fit = all(len(rows) == len(target) for rows, target in zip(embeds, targets, strict=True))
    rows_fit &= image_embeds.ndim == word_embeds.ndim == 2
    if not rows_fit or image_embeds.shape[1:] != word_embeds.shape[1:] or labels.shape[1:] != word_labels.shape[1:]:
        raise ValueError(
            f"Expected image_embeds [B, D], word_embeds [B', D] and the labels of their rows, got "
            f"{tuple(image_embeds.shape)}, {tuple(word_embeds.shape)} and {[tuple(rows.shape) for rows in targets]}."
        )
    images, words = widen(image_embeds), widen(word_embeds)
    of_images, of_words = _memberships(labels, word_labels, images.dtype)
    with torch.autocast(images.device.type, enabled=False):  # it would narrow the sums
        image_sums, word_sums = of_images.T @ images, of_words.T @ words
    image_counts, word_counts = of_images.sum(0)[:, None], of_words.sum(0)[:, None]
    image_centroids = image_sums / image_counts.clamp_min(1)
    word_centroids = word_sums / word_counts.clamp_min(1)
    squares = (image_centroids - word_centroids).square()
    if pooled:
        centroids = (image_sums + word_sums) / (image_counts + word_counts).clamp_min(1)
        squares = squares + (image_centroids - centroids).square() + (word_centroids - centroids).square()
    return (squares * ((image_counts > 0) & (word_counts > 0))).sum()


def _check_pairs(image_embeds: Tensor, word_embeds: Tensor) -> None:
    if image_embeds.shape != word_embeds.shape:
        raise ValueError(
            f"image_embeds and word_embeds must have one shape, got {tuple(image_embeds.shape)} and "
            f"{tuple(word_embeds.shape)}; project both to the same space first."
        )


def _covariance(rows: Tensor) -> Tensor:
    """`[D, D]` of rows `[B, D]`; zeros for a single row."""
    centred = rows - rows.mean(0)
    with torch.autocast(rows.device.type, enabled=False):  # it would narrow the product
        return centred.T @ centred / max(len(rows) - 1, 1)


def _memberships(labels: Tensor, word_labels: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Which rows are of which class, `[B, C]` and `[B', C]` of zeros and ones, over the classes that occur."""
    if labels.ndim == 1:
        classes = torch.cat([labels, word_labels]).unique()
        return (labels[:, None] == classes).to(dtype), (word_labels[:, None] == classes).to(dtype)
    return labels.to(dtype), word_labels.to(dtype)


__all__ = [
    "CORAL_MODES",
    "KL_DIRECTIONS",
    "KL_REDUCTIONS",
    "centroid_alignment_loss",
    "deep_coral_loss",
    "kl_alignment_loss",
    "l2_alignment_loss",
]
