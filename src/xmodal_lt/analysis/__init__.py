"""Figures from the results and logs of runs, drawn without a display and without pyplot's global state."""

from .figure_files import save_figure
from .per_class_gain import plot_per_class_gain
from .training_curves import plot_training_curves


__all__ = ["plot_per_class_gain", "plot_training_curves", "save_figure"]
