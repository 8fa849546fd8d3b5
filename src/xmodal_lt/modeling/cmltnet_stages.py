"""The training stages of CMLTNet (section 3.5)."""

from .configuration_cmltnet import CMLTNetConfig
from .stages import Stage


def cmltnet_stages(config: CMLTNetConfig) -> dict[str, Stage]:
    """Stages `align`, `infer`, `fuse` (section 3.5.1) and the one-stage `joint` (eq. 11) with the config's weights."""
    gamma_imp = config.implicit_weight
    word_half = config.implicit_word_weight
    align_losses = {
        "alignment": config.alignment_weight,
        "aligned_classification": gamma_imp,
        "word_classification": gamma_imp if word_half is None else word_half,
    }
    infer_losses = {"words": 1.0, "transfer": config.transfer_weight, "inferred_classification": 1.0}
    fuse_losses = {"fused_classification": 1.0}
    joint_losses = align_losses | {k: config.inference_weight * v for k, v in infer_losses.items()} | fuse_losses

    align_modules = ("vision_encoder", "visual_projection", "word_encoder", "word_projection")
    infer_modules = ("transfer", "word_predictor", "word_embedding", "word_fusion")
    fuse_modules = ("visual_phi", "semantic_phi")

    def stage(name: str, modules: tuple[str, ...], heads: tuple[str, ...], losses: dict, readout: str) -> Stage:
        return Stage(name, tuple(f"cmltnet.{module}" for module in modules) + heads, losses, readout)

    every_head = ("shared_classifier", "inferred_classifier", "fused_classifier")
    every_module = align_modules + infer_modules + fuse_modules
    stages = (
        stage("align", align_modules, ("shared_classifier",), align_losses, "aligned"),
        stage("infer", infer_modules, ("inferred_classifier",), infer_losses, "inferred"),
        stage("fuse", fuse_modules, ("fused_classifier",), fuse_losses, "fused"),
        stage("joint", every_module, every_head, joint_losses, config.readout),
    )
    return {stage.name: stage for stage in stages}


__all__ = ["cmltnet_stages"]
