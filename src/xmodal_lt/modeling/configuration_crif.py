"""Configuration of CRIF."""

from typing import Any, Literal

from huggingface_hub.dataclasses import strict

from .configuration_long_tail import LongTailConfig


_SIZES = (
    "word_embedding_size",
    "word_hidden_size",
    "semantic_size",
    "shared_size",
    "clip_size",
    "transfer_hidden_size",
    "fusion_size",
    "decoder_steps",
)


@strict
class CRIFConfig(LongTailConfig):
    r"""Configuration of CRIF: two-level alignment, semantic inference and fusion, for images and videos.

    Besides the arguments of [`LongTailConfig`]:

    Args:
        vocab_size (`int` or `None`, *optional*, defaults to 1002):
            Size of the word tokenizer, special tokens included. `None` with a `privileged_encoder`: there are no
            words.
        num_special_tokens (`int`, *optional*, defaults to 2):
            Special tokens at the start of the vocabulary (`[PAD]`, `[UNK]`).
        word_encoder (`str` or `None`, *optional*, defaults to `"fnn"`):
            E_t on description words: `"fnn"` (the paper's: two linear layers with ReLU on the multi-hot words),
            `"lstm"`, `"gru"` or `"bag"`. `None` with a `privileged_encoder`, and for checkpoints that only predict.
        privileged_encoder (`str` or `None`, *optional*):
            E_t on sequences of pre-extracted features `[B, S, D_t]`, such as speech or audio of a video, in place of
            words: `"gru"` or `"vilt"`. Then `vocab_size` and `word_encoder` are `None`.
        privileged_encoder_kwargs (`dict`, *optional*):
            Arguments of that encoder: `input_size`, the width D_t of the features, and those of its kind. Its
            `hidden_size` is the width of t; `semantic_size` is set to it.
        word_decoder (`str`, *optional*, defaults to `"lstm"`):
            D_t^r (eq. 14): `"lstm"`, the paper's, or `"fnn"`, whose t_r has no negative values.
        decoder_steps (`int`, *optional*, defaults to 10):
            Steps of an `"lstm"` decoder: in the paper, the most words that an image of the data has.
        word_embedding_size (`int`, *optional*, defaults to 300):
            Width of word embeddings (all encoders but `"fnn"`). The paper does not give it.
        word_hidden_size (`int`, *optional*, defaults to 300):
            Width of the hidden layer or state of word encoder and decoder; 300 is the paper's for the LSTM.
        semantic_size (`int`, *optional*, defaults to 300):
            Width of the semantic features t and t_r. The paper does not give it.
        shared_size (`int`, *optional*, defaults to 2048):
            Width of x_a and t_a (eq. 6, 7). The paper does not give it for images; 768 for videos.
        clip_size (`int`, *optional*):
            rho in Clip (eq. 8, 9): the first so many dimensions. The paper does not give it; 3/8 of `shared_size` when
            absent, as in ATNet, of the same group.
        transfer_hidden_size (`int`, *optional*, defaults to 1024):
            Width between the two layers of E_t^r (eq. 14). The paper does not give it.
        alignment_strategy (`str`, *optional*, defaults to `"clip"`):
            What content alignment compares (table V): `"clip"` the first `clip_size` dimensions, `"align"` all of
            them, and `"none"` nothing, which leaves out the distributional alignment (eq. 13) too. The aligned and
            semantic branches classify the same dimensions, all of them for `"none"`.
        alignment_function (`str`, *optional*, defaults to `"coral"`):
            L_align (eq. 10, table V): `"coral"`, `"l2"`, `"kl"` or `"centroid"`. The last is a sum over the classes,
            which SSAN, where it comes from, takes times 0.004; scale it by `alignment_weight`.
        coral_mode (`str`, *optional*, defaults to `"coral"`):
            Reading of eq. 10: `"coral"` compares covariances, as its text says, `"literal"` features, as it is
            printed.
        normalize_similarity (`bool`, *optional*, defaults to `True`):
            Whether L_sim compares features of length 1, as the text calls it a normalised measure. `False` is eq. 13
            as it is printed, which the model can lower by shrinking all features.
        detach_words (`bool`, *optional*, defaults to `False`):
            Whether semantic features are fixed targets in L_sim and L_align. The equations print no such thing.
        word_loss (`str`, *optional*, defaults to `"bce"`):
            L_recon (eq. 15) on words: `"bce"`, for several words an image, or `"cross_entropy"`, as printed, to the
            words in equal shares. On privileged features it is the mean squared error of t_r to t.
        fusion (`str`, *optional*, defaults to `"concat"`):
            The operator of eq. 16 and 17: `"concat"`, `"add"`, `"multiply"`, `"max"` or `"min"`.
        fusion_size (`int`, *optional*):
            Width of each tau in eq. 16; that of x_c when absent.
        privileged_fusions (`bool`, *optional*, defaults to `False`):
            Whether there are also fusions with the true semantic features, V+S, S+I and V+S+I in table V. They need
            words at evaluation, so they are for analysis; prediction does without them.
        readout (`str`, *optional*, defaults to `"fused"`):
            The branch whose logits the model returns: `"aligned"` from x_c, `"inferred"` from t_r, or `"fused"`.
        similarity_weight (`float`, *optional*, defaults to 1.0): alpha_sim (eq. 20), 0.1 to 2 in the paper.
        alignment_weight (`float`, *optional*, defaults to 1.0): alpha_align (eq. 21), 0.1 to 2 in the paper.
        semantic_weight (`float`, *optional*, defaults to 1.0):
            Weight of the classification of semantic features in L_1, which table V reads; eq. 19 prints the visual
            one alone. 0 leaves it out.
        content_weight (`float`, *optional*, defaults to 1.0):
            Weight in stage `infer` of the classification losses of L_1, which section III-C counts to content
            alignment and eq. 21 leaves out. They keep the classifiers fit for x_c and t_c while these still move.
        inferred_classification_weight (`float`, *optional*, defaults to 1.0):
            Weight of the classification of t_r in L_2, which table III reads; eq. 21 does not print it.
        inference_weight (`float`, *optional*, defaults to 1.0): beta (eq. 22): 0.1, 0.2, 0.5 or 1 in the paper.
        fusion_weight (`float`, *optional*, defaults to 1.0): gamma (eq. 22): 0.1, 0.2, 0.5 or 1 in the paper.

    Source: Guan et al., "Improving the generalization of visual classification models across IoT cameras via
    cross-modal inference and fusion".

    Example:

    ```python
    >>> from xmodal_lt import CRIFConfig, CRIFForImageClassification
    >>> config = CRIFConfig(backbone="resnet18", vocab_size=102, num_labels=10, shared_size=64)
    >>> model = CRIFForImageClassification(config)
    >>> config.content_size
    24
    ```
    """

    model_type = "crif"
    keys_to_ignore_at_inference = [
        "loss_parts",
        "aligned_logits",
        "inferred_logits",
        "fused_logits",
        "semantic_logits",
        "visual_semantic_logits",
        "semantic_inferred_logits",
        "visual_semantic_inferred_logits",
        "word_logits",
    ]

    vocab_size: int | None = 1002
    num_special_tokens: int = 2
    word_encoder: Literal["fnn", "bag", "gru", "lstm"] | None = "fnn"
    privileged_encoder: Literal["gru", "vilt"] | None = None
    privileged_encoder_kwargs: dict[str, Any] | None = None
    word_decoder: Literal["fnn", "lstm"] = "lstm"
    decoder_steps: int = 10
    word_embedding_size: int = 300
    word_hidden_size: int = 300
    semantic_size: int = 300
    shared_size: int = 2048
    clip_size: int | None = None
    transfer_hidden_size: int = 1024
    alignment_strategy: Literal["none", "align", "clip"] = "clip"
    alignment_function: Literal["l2", "kl", "coral", "centroid"] = "coral"
    coral_mode: Literal["coral", "literal"] = "coral"
    normalize_similarity: bool = True
    detach_words: bool = False
    word_loss: Literal["bce", "cross_entropy"] = "bce"
    fusion: Literal["concat", "add", "multiply", "max", "min"] = "concat"
    fusion_size: int | None = None
    privileged_fusions: bool = False
    readout: Literal["aligned", "inferred", "fused"] = "fused"
    similarity_weight: int | float = 1.0
    alignment_weight: int | float = 1.0
    semantic_weight: int | float = 1.0
    content_weight: int | float = 1.0
    inferred_classification_weight: int | float = 1.0
    inference_weight: int | float = 1.0
    fusion_weight: int | float = 1.0

    def __post_init__(self, **kwargs):
        super().__post_init__(**kwargs)
        if self.privileged_encoder is not None:
            self._take_privileged_features()
        else:
            self.privileged_encoder_kwargs = None
        for name in _SIZES:
            size = getattr(self, name)
            if size is not None and size < 1:
                raise ValueError(f"{name}={size} must be at least 1.")
        if self.clip_size is not None and self.clip_size > self.shared_size:
            raise ValueError(f"clip_size={self.clip_size} must be at most shared_size={self.shared_size}.")
        if self.num_words is not None and self.num_words < 1:
            raise ValueError(
                f"vocab_size={self.vocab_size} leaves no word beside {self.num_special_tokens} special tokens; "
                "set it to the length of the word tokenizer."
            )
        if self.vocab_size is None and self.word_encoder is not None:
            raise ValueError("vocab_size=None leaves no words to encode; set word_encoder=None as well.")
        if self.privileged_fusions and not self.has_semantics:
            raise ValueError(
                "privileged_fusions read words or privileged features; set a word_encoder or privileged_encoder."
            )

    def _take_privileged_features(self) -> None:
        """Features stand in place of words."""
        self.vocab_size = self.word_encoder = None
        self.semantic_size = (self.privileged_encoder_kwargs or {}).get("hidden_size", 768)

    @property
    def num_words(self) -> int | None:
        """W: the words of the vocabulary, without special tokens; `None` where there are no words."""
        return None if self.vocab_size is None else self.vocab_size - self.num_special_tokens

    @property
    def content_size(self) -> int:
        """Width of x_c and t_c: rho for the strategy `"clip"`, else that of x_a and t_a."""
        if self.alignment_strategy != "clip":
            return self.shared_size
        return self.clip_size or max(1, self.shared_size * 3 // 8)

    @property
    def has_semantics(self) -> bool:
        """Whether the model has the semantic modality, which only training needs."""
        return self.word_encoder is not None or self.privileged_encoder is not None


__all__ = ["CRIFConfig"]
