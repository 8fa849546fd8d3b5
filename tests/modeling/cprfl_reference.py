"""CPRFL's equations in float64, written from the paper and the description of its code: what the model is held
against.

One sample and one head at a time, with an ordinary softmax over the whole of Z = (F; P), every token with its query.
"""

import math

import torch
from torch import Tensor

from xmodal_lt.modeling.configuration_cprfl import CPRFLConfig


Weights = dict[str, Tensor]


def affine(rows: Tensor, weights: Weights, name: str) -> Tensor:
    return rows @ weights[f"{name}.weight"].T + weights.get(f"{name}.bias", 0.0)


def gelu(x: Tensor) -> Tensor:
    return x * (1 + torch.erf(x / math.sqrt(2))) / 2


def layer_norm(rows: Tensor, weights: Weights, name: str) -> Tensor:
    centred = rows - rows.mean(dim=1, keepdim=True)
    deviation = (centred.square().mean(dim=1, keepdim=True) + 1e-5).sqrt()
    return centred / deviation * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def self_attention(rows: Tensor, weights: Weights, num_heads: int, scale: float) -> Tensor:
    """Eq. 3 and 4 of all rows, the heads side by side."""
    heads = []
    for head in range(num_heads):
        query, key, value = (
            rows @ weights[f"{name}.weight"].chunk(num_heads)[head].T for name in ("query", "key", "value")
        )
        exponents = query @ key.T / scale
        attention = (exponents - exponents.max(dim=1, keepdim=True).values).exp()
        heads.append(attention / attention.sum(dim=1, keepdim=True) @ value)
    return torch.cat(heads, dim=1)


def interaction(
    weights: Weights, image_tokens: Tensor, prompts: Tensor, num_heads: int, variant: str, residual: bool
) -> Tensor:
    """P' of eq. 3 to 5, `[B, C, d]`, of F `[B, v, d]` and P `[C, d]`; weights as the VSI network names them."""
    released = variant == "code"
    head_size = len(weights["query.weight"]) // num_heads
    scale = math.sqrt(head_size if released else prompts.shape[1])
    samples = []
    for tokens in image_tokens:
        z = torch.cat([tokens, prompts])
        normed = layer_norm(z, weights, "attention_norm") if released else z
        hidden = self_attention(normed, weights, num_heads, scale)
        if released:
            hidden = affine(hidden, weights, "output")
        if residual:
            hidden = z + hidden
        normed = layer_norm(hidden, weights, "mlp_norm") if released else hidden
        refined = affine(gelu(affine(normed, weights, "mlp.0")), weights, "mlp.3")
        samples.append((hidden + refined if residual else refined)[len(tokens) :])
    return torch.stack(samples)


def initial_prompts(weights: Weights, network: str) -> Tensor:
    """P of eq. 2, of the single layer that section 3.2 compares it with, or as free parameters."""
    if network == "none":
        return weights["prompts.network.weight"]
    semantics = weights["prompts.class_semantics"]
    if network == "linear":
        return affine(semantics, weights, "prompts.network")
    return affine(gelu(affine(semantics, weights, "prompts.network.0")), weights, "prompts.network.3")


def cprfl_logits(config: CPRFLConfig, weights: Weights, local_features: Tensor) -> Tensor:
    """The dot products of eq. 6, `[B, C]`; weights as the base model names them, features before the projection."""
    prompts = initial_prompts(weights, config.prompt_network)
    asked = prompts.detach() if config.detach_path == "interaction" else prompts
    classifier = prompts.detach() if config.detach_path == "direct" else prompts
    inside = {
        name.removeprefix("interaction."): tensor
        for name, tensor in weights.items()
        if name.startswith("interaction.")
    }
    tokens = affine(local_features, weights, "projection")
    embeds = interaction(inside, tokens, asked, config.num_heads, config.variant, config.residual)
    return torch.einsum("bcd,cd->bc", embeds, classifier)


def asymmetric_sum(
    logits: Tensor, targets: Tensor, gamma_pos: float = 0.0, gamma_neg: float = 4.0, margin: float = 0.05
) -> Tensor:
    """Eq. 7 with the minus that it lacks. The focusing factors are constants for the gradient, as in the code."""
    p = torch.sigmoid(logits)
    missed = (p - margin).clamp(min=0)
    positive = (1 - p).detach() ** gamma_pos * p.log()
    negative = missed.detach() ** gamma_neg * (1 - missed).log()
    return -(targets * positive + (1 - targets) * negative).sum()
