"""Fonts for what matplotlib's own font has no glyphs of, such as Chinese, Japanese and Korean names of classes."""

from __future__ import annotations

import logging
from collections.abc import Iterable

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font
from matplotlib.text import Text

from ..data.messages import some_of


__all__ = ["add_fonts", "characters_without_font"]

logger = logging.getLogger(__name__)

_BOXES_ALONE = "Last Resort"  # comes with matplotlib, and has a box for every character


def characters_without_font(texts: Iterable[str]) -> set[str]:
    """
    Find characters that cannot be drawn.

    Args:
        texts (`Iterable[str]`):
            What shall be drawn.

    Returns:
        `set[str]`: Those of them that no font on this machine has.
    """
    missing = _missing("".join(texts), mpl.rcParams["font.family"])
    return missing - _cover(missing)[1]


def add_fonts(fig: Figure) -> None:
    """
    Let the texts of a figure use other fonts on this machine for characters that theirs lack. A warning says which
    characters no font has.

    Args:
        fig (`matplotlib.figure.Figure`):
            The figure.
    """
    missing = {text: _missing(text.get_text(), text.get_fontfamily()) for text in fig.findobj(Text)}
    everything = set[str]().union(*missing.values())
    families, found = _cover(everything)
    for text, own in missing.items():
        if own & found:
            text.set_fontfamily([*text.get_fontfamily(), *families])
    if everything - found:
        logger.warning(
            "No font on this machine has %s: a figure shows boxes. Install a font that has them, such as one of Noto.",
            some_of(sorted(everything - found)),
        )


def _missing(text: str, families: list[str]) -> set[str]:
    """Characters that none of the families has."""
    missing = set() if text.isascii() else {one for one in text if not one.isspace()}
    for family in families if missing else ():
        missing -= _glyphs(findfont(FontProperties(family=[family])), missing)
    return missing


def _cover(missing: set[str]) -> tuple[list[str], set[str]]:
    """The fewest families, about, that have the characters, and those that they have."""
    covered: dict[str, set[str]] = {}
    for font in fontManager.ttflist if missing else ():
        if font.style == "normal" and font.name not in covered and not font.name.startswith(_BOXES_ALONE):
            covered[font.name] = _glyphs(font.fname, missing)
            if covered[font.name] == missing:
                return [font.name], missing
    families, found = [], set[str]()
    while covered:
        best = max(covered, key=lambda name: len(covered[name] - found))
        if not covered[best] - found:
            break
        families.append(best)
        found |= covered[best]
    return families, found


def _glyphs(file: str, characters: set[str]) -> set[str]:
    try:
        font = get_font(file)
    except (OSError, RuntimeError):  # removed since, or broken
        return set()
    # Fonts of pictures alone, as some of emoji, cannot be scaled, and matplotlib cannot draw them.
    return {one for one in characters if font.get_char_index(ord(one))} if font.scalable else set()
