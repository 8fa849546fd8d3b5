"""A tokenizer whose tokens are whole description words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast


__all__ = ["PAD_TOKEN", "UNKNOWN_TOKEN", "build_word_tokenizer", "check_word_list", "encode_word_lists", "num_words"]

PAD_TOKEN = "[PAD]"
UNKNOWN_TOKEN = "[UNK]"
READ_BATCH = 1000


def build_word_tokenizer(
    dataset: Any, max_words: int | None = None, *, words_column: str = "words", min_frequency: int = 1
) -> PreTrainedTokenizerFast:
    """
    Builds the vocabulary of a training split: one token for each description word.

    Ids 0 and 1 are `[PAD]` and `[UNK]`; words follow, the one in most samples first, ties in alphabetical order. A
    word is taken as it is: upper and lower case are told apart, and it may hold spaces. Lower-case the words in the
    data set if they should be alike.

    Args:
        dataset (`datasets.Dataset`, `datasets.IterableDataset` or `Iterable[Sequence[str]]`):
            The training split, of which only `words_column` is read (images stay undecoded), or the word lists.
        max_words (`int`, *optional*):
            How many words to keep at most. All by default.
        words_column (`str`, *optional*, defaults to `"words"`):
            Name of the column with the list of words of a sample.
        min_frequency (`int`, *optional*, defaults to 1):
            In how many samples a word must be to be kept.

    Returns:
        `PreTrainedTokenizerFast`: encodes a sample's list of words by `tokenizer(words, is_split_into_words=True)`.

    Raises:
        TypeError: for a sample whose words are not a list of strings.
        ValueError: for `max_words` or `min_frequency` below 1, a missing column, a vocabulary without words, or a word
            that holds a special token.

    Example:

    ```python
    >>> from xmodal_lt.processing import build_word_tokenizer
    >>> tokenizer = build_word_tokenizer([["red", "fire engine"], ["red"]])
    >>> tokenizer(["fire engine", "red", "boat"], is_split_into_words=True)["input_ids"]
    [3, 2, 1]

    ```
    """
    for name, value in (("max_words", max_words), ("min_frequency", min_frequency)):
        if value is not None and value < 1:
            raise ValueError(f"`{name}` must be at least 1, got {value}.")
    frequencies = _count_words(_word_lists(dataset, words_column))
    kept = [word for word, frequency in frequencies.items() if frequency >= min_frequency]
    if not kept:
        raise ValueError(
            f"No word is in at least {min_frequency} sample(s), so the vocabulary would be empty ({len(frequencies)} "
            "different words found); check the words of the data set or lower `min_frequency`."
        )
    kept.sort(key=lambda word: (-frequencies[word], word))
    vocabulary = {token: index for index, token in enumerate([PAD_TOKEN, UNKNOWN_TOKEN, *kept[:max_words]])}
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(WordLevel(vocabulary, unk_token=UNKNOWN_TOKEN)),
        pad_token=PAD_TOKEN,
        unk_token=UNKNOWN_TOKEN,
        model_input_names=["input_ids", "attention_mask"],
    )


def num_words(tokenizer: PreTrainedTokenizerBase) -> int:
    """
    Counts the words of a word tokenizer, without its special tokens: the width W of the multi-hot S [B, W].

    Args:
        tokenizer (`PreTrainedTokenizerBase`): the tokenizer that [`build_word_tokenizer`] made.

    Returns:
        `int`: W. Word w has the token id `len(tokenizer) - W + w`, as the special tokens come first.
    """
    return len(tokenizer) - len(tokenizer.all_special_ids)


def encode_word_lists(
    tokenizer: PreTrainedTokenizerBase, word_lists: Sequence[Sequence[str]], max_words_per_sample: int | None = None
) -> dict[str, list[list[int]]]:
    """
    Looks up the token ids of word lists and pads them to the longest.

    Args:
        tokenizer (`PreTrainedTokenizerBase`): the tokenizer that [`build_word_tokenizer`] made.
        word_lists (`Sequence[Sequence[str]]`): the words of each sample.
        max_words_per_sample (`int`, *optional*): keeps the first so many different words of a sample.

    Returns:
        `dict[str, list[list[int]]]`: `input_ids` and `attention_mask`, each [B, L] with L >= 1.

    Raises:
        TypeError: where a sample's words are not a list of strings.
    """
    # A plain look-up: the tokenizer's own truncation and padding would stay behind in tokenizer.json.
    for position, words in enumerate(word_lists):
        check_word_list(words, position)
    ids = [
        list(dict.fromkeys(tokenizer.convert_tokens_to_ids(list(words))))[:max_words_per_sample]
        for words in word_lists
    ]
    length = max(1, *map(len, ids))
    return {
        "input_ids": [row + [tokenizer.pad_token_id] * (length - len(row)) for row in ids],
        "attention_mask": [[1] * len(row) + [0] * (length - len(row)) for row in ids],
    }


def check_word_list(words: Any, position: int) -> None:
    """Raises a `TypeError` where the words of the sample at `position` are not a list of strings."""
    if isinstance(words, str) or not isinstance(words, Iterable) or not all(isinstance(word, str) for word in words):
        raise TypeError(f"The words of sample {position} must be a list of strings, got {words!r}.")


def _word_lists(dataset: Any, words_column: str) -> Iterator[Sequence[str] | None]:
    if not hasattr(dataset, "select_columns"):
        yield from dataset
        return
    columns = dataset.column_names
    if columns is not None and words_column not in columns:
        raise ValueError(f"The data set has no column {words_column!r}, only {columns}; set `words_column`.")
    for batch in dataset.select_columns([words_column]).iter(batch_size=READ_BATCH):
        yield from batch[words_column]


def _count_words(word_lists: Iterable[Sequence[str] | None]) -> Counter[str]:
    frequencies: Counter[str] = Counter()
    for position, words in enumerate(word_lists):
        if words is not None:
            check_word_list(words, position)
            frequencies.update({word for word in words if word.strip()})
    for token in (PAD_TOKEN, UNKNOWN_TOKEN):
        holders = [word for word in frequencies if token in word]
        if holders:
            raise ValueError(f"The word {holders[0]!r} holds the special token {token}; remove it from the data.")
    return frequencies
