"""Emoji-LT: a naturally long-tailed set of drawings and words, made from pip packages without network."""

from __future__ import annotations

from typing import Any

import datasets

from .emoji_builder import EmojiBuilder
from .emoji_source import Emoji, read_emoji


__all__ = ["EmojiLT"]


class EmojiLT(EmojiBuilder):
    """
    Builder of Emoji-LT, a single-label set with privileged words.

    Columns: `image` (RGB, 72 by 72), `words` (list of strings), `label` (subcategory), `image_id`
    (`"twemoji/1f600"`), `name` (`"grinning face"`, privileged as the words are). The split is by emoji and
    stratified, about 70/10/20: an emoji is in one split in all its styles, and emoji whose drawings are the same
    picture (Norway's flag is also that of Svalbard) share a split.

    Example:

    ```python
    >>> from xmodal_lt.data import load_lt

    >>> emoji = load_lt("emoji-lt", background="black")
    >>> emoji["train"].features["label"].num_classes
    99
    ```
    """

    about = (
        "Drawings of emoji in two styles with the words that describe them. The label is the emoji's Unicode "
        "subcategory: 99 classes from 258 emoji down to one."
    )
    code = (__file__,)

    def _label_feature(self) -> dict[str, Any]:
        return {"label": datasets.ClassLabel(names=sorted({emoji.subcategory for emoji in read_emoji()}))}

    def _describe(self, emoji: Emoji) -> dict[str, Any]:
        return {"words": emoji.words, "label": emoji.subcategory}

    def _classes(self) -> dict[str, str]:
        return {emoji.code: emoji.subcategory for emoji in read_emoji()}
