"""Training: recipes, the trainer, and runs that resume."""

from .arguments import LongTailTrainingArguments
from .failures import CheckpointError, NonFiniteError
from .recipe import Recipe
from .run import SAMPLERS, Results, run_recipe
from .trainer import LongTailTrainer


__all__ = [
    "SAMPLERS",
    "CheckpointError",
    "LongTailTrainer",
    "LongTailTrainingArguments",
    "NonFiniteError",
    "Recipe",
    "Results",
    "run_recipe",
]
