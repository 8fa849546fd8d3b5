"""Rows of all ranks of a distributed run, for losses that compare the samples of a batch with each other."""

from typing import Any

import torch
from torch import Tensor, distributed
from torch.autograd.function import once_differentiable


def gather_with_gradients(tensor: Tensor) -> Tensor:
    """Concatenates the rows that each rank has, in the order of the ranks.

    A rank's rows get the sum of the gradients of all ranks' losses. So where each rank computes the same loss of the
    gathered batch, and DistributedDataParallel averages the gradients of the weights over the ranks, the weights get
    those of one process with the whole batch. Every rank must run the backward pass, or the others wait for it.

    Args:
        tensor (`Tensor`): `[B, ...]`, alike on every rank, of any dtype. Class ids have no gradient and pass as well.

    Returns:
        `Tensor`: `[R * B, ...]` for R ranks; `tensor` itself in a single process.

    Raises:
        ValueError: on every rank, when they have different numbers of rows.

    Example:

    ```python
    >>> import torch
    >>> from xmodal_lt.modeling.gathering import gather_with_gradients
    >>> gather_with_gradients(torch.tensor([1, 2]))  # no process group here
    tensor([1, 2])
    ```
    """
    if not (distributed.is_available() and distributed.is_initialized()) or distributed.get_world_size() == 1:
        return tensor
    _check_rows(tensor)
    return _Gather.apply(tensor)


class _Gather(torch.autograd.Function):
    """PyTorch's own gathering with gradients is deprecated or private."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        return torch.cat(_all_gather(tensor))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone(memory_format=torch.contiguous_format)  # it is summed in place
        distributed.all_reduce(total)
        return total.tensor_split(distributed.get_world_size())[distributed.get_rank()]


def _all_gather(tensor: Tensor) -> list[Tensor]:
    tensor = tensor.contiguous()
    parts = [torch.empty_like(tensor) for _ in range(distributed.get_world_size())]
    distributed.all_gather(parts, tensor)
    return parts


def _check_rows(tensor: Tensor) -> None:
    """Backends do not look: gloo aborts a rank and gives another one wrong numbers. It waits for the device."""
    rows = torch.cat(_all_gather(torch.tensor([len(tensor)], device=tensor.device))).tolist()
    if len(set(rows)) > 1:
        raise ValueError(
            f"The ranks have {rows} rows, but only equal numbers can be gathered. Drop the last, smaller batch of the "
            "epoch, or let Accelerate fill it up (`even_batches`)."
        )


__all__ = ["gather_with_gradients"]
