"""Fills the pages of the site: with sections of the files in the repository's root, and with what the package knows of
its data sets.

A page says `<!-- include: README.md # Your own data -->`, or `<!-- include: CHANGELOG.md -->` for a whole file, and
`<!-- data sets -->`.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from xmodal_lt.data import dataset_spec, list_datasets, missing_files
from xmodal_lt.data.registry import DatasetSpec


_ROOT = Path(__file__).parents[2]
_INCLUDE = re.compile(r"^<!-- include: (?P<file>\S+?)(?: # (?P<heading>.+?))? -->$", re.MULTILINE)
_DATA_SETS = "<!-- data sets -->"
_FENCE = re.compile(r"^(```|~~~)")
_CODE = re.compile(r"(`[^`]*`)")
_BOUNDARIES = {
    "decoupling": "above the upper threshold, below the lower one",
    "multilabel": "from the upper threshold on, below the lower one",
    "vl_ltr": "from the upper threshold on, up to the lower one",
}


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Called by MkDocs for each page."""
    markdown = _INCLUDE.sub(lambda found: section(_ROOT / found["file"], found["heading"]), markdown)
    if _DATA_SETS in markdown:
        markdown = markdown.replace(_DATA_SETS, "\n\n".join(map(_data_set, list_datasets())))
    return markdown


def section(file: Path, heading: str | None) -> str:
    """
    Read a file, or what stands under one of its headings.

    Args:
        file (`pathlib.Path`):
            A Markdown file.
        heading (`str`, *optional*):
            The heading, without its `#`.

    Returns:
        `str`: The text, without the heading; as far as the next one of the same or a higher level.

    Raises:
        ValueError: If there is no such heading, or nothing under it.
    """
    text = file.read_text(encoding="utf-8")
    if heading is None:
        return text
    lines = text.splitlines()
    headings = {number: level for number, level, _ in _headings(lines)}
    start = next((number for number, _, title in _headings(lines) if title == heading), None)
    if start is None:
        raise ValueError(f"{file.name} has no heading {heading!r}.")
    end = next((number for number, level in headings.items() if number > start and level <= headings[start]), None)
    return "\n".join(lines[start + 1 : end]).strip()


def _headings(lines: list[str]) -> Iterator[tuple[int, int, str]]:
    """Line, level and title of each heading; `#` in code is none."""
    in_code = False
    for number, line in enumerate(lines):
        in_code ^= bool(_FENCE.match(line))
        if not in_code and (found := re.match(r"(#+) (.+)", line)):
            yield number, len(found[1]), found[2]


@cache
def _data_set(name: str) -> str:
    """What the package knows of a data set, as Markdown."""
    spec = dataset_spec(name)
    config = spec.builder.BUILDER_CONFIG_CLASS
    return "\n\n".join(
        part
        for part in (
            f"## {name}",
            _description(spec),
            _files(name),
            _published(spec),
            _reference(spec.builder),
            _reference(config),
        )
        if part
    )


def _description(spec: DatasetSpec) -> str:
    several = spec.problem_type == "multi_label_classification"
    rows = {
        "labels": "several an image" if several else "one an image or video",
        "licence and access": _escaped(spec.access),
        "may everyone pass its images on?": "yes" if spec.redistribution else "no",
        "head and tail": f"{spec.head} and {spec.tail} training samples: {_BOUNDARIES[spec.boundaries]}",
        "home page": f"<{spec.homepage}>",
    }
    return "\n".join(["| | |", "| --- | --- |", *(f"| {key} | {value} |" for key, value in rows.items())])


def _files(name: str) -> str:
    """The files in `data_dir`; those of pip packages have none."""
    files = missing_files(name)
    if not files:
        return ""
    rows = [
        f"| `{file.names}` | {'no' if file.optional else 'yes'} | Get {_escaped(file.published)} |" for file in files
    ]
    return "\n".join(["| in `data_dir` | needed | |", "| --- | --- | --- |", *rows])


def _published(spec: DatasetSpec) -> str:
    rows = [
        f"| {fact.quantity.replace('_', ' ')} | {fact.value:,} | {fact.source} | "
        f"{', '.join(f'`{option}`' for option in fact.varies_with)} |"
        for fact in spec.facts
    ]
    return "\n".join(["| number | | source | other with |", "| --- | --- | --- | --- |", *rows])


def _escaped(text: str) -> str:
    """Text in which `<name>`, but in code, is no tag."""
    return "".join(part if part.startswith("`") else html.escape(part, quote=False) for part in _CODE.split(text))


def _reference(described: type) -> str:
    return f"::: {described.__module__}.{described.__qualname__}\n    options: {{heading_level: 3, members: false}}"
