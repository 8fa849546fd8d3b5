"""Runs the examples of the docstrings, and the Python blocks of README.md and of the site's pages that follow a
`<!-- test -->` comment; and checks what the pages name."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import os
import pkgutil
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, ModuleType

import pytest
import typer
from PIL import Image

import xmodal_lt
from xmodal_lt.cli import app
from xmodal_lt.data import list_datasets
from xmodal_lt.registry import METHODS


ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
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


def marked_blocks(file: Path) -> list[CodeType]:
    """Compiles the marked Python blocks, each padded so that an error names its line in the file."""
    markdown = file.read_text(encoding="utf-8")
    found = list(re.finditer(rf"^{re.escape(MARKER)}\n+```python\n(.*?)^```$", markdown, re.MULTILINE | re.DOTALL))
    assert len(found) == markdown.count(MARKER)  # no marker stands before anything but a Python block
    return [compile("\n" * markdown[: block.start(1)].count("\n") + block[1], file.name, "exec") for block in found]


def run(blocks: list[CodeType]) -> None:
    namespace: dict[str, object] = {"__name__": "example"}
    for block in blocks:
        exec(block, namespace)


def page_id(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def commands(file: Path) -> Iterator[list[str]]:
    """The lines of shell blocks that start our command, as lists of words."""
    for block in re.findall(r"^```bash\n(.*?)^```$", file.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] == ["xmodal-lt"]:
                yield words[1:]


@pytest.fixture(scope="module")
def includes() -> ModuleType:
    """The hook that fills the pages."""
    spec = importlib.util.spec_from_file_location("includes", DOCS / "hooks" / "includes.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
    monkeypatch.chdir(tmp_path)

    run(marked_blocks(README))


@pytest.mark.parametrize("page", [page for page in PAGES if MARKER in page.read_text(encoding="utf-8")], ids=page_id)
def test_page_examples(page, evaluate_cache, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    run(marked_blocks(page))


@pytest.mark.parametrize("file", [README, *PAGES], ids=page_id)
def test_commands_and_their_options_exist(file):
    for words in commands(file):
        command = typer.main.get_command(app)
        while words and words[0] in getattr(command, "commands", {}):
            command = command.commands[words.pop(0)]
        assert not getattr(command, "commands", {}) or not words or words[0].startswith("--"), words
        known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        assert {word.split("=")[0] for word in words if word.startswith("--")} - {"--help"} <= known, words


@pytest.mark.parametrize("file", [README, *PAGES], ids=page_id)
def test_recipes_and_configs_exist(file):
    for name in re.findall(r"(?:recipes|configs|benchmarks)/[\w/]+\.(?:yaml|py|md)", file.read_text(encoding="utf-8")):
        assert (ROOT / name).is_file(), name


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_included_sections_are_there(page, includes):
    filled = includes.on_page_markdown(page.read_text(encoding="utf-8"))

    assert filled.strip() and "<!-- include" not in filled


def test_a_section_ends_with_its_level_and_headings_in_code_are_none(includes, tmp_path):
    file = tmp_path / "a.md"
    file.write_text("# A\n\n## B\n\nb\n\n```bash\n# no heading\n```\n\n### C\n\nc\n\n## D\n\nd\n")

    assert includes.section(file, "B") == "b\n\n```bash\n# no heading\n```\n\n### C\n\nc"
    assert includes.section(file, "D") == "d"
    with pytest.raises(ValueError, match="no heading 'no heading'"):
        includes.section(file, "no heading")


def test_every_method_and_data_set_has_its_place(includes):
    reference = (DOCS / "reference" / "models.md").read_text(encoding="utf-8")
    for method in METHODS:
        assert (DOCS / "methods" / f"{method.model_type}.md").is_file()
        assert f".{method.config}\n" in reference and f".{method.classifier}\n" in reference
    filled = includes.on_page_markdown((DOCS / "datasets.md").read_text(encoding="utf-8"))
    assert re.findall(r"^## (.+)$", filled, re.MULTILINE) == list_datasets()


def test_equations_become_mathml_and_code_stays(tmp_path):
    pytest.importorskip("latex2mathml", reason="the extra `docs` is not installed")
    spec = importlib.util.spec_from_file_location("equations", DOCS / "hooks" / "equations.py")
    assert spec and spec.loader
    equations = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(equations)

    shown = equations.on_page_content(r"<p>\(a &lt; b\)</p><code>\(c\)</code><div>\[d\]</div>")

    assert shown.count("<math") == 2 and r"<code>\(c\)</code>" in shown and 'display="block"' in shown


@pytest.mark.slow
def test_site_builds_and_needs_nothing_from_elsewhere(tmp_path):
    for package in ("mkdocs", "material", "mkdocstrings", "latex2mathml"):
        pytest.importorskip(package, reason="the extra `docs` is not installed")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True
    )

    assert done.returncode == 0, done.stderr
    for page in (tmp_path / "site").rglob("*.html"):
        html = page.read_text(encoding="utf-8")
        assert not re.findall(
            r"<(?:script|img|iframe)[^>]* src=\"?https?:|<link[^>]* rel=\"?stylesheet[^>]*https?:", html
        )
        assert r"\(" not in re.sub(r"<(code|pre|script)\b.*?</\1>", "", html, flags=re.DOTALL), page
