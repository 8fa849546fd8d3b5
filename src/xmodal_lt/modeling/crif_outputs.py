"""What the models of CRIF return."""

from dataclasses import dataclass

from torch import Tensor
from transformers.utils import ModelOutput


@dataclass
class CRIFModelOutput(ModelOutput):
    """Features of CRIF.

    Args:
        pooler_output (`Tensor` of shape `[B, D]`): the embedding that `config.readout` classifies.
        features (`Tensor` of shape `[B, D_v]`): backbone features x.
        image_embeds (`Tensor` of shape `[B, shared_size]`): x_a.
        content_embeds (`Tensor` of shape `[B, content_size]`): x_c.
        inferred_embeds (`Tensor` of shape `[B, semantic_size]`): t_r.
        fused_embeds (`Tensor` of shape `[B, fusion_size]`): F_mix.
        word_logits (`Tensor` of shape `[B, W]`, *optional*): words predicted from t_r, where there are words.
        semantic_features (`Tensor` of shape `[B, semantic_size]`, *optional*): t, when words were given.
        semantic_embeds (`Tensor` of shape `[B, shared_size]`, *optional*): t_a, when words were given.
        semantic_content (`Tensor` of shape `[B, content_size]`, *optional*): t_c, when words were given.
    """

    pooler_output: Tensor | None = None
    features: Tensor | None = None
    image_embeds: Tensor | None = None
    content_embeds: Tensor | None = None
    inferred_embeds: Tensor | None = None
    fused_embeds: Tensor | None = None
    word_logits: Tensor | None = None
    semantic_features: Tensor | None = None
    semantic_embeds: Tensor | None = None
    semantic_content: Tensor | None = None


@dataclass
class CRIFClassifierOutput(ModelOutput):
    """Logits of CRIF's branches and the parts of its loss.

    Args:
        loss (`Tensor`, *optional*): weighted sum of `loss_parts`, when labels were given.
        logits (`Tensor` of shape `[B, C]`): logits of the branch that is read.
        aligned_logits (`Tensor` of shape `[B, C]`): of x_c (V in table V).
        inferred_logits (`Tensor` of shape `[B, C]`): of t_r (I).
        fused_logits (`Tensor` of shape `[B, C]`): of F_mix (V+I).
        semantic_logits (`Tensor` of shape `[B, C]`, *optional*): of t_c (S), when words were given.
        visual_semantic_logits (`Tensor` of shape `[B, C]`, *optional*): V+S, with `config.privileged_fusions`.
        semantic_inferred_logits (`Tensor` of shape `[B, C]`, *optional*): S+I, likewise.
        visual_semantic_inferred_logits (`Tensor` of shape `[B, C]`, *optional*): V+S+I, likewise.
        word_logits (`Tensor` of shape `[B, W]`, *optional*): predicted words, as logits.
        loss_parts (`dict[str, Tensor]`, *optional*): unweighted scalars by name.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    aligned_logits: Tensor | None = None
    inferred_logits: Tensor | None = None
    fused_logits: Tensor | None = None
    semantic_logits: Tensor | None = None
    visual_semantic_logits: Tensor | None = None
    semantic_inferred_logits: Tensor | None = None
    visual_semantic_inferred_logits: Tensor | None = None
    word_logits: Tensor | None = None
    loss_parts: dict[str, Tensor] | None = None


__all__ = ["CRIFClassifierOutput", "CRIFModelOutput"]
