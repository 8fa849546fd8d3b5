"""What the losses share: width of the arithmetic, checked class counts, and reductions."""

from collections.abc import Sequence

import torch
from torch import Tensor


REDUCTIONS = ("mean", "sum", "none")


def widen(tensor: Tensor) -> Tensor:
    """Half-precision tensors as float32; wider ones unchanged: losses are never computed in fewer bits."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def positive_counts(class_counts: Sequence[int] | Tensor, logits: Tensor) -> Tensor:
    """The counts in the dtype and on the device of `logits` `[B, C]`.

    Raises:
        ValueError: when their number is not C, or a class has no sample.
    """
    counts = torch.as_tensor(class_counts, dtype=logits.dtype, device="cpu")  # checked without waiting for a GPU
    if counts.shape != logits.shape[-1:]:
        raise ValueError(f"class_counts has {counts.numel()} entries but the logits have {logits.shape[-1]} classes.")
    empty = (counts <= 0).nonzero().flatten().tolist()
    if empty:
        raise ValueError(
            f"Classes {empty[:10]} have no training sample, and this loss divides by their count or takes its "
            "logarithm. Remove these classes or use a loss that takes no class counts."
        )
    return counts.to(logits.device)


def class_weights(weight: Sequence[float] | Tensor | None, logits: Tensor) -> Tensor | None:
    """Weights of the classes in the dtype and on the device of `logits`, or `None`."""
    return None if weight is None else torch.as_tensor(weight, dtype=logits.dtype, device=logits.device)


def reduce_loss(loss: Tensor, reduction: str) -> Tensor:
    """`loss` itself (`"none"`), its `"sum"` or its `"mean"` over all elements.

    Raises:
        ValueError: for another reduction.
    """
    if reduction not in REDUCTIONS:
        raise ValueError(f"Unknown reduction {reduction!r}; expected one of {', '.join(REDUCTIONS)}.")
    return loss if reduction == "none" else loss.sum() if reduction == "sum" else loss.mean()


__all__ = ["REDUCTIONS", "class_weights", "positive_counts", "reduce_loss", "widen"]
