"""Metrics for long-tailed data: plain functions on arrays that report head, medium and tail classes apart."""

from .accuracy import shot_accuracy, top_k_accuracy
from .groups import GROUPS, frequency_groups
from .mean_average_precision import average_precision, lt_map
from .module_folders import evaluate_module
from .multilabel import multilabel_f1, precision_recall_at_k
from .report import classification_results
from .table import overall_scores, results_table, write_per_class_csv
from .top_k import top_k_indices


__all__ = [
    "lt_map",
    "shot_accuracy",
    "precision_recall_at_k",
    "multilabel_f1",
    "average_precision",
    "top_k_accuracy",
    "top_k_indices",
    "GROUPS",
    "frequency_groups",
    "classification_results",
    "overall_scores",
    "results_table",
    "write_per_class_csv",
    "evaluate_module",
]
