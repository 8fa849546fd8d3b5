"""What the models of VL-LTR give."""

from dataclasses import dataclass

from torch import Tensor
from transformers.utils import ModelOutput


@dataclass
class VLLTRModelOutput(ModelOutput):
    """Features of VL-LTR.

    Args:
        pooler_output (`Tensor` of shape `[B, D]`): the embedding that is classified: `image_embeds`.
        image_embeds (`Tensor` of shape `[B, D]`): E^I, not normalised (eq. 1).
        text_embeds (`Tensor` of shape `[B, D]`, *optional*): E^T of the sentences, when they were given.
    """

    pooler_output: Tensor | None = None
    image_embeds: Tensor | None = None
    text_embeds: Tensor | None = None


@dataclass
class VLLTRClassifierOutput(ModelOutput):
    """Output of [`VLLTRForImageClassification`].

    Args:
        loss (`Tensor`, *optional*): weighted sum of the loss parts that count, when labels were given.
        logits (`Tensor` of shape `[B, C]`): of the head, or in the pre-training of the zero-shot read-out.
        loss_parts (`dict[str, Tensor]`, *optional*): the losses by name.
        visual_logits (`Tensor` of shape `[B, C]`, *optional*): x1 of the `lgr` head.
        text_logits (`Tensor` of shape `[B, C]`, *optional*): x2 of the `lgr` head.
        image_embeds (`Tensor` of shape `[B, D]`): E^I.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    loss_parts: dict[str, Tensor] | None = None
    visual_logits: Tensor | None = None
    text_logits: Tensor | None = None
    image_embeds: Tensor | None = None


__all__ = ["VLLTRClassifierOutput", "VLLTRModelOutput"]
