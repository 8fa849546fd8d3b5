"""CMLTNet: cross-modal alignment, inference and fusion for long-tailed image classification.

Symbols of the paper: F_v `features`, F_s `word_features`, F_va `image_embeds`, F_sa `word_embeds`, F_{v->s}
`transferred_features`, P_{v->s} `word_logits`, E_s `inferred_embeds`, F_aug `fused_embeds`; f, f_e, f_f
`shared_classifier`, `inferred_classifier`, `fused_classifier`.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.utils import ModelOutput, can_return_tuple

from .alignment_losses import kl_alignment_loss
from .cmltnet_stages import cmltnet_stages
from .configuration_cmltnet import CMLTNetConfig
from .fusion import fuse, fused_size
from .loss_tools import widen
from .modeling_long_tail import LongTailPreTrainedModel, build_vision_encoder
from .stages import Stage
from .word_encoder import build_word_encoder, known_words, multi_hot_words


@dataclass
class CMLTNetModelOutput(ModelOutput):
    """Features of CMLTNet.

    Args:
        pooler_output (`Tensor` of shape `[B, D]`): the embedding that `config.readout` classifies.
        features (`Tensor` of shape `[B, D_v]`): backbone features F_v.
        image_embeds (`Tensor` of shape `[B, shared_size]`): aligned image features F_va.
        transferred_features (`Tensor` of shape `[B, semantic_size]`): F_{v->s}.
        word_logits (`Tensor` of shape `[B, W]`): predicted words P_{v->s}.
        predicted_words (`Tensor` of shape `[B, k]`): token ids of the k most probable words, best first.
        inferred_embeds (`Tensor` of shape `[B, word_embedding_size]`): E_s.
        fused_embeds (`Tensor` of shape `[B, fusion_size]`, twice that for `"concat"`): F_aug.
        word_features (`Tensor` of shape `[B, semantic_size]`, *optional*): F_s, when words were given.
        word_embeds (`Tensor` of shape `[B, shared_size]`, *optional*): F_sa, when words were given.
    """

    pooler_output: Tensor | None = None
    features: Tensor | None = None
    image_embeds: Tensor | None = None
    transferred_features: Tensor | None = None
    word_logits: Tensor | None = None
    predicted_words: Tensor | None = None
    inferred_embeds: Tensor | None = None
    fused_embeds: Tensor | None = None
    word_features: Tensor | None = None
    word_embeds: Tensor | None = None


@dataclass
class CMLTNetClassifierOutput(ModelOutput):
    """Logits of CMLTNet's branches and the parts of its loss.

    Args:
        loss (`Tensor`, *optional*): weighted sum of `loss_parts`, when labels were given.
        logits (`Tensor` of shape `[B, C]`): logits of the branch that is read.
        aligned_logits (`Tensor` of shape `[B, C]`): f(F_va).
        inferred_logits (`Tensor` of shape `[B, C]`): f_e(E_s).
        fused_logits (`Tensor` of shape `[B, C]`): f_f(F_aug).
        word_logits (`Tensor` of shape `[B, W]`): predicted words, as logits.
        loss_parts (`dict[str, Tensor]`, *optional*): unweighted scalars by name.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    aligned_logits: Tensor | None = None
    inferred_logits: Tensor | None = None
    fused_logits: Tensor | None = None
    word_logits: Tensor | None = None
    loss_parts: dict[str, Tensor] | None = None


class WordFusion(nn.Module):
    """theta in eq. 6: the embeddings of the k predicted words as one vector, by mean or by a linear map."""

    def __init__(self, mode: str, top_k: int, size: int):
        super().__init__()
        self.linear = nn.Linear(top_k * size, size) if mode == "linear" else None

    def forward(self, embeddings: Tensor) -> Tensor:
        return embeddings.mean(dim=1) if self.linear is None else self.linear(embeddings.flatten(1))


class CMLTNetPreTrainedModel(LongTailPreTrainedModel):
    config: CMLTNetConfig
    base_model_prefix = "cmltnet"

    def inference_config(self) -> CMLTNetConfig:
        config = super().inference_config()
        config.word_encoder = None
        return config


