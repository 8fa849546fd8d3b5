"""Figures from the results and logs of runs, drawn without a display and without pyplot's global state."""

from .class_frequency import plot_class_frequency
from .concept_retrieval import plot_retrieval, retrieve_images
from .dataset_page import write_dataset_report
from .figure_files import save_figure
from .loss_curves import plot_loss_curves
from .per_class_gain import plot_per_class_gain
from .per_class_scores import plot_per_class_scores
from .predictions import panel_samples, plot_predictions
from .training_curves import plot_training_curves


__all__ = [
    "panel_samples",
    "plot_class_frequency",
    "plot_loss_curves",
    "plot_per_class_gain",
    "plot_per_class_scores",
    "plot_predictions",
    "plot_retrieval",
    "plot_training_curves",
    "retrieve_images",
    "save_figure",
    "write_dataset_report",
]
