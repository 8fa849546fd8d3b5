"""What must not leave this machine: secrets in text files, and where the user keeps things."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path, PurePath, PureWindowsPath
from typing import Any


__all__ = ["refuse_private_text", "without_folders"]

# By its kind: text without which there is none, which is quick to look for, and what it looks like; the longer that
# is, the less there is else that resembles it.
_SECRETS = {
    "hugging face token": (("hf_", "api_org_"), r"\b(?:hf|api_org)_[A-Za-z0-9]{30,}"),
    "aws key": (("AKIA", "ASIA"), r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    "github token": (("gh", "github_pat_"), r"\bgh[oprsu]_[A-Za-z0-9]{36}|\bgithub_pat_\w{22,}"),
    "openai key": (("sk-",), r"\bsk-[A-Za-z0-9_-]{32,}"),
    "google key": (("AIza",), r"\bAIza[A-Za-z0-9_-]{35}"),
    "slack token": (("xox",), r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}"),
    "private key": (("PRIVATE KEY",), r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----"),
    "netrc password": (("password",), r"\bmachine\s+\S+\s+login\s+\S+\s+password\s+\S"),
    "password in an address": (("://",), r"://[^\s/:@\"']+:[^\s/:@\"']+@"),
    "key or password": (
        ("key", "Key", "KEY", "token", "Token", "TOKEN", "passw", "Passw", "PASSW"),
        r"(?i:(?:api|access|secret|auth|private)[_-]?(?:key|token)|passw(?:or)?d)"
        r"[\"']?\s*[:=]\s*[\"']?[A-Za-z0-9/+_.-]{16,}",
    ),
}

_ABSOLUTE = re.compile(r"((?:\w{2,}:)?)((?:~|/(?!/)|[A-Za-z]:[\\/]).*)", re.DOTALL)


def refuse_private_text(folder: Path, places: Collection[str] = ()) -> None:
    """
    Look for secrets in the text files of a folder.

    Args:
        folder (`pathlib.Path`):
            What shall be published.
        places (`Collection[str]`, *optional*):
            Paths of this machine, which must not be named there either.

    Raises:
        ValueError: If there is one; names the file, the line and its kind, and never the secret.
    """
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        text = _text_of(file)
        for position, kind in _findings(text, places):
            line = text.count("\n", 0, position) + 1
            raise ValueError(
                f"{file.relative_to(folder).as_posix()}, line {line}, holds what looks like a {kind}; take it out, "
                "then push again."
            )


def without_folders(value: Any, places: set[str], keep: Collection[str] = ()) -> Any:
    """
    Leave of every absolute path its last part, in nested lists and mappings.

    Args:
        value (`Any`):
            What to change, such as the content of a JSON file.
        places (`set[str]`):
            Is given the paths.
        keep (`Collection[str]`, *optional*):
            Keys whose values are no paths, whatever they look like.

    Returns:
        A changed copy. `"glove:/home/me/vectors.txt"` becomes `"glove:vectors.txt"`.
    """
    if isinstance(value, dict):
        return {key: one if key in keep else without_folders(one, places, keep) for key, one in value.items()}
    if isinstance(value, list):
        return [without_folders(one, places, keep) for one in value]
    found = _ABSOLUTE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return value
    kind, path = found.groups()
    name = (PureWindowsPath if re.match(r"[A-Za-z]:", path) else PurePath)(path).name
    if name in ("", "~"):
        return kind + "."
    places.add(path.rstrip("/"))
    return kind + name


def _text_of(file: Path) -> str:
    """Nothing where it is no text, such as weights and pictures."""
    with file.open("rb") as stream:
        if b"\0" in stream.read(1 << 16):
            return ""
    return file.read_text(encoding="utf-8", errors="replace")


def _findings(text: str, places: Collection[str]) -> Iterator[tuple[int, str]]:
    for kind, (hints, pattern) in _SECRETS.items():
        if any(hint in text for hint in hints):
            yield from ((found.start(), kind) for found in re.finditer(pattern, text))
    for place in places:
        named = re.search(rf"{re.escape(place)}(?![\w-])", text)
        if named is not None:
            yield named.start(), "path of this machine"
