"""CPRFL's class prompts P: made from what is known of the classes' names by the prompt initialisation (PI) network."""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from .text_encoder import ClipTextEncoder


class FreePrompts(nn.Embedding):
    """Prompts that are parameters, drawn about as long as a unit vector, and nothing that is known of the classes."""

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight, std=self.embedding_dim**-0.5)


class CategoryPrompts(nn.Module):
    """Class semantics W, and what makes prompts P of them.

    Args:
        num_classes (`int`): C.
        semantic_size (`int`): m, width of W.
        size (`int`): d, width of P.
        hidden_size (`int`): tau d, width inside the network.
        dropout (`float`): inside the network.
        network (`str`):
            `"mlp"`, eq. 2; `"linear"`, the single layer of earlier work; or `"none"` for free prompts without W.
        text_config (`dict`, *optional*): of CLIP's text tower, where the model has it.
        num_templates (`int`, *optional*, defaults to 1): prompts in words of each class for that tower.
        trains_text (`bool`, *optional*, defaults to `False`): whether the tower learns.

    Source:
        CPRFL, section 3.2.
    """

    class_semantics: Tensor

    def __init__(
        self,
        num_classes: int,
        semantic_size: int,
        size: int,
        hidden_size: int,
        dropout: float,
        network: Literal["mlp", "linear", "none"] = "mlp",
        text_config: dict[str, Any] | None = None,
        num_templates: int = 1,
        trains_text: bool = False,
    ):
        super().__init__()
        self.network = _build_network(network, num_classes, semantic_size, size, hidden_size, dropout)
        self.trains_text = trains_text
        self.text_encoder = None
        if network != "none":
            self.register_buffer("class_semantics", torch.empty(num_classes, semantic_size))
            if text_config is not None:
                self.text_encoder = ClipTextEncoder(text_config, num_classes, num_templates)
        # The text encoder that `class_semantics` are of; none before it has run, and since it may have changed.
        self._encoded: tuple | None = None
        self.register_state_dict_pre_hook(_update)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Random semantics, which stay those of `config.semantics="random"`."""
        if self.has_semantics:
            nn.init.normal_(self.class_semantics)

    @property
    def has_semantics(self) -> bool:
        """Whether the prompts are made of class semantics."""
        return not isinstance(self.network, FreePrompts)

    def forward(self) -> Tensor:
        """P, `[C, d]`."""
        if isinstance(self.network, FreePrompts):
            return self.network.weight
        return self.network(self.semantics())

    def semantics(self) -> Tensor:
        """W, `[C, m]`: with gradient while a text encoder learns, else as it is kept with the model."""
        if self.text_encoder is None:
            return self.class_semantics
        if self.trains_text and self.text_encoder.training:
            self._encoded = None  # a step will follow, and those of fused optimizers leave no trace, see `_versions`
            return self.text_encoder()
        self.update_semantics()
        return self.class_semantics

    def train(self, mode: bool = True) -> "CategoryPrompts":
        """As `nn.Module.train`. After a while of training, the semantics are those of another text encoder."""
        if self.trains_text:
            self._encoded = None
        return super().train(mode)

    @torch.no_grad()
    def update_semantics(self) -> None:
        """Makes `class_semantics` what the text encoder gives now, if it or its prompts have changed."""
        encoder = self.text_encoder
        assert encoder is not None
        if self._encoded == _versions(encoder):
            return
        was_training = encoder.training
        # They stay, so without dropout, and not in fewer bits than the model has.
        with torch.autocast(self.class_semantics.device.type, enabled=False):
            self.class_semantics.copy_(encoder.eval()())
        encoder.train(was_training)
        self._encoded = _versions(encoder)


def _versions(module: nn.Module) -> tuple:
    """Changes with every change of a weight or buffer in place, as those of optimizers and `load_state_dict` are."""
    tensors = (*module.parameters(), *module.buffers())
    return tuple((id(tensor), 0 if tensor.is_inference() else tensor._version) for tensor in tensors)


def _update(module: CategoryPrompts, prefix: str, keep_vars: bool) -> None:
    """So that a checkpoint holds the semantics that go with its text encoder."""
    if module.text_encoder is not None and module.text_encoder.has_prompts:
        module.update_semantics()


def _build_network(
    kind: str, num_classes: int, semantic_size: int, size: int, hidden_size: int, dropout: float
) -> nn.Module:
    if kind == "none":
        return FreePrompts(num_classes, size)
    if kind == "linear":
        return nn.Linear(semantic_size, size)
    return nn.Sequential(
        nn.Linear(semantic_size, hidden_size), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden_size, size)
    )


__all__ = ["CategoryPrompts", "FreePrompts"]
