"""Runs the examples of the docstrings, and the Python blocks of README.md that follow a `<!-- test -->` comment."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
import shutil
from pathlib import Path
from types import CodeType

import pytest
from PIL import Image

import xmodal_lt


README = Path(__file__).parent.parent / "README.md"
MARKER = "<!-- test -->"
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(xmodal_lt.__path__, "xmodal_lt.")
    if not any(part.startswith("_") for part in module.name.split("."))
)
# Each draws the images of Emoji-LT; tests/data does so too, and checks more.
SLOW_EXAMPLES = (
    "xmodal_lt.data.registry.load_lt",
    "xmodal_lt.data.emoji_lt.EmojiLT",
    "xmodal_lt.data.emoji_lt_multilabel.EmojiLTMultilabel",
)


class FencedExamplesParser(doctest.DocTestParser):
    """Reads examples inside Markdown fences, whose closing line doctest would take for expected output."""

    def parse(self, string: str, name: str = "<string>") -> list[str | doctest.Example]:
        return super().parse(re.sub(r"^[ \t]*```.*$", "", string, flags=re.MULTILINE), name)


def docstring_examples() -> list:
    finder = doctest.DocTestFinder(parser=FencedExamplesParser())
    found = [test for name in MODULES for test in finder.find(importlib.import_module(name))]
    marks = dict.fromkeys(SLOW_EXAMPLES, pytest.mark.slow)
    return [pytest.param(test, id=test.name, marks=marks.get(test.name, ())) for test in found if test.examples]


def marked_blocks(markdown: str) -> list[CodeType]:
    """Compiles the marked Python blocks, each padded so that an error names its line in the file."""
    blocks = re.finditer(rf"^{re.escape(MARKER)}\n+```python\n(.*?)^```$", markdown, re.MULTILINE | re.DOTALL)
    return [compile("\n" * markdown[: block.start(1)].count("\n") + block[1], README.name, "exec") for block in blocks]


@pytest.mark.parametrize("example", docstring_examples())
def test_docstring_example(example: doctest.DocTest, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    report: list[str] = []
    runner.run(example, out=report.append)
    assert runner.failures == 0, "".join(report)


def test_readme_examples(cmltnet_run, shapes, evaluate_cache, tmp_path, monkeypatch):
    shutil.copytree(cmltnet_run, tmp_path / "outputs" / "cmltnet_emoji_lt")
    Image.open(shapes / "test" / "circle-0.png").save(tmp_path / "photo.jpg")
    markdown = README.read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    blocks = marked_blocks(markdown)

    assert len(blocks) == markdown.count(MARKER) > 0  # no marker stands before anything but a Python block
    namespace: dict[str, object] = {"__name__": "readme"}
    for block in blocks:
        exec(block, namespace)
