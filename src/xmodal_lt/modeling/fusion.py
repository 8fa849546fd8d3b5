"""Feature-level fusion of two branches (CMLTNet eq. 9)."""

import torch
from torch import Tensor


FUSIONS = ("add", "concat", "max", "min")


def fuse(first: Tensor, second: Tensor, mode: str) -> Tensor:
    """Fuses two feature batches.

    Args:
        first (`Tensor`): features of shape `[B, D]`.
        second (`Tensor`): features of shape `[B, D]`.
        mode (`str`): `"add"`, `"concat"`, `"max"` or `"min"` (element-wise, but for `"concat"`).

    Returns:
        `Tensor`: `[B, D]`, or `[B, 2 D]` for `"concat"`.

    Raises:
        ValueError: for another mode.
    """
    if mode == "add":
        return first + second
    if mode == "concat":
        return torch.cat([first, second], dim=-1)
    if mode == "max":
        return torch.maximum(first, second)
    if mode == "min":
        return torch.minimum(first, second)
    raise ValueError(f"Unknown fusion {mode!r}; expected one of {', '.join(FUSIONS)}.")


def fused_size(size: int, mode: str) -> int:
    """Width of [`fuse`]'s output for two inputs of width `size`."""
    return 2 * size if mode == "concat" else size


__all__ = ["FUSIONS", "fuse", "fused_size"]
