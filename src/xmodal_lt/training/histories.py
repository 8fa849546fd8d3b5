"""What finished runs logged, under the shortest names that tell them apart."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .output_folder import OutputFolder


def read_histories(folders: Sequence[str | Path]) -> dict[str, Any]:
    """What the trainer logged in runs, for [`plot_loss_curves`].

    Args:
        folders (`Sequence[str | Path]`):
            Of finished runs, each once; of a run that goes on, those of finished stages, `checkpoints/<stage>/final`.

    Returns:
        `dict[str, dict[str, list[dict]] | list[dict]]`:
            By run, the log history of all stages by name, or of the one stage. A run is called by the last part of
            its path or, where two are alike, by as many of the last parts as tell all apart: `full/seed0` and
            `full/seed1`.

    Raises:
        FileNotFoundError: for a folder without `history.json`.
        ValueError: for a folder that is given twice, and a `history.json` that cannot be read.
    """
    paths = [Path(folder).resolve() for folder in folders]
    for path in paths:
        if paths.count(path) > 1:
            raise ValueError(f"The run {path} is given {paths.count(path)} times; give each run once.")
    return {name: _history(path) for name, path in zip(short_names(paths), paths, strict=True)}


def short_names(paths: Sequence[Path]) -> list[str]:
    """The fewest last parts that tell paths apart, all of which differ."""
    names, depth = [path.name for path in paths], 1
    while len(set(names)) < len(names):
        depth += 1
        names = ["/".join(path.parts[-depth:]) for path in paths]
    return names


def _history(folder: Path) -> Any:
    file = OutputFolder(folder).history
    if not file.is_file():
        raise FileNotFoundError(f"There is no {file}; give the folder of a finished run.")
    try:
        return json.loads(file.read_text())
    except ValueError as error:  # cut off, or not even text
        raise ValueError(f"Cannot read {file}: {error}. Restore it from a copy, or run the recipe again.") from error


__all__ = ["read_histories", "short_names"]
