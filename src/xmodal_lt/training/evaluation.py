"""Scores of a trained model on a split, and the results made of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from transformers import EvalPrediction

from xmodal_lt.data import ClassStats
from xmodal_lt.metrics import classification_results

from .trainer import LongTailTrainer


def evaluate_scores(scores: np.ndarray, references: np.ndarray, stats: ClassStats, problem_type: str) -> dict[str, Any]:
    """Results of `scores` `[N, C]` against `references`, in the groups of `stats`; see `classification_results`."""
    return classification_results(
        scores,
        references,
        stats.counts,
        problem_type=problem_type,
        class_names=stats.class_names,
        head=stats.head_threshold,
        tail=stats.tail_threshold,
        boundaries=stats.boundaries,
    )


def main_score(problem_type: str) -> str:
    """The name of the score by which epochs are compared: macro accuracy, or mAP."""
    return "map" if problem_type == "multi_label_classification" else "macro_accuracy"


def epoch_metrics(stats: ClassStats, problem_type: str) -> Callable[[EvalPrediction], dict[str, float]]:
    """The `compute_metrics` of a Trainer: overall scores, and the macro score of each group that has classes."""

    def compute(prediction: EvalPrediction) -> dict[str, float]:
        results = evaluate_scores(prediction.predictions, prediction.label_ids, stats, problem_type)
        metrics = {name: results[name] for name in ("accuracy", "macro_accuracy", "map") if name in results}
        for group in ("head", "medium", "tail"):
            values = results["groups"][group]
            metrics[group] = values["macro"] if "macro" in values else values["map"]
        return {name: value for name, value in metrics.items() if value is not None}

    return compute


def branch_scores(trainer: LongTailTrainer, dataset: Any) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Predicts a split from its images alone.

    Returns:
        `tuple[dict[str, np.ndarray], np.ndarray]`: scores `[N, C]` by branch, the model's own under `"logits"`, and
        the references.
    """
    branches = getattr(trainer.model, "branches", ())
    output_names = [f"{branch}_logits" for branch in branches]
    ignored = [name for name in trainer.model.config.keys_to_ignore_at_inference if name not in output_names]
    prediction = trainer.predict(dataset, ignore_keys=ignored)
    arrays = prediction.predictions if isinstance(prediction.predictions, tuple) else (prediction.predictions,)
    return dict(zip(("logits", *branches), arrays, strict=True)), prediction.label_ids


__all__ = ["branch_scores", "epoch_metrics", "evaluate_scores", "main_score"]
