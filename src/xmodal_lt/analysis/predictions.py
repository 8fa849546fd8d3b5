"""What models see in single images: their best classes beside the true labels."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Patch
from PIL.Image import Image

from ..metrics._arrays import as_class_indices, as_scores
from ..metrics.top_k import top_k_indices
from .class_bars import check_results


__all__ = ["panel_samples", "plot_predictions"]

# Okabe and Ito's blue and vermilion: told apart with any colour vision. Marks and hatch say the same without colour.
_STYLES: dict[bool, dict[str, Any]] = {
    True: {"facecolor": "#0072B2", "edgecolor": "#0072B2"},
    False: {"facecolor": "white", "edgecolor": "#D55E00", "hatch": "//////"},
}
_MARKS = {True: "\N{CHECK MARK}", False: "\N{BALLOT X}"}
_WORDS = {True: "correct", False: "incorrect"}
_MOST_BESIDE_A_PANEL = 2  # columns of bars that leave room for a second panel beside the first
_IMAGE_WIDTH, _BARS_WIDTH, _BAR_HEIGHT, _TITLE_HEIGHT = 2.2, 2.9, 0.55, 0.7  # inches
_LABEL_WIDTH, _LABEL_LINES, _NAME_WIDTH, _MODEL_WIDTH = 32, 3, 26, 36  # characters


def panel_samples(references: npt.ArrayLike, results: Mapping[str, Any], count: int = 8) -> list[int]:
    """
    Choose the samples for [`plot_predictions`], so that rare classes are shown.

    The rule is fixed, whatever the scores are: walk the classes from the rarest in training up (equal counts by class
    index), take the first sample of each that was not taken yet, and start over until there are enough. Samples
    without any label come last.

    Args:
        references (`array_like`):
            Class index of each sample, shape [N], if single-label; 0/1 labels, shape [N, C], if multi-label.
        results (`Mapping[str, Any]`):
            What [`classification_results`] returns for them.
        count (`int`, *optional*, defaults to 8):
            How many samples, 1 or more.

    Returns:
        `list[int]`: Indices of samples, as they were taken; all, if there are no more than `count`.

    Raises:
        ValueError: If `count` is below 1, or the references do not fit the classes of `results`.

    Example:

    ```python
    >>> from xmodal_lt.analysis import panel_samples
    >>> from xmodal_lt.metrics import classification_results

    >>> data = dict(references=[0, 0, 1], class_counts=[150, 8], problem_type="single_label_classification")
    >>> results = classification_results([[2.0, 0.1], [0.3, 0.4], [0.1, 0.9]], **data)
    >>> panel_samples(data["references"], results, count=2)
    [2, 0]
    ```
    """
    if count < 1:
        raise ValueError(f"count={count} must be 1 or more")
    is_true = _true_labels(references, results)
    rarest_first = np.argsort([row["train_count"] for row in results["per_class"]], kind="stable")
    queues = [iter(np.flatnonzero(is_true[:, label]).tolist()) for label in rarest_first]
    chosen: dict[int, None] = {}
    while queues and len(chosen) < count:
        left = []
        for queue in queues:
            sample = next((one for one in queue if one not in chosen), None)
            if sample is not None:
                chosen[sample] = None
                left.append(queue)
        queues = left
    return [*chosen, *np.flatnonzero(~is_true.any(axis=1)).tolist()][:count]


def plot_predictions(
    images: Sequence[Image],
    references: npt.ArrayLike,
    scores: Mapping[str, npt.ArrayLike],
    results: Mapping[str, Any],
    *,
    top_k: int = 3,
    title: str | None = None,
) -> Figure:
    """
    Draw images with their true labels and, beside each, the best classes of one or more models.

    A bar is the probability of a class in percent: filled, with a check mark, where the image has the class, and
    hatched, with a cross, where it does not. The frequency group stands behind the name of the class.

    Args:
        images (`Sequence[PIL.Image.Image]`):
            At least one; see [`panel_samples`] for which.
        references (`array_like`):
            Class index of each image, shape [N], if single-label; 0/1 labels, shape [N, C], if multi-label.
        scores (`Mapping[str, array_like]`):
            Logits of the images, shape [N, C], by name of the model, which heads its column of bars.
        results (`Mapping[str, Any]`):
            What [`classification_results`] returns for the split: names and groups of the classes are read from it.
        top_k (`int`, *optional*, defaults to 3):
            How many classes of each model; all, if there are fewer.
        title (`str`, *optional*):
            Title of the figure.

    Returns:
        `matplotlib.figure.Figure`: The figure, not yet written: see [`save_figure`].

    Raises:
        ValueError: If there is no image or no model, if images, references and scores are not equally many, if a
            score is not finite, or if `top_k` is below 1.

    Source:
        CPRFL, figure 4.

    Example:

    ```python
    >>> from PIL import Image
    >>> from xmodal_lt.analysis import plot_predictions
    >>> from xmodal_lt.metrics import classification_results

    >>> data = dict(references=[[1, 0], [1, 1]], class_counts=[150, 8], problem_type="multi_label_classification")
    >>> logits = [[2.0, -1.1], [0.3, 0.4]]
    >>> results = classification_results(logits, class_names=["person", "horse"], **data)
    >>> images = [Image.new("RGB", (32, 32), color) for color in ("red", "blue")]
    >>> fig = plot_predictions(images, data["references"], {"CPRFL": logits}, results)
    ```
    """
    is_true = _true_labels(references, results)
    if not scores or not len(images) == len(is_true) > 0:
        raise ValueError(
            f"expected images, as many references and the scores of a model; got {len(images)} images, {len(is_true)} "
            f"references and the scores of {len(scores)} models"
        )
    predictions = {name: _predictions(array, is_true, results, top_k) for name, array in scores.items()}
    columns = min(len(images), 2) if len(scores) <= _MOST_BESIDE_A_PANEL else 1
    fig, panels = _empty_panels(len(images), columns, len(scores), min(top_k, is_true.shape[1]))
    for index, (image_ax, *bar_axes) in enumerate(panels):
        labels = [results["per_class"][label]["class"] for label in np.flatnonzero(is_true[index])]
        _draw_image(image_ax, images[index], labels)
        for ax, (name, of_images) in zip(bar_axes, predictions.items(), strict=True):
            _draw_bars(ax, of_images[index])
            if index < columns:
                ax.set_title(_cut(name, _MODEL_WIDTH), fontsize=9, parse_math=False)
            if index + columns >= len(images):
                ax.set_xlabel("probability (%)", fontsize=8)
    handles = [Patch(**_STYLES[right], label=f"{_MARKS[right]} {word}") for right, word in _WORDS.items()]
    fig.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    if title:
        fig.suptitle(title)
    return fig


@dataclass(frozen=True)
class _Prediction:
    """A class that a model names, and whether the image has it."""

    name: str
    group: str
    percent: float
    is_right: bool


def _true_labels(references: npt.ArrayLike, results: Mapping[str, Any]) -> np.ndarray:
    """Which classes each sample has, as booleans of shape [N, C]."""
    check_results(results)
    num_classes = len(results["per_class"])
    if results["problem_type"] != "multi_label_classification":
        return as_class_indices("references", references, num_classes)[:, None] == np.arange(num_classes)
    labels = np.asarray(references)
    if labels.ndim != 2 or labels.shape[1] != num_classes:
        raise ValueError(
            f"references must be 0/1 labels of shape [N, {num_classes}], a column for each class of the results; got "
            f"shape {labels.shape}"
        )
    return labels == 1


def _predictions(
    scores: npt.ArrayLike, is_true: np.ndarray, results: Mapping[str, Any], top_k: int
) -> list[list[_Prediction]]:
    """The best classes of each image, the best first."""
    logits = as_scores(scores).astype(np.float64)
    if logits.shape != is_true.shape:
        raise ValueError(
            f"scores must be of shape {is_true.shape}, the images and the classes of the results; got {logits.shape}"
        )
    multi_label = results["problem_type"] == "multi_label_classification"
    normalizer = np.logaddexp(0, logits) if multi_label else np.logaddexp.reduce(logits, axis=1, keepdims=True)
    percent = 100 * np.exp(logits - normalizer)  # sigmoid or softmax, without overflow
    best = top_k_indices(logits, min(top_k, logits.shape[1]))
    classes = results["per_class"]
    return [
        [
            _Prediction(classes[label]["class"], classes[label]["group"], percent[sample, label], right)
            for label, right in zip(labels, is_true[sample, labels].tolist(), strict=True)
        ]
        for sample, labels in enumerate(best)
    ]


def _empty_panels(num_images: int, columns: int, num_models: int, top_k: int) -> tuple[Figure, list[list[Axes]]]:
    """A figure, and of each panel the axes of its image and of the bars of each model."""
    rows = -(-num_images // columns)
    width, height = columns * (_IMAGE_WIDTH + num_models * _BARS_WIDTH), _TITLE_HEIGHT + max(top_k, 3) * _BAR_HEIGHT
    fig = Figure(figsize=(width, 0.5 + rows * height), dpi=120, layout=ConstrainedLayoutEngine(w_pad=0.1))
    ratios = [_IMAGE_WIDTH, *num_models * [_BARS_WIDTH]] * columns
    grid = fig.subplots(rows, len(ratios), squeeze=False, width_ratios=ratios)
    panels = [list(axes) for row in grid for axes in np.split(row, columns)]
    for ax in (ax for unused in panels[num_images:] for ax in unused):
        ax.set_axis_off()
    return fig, panels[:num_images]


def _draw_image(ax: Axes, image: Image, labels: list[str]) -> None:
    ax.imshow(image)
    ax.set_anchor("N")
    ax.set_axis_off()
    lines = textwrap.wrap(
        f"GT: {{{', '.join(labels)}}}", _LABEL_WIDTH, max_lines=_LABEL_LINES, placeholder=" \N{HORIZONTAL ELLIPSIS}}"
    )
    ax.set_title("\n".join(lines), fontsize=8, parse_math=False)


def _draw_bars(ax: Axes, predictions: list[_Prediction]) -> None:
    """A bar for each class, its name above it: long names find room there."""
    for place, one in enumerate(predictions):
        ax.barh(place, one.percent, height=0.4, **_STYLES[one.is_right])
        name = f"{_MARKS[one.is_right]} {_cut(one.name, _NAME_WIDTH)} ({one.group})"
        style: dict[str, Any] = {"y": place - 0.25, "va": "bottom", "fontsize": 8, "parse_math": False}
        ax.text(x=0, s=name, ha="left", **style)
        ax.text(x=100, s=f"{one.percent:.1f}", ha="right", **style)
    ax.set_xlim(0, 100)
    ax.set_ylim(len(predictions) - 0.6, -0.8)
    ax.set_yticks([])
    ax.tick_params(labelsize=8)
    ax.spines[["top", "right"]].set_visible(False)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}\N{HORIZONTAL ELLIPSIS}"
