"""CRIF: two-level alignment of images or videos with their words, semantic inference and fusion.

Symbols of the paper: x `features`, t `semantic_features`, x_a `image_embeds`, t_a `semantic_embeds`, x_c
`content_embeds`, t_c `semantic_content`, t_r `inferred_embeds`, F_mix `fused_embeds`; E_v `vision_encoder`, E_t
`semantic_encoder`, E_x^s `visual_projection`, E_t^s `semantic_projection`, E_t^r `transfer`, D_t^r `decoder`.
"""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from transformers.utils import can_return_tuple

from .configuration_crif import CRIFConfig
from .crif_losses import semantic_loss_parts
from .crif_outputs import CRIFClassifierOutput, CRIFModelOutput
from .crif_stages import PRIVILEGED_FUSIONS, crif_stages
from .feature_encoder import build_feature_encoder, check_sequences
from .fusion import fuse, fused_size
from .modeling_long_tail import LongTailPreTrainedModel, build_vision_encoder
from .pretrained_backbones import is_run, load_vilt
from .stages import Stage
from .word_decoder import build_decoder
from .word_encoder import build_word_encoder, known_words, multi_hot_words


class Fusion(nn.Module):
    """tau(fuse(tau(.), tau(.), ...)) of eq. 16, each tau a linear layer with ReLU."""

    def __init__(self, input_sizes: tuple[int, ...], size: int, mode: str):
        super().__init__()
        self.mode = mode
        self.branches = nn.ModuleList(nn.Sequential(nn.Linear(width, size), nn.ReLU()) for width in input_sizes)
        self.output = nn.Sequential(nn.Linear(fused_size(size, mode, len(input_sizes)), size), nn.ReLU())

    def forward(self, *embeds: Tensor) -> Tensor:
        branches = [branch(rows) for branch, rows in zip(self.branches, embeds, strict=True)]
        return self.output(fuse(*branches, mode=self.mode))


class FusionClassifier(nn.Module):
    """A [`Fusion`] of its own, and a linear classifier on it."""

    def __init__(self, input_sizes: tuple[int, ...], size: int, mode: str, num_labels: int):
        super().__init__()
        self.fusion = Fusion(input_sizes, size, mode)
        self.classifier = nn.Linear(size, num_labels)

    def forward(self, *embeds: Tensor) -> Tensor:
        return self.classifier(self.fusion(*embeds))


class CRIFPreTrainedModel(LongTailPreTrainedModel):
    config: CRIFConfig
    base_model_prefix = "crif"

    def inference_config(self) -> CRIFConfig:
        config = super().inference_config()
        config.word_encoder = config.privileged_encoder = config.privileged_encoder_kwargs = None
        config.privileged_fusions = False
        return config

    def load_pretrained_backbone(self, source: str = "hub") -> None:
        """As for other models; the weights of a ViLT go to the encoder of privileged features too, if it is one."""
        super().load_pretrained_backbone(source)
        if self.config.privileged_encoder == "vilt" and not is_run(source):
            load_vilt(self.base_model.semantic_encoder, source)


