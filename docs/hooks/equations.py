"""Turns TeX into MathML while the site is built: browsers draw it without a script or font from elsewhere."""

from __future__ import annotations

import html
import re
from typing import Any

from latex2mathml.converter import convert


# Code is left as it is. Docstrings write `\\(...\\)`, which arrives here as `\(...\)`.
_CODE_OR_TEX = re.compile(
    r"(?P<code><(?P<tag>pre|code)\b.*?</(?P=tag)>)|\\\((?P<inline>.+?)\\\)|\\\[(?P<block>.+?)\\\]", re.DOTALL
)


def on_page_content(content: str, **_: Any) -> str:
    """Called by MkDocs with the HTML of each page."""
    return _CODE_OR_TEX.sub(_to_mathml, content)


def _to_mathml(found: re.Match[str]) -> str:
    if found["code"]:
        return found["code"]
    tex = found["inline"] or found["block"]
    return convert(html.unescape(tex).strip(), display="inline" if found["inline"] else "block")
