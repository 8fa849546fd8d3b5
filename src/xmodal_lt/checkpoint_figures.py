"""Figures of what a saved model sees, on a split of its own or of other data: feature spaces and attention maps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from xmodal_lt.analysis.attention_maps import attention_maps, images_as_seen, plot_attention_maps
from xmodal_lt.analysis.feature_spaces import embed_spaces, feature_spaces, plot_feature_spaces
from xmodal_lt.data import ClassStats
from xmodal_lt.data.messages import some_of
from xmodal_lt.metrics.groups import GROUPS
from xmodal_lt.prediction import Predictor
from xmodal_lt.processing import XModalCollator
from xmodal_lt.training.evaluate_checkpoint import load_data_of_run, rows_of_split, training_stats
from xmodal_lt.training.setup import LongTailData
from xmodal_lt.training.training_data import TrainingData, evaluation_data, privileged_evaluation_data


__all__ = ["FIGURES", "figures_of_checkpoint"]

FIGURES = ("tsne", "attention")
_CLASSES_OF_GROUP = 2
_SAMPLES_OF_CLASS = 100  # as in CRIF's figure 3


def figures_of_checkpoint(
    model: str,
    dataset: str | None = None,
    split: str = "test",
    classes: Sequence[str] = (),
    kinds: Sequence[str] = FIGURES,
    *,
    seed: int = 0,
    batch_size: int = 64,
    device: str | None = None,
) -> dict[str, Figure]:
    """
    Draw the feature spaces of a saved model by t-SNE, and its attention maps for one image of each class.

    Args:
        model (`str`):
            Folder of a run, or a Hub id, `org/name` or `org/name@revision`. The semantic space needs a run's own
            folder: models that were saved for inference have no encoder of words.
        dataset (`str`, *optional*):
            Data set name or path; the one in the run's `recipe.yaml` when absent.
        split (`str`, *optional*, defaults to `"test"`):
            Which of its splits.
        classes (`Sequence[str]`, *optional*):
            Names of the classes to show. By default two of each frequency group, of t-SNE two of head and of tail:
            those with most samples in the split.
        kinds (`Sequence[str]`, *optional*):
            `"tsne"` and `"attention"`; both by default.
        seed (`int`, *optional*, defaults to 0):
            Of the t-SNE, and of the choice of 100 samples where a class has more.
        batch_size (`int`, *optional*, defaults to 64):
            Samples at a time.
        device (`str`, *optional*):
            The accelerator when there is one, else the CPU.

    Returns:
        `dict[str, matplotlib.figure.Figure]`: By kind, not yet written: see [`save_figure`].

    Raises:
        ImportError: If grad-cam or scikit-learn is not installed.
        ValueError: If the data, its split or its classes do not fit the model, a class is unknown or without samples,
            or attention maps are asked of a model of videos.

    Source:
        CMLTNet, figures 4 and 5; CRIF, figures 3 and 4.

    Example:

    ```python
    >>> from xmodal_lt.checkpoint_figures import figures_of_checkpoint

    >>> figures = figures_of_checkpoint("outputs/cmltnet_emoji_lt", kinds=["tsne"])  # doctest: +SKIP
    >>> figures["tsne"].savefig("tsne.png")  # doctest: +SKIP
    ```
    """
    if unknown := [kind for kind in kinds if kind not in FIGURES]:
        raise ValueError(f"there is no figure {unknown[0]!r}; expected one of {', '.join(FIGURES)}")
    predictor = Predictor.from_pretrained(model, device)
    data = load_data_of_run(model, dataset, as_table=True)
    rows_of_split(data, split)  # which names the splits there are, if it is none
    shown = _Shown(predictor, data, split, training_stats(Path(model), predictor.model.config, data))
    chosen = [shown.class_id(name) for name in dict.fromkeys(classes)]
    figures = {}
    if "attention" in kinds:  # first, as a model of videos has none
        figures["attention"] = _attention_figure(shown, chosen or shown.most_seen(GROUPS))
    if "tsne" in kinds:
        figures["tsne"] = _tsne_figure(shown, chosen or shown.most_seen(("head", "tail")), seed, batch_size)
    return {kind: figures[kind] for kind in FIGURES if kind in figures}


@dataclass(frozen=True)
class _Shown:
    """A model and a split."""

    predictor: Predictor
    data: LongTailData
    split: str
    stats: ClassStats

    @cached_property
    def _labels(self) -> list[Any]:
        return self.data.splits[self.split]["label" if self._is_single_label else "labels"][:]

    def class_id(self, name: str) -> int:
        names = list(self.stats.class_names)
        if name not in names:
            raise ValueError(f"the data has no class {name!r}; its classes are {some_of(names)}")
        return names.index(name)

    def named(self, label: int) -> tuple[str, str]:
        """Name and frequency group of a class."""
        return self.stats.class_names[label], str(self.stats.groups[label])

    def rows_of(self, classes: Sequence[int]) -> dict[int, np.ndarray]:
        """The rows of each class, in their order; those that have two of the classes are no one's."""
        labels = np.array(self._labels) if self._is_single_label else np.array(self._only_labels(set(classes)))
        return {label: np.flatnonzero(labels == label) for label in classes}

    @property
    def _is_single_label(self) -> bool:
        return self.data.problem_type == "single_label_classification"

    def _only_labels(self, classes: set[int]) -> list[int]:
        """The one of the classes that each row has, -1 where it has none or several."""
        own = [classes.intersection(row) for row in self._labels]
        return [row.pop() if len(row) == 1 else -1 for row in own]

    def most_seen(self, groups: Sequence[str]) -> list[int]:
        """Classes of each group with most samples, in the split and then in training."""
        counts = np.bincount(np.hstack(self._labels).astype(int), minlength=self.stats.num_classes)
        by_count = np.lexsort((-self.stats.counts, -counts)).tolist()
        seen = [label for label in by_count if counts[label]]
        members = {group: [label for label in seen if self.stats.groups[label] == group] for group in groups}
        found = [label for of_group in members.values() for label in of_group[:_CLASSES_OF_GROUP]]
        return found or seen[: len(groups) * _CLASSES_OF_GROUP]


