"""How a model's feature spaces part classes: t-SNE of the visual, semantic, aligned, inferred and fused spaces."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor


__all__ = ["WORDS", "embed_spaces", "feature_spaces", "plot_feature_spaces"]

WORDS = "aligned words"  # shares the panel of the aligned space, as it shares the space
# The fields of the models' outputs, the first that there is.
_FIELDS = {
    "semantic": ("semantic_features", "word_features"),
    "aligned": ("content_embeds", "image_embeds"),
    WORDS: ("semantic_content", "word_embeds"),
    "inferred": ("inferred_embeds",),
    "fused": ("fused_embeds",),
}
_INPUTS = ("pixel_values", "features", "feature_mask")
_MARKERS = {"head": "x", "medium": "^", "tail": "o"}  # those of head and tail are CMLTNet's
_PERPLEXITY = 30.0
_PANEL = 2.8  # inches


@torch.no_grad()
def feature_spaces(model: Any, batches: Iterable[Mapping[str, Tensor]]) -> dict[str, np.ndarray]:
    """
    Gather the features of images, or videos, in every space that a model has.

    Args:
        model (`LongTailPreTrainedModel`):
            In eval mode.
        batches (`Iterable[Mapping[str, Tensor]]`):
            What [`XModalCollator`] makes; with the words or privileged features for the spaces that are made of them.

    Returns:
        `dict[str, np.ndarray]`: By name, one row of shape [D] for each sample: `visual`, what the encoder gives (of
        CPRFL the mean over the places of an image); of CMLTNet and CRIF also `aligned`, `inferred` and `fused` and, if
        they were trained with words that the batches hold, `semantic` and `aligned words`; of VL-LTR `aligned`.

    Raises:
        ValueError: If there is no batch.

    Example:

    ```python
    >>> import torch
    >>> from xmodal_lt import CMLTNetConfig, CMLTNetForImageClassification
    >>> from xmodal_lt.analysis.feature_spaces import feature_spaces

    >>> config = CMLTNetConfig(backbone="test_resnet", vocab_size=12, num_labels=3, shared_size=8)
    >>> model = CMLTNetForImageClassification(config).eval()
    >>> spaces = feature_spaces(model, [{"pixel_values": torch.zeros(2, 3, 64, 64)}])
    >>> {name: features.shape[0] for name, features in spaces.items()}
    {'visual': 2, 'aligned': 2, 'inferred': 2, 'fused': 2}
    ```
    """
    parts: dict[str, list[Tensor]] = {}
    for batch in batches:
        for name, features in _spaces_of_batch(model, batch).items():
            parts.setdefault(name, []).append(features.float().cpu())
    if not parts:
        raise ValueError("there are no samples to take features of")
    return {name: torch.cat(rows).numpy() for name, rows in parts.items()}


def _spaces_of_batch(model: Any, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    base, config = model.base_model, model.config
    names = list(_INPUTS)
    if getattr(config, "privileged_encoder", None) is not None:
        names += ["privileged_features", "privileged_mask"]
    elif getattr(config, "word_encoder", None) is not None:
        names += ["input_ids", "attention_mask"]
    given = {name: batch[name].to(model.device) for name in names if name in batch}
    if "features" not in inspect.signature(base.forward).parameters:  # CPRFL reads the places of an image
        outputs = base(**given, return_dict=True)
        return {"visual": outputs.local_features.mean(dim=1)}
    images, videos, mask = (given.pop(name, None) for name in _INPUTS)
    visual = base.encode_images(images, videos, mask)
    outputs = base(features=visual, **given, return_dict=True)
    found = {
        space: next((outputs[field] for field in fields if outputs.get(field) is not None), None)
        for space, fields in _FIELDS.items()
    }
    return {"visual": visual, **{space: features for space, features in found.items() if features is not None}}


def embed_spaces(spaces: Mapping[str, npt.ArrayLike], seed: int = 0) -> dict[str, np.ndarray]:
    """
    Bring each space to two dimensions by t-SNE; the aligned images and words together, as they share a space.

    Args:
        spaces (`Mapping[str, array_like]`):
            Features by space, see [`feature_spaces`], of shape [N, D].
        seed (`int`, *optional*, defaults to 0):
            Of the t-SNE: the same features and seed give the same points on a machine.

    Returns:
        `dict[str, np.ndarray]`: Points by space, of shape [N, 2].

    Raises:
        ImportError: If scikit-learn is not installed.
        ValueError: If there are fewer than four samples, or features that are not finite.

    Source:
        CMLTNet, figure 4; CRIF, figures 3 and 4.

    Example:

    ```python
    >>> import numpy as np
    >>> from xmodal_lt.analysis.feature_spaces import embed_spaces

    >>> points = embed_spaces({"visual": np.random.rand(8, 5)})  # doctest: +SKIP
    >>> points["visual"].shape  # doctest: +SKIP
    (8, 2)
    ```
    """
    try:
        from sklearn.manifold import TSNE
    except ImportError as error:
        raise ImportError('t-SNE needs scikit-learn. Run `pip install "xmodal-lt[figures]"`') from error
    arrays = {name: np.asarray(features, dtype=np.float32) for name, features in spaces.items()}
    for name, features in arrays.items():
        if len(features) < 4 or not np.isfinite(features).all():
            raise ValueError(
                f"the {name} space needs at least four samples, and finite features; got {len(features)} samples with "
                f"{np.count_nonzero(~np.isfinite(features))} values that are not. Choose more classes, or look for a "
                "diverged run"
            )

    def embed(features: np.ndarray) -> np.ndarray:
        perplexity = min(_PERPLEXITY, (len(features) - 1) / 3)
        return TSNE(perplexity=perplexity, init=_start(features), random_state=seed).fit_transform(features)

    joint = WORDS in arrays and "aligned" in arrays
    points = {name: embed(features) for name, features in arrays.items() if not (joint and name in ("aligned", WORDS))}
    if joint:
        both = embed(np.concatenate([arrays["aligned"], arrays[WORDS]]))
        points["aligned"], points[WORDS] = np.split(both, [len(arrays["aligned"])])
    return {name: points[name] for name in arrays}


def _start(features: np.ndarray) -> str:
    """PCA, which keeps what is far apart so, needs two dimensions that differ."""
    return "pca" if features.shape[1] > 1 and np.ptp(features, axis=0).any() else "random"


def plot_feature_spaces(
    points: Mapping[str, npt.ArrayLike],
    labels: npt.ArrayLike,
    classes: Mapping[int, tuple[str, str]],
    *,
    title: str | None = None,
) -> Figure:
    """
    Draw the samples of classes in each space: a colour for each class, a marker for its frequency group.

    Args:
        points (`Mapping[str, array_like]`):
            By space, of shape [N, 2], see [`embed_spaces`].
        labels (`array_like`):
            Class of each sample, shape [N].
        classes (`Mapping[int, tuple[str, str]]`):
            Name and group, `"head"`, `"medium"` or `"tail"`, of each class.
        title (`str`, *optional*):
            Title of the figure.

    Returns:
        `matplotlib.figure.Figure`: The figure, not yet written: see [`save_figure`].

    Raises:
        ValueError: If there is no space, or if points, labels and classes do not fit together.

    Source:
        CMLTNet, figure 4; CRIF, figures 3 and 4.

    Example:

    ```python
    >>> import numpy as np
    >>> from xmodal_lt.analysis.feature_spaces import plot_feature_spaces

    >>> points = {space: np.random.rand(4, 2) for space in ("visual", "fused")}
    >>> fig = plot_feature_spaces(points, [0, 0, 5, 5], {0: ("rice", "head"), 5: ("whale", "tail")})
    ```
    """
    ids = np.asarray(labels)
    shapes = {name: np.shape(of_space) for name, of_space in points.items()}
    if not shapes or set(shapes.values()) != {(len(ids), 2)} or not set(ids.tolist()) <= set(classes):
        raise ValueError(
            f"expected points of shape [{len(ids)}, 2] in one or more spaces, and a name for each of the classes "
            f"{sorted(set(ids.tolist()))}; got {shapes} and the classes {sorted(classes)}"
        )
    panels = [name for name in points if name != WORDS]
    fig = Figure(figsize=(len(panels) * _PANEL, _PANEL + 0.6), dpi=120, layout="constrained")
    for ax, space in zip(fig.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        ax.set_title(space, fontsize=10)
        ax.set(xticks=[], yticks=[])
        _scatter(ax, np.asarray(points[space]), ids, classes)
        if space == "aligned" and WORDS in points:
            _scatter(ax, np.asarray(points[WORDS]), ids, classes, of_words=True)
    handles = {text: handle for ax in fig.axes for handle, text in zip(*ax.get_legend_handles_labels(), strict=True)}
    legend = fig.legend(handles.values(), handles, loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    for text in legend.get_texts():
        text.set_parse_math(False)
    if title:
        fig.suptitle(title, parse_math=False)
    return fig


def _colours(count: int) -> Sequence[Any]:
    """As many, no two the same: well apart while they are few."""
    few: Sequence[Any] = matplotlib.colormaps["tab10"].colors  # type: ignore[attr-defined]
    if count <= len(few):
        return few[:count]
    return list(matplotlib.colormaps["turbo"](np.linspace(0, 1, count)))


def _scatter(
    ax: Axes, points: np.ndarray, ids: np.ndarray, classes: Mapping[int, tuple[str, str]], of_words: bool = False
) -> None:
    for colour, (label, (name, group)) in zip(_colours(len(classes)), classes.items(), strict=True):
        x, y = points[ids == label].T
        if of_words:
            ax.scatter(x, y, s=22, marker="s", facecolors="none", edgecolors=[colour], label=f"words of {name}")
        else:
            ax.scatter(x, y, s=14, marker=_MARKERS[group], color=[colour], linewidths=1, label=f"{name} ({group})")