class CRIFModel(CRIFPreTrainedModel):
    """CRIF without classifiers: features of the aligned, inferred and fused branches."""

    semantic_encoder: Any

    _keys_to_ignore_on_load_unexpected = [r"^(visual|semantic|inferred|fused)_classifier\.", r"^privileged_heads\."]

    def __init__(self, config: CRIFConfig):
        super().__init__(config)
        self.vision_encoder = build_vision_encoder(config)
        self.visual_projection = nn.Linear(self.vision_encoder.hidden_size, config.shared_size)
        if config.has_semantics:
            self.semantic_encoder = _build_semantic_encoder(config)
            self.semantic_projection = nn.Linear(config.semantic_size, config.shared_size)
        self.transfer = nn.Sequential(
            nn.Linear(config.shared_size, config.transfer_hidden_size),
            nn.ReLU(),
            nn.Linear(config.transfer_hidden_size, config.semantic_size),
            nn.ReLU(),
        )
        self.decoder = build_decoder(
            config.word_decoder,
            input_size=config.semantic_size,
            hidden_size=config.word_hidden_size,
            output_size=config.semantic_size,
            num_words=config.num_words,
            steps=config.decoder_steps,
        )
        self.fusion_size = config.fusion_size or config.content_size
        self.fusion = Fusion((config.content_size, config.semantic_size), self.fusion_size, config.fusion)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        pixel_values: Tensor | None = None,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        features: Tensor | None = None,
        feature_mask: Tensor | None = None,
        privileged_features: Tensor | None = None,
        privileged_mask: Tensor | None = None,
    ) -> CRIFModelOutput:
        """Computes the features of every branch; those of the semantic modality only when it is given.

        Args:
            pixel_values (`Tensor` of shape `[B, 3, H, W]`, *optional*): normalised images.
            input_ids (`Tensor` of shape `[B, L]`, *optional*): description words, training only.
            attention_mask (`Tensor` of shape `[B, L]`, *optional*): 1 for words, 0 for padding.
            features (`Tensor`, *optional*): videos `[B, T, D]`, or cached backbone features `[B, D_v]`.
            feature_mask (`Tensor` of shape `[B, T]`, *optional*): 1 for steps of a video, 0 for padding.
            privileged_features (`Tensor` of shape `[B, S, D_t]`, *optional*): in place of words, training only.
            privileged_mask (`Tensor` of shape `[B, S]`, *optional*): 1 for steps of them, 0 for padding.

        Returns:
            [`CRIFModelOutput`].

        Raises:
            ValueError: unless exactly one of `pixel_values` and `features` is given; when words or privileged features
                are given to a checkpoint that does not take them.
        """
        features = self.encode_images(pixel_values, features, feature_mask)
        image_embeds = self.visual_projection(features)
        content_embeds = self.clip(image_embeds)
        inferred_embeds, word_logits = self.decoder(self.transfer(image_embeds))
        fused_embeds = self.fusion(content_embeds, inferred_embeds)
        semantic_features = self._encode_semantics(input_ids, attention_mask, privileged_features, privileged_mask)
        semantic_embeds = None if semantic_features is None else self.semantic_projection(semantic_features)
        by_readout = {"aligned": content_embeds, "inferred": inferred_embeds, "fused": fused_embeds}
        return CRIFModelOutput(
            pooler_output=by_readout[self.config.readout],
            features=features,
            image_embeds=image_embeds,
            content_embeds=content_embeds,
            inferred_embeds=inferred_embeds,
            fused_embeds=fused_embeds,
            word_logits=word_logits,
            semantic_features=semantic_features,
            semantic_embeds=semantic_embeds,
            semantic_content=None if semantic_embeds is None else self.clip(semantic_embeds),
        )

    def clip(self, embeds: Tensor) -> Tensor:
        """Clip(., rho) of eq. 8 and 9: the dimensions of x_a or t_a that are aligned and classified."""
        return embeds[:, : self.config.content_size]

    def multi_hot_words(self, input_ids: Tensor, attention_mask: Tensor | None) -> Tensor:
        """Which words of the vocabulary describe each image, 0 or 1, `[B, W]`."""
        special, num_words = self.config.num_special_tokens, self.config.num_words
        assert num_words is not None  # else `input_ids` are refused
        return multi_hot_words(input_ids, known_words(input_ids, attention_mask, special), num_words, special)

    def _encode_semantics(
        self,
        input_ids: Tensor | None,
        attention_mask: Tensor | None,
        privileged_features: Tensor | None,
        privileged_mask: Tensor | None,
    ) -> Tensor | None:
        config = self.config
        if input_ids is not None and config.word_encoder is None:
            raise ValueError(
                "This checkpoint was saved for inference and has no word encoder; leave out `input_ids`, or train "
                "from a full checkpoint."
                if config.privileged_encoder is None
                else "This model learns from `privileged_features` and has no word encoder; leave out `input_ids`."
            )
        if privileged_features is not None and config.privileged_encoder is None:
            raise ValueError(
                "This model has no encoder of privileged features; leave out `privileged_features`, or set "
                "`privileged_encoder` in the config of a model to train."
            )
        if input_ids is not None:
            known = known_words(input_ids, attention_mask, config.num_special_tokens)
            encoded = self.semantic_encoder(input_ids, known)
            # "FNN": the output of each of its two layers is activated by ReLU (section IV-B1).
            return F.relu(encoded) if config.word_encoder == "fnn" else encoded
        if privileged_features is not None:
            mask = check_sequences(
                privileged_features, privileged_mask, self.semantic_encoder.input_size, "privileged_features"
            )
            return self.semantic_encoder(privileged_features.to(self.dtype), mask)
        return None


def _build_semantic_encoder(config: CRIFConfig) -> nn.Module:
    if config.privileged_encoder is not None:
        return build_feature_encoder(config.privileged_encoder, config.privileged_encoder_kwargs or {})
    assert config.word_encoder is not None and config.num_words is not None  # see `has_semantics` and its checks
    return build_word_encoder(
        config.word_encoder,
        num_words=config.num_words,
        embedding_size=config.word_embedding_size,
        hidden_size=config.word_hidden_size,
        output_size=config.semantic_size,
        num_special=config.num_special_tokens,
    )


