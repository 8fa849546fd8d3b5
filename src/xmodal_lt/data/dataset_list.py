"""What is known of the data sets that have a name, as plain values for tables and JSON."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from xmodal_lt.metrics.groups import Boundaries

from .missing_files import missing_files
from .registry import dataset_spec, list_datasets


__all__ = ["describe_datasets", "group_rules"]


def describe_datasets(names: Iterable[str] = (), data_dir: str | Path | None = None) -> list[dict[str, Any]]:
    """
    Describe data sets.

    Args:
        names (`Iterable[str]`, *optional*, defaults to all of them):
            Names of [`list_datasets`].
        data_dir (`str` or `pathlib.Path`, *optional*):
            Folder in which to look for the files of each of them: in its folder of that name, or if there is none in
            `data_dir` itself.

    Returns:
        `list[dict]`: Of each `name`, `problem_type`, `groups` (how many training samples a class of each group has),
        `facts` (published numbers, with their sources), `access`, `homepage` and, with `data_dir`, `missing`.

    Raises:
        ValueError: If a name is unknown.
        FileNotFoundError: If there is no folder `data_dir`.
    """
    root = None if data_dir is None else Path(data_dir).expanduser()
    if root is not None and not root.is_dir():
        raise FileNotFoundError(f"there is no folder {root} in which to look for files: make it, or leave it out")
    return [_describe(name, root) for name in tuple(names) or list_datasets()]


def _describe(name: str, root: Path | None) -> dict[str, Any]:
    spec = dataset_spec(name)
    description: dict[str, Any] = {
        "name": name,
        "problem_type": spec.problem_type,
        "groups": group_rules(spec.head, spec.tail, spec.boundaries),
        "facts": {
            fact.quantity: {"value": fact.value, "source": fact.source, "at_least": fact.at_least}
            for fact in spec.facts
        },
        "access": spec.access,
        "homepage": spec.homepage,
    }
    if root is not None:
        folder = root / name
        missing = missing_files(name, folder if folder.is_dir() else root)
        description["missing"] = [asdict(one) for one in missing]
    return description


def group_rules(head: int, tail: int, boundaries: Boundaries) -> dict[str, str]:
    """
    Say which classes are head, medium and tail.

    Args:
        head (`int`):
            Upper threshold.
        tail (`int`):
            Lower threshold.
        boundaries (`str`):
            The group of a class that is exactly at a threshold, see [`~xmodal_lt.metrics.frequency_groups`].

    Returns:
        `dict[str, str]`: By group, the numbers of training samples that a class of it has: `"> 100"`.
    """
    highest_medium = head if boundaries == "decoupling" else head - 1
    lowest_medium = tail + 1 if boundaries == "vl_ltr" else tail
    return {
        "head": f"> {head}" if boundaries == "decoupling" else f">= {head}",
        "medium": f"{lowest_medium} to {highest_medium}",
        "tail": f"<= {tail}" if boundaries == "vl_ltr" else f"< {tail}",
    }
