"""CLIP's text encoder on prompts that name the classes, as a module that can learn (g in CPRFL)."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers.utils import logging


logger = logging.get_logger(__name__)

DEFAULT_TEMPLATES = ("a photo of a {}.",)  # of CPRFL's code; in the paper without the full stop
_PROMPTS_AT_ONCE = 256  # bounds the memory where a thousand classes have dozens of templates


def resolve_text_config(source: str) -> dict[str, Any]:
    """The transformers config of a CLIP's text encoder as a dictionary.

    Models keep it in their own config, so that a checkpoint is rebuilt without asking the Hub again.

    Args:
        source (`str`): the model id or the folder of a CLIP, or of its text encoder alone.

    Raises:
        ValueError: when it is another model.
        FileNotFoundError: when there is no such model.
    """
    # Not at the top: importing the Auto classes registers this package's models, which import this module.
    from transformers import AutoConfig, CLIPConfig, CLIPTextConfig

    try:
        config = AutoConfig.from_pretrained(source)
    except OSError as error:
        raise FileNotFoundError(
            f"No CLIP {source!r}: it is neither a folder with a config.json nor a model id that the Hub gives. {error}"
        ) from error
    if isinstance(config, CLIPConfig):
        # The projection belongs to both towers, and the text config keeps the default of another CLIP.
        return {**config.text_config.to_dict(), "projection_dim": config.projection_dim}
    if not isinstance(config, CLIPTextConfig):
        raise ValueError(
            f"{source!r} is a model of type {config.model_type!r}; expected a CLIP, such as "
            "'openai/clip-vit-base-patch16'."
        )
    return config.to_dict()


def build_clip_text_model(config: dict[str, Any]) -> Any:
    """A CLIP's text encoder with its projection, of transformers, with random weights as CLIP draws them.

    Args:
        config (`dict`): from [`resolve_text_config`].
    """
    # Not at the top: it imports the Auto classes, which registers this package's models, which import this module.
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection

    # In the dtype of the model around it, not the one that the CLIP's own checkpoint was saved in.
    return CLIPTextModelWithProjection._from_config(CLIPTextConfig.from_dict(config), dtype=torch.get_default_dtype())


def load_clip_text_model(model: Any, source: str) -> None:
    """Loads the weights of a CLIP's text encoder into one of [`build_clip_text_model`], in place.

    Args:
        model (`CLIPTextModelWithProjection`): the encoder to fill.
        source (`str`): the model id or the folder of a CLIP, or of its text encoder alone.

    Raises:
        ValueError: when the source lacks weights, or has them in other sizes.
    """
    from transformers import CLIPTextModelWithProjection  # see `build_clip_text_model`

    class TextTower(CLIPTextModelWithProjection):
        # Of a whole CLIP; their absence here is no reason for transformers to warn.
        _keys_to_ignore_on_load_unexpected = [r"^vision_model\.", r"^visual_projection\.", r"^logit_scale$"]

    try:
        tower, report = TextTower.from_pretrained(source, config=model.config, output_loading_info=True)
    except RuntimeError as error:  # other sizes
        raise ValueError(f"The weights from {source!r} do not fit the text encoder: {error}") from error
    missing = sorted(report["missing_keys"])
    if missing:
        raise ValueError(
            f"{source!r} has no values for {len(missing)} weights of the text encoder, such as {missing[0]!r}; "
            "give a CLIP with its projections."
        )
    model.load_state_dict(tower.state_dict())


def load_clip_tokenizer(source: str) -> Any:
    """The tokenizer of a CLIP, which pads on the right.

    Args:
        source (`str`): the model id or the folder of the CLIP.

    Raises:
        FileNotFoundError: when there is no such folder, and the Hub gives none.
        ValueError: when the folder has none.
    """
    from transformers import CLIPTokenizer  # see `build_clip_text_model`

    absent = f"No tokenizer {source!r}: it is neither a folder nor a model id whose tokenizer the Hub gives."
    try:
        tokenizer = CLIPTokenizer.from_pretrained(source, padding_side="right")
    except OSError as error:
        raise FileNotFoundError(f"{absent} {error}") from error
    # transformers makes a tokenizer of special tokens alone where it finds no files, and where there is no network.
    if len(tokenizer) <= len(set(tokenizer.all_special_ids)) + 1:
        if not Path(source).is_dir():
            raise FileNotFoundError(absent)
        raise ValueError(f"{source!r} has no tokenizer; save the CLIP's tokenizer into the same folder.")
    return tokenizer


def check_clip_tokens(input_ids: Tensor, config: Any, source: str) -> None:
    """Raises a `ValueError` when texts `[S, L]` of the tokenizer from `source` are none of the text encoder of that
    `CLIPTextConfig`."""
    # The first CLIPs say 2, and transformers then takes the token of the highest id for the end.
    end = config.eos_token_id
    if input_ids.max() >= config.vocab_size or (end != 2 and not (input_ids == end).any(dim=1).all()):
        raise ValueError(
            f"The tokenizer of {source!r} does not belong to the text encoder: it gives ids up to {input_ids.max()}, "
            f"but the encoder has {config.vocab_size} tokens and ends a text with {end}."
        )


class ClipTextEncoder(nn.Module):
    """The text encoder of a CLIP, with its projection, on T prompts of each of C classes.

    The prompts are buffers that a checkpoint keeps: `input_ids` and `attention_mask`, long `[C, T, L]`, with L the
    longest text that the CLIP takes. They are set with [`ClipTextEncoder.set_prompts`].

    Args:
        config (`dict`): from [`resolve_text_config`].
        num_classes (`int`): number of classes C.
        num_templates (`int`): prompts of each class, T.

    Weights are random, as CLIP draws them; see [`ClipTextEncoder.load_pretrained`].

    Source:
        CPRFL, section 3.1; its code trains the encoder along with the rest.
    """

    input_ids: Tensor
    attention_mask: Tensor

    def __init__(self, config: dict[str, Any], num_classes: int, num_templates: int):
        super().__init__()
        self.model = build_clip_text_model(config)
        shape = (num_classes, num_templates, self.model.config.max_position_embeddings)
        for name in ("input_ids", "attention_mask"):
            self.register_buffer(name, torch.zeros(shape, dtype=torch.long))

    def reset_parameters(self) -> None:
        """Forgets the prompts. CLIP draws its weights itself."""
        for prompts in (self.input_ids, self.attention_mask):
            nn.init.zeros_(prompts)

    def set_prompts(self, source: str, prompts: list[list[str]]) -> None:
        """Sets what the classes are called, in place.

        Args:
            source (`str`): the model id or the folder of the CLIP, whose tokenizer is taken.
            prompts (`list[list[str]]`): T prompts of each of the C classes; see `class_prompts`.

        Raises:
            ValueError: for another number of classes or prompts, a source without a tokenizer, or a tokenizer that
                does not belong to the encoder.
        """
        num_classes, num_templates, length = self.input_ids.shape
        if len(prompts) != num_classes or any(len(row) != num_templates for row in prompts):
            raise ValueError(
                f"The text encoder was built for {num_classes} classes with {num_templates} prompts each, got prompts "
                f"of {len(prompts)} classes, {sorted({len(row) for row in prompts})} each."
            )
        tokenizer = load_clip_tokenizer(source)
        texts = [prompt for row in prompts for prompt in row]
        cut = sum(len(ids) > length for ids in tokenizer(texts, verbose=False)["input_ids"])
        if cut:
            logger.warning(f"{cut} of {len(texts)} prompts are longer than CLIP's {length} tokens and are cut off.")
        tokens = tokenizer(texts, padding="max_length", truncation=True, max_length=length, return_tensors="pt")
        check_clip_tokens(tokens["input_ids"], self.model.config, source)
        for name in ("input_ids", "attention_mask"):
            self.get_buffer(name).copy_(tokens[name].view(self.input_ids.shape))

    def load_pretrained(self, source: str) -> None:
        """Loads the weights of a CLIP's text encoder, in place; the prompts stay.

        Args:
            source (`str`): the model id or the folder of a CLIP, or of its text encoder alone.

        Raises:
            ValueError: when the source lacks weights, or has them in other sizes.
        """
        load_clip_text_model(self.model, source)

    def forward(self) -> Tensor:
        """The classes in CLIP's joint space, W: the means of their prompts' embeddings, `[C, m]`, not normalised.

        Raises:
            ValueError: when the prompts were not set.
        """
        input_ids = self.input_ids[:, :, : self._longest_prompt()]
        classes_at_once = max(1, _PROMPTS_AT_ONCE // input_ids.shape[1])
        return torch.cat([self._embed(part) for part in input_ids.split(classes_at_once)])

    @property
    def has_prompts(self) -> bool:
        """Whether the prompts were set, or came with a checkpoint."""
        return not self.attention_mask.is_meta and bool(self.attention_mask.any())

    def _longest_prompt(self) -> int:
        longest = int(self.attention_mask.sum(dim=-1).max())
        if longest == 0:
            raise ValueError(
                "The text encoder has no prompts; call `load_class_semantics()` of its model, which also loads its "
                "weights, or give it prompts with `set_prompts`."
            )
        return longest

    def _embed(self, input_ids: Tensor) -> Tensor:
        # Without the mask: padding comes last, where a causal encoder's earlier tokens do not see it.
        embeds = self.model(input_ids=input_ids.flatten(0, 1)).text_embeds
        return embeds.unflatten(0, input_ids.shape[:2]).mean(dim=1)


__all__ = [
    "DEFAULT_TEMPLATES",
    "ClipTextEncoder",
    "build_clip_text_model",
    "check_clip_tokens",
    "load_clip_text_model",
    "load_clip_tokenizer",
    "resolve_text_config",
]
