"""Processor of image and description words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers import BatchFeature, PreTrainedTokenizerBase
from transformers.image_processing_utils import BaseImageProcessor
from transformers.image_utils import ImageInput
from transformers.processing_utils import ProcessorMixin

from .word_tokenizer import encode_word_lists, num_words


__all__ = ["XModalProcessor"]


class XModalProcessor(ProcessorMixin):
    r"""
    Turns images, and for training their description words, into the tensors of a batch.

    Words are privileged information: a model is trained with them and predicts from images alone, so `images` is all
    that a call needs.

    Args:
        image_processor ([`XModalLTImageProcessor`] or any image processor of transformers):
            Makes `pixel_values`.
        tokenizer (`PreTrainedTokenizerFast`):
            A word tokenizer, made by [`build_word_tokenizer`].
        max_words_per_image (`int`, *optional*):
            Keeps the first so many different words of an image. All by default.

    Example:

    ```python
    >>> from PIL import Image
    >>> from xmodal_lt.processing import XModalLTImageProcessor, XModalProcessor, build_word_tokenizer
    >>> tokenizer = build_word_tokenizer([["red", "fire engine"], ["red"]])
    >>> processor = XModalProcessor(XModalLTImageProcessor(size={"height": 64, "width": 64}), tokenizer)
    >>> batch = processor(images=Image.new("RGB", (72, 72)), words=["red", "fire engine"], return_tensors="pt")
    >>> batch["pixel_values"].shape, batch["input_ids"].tolist()
    (torch.Size([1, 3, 64, 64]), [[2, 3]])

    ```
    """

    def __init__(
        self,
        image_processor: BaseImageProcessor,
        tokenizer: PreTrainedTokenizerBase,
        max_words_per_image: int | None = None,
    ) -> None:
        if max_words_per_image is not None and max_words_per_image < 1:
            raise ValueError(f"`max_words_per_image` must be at least 1, got {max_words_per_image}.")
        self.max_words_per_image = max_words_per_image
        super().__init__(image_processor, tokenizer)

    def __call__(
        self,
        images: ImageInput | None = None,
        words: Sequence[str] | Sequence[Sequence[str]] | None = None,
        return_tensors: str | None = None,
        **images_kwargs: Any,
    ) -> BatchFeature:
        """
        Prepares a batch.

        Args:
            images (`ImageInput`, *optional*):
                One image or a list: PIL images of any mode, file paths, arrays or tensors.
            words (`Sequence[str]` or `Sequence[Sequence[str]]`, *optional*):
                The list of words of one image, or a list of such lists, one for each image. A list may be empty: that
                row of `attention_mask` is all 0. Repeated words count once; unknown ones share one `[UNK]`.
            return_tensors (`str`, *optional*):
                `"pt"` for tensors, `"np"` for arrays; lists by default.
            images_kwargs (`dict`, *optional*):
                Settings of the image processor for this call.

        Returns:
            `BatchFeature`: `pixel_values` [B, 3, H, W] if there are images; `input_ids` and `attention_mask` [B, L] if
            there are words, padded to the longest list, L >= 1.

        Raises:
            TypeError: where `words` holds something else than strings, or a string stands in place of a list.
            ValueError: without any input, for an empty list of images, or unequal numbers of images and word lists.
        """
        if images is None and words is None:
            raise ValueError("Nothing to process: pass `images`, and `words` as well for training.")
        data: dict[str, Any] = {}
        if images is not None:
            data.update(self.image_processor(images=images, return_tensors=return_tensors, **images_kwargs))
        if words is not None:
            word_lists = _as_word_lists(words)
            if images is not None and len(word_lists) != len(data["pixel_values"]):
                raise ValueError(
                    f"Got {len(data['pixel_values'])} image(s) but {len(word_lists)} list(s) of words; pass one list "
                    "of words for each image (an empty list where an image has none)."
                )
            data.update(self.encode_words(word_lists))
        return BatchFeature(data, tensor_type=return_tensors)

    def encode_words(self, word_lists: Sequence[Sequence[str]]) -> dict[str, list[list[int]]]:
        """
        Looks up the token ids of word lists and pads them to the longest.

        Args:
            word_lists (`Sequence[Sequence[str]]`): the words of each sample.

        Returns:
            `dict[str, list[list[int]]]`: `input_ids` and `attention_mask`, each [B, L] with L >= 1.

        Raises:
            TypeError: where a sample's words are not a list of strings.
        """
        return encode_word_lists(self.tokenizer, word_lists, self.max_words_per_image)

    def decode_words(self, input_ids: torch.Tensor | np.ndarray | Sequence[Any]) -> list[Any]:
        """
        Gives the words of token ids; padding and unknown words are left out.

        Args:
            input_ids (`torch.Tensor`, `np.ndarray` or `Sequence`): token ids [B, L], or [L] for one sample.

        Returns:
            `list[list[str]]`: the words of each sample; `list[str]` for one sample.
        """
        ids = torch.as_tensor(input_ids, dtype=torch.long)
        if ids.ndim == 1:
            return self.tokenizer.convert_ids_to_tokens(ids.tolist(), skip_special_tokens=True)
        return [self.decode_words(row) for row in ids]

    def top_words(self, word_scores: torch.Tensor | np.ndarray, k: int = 5) -> list[Any]:
        """
        Gives the words that a model finds in an image, the best first.

        Args:
            word_scores (`torch.Tensor` or `np.ndarray`):
                Scores or logits [B, W], or [W] for one image, over the words without the special tokens.
            k (`int`, *optional*, defaults to 5):
                How many words, at most W.

        Returns:
            `list[list[str]]`: the k words of each image; `list[str]` for one image.

        Raises:
            ValueError: where W is not the tokenizer's number of words.
        """
        scores = torch.as_tensor(word_scores)
        words = num_words(self.tokenizer)
        if scores.shape[-1] != words:
            raise ValueError(f"`word_scores` must have {words} columns, one a word, got {tuple(scores.shape)}.")
        first_word_id = len(self.tokenizer) - words
        return self.decode_words(scores.topk(min(k, words)).indices + first_word_id)


def _as_word_lists(words: Any) -> list[Sequence[str]]:
    """A list of strings is the words of one image; anything else must be a list of such lists."""
    if isinstance(words, str):
        raise TypeError(f"`words` must be a list of words, got the string {words!r}; pass [{words!r}].")
    return [words] if all(isinstance(word, str) for word in words) else list(words)
