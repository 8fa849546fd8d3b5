"""Encoders of sentences that can learn: a CLIP's text tower, or a sentence-transformers model (E_lin in VL-LTR)."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from .class_semantics import split_semantics
from .loss_tools import widen
from .sentence_pipeline import POOLINGS, read_sentence_pipeline
from .text_encoder import (
    build_clip_text_model,
    check_clip_tokens,
    load_clip_text_model,
    load_clip_tokenizer,
    resolve_text_config,
)
from .text_packages import packaged_sentence_encoder


KINDS = ("clip", "sentence")


def split_text_backbone(text_backbone: str) -> tuple[str, str]:
    """Takes apart what names a sentence encoder.

    Args:
        text_backbone (`str`): one of
            - `"clip"`, openai/clip-vit-base-patch16; `"clip:<model id or folder>"` of a CLIP or its text encoder.
            - `"sentence"`, all-MiniLM-L6-v2 from the pip package of the `text` extra;
              `"sentence:<model id or folder>"` of a sentence-transformers model.

    Returns:
        `tuple[str, str]`: the kind, `"clip"` or `"sentence"`, and the model id or folder.

    Raises:
        ValueError: for an unknown kind, or nothing after the colon.
        ImportError: when the `text` extra is needed and absent.
    """
    if text_backbone.partition(":")[0] not in KINDS:
        raise ValueError(
            f"Unknown text_backbone {text_backbone!r}; expected 'clip', 'sentence', 'clip:<model id or folder>' or "
            "'sentence:<model id or folder>'."
        )
    kind, source = split_semantics(text_backbone)
    return kind, source or str(packaged_sentence_encoder())


def resolve_sentence_config(text_backbone: str) -> dict[str, Any]:
    """What a [`SentenceEncoder`] is built from, as a dictionary that JSON can hold.

    Models keep it in their own config, so that a checkpoint is rebuilt without its source.

    Args:
        text_backbone (`str`): see [`split_text_backbone`].

    Returns:
        `dict[str, Any]`: `kind`, `"clip"` or `"sentence"`; `config`, of the transformers model; `pooling`, `"mean"`,
        `"cls"` or `"max"`, and `None` for a CLIP, which takes the end of a text; `normalize`, whether embeddings are
        made unit vectors; `max_tokens`, the longest sentence, with special tokens.

    Raises:
        ValueError: for an unknown kind, another model than it names, or one that is not supported.
        FileNotFoundError: when there is no such model.
        ImportError: when the `text` extra is needed and absent.
    """
    kind, source = split_text_backbone(text_backbone)
    if kind == "clip":
        settings = resolve_text_config(source)
        pooling, normalizes, max_tokens = None, False, settings["max_position_embeddings"]
    else:
        # Not at the top: importing the Auto classes registers this package's models, which import this module.
        from transformers import AutoConfig

        pipeline = read_sentence_pipeline(source)
        config = AutoConfig.from_pretrained(source, subfolder=pipeline.subfolder)
        if config.is_encoder_decoder:
            raise ValueError(f"{source!r} is a {config.model_type} with a decoder; choose a model such as a BERT.")
        pooling, normalizes, max_tokens = pipeline.pooling, pipeline.normalize, pipeline.max_tokens
        if max_tokens is None:
            max_tokens = _load_sentence_tokenizer(source).model_max_length
        max_tokens = min(max_tokens, config.max_position_embeddings)
        settings = config.to_dict()
    settings.pop("_name_or_path", None)  # a path of this machine, maybe
    return {
        "kind": kind,
        "config": settings,
        "pooling": pooling,
        "normalize": normalizes,
        "max_tokens": max_tokens,
    }


class SentenceEncoder(nn.Module):
    """Sentences to one embedding each, E^T of `[S, hidden_size]`.

    Args:
        config (`dict`): from [`resolve_sentence_config`].

    Raises:
        ValueError: for an unknown kind or pooling.

    Attributes:
        hidden_size (`int`): width of the embeddings: of a CLIP its joint space, of others that of the transformer.
        max_tokens (`int`): the longest sentence, with special tokens.

    Weights are random, as transformers draws them; see [`SentenceEncoder.load_pretrained`].

    Source:
        VL-LTR, section 3.2; its encoder is a CLIP's.
    """

    def __init__(self, config: dict[str, Any]):
        super().__init__()
        self.kind, self.pooling, self.normalizes = config["kind"], config["pooling"], config["normalize"]
        self.max_tokens: int = config["max_tokens"]
        if self.kind not in KINDS or (self.kind == "sentence" and self.pooling not in POOLINGS):
            raise ValueError(
                f"A sentence encoder of kind {self.kind!r} with pooling {self.pooling!r} does not exist; build its "
                "config with `resolve_sentence_config`."
            )
        self.model: Any
        if self.kind == "clip":
            self.model = build_clip_text_model(config["config"])
            self.hidden_size: int = self.model.config.projection_dim
        else:
            self.model = _build_transformer(config["config"])
            self.hidden_size = self.model.config.hidden_size

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Embeds sentences.

        Args:
            input_ids (`Tensor` of shape `[S, L]`): tokens, padded on the right; see [`tokenize_sentences`].
            attention_mask (`Tensor` of shape `[S, L]`): 1 for tokens and 0 for padding.

        Returns:
            `Tensor`: `[S, hidden_size]`: of a CLIP not normalised, of others as their own pipeline has them.

        Raises:
            ValueError: for sentences that are longer than the encoder takes.
        """
        if input_ids.shape[1] > self.max_tokens:
            raise ValueError(
                f"Sentences have up to {input_ids.shape[1]} tokens, and the text encoder takes {self.max_tokens}; cut "
                "them off with `tokenize_sentences`."
            )
        if self.kind == "clip":
            # Without the mask: padding comes last, where a causal encoder's earlier tokens do not see it.
            return self.model(input_ids=input_ids).text_embeds
        states = self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        embeds = self._pool(widen(states), attention_mask.unsqueeze(-1))
        return (normalize(embeds) if self.normalizes else embeds).to(states.dtype)

    def _pool(self, states: Tensor, mask: Tensor) -> Tensor:
        if self.pooling == "cls":
            return states[:, 0]
        if self.pooling == "max":
            return states.masked_fill(mask == 0, float("-inf")).amax(dim=1)
        return (states * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)

    def load_pretrained(self, text_backbone: str) -> None:
        """Loads the weights of the model that the encoder was built for, in place.

        Args:
            text_backbone (`str`): see [`split_text_backbone`].

        Raises:
            ValueError: for a source of the other kind, or one that lacks weights or has them in other sizes.
            FileNotFoundError: when there is no such model.
            ImportError: when the `text` extra is needed and absent.
        """
        kind, source = split_text_backbone(text_backbone)
        if kind != self.kind:
            raise ValueError(f"The text encoder was built for a model of kind {self.kind!r}, not {text_backbone!r}.")
        if kind == "clip":
            load_clip_text_model(self.model, source)
        else:
            _load_transformer(self.model, source)


