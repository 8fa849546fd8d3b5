"""From sentences that describe an image or a video to description words."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable


__all__ = ["caption_words"]

# Letters and digits, with apostrophes inside.
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
# Articles, pronouns, prepositions, conjunctions and auxiliary verbs: frequent in every caption, so they tell no class.
_FUNCTION_WORDS = frozenset(
    _WORD.findall(
        """
        a an the this that these those there here some any each every both all other another such same own
        i me my you your he him his she her hers it its we us our they them their theirs who whom whose which what one
        himself herself itself themselves someone something
        and or but nor so if then than as while when where because until
        of in on at by to from with without into onto over under up down out off about for after before between
        through during near around along across behind
        is are was were be been being am do does did doing done has have had having can could will would shall should
        may might must not no very just also too more most how
        it's he's she's that's there's they're who's isn't aren't doesn't don't
        """
    )
)


def caption_words(sentences: Iterable[str]) -> list[str]:
    """
    Collect the words of sentences that can describe something.

    Args:
        sentences (`Iterable[str]`):
            English sentences.

    Returns:
        `list[str]`: Distinct words in order of first occurrence, in lower case, made of letters and digits with
        apostrophes inside; without common function words ("the", "of", "is").

    Example:

    ```python
    >>> from xmodal_lt.data import caption_words

    >>> caption_words(["A man plays the drums.", "He is playing rock'n'roll drums on a stage"])
    ['man', 'plays', 'drums', 'playing', "rock'n'roll", 'stage']
    ```
    """
    words = (word for sentence in sentences for word in _WORD.findall(_plain(sentence)))
    return [word for word in dict.fromkeys(words) if word not in _FUNCTION_WORDS]


def _plain(sentence: str) -> str:
    # Letters with their accents as one, which would else end a word.
    return unicodedata.normalize("NFC", sentence).lower().replace("’", "'")  # noqa: RUF001
