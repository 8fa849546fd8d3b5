"""Prompts: sentences made of the name of a class and a template."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path


__all__ = ["PROMPT_TEMPLATES", "fill_templates", "read_templates"]

_WORDNET_ID = re.compile(r" \(n\d{8}\)$")
_MEDIA = ("photo", "picture", "drawing", "sketch", "painting", "poster")
_QUALITIES = ("", "sharp ", "hazy ", "dim ", "colourful ", "pale ", "careful ", "hasty ")

# 60 of our own. VL-LTR's paper takes the 80 of CLIP's release, which a file can hold.
PROMPT_TEMPLATES = (
    *(f"a {quality}{medium} of a {{}}." for medium in _MEDIA for quality in _QUALITIES),
    *(f"a {medium} that shows the {{}}." for medium in _MEDIA),
    *(f"{{}}, as seen in a {medium}." for medium in _MEDIA),
)


def read_templates(templates: Sequence[str] | str | Path) -> tuple[str, ...]:
    """
    Read and check templates.

    Args:
        templates (`Sequence[str]`, or `str` or `pathlib.Path`):
            Sentences with "{}" once, where the name of a class goes; or a text file with one a line.

    Returns:
        `tuple[str, ...]`: Distinct templates in their order.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a template does not have "{}" exactly once, or a file has none.

    Example:

    ```python
    >>> from xmodal_lt.data.prompt_templates import read_templates

    >>> read_templates(["a photo of a {}.", "a drawing of a {}."])
    ('a photo of a {}.', 'a drawing of a {}.')
    ```
    """
    if isinstance(templates, str | Path):
        templates = _read_lines(Path(templates).expanduser())
    for template in templates:
        if template.count("{}") != 1:
            raise ValueError(
                f"template {template!r} must have '{{}}' exactly once, where the name of the class goes, as in "
                "'a photo of a {}.'"
            )
    return tuple(dict.fromkeys(templates))


def fill_templates(class_names: Sequence[str], templates: Sequence[str]) -> list[list[str]]:
    """
    Put the name of each class into each template.

    Args:
        class_names (`Sequence[str]`):
            Names of the C classes. "_" and "/" in them stand for blanks; the WordNet id behind a name that ImageNet
            has twice, "crane (n02012849)", is left out.
        templates (`Sequence[str]`):
            T templates, as [`read_templates`] gives them.

    Returns:
        `list[list[str]]`: T prompts of each class.

    Raises:
        ValueError: If a name is blank, or there are none.

    Example:

    ```python
    >>> from xmodal_lt.data.prompt_templates import fill_templates

    >>> fill_templates(["traffic_light"], ["a photo of a {}.", "a drawing of a {}."])
    [['a photo of a traffic light.', 'a drawing of a traffic light.']]
    ```
    """
    names = [" ".join(_WORDNET_ID.sub("", name).replace("_", " ").replace("/", " ").split()) for name in class_names]
    if not names:
        raise ValueError("expected the names of the classes, got none")
    if "" in names:
        row = names.index("")
        raise ValueError(f"class {row} has a blank name, {class_names[row]!r}. Name every class")
    return [[template.replace("{}", name) for template in templates] for name in names]


def _read_lines(file: Path) -> list[str]:
    if not file.is_file():
        raise FileNotFoundError(
            f"there is no file {file} of templates. Pass a text file with a template a line, such as "
            "'a photo of a {}.', or a list of templates"
        )
    lines = [line.strip() for line in file.read_text(encoding="utf-8-sig").split("\n") if line.strip()]
    if not lines:
        raise ValueError(f"{file} has no template. Write one a line, such as 'a photo of a {{}}.'")
    return lines
