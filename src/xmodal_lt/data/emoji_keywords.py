"""
The labels of Emoji-LT's multi-label variant: describing words of emoji that name something one can see.

The list is made by hand. A word is in it if it describes at least five emoji, each of which has a word besides its
labels too, and if it names what is visible in a drawing: an object, animal, plant, part of the body, person, colour,
shape, posture or expression. Left out are

- what is not visible: abstract words and relations ("celebration", "no", "right", "zodiac", "music"), sizes, times,
- plurals and near-duplicates of a word that is in the list ("eyes", "smiling", "beverage", "mobile", "train"),
- words for things that share no look ("suit" of cards and for bathing, "rock" of stone and music, "video"),
- "boy", "girl" and "child", which mostly describe families, whose members Twemoji draws alike,
- "keycap", for which GloVe, of which methods make prompts of classes, has no vector, and
- words that are the only other word of a more frequent label's emoji ("kneeling", "pet"): as labels they would leave
  these emoji without words.
"""

from __future__ import annotations

from collections import Counter

from .emoji_source import Emoji, read_emoji
from .messages import some_of


__all__ = ["LABELS", "MIN_EMOJI", "labelled_emoji", "labels_of", "other_words_of"]

MIN_EMOJI = 5

_NAMES = """
angry arrow baby bag ball banknote bird black blue boat book box bubble building bunny button camera cane car card
cat circle clock clothing cloud computer couple cross dessert diamond dog drink ear eye face family finger fish
flag flower food fruit game glass grinning hair hand hat heart house ice insect instrument kiss leaf light lock
mail mailbox man medal money monster moon mountain mouth paper person phone plant pointing police railway rain red
rice running shoe smile snow square star stick sun sweat tear tool tree triangle vegetable vehicle walking water
weapon wheelchair white woman worker world
"""

LABELS = tuple(_NAMES.split())


def labels_of(emoji: Emoji) -> tuple[str, ...]:
    """
    Pick the words of an emoji that are labels.

    Args:
        emoji (`Emoji`):
            One of `read_emoji()`.

    Returns:
        `tuple[str, ...]`: In the order of `LABELS`; may be empty.
    """
    return tuple(label for label in LABELS if label in emoji.words)


def other_words_of(emoji: Emoji) -> tuple[str, ...]:
    """
    Pick the words of an emoji that are no labels.

    Args:
        emoji (`Emoji`):
            One of `read_emoji()`.

    Returns:
        `tuple[str, ...]`: In the emoji's order; may be empty.
    """
    return tuple(word for word in emoji.words if word not in LABELS)


def labelled_emoji() -> tuple[Emoji, ...]:
    """
    Read the emoji that have both a label and a word that is none.

    Returns:
        `tuple[Emoji, ...]`: 1,337 of 1,898, in Unicode's order. 529 have no label, 32 no other word.

    Raises:
        ImportError: If a package of the `emoji` extra is missing.
        ValueError: If a label describes fewer than `MIN_EMOJI` of them.
    """
    found = tuple(emoji for emoji in read_emoji() if labels_of(emoji) and other_words_of(emoji))
    sizes = Counter(label for emoji in found for label in labels_of(emoji))
    rare = [label for label in LABELS if sizes[label] < MIN_EMOJI]
    if rare:
        raise ValueError(
            f"{len(rare)} labels describe fewer than {MIN_EMOJI} emoji: {some_of(rare)}. Emoji and words are not "
            "those that the labels were chosen for. Install the versions that belong together: "
            '`pip install "xmodal-lt[emoji]"`'
        )
    return found
