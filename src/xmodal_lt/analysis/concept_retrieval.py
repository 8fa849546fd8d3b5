"""Which images a phrase finds: the concepts that a joint space of images and text has learned."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL.Image import Image

from ..metrics.top_k import top_k_indices


__all__ = ["plot_retrieval", "retrieve_images"]

_IMAGE_WIDTH, _IMAGE_HEIGHT, _NAME_WIDTH, _PHRASE_HEIGHT = 1.1, 1.3, 1.4, 0.4  # inches


def retrieve_images(text_embeds: Any, image_embeds: Any, k: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """
    Find the images with the greatest cosine similarity to each phrase.

    Args:
        text_embeds (`array_like` or `torch.Tensor`):
            Embeddings of the phrases, shape [P, D], of any length.
        image_embeds (`array_like` or `torch.Tensor`):
            Embeddings of the images in the same space, shape [N, D], of any length.
        k (`int`, *optional*, defaults to 5):
            How many images for each phrase; all, if there are fewer.

    Returns:
        `tuple[np.ndarray, np.ndarray]`: Cosines and indices of the images, both of shape [P, min(k, N)], the most
        similar first; equal ones by index.

    Raises:
        ValueError: If the embeddings are not two matrices of one width, if one of them is not finite or all zeros, or
            if `k` is below 1.

    Source:
        VL-LTR, section 4.6 and figure 6.

    Example:

    ```python
    >>> from xmodal_lt.analysis import retrieve_images

    >>> scores, indices = retrieve_images([[1.0, 0.0]], [[0.0, 2.0], [3.0, 0.0], [1.0, 1.0]], k=2)
    >>> indices.tolist(), scores.round(2).tolist()
    ([[1, 2]], [[1.0, 0.71]])
    ```
    """
    texts, text_lengths = _embeds("text_embeds", text_embeds)
    images, image_lengths = _embeds("image_embeds", image_embeds)
    if texts.shape[1] != images.shape[1]:
        raise ValueError(
            f"text_embeds and image_embeds must be of one width, as they are of one space; got {texts.shape[1]} and "
            f"{images.shape[1]}"
        )
    if k < 1:
        raise ValueError(f"k={k} must be 1 or more")
    # Divided after the product, which is far smaller than the images.
    scores = (texts / text_lengths[:, None]).astype(texts.dtype) @ images.T / image_lengths
    indices = top_k_indices(scores, min(k, len(images)))
    return np.take_along_axis(scores, indices, axis=1), indices


def _embeds(name: str, embeds: Any) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings as a float32 or float64 matrix, and the length of each of them in float64."""
    if hasattr(embeds, "detach"):  # a tensor: on any device, of types that numpy lacks, with a gradient
        embeds = embeds.detach().cpu()
        embeds = embeds.float() if embeds.dtype.itemsize < 4 else embeds
    array = np.asarray(embeds)
    if array.ndim != 2 or 0 in array.shape or array.dtype.kind not in "iuf":
        raise ValueError(
            f"{name} must be numbers of shape [rows, D], at least one of each; got shape {array.shape} of "
            f"{array.dtype}"
        )
    array = array.astype(np.float64 if array.dtype == np.float64 else np.float32, copy=False)
    lengths = np.sqrt(np.einsum("nd,nd->n", array, array, dtype=np.float64))
    bad = np.flatnonzero(~np.isfinite(lengths) | (lengths == 0))
    if len(bad):
        raise ValueError(
            f"{name} must be finite and none of them all zeros, which {len(bad)} of {len(array)} are not; the first "
            f"is row {bad[0]}. Look for a diverged run or an overflow in half precision"
        )
    return array, lengths


def plot_retrieval(
    phrases: Sequence[str],
    images: Mapping[str, Sequence[Sequence[Image]]],
    scores: Mapping[str, npt.ArrayLike] | None = None,
    *,
    title: str | None = None,
) -> Figure:
    """
    Draw the images that one or more models find for phrases: under each phrase a row for each model, the most similar
    image on the left.

    Args:
        phrases (`Sequence[str]`):
            At least one.
        images (`Mapping[str, Sequence[Sequence[PIL.Image.Image]]]`):
            By the name of each model, for each phrase, the k images that it finds, the best first.
        scores (`Mapping[str, array_like]`, *optional*):
            By the same names, the similarity of each image, shape [P, k], to write under it.
        title (`str`, *optional*):
            Title of the figure.

    Returns:
        `matplotlib.figure.Figure`: The figure, not yet written: see [`save_figure`].

    Raises:
        ValueError: If there is no phrase, no model or no image, or if phrases, images and scores are not equally many.

    Source:
        VL-LTR, figure 6.

    Example:

    ```python
    >>> from PIL import Image
    >>> from xmodal_lt.analysis import plot_retrieval

    >>> found = [[Image.new("RGB", (32, 32), color) for color in ("red", "orange")]]
    >>> fig = plot_retrieval(["something red"], {"VL-LTR": found, "CLIP": found}, title="Concepts")
    ```
    """
    _check_found(phrases, images, scores)
    columns = max(len(row) for rows in images.values() for row in rows)
    height = len(phrases) * (_PHRASE_HEIGHT + len(images) * _IMAGE_HEIGHT)
    fig = Figure(figsize=(_NAME_WIDTH + columns * _IMAGE_WIDTH, 0.4 + height), dpi=120, layout="constrained")
    parts = fig.subfigures(len(phrases), squeeze=False)[:, 0]
    for index, (part, phrase) in enumerate(zip(parts, phrases, strict=True)):
        part.suptitle(_wrapped(phrase, 12 * columns + 12, 2), fontsize=10, parse_math=False)
        axes = part.subplots(len(images), columns, squeeze=False)
        for row, (name, found) in zip(axes, images.items(), strict=True):
            row[0].set_ylabel(_wrapped(name, 16, 4), rotation=0, ha="right", va="center", fontsize=9, parse_math=False)
            _draw_images(row, found[index], None if scores is None else np.asarray(scores[name])[index])
    if title:
        fig.suptitle(title, parse_math=False)
    return fig


def _check_found(
    phrases: Sequence[str],
    images: Mapping[str, Sequence[Sequence[Image]]],
    scores: Mapping[str, npt.ArrayLike] | None,
) -> None:
    if not phrases or not images:
        raise ValueError(f"expected phrases and the images of a model; got {len(phrases)} and {len(images)} models")
    for name, rows in images.items():
        lengths = [len(row) for row in rows]
        if len(rows) != len(phrases) or len(set(lengths)) != 1 or 0 in lengths:
            raise ValueError(
                f"expected equally many images of {name!r}, one or more, for each of {len(phrases)} phrases; got "
                f"{lengths}"
            )
        if scores is not None and np.shape(scores.get(name, ())) != (len(rows), lengths[0]):
            raise ValueError(
                f"expected a score for each image of {name!r}, of shape {(len(rows), lengths[0])}; got "
                f"{np.shape(scores.get(name, ()))}"
            )


def _draw_images(row: Sequence[Axes], images: Sequence[Image], scores: np.ndarray | None) -> None:
    for ax in row:
        ax.set_xticks([])
        ax.set_yticks([])
        ax.spines[:].set_visible(False)
    for index, (ax, image) in enumerate(zip(row, images, strict=False)):
        ax.imshow(image)
        if scores is not None:
            ax.set_xlabel(f"{scores[index]:.2f}", fontsize=8)


def _wrapped(text: str, width: int, lines: int) -> str:
    return "\n".join(textwrap.wrap(text, width, max_lines=lines, placeholder="\N{HORIZONTAL ELLIPSIS}"))
