"""What a model card was written with: kept beside it, so that it is known to be ours while nobody has changed it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from huggingface_hub.constants import REPOCARD_NAME

from xmodal_lt.atomic_file import atomic_path


__all__ = ["CARD_RECORD", "delete_own_card", "read_card_record", "write_card_record"]

CARD_RECORD = ".card.json"  # never published


def write_card_record(folder: Path, options: dict[str, Any]) -> None:
    """
    Keep what the card of a folder was written with.

    Args:
        folder (`pathlib.Path`):
            With the card.
        options (`dict[str, Any]`):
            What to keep, as JSON.
    """
    with atomic_path(folder / CARD_RECORD) as unfinished:
        content = {"sha256": _digest(folder / REPOCARD_NAME), "options": options}
        unfinished.write_text(json.dumps(content, indent=2, ensure_ascii=False), encoding="utf-8")


def read_card_record(folder: Path) -> dict[str, Any] | None:
    """
    Read what the card of a folder was written with.

    Args:
        folder (`pathlib.Path`):
            Of a run.

    Returns:
        `dict[str, Any]`, or `None` if there is no card, somebody wrote or changed it, or nothing was kept.
    """
    card, record = folder / REPOCARD_NAME, folder / CARD_RECORD
    if not card.is_file() or not record.is_file():
        return None
    try:
        content = json.loads(record.read_bytes())
        return content["options"] if content["sha256"] == _digest(card) else None
    except (ValueError, TypeError, KeyError):  # cut off or changed, so that nothing is known
        return None


def delete_own_card(folder: Path) -> None:
    """
    Delete the card of a folder, if nobody has changed it, and what is kept of it.

    Args:
        folder (`pathlib.Path`):
            Of a run.
    """
    if read_card_record(folder) is not None:
        (folder / REPOCARD_NAME).unlink()
    (folder / CARD_RECORD).unlink(missing_ok=True)


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
