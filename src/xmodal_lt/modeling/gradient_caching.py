"""Batches larger than memory for losses that compare all their samples."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint


def encode_in_chunks(encode: Any, chunk: int | None, *inputs: Tensor | None) -> Tensor:
    """Encodes a batch in pieces, of which only one at a time has its activations in memory (gradient caching).

    Args:
        encode (`Callable`): of the inputs, row by row.
        chunk (`int` or `None`): rows of a piece; `None` for the whole batch.
        *inputs (`Tensor` or `None`): `[B, ...]`; some may be absent.

    Returns:
        `Tensor`: as `encode` of the whole batch. Where it has a gradient, the backward pass encodes each piece again.

    Source:
        Gao et al. 2021 ("Scaling deep contrastive learning batch size under memory limited setup"), by way of
        PyTorch's checkpoints of activations.
    """
    size = max((tensor.shape[0] for tensor in inputs if tensor is not None), default=0)
    if chunk is None or size <= chunk:
        return encode(*inputs)
    pieces = zip(*(_split(tensor, chunk, size) for tensor in inputs), strict=True)
    if not torch.is_grad_enabled():
        return torch.cat([encode(*piece) for piece in pieces])
    return torch.cat([checkpoint(encode, *piece, use_reentrant=False) for piece in pieces])


def _split(tensor: Tensor | None, chunk: int, size: int) -> tuple[Tensor | None, ...]:
    return (None,) * math.ceil(size / chunk) if tensor is None else tensor.split(chunk)


__all__ = ["encode_in_chunks"]
