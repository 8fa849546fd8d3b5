"""Figures from the results and logs of runs, drawn without a display and without pyplot's global state."""

from .attention_maps import attention_maps, plot_attention_maps
from .class_frequency import plot_class_frequency
from .concept_retrieval import plot_retrieval, retrieve_images
from .dataset_page import write_dataset_report
from .feature_spaces import embed_spaces, feature_spaces, plot_feature_spaces
from .figure_files import save_figure
from .loss_curves import plot_loss_curves
from .per_class_gain import plot_per_class_gain
from .per_class_scores import plot_per_class_scores
from .predictions import panel_samples, plot_predictions
from .training_curves import plot_training_curves


__all__ = [
    "attention_maps",
    "embed_spaces",
    "feature_spaces",
    "panel_samples",
    "plot_attention_maps",
    "plot_class_frequency",
    "plot_feature_spaces",
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
