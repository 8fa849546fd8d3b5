"""The multi-label variant of Emoji-LT: what can be seen in an emoji, with the rest of its words privileged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

import datasets

from . import emoji_keywords
from .emoji_builder import EmojiBuilder
from .emoji_keywords import LABELS, labelled_emoji, labels_of, other_words_of
from .emoji_source import Emoji


__all__ = ["EmojiLTMultilabel"]


class EmojiLTMultilabel(EmojiBuilder):
    """
    Builder of the multi-label variant of Emoji-LT, a set with privileged words.

    Columns: `image` (RGB, 72 by 72), `words` (list of strings: describing words that are no labels), `labels` (what
    can be seen: `"face"`, `"cat"`, `"red"`), `image_id` (`"twemoji/1f600"`), `name` (`"grinning cat"`, privileged as
    the words are; it may hold labels). Of 1,898 emoji, the 529 without a label ("pizza slice") and the 32 without
    another word ("red heart") are left out. The 99 labels are from 273 emoji down to five, 1.3 an image, and in
    training 4 of them are head, 24 medium and 71 tail.

    The split is by emoji, about 70/10/20, stratified by each emoji's rarest label: every label is in train and test.
    An emoji is in one split in all its styles, and emoji whose drawings are the same picture share a split.

    Example:

    ```python
    >>> from xmodal_lt.data import load_lt

    >>> emoji = load_lt("emoji-lt-multilabel")
    >>> emoji["train"].features["labels"].feature.num_classes
    99
    ```
    """

    about = (
        "Drawings of emoji in two styles. The labels are what can be seen in a drawing: 99 frequent words of the "
        "emoji's descriptions, from 273 emoji down to five. The words are the rest of the description."
    )
    code = (__file__, emoji_keywords.__file__)

    def _emoji(self) -> tuple[Emoji, ...]:
        return labelled_emoji()

    def _label_feature(self) -> dict[str, Any]:
        return {"labels": datasets.List(datasets.ClassLabel(names=list(LABELS)))}

    def _describe(self, emoji: Emoji) -> dict[str, Any]:
        return {"words": other_words_of(emoji), "labels": labels_of(emoji)}

    def _classes(self) -> dict[str, str]:
        return rarest_labels({emoji.code: labels_of(emoji) for emoji in self._emoji()})


def rarest_labels(labels: Mapping[str, Collection[str]]) -> dict[str, str]:
    """
    Find the class by which each emoji is split, so that rare labels too are in train and test.

    Args:
        labels (`Mapping[str, Collection[str]]`):
            Labels of each emoji, at least one, by its code.

    Returns:
        `dict[str, str]`: The rarest label of each emoji; the first by name of several that are as rare.
    """
    sizes = Counter(label for own in labels.values() for label in own)
    return {code: min(own, key=lambda label: (sizes[label], label)) for code, own in labels.items()}
