"""Configuration of CMLTNet."""

from typing import Literal

from huggingface_hub.dataclasses import strict

from .configuration_long_tail import LongTailConfig


_WIDTHS = (
    "word_embedding_size",
    "word_hidden_size",
    "semantic_size",
    "shared_size",
    "transfer_hidden_size",
    "fusion_size",
)


@strict
class CMLTNetConfig(LongTailConfig):
    r"""Configuration of CMLTNet: align, infer and fuse, with description words as privileged information.

    Besides the arguments of [`LongTailConfig`]:

    Args:
        vocab_size (`int`, *optional*, defaults to 1002):
            Size of the word tokenizer, special tokens included: the paper's W is `vocab_size - num_special_tokens`.
        num_special_tokens (`int`, *optional*, defaults to 2):
            Special tokens at the start of the vocabulary (`[PAD]`, `[UNK]`).
        word_encoder (`str` or `None`, *optional*, defaults to `"fnn"`):
            The semantic encoder rho_s: `"fnn"` (two linear layers on the multi-hot words), `"bag"` (mean of
            embeddings), `"gru"` or `"lstm"`. `None` for checkpoints that only predict.
        word_embedding_size (`int`, *optional*, defaults to 300):
            Width of Emb in eq. 6, and of the embeddings in the word encoder. The paper does not give it.
        word_hidden_size (`int`, *optional*, defaults to 300):
            Width of the word encoder's hidden layer or state. The paper does not give it.
        semantic_size (`int`, *optional*, defaults to 300):
            Width of F_s and F_{v->s}, the "semantic latent space" (section 4.2.2).
        shared_size (`int`, *optional*, defaults to 2048):
            Width of the shared space of F_va and F_sa. The paper does not give it for CMLTNet.
        transfer_hidden_size (`int`, *optional*, defaults to 1024):
            Width between the two blocks of Trans. The paper does not give it.
        top_k (`int`, *optional*, defaults to 5):
            Predicted words that are embedded (eq. 6). The paper does not give it.
        word_fusion (`str`, *optional*, defaults to `"linear"`):
            theta in eq. 6: `"mean"` is the paper's (M), `"linear"` its (L): a linear map of the k embeddings.
        fusion (`str`, *optional*, defaults to `"max"`):
            Fusion in eq. 9: `"add"`, `"concat"`, `"max"` or `"min"`.
        fusion_size (`int`, *optional*):
            Width of phi's outputs in eq. 9; `shared_size` when absent.
        readout (`str`, *optional*, defaults to `"fused"`):
            The branch whose logits the model returns: `"aligned"` f(F_va), `"inferred"` f_e(E_s), or `"fused"`
            f_f(F_aug).
        alignment_weight (`float`, *optional*, defaults to 1.0): weight of L_exp (eq. 2), beta_align in the text.
        implicit_weight (`float`, *optional*, defaults to 1.0): gamma_imp, weight of L_imp (eq. 3, 11).
        implicit_word_weight (`float`, *optional*):
            Weight of the word half of L_imp, cls(f(F_sa)); `implicit_weight` when absent, 0 leaves it out.
        transfer_weight (`float`, *optional*, defaults to 1.0): beta_t, weight of the MSE term of eq. 5.
        inference_weight (`float`, *optional*, defaults to 1.0): gamma_t, weight of L_infer in eq. 11.
        alignment_direction (`str`, *optional*, defaults to `"word_to_image"`):
            See `kl_alignment_loss`. The paper does not say; ATNet, of the same group, uses this one.
        alignment_reduction (`str`, *optional*, defaults to `"batchmean"`): `"batchmean"`, `"mean"` or `"sum"`.
        detach_words (`bool`, *optional*, defaults to `True`):
            Whether word features are fixed targets in L_exp and in the MSE term.

    Source: Li et al., "Cross-modal learning using privileged information for long-tailed image classification",
    Computational Visual Media 2024.

    Example:

    ```python
    >>> from xmodal_lt import CMLTNetConfig, CMLTNetForImageClassification
    >>> config = CMLTNetConfig(backbone="resnet18", vocab_size=102, num_labels=10, shared_size=64)
    >>> model = CMLTNetForImageClassification(config)
    ```
    """

    model_type = "cmltnet"
    keys_to_ignore_at_inference = ["loss_parts", "aligned_logits", "inferred_logits", "fused_logits", "word_logits"]

    vocab_size: int = 1002
    num_special_tokens: int = 2
    word_encoder: Literal["fnn", "bag", "gru", "lstm"] | None = "fnn"
    word_embedding_size: int = 300
    word_hidden_size: int = 300
    semantic_size: int = 300
    shared_size: int = 2048
    transfer_hidden_size: int = 1024
    top_k: int = 5
    word_fusion: Literal["mean", "linear"] = "linear"
    fusion: Literal["add", "concat", "max", "min"] = "max"
    fusion_size: int | None = None
    readout: Literal["aligned", "inferred", "fused"] = "fused"
    alignment_weight: int | float = 1.0
    implicit_weight: int | float = 1.0
    implicit_word_weight: int | float | None = None
    transfer_weight: int | float = 1.0
    inference_weight: int | float = 1.0
    alignment_direction: Literal["word_to_image", "image_to_word"] = "word_to_image"
    alignment_reduction: Literal["batchmean", "mean", "sum"] = "batchmean"
    detach_words: bool = True

    def __post_init__(self, **kwargs):
        super().__post_init__(**kwargs)
        for name in _WIDTHS:
            width = getattr(self, name)
            if width is not None and width < 1:
                raise ValueError(f"{name}={width} must be at least 1.")
        if self.num_words < 1:
            raise ValueError(
                f"vocab_size={self.vocab_size} leaves no word beside {self.num_special_tokens} special tokens; "
                "set it to the length of the word tokenizer."
            )
        if not 1 <= self.top_k <= self.num_words:
            raise ValueError(f"top_k={self.top_k} must lie between 1 and the number of words, {self.num_words}.")

    @property
    def num_words(self) -> int:
        """W: the words of the vocabulary, without special tokens."""
        return self.vocab_size - self.num_special_tokens


__all__ = ["CMLTNetConfig"]