class CMLTNetModel(CMLTNetPreTrainedModel):
    """CMLTNet without classifiers: features of the aligned, inferred and fused branches."""

    _keys_to_ignore_on_load_unexpected = [r"^(shared|inferred|fused)_classifier\."]

    def __init__(self, config: CMLTNetConfig):
        super().__init__(config)
        self.vision_encoder = build_vision_encoder(config)
        visual_size, semantic_size = self.vision_encoder.hidden_size, config.semantic_size
        self.visual_projection = nn.Sequential(nn.Linear(visual_size, config.shared_size), nn.ReLU())
        if config.word_encoder is not None:
            self.word_encoder = build_word_encoder(
                config.word_encoder,
                num_words=config.num_words,
                embedding_size=config.word_embedding_size,
                hidden_size=config.word_hidden_size,
                output_size=semantic_size,
                num_special=config.num_special_tokens,
            )
            self.word_projection = nn.Sequential(nn.Linear(semantic_size, config.shared_size), nn.ReLU())
        self.transfer = nn.Sequential(
            nn.Linear(visual_size, config.transfer_hidden_size),
            nn.LeakyReLU(),
            nn.Linear(config.transfer_hidden_size, semantic_size),
            nn.LeakyReLU(),
        )
        self.word_predictor = nn.Linear(semantic_size, config.num_words)
        self.word_embedding = nn.Embedding(config.num_words, config.word_embedding_size)
        self.word_fusion = WordFusion(config.word_fusion, config.top_k, config.word_embedding_size)
        phi_size = config.fusion_size or config.shared_size
        self.visual_phi = nn.Sequential(nn.Linear(config.shared_size, phi_size), nn.LeakyReLU())
        self.semantic_phi = nn.Sequential(nn.Linear(config.word_embedding_size, phi_size), nn.LeakyReLU())
        self.fused_size = fused_size(phi_size, config.fusion)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        pixel_values: Tensor | None = None,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        features: Tensor | None = None,
        feature_mask: Tensor | None = None,
    ) -> CMLTNetModelOutput:
        """Computes the features of every branch; those of the words only when words are given.

        Args:
            pixel_values (`Tensor` of shape `[B, 3, H, W]`, *optional*): normalised images.
            input_ids (`Tensor` of shape `[B, L]`, *optional*): description words, training only.
            attention_mask (`Tensor` of shape `[B, L]`, *optional*): 1 for words, 0 for padding.
            features (`Tensor`, *optional*): videos `[B, T, D]`, or cached backbone features `[B, D_v]`.
            feature_mask (`Tensor` of shape `[B, T]`, *optional*): 1 for steps of a video, 0 for padding.

        Returns:
            [`CMLTNetModelOutput`].

        Raises:
            ValueError: unless exactly one of `pixel_values` and `features` is given; when words are given to a
                checkpoint without a word encoder.
        """
        features = self.encode_images(pixel_values, features, feature_mask)
        image_embeds = self.visual_projection(features)
        transferred = self.transfer(features)
        word_logits = self.word_predictor(transferred)
        top_words = word_logits.topk(self.config.top_k, dim=-1).indices
        inferred_embeds = self.word_fusion(self.word_embedding(top_words))
        fused_embeds = fuse(self.visual_phi(image_embeds), self.semantic_phi(inferred_embeds), mode=self.config.fusion)
        by_readout = {"aligned": image_embeds, "inferred": inferred_embeds, "fused": fused_embeds}
        word_features, word_embeds = self._encode_words(input_ids, attention_mask)
        return CMLTNetModelOutput(
            pooler_output=by_readout[self.config.readout],
            features=features,
            image_embeds=image_embeds,
            transferred_features=transferred,
            word_logits=word_logits,
            predicted_words=top_words + self.config.num_special_tokens,
            inferred_embeds=inferred_embeds,
            fused_embeds=fused_embeds,
            word_features=word_features,
            word_embeds=word_embeds,
        )

    def _encode_words(
        self, input_ids: Tensor | None, attention_mask: Tensor | None
    ) -> tuple[Tensor | None, Tensor | None]:
        if input_ids is None:
            return None, None
        if self.config.word_encoder is None:
            raise ValueError(
                "This checkpoint was saved for inference and has no word encoder; leave out `input_ids`, or train "
                "from a full checkpoint."
            )
        known = known_words(input_ids, attention_mask, self.config.num_special_tokens)
        word_features = self.word_encoder(input_ids, known)
        return word_features, self.word_projection(word_features)


