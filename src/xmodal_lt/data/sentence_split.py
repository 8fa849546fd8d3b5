"""Cleaning text and splitting it into sentences, by rules for English."""

from __future__ import annotations

import html
import re


__all__ = ["clean_text", "has_letter", "split_sentences"]

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# Soft hyphen, zero-width space, marks of direction, word joiner, byte order mark.
_INVISIBLE = re.compile("[\u00ad\u200b\u200e\u200f\u2060\ufeff]")

_OPENERS = "\"'([{«\N{LEFT DOUBLE QUOTATION MARK}\N{LEFT SINGLE QUOTATION MARK}"
_CLOSERS = "\"')]}»\N{RIGHT DOUBLE QUOTATION MARK}\N{RIGHT SINGLE QUOTATION MARK}"
# A full stop or the like before a blank, and the word behind it, whose own full stop tells "A. Smith" from "A dog".
_MAY_END = re.compile(
    rf"(?P<mark>[.!?…]+)[{re.escape(_CLOSERS)}]* (?=[{re.escape(_OPENERS)}]*(?P<following>[^\W_]+\.?))"
)
# "J", "U.S", "J.-P", "p.m", "Ph.D"
_INITIALS = re.compile(r"[^\W\d_]|[^\W\d_]{1,3}(?:\.-?[^\W\d_]{1,3})+")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_NEVER_LAST = _words("e.g i.e eg ie vs cf viz")
_BEFORE_NUMBERS = _words(
    """
    No no Nos nos Nr Fig fig Figs figs pp Ch ch Sec sec Eq eq ca approx est
    Jan Feb Mar Apr Jun Jul Aug Sep Sept Oct Nov Dec
    """
)
_SELDOM_LAST = _words(
    """
    Mr Mrs Ms Dr Prof Rev Hon St Ste Mt Ft Gen Col Maj Capt Lt Sgt Adm Gov Sen Rep Pres Fr Sr Jr Vol vol
    Inc Ltd Co Corp Bros Dept Univ Ave Blvd Rd etc al sp spp ssp subsp var cv Lat lit abbr
    """
)
# Words that start sentences and no names: behind an abbreviation they tell that it ended its sentence.
_STARTERS = _words(
    """
    A An The This That These Those It Its He His She Her They Their We Our You There Here One Some Many Most Other
    Others Several All Both Each Such In On At By For From With Without Of To As If When While Where Since After Before
    During Although Because But And Or However Also Today Then Thus
    """
)


def clean_text(text: str) -> str:
    """
    Clean a piece of text.

    Args:
        text (`str`):
            Any text.

    Returns:
        `str`: On one line, with HTML entities as the characters that they stand for, and one blank in place of all
        white space and control characters; without blanks around it, and without characters that cannot be seen.

    Example:

    ```python
    >>> from xmodal_lt.data.sentence_split import clean_text

    >>> clean_text(" cats &amp;\\tdogs ")
    'cats & dogs'
    ```
    """
    return " ".join(_INVISIBLE.sub("", _CONTROL.sub(" ", html.unescape(text))).split())


def has_letter(text: str) -> bool:
    """
    Tell a sentence from what is left of tables, numbering and formulas.

    Args:
        text (`str`):
            Any text.

    Returns:
        `bool`: Whether it has a letter of any alphabet.
    """
    return any(map(str.isalpha, text))


def split_sentences(text: str) -> list[str]:
    """
    Split a paragraph into its sentences, cleaned as by [`clean_text`].

    A sentence ends at a full stop, exclamation or question mark, with quotes and brackets that close behind it, if
    the next word is not in lower case. Not so at the full stop of initials and abbreviations ("U.S.", "Dr.", "e.g.",
    "No. 5"), unless that word is one that starts sentences ("in the U.S. The").

    Args:
        text (`str`):
            A paragraph in English. Line breaks in it are blanks.

    Returns:
        `list[str]`: Sentences in their order, without those that have no letter.

    Example:

    ```python
    >>> from xmodal_lt.data.sentence_split import split_sentences

    >>> split_sentences("Dr. Ng bred it in the U.S. in 1.5 years. It purrs (loudly!). 42.")
    ['Dr. Ng bred it in the U.S. in 1.5 years.', 'It purrs (loudly!).']
    ```
    """
    text = clean_text(text)
    ends = [match.end() for match in _MAY_END.finditer(text) if _ends_sentence(text, match)]
    parts = (text[start:end].rstrip() for start, end in zip([0, *ends], [*ends, len(text)], strict=True))
    return [part for part in parts if has_letter(part)]


def _ends_sentence(text: str, match: re.Match[str]) -> bool:
    following = match["following"]
    if following[0].islower():
        return False
    if match["mark"] != ".":
        return True
    word = text[text.rfind(" ", 0, match.start()) + 1 : match.start()].lstrip(_OPENERS)
    if word in _NEVER_LAST or (word in _BEFORE_NUMBERS and following[0].isdigit()):
        return False
    if word in _SELDOM_LAST or _INITIALS.fullmatch(word):
        return following in _STARTERS
    return True