def _checked(rows: dict[int, np.ndarray], shown: _Shown) -> dict[int, np.ndarray]:
    empty = [shown.named(label)[0] for label, of_class in rows.items() if not len(of_class)]
    if empty or not rows:
        raise ValueError(f"the split {shown.split!r} has no sample of {some_of(empty) or 'any class'}; choose others")
    return rows


def _attention_figure(shown: _Shown, classes: Sequence[int]) -> Figure:
    """The first image of each class, with the maps for that class."""
    predictor = shown.predictor
    if shown.data.has_videos:
        raise ValueError("attention maps are of images, and the data holds videos; draw the feature spaces: tsne")
    rows = _checked(shown.rows_of(classes), shown)
    samples = TrainingData(shown.data.splits[shown.split].select([of_class[0] for of_class in rows.values()]))
    images = [samples.visual_sample(index)["image"] for index in range(len(samples))]
    image_processor: Any = predictor.image_processor
    pixel_values = image_processor(images, return_tensors="pt")["pixel_values"]
    maps = attention_maps(predictor.model, pixel_values, list(rows))
    names = ["{} ({})".format(*shown.named(label)) for label in rows]
    return plot_attention_maps(images_as_seen(pixel_values, image_processor), maps, names)


def _tsne_figure(shown: _Shown, classes: Sequence[int], seed: int, batch_size: int) -> Figure:
    rows = _checked(shown.rows_of(classes), shown)
    rng = np.random.default_rng(seed)
    picked = {
        label: np.sort(rng.choice(of_class, min(len(of_class), _SAMPLES_OF_CLASS), replace=False))
        for label, of_class in rows.items()
    }
    table = shown.data.splits[shown.split].select(np.concatenate(list(picked.values())))
    samples = privileged_evaluation_data(table) or evaluation_data(table)
    spaces = feature_spaces(shown.predictor.model, _batches(shown.predictor, samples, batch_size))
    labels = np.repeat(list(picked), [len(of_class) for of_class in picked.values()])
    return plot_feature_spaces(embed_spaces(spaces, seed), labels, {label: shown.named(label) for label in picked})


def _batches(predictor: Predictor, samples: Any, batch_size: int) -> Iterator[dict[str, Tensor]]:
    config: Any = predictor.model.config
    collator = XModalCollator(
        predictor.image_processor,
        problem_type=config.problem_type,
        num_labels=config.num_labels,
        tokenizer=predictor.tokenizer,
    )
    for start in range(0, len(samples), batch_size):
        yield collator([samples[index] for index in range(start, min(start + batch_size, len(samples)))])
