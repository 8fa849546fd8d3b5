"""VL-LTR: encoders of images and of sentences about their classes, pre-trained together, and a head that reads both.

Symbols of the paper: E^I `image_embeds`, E^T `ClassSentences.embeds`, tau `exp(-logit_scale)`; x1 and x2 of the
released code, the scores before their softmax, `visual_logits` and `text_logits`.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers.utils import can_return_tuple

from .class_sentences import ClassSentences
from .classifier_heads import NearestMeanClassifier
from .configuration_vl_ltr import SENTENCE_HEADS, VLLTRConfig
from .contrastive_losses import class_contrastive_loss, contrastive_distillation_loss
from .gathering import gather_with_gradients
from .gradient_caching import encode_in_chunks
from .language_guided_head import LanguageGuidedHead, combine_branches
from .modeling_long_tail import LongTailPreTrainedModel, build_vision_encoder
from .sentence_encoder import load_clip_joint_space
from .sentence_heads import nearest_sentence_logits, zero_shot_logits
from .stages import Stage
from .vl_ltr_outputs import VLLTRClassifierOutput, VLLTRModelOutput
from .vl_ltr_stages import vl_ltr_stages
from .vl_ltr_towers import LogitScale, Teacher, build_text_side, is_clip_tower, load_joint_space


class VLLTRPreTrainedModel(LongTailPreTrainedModel):
    config: VLLTRConfig
    base_model_prefix = "vl_ltr"
    privileged_input = ("class sentences", "input_ids")
    decays_vectors = False  # as in the released code
    # Embeddings of thousands of sentences, whose products would lose what tells them apart.
    _keep_in_fp32_modules_strict = ["embeds", "gram", "scales", "logit_scale"]

    def _init_weights(self, module):
        if isinstance(module, (LogitScale, ClassSentences, NearestMeanClassifier)):
            module.reset_parameters()
        elif isinstance(module, Teacher):
            nn.init.zeros_(module.loaded)
        elif isinstance(module, VLLTRForImageClassification):
            nn.init.zeros_(module.class_embeds)
        else:
            super()._init_weights(module)

    def load_pretrained_backbone(self, source: str = "hub") -> None:
        super().load_pretrained_backbone(source)
        self.base_model.has_pretrained_vision = True

    def load_pretrained_text_encoder(self) -> None:
        """Loads the weights of `config.text_backbone` into the text encoder, in place.

        If the vision encoder is the tower of the same CLIP, the projection of images comes from it too and, but for
        `variant="paper"`, tau. The teacher becomes a copy of the encoders as they then are: load the vision encoder
        first.

        Raises:
            ValueError, OSError: when the source cannot be read, or does not fit; for a teacher that is no CLIP.
        """
        base, config = self.base_model, self.config
        if config.text_backbone is None:
            return
        base.text_encoder.load_pretrained(config.text_backbone)
        joint = load_clip_joint_space(config.text_backbone)
        shares_space = is_clip_tower(config) and load_joint_space(base, joint)
        if base.teacher is None:
            return
        if not shares_space:
            raise ValueError(
                f"distillation_weight={config.distillation_weight} distils from a CLIP, and backbone "
                f"{config.backbone!r} is not the vision tower of {config.text_backbone!r}; set distillation_weight=0."
            )
        if not base.has_pretrained_vision:
            return  # a stage that needs the teacher says so
        base.teacher.copy_from(base)
        if "logit_scale" in joint:
            with torch.no_grad():
                base.teacher.logit_scale.weight.copy_(joint["logit_scale"])

    def set_stage(self, name: str | None) -> Stage | None:
        stage = super().set_stage(name)
        teacher = self.base_model.teacher
        if self.reads_sentences and teacher is not None and not teacher.is_loaded:
            super().set_stage(None)
            raise ValueError(
                f"Stage {name!r} distils from the encoders as they were loaded, and not both were: load the vision "
                "encoder and then the text encoder (model.pretrained and model.pretrained_text of a recipe; "
                "load_pretrained_backbone and load_pretrained_text_encoder), or set distillation_weight=0."
            )
        return stage

    def train(self, mode: bool = True):
        """As of staged models; encoders stay in eval mode unless `config.train_mode`, the teacher always does."""
        super().train(mode)
        base = self.base_model
        if not self.config.train_mode:
            base.vision_encoder.eval()
            if base.text_encoder is not None:
                base.text_encoder.eval()
        if base.teacher is not None:
            base.teacher.eval()
        return self

    def inference_config(self) -> VLLTRConfig:
        config = super().inference_config()
        config.text_backbone = config.text_backbone_config = None
        return config


class VLLTRModel(VLLTRPreTrainedModel):
    """VL-LTR without its head: embeddings of images and of sentences in one space."""

    _keys_to_ignore_on_load_unexpected = [r"^head\.", r"^sentences\.", r"^class_embeds$"]
    # Whether the vision encoder has more than random weights to teach; state of a model that is being made.
    has_pretrained_vision = False
    # Batches of the pre-training are encoded in pieces of so many samples, whose activations are computed again in the
    # backward pass: state of a training run.
    encoding_chunk_size: int | None = None

    def __init__(self, config: VLLTRConfig):
        super().__init__(config)
        self.vision_encoder = build_vision_encoder(config)
        self.visual_projection = nn.Linear(self.vision_encoder.hidden_size, int(config.embed_size or 0))
        self.logit_scale = LogitScale(config.temperature, config.max_logit_scale)
        self.text_encoder, self.text_projection = build_text_side(config)
        self.teacher = Teacher(config) if config.has_teacher else None
        self.post_init()

    def embed_images(
        self,
        pixel_values: Tensor | None = None,
        features: Tensor | None = None,
        feature_mask: Tensor | None = None,
    ) -> Tensor:
        """E^I `[B, D]` of images or videos, or of cached features of the vision encoder; not normalised."""
        return self.visual_projection(self.encode_images(pixel_values, features, feature_mask))

    def encode_text(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """E^T `[S, D]` of tokens `[S, L]`, not normalised.

        Raises:
            ValueError: when the model has no text encoder.
        """
        if self.text_encoder is None:
            raise ValueError(
                "This model has no text encoder: set `text_backbone` in its config or, as one that was saved with "
                "for_inference=True holds its sentences' embeddings alone, take the one that it was made from."
            )
        return self.text_projection(self.text_encoder(input_ids, attention_mask))

    @can_return_tuple
    def forward(
        self,
        pixel_values: Tensor | None = None,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        features: Tensor | None = None,
        feature_mask: Tensor | None = None,
    ) -> VLLTRModelOutput:
        """Embeds images and, where they are given, sentences.

        Args:
            pixel_values (`Tensor` of shape `[B, 3, H, W]`, *optional*): images.
            input_ids (`Tensor` of shape `[B, L]`, *optional*): tokens of a sentence of each image's class.
            attention_mask (`Tensor` of shape `[B, L]`, *optional*): 1 for tokens, 0 for padding.
            features (`Tensor`, *optional*): videos `[B, T, D_v]`, or cached features of the vision encoder `[B, D_v]`.
            feature_mask (`Tensor` of shape `[B, T]`, *optional*): 1 for steps of a video, 0 for padding.

        Returns:
            [`VLLTRModelOutput`].
        """
        image_embeds = self._in_chunks(self.embed_images, pixel_values, features, feature_mask)
        text_embeds = None
        if input_ids is not None:
            mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
            text_embeds = self._in_chunks(self.encode_text, input_ids, mask)
        return VLLTRModelOutput(pooler_output=image_embeds, image_embeds=image_embeds, text_embeds=text_embeds)

    def _in_chunks(self, encode: Any, *inputs: Tensor | None) -> Tensor:
        return encode_in_chunks(encode, self.encoding_chunk_size, *inputs)


class VLLTRForImageClassification(VLLTRPreTrainedModel):
    """VL-LTR for classification.

    Its sentences are constants: runs set them with [`VLLTRForImageClassification.set_class_text`].

    Example:

    ```python
    >>> import torch
    >>> from xmodal_lt import VLLTRConfig, VLLTRForImageClassification
    >>> config = VLLTRConfig(backbone="test_resnet", num_labels=3, embed_size=16, num_anchors=4)
    >>> model = VLLTRForImageClassification(config).eval()
    >>> model.set_class_text(torch.randn(3, 16), torch.randn(3, 4, 16), torch.tensor([4, 2, 4]))
    >>> model(pixel_values=torch.zeros(2, 3, 64, 64)).logits.shape
    torch.Size([2, 3])
    ```
    """

    class_embeds: Tensor
    head: Any

    def __init__(self, config: VLLTRConfig):
        super().__init__(config)
        width = int(config.embed_size or 0)
        self.vl_ltr = VLLTRModel(config)
        self.register_buffer("class_embeds", torch.zeros(config.num_labels, width))
        if config.head in SENTENCE_HEADS:
            self.sentences = ClassSentences(config.num_labels, config.num_anchors, width)
        if config.head == "lgr":
            self.head = LanguageGuidedHead(width, config.num_labels, config.mlp_ratio, config.detach_norm)
        elif config.head == "fc":
            self.head = nn.Linear(width, config.num_labels)
        elif config.head == "nearest_mean":
            self.head = NearestMeanClassifier(width, config.num_labels)
        self.post_init()

    @property
    def branches(self) -> tuple[str, ...]:
        """The branches whose logits are scored beside the model's own."""
        return ("visual", "text") if self.config.head == "lgr" else ()

    @property
    def stages(self) -> dict[str, Stage]:
        """`pretrain` trains both encoders by the contrastive loss; `finetune` the head, if it learns."""
        return vl_ltr_stages(self.config)

    @torch.no_grad()
    def set_class_text(
        self, class_embeds: Tensor, sentence_embeds: Tensor | None = None, counts: Tensor | None = None
    ) -> None:
        """Sets what the model knows of its classes, in place.

        Args:
            class_embeds (`Tensor`): `[C, D]`, for the zero-shot read-out; see `prompt_ensemble`.
            sentence_embeds (`Tensor`, *optional*): anchor sentences `[C, M, D]`, for heads that read them.
            counts (`Tensor`, *optional*): sentences of each class, `[C]`.

        Raises:
            ValueError: for other shapes, sentences without their counts, or for a head that reads none.
        """
        if (sentence_embeds is None) != (counts is None):
            raise ValueError("Sentences go with their counts; give both or neither.")
        if sentence_embeds is not None and self.config.head not in SENTENCE_HEADS:
            raise ValueError(f"A model with head={self.config.head!r} reads no anchor sentences; leave them out.")
        if class_embeds.shape != self.class_embeds.shape:
            raise ValueError(
                f"Expected class embeddings {list(self.class_embeds.shape)}, got {list(class_embeds.shape)}."
            )
        self.class_embeds.copy_(class_embeds)
        if sentence_embeds is not None and counts is not None:
            self.sentences.set(sentence_embeds, counts)

    @can_return_tuple
    def forward(
        self,
        pixel_values: Tensor | None = None,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        features: Tensor | None = None,
        feature_mask: Tensor | None = None,
    ) -> VLLTRClassifierOutput:
        """Classifies images or videos, and learns from sentences where they are given, but for the stage `finetune`.

        Args:
            pixel_values (`Tensor` of shape `[B, 3, H, W]`, *optional*): images.
            input_ids (`Tensor` of shape `[B, L]`, *optional*): tokens of a sentence about each image's class.
            attention_mask (`Tensor` of shape `[B, L]`, *optional*): 1 for tokens, 0 for padding.
            labels (`Tensor` of shape `[B]`, *optional*): class ids.
            features (`Tensor`, *optional*): videos `[B, T, D_v]`, or cached features of the vision encoder `[B, D_v]`.
            feature_mask (`Tensor` of shape `[B, T]`, *optional*): 1 for steps of a video, 0 for padding.

        Returns:
            [`VLLTRClassifierOutput`].

        Raises:
            ValueError: for labels of another shape; unless exactly one of images and features is given.
        """
        if self.stage is not None and not self.reads_sentences:
            input_ids = None  # they are for the pre-training
        outputs = self.vl_ltr(pixel_values, input_ids, attention_mask, features, feature_mask, return_dict=True)
        embeds, scale = outputs.image_embeds, self.vl_ltr.logit_scale()
        logits, branches = self._classify(embeds, scale)
        loss = loss_parts = None
        if labels is not None:
            self.check_labels(labels)
            loss_parts = {}
            if outputs.text_embeds is not None:
                batch = pixel_values, input_ids, attention_mask
                loss_parts = self._contrast(embeds, outputs.text_embeds, labels, scale, batch)
            if not self.reads_sentences or not loss_parts:
                loss_parts |= self._classification_losses(branches, labels)
            loss = self.weighted_loss(loss_parts, self._loss_weights(loss_parts))
        return VLLTRClassifierOutput(
            loss=loss,
            logits=logits,
            loss_parts=loss_parts,
            visual_logits=branches.get("visual"),
            text_logits=branches.get("text"),
            image_embeds=embeds,
        )

    def _classification_losses(self, branches: dict[str, Tensor], labels: Tensor) -> dict[str, Tensor]:
        classification_loss = self.classification_loss()
        return {name: classification_loss(scores, labels) for name, scores in branches.items()}

    def _classify(self, embeds: Tensor, scale: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The model's logits, and those that the classification loss counts, by the name of the loss."""
        config = self.config
        if self.reads_sentences or config.head == "zero_shot":
            logits = zero_shot_logits(embeds, self.class_embeds, scale)
        elif config.head == "lgr":
            visual, text = self.head(embeds, self.sentences, scale)
            combined = combine_branches(visual, text, config.branch_combination, config.visual_weight)
            return combined, {"visual": visual, "text": text}
        elif config.head == "knn":
            logits = nearest_sentence_logits(embeds, self.sentences, scale, config.num_neighbors)
        else:
            logits = self.head(embeds)
        logits = logits.to(self.dtype)  # in float32 under autocast, too
        return logits, {"classification": logits}

    def _loss_weights(self, loss_parts: dict[str, Tensor]) -> dict[str, float]:
        """Those of the active stage; without one, every part that could be computed counts."""
        if self.stage is not None:
            return self.stage.loss_weights
        weights = dict.fromkeys(loss_parts, 1.0) | self.stages["pretrain"].loss_weights
        return {name: weights[name] for name in loss_parts}

    def _contrast(
        self,
        image_embeds: Tensor,
        text_embeds: Tensor,
        labels: Tensor,
        scale: Tensor,
        batch: tuple[Tensor | None, Tensor | None, Tensor | None],
    ) -> dict[str, Tensor]:
        """The losses of the pre-training (eq. 2 and 3), over the batches of all processes in training."""
        config, teacher = self.config, self.vl_ltr.teacher
        # Evaluation batches may differ in size between processes, and each counts for itself.
        gather = gather_with_gradients if self.training else lambda tensor: tensor
        pair = gather(image_embeds), gather(text_embeds)
        smoothing, variant = config.contrastive_smoothing, config.variant
        parts = {"contrastive": class_contrastive_loss(*pair, gather(labels), scale, smoothing, variant)}
        if teacher is not None:
            images, texts = (gather(embeds) for embeds in teacher(*batch, self.vl_ltr.encoding_chunk_size))
            own_scale = teacher.logit_scale()
            parts["distillation"] = contrastive_distillation_loss(*pair, images, texts, scale, own_scale, variant)
        return parts


__all__ = ["VLLTRForImageClassification", "VLLTRModel", "VLLTRPreTrainedModel"]
