"""Encoders of sequences of pre-extracted features `[B, T, D]`: videos, and what is privileged about them."""

import dataclasses
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


class GRUFeatureEncoder(nn.Module):
    """A GRU over the steps of a sequence, and the mean of its states.

    Args:
        input_size (`int`): width D of the features.
        hidden_size (`int`, *optional*, defaults to 768): width of the state and of the output.
        num_layers (`int`, *optional*, defaults to 1): stacked GRUs.

    Source:
        The GRU of CRIF, section IV-C, in the width of ViLT. The paper gives neither layers nor pooling.
    """

    def __init__(self, input_size: int, hidden_size: int = 768, num_layers: int = 1):
        super().__init__()
        self.input_size, self.hidden_size = input_size, hidden_size
        self.gru = nn.GRU(input_size, hidden_size, num_layers, batch_first=True)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        lengths = mask.sum(dim=1)
        packed = pack_padded_sequence(features, lengths.cpu(), batch_first=True, enforce_sorted=False)
        states, _ = pad_packed_sequence(self.gru(packed)[0], batch_first=True)  # zeros in the padding
        return states.sum(dim=1) / lengths.unsqueeze(-1).to(states.dtype)


class ViltFeatureEncoder(nn.Module):
    """ViLT's transformer over a class token and the linearly projected steps of a sequence.

    The modules are those of transformers, so that the weights of a ViLT checkpoint fit `encoder`, `layernorm` and
    `pooler`. Positions are learned.

    Args:
        input_size (`int`): width D of the features.
        hidden_size (`int`, *optional*, defaults to 768): width of the tokens and of the output.
        max_steps (`int`, *optional*, defaults to 512): longest sequence.
        **kwargs: fields of `ViltConfig`, such as `num_hidden_layers` (12), `num_attention_heads` (12),
            `intermediate_size` (3072) and `hidden_dropout_prob` (0.0).

    Source:
        Kim et al. 2021 (ViLT), as the single-modality backbone of CRIF, table II.
    """

    def __init__(self, input_size: int, hidden_size: int = 768, max_steps: int = 512, **kwargs: Any):
        super().__init__()
        # Not at the top: it imports the Auto classes, which registers this package's models, which import this module.
        from transformers import ViltConfig
        from transformers.models.vilt.modeling_vilt import ViltEncoder, ViltPooler

        known = {field.name for field in dataclasses.fields(ViltConfig)}
        unknown = [name for name in kwargs if name not in known]
        if unknown:  # a config takes any name
            raise TypeError(f"ViltConfig has no field {unknown[0]!r}.")
        self.input_size, self.hidden_size, self.max_steps = input_size, hidden_size, max_steps
        config = ViltConfig(hidden_size=hidden_size, **kwargs)
        self.cls_token = nn.Parameter(torch.empty(1, 1, hidden_size))
        self.position_embedding = nn.Parameter(torch.empty(1, max_steps + 1, hidden_size))
        self.projection = nn.Linear(input_size, hidden_size)
        self.encoder = ViltEncoder(config)
        self.layernorm = nn.LayerNorm(hidden_size, eps=config.layer_norm_eps)
        self.pooler = ViltPooler(config)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws the class token and the positions, of deviation 0.02."""
        for parameter in (self.cls_token, self.position_embedding):
            nn.init.normal_(parameter, std=0.02)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        steps = features.shape[1]
        if steps > self.max_steps:
            raise ValueError(
                f"A sequence has {steps} steps, but the encoder was built for at most {self.max_steps}; set max_steps "
                "in its arguments."
            )
        tokens = torch.cat([self.cls_token.expand(features.shape[0], -1, -1), self.projection(features)], dim=1)
        tokens = tokens + self.position_embedding[:, : steps + 1]
        visible = torch.cat([mask.new_ones(mask.shape[0], 1), mask], dim=1).bool()
        hidden = torch.zeros_like(visible, dtype=tokens.dtype).masked_fill(~visible, torch.finfo(tokens.dtype).min)
        states = self.encoder(tokens, attention_mask=hidden[:, None, None]).last_hidden_state
        return self.pooler(self.layernorm(states))


FEATURE_ENCODERS: dict[str, type[nn.Module]] = {"gru": GRUFeatureEncoder, "vilt": ViltFeatureEncoder}


def build_feature_encoder(kind: str, settings: dict[str, Any]) -> Any:
    """Makes an encoder of sequences: a module with `input_size` and `hidden_size` that maps features `[B, T, D]` and a
    mask `[B, T]`, 1 for steps and 0 for padding, to `[B, hidden_size]`.

    Args:
        kind (`str`): `"gru"` or `"vilt"`.
        settings (`dict`): arguments of [`GRUFeatureEncoder`] or [`ViltFeatureEncoder`]; `input_size` at least.

    Raises:
        ValueError: for an unknown kind, or arguments that it does not take.
    """
    if kind not in FEATURE_ENCODERS:
        raise ValueError(f"Unknown feature encoder {kind!r}; expected one of {', '.join(FEATURE_ENCODERS)}.")
    if "input_size" not in settings:
        raise ValueError(
            f"The feature encoder {kind!r} needs `input_size`, the width of the pre-extracted features, such as 1024 "
            "for S3D."
        )
    try:
        return FEATURE_ENCODERS[kind](**settings)
    except TypeError as error:
        raise ValueError(f"The feature encoder {kind!r} does not take {settings}: {error}") from error


def check_sequences(features: Tensor, mask: Tensor | None, width: int, name: str) -> Tensor:
    """Checks a batch of sequences.

    Args:
        features (`Tensor`): `[B, T, D]`.
        mask (`Tensor` or `None`): `[B, T]`, 1 for steps and 0 for padding, at the end; all ones when absent.
        width (`int`): D that is expected.
        name (`str`): what an error calls the features.

    Returns:
        `Tensor`: the mask.

    Raises:
        ValueError: for other shapes or another width, a sequence without a step, or padding before a step.
    """
    if features.ndim != 3 or features.shape[-1] != width or features.shape[1] == 0:
        raise ValueError(f"`{name}` must be [B, T, {width}] with T of at least 1, got {list(features.shape)}.")
    if mask is None:
        return torch.ones(features.shape[:2], dtype=torch.long, device=features.device)
    if mask.shape != features.shape[:2]:
        raise ValueError(
            f"The mask of `{name}` must be {list(features.shape[:2])}, 1 for steps and 0 for padding, got "
            f"{list(mask.shape)}."
        )
    if torch.compiler.is_exporting():  # where control flow cannot depend on values
        return mask
    empty_or_torn = ~mask[:, 0].bool() | (mask[:, 1:] > mask[:, :-1]).any(dim=1)
    if empty_or_torn.any():
        row = empty_or_torn.nonzero()[0].item()
        raise ValueError(f"Sequence {row} of `{name}` needs at least one step, and its padding at the end.")
    return mask


__all__ = ["FEATURE_ENCODERS", "build_feature_encoder", "check_sequences"]
