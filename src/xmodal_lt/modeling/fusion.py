"""Feature-level fusion of branches (CMLTNet eq. 9, CRIF eq. 16 and 17)."""

from collections.abc import Callable
from functools import reduce

import torch
from torch import Tensor


_ELEMENTWISE: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "add": torch.add,
    "multiply": torch.multiply,
    "max": torch.maximum,
    "min": torch.minimum,
}
FUSIONS = ("concat", *_ELEMENTWISE)


def fuse(*features: Tensor, mode: str) -> Tensor:
    """Fuses the features of two or more branches.

    Args:
        *features (`Tensor`): of shape `[B, D]` each.
        mode (`str`): `"concat"`, or element-wise `"add"`, `"multiply"`, `"max"` or `"min"`.

    Returns:
        `Tensor`: `[B, D]`, or `[B, n D]` for `"concat"` of n branches.

    Raises:
        ValueError: for another mode.
    """
    if mode == "concat":
        return torch.cat(features, dim=-1)
    if mode not in _ELEMENTWISE:
        raise ValueError(f"Unknown fusion {mode!r}; expected one of {', '.join(FUSIONS)}.")
    return reduce(_ELEMENTWISE[mode], features)


def fused_size(size: int, mode: str, branches: int = 2) -> int:
    """Width of [`fuse`]'s output for so many branches of width `size`."""
    return branches * size if mode == "concat" else size


__all__ = ["FUSIONS", "fuse", "fused_size"]
