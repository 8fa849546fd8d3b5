"""Articles of Wikipedia on classes, in the files of VL-LTR's release: a file `desc_{id}.txt` of plain text a class."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from .messages import some_of
from .sentence_split import split_sentences


__all__ = ["DROPPED_SECTIONS", "article_sentences", "read_articles"]

DROPPED_SECTIONS = ("External links", "References", "Further reading", "Bibliography")

_FILE_NAME = re.compile(r"desc_(\d+)\.txt")


def read_articles(
    folder: Path, num_classes: int, drop_sections: Collection[str] = DROPPED_SECTIONS
) -> list[list[str]]:
    """
    Read the sentences of every class from a folder of articles.

    Args:
        folder (`pathlib.Path`):
            The folder, with `desc_0.txt`, `desc_1.txt`, …: the number is the class id. Other files are not read.
        num_classes (`int`):
            Classes, C.
        drop_sections (`Collection[str]`, *optional*, defaults to `DROPPED_SECTIONS`):
            Titles of the sections that are left out, in any case.

    Returns:
        `list[list[str]]`: Sentences of each of the C classes in their order; none for a class without a file.

    Raises:
        FileNotFoundError: If the folder has no such file.
        ValueError: If there is a file of an id that no class has, or one is not UTF-8 text.
    """
    ids = sorted(int(found[1]) for file in folder.iterdir() if (found := _FILE_NAME.fullmatch(file.name)))
    if not ids:
        raise FileNotFoundError(
            f"{folder} has no article of a class: expected text files desc_0.txt to desc_{num_classes - 1}.txt, whose "
            "numbers are the class ids. A table of sentences goes as one .csv, .jsonl or .parquet file"
        )
    if ids[-1] >= num_classes:
        unknown = [f"desc_{number}.txt" for number in ids if number >= num_classes]
        raise ValueError(
            f"{folder} has {len(unknown)} articles of ids that none of the {num_classes} classes has: "
            f"{some_of(unknown, limit=5)}. Pass the folder that belongs to these classes"
        )
    articles = [folder / f"desc_{class_id}.txt" for class_id in range(num_classes)]
    return [article_sentences(_read(file), drop_sections) if file.is_file() else [] for file in articles]


def article_sentences(text: str, drop_sections: Collection[str] = DROPPED_SECTIONS) -> list[str]:
    """
    Read the sentences of an article.

    Args:
        text (`str`):
            The article, a paragraph on each line. A line that starts with "==" is the title of a section; with more
            of "=", of a section inside the one above.
        drop_sections (`Collection[str]`, *optional*, defaults to `DROPPED_SECTIONS`):
            Titles of the sections that are left out with all sections inside, in any case.

    Returns:
        `list[str]`: Sentences in their order, without titles.

    Example:

    ```python
    >>> from xmodal_lt.data.wiki_text import article_sentences

    >>> article_sentences("A tabby has stripes. It purrs.\\n== References ==\\nCats, 1990.\\n== Coat ==\\nIt is soft.")
    ['A tabby has stripes.', 'It purrs.', 'It is soft.']
    ```
    """
    dropped = {title.casefold() for title in drop_sections}
    dropped_level: int | None = None  # of the section that is being left out
    sentences = []
    for line in map(str.strip, text.split("\n")):
        if line.startswith("=="):
            level = len(line) - len(line.lstrip("="))
            if dropped_level is None or level <= dropped_level:
                dropped_level = level if line.strip("= ").casefold() in dropped else None
        elif dropped_level is None:
            sentences.extend(split_sentences(line))
    return sentences


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{file} is no UTF-8 text ({error.reason} at byte {error.start}). Save it as UTF-8"
        ) from error
