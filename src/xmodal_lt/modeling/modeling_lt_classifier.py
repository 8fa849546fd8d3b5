"""The plain image classifier: what visual baselines, long-tailed losses and samplers train."""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn
from transformers.utils import ModelOutput, can_return_tuple

from .classifier_heads import ClassScales, NearestMeanClassifier, build_head
from .configuration_lt_classifier import ImageClassifierConfig
from .modeling_long_tail import LongTailPreTrainedModel, build_vision_encoder
from .stages import Stage


@dataclass
class ImageClassifierModelOutput(ModelOutput):
    """Features of [`ImageClassifierModel`].

    Args:
        pooler_output (`Tensor` of shape `[B, D_v]`): backbone features, which the head classifies.
    """

    pooler_output: Tensor | None = None


@dataclass
class ImageClassifierOutput(ModelOutput):
    """Output of [`ImageClassifier`].

    Args:
        loss (`Tensor`, *optional*): the classification loss, when labels were given.
        logits (`Tensor` of shape `[B, C]`): class logits.
        loss_parts (`dict[str, Tensor]`, *optional*): the loss by name.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    loss_parts: dict[str, Tensor] | None = None


class ImageClassifierPreTrainedModel(LongTailPreTrainedModel):
    config: ImageClassifierConfig
    base_model_prefix = "backbone"

    @property
    def cosine_scale(self) -> float | None:
        return self.config.cosine_scale if self.config.head == "cosine" else None

    def _init_weights(self, module):
        if isinstance(module, (ClassScales, NearestMeanClassifier)):
            module.reset_parameters()
        else:
            super()._init_weights(module)


class ImageClassifierModel(ImageClassifierPreTrainedModel):
    """The backbone alone."""

    _keys_to_ignore_on_load_unexpected = [r"^classifier\.", r"^class_scales\."]

    def __init__(self, config: ImageClassifierConfig):
        super().__init__(config)
        self.vision_encoder = build_vision_encoder(config)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        pixel_values: Tensor | None = None,
        features: Tensor | None = None,
        feature_mask: Tensor | None = None,
    ) -> ImageClassifierModelOutput:
        """Backbone features of images or videos, or cached ones themselves; see [`ImageClassifier.forward`]."""
        return ImageClassifierModelOutput(pooler_output=self.encode_images(pixel_values, features, feature_mask))


class ImageClassifier(ImageClassifierPreTrainedModel):
    """A backbone and a head, linear unless the config says otherwise.

    Example:

    ```python
    >>> import torch
    >>> from xmodal_lt import ImageClassifier, ImageClassifierConfig
    >>> model = ImageClassifier(ImageClassifierConfig(backbone="test_resnet", num_labels=3)).eval()
    >>> model(pixel_values=torch.zeros(2, 3, 64, 64)).logits.shape
    torch.Size([2, 3])
    ```
    """

    def __init__(self, config: ImageClassifierConfig):
        super().__init__(config)
        self.backbone = ImageClassifierModel(config)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = self._build_head()
        if config.class_scales:
            self.class_scales = ClassScales(config.num_labels)
        self.post_init()

    def _build_head(self) -> nn.Module:
        width = self.backbone.vision_encoder.hidden_size
        return build_head(self.config.head, width, self.config.num_labels, self.config.cosine_scale)

    def set_stage(self, name: str | None) -> Stage | None:
        if name is not None and self.config.head == "nearest_mean":
            raise ValueError(
                f"Stage {name!r} cannot train a head of class means, which are fitted; train head='linear', then "
                "re-balance it with rebalance.method=nearest_mean."
            )
        return super().set_stage(name)

    @property
    def stages(self) -> dict[str, Stage]:
        """`joint` trains everything; `head` the classifier alone, on frozen (cacheable) features; `lws` the class
        scales alone, for which the config needs `class_scales=True`."""
        losses = {"classification": 1.0}
        head = ("dropout", "classifier")
        scales = ("class_scales",) if self.config.class_scales else ()
        return {
            "joint": Stage("joint", ("backbone", *head, *scales), losses),
            "head": Stage("head", head, losses),
            "lws": Stage("lws", ("class_scales",), losses),
        }

    def replace_head(self, kind: Literal["linear", "cosine", "nearest_mean"]) -> nn.Module:
        """Puts a fresh head of that `kind`, see [`ImageClassifierConfig`], in place of the classifier."""
        self.config.head = kind
        weight = next(self.classifier.parameters(), None)
        head = self._build_head()
        self.classifier = head if weight is None else head.to(weight.device, weight.dtype)
        return self.classifier

    def inference_config(self) -> ImageClassifierConfig:
        config = super().inference_config()
        config.class_scales = config.class_scales and config.head != "linear"  # a linear head takes them in
        return config

    def inference_state_dict(self) -> dict[str, Tensor]:
        state_dict = super().inference_state_dict()
        if self.config.class_scales and self.config.head == "linear":
            scales = state_dict.pop("class_scales.weight")
            state_dict["classifier.weight"] = state_dict["classifier.weight"] * scales[:, None]
            state_dict["classifier.bias"] = state_dict["classifier.bias"] * scales
        return state_dict

    @can_return_tuple
    def forward(
        self,
        pixel_values: Tensor | None = None,
        labels: Tensor | None = None,
        features: Tensor | None = None,
        feature_mask: Tensor | None = None,
    ) -> ImageClassifierOutput:
        """Classifies images or, with a `features:` backbone, videos.

        Args:
            pixel_values (`Tensor` of shape `[B, 3, H, W]`, *optional*): normalised images.
            labels (`Tensor`, *optional*): class ids `[B]`, or 0/1 targets `[B, C]` for multi-label problems.
            features (`Tensor`, *optional*): videos `[B, T, D]`, or cached backbone features `[B, D_v]`.
            feature_mask (`Tensor` of shape `[B, T]`, *optional*): 1 for steps of a video, 0 for padding.

        Returns:
            [`ImageClassifierOutput`].

        Raises:
            ValueError: unless exactly one of `pixel_values` and `features` is given; for labels of another shape.
        """
        embedding = self.backbone(pixel_values, features, feature_mask, return_dict=True).pooler_output
        logits = self.classifier(self.dropout(embedding))
        if self.config.class_scales:
            logits = self.class_scales(logits)
        loss = loss_parts = None
        if labels is not None:
            self.check_labels(labels)
            loss_parts = {"classification": self.classification_loss()(logits, labels)}
            loss = self.weighted_loss(loss_parts, self.stages["joint"].loss_weights)
        return ImageClassifierOutput(loss=loss, logits=logits, loss_parts=loss_parts)


__all__ = ["ImageClassifier", "ImageClassifierModel", "ImageClassifierPreTrainedModel"]