class CRIFForImageClassification(CRIFPreTrainedModel):
    """CRIF with the classifiers of its branches, for images and, with a `features:` backbone, for videos.

    Example:

    ```python
    >>> import torch
    >>> from xmodal_lt import CRIFConfig, CRIFForImageClassification
    >>> config = CRIFConfig(backbone="test_resnet", vocab_size=12, num_labels=3, shared_size=8)
    >>> model = CRIFForImageClassification(config).eval()
    >>> model(pixel_values=torch.zeros(2, 3, 64, 64)).logits.shape
    torch.Size([2, 3])
    ```
    """

    branches = ("aligned", "inferred", "fused")

    def __init__(self, config: CRIFConfig):
        super().__init__(config)
        if config.privileged_encoder is not None:
            self.privileged_input = ("privileged features", "privileged_features")
        self.crif = CRIFModel(config)
        self.visual_classifier = nn.Linear(config.content_size, config.num_labels)
        if config.has_semantics:
            self.semantic_classifier = nn.Linear(config.content_size, config.num_labels)
        self.inferred_classifier = nn.Linear(config.semantic_size, config.num_labels)
        self.fused_classifier = nn.Linear(self.crif.fusion_size, config.num_labels)
        if config.privileged_fusions:
            self.privileged_heads = nn.ModuleDict(
                {name: self._privileged_head(inputs) for name, inputs in PRIVILEGED_FUSIONS.items()}
            )
        self.post_init()

    def _privileged_head(self, inputs: tuple[str, ...]) -> FusionClassifier:
        config = self.config
        sizes = {"visual": config.content_size, "semantic": config.content_size, "inferred": config.semantic_size}
        widths = tuple(sizes[name] for name in inputs)
        return FusionClassifier(widths, self.crif.fusion_size, config.fusion, config.num_labels)

    @property
    def stages(self) -> dict[str, Stage]:
        """`align`, `infer`, `fuse` (section III-F1), `joint` (eq. 22), and `head`: `joint` on a frozen encoder."""
        return crif_stages(self.config)

    @property
    def privileged_branches(self) -> tuple[str, ...]:
        """With `config.privileged_fusions`, the branches that read the true words or privileged features."""
        return ("semantic", *PRIVILEGED_FUSIONS) if self.config.privileged_fusions else ()

    @can_return_tuple
    def forward(
        self,
        pixel_values: Tensor | None = None,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        features: Tensor | None = None,
        feature_mask: Tensor | None = None,
        privileged_features: Tensor | None = None,
        privileged_mask: Tensor | None = None,
    ) -> CRIFClassifierOutput:
        """Classifies images or videos; with labels, computes the loss of the active stage (`joint` without one).

        Args:
            pixel_values (`Tensor` of shape `[B, 3, H, W]`, *optional*): normalised images.
            input_ids (`Tensor` of shape `[B, L]`, *optional*): description words, training only.
            attention_mask (`Tensor` of shape `[B, L]`, *optional*): 1 for words, 0 for padding.
            labels (`Tensor`, *optional*): class ids `[B]`, or 0/1 targets `[B, C]` for multi-label problems.
            features (`Tensor`, *optional*): videos `[B, T, D]`, or cached backbone features `[B, D_v]`.
            feature_mask (`Tensor` of shape `[B, T]`, *optional*): 1 for steps of a video, 0 for padding.
            privileged_features (`Tensor` of shape `[B, S, D_t]`, *optional*): in place of words, training only.
            privileged_mask (`Tensor` of shape `[B, S]`, *optional*): 1 for steps of them, 0 for padding.

        Returns:
            [`CRIFClassifierOutput`].

        Raises:
            ValueError: for labels of another shape, and in training when the stage needs words that are absent.
        """
        outputs = self.crif(
            pixel_values,
            input_ids,
            attention_mask,
            features,
            feature_mask,
            privileged_features,
            privileged_mask,
            return_dict=True,
        )
        branches = {
            "aligned": self.visual_classifier(outputs.content_embeds),
            "inferred": self.inferred_classifier(outputs.inferred_embeds),
            "fused": self.fused_classifier(outputs.fused_embeds),
        }
        privileged = self._privileged_logits(outputs)
        loss = loss_parts = None
        if labels is not None:
            self.check_labels(labels)
            classify = self.classification_loss()
            loss_parts = {f"{branch}_classification": classify(logits, labels) for branch, logits in branches.items()}
            if privileged:
                words = None if input_ids is None else self.crif.multi_hot_words(input_ids, attention_mask)
                loss_parts |= semantic_loss_parts(self.config, outputs, privileged, labels, words, classify)
            loss = self.weighted_loss(loss_parts, (self.stage or self.stages["joint"]).loss_weights)
        return CRIFClassifierOutput(
            loss=loss,
            logits=branches[self.stage.readout if self.stage else self.config.readout],
            **{f"{branch}_logits": logits for branch, logits in (branches | privileged).items()},
            word_logits=outputs.word_logits,
            loss_parts=loss_parts,
        )

    def _privileged_logits(self, outputs: CRIFModelOutput) -> dict[str, Tensor]:
        """Logits of the branches that read the semantic features, when these are there."""
        if outputs.semantic_content is None:
            return {}
        embeds = {
            "visual": outputs.content_embeds,
            "semantic": outputs.semantic_content,
            "inferred": outputs.inferred_embeds,
        }
        logits = {"semantic": self.semantic_classifier(outputs.semantic_content)}
        for name, inputs in PRIVILEGED_FUSIONS.items() if self.config.privileged_fusions else ():
            logits[name] = self.privileged_heads[name](*(embeds[kind] for kind in inputs))
        return logits


__all__ = ["CRIFForImageClassification", "CRIFModel", "CRIFPreTrainedModel"]
