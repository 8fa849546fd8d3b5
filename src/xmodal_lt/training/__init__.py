"""Training: recipes, the trainer, and runs that resume."""

from .arguments import LongTailTrainingArguments
from .recipe import Recipe
from .run import SAMPLERS, Results, run_recipe
from .trainer import CheckpointError, LongTailTrainer, NonFiniteError


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
