"""Figures from the results and logs of runs, drawn without a display and without pyplot's global state."""

from .figure_files import save_figure
from .per_class_gain import plot_per_class_gain
from .per_class_scores import plot_per_class_scores
from .predictions import panel_samples, plot_predictions
from .training_curves import plot_training_curves


__all__ = [
    "panel_samples",
    "plot_per_class_gain",
    "plot_per_class_scores",
    "plot_predictions",
    "plot_training_curves",
    "save_figure",
]
