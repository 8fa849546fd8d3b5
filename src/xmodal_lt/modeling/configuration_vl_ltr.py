"""Configuration of VL-LTR."""

from typing import Any, ClassVar, Literal

from huggingface_hub.dataclasses import strict

from .configuration_long_tail import LongTailConfig
from .sentence_encoder import resolve_sentence_config


SENTENCE_HEADS = ("lgr", "knn")  # which read anchor sentences
LEARNED_HEADS = ("lgr", "fc")
_DEFAULT_SIZE = 512


@strict
class VLLTRConfig(LongTailConfig):
    r"""Configuration of VL-LTR.

    Besides the arguments of [`LongTailConfig`], of which the problem type is `"single_label_classification"`:

    Args:
        text_backbone (`str`, *optional*):
            The linguistic encoder: `"clip:<model id or folder>"`, the text tower of a CLIP, or `"clip"` for that of
            openai/clip-vit-base-patch16; `"sentence:<model id or folder>"`, a sentence-transformers model, or
            `"sentence"` for the MiniLM of the pip package. Without it the model knows its classes' sentences by their
            embeddings alone, and cannot be pre-trained.
        text_backbone_config (`dict`, *optional*):
            What rebuilds that encoder; read from its source when absent, and saved from then on.
        embed_size (`int`, *optional*):
            D, width of the space of images and sentences; that of the text encoder when absent, without one 512.
        max_tokens (`int`, *optional*):
            Tokens of a sentence, with start and end, behind which it is cut off; what the encoder takes when absent,
            77 for CLIP, and at most that.
        head (`str`, *optional*, defaults to `"lgr"`):
            What classifies an image's embedding: `"lgr"`, the language-guided head; `"fc"`, one linear layer; `"knn"`,
            the nearest anchor sentences; `"zero_shot"`, the cosine with the mean of each class's prompts, or of all
            its sentences where it has no prompts; `"nearest_mean"`, the mean of its training images. The paper's
            table 4 compares the first three, and does not say what `fc` and `knn` are [ours]. The last three do not
            learn: they are fitted after the stages.
        num_anchors (`int`, *optional*, defaults to 64): M, anchor sentences of a class at most.
        num_neighbors (`int`, *optional*, defaults to 64): sentences that vote for their classes, of `knn` [ours].
        mlp_ratio (`int`, *optional*, defaults to 4): width inside the MLP of the `lgr` head, in units of D.
        combination (`str`, *optional*):
            How the `lgr` head combines its branches: `"weighted"` probabilities, the `"sum"` of probabilities (eq. 7)
            or the sum of `"logits"`; see `combine_branches`. When absent `"weighted"` for `variant="code"` and `"sum"`
            for `"paper"`.
        visual_weight (`float`, *optional*, defaults to 0.2):
            Weight of the visual branch in `"weighted"`, in [0, 1]; that of the code is 0.2, and 0.7 on iNaturalist.
        detach_norm (`bool`, *optional*, defaults to `False`):
            Whether the `lgr` head passes no gradient through the length of gathered sentences; the code does not on
            iNaturalist.
        variant (`str`, *optional*, defaults to `"code"`):
            The loss of the pre-training: `"code"` averages the two sides, smooths their targets and distils whole rows
            of similarities; `"paper"` is eq. 2 and 3: the sum of the sides, and the diagonal. Also what `combination`
            and `finetune_encoder` are when they are absent, and whether tau starts from CLIP's (code) or from
            `temperature` (paper).
        distillation_weight (`float`, *optional*):
            Weight of the distillation from the encoders as they were loaded, beta of the code and 1 - lambda of
            eq. 8, in [0, 1). When absent 0.5 with a CLIP, as in the code, and 0 for none without: only a CLIP has
            something to teach, as its encoders share a space from the start.
        contrastive_smoothing (`float`, *optional*, defaults to 0.1):
            Label smoothing of the contrastive loss, in [0, 1), for `variant="code"`.
        temperature (`float`, *optional*, defaults to 0.07):
            Initial value of tau, which is learnt; where both towers of a CLIP are loaded, its own takes its place in
            the code.
        max_logit_scale (`float`, *optional*):
            Bound of 1 / tau where it learns, kept before each step: 100 in CLIP's own training, none when absent, as
            in the code.
        train_logit_scale (`bool`, *optional*, defaults to `False`):
            Whether tau goes on learning in the fine-tuning.
        train_text_encoder (`bool`, *optional*, defaults to `True`):
            Whether the pre-training trains the text encoder, or the images' side alone with, for a sentence encoder,
            the projection of its embeddings.
        finetune_encoder (`bool`, *optional*):
            Whether the fine-tuning trains the vision encoder. When absent it does for `variant="paper"`, and not for
            `"code"`, which does on iNaturalist alone.
        train_mode (`bool`, *optional*, defaults to `False`):
            Whether encoders that learn are in training mode, with dropout and batch statistics; they are not in the
            code. (transformers' encoders do without gradient checkpointing in eval mode; runs have `chunk_size`.)

    Source: Tian et al. 2022, "VL-LTR: Learning class-wise visual-linguistic representation for long-tailed visual
    recognition".

    Example:

    ```python
    >>> from xmodal_lt import VLLTRConfig, VLLTRForImageClassification
    >>> config = VLLTRConfig(backbone="resnet18", num_labels=10, num_anchors=8)
    >>> model = VLLTRForImageClassification(config)
    >>> config.embed_size, config.branch_combination
    (512, 'weighted')
    ```
    """

    model_type = "vl_ltr"
    keys_to_ignore_at_inference = ["loss_parts", "visual_logits", "text_logits", "image_embeds"]
    fixed_by_checkpoint: ClassVar[tuple[str, ...]] = ("text_backbone", "embed_size")

    text_backbone: str | None = None
    text_backbone_config: dict[str, Any] | None = None
    embed_size: int | None = None
    max_tokens: int | None = None
    head: Literal["lgr", "fc", "knn", "zero_shot", "nearest_mean"] = "lgr"
    num_anchors: int = 64
    num_neighbors: int = 64
    mlp_ratio: int = 4
    combination: Literal["weighted", "sum", "logits"] | None = None
    visual_weight: int | float = 0.2
    detach_norm: bool = False
    variant: Literal["code", "paper"] = "code"
    distillation_weight: int | float | None = None
    contrastive_smoothing: int | float = 0.1
    temperature: int | float = 0.07
    max_logit_scale: int | float | None = None
    train_logit_scale: bool = False
    train_text_encoder: bool = True
    finetune_encoder: bool | None = None
    train_mode: bool = False

    def __post_init__(self, **kwargs):
        super().__post_init__(**kwargs)
        if self.problem_type != "single_label_classification":
            raise ValueError(
                f"VL-LTR is for images with one label, and problem_type={self.problem_type!r}; for several labels an "
                "image take CPRFL."
            )
        if self.text_backbone is None:
            self.text_backbone_config = None
        elif self.text_backbone_config is None:
            self.text_backbone_config = resolve_sentence_config(self.text_backbone)
        if self.distillation_weight is None:
            self.distillation_weight = 0.5 if self._has_clip else 0
        self._check_numbers()
        self._complete_sizes()

    def _check_numbers(self) -> None:
        for name in ("embed_size", "max_tokens", "num_anchors", "num_neighbors", "mlp_ratio"):
            size = getattr(self, name)
            if size is not None and size < 1:
                raise ValueError(f"{name}={size} must be at least 1.")
        for name in ("distillation_weight", "contrastive_smoothing"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 0 and below 1.")
        if not 0 <= self.visual_weight <= 1:
            raise ValueError(f"visual_weight={self.visual_weight} must be between 0 and 1.")
        for name in ("temperature", "max_logit_scale"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name}={value} must be above 0.")

    def _complete_sizes(self) -> None:
        text = self.text_backbone_config
        if text is None:
            self.embed_size = _DEFAULT_SIZE if self.embed_size is None else self.embed_size
            return
        width = text["config"]["projection_dim" if self._has_clip else "hidden_size"]
        if self.embed_size is None:
            self.embed_size = width
        if self.max_tokens is None:
            self.max_tokens = min(text["max_tokens"], 77)
        if self.max_tokens > text["max_tokens"]:
            raise ValueError(
                f"max_tokens={self.max_tokens}, but {self.text_backbone!r} takes at most {text['max_tokens']}."
            )
        if self._has_clip and self.embed_size != width:
            raise ValueError(
                f"{self.text_backbone!r} has embeddings of width {width}, and embed_size={self.embed_size}; leave "
                "embed_size out."
            )
        if self.has_teacher and not self._has_clip:
            raise ValueError(
                f"distillation_weight={self.distillation_weight} distils from encoders that share a space from the "
                f"start, which those of {self.text_backbone!r} do not; set distillation_weight=0, or take a CLIP."
            )

    @property
    def _has_clip(self) -> bool:
        return self.text_backbone_config is not None and self.text_backbone_config["kind"] == "clip"

    @property
    def branch_combination(self) -> str:
        """How the branches of the `lgr` head are combined."""
        return self.combination or ("weighted" if self.variant == "code" else "sum")

    @property
    def finetunes_encoder(self) -> bool:
        """Whether the stage `finetune` trains the vision encoder."""
        return self.variant == "paper" if self.finetune_encoder is None else self.finetune_encoder

    @property
    def has_teacher(self) -> bool:
        """Whether the model keeps its encoders as they were loaded, to distil from."""
        return self.text_backbone is not None and bool(self.distillation_weight)


__all__ = ["LEARNED_HEADS", "SENTENCE_HEADS", "VLLTRConfig"]
