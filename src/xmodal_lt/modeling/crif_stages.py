"""The training stages of CRIF (section III-F)."""

from .configuration_crif import CRIFConfig
from .stages import Stage


ALIGN_MODULES = ("visual_projection", "semantic_encoder", "semantic_projection")
INFER_MODULES = ("transfer", "decoder")
FUSE_MODULES = ("fusion",)
CONTENT_HEADS = ("visual_classifier", "semantic_classifier")
# Read-outs of table V that take the true semantic features, and what they fuse.
PRIVILEGED_FUSIONS = {
    "visual_semantic": ("visual", "semantic"),
    "semantic_inferred": ("semantic", "inferred"),
    "visual_semantic_inferred": ("visual", "semantic", "inferred"),
}


def crif_stages(config: CRIFConfig) -> dict[str, Stage]:
    """Stages `align` (eq. 20), `infer` (eq. 21), `fuse` (eq. 18), the end-to-end `joint` (eq. 22), and `head`: `joint`
    on a frozen vision encoder, after which `fuse` may follow.

    `infer` leaves the encoders of `align` as they are, but moves the maps to the shared space: content alignment has
    nothing else to align.
    """
    content = {"aligned_classification": 1.0, "semantic_classification": config.semantic_weight}
    aligned = config.alignment_strategy != "none"
    first = content | {"similarity": config.similarity_weight if aligned else 0.0}
    second = {
        "reconstruction": 1.0,
        "alignment": config.alignment_weight if aligned else 0.0,
        "inferred_classification": config.inferred_classification_weight,
    }
    branches = ("fused", *(PRIVILEGED_FUSIONS if config.privileged_fusions else ()))
    fused = {f"{branch}_classification": 1.0 for branch in branches}
    everything = first | _times(config.inference_weight, second) | _times(config.fusion_weight, fused)

    fuse_heads = ("fused_classifier", *(("privileged_heads",) if config.privileged_fusions else ()))
    infer_heads = (*CONTENT_HEADS, "inferred_classifier")
    modules = (*ALIGN_MODULES, *INFER_MODULES, *FUSE_MODULES)
    heads = (*infer_heads, *fuse_heads)

    def stage(name: str, modules: tuple[str, ...], heads: tuple[str, ...], losses: dict, readout: str) -> Stage:
        return Stage(name, tuple(f"crif.{module}" for module in modules) + heads, losses, readout)

    stages = (
        stage("align", ("vision_encoder", *ALIGN_MODULES), CONTENT_HEADS, first, "aligned"),
        stage(
            "infer",
            ("visual_projection", "semantic_projection", *INFER_MODULES),
            infer_heads,
            second | _times(config.content_weight, content),
            "inferred",
        ),
        stage("head", modules, heads, everything, config.readout),
        stage("fuse", FUSE_MODULES, fuse_heads, fused, "fused"),
        stage("joint", ("vision_encoder", *modules), heads, everything, config.readout),
    )
    return {stage.name: stage for stage in stages}


def _times(factor: float, losses: dict[str, float]) -> dict[str, float]:
    return {name: factor * weight for name, weight in losses.items()}


__all__ = ["PRIVILEGED_FUSIONS", "crif_stages"]
