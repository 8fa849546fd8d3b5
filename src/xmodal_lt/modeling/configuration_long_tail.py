"""The part of a config that every method shares: backbone, labels, class counts and classification loss."""

from typing import Any, ClassVar, Literal

from transformers import PreTrainedConfig
from transformers.utils import logging


logger = logging.get_logger(__name__)


class LongTailConfig(PreTrainedConfig):
    r"""Base of the configs of this package.

    Args:
        backbone (`str`, *optional*, defaults to `"resnet50"`):
            A timm model name; `hf:` and the id of a transformers vision model; or, for videos as sequences of
            pre-extracted features, `features:gru` or `features:vilt`.
        backbone_kwargs (`dict`, *optional*):
            Passed to `timm.create_model` (`img_size`, `drop_path_rate`, ...), set on the transformers config, or
            passed to the feature encoder (`input_size`, the width of its features, at least).
        backbone_config (`dict`, *optional*):
            The transformers config of an `hf:` backbone; read from the model id when absent, and saved from then on.
        problem_type (`str`, *optional*, defaults to `"single_label_classification"`):
            Or `"multi_label_classification"`.
        reparameterized (`bool`, *optional*, defaults to `False`):
            Whether the branches of a timm backbone such as RepVGG are merged, as in a checkpoint for prediction only.
        class_counts (`list[int]`, *optional*):
            Samples of each class that the model is trained on, for priors and class weights.
        num_samples (`int`, *optional*):
            Training samples; fewer than the sum of `class_counts` where a sample has several labels.
        classification_loss (`str`, *optional*):
            A name in `CLASSIFICATION_LOSSES`; cross-entropy or binary cross-entropy by the problem type when absent.
        classification_loss_kwargs (`dict`, *optional*):
            Further arguments of that loss, such as `{"tau": 1.0}`, and its class weights; see
            `build_classification_loss`.
    """

    # Fields that a checkpoint's weights were made by, so that no other value goes with them.
    fixed_by_checkpoint: ClassVar[tuple[str, ...]] = ()

    backbone: str = "resnet50"
    backbone_kwargs: dict[str, Any] | None = None
    backbone_config: dict[str, Any] | None = None
    reparameterized: bool = False
    class_counts: list[int] | None = None
    num_samples: int | None = None
    classification_loss: str | None = None
    classification_loss_kwargs: dict[str, Any] | None = None
    problem_type: Literal["single_label_classification", "multi_label_classification"] | None = (
        "single_label_classification"
    )

    def __post_init__(self, **kwargs):
        self._drop_counts_of_other_labels(kwargs.get("num_labels"))
        super().__post_init__(**kwargs)
        if self.problem_type is None:
            self.problem_type = type(self).problem_type  # the default of the method
        if self.class_counts is not None and len(self.class_counts) != self.num_labels:
            raise ValueError(
                f"`class_counts` has {len(self.class_counts)} entries but the model has {self.num_labels} labels; "
                "give one count for each label."
            )
        if self.backbone_config is None and self.backbone.startswith("hf:"):
            from .vision_encoder import resolve_backbone_config

            self.backbone_config = resolve_backbone_config(self.backbone)

    def _drop_counts_of_other_labels(self, num_labels: int | None) -> None:
        """Lets `from_pretrained(..., num_labels=...)` start from a checkpoint whose counts are of its own labels."""
        if num_labels is None or self.id2label is None or self.class_counts is None:
            return
        if num_labels != len(self.id2label) == len(self.class_counts):
            logger.warning(
                f"The `class_counts` of the {len(self.id2label)} old labels are dropped, as `num_labels={num_labels}` "
                "asks for new ones; pass `class_counts` too for losses that need them."
            )
            self.class_counts = self.num_samples = None


__all__ = ["LongTailConfig"]