def load_sentence_tokenizer(text_backbone: str) -> Any:
    """The tokenizer of a sentence encoder, which pads on the right.

    Args:
        text_backbone (`str`): see [`split_text_backbone`].

    Returns:
        `PreTrainedTokenizerBase`.

    Raises:
        ValueError: for a source without a tokenizer, or with one that does not belong to its encoder.
        FileNotFoundError: when there is no such model.
        ImportError: when the `text` extra is needed and absent.
    """
    kind, source = split_text_backbone(text_backbone)
    if kind == "sentence":
        return _load_sentence_tokenizer(source)
    from transformers import CLIPTextConfig  # see `resolve_sentence_config`

    config, tokenizer = CLIPTextConfig.from_dict(resolve_text_config(source)), load_clip_tokenizer(source)
    check_clip_tokens(tokenizer("a", return_tensors="pt")["input_ids"], config, source)
    return tokenizer


def tokenize_sentences(tokenizer: Any, sentences: Sequence[str], max_tokens: int) -> dict[str, Tensor]:
    """Tokens of sentences, padded to the longest of them.

    Args:
        tokenizer (`PreTrainedTokenizerBase`): from [`load_sentence_tokenizer`].
        sentences (`Sequence[str]`): S sentences.
        max_tokens (`int`): longer ones are cut off, and keep their special token at the end.

    Returns:
        `dict[str, Tensor]`: `input_ids` and `attention_mask`, long `[S, L]`.

    Raises:
        ValueError: without sentences.
    """
    if not sentences:
        raise ValueError("No sentences to tokenize; give at least one.")
    tokens = tokenizer(list(sentences), padding=True, truncation=True, max_length=max_tokens, return_tensors="pt")
    return {name: tokens[name] for name in ("input_ids", "attention_mask")}


