"""
The text corpus of VL-LTR: sentences that describe each class, as prompts, from articles, or from training samples.

Source: Tian et al., "VL-LTR: Learning Class-wise Visual-Linguistic Representation for Long-Tailed Visual
Recognition", ECCV 2022, section 4.1.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import datasets

from .messages import some_of
from .prompt_templates import PROMPT_TEMPLATES, fill_templates, read_templates
from .sentence_table import read_sentence_table
from .training_sentences import training_sentences
from .wiki_text import DROPPED_SECTIONS, read_articles


__all__ = ["ClassCorpus", "build_corpus"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ClassCorpus:
    """
    Sentences on each class. Make one with [`build_corpus`].

    Args:
        class_names (`tuple[str, ...]`):
            Names of the C classes, as they were given.
        sentences (`tuple[tuple[str, ...], ...]`):
            At least one sentence of each class, prompts first.
        num_prompts (`int`, *optional*, defaults to 0):
            How many of the first sentences of each class are prompts.

    Raises:
        ValueError: If there is not one tuple of sentences for each class, a class has no sentence, or fewer than
            `num_prompts`.

    Example:

    ```python
    >>> from xmodal_lt.data import ClassCorpus

    >>> corpus = ClassCorpus(("cat", "dog"), (("a drawing of a cat.", "It purrs."), ("a drawing of a dog.",)), 1)
    >>> len(corpus), corpus.num_sentences, corpus.prompts(0)
    (2, 3, ('a drawing of a cat.',))
    >>> corpus.pick(0, seed=1) in corpus.sentences[0]
    True
    ```
    """

    class_names: tuple[str, ...]
    sentences: tuple[tuple[str, ...], ...]
    num_prompts: int = 0

    def __post_init__(self) -> None:
        if len(self.sentences) != len(self.class_names):
            raise ValueError(
                f"expected the sentences of {len(self.class_names)} classes, got those of {len(self.sentences)}"
            )
        least = max(self.num_prompts, 1)
        short = [name for name, own in zip(self.class_names, self.sentences, strict=True) if len(own) < least]
        if short:
            lack = "no sentence" if least == 1 else f"fewer than {least} sentences"
            raise ValueError(
                f"{len(short)} of {len(self)} classes have {lack}: {some_of(short)}. Add text on them, or templates, "
                "which give every class a prompt"
            )

    def __len__(self) -> int:
        """Number of classes, C."""
        return len(self.class_names)

    @property
    def num_sentences(self) -> int:
        """Number of sentences of all classes."""
        return sum(map(len, self.sentences))

    def prompts(self, class_id: int) -> tuple[str, ...]:
        """
        The prompts of a class.

        Args:
            class_id (`int`):
                From 0 to C - 1.

        Returns:
            `tuple[str, ...]`: `num_prompts` sentences.
        """
        return self.sentences[class_id][: self.num_prompts]

    def pick(self, class_id: int, seed: int) -> str:
        """
        Pick a sentence of a class. Over the seeds each is as likely as the others.

        Args:
            class_id (`int`):
                From 0 to C - 1.
            seed (`int`):
                Decides alone, in any process and on any machine, and takes nothing from a generator.

        Returns:
            `str`
        """
        own = self.sentences[class_id]
        # A hash, as it is as good for seeds in a row, and cheaper than a generator made anew for each sample.
        digest = hashlib.blake2b(str(int(seed)).encode(), digest_size=8).digest()
        return own[int.from_bytes(digest, "big") % len(own)]


def build_corpus(
    class_names: Sequence[str],
    source: str | Path | None = None,
    templates: Sequence[str] | str | Path = PROMPT_TEMPLATES,
    rows: datasets.Dataset | None = None,
    columns: str | Sequence[str] = ("words",),
    max_sentences: int | None = None,
    drop_sections: Collection[str] = DROPPED_SECTIONS,
) -> ClassCorpus:
    """
    Make the corpus of classes: prompts first, then the sentences of a source.

    Every sentence is on one line and has a letter, and no class has a sentence of the source twice. They are cut to
    what a text encoder takes where they become tokens, not here.

    Args:
        class_names (`Sequence[str]`):
            Names of the C classes, in the order of their ids. In prompts, "_" and "/" in them become blanks.
        source (`str` or `pathlib.Path`, *optional*):
            Where sentences beside the prompts come from:

            - a folder of articles in the files of VL-LTR's release, `desc_{id}.txt`, see
              [`~xmodal_lt.data.wiki_text.read_articles`];
            - a csv, jsonl, json or parquet file with the columns `class` and `sentence`, see
              [`~xmodal_lt.data.sentence_table.read_sentence_table`];
            - `"train"` for the `columns` of the training split, see
              [`~xmodal_lt.data.training_sentences.training_sentences`]; a folder of that name is `"./train"`.
        templates (`Sequence[str]`, or `str` or `pathlib.Path`, *optional*, defaults to `PROMPT_TEMPLATES`):
            Sentences with "{}" once for the name, or a file with one a line. May be empty if there is a source.
        rows (`datasets.Dataset`, *optional*):
            The training split, for `source="train"`. Never pass another one: its text is what prediction must do
            without.
        columns (`str` or `Sequence[str]`, *optional*, defaults to `("words",)`):
            Columns of text or of lists of words, for `source="train"`.
        max_sentences (`int`, *optional*):
            Keeps the first ones of each class, prompts included. All when absent.
        drop_sections (`Collection[str]`, *optional*, defaults to `DROPPED_SECTIONS`):
            Titles of the sections of articles that are left out.

    Returns:
        [`ClassCorpus`]: A class on which the source has nothing keeps its prompts alone, with a warning.

    Raises:
        FileNotFoundError: If there is nothing at `source` or at the path of templates, or a folder has no articles.
        ValueError: If a name is blank; a template lacks "{}"; there are neither templates nor a source; a class has
            no sentence at all; `max_sentences` leaves no room for the source; or the source does not fit the classes.
        TypeError: If `rows` is not one split, or columns hold something else than text.

    Example:

    ```python
    >>> from pathlib import Path

    >>> from xmodal_lt.data import build_corpus

    >>> folder = Path("articles")
    >>> folder.mkdir()
    >>> _ = (folder / "desc_0.txt").write_text("The tabby cat has stripes. It purrs.\\n== References ==\\nCats, 1990.")
    >>> _ = (folder / "desc_1.txt").write_text("A pug is a small dog.")
    >>> corpus = build_corpus(["tabby_cat", "pug"], folder, templates=["a photo of a {}."])
    >>> corpus.sentences[0]
    ('a photo of a tabby cat.', 'The tabby cat has stripes.', 'It purrs.')
    ```
    """
    names = tuple(class_names)
    prompts = fill_templates(names, read_templates(templates))
    num_prompts = len(prompts[0])
    if source is None and not num_prompts:
        raise ValueError("a corpus needs templates, such as 'a photo of a {}.', a source of sentences, or both")
    if max_sentences is not None and max_sentences < 1:
        raise ValueError(f"max_sentences must be at least 1, got {max_sentences}")
    if source is not None and max_sentences is not None and max_sentences <= num_prompts:
        raise ValueError(
            f"max_sentences={max_sentences} leaves no room for sentences of {source} behind {num_prompts} prompts a "
            "class. Raise it, or pass fewer templates"
        )
    texts = [[] for _ in names] if source is None else _read_source(names, source, rows, columns, drop_sections)
    if source is not None:
        _warn_of_classes_without_text(names, texts, source)
    kept = tuple(
        (*own_prompts, *(text for text in dict.fromkeys(own_texts) if text not in own_prompts))[:max_sentences]
        for own_prompts, own_texts in zip(prompts, texts, strict=True)
    )
    return ClassCorpus(names, kept, num_prompts if max_sentences is None else min(num_prompts, max_sentences))


def _read_source(
    names: tuple[str, ...],
    source: str | Path,
    rows: datasets.Dataset | None,
    columns: str | Sequence[str],
    drop_sections: Collection[str],
) -> list[list[str]]:
    if source == "train":
        if rows is None:
            raise ValueError("source='train' needs `rows`, the training split whose texts become sentences")
        return training_sentences(rows, names, [columns] if isinstance(columns, str) else columns)
    path = Path(source).expanduser().absolute()
    if not path.exists():
        raise FileNotFoundError(
            f"there is no file or folder {path}. A source is a folder of articles desc_0.txt, desc_1.txt, …, a table "
            "(.csv, .jsonl or .parquet) with the columns 'class' and 'sentence', or 'train'"
        )
    if path.is_dir():
        return read_articles(path, len(names), drop_sections)
    return read_sentence_table(path, names)


def _warn_of_classes_without_text(names: tuple[str, ...], texts: list[list[str]], source: str | Path) -> None:
    without = [name for name, text in zip(names, texts, strict=True) if not text]
    if without:
        logger.warning(
            "%d of %d classes have no sentence in %s, and their prompts alone: %s",
            len(without),
            len(names),
            source,
            some_of(without, limit=5),
        )
