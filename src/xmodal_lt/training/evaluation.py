"""Scores of a trained model on a split, and the results made of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from transformers import EvalPrediction

from xmodal_lt.data import ClassStats
from xmodal_lt.metrics import classification_results
from xmodal_lt.metrics.report import THRESHOLD
from xmodal_lt.modeling.modeling_long_tail import LongTailPreTrainedModel

from .arguments import LongTailTrainingArguments
from .trainer import LongTailTrainer


_OVERALL = ("accuracy", "macro_accuracy", "map")


def evaluate_scores(
    scores: np.ndarray, references: np.ndarray, stats: ClassStats, problem_type: str, threshold: float = THRESHOLD
) -> dict[str, Any]:
    """Results of `scores` `[N, C]` against `references`, in the groups of `stats`, whose counts are the `train_count`
    of each class, with classes of multi-label problems predicted from `threshold`; see `classification_results`."""
    return classification_results(
        scores,
        references,
        stats.counts,
        problem_type=problem_type,
        class_names=stats.class_names,
        head=stats.head_threshold,
        tail=stats.tail_threshold,
        boundaries=stats.boundaries,
        threshold=threshold,
    )


def main_score(problem_type: str) -> str:
    """The name of the score by which epochs are compared: macro accuracy, or mAP."""
    return "map" if problem_type == "multi_label_classification" else "macro_accuracy"


def epoch_metrics(stats: ClassStats, problem_type: str) -> Callable[[EvalPrediction], dict[str, float]]:
    """The `compute_metrics` of a Trainer: overall scores, and the macro score of each group that has classes."""

    def compute(prediction: EvalPrediction) -> dict[str, float]:
        results = evaluate_scores(prediction.predictions, prediction.label_ids, stats, problem_type)
        metrics: dict[str, Any] = {name: results[name] for name in _OVERALL if name in results}
        for group in ("head", "medium", "tail"):
            values = results["groups"][group]
            metrics[group] = values["macro"] if "macro" in values else values["map"]
        return {name: value for name, value in metrics.items() if value is not None}

    return compute


def branch_scores(
    trainer: LongTailTrainer, dataset: Any, branches: Sequence[str]
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Predicts a split.

    Returns:
        `tuple[dict[str, np.ndarray], np.ndarray]`: scores `[N, C]` by branch, the model's own under `"logits"`, and
        the references.
    """
    output_names = [f"{branch}_logits" for branch in branches]
    ignored = [name for name in trainer.model.config.keys_to_ignore_at_inference if name not in output_names]
    prediction = trainer.predict(dataset, ignore_keys=ignored)
    arrays = prediction.predictions if isinstance(prediction.predictions, tuple) else (prediction.predictions,)
    return dict(zip(("logits", *branches), arrays, strict=True)), prediction.label_ids


def evaluate_splits(
    trainer: LongTailTrainer, splits: dict[str, Any], stats: ClassStats, problem_type: str
) -> dict[str, dict[str, Any]]:
    """Results of every split: `splits` holds the model's own read-out, `branches` those of each of its branches."""
    own: dict[str, Any] = {}
    branches: dict[str, Any] = {}
    for split, dataset in splits.items():
        scores, references = branch_scores(trainer, dataset, getattr(trainer.model, "branches", ()))
        results = {name: evaluate_scores(array, references, stats, problem_type) for name, array in scores.items()}
        own[split] = results.pop("logits")
        branches[split] = {name: _without_classes(result) for name, result in results.items()}
    return {"splits": own, "branches": branches}


def evaluate_privileged(
    trainer: LongTailTrainer, splits: dict[str, Any], stats: ClassStats, problem_type: str
) -> dict[str, dict[str, Any]]:
    """Results by split of the branches that read the true words, which no prediction may: a ceiling, for analysis."""
    results: dict[str, Any] = {}
    for split, dataset in splits.items():
        branches = trainer.model.privileged_branches
        scores, references = branch_scores(trainer, dataset, branches)
        results[split] = {
            name: _without_classes(evaluate_scores(scores[name], references, stats, problem_type)) for name in branches
        }
    return results


def _without_classes(results: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in results.items() if key != "per_class"}


def evaluation_trainer(
    model: LongTailPreTrainedModel, collator: Any, folder: str | Path, batch_size: int, num_workers: int, use_cpu: bool
) -> LongTailTrainer:
    """A trainer that only predicts, with the images alone."""
    args = LongTailTrainingArguments(
        output_dir=str(folder),
        per_device_eval_batch_size=batch_size,
        remove_unused_columns=False,
        label_names=["labels"],
        dataloader_num_workers=num_workers,
        use_cpu=use_cpu,
        report_to="none",
    )
    trainer = LongTailTrainer(model=model, args=args, data_collator=collator)
    # Each process has the whole model; FSDP and DeepSpeed share out only one that trains.
    trainer.is_fsdp_enabled = trainer.is_deepspeed_enabled = False
    model.to(args.device)
    return trainer


__all__ = [
    "branch_scores",
    "evaluate_privileged",
    "epoch_metrics",
    "evaluate_scores",
    "evaluate_splits",
    "evaluation_trainer",
    "main_score",
]
