"""Class semantics: what the names of the classes mean, as a matrix `[C, m]` (W in CPRFL)."""

import difflib
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .text_encoder import DEFAULT_TEMPLATES, ClipTextEncoder, resolve_text_config
from .text_packages import import_text_package, packaged_sentence_encoder
from .word_vectors import class_word_vectors, word_vectors_size


SEMANTICS = ("random", "glove", "word2vec", "sentence", "clip")
_OF_WORDS = ("glove", "word2vec")
_DEFAULT_CLIP = "openai/clip-vit-base-patch16"


def split_semantics(semantics: str) -> tuple[str, str | None]:
    """Takes apart what names class semantics.

    Args:
        semantics (`str`): one of
            - `"random"`: none; of the width that one wants.
            - `"glove"`, GloVe 6B of width 50 from the pip package of the `text` extra; `"glove:<file>"`.
            - `"word2vec:<file>"`, in word2vec's text or binary format.
            - `"sentence"`, all-MiniLM-L6-v2 from the pip package of the `text` extra;
              `"sentence:<model id or folder>"` of a sentence-transformers model.
            - `"clip"`, openai/clip-vit-base-patch16; `"clip:<model id or folder>"` of a CLIP.

    Returns:
        `tuple[str, str | None]`: the kind, one of `SEMANTICS`, and its source; `None` for what the `text` extra holds
        and for `"random"`.

    Raises:
        ValueError: for an unknown kind, or a source that is missing or has no meaning.

    Example:

    ```python
    >>> from xmodal_lt.modeling.class_semantics import split_semantics
    >>> split_semantics("glove:vectors/glove.6B.300d.txt")
    ('glove', 'vectors/glove.6B.300d.txt')
    >>> split_semantics("clip")
    ('clip', 'openai/clip-vit-base-patch16')

    ```
    """
    kind, colon, source = semantics.partition(":")
    if kind not in SEMANTICS:
        close = difflib.get_close_matches(kind, SEMANTICS, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ValueError(
            f"Unknown class semantics {semantics!r}; expected one of {', '.join(SEMANTICS)}, with ':<source>' for "
            f"another source.{hint}"
        )
    if colon and (kind == "random" or not source):
        raise ValueError(
            f"Class semantics {semantics!r}: "
            + ("'random' takes no source." if kind == "random" else f"nothing after '{kind}:'; name its source.")
        )
    if kind == "word2vec" and not source:
        raise ValueError("Class semantics 'word2vec' need their file; write 'word2vec:<file>'.")
    return kind, source or (_DEFAULT_CLIP if kind == "clip" else None)


def semantics_size(semantics: str) -> int | None:
    """The width m of class semantics, before any class is encoded.

    Args:
        semantics (`str`): see [`split_semantics`].

    Returns:
        `int` or `None`: `None` for `"random"`, which has the width that one wants.

    Raises:
        ValueError: for unknown semantics, or a source of another kind.
        FileNotFoundError: when there is no such source.
        ImportError: when the `text` extra is needed and absent.
    """
    kind, source = split_semantics(semantics)
    if kind in _OF_WORDS:
        return word_vectors_size(source)
    if kind == "sentence":
        return _load_sentence_encoder(source).get_embedding_dimension()
    return resolve_text_config(str(source))["projection_dim"] if kind == "clip" else None


def encode_classes(names: Sequence[str], semantics: str, templates: Sequence[str] | None = None) -> Tensor:
    """Encodes class names.

    Args:
        names (`Sequence[str]`): names of the C classes.
        semantics (`str`): see [`split_semantics`]; not `"random"`.
        templates (`Sequence[str]`, *optional*, defaults to `DEFAULT_TEMPLATES`):
            Sentences with "{}" for the name, whose embeddings are averaged; for `"sentence"` and `"clip"` alone.

    Returns:
        `Tensor`: float32 `[C, m]`, on the CPU: the mean word vectors, the sentence embeddings as their encoder
        normalises them, or CLIP's text embeddings, not normalised.

    Raises:
        ValueError: for unknown semantics, random ones, or a source of another kind; for blank names; for templates
            where words have vectors; for classes none of whose words has a vector.
        FileNotFoundError: when there is no such source.
        ImportError: when the `text` extra is needed and absent.

    Example:

    ```python
    >>> from xmodal_lt.modeling.class_semantics import encode_classes
    >>> encode_classes(["traffic light", "dog"], "glove").shape
    torch.Size([2, 50])

    ```
    """
    kind, source = split_semantics(semantics)
    if kind == "random":
        raise ValueError("Class semantics 'random' encode no names; take another kind, or draw them as you want them.")
    if not names or not all(name.strip(" _") for name in names):
        raise ValueError(f"Class semantics need a name for each class, got {list(names)}.")
    if kind in _OF_WORDS:
        if templates is not None:
            raise ValueError(f"Templates belong to 'sentence' and 'clip'; leave them out for {semantics!r}.")
        return class_word_vectors(names, source)
    prompts = class_prompts(names, DEFAULT_TEMPLATES if templates is None else templates)
    with torch.no_grad():
        embeddings = _encode_sentences(prompts, source) if kind == "sentence" else _encode_clip(prompts, str(source))
    return embeddings.float()


def class_prompts(names: Sequence[str], templates: Sequence[str]) -> list[list[str]]:
    """Puts each class name into each template.

    Args:
        names (`Sequence[str]`): names of the C classes; "_" stands for a space.
        templates (`Sequence[str]`): T sentences, with "{}" once for the name.

    Returns:
        `list[list[str]]`: T prompts of each class.

    Raises:
        ValueError: without templates, or for one that does not have "{}" exactly once.

    Example:

    ```python
    >>> from xmodal_lt.modeling.class_semantics import class_prompts
    >>> class_prompts(["traffic_light"], ["a photo of a {}.", "a drawing of a {}."])
    [['a photo of a traffic light.', 'a drawing of a traffic light.']]

    ```
    """
    if not templates:
        raise ValueError("Prompts need at least one template, such as 'a photo of a {}.'.")
    for template in templates:
        if template.count("{}") != 1:
            raise ValueError(
                f"Template {template!r} must have '{{}}' exactly once, where the class name goes, as in 'a photo of a "
                "{}.'."
            )
    return [[template.replace("{}", name.replace("_", " ")) for template in templates] for name in names]


def _load_sentence_encoder(source: str | None) -> Any:
    library = import_text_package("sentence_transformers")
    if source is not None:
        try:
            return library.SentenceTransformer(source, device="cpu")
        except (OSError, ValueError) as error:
            raise FileNotFoundError(
                f"No sentence encoder {source!r}: it is neither the folder of a sentence-transformers model nor a "
                f"model id that the Hub gives. {error}"
            ) from error
    return library.SentenceTransformer(str(packaged_sentence_encoder()), device="cpu", local_files_only=True)


def _encode_sentences(prompts: list[list[str]], source: str | None) -> Tensor:
    sentences = [prompt for row in prompts for prompt in row]
    encoder = _load_sentence_encoder(source)
    embeddings = encoder.encode(sentences, convert_to_tensor=True, show_progress_bar=False)
    return embeddings.unflatten(0, (len(prompts), -1)).mean(dim=1)


def _encode_clip(prompts: list[list[str]], source: str) -> Tensor:
    config = resolve_text_config(source)
    with torch.random.fork_rng(devices=[]):  # the random weights that are replaced at once
        encoder = ClipTextEncoder(config, len(prompts), len(prompts[0])).eval()
    encoder.set_prompts(source, prompts)
    encoder.load_pretrained(source)
    return encoder()


__all__ = ["SEMANTICS", "class_prompts", "encode_classes", "semantics_size", "split_semantics"]
