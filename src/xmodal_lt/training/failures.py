"""What can go wrong in a run that is nobody's input: numbers that are not finite, files that cannot be written."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import nn


class NonFiniteError(RuntimeError):
    """Training met a loss or a weight that is not a finite number; the last checkpoint is whole."""


class CheckpointError(RuntimeError):
    """A file of a run could not be written; what was written before is whole."""


@contextmanager
def reporting_failed_writes(path: str | Path) -> Iterator[None]:
    """Turns a failed write, such as on a full disk, into a [`CheckpointError`] that says how to go on."""
    try:
        yield
    except (OSError, SafetensorError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "PytorchStreamWriter" not in str(error):  # torch.save's own failure
            raise
        raise CheckpointError(
            f"Could not write {path}: {error}. What was written before is whole: free some disk space and run again "
            "with resume=true."
        ) from error


def check_finite(model: nn.Module, when: str) -> None:
    """Raises a [`NonFiniteError`] when a weight or a buffer of `model` is not finite."""
    broken = [
        name
        for name, tensor in model.state_dict().items()
        if tensor.is_floating_point() and not torch.isfinite(tensor).all()
    ]
    if broken:
        raise NonFiniteError(
            f"{len(broken)} weights are not finite {when}, {broken[0]!r} first; they were not saved. Lower the "
            "learning rate or set max_grad_norm; the checkpoint before is whole."
        )


__all__ = ["CheckpointError", "NonFiniteError", "check_finite", "reporting_failed_writes"]
