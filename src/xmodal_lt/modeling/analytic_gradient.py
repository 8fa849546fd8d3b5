"""Element-wise losses of `[B, C]` that compute their derivative along with their value.

Automatic differentiation keeps every intermediate result of a long formula and goes over each once more. A derivative
shares most of these results with its value: computing both at once takes half the time, and keeps one tensor.

`torch.func.grad` takes these losses. `torch.func.vmap` of their gradient does not, because they work in place: the
gradients of single samples come from `reduction="none"`.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .loss_tools import REDUCTIONS, check_reduction


# (logits, targets, whether the derivative is needed) -> loss and its derivative by the logits, both element-wise
Terms = Callable[[Tensor, Tensor, bool], tuple[Tensor, Tensor | None]]

# Elements that a CPU works on at once: few enough for the intermediate results to stay in its cache, and not to be
# allocated from the system in each step.
CPU_BLOCK = 1 << 16


class _AnalyticLoss(torch.autograd.Function):
    """The gradient is a second output, because a separate `setup_context`, which `torch.func` needs, sees no other."""

    @staticmethod
    def forward(logits: Tensor, targets: Tensor, terms: Terms, reduction: str) -> tuple[Tensor, Tensor]:
        gradient = torch.empty_like(logits)
        return _evaluate(terms, logits, targets, reduction, gradient), gradient

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        logits, _, _, reduction = inputs
        ctx.mark_non_differentiable(output[1])
        ctx.set_materialize_grads(False)  # else zeros for the second output in each backward pass
        ctx.save_for_backward(output[1])
        ctx.share = 1 / max(_divisor(logits, reduction), 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor | None, _: None) -> tuple[Tensor | None, None, None, None]:
        if grad_output is None:
            return None, None, None, None
        (gradient,) = ctx.saved_tensors
        return gradient * (grad_output * ctx.share), None, None, None


def analytic_loss(
    terms: Terms, logits: Tensor, targets: Tensor, reduction: str, known: tuple[str, ...] = REDUCTIONS
) -> Tensor:
    """The reduced loss of `terms`, which is called with rows of `logits` and `targets`, both `[B, C]`.

    Raises:
        ValueError: for a reduction that is not in `known`.
    """
    check_reduction(reduction, known)
    if torch.is_grad_enabled() and logits.requires_grad:
        return _AnalyticLoss.apply(logits, targets, terms, reduction)[0]
    return _evaluate(terms, logits, targets, reduction)


def _evaluate(terms: Terms, logits: Tensor, targets: Tensor, reduction: str, gradient: Tensor | None = None) -> Tensor:
    """The reduced loss; its element-wise derivative goes into `gradient`."""
    losses = []
    for rows in _blocks(logits):
        loss, slope = terms(logits[rows], targets[rows], gradient is not None)
        losses.append(loss if reduction == "none" else loss.sum())
        if gradient is not None and slope is not None:
            gradient[rows] = slope
    return torch.cat(losses) if reduction == "none" else torch.stack(losses).sum() / _divisor(logits, reduction)


def _blocks(logits: Tensor) -> Iterator[slice]:
    blocks = -(-logits.numel() // CPU_BLOCK) if logits.device.type == "cpu" else 1
    size = max(-(-len(logits) // max(blocks, 1)), 1)
    return (slice(start, start + size) for start in range(0, max(len(logits), 1), size))


def _divisor(logits: Tensor, reduction: str) -> int:
    return {"mean": logits.numel(), "batchmean": len(logits)}.get(reduction, 1)


__all__ = ["Terms", "analytic_loss"]
