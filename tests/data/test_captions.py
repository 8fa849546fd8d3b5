from __future__ import annotations

import pytest

from xmodal_lt.data import caption_words


def test_words_are_distinct_and_in_order_of_first_occurrence():
    captions = ["a dog chases a cat", "the cat runs", "dog and cat play"]
    assert caption_words(captions) == ["dog", "chases", "cat", "runs", "play"]


def test_words_are_in_lower_case_without_punctuation():
    assert caption_words(["Two MEN, (both tall) play ping-pong!"]) == ["two", "men", "tall", "play", "ping", "pong"]


def test_digits_and_letters_of_other_languages_belong_to_words():
    assert caption_words(["a 3d café_bar in München 2"]) == ["3d", "café", "bar", "münchen", "2"]


@pytest.mark.parametrize("caption", ["'a man's band'", "a man’s band"])  # noqa: RUF001
def test_only_apostrophes_inside_belong_to_words(caption):
    assert caption_words([caption]) == ["man's", "band"]


def test_a_letter_and_its_accent_are_one_however_they_are_written():
    assert caption_words(["a cafe\u0301", "a caf\u00e9"]) == ["caf\u00e9"]


def test_function_words_are_left_out():
    assert caption_words(["He is in the one that's on it", "and she DOES too"]) == []


def test_no_captions():
    assert caption_words([]) == []