class CMLTNetForImageClassification(CMLTNetPreTrainedModel):
    """CMLTNet with the classifiers of its three branches.

    Example:

    ```python
    >>> import torch
    >>> from xmodal_lt import CMLTNetConfig, CMLTNetForImageClassification
    >>> config = CMLTNetConfig(backbone="test_resnet", vocab_size=12, num_labels=3, shared_size=8)
    >>> model = CMLTNetForImageClassification(config).eval()
    >>> model(pixel_values=torch.zeros(2, 3, 64, 64)).logits.shape
    torch.Size([2, 3])
    ```
    """

    branches = ("aligned", "inferred", "fused")

    def __init__(self, config: CMLTNetConfig):
        super().__init__(config)
        self.cmltnet = CMLTNetModel(config)
        self.shared_classifier = nn.Linear(config.shared_size, config.num_labels)
        self.inferred_classifier = nn.Linear(config.word_embedding_size, config.num_labels)
        self.fused_classifier = nn.Linear(self.cmltnet.fused_size, config.num_labels)
        self.post_init()

    @property
    def stages(self) -> dict[str, Stage]:
        """`align`, `infer`, `fuse` (section 3.5.1) and `joint` (eq. 11)."""
        return cmltnet_stages(self.config)

    @can_return_tuple
    def forward(
        self,
        pixel_values: Tensor | None = None,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        features: Tensor | None = None,
        feature_mask: Tensor | None = None,
    ) -> CMLTNetClassifierOutput:
        """Classifies images or, with a `features:` backbone, videos; with labels, computes the active stage's loss
        (that of `joint` without one).

        Args:
            pixel_values (`Tensor` of shape `[B, 3, H, W]`, *optional*): normalised images.
            input_ids (`Tensor` of shape `[B, L]`, *optional*): description words, training only.
            attention_mask (`Tensor` of shape `[B, L]`, *optional*): 1 for words, 0 for padding.
            labels (`Tensor`, *optional*): class ids `[B]`, or 0/1 targets `[B, C]` for multi-label problems.
            features (`Tensor`, *optional*): videos `[B, T, D]`, or cached backbone features `[B, D_v]`.
            feature_mask (`Tensor` of shape `[B, T]`, *optional*): 1 for steps of a video, 0 for padding.

        Returns:
            [`CMLTNetClassifierOutput`].

        Raises:
            ValueError: for labels of another shape, and in training when the stage needs words that are absent.
        """
        outputs = self.cmltnet(pixel_values, input_ids, attention_mask, features, feature_mask, return_dict=True)
        branches = {
            "aligned": self.shared_classifier(outputs.image_embeds),
            "inferred": self.inferred_classifier(outputs.inferred_embeds),
            "fused": self.fused_classifier(outputs.fused_embeds),
        }
        loss = loss_parts = None
        if labels is not None:
            self.check_labels(labels)
            loss_parts = self._loss_parts(outputs, branches, labels, input_ids, attention_mask)
            loss = self.weighted_loss(loss_parts, (self.stage or self.stages["joint"]).loss_weights)
        return CMLTNetClassifierOutput(
            loss=loss,
            logits=branches[self.stage.readout if self.stage else self.config.readout],
            aligned_logits=branches["aligned"],
            inferred_logits=branches["inferred"],
            fused_logits=branches["fused"],
            word_logits=outputs.word_logits,
            loss_parts=loss_parts,
        )

    def _loss_parts(
        self,
        outputs: CMLTNetModelOutput,
        branches: dict[str, Tensor],
        labels: Tensor,
        input_ids: Tensor | None,
        attention_mask: Tensor | None,
    ) -> dict[str, Tensor]:
        classify = self.classification_loss()
        parts = {f"{branch}_classification": classify(logits, labels) for branch, logits in branches.items()}
        if input_ids is not None:
            known = known_words(input_ids, attention_mask, self.config.num_special_tokens)
            parts |= self._word_loss_parts(outputs, labels, input_ids, known)
        return parts

    def _word_loss_parts(
        self, outputs: CMLTNetModelOutput, labels: Tensor, input_ids: Tensor, known: Tensor
    ) -> dict[str, Tensor]:
        """L_exp, the word half of L_imp and L_tran, over the samples that have at least one known word."""
        assert outputs.word_embeds is not None and outputs.word_features is not None  # the caller has words
        assert outputs.image_embeds is not None and outputs.transferred_features is not None
        assert outputs.word_logits is not None
        described = known.any(dim=1)
        if not described.any():
            # Zero, but joined to the graph: every rank of a distributed run must reach the same parameters.
            joined = (outputs.word_embeds, outputs.word_logits, outputs.image_embeds)
            nothing = 0.0 * torch.stack([widen(tensor).sum() for tensor in joined]).sum()
            return dict.fromkeys(("alignment", "word_classification", "words", "transfer"), nothing)
        config = self.config
        word_embeds = outputs.word_embeds[described]
        word_features = outputs.word_features[described]
        word_logits = widen(outputs.word_logits[described])
        targets = multi_hot_words(input_ids, known, config.num_words, config.num_special_tokens)[described]
        return {
            "alignment": kl_alignment_loss(
                outputs.image_embeds[described],
                word_embeds,
                reduction=config.alignment_reduction,
                direction=config.alignment_direction,
                detach_words=config.detach_words,
            ),
            "word_classification": self.classification_loss()(self.shared_classifier(word_embeds), labels[described]),
            "words": F.binary_cross_entropy_with_logits(word_logits, targets.to(word_logits.dtype)),
            "transfer": F.mse_loss(
                widen(outputs.transferred_features[described]),
                widen(word_features.detach() if config.detach_words else word_features),
            ),
        }


__all__ = ["CMLTNetForImageClassification", "CMLTNetModel", "CMLTNetPreTrainedModel"]
