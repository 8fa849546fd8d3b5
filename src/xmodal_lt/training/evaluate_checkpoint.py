"""Scores of a saved model on a split of its own or of another data set."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from xmodal_lt.analysis import plot_per_class_gain, save_figure
from xmodal_lt.data import ClassStats, list_datasets
from xmodal_lt.metrics import write_per_class_csv
from xmodal_lt.prediction import Predictor
from xmodal_lt.processing import XModalCollator

from .evaluation import evaluate_splits, evaluation_trainer
from .output_folder import RESULTS, write_text
from .recipe import DatasetRecipe, Recipe
from .setup import LongTailData, load_data
from .training_data import evaluation_data


def evaluate_checkpoint(
    model: str,
    dataset: str | None = None,
    split: str = "test",
    baseline: str | Path | None = None,
    output: str | Path | None = None,
    batch_size: int = 64,
) -> tuple[dict[str, Any], Path]:
    """Evaluates a saved model, and writes `evaluation_<split>.json`, a CSV of its classes and, with a baseline, a
    figure of each class's gain.

    Args:
        model (`str`): folder of a run, or a Hub id.
        dataset (`str`, *optional*): data set name or path; the one in the run's `recipe.yaml` when absent.
        split (`str`, *optional*, defaults to `"test"`): which split.
        baseline (`str` or `Path`, *optional*): folder of a finished run on the same data, to compare with.
        output (`str` or `Path`, *optional*): folder for the files; the model's own folder when absent.
        batch_size (`int`, *optional*, defaults to 64): images at a time.

    Returns:
        `tuple[dict, Path]`: the results, see `classification_results`, and the folder of the files.

    Raises:
        ValueError: when the data set, its split, or its classes do not fit the model, or the baseline.
        FileNotFoundError: when the baseline has no results.
    """
    folder = Path(output or model)
    if output is None and not folder.is_dir():
        raise ValueError(f"{model!r} is no local folder; give --output, a folder for the results.")
    predictor = Predictor.from_pretrained(model)
    config: Any = predictor.model.config
    data = _load(model, dataset)
    if split not in data.splits:
        raise ValueError(f"The data has no split {split!r}; its splits are {', '.join(data.splits)}.")
    stats = _training_stats(Path(model), config, data)
    # Read before the images are, so that a wrong folder does not cost an evaluation.
    baseline_results = None if baseline is None else _baseline_results(Path(baseline), split)
    collator = XModalCollator(
        predictor.image_processor, problem_type=config.problem_type, num_labels=config.num_labels
    )
    use_cpu = predictor.model.device == torch.device("cpu")
    trainer = evaluation_trainer(predictor.model, collator, folder, batch_size, num_workers=0, use_cpu=use_cpu)
    rows = {split: evaluation_data(data.splits[split])}
    results = evaluate_splits(trainer, rows, stats, config.problem_type)["splits"][split]
    if baseline_results is not None:
        figure = plot_per_class_gain(results, baseline_results)
        save_figure(figure, folder / "figures" / f"per_class_gain_{split}.png")
    write_per_class_csv(results, folder / f"per_class_{split}.csv")
    write_text(folder / f"evaluation_{split}.json", json.dumps(results, indent=2))
    return results, folder


def _load(model: str, dataset: str | None) -> LongTailData:
    recipe_file = Path(model) / "recipe.yaml"
    recipe = Recipe.load(recipe_file) if recipe_file.is_file() else None
    if dataset is None and recipe is None:
        raise ValueError(f"{model!r} has no recipe.yaml that names its data; give --dataset.")
    source = recipe.dataset if recipe is not None else DatasetRecipe()
    if dataset not in (None, source.name, source.path):
        registered = dataset in list_datasets()
        source = dataclasses.replace(
            source,
            name=dataset if registered else None,
            path=None if registered else dataset,
            data_dir=None,
            missing_words="keep",
            kwargs={},
        )
    # Columns and groups are those of the run, whose results these are compared with. Nothing privileged is read.
    kwargs = {name: value for name, value in source.kwargs.items() if name != "privileged_features"}
    source = dataclasses.replace(source, kwargs=kwargs)
    return load_data(source, seed=0 if recipe is None else recipe.seed)


def _training_stats(folder: Path, config: Any, data: LongTailData) -> ClassStats:
    """The classes in the frequency groups of the run, by the counts in its results.

    A model without them is scored by its own counts, which lack the images of a carved validation split; one without
    counts, by those of the data.

    Raises:
        ValueError: when the data has other classes than the model, or another order; when one is single-label and
            the other multi-label.
    """
    if config.problem_type != data.problem_type:
        raise ValueError(f"The model is of type {config.problem_type}, but the data of type {data.problem_type}.")
    classes = [config.id2label[index] for index in range(config.num_labels)]
    if classes != list(data.stats.class_names):
        strangers = sorted(set(classes) ^ set(data.stats.class_names))[:5]
        raise ValueError(
            f"The model has {len(classes)} classes and the data {data.stats.num_classes}; they must be the same in "
            f"the same order{f', but differ in {strangers}' if strangers else ''}."
        )
    counts = _counts_in_results(folder) or config.class_counts
    if counts is None:
        return data.stats
    return dataclasses.replace(data.stats, counts=np.asarray(counts), cooccurrence=None)


def _counts_in_results(folder: Path) -> list[int] | None:
    """Images of each class in the whole training split of a run, if it has results."""
    if not (folder / RESULTS).is_file():
        return None
    splits = json.loads((folder / RESULTS).read_text())["splits"]
    return next(([row["train_count"] for row in results["per_class"]] for results in splits.values()), None)


def _baseline_results(folder: Path, split: str) -> dict[str, Any]:
    file = folder / RESULTS
    if not file.is_file():
        raise FileNotFoundError(f"The baseline has no {file}; give the folder of a finished run.")
    splits = json.loads(file.read_text())["splits"]
    if split not in splits:
        raise ValueError(f"The baseline's {file} has no split {split!r}, only {', '.join(splits)}.")
    return splits[split]


__all__ = ["evaluate_checkpoint"]
