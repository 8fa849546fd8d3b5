"""The plain image classifier: what visual baselines, long-tailed losses and samplers train."""

from dataclasses import dataclass

from torch import Tensor, nn
from transformers.utils import ModelOutput, can_return_tuple

from .configuration_lt_classifier import ImageClassifierConfig
from .modeling_long_tail import LongTailPreTrainedModel
from .stages import Stage
from .vision_encoder import VisionEncoder


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


class ImageClassifierModel(ImageClassifierPreTrainedModel):
    """The backbone alone."""

    _keys_to_ignore_on_load_unexpected = [r"^classifier\."]

    def __init__(self, config: ImageClassifierConfig):
        super().__init__(config)
        self.vision_encoder = VisionEncoder(config.backbone, config.backbone_kwargs, config.backbone_config)
        self.post_init()

    @can_return_tuple
    def forward(
        self, pixel_values: Tensor | None = None, features: Tensor | None = None
    ) -> ImageClassifierModelOutput:
        """Backbone features of `pixel_values` `[B, 3, H, W]`, or the cached `features` `[B, D_v]` themselves."""
        return ImageClassifierModelOutput(pooler_output=self.encode_images(pixel_values, features))


class ImageClassifier(ImageClassifierPreTrainedModel):
    """A backbone and a linear head.

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
        self.classifier = nn.Linear(self.backbone.vision_encoder.hidden_size, config.num_labels)
        self.post_init()

    @property
    def stages(self) -> dict[str, Stage]:
        """`joint` trains everything, `head` the classifier alone on frozen (cacheable) features."""
        losses = {"classification": 1.0}
        return {
            "joint": Stage("joint", ("backbone", "dropout", "classifier"), losses),
            "head": Stage("head", ("dropout", "classifier"), losses),
        }

    @can_return_tuple
    def forward(
        self,
        pixel_values: Tensor | None = None,
        labels: Tensor | None = None,
        features: Tensor | None = None,
    ) -> ImageClassifierOutput:
        """Classifies images.

        Args:
            pixel_values (`Tensor` of shape `[B, 3, H, W]`, *optional*): normalised images.
            labels (`Tensor`, *optional*): class ids `[B]`, or 0/1 targets `[B, C]` for multi-label problems.
            features (`Tensor` of shape `[B, D_v]`, *optional*): cached backbone features instead of images.

        Returns:
            [`ImageClassifierOutput`].

        Raises:
            ValueError: unless exactly one of `pixel_values` and `features` is given; for labels of another shape.
        """
        logits = self.classifier(self.dropout(self.backbone(pixel_values, features, return_dict=True).pooler_output))
        loss = loss_parts = None
        if labels is not None:
            self.check_labels(labels)
            loss_parts = {"classification": self.classification_loss()(logits, labels)}
            loss = self.weighted_loss(loss_parts, self.stages["joint"].loss_weights)
        return ImageClassifierOutput(loss=loss, logits=logits, loss_parts=loss_parts)


__all__ = ["ImageClassifier", "ImageClassifierModel", "ImageClassifierPreTrainedModel"]
