"""Sentences on classes from a table of your own, a sentence a row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from .local import read_local
from .messages import did_you_mean, some_of
from .sentence_split import clean_text, has_letter
from .table import column_values


__all__ = ["read_sentence_table"]


def read_sentence_table(path: Path, class_names: Sequence[str]) -> list[list[str]]:
    """
    Read the sentences of every class from a table.

    Args:
        path (`pathlib.Path`):
            A csv, jsonl, json or parquet file with the columns `class`, the name of a class or else its id, and
            `sentence`. A class may have any number of rows.
        class_names (`Sequence[str]`):
            Names of the C classes.

    Returns:
        `list[list[str]]`: Sentences of each of the C classes in their order, cleaned but never split; without those
        that have no letter.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file cannot be read, a column is missing, a row has no class or one that is unknown, or
            its name is that of several classes.
        TypeError: If a sentence is no string.
    """
    rows = read_local(path)["train"]
    for column in ("class", "sentence"):
        if column not in rows.column_names:
            raise ValueError(
                f"{path} has no column {column!r}; its columns are {rows.column_names}. It needs 'class', the name or "
                "id of a class, and 'sentence'"
            )
    if rows.features["sentence"].dtype not in ("string", "large_string", "null"):
        raise TypeError(f"column 'sentence' of {path} must hold strings, got {rows.features['sentence']}")
    ids = _class_ids(column_values(rows, "class"), class_names, path)
    sentences: list[list[str]] = [[] for _ in class_names]
    for class_id, sentence in zip(ids, column_values(rows, "sentence"), strict=True):
        text = clean_text(sentence or "")
        if has_letter(text):
            sentences[class_id].append(text)
    return sentences


def _class_ids(values: Sequence[str | int | None], class_names: Sequence[str], path: Path) -> list[int]:
    if None in values:
        raise ValueError(f"row {values.index(None)} of {path} has no class")
    used = [str(value) for value in values]
    by_name = {name: class_id for class_id, name in enumerate(class_names)}
    known = {str(class_id): class_id for class_id in range(len(class_names))} | by_name  # a name goes before an id
    unknown = [name for name in dict.fromkeys(used) if name not in known]
    if unknown:
        raise ValueError(
            f"{path} has sentences on {len(unknown)} unknown classes: {some_of(unknown)}. The column 'class' must "
            f"hold names or ids of the {len(class_names)} classes.{did_you_mean(unknown[0], by_name)}"
        )
    shared = sorted({name for name, classes in Counter(class_names).items() if classes > 1}.intersection(used))
    if shared:
        raise ValueError(
            f"{path} has sentences on {some_of(shared)}, each the name of several classes. Write their ids instead"
        )
    return [known[name] for name in used]