def load_clip_joint_space(text_backbone: str) -> dict[str, Tensor]:
    """What a CLIP holds beside its towers.

    Args:
        text_backbone (`str`): see [`split_text_backbone`].

    Returns:
        `dict[str, Tensor]`: float32 tensors, as far as the source has them: `visual_projection.weight` `[D, D_v]`,
        from the features of its visual tower to the joint space; `visual_projection.bias` `[D]`, of ResNets; and
        `logit_scale`, the logarithm of the factor of cosines. Empty for a text encoder alone and for other models.

    Raises:
        ValueError: for an unknown kind, or another model than a CLIP.
        FileNotFoundError: when there is no such model.
    """
    kind, source = split_text_backbone(text_backbone)
    if kind != "clip":
        return {}
    resolve_text_config(source)  # for its errors
    from transformers import AutoConfig, CLIPConfig, PreTrainedModel  # see `resolve_sentence_config`

    config = AutoConfig.from_pretrained(source)
    whole = isinstance(config, CLIPConfig)
    # The text tower that `xmodal-lt convert-clip` writes has them too, and says so.
    visual_size = config.vision_config.hidden_size if whole else getattr(config, "visual_size", 0)
    bias = not whole and getattr(config, "visual_bias", False)
    if not visual_size:
        return {}

    class JointSpace(PreTrainedModel):
        _keys_to_ignore_on_load_unexpected = [r"^(text|vision)_model\.", r"^text_projection\."]

        def __init__(self, config: Any):
            super().__init__(config)
            self.visual_projection = nn.Linear(visual_size, config.projection_dim, bias=bias)
            self.logit_scale = nn.Parameter(torch.zeros(()))
            self.post_init()

    space, report = JointSpace.from_pretrained(source, config=config, dtype=torch.float32, output_loading_info=True)
    return {name: tensor for name, tensor in space.state_dict().items() if name not in report["missing_keys"]}


def _build_transformer(config: dict[str, Any]) -> Any:
    from transformers import AutoConfig, AutoModel  # see `resolve_sentence_config`

    settings = dict(config)
    # In the dtype of the model around it, not the one that the checkpoint was saved in.
    model = AutoModel.from_config(
        AutoConfig.for_model(settings.pop("model_type"), **settings), dtype=torch.get_default_dtype()
    )
    if getattr(model, "pooler", None) is not None:
        model.pooler = None  # pooling is our own; weights that no loss reaches stop a distributed run
    return model


def _load_transformer(model: Any, source: str) -> None:
    model_class: Any = type(model)

    class Transformer(model_class):
        # The pooler, which is not used, and the heads of pre-training: whether a checkpoint has them does not matter.
        _keys_to_ignore_on_load_missing = [r"^pooler\."]
        _keys_to_ignore_on_load_unexpected = [r"^cls\.", r"^lm_head\."]

    subfolder = read_sentence_pipeline(source).subfolder
    try:
        found, report = Transformer.from_pretrained(
            source, config=model.config, subfolder=subfolder, output_loading_info=True
        )
    except RuntimeError as error:  # other sizes
        raise ValueError(f"The weights from {source!r} do not fit the text encoder: {error}") from error
    wanted = model.state_dict()
    missing = sorted(report["missing_keys"] & wanted.keys())
    if missing:
        raise ValueError(
            f"{source!r} has no values for {len(missing)} weights of the text encoder, such as {missing[0]!r}; it "
            "holds another architecture."
        )
    weights = found.state_dict()
    model.load_state_dict({name: weights[name] for name in wanted})


def _load_sentence_tokenizer(source: str) -> Any:
    from transformers import AutoConfig, AutoTokenizer  # see `resolve_sentence_config`

    pipeline = read_sentence_pipeline(source)
    tokenizer = AutoTokenizer.from_pretrained(source, subfolder=pipeline.subfolder, padding_side="right")
    vocab_size = AutoConfig.from_pretrained(source, subfolder=pipeline.subfolder).vocab_size
    # transformers makes a tokenizer of special tokens alone where it finds no files.
    if len(tokenizer) <= len(set(tokenizer.all_special_ids)) + 1:
        raise ValueError(f"{source!r} has no tokenizer; save the model's tokenizer into the same folder.")
    if len(tokenizer) > vocab_size:
        raise ValueError(
            f"The tokenizer of {source!r} does not belong to the text encoder: it has {len(tokenizer)} tokens, and "
            f"the encoder {vocab_size}."
        )
    if pipeline.lower_case and tokenizer.tokenize("A") != tokenizer.tokenize("a"):
        raise ValueError(
            f"{source!r} lower-cases sentences before a tokenizer that keeps case, which is not supported."
        )
    return tokenizer


__all__ = [
    "SentenceEncoder",
    "load_clip_joint_space",
    "load_sentence_tokenizer",
    "resolve_sentence_config",
    "split_text_backbone",
    "tokenize_sentences",
]
