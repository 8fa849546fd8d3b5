"""CPRFL's interaction of class prompts with the local features of an image (section 3.3).

The paper runs a transformer layer over Z = (F, P), the v image tokens and the C prompts, and keeps the C outputs of
the prompts. So only the prompts need queries, output projections and an MLP; and as P is the same for every image, its
queries, keys, values and attention to itself are computed once a batch. The softmax over Z is put together from those
over F and over P by their normalisers: with s = sigmoid(logsumexp(scores of F) - logsumexp(scores of P)), a prompt
reads from Z s times what it reads from F, and 1 - s times what it reads from P.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from .loss_tools import widen


# Attention scores of prompts to prompts that are held at a time: 256 MiB in float32. With more classes, chunks of
# prompts take turns, and their scores are computed again in the backward pass.
_MOST_SCORES = 2**26


class VisualSemanticInteraction(nn.Module):
    """VSI: one transformer layer from prompts and image tokens to class-specific features.

    Args:
        size (`int`): d, width of tokens and prompts.
        num_heads (`int`): attention heads.
        head_size (`int`): width of each.
        mlp_size (`int`): width inside the MLP.
        dropout (`float`): after the attention and twice in the MLP.
        residual (`bool`): whether the input of attention and MLP is added to their output.
        variant (`str`):
            `"code"` normalises the inputs of attention and MLP (pre-norm), projects the heads' outputs, and scales
            scores by the width of a head; `"paper"` follows eq. 3 to 5, without norms and projection, and scales by d.

    Source:
        CPRFL, eq. 3 to 5.
    """

    def __init__(
        self,
        size: int,
        num_heads: int,
        head_size: int,
        mlp_size: int,
        dropout: float,
        residual: bool = False,
        variant: Literal["code", "paper"] = "code",
    ):
        super().__init__()
        released, inner = variant == "code", num_heads * head_size
        self.num_heads, self.residual = num_heads, residual
        self.scale = (head_size if released else size) ** -0.5
        self.attention_norm = nn.LayerNorm(size) if released else nn.Identity()
        self.query = nn.Linear(size, inner, bias=False)
        self.key = nn.Linear(size, inner, bias=False)
        self.value = nn.Linear(size, inner, bias=False)
        self.output = nn.Linear(inner, size) if released else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.mlp_norm = nn.LayerNorm(size) if released else nn.Identity()
        self.mlp = nn.Sequential(
            nn.Linear(size, mlp_size), nn.GELU(), nn.Dropout(dropout), nn.Linear(mlp_size, size), nn.Dropout(dropout)
        )

    def forward(self, image_tokens: Tensor, prompts: Tensor) -> Tensor:
        """P': what the image holds of each class, `[B, C, d]`.

        Args:
            image_tokens (`Tensor`): F, `[B, v, d]`.
            prompts (`Tensor`): P, `[C, d]`.
        """
        hidden = self.dropout(self.output(self._attention(image_tokens, prompts)))
        if self.residual:
            hidden = prompts + hidden
        refined = self.mlp(self.mlp_norm(hidden))
        return hidden + refined if self.residual else refined

    def _attention(self, image_tokens: Tensor, prompts: Tensor) -> Tensor:
        """What the heads of each prompt read from image tokens and prompts, `[B, C, heads * head size]`."""
        tokens, own = self.attention_norm(image_tokens), self.attention_norm(prompts)
        queries = self._heads(self.query(own)) * self.scale
        image_queries, image_keys = self._image_keys(queries, tokens)
        shared = image_keys, self._heads(self.value(tokens)), self._heads(self.key(own)), self._heads(self.value(own))
        most = max(1, _MOST_SCORES // (self.num_heads * len(prompts)))
        if len(prompts) <= most:
            return _attend(queries, image_queries, *shared)
        chunks = zip(queries.split(most), image_queries.split(most), strict=True)
        return torch.cat([checkpoint(_attend, *chunk, *shared, use_reentrant=False) for chunk in chunks], dim=1)

    def _image_keys(self, queries: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Queries `[C, h, .]` and keys of the image tokens, `[B, v, h, head size]`, or `[B, v, d]` for all heads.

        With fewer classes than a head is wide, it is less work to bring the queries into the space of the tokens.
        """
        head_size = queries.shape[-1]
        if len(queries) >= head_size:
            return queries, self._heads(self.key(tokens))
        weight = self.key.weight.unflatten(0, (self.num_heads, head_size))
        return torch.einsum("che,hed->chd", queries, weight), tokens

    def _heads(self, rows: Tensor) -> Tensor:
        """`[..., heads * head size]` as `[..., heads, head size]`."""
        return rows.unflatten(-1, (self.num_heads, -1))


def _attend(
    queries: Tensor, image_queries: Tensor, image_keys: Tensor, image_values: Tensor, keys: Tensor, values: Tensor
) -> Tensor:
    """Attention of c prompts over image tokens and prompts, `[B, c, heads * head size]`."""
    equation = "chd,bvd->bhcv" if image_keys.ndim == 3 else "chd,bvhd->bhcv"
    image_scores = torch.einsum(equation, image_queries, image_keys)
    image_context, image_normalizer = _read(image_scores, image_values, "bhcv,bvhe->bhce")
    own_context, own_normalizer = _read(torch.einsum("che,khe->hck", queries, keys), values, "hck,khe->hce")
    share = torch.sigmoid(image_normalizer - own_normalizer).to(image_context.dtype)
    context = torch.lerp(own_context.expand_as(image_context), image_context, share)
    return context.transpose(1, 2).flatten(2)


def _read(scores: Tensor, values: Tensor, equation: str) -> tuple[Tensor, Tensor]:
    """Attention by `scores`, and the logarithm of its normaliser, in float32 or wider."""
    scores = widen(scores)
    # Not exp(scores - normalizer), whose sum is off by as much as the rounding of large scores.
    weights = scores.softmax(dim=-1)
    return torch.einsum(equation, weights.to(values.dtype), values), scores.logsumexp(dim=-1, keepdim=True)


__all__ = ["VisualSemanticInteraction"]
