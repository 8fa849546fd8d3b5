"""Scores of a saved model on a split of its own or of another data set."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
from matplotlib.figure import Figure
from transformers.utils import CONFIG_NAME, logging

from xmodal_lt.analysis import (
    panel_samples,
    plot_per_class_gain,
    plot_per_class_scores,
    plot_predictions,
    save_figure,
)
from xmodal_lt.data import ClassStats, list_datasets
from xmodal_lt.metrics import write_per_class_csv
from xmodal_lt.metrics.report import THRESHOLD, check_threshold
from xmodal_lt.prediction import Predictor
from xmodal_lt.processing import XModalCollator

from .evaluation import branch_scores, evaluate_scores, evaluation_trainer
from .output_folder import RESULTS, write_text
from .recipe import DatasetRecipe, Recipe
from .setup import LongTailData, load_data
from .training_data import Rows, TrainingData, evaluation_data


logger = logging.get_logger(__name__)


def evaluate_checkpoint(
    model: str,
    dataset: str | None = None,
    split: str = "test",
    baseline: str | Path | None = None,
    output: str | Path | None = None,
    batch_size: int = 64,
    threshold: float = THRESHOLD,
    panels: int = 0,
) -> tuple[dict[str, Any], Path]:
    """Evaluates a saved model, and writes `evaluation_<split>.json`, a CSV and a figure of its classes and, where they
    are asked for, figures of each class's gain over a baseline and of the predictions for single images.

    Args:
        model (`str`): folder of a run, or a Hub id.
        dataset (`str`, *optional*): data set name or path; the one in the run's `recipe.yaml` when absent.
        split (`str`, *optional*, defaults to `"test"`): which split.
        baseline (`str` or `Path`, *optional*): folder of a finished run on the same data, to compare with.
        output (`str` or `Path`, *optional*): folder for the files; the model's own folder when absent.
        batch_size (`int`, *optional*, defaults to 64): images at a time.
        threshold (`float`, *optional*, defaults to 0.5):
            Probability from which a multi-label model predicts a class.
        panels (`int`, *optional*, defaults to 0):
            Images to draw with their best classes, see `panel_samples`; beside them those of the baseline, if its
            folder holds its model.

    Returns:
        `tuple[dict, Path]`: the results, see `classification_results`, and the folder of the files.

    Raises:
        ValueError: when the data set, its split, or its classes do not fit the model, or the baseline; for a threshold
            with a single-label model, and for panels of videos.
        FileNotFoundError: when the baseline has no results.
    """
    folder = Path(output or model)
    if output is None and not folder.is_dir():
        raise ValueError(f"{model!r} is no local folder; if it is a Hub id, give --output, a folder for the results.")
    predictor = Predictor.from_pretrained(model)
    config: Any = predictor.model.config
    check_threshold(threshold, config.problem_type)
    data = load_data_of_run(model, dataset, as_table=panels > 0)
    rows = rows_of_split(data, split)
    stats = training_stats(Path(model), config, data)
    _check_panels(panels, data)
    # Read before the images are, so that a wrong folder does not cost an evaluation.
    baseline_results = None if baseline is None else _baseline_results(Path(baseline), split)
    shown = _models_of_panels(predictor, model, baseline) if panels else {}
    scores, references = _scores(predictor, rows, folder, batch_size)
    results = evaluate_scores(scores, references, stats, config.problem_type, threshold)
    figures = {}
    if results["groups"]["all"]["num_test"]:  # of a multi-label split, whose images may all be without labels
        figures["per_class"] = plot_per_class_scores(results)
    if baseline_results is not None:
        figures["per_class_gain"] = plot_per_class_gain(results, baseline_results)
    if panels:
        samples = data.splits[split].select(panel_samples(references, results, panels))
        figures["predictions"] = _panels(shown, samples, results, folder, batch_size)
    for name, figure in figures.items():
        save_figure(figure, folder / "figures" / f"{name}_{split}.png")
    write_per_class_csv(results, folder / f"per_class_{split}.csv")
    write_text(folder / f"evaluation_{split}.json", json.dumps(results, indent=2))
    return results, folder


def load_data_of_run(model: str, dataset: str | None = None, as_table: bool = False) -> LongTailData:
    """Loads the data that a run was trained on, or other data in its manner.

    Args:
        model (`str`): folder of a run, or a Hub id.
        dataset (`str`, *optional*): data set name or path; the one in the run's `recipe.yaml` when absent.
        as_table (`bool`, *optional*, defaults to `False`):
            For what needs single rows, whether data that the run streamed is loaded as a table.

    Raises:
        ValueError: when neither names the data, and as `load_lt`.
    """
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
    source = dataclasses.replace(source, kwargs=kwargs, streaming=source.streaming and not as_table)
    return load_data(source, seed=0 if recipe is None else recipe.seed)


def rows_of_split(data: LongTailData, split: str) -> Rows:
    """A split of the data; a `ValueError` when there is none of that name."""
    if split not in data.splits:
        raise ValueError(f"The data has no split {split!r}; its splits are {', '.join(data.splits)}.")
    return data.rows(split)


def training_stats(folder: Path, config: Any, data: LongTailData) -> ClassStats:
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


def _scores(predictor: Predictor, rows: Rows, folder: Path, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores `[N, C]` of the model's own read-out, and the references."""
    config: Any = predictor.model.config
    collator = XModalCollator(
        predictor.image_processor, problem_type=config.problem_type, num_labels=config.num_labels
    )
    use_cpu = predictor.model.device == torch.device("cpu")
    trainer = evaluation_trainer(predictor.model, collator, folder, batch_size, num_workers=0, use_cpu=use_cpu)
    scores, references = branch_scores(trainer, evaluation_data(rows), branches=())
    return scores["logits"], references


def _check_panels(panels: int, data: LongTailData) -> None:
    if panels < 0:
        raise ValueError(f"panels={panels} must be at least 0.")
    if panels and data.has_videos:
        raise ValueError(
            f"{panels} panels of images are wanted, but the samples are videos, of which there are features alone; "
            "ask for 0 panels."
        )


def _models_of_panels(predictor: Predictor, model: str, baseline: str | Path | None) -> dict[str, Predictor]:
    """The model and, if its folder holds one, that of the baseline, by the name over their bars."""
    shown = {Path(model).resolve().name: predictor}
    if baseline is None:
        return shown
    if not (Path(baseline) / CONFIG_NAME).is_file():
        logger.warning(f"The baseline's folder {str(baseline)!r} holds no model; the panels are without it.")
        return shown
    beside = Predictor.from_pretrained(str(baseline), predictor.model.device)
    config, own = beside.model.config, predictor.model.config
    if (config.problem_type, config.id2label) != (own.problem_type, own.id2label):
        raise ValueError(
            f"The baseline's model has {config.num_labels} classes ({config.problem_type}) and the model "
            f"{own.num_labels} ({own.problem_type}); for panels they must be the same in the same order."
        )
    return {**shown, f"{Path(baseline).resolve().name} (baseline)": beside}


def _panels(
    models: dict[str, Predictor], rows: datasets.Dataset, results: dict[str, Any], folder: Path, batch_size: int
) -> Figure:
    """The figure of the predictions for all of `rows`."""
    samples = TrainingData(rows)
    images = [samples.visual_sample(index)["image"] for index in range(len(samples))]
    scores = {}
    for name, predictor in models.items():
        scores[name], references = _scores(predictor, rows, folder, batch_size)
    return plot_predictions(images, references, scores, results)


__all__ = ["evaluate_checkpoint", "load_data_of_run", "rows_of_split", "training_stats"]
