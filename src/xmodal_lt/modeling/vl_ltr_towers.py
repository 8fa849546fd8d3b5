"""Parts of VL-LTR's encoders: temperature, text side, and the encoders as they were loaded, to distil from."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from .configuration_vl_ltr import VLLTRConfig
from .gradient_caching import encode_in_chunks
from .modeling_long_tail import build_vision_encoder
from .sentence_encoder import SentenceEncoder


class LogitScale(nn.Module):
    """The logarithm of 1 / tau as a parameter.

    Args:
        temperature (`float`): initial tau.
        maximum (`float`, *optional*): bound of 1 / tau in training.
    """

    def __init__(self, temperature: float, maximum: float | None = None):
        super().__init__()
        self.initial = -math.log(temperature)
        self.maximum = maximum
        self.weight = nn.Parameter(torch.empty(()))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.constant_(self.weight, self.initial)

    def forward(self) -> Tensor:
        """The logarithm, 0-d."""
        if self.maximum is not None and self.training:
            with torch.no_grad():  # as CLIP clips its parameter: it can come back
                self.weight.clamp_(max=math.log(self.maximum))
        return self.weight


class TextProjection(nn.Linear):
    """From a sentence encoder to the joint space; at first the identity where the widths agree [ours]."""

    def reset_parameters(self) -> None:
        super().reset_parameters()
        if self.in_features == self.out_features:
            nn.init.eye_(self.weight)
            if self.bias is not None:
                nn.init.zeros_(self.bias)


def build_text_side(config: VLLTRConfig) -> tuple[SentenceEncoder | None, nn.Module]:
    """The text encoder and its projection; that of a CLIP projects by itself."""
    if config.text_backbone_config is None:
        return None, nn.Identity()
    encoder = SentenceEncoder(config.text_backbone_config)
    if config.text_backbone_config["kind"] == "clip":
        return encoder, nn.Identity()
    return encoder, TextProjection(encoder.hidden_size, int(config.embed_size or 0))


class Teacher(nn.Module):
    """The encoders as they were loaded."""

    loaded: Tensor

    def __init__(self, config: VLLTRConfig):
        super().__init__()
        self.register_buffer("loaded", torch.zeros(()))
        self.vision_encoder = build_vision_encoder(config)
        self.visual_projection = nn.Linear(self.vision_encoder.hidden_size, int(config.embed_size or 0))
        self.logit_scale = LogitScale(config.temperature)
        self.text_encoder: Any
        self.text_encoder, self.text_projection = build_text_side(config)

    def copy_from(self, model: nn.Module) -> None:
        """Takes over the weights of `model`."""
        weights = model.state_dict() | {"loaded": torch.ones(())}
        self.load_state_dict({name: weights[name] for name in self.state_dict()})

    @property
    def is_loaded(self) -> bool:
        """Whether it has something to teach, and not its random weights; unknown, as on the meta device, counts."""
        return self.loaded.is_meta or bool(self.loaded)

    @torch.no_grad()
    def forward(
        self, pixel_values: Tensor | None, input_ids: Tensor, attention_mask: Tensor | None, chunk: int | None
    ) -> tuple[Tensor, Tensor]:
        """Embeddings of images and sentences, each `[B, D]`, in pieces of `chunk`.

        Raises:
            ValueError: without images.
        """
        if pixel_values is None:
            raise ValueError(
                "Distillation needs the images themselves, as the teacher encodes them too; set distillation_weight=0 "
                "for videos, or give `pixel_values` in place of cached features."
            )
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        images = encode_in_chunks(self._embed_images, chunk, pixel_values)
        return images, encode_in_chunks(self._embed_text, chunk, input_ids, mask)

    def _embed_images(self, pixel_values: Tensor) -> Tensor:
        return self.visual_projection(self.vision_encoder(pixel_values.to(self.visual_projection.weight.dtype)))

    def _embed_text(self, input_ids: Tensor, mask: Tensor) -> Tensor:
        return self.text_projection(self.text_encoder(input_ids, mask))


def is_clip_tower(config: VLLTRConfig) -> bool:
    """Whether the vision encoder is that of some CLIP, by timm's name or transformers' config."""
    if config.backbone_config is not None:
        return "clip" in config.backbone_config["model_type"]
    return "clip" in config.backbone


@torch.no_grad()
def load_joint_space(model: Any, joint: dict[str, Tensor]) -> bool:
    """Gives a `VLLTRModel` CLIP's projection of images and, but for the paper's variant, tau.

    Returns:
        `bool`: whether the projection fits; else nothing is changed.
    """
    projection, weight = model.visual_projection, joint.get("visual_projection.weight")
    if weight is None or weight.shape != projection.weight.shape:
        return False
    projection.weight.copy_(weight)
    projection.bias.copy_(joint.get("visual_projection.bias", torch.zeros_like(projection.bias)))
    if "logit_scale" in joint and model.config.variant == "code":
        model.logit_scale.weight.copy_(joint["logit_scale"])
    return True


__all__ = ["LogitScale", "Teacher", "TextProjection", "build_text_side", "is_clip_tower", "load_joint_space"]
