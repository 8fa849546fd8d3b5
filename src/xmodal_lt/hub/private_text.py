"""What must not leave this machine: secrets in text files, and where the user keeps things."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path, PurePath
from typing import Any

from .file_names import VOCABULARIES


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
    "gitlab token": (("glpat-",), r"\bglpat-[A-Za-z0-9_-]{16,}"),
    "bearer token": (("earer ", "EARER "), r"(?i:\bbearer) +[A-Za-z0-9_.~+/=-]{16,}"),
    "json web token": (("eyJ",), r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"),
    "key or password": (
        ("key", "Key", "KEY", "token", "Token", "TOKEN", "secret", "Secret", "SECRET", "passw", "Passw", "PASSW"),
        r"(?i:(?:api|access|secret|auth|private)[_-]?(?:key|token)|secret|passw(?:or)?d)"
        r"[\"']?\s*[:=]\s*[\"']?[A-Za-z0-9/+_.-]{16,}"
        r"|(?i:\btoken|passw(?:or)?d)[\"']?\s*[:=]\s*[\"']?(?![$<{])(?=[^\s\"',]*\d)[^\s\"',]{8,}",
    ),
}

# What no relative path within a folder starts with. Addresses, which have "://" after their kind, are none of it.
_START = r"(?:file:/+|[~/]|[\\]{2}|[A-Za-z]:[\\/]|\$\{?\w*HOME\b|%\w+%[\\/]|(?:[^\s\\/]+[\\/])*\.\.(?:[\\/]|$))"
_KIND = r"(?:(?!file:)\w{2,}:(?!//))?"  # as of "glove:/home/me/vectors.txt"
_PLACE = re.compile(rf"({_KIND})({_START}.*)", re.DOTALL)
_NEXT_PLACE = re.compile(rf"([,;]\s*)(?={_KIND}{_START})")  # of a list in one string

_ADDRESS = re.compile(r"\b(?!file:)[A-Za-z][A-Za-z0-9+.-]+://(?!/)[^\s\"'<>]*")
_HOME_FOLDER = re.compile(r"(?<![\w.~}%/\\-])(?:file://)?(?:/home|/Users|[A-Za-z]:[\\/]+Users)[\\/]+\w[^\s\\/]*[\\/]")


def refuse_private_text(folder: Path, places: Collection[str] = ()) -> None:
    """
    Look for secrets in the text files of a folder.

    Args:
        folder (`pathlib.Path`):
            What shall be published.
        places (`Collection[str]`, *optional*):
            Paths of this machine, which must not be named there either. Folders of anybody's home never are, and
            addresses and the pieces of a tokenizer may look like such paths.

    Raises:
        ValueError: If there is one; names the file, the line and its kind, and never the secret.
    """
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        text = _text_of(file)
        named = () if file.name in VOCABULARIES else _named_places(text, places)
        for position, kind in (*_secrets(text), *named):
            line = text.count("\n", 0, position) + 1
            raise ValueError(
                f"{file.relative_to(folder).as_posix()}, line {line}, holds what looks like a {kind}; take it out, "
                "then push again."
            )


def without_folders(value: Any, places: set[str], keep: Collection[str] = ()) -> Any:
    """
    Leave of every path that leads out of a folder its last part, in nested lists and mappings.

    Args:
        value (`Any`):
            What to change, such as the content of a JSON file.
        places (`set[str]`):
            Is given the paths.
        keep (`Collection[str]`, *optional*):
            Keys whose values are no paths, whatever they look like.

    Returns:
        A changed copy. `"glove:/home/me/vectors.txt"` becomes `"glove:vectors.txt"`, and `"../data"` `"data"`.
    """
    if isinstance(value, dict):
        return {key: one if key in keep else without_folders(one, places, keep) for key, one in value.items()}
    if isinstance(value, list):
        return [without_folders(one, places, keep) for one in value]
    if not isinstance(value, str):
        return value
    return "".join(_without_folder(part, places) for part in _NEXT_PLACE.split(value))


def _without_folder(value: str, places: set[str]) -> str:
    found = _PLACE.fullmatch(value)
    if found is None:
        return value
    kind, path = found.groups()
    path = re.sub(r"^file:(?://(?=/))?", "", path).rstrip("/\\")
    of_windows = re.match(r"[A-Za-z]:|[\\]{2}|%", path) or "\\" in path.partition("..")[2]
    name = re.split(r"[\\/]", path)[-1] if of_windows else PurePath(path).name
    if name in ("", "~", "..") or name.startswith("$") or name.endswith(":"):
        return kind + "."
    places.add(path)
    return kind + name


def _text_of(file: Path) -> str:
    """Nothing where it is no text, such as weights and pictures."""
    with file.open("rb") as stream:
        if b"\0" in stream.read(1 << 16):
            return ""
    return file.read_text(encoding="utf-8", errors="replace")


def _secrets(text: str) -> Iterator[tuple[int, str]]:
    for kind, (hints, pattern) in _SECRETS.items():
        if any(hint in text for hint in hints):
            yield from ((found.start(), kind) for found in re.finditer(pattern, text))


def _named_places(text: str, places: Collection[str]) -> Iterator[tuple[int, str]]:
    without_addresses = _ADDRESS.sub(lambda found: " " * len(found[0]), text)
    for found in (_HOME_FOLDER.search(without_addresses), *(_named(place, without_addresses) for place in places)):
        if found is not None:
            yield found.start(), "path of this machine"


def _named(place: str, text: str) -> re.Match[str] | None:
    """Where a text has a path as such, and not as the end of another one or the start of a longer name."""
    escaped = re.escape(place).replace(r"\\", r"\\{1,2}")  # doubled in JSON
    return re.search(rf"(?:(?<=file://)|(?<![\w.~}}%/\\-])){escaped}(?![\w-])", text)
