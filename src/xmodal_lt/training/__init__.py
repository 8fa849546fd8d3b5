"""Training: recipes, the trainer, and runs that resume."""

from .arguments import LongTailTrainingArguments
from .failures import CheckpointError, NonFiniteError
from .grid import Cell, Grid, run_grid
from .grid_table import grid_table
from .recipe import Recipe
from .run import Results, run_recipe
from .trainer import LongTailTrainer


__all__ = [
    "Cell",
    "CheckpointError",
    "Grid",
    "LongTailTrainer",
    "LongTailTrainingArguments",
    "NonFiniteError",
    "Recipe",
    "Results",
    "grid_table",
    "run_grid",
    "run_recipe",
]
