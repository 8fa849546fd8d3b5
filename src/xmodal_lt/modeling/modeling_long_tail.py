"""What the models of every method share: initialisation, stages, backbone weights, inference checkpoints."""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from .classification_losses import WEIGHTING_KEYS, ClassificationLoss, build_classification_loss
from .configuration_long_tail import LongTailConfig
from .feature_encoder import ViltFeatureEncoder
from .pretrained_backbones import load_pretrained_backbone
from .stages import StagedModelMixin
from .text_encoder import ClipTextEncoder
from .vision_encoder import VisionEncoder, rebuild_non_persistent_buffers


def build_vision_encoder(config: LongTailConfig) -> VisionEncoder:
    """The vision encoder that a config describes, with random weights."""
    return VisionEncoder(config.backbone, config.backbone_kwargs, config.backbone_config, config.reparameterized)


class LongTailPreTrainedModel(StagedModelMixin, PreTrainedModel):
    """Base of the models of this package. Subclasses hold a [`VisionEncoder`] as `vision_encoder`."""

    config: LongTailConfig
    main_input_name = "pixel_values"
    input_modalities = ("image",)
    # State of a training run with deferred re-weighting: False while the loss does without its class weights.
    class_weights_count = True
    # State of a training run with Mixup or CutMix: True where labels are class probabilities [B, C].
    labels_are_mixed = False
    # Whether weight decay counts for parameters of fewer than two dimensions too, but for biases and layer norms.
    decays_vectors = True
    # The Trainer must not pass `num_items_in_batch` to `forward`.
    accepts_loss_kwargs = False

    def post_init(self) -> None:
        # A wrong name or argument of the loss shall not wait for the first batch.
        self.classification_loss()
        self.supports_gradient_checkpointing = self.get_vision_encoder().supports_gradient_checkpointing()
        super().post_init()

    def _set_gradient_checkpointing(self, enable: bool = True, *args, **kwargs) -> None:
        self.get_vision_encoder().set_gradient_checkpointing(enable, *args, **kwargs)

    def _init_weights(self, module):
        # PyTorch's own initialisation, which the papers' code used; transformers guards what a checkpoint has set.
        if isinstance(module, (nn.Linear, nn.Embedding, nn.GRU, nn.LSTM, ViltFeatureEncoder, ClipTextEncoder)):
            module.reset_parameters()
        else:
            super()._init_weights(module)
        rebuild_non_persistent_buffers(module)

    def get_vision_encoder(self) -> VisionEncoder:
        """The image backbone."""
        return self.base_model.vision_encoder

    @property
    def cosine_scale(self) -> float | None:
        """The factor of the cosines that are this model's logits; `None` where its logits are no cosines."""
        return None

    def get_input_embeddings(self):
        return None

    def load_pretrained_backbone(self, source: str = "hub") -> None:
        """Loads pretrained weights into the vision encoder, in place.

        Args:
            source (`str`, *optional*, defaults to `"hub"`): `"hub"`, `"lite0"` or a local path; see
                `pretrained_backbones.load_pretrained_backbone`.
        """
        load_pretrained_backbone(self.get_vision_encoder(), self.config.backbone, source, self.config.backbone_kwargs)

    def load_pretrained_text_encoder(self) -> None:
        """Loads pretrained weights into the method's text encoder, in place; most methods have none."""

    def try_images(self, images: Tensor) -> None:
        """Runs what images `[B, 3, H, W]` of a wrong size do not fit: the vision encoder, as the method reads it."""
        self.get_vision_encoder()(images)

    def load_class_semantics(self) -> None:
        """Fills what the method takes from the names of the classes, in place; most methods take nothing."""

    def encode_images(
        self, pixel_values: Tensor | None, features: Tensor | None, feature_mask: Tensor | None = None
    ) -> Tensor:
        """Backbone features F_v `[B, D_v]` of images or videos.

        Args:
            pixel_values (`Tensor` or `None`): images `[B, 3, H, W]`.
            features (`Tensor` or `None`):
                Videos `[B, T, D]`, for a backbone that takes features; or the F_v themselves, from a feature cache.
            feature_mask (`Tensor`, *optional*): 1 for steps of a video and 0 for padding, `[B, T]`.

        Raises:
            ValueError: unless exactly one of images and features is given; for features of another width or backbone.
        """
        # Processors and feature caches give float32 whatever the model's dtype is.
        if pixel_values is not None and features is None:
            if self.vision_encoder.takes_features:
                raise ValueError(
                    f"Backbone {self.config.backbone!r} takes videos as `features` [B, T, D], and no `pixel_values`."
                )
            return self.vision_encoder(pixel_values.to(self.dtype))
        if pixel_values is not None or features is None:
            raise ValueError("Pass either `pixel_values` or cached `features`, and not both.")
        if self.vision_encoder.takes_features and features.ndim == 3:
            return self.vision_encoder(features.to(self.dtype), feature_mask)
        if feature_mask is not None:
            raise ValueError(
                f"`feature_mask` belongs to videos [B, T, D], but `features` are {list(features.shape)}; give one "
                "video as a batch of one, features[None]."
            )
        width = self.vision_encoder.hidden_size
        if features.ndim != 2 or features.shape[-1] != width:
            raise ValueError(
                f"Cached features have width {features.shape[-1]}, but backbone {self.config.backbone!r} gives "
                f"{width}; they belong to another encoder."
                if features.ndim == 2
                else f"Cached features must be [B, {width}], got {list(features.shape)}; videos [B, T, D] need a "
                "backbone such as 'features:gru'."
            )
        return features.to(self.dtype)

    def classification_loss(self) -> ClassificationLoss:
        """The loss that the config names, as a function of logits and labels."""
        config = self.config
        known: dict[str, Any] = {
            "class_counts": config.class_counts,
            "num_samples": config.num_samples,
            "cosine_scale": self.cosine_scale,
        }
        settings = config.classification_loss_kwargs or {}
        not_settable = [key for key in known if key in settings]
        if not_settable:
            raise ValueError(f"classification_loss_kwargs has {not_settable}, which the model knows; leave them out.")
        if not self.class_weights_count:
            settings = {key: value for key, value in settings.items() if key not in WEIGHTING_KEYS}
        return build_classification_loss(config.classification_loss, str(config.problem_type), **known, **settings)

    def check_labels(self, labels: Tensor) -> None:
        """Raises a `ValueError` when `labels` do not have the shape of the problem type."""
        mixed = self.labels_are_mixed and self.training
        multi_label = self.config.problem_type == "multi_label_classification" or mixed
        expected = f"[B, {self.config.num_labels}]" if multi_label else "[B]"
        if labels.ndim != (2 if multi_label else 1) or (multi_label and labels.shape[1] != self.config.num_labels):
            raise ValueError(
                f"Labels have shape {list(labels.shape)}, but {self.config.problem_type} with "
                f"{self.config.num_labels} labels expects {expected}; check `num_labels` and `problem_type`."
            )

    def save_pretrained(self, save_directory, *args, for_inference: bool = False, **kwargs):
        """As `PreTrainedModel.save_pretrained`; `for_inference=True` leaves out what only training needs."""
        if for_inference:
            return self._without_training_modules().save_pretrained(save_directory, *args, **kwargs)
        return super().save_pretrained(save_directory, *args, **kwargs)

    def inference_config(self) -> LongTailConfig:
        """The config of a checkpoint for prediction only; methods with training-only modules switch them off here."""
        config = copy.deepcopy(self.config)
        config.reparameterized |= self.get_vision_encoder().can_be_reparameterized()
        return config

    def inference_state_dict(self) -> dict[str, Tensor]:
        """The weights of a checkpoint for prediction only; may hold more than `inference_config` has use for."""
        model = self
        if self.get_vision_encoder().can_be_reparameterized():
            model = copy.deepcopy(self)
            model.get_vision_encoder().reparameterize()
        return dict(model.state_dict())

    def reparameterize(self) -> None:
        """Merges the branches of a backbone such as RepVGG, in place: the same predictions, in less time."""
        self.get_vision_encoder().reparameterize()
        self.config.reparameterized = self.get_vision_encoder().reparameterized

    def _without_training_modules(self) -> "LongTailPreTrainedModel":
        with torch.device("meta"):
            slim = type(self)(self.inference_config())
        wanted = slim.state_dict().keys()
        state_dict = {name: tensor for name, tensor in self.inference_state_dict().items() if name in wanted}
        slim.load_state_dict(state_dict, assign=True)
        return slim


__all__ = ["LongTailPreTrainedModel", "build_vision_encoder"]
