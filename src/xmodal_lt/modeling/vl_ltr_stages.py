"""The training stages of VL-LTR (section 3.1)."""

from .configuration_vl_ltr import LEARNED_HEADS, VLLTRConfig
from .stages import Stage


def vl_ltr_stages(config: VLLTRConfig) -> dict[str, Stage]:
    """`pretrain` trains both encoders by the contrastive loss; `finetune` the head, if it learns."""
    towers = ["vision_encoder", "visual_projection", "logit_scale"]
    text = ["text_projection", *(["text_encoder"] if config.train_text_encoder else [])]
    losses = {"contrastive": 1.0}
    if config.has_teacher:
        share = float(config.distillation_weight or 0)
        losses = {"contrastive": 1 - share, "distillation": share}
    names = tuple(f"vl_ltr.{name}" for name in (*towers, *text))
    stages = {"pretrain": Stage("pretrain", names, losses, "zero_shot", reads_sentences=True)}
    if config.head in LEARNED_HEADS:
        trained = ["vision_encoder", "visual_projection"] if config.finetunes_encoder else []
        if config.train_logit_scale and config.head == "lgr":
            trained.append("logit_scale")
        parts = ("visual", "text") if config.head == "lgr" else ("classification",)
        names = ("head", *(f"vl_ltr.{name}" for name in trained))
        stages["finetune"] = Stage("finetune", names, dict.fromkeys(parts, 1.0), "head")
    return stages


__all__ = ["vl_ltr_stages"]
