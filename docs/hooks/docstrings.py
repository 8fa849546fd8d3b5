"""Reads the package's docstrings, which are in the form of Hugging Face's, for mkdocstrings."""

from __future__ import annotations

import re
from typing import Any

import griffe


# "[`ClassStats`]" is a link there, and two brackets to Markdown.
_LINK = re.compile(r"\[(`[^`\]]+`)\](?![\[(])")
_FULL_NAME = re.compile(r"`~(?:\w+\.)*(\w+)`")
_DOCTEST_FLAG = re.compile(r"[ \t]*# doctest:.*$", re.MULTILINE)
# "name (`int`, *optional*, defaults to 3):"
_ARGUMENT = re.compile(r"^( +[\w*]+(?:, [\w*]+)*) \((.+)\):", re.MULTILINE)
_RETURNED = re.compile(r"^( +)`([^`\n]+)`:", re.MULTILINE)
_DEFAULT = re.compile(r", defaults to .+$")


class HuggingFaceDocstrings(griffe.Extension):
    """Makes names plain that are links there, and types that are marked up."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Called for each object when its module has been read."""
        if obj.docstring is None:
            return
        text = _FULL_NAME.sub(r"`\1`", _LINK.sub(r"\1", obj.docstring.value))
        in_signature = obj.is_function or (obj.is_class and ("__init__" in obj.members or "dataclass" in obj.labels))

        def plain(found: re.Match[str]) -> str:
            kind = found[2].replace("`", "").replace("*optional*", "optional")
            return f"{found[1]} ({_DEFAULT.sub('', kind) if in_signature else kind}):"

        text = _RETURNED.sub(r"\1\2:", _ARGUMENT.sub(plain, text))
        obj.docstring.value = _DOCTEST_FLAG.sub("", text)
