"""Checking a copy of a data set: its numbers against the published ones, its images, its classes and words."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from xmodal_lt.metrics.groups import GROUPS

from .class_stats import ClassStats
from .dataset_facts import Fact
from .frequencies import Frequencies, count_frequencies
from .image_audit import InputAudit, audit_inputs
from .messages import counted, some_of
from .whole_dataset import find_spec, load_whole, train_stats


__all__ = ["Comparison", "DatasetReport", "check_dataset"]

_THRESHOLDS = ("head", "tail")
_TITLES = {
    "classes": "classes",
    **{group: f"{group} classes" for group in GROUPS},
    "imbalance_ratio": "imbalance ratio",
    "test_imbalance_ratio": "imbalance ratio of test",
    "labels_per_image": "labels of a sample",
    "words": "distinct words",
    "words_per_image": "words of a sample",
}


@dataclass(frozen=True)
class Comparison:
    """
    A number of the data set and what it should be.

    Args:
        quantity (`str`):
            What it is the number of, see [`Fact`].
        found (`float`, *optional*):
            The number; `None` if the data set has no such thing.
        expected (`float`, *optional*):
            The published one, if it is known and the options do not change it.
        source (`str`, *optional*, defaults to `""`):
            Who says so, or why there is none.
        agrees (`bool`, *optional*):
            Whether both are equal; `None` if there is nothing to compare.
        at_least (`bool`, *optional*, defaults to `False`):
            Whether more than the expected number is as it should be, too.
    """

    quantity: str
    found: float | None
    expected: float | None = None
    source: str = ""
    agrees: bool | None = None
    at_least: bool = False

    @property
    def title(self) -> str:
        """What it is the number of, in words."""
        return _TITLES.get(self.quantity, f"samples of {self.quantity}")

    @property
    def verdict(self) -> str:
        """How the comparison went, in a word; empty if nothing was compared."""
        return {None: "", True: "ok", False: "differs"}[self.agrees]


@dataclass(frozen=True)
class DatasetReport:
    """
    What a check has found.

    Args:
        name (`str`):
            Name, path or Hub id of the data set.
        data_dir (`str`, *optional*):
            Folder of its original files.
        options (`dict[str, Any]`):
            Options that it was loaded with.
        comparisons (`list[Comparison]`):
            Its numbers.
        stats ([`ClassStats`]):
            Its classes, counted in the training split.
        frequencies ([`Frequencies`]):
            How often classes and words are there.
        audit ([`InputAudit`], *optional*):
            What reading all images, or features, has shown, if they were read.
    """

    name: str
    data_dir: str | None
    options: dict[str, Any]
    comparisons: list[Comparison]
    stats: ClassStats
    frequencies: Frequencies
    audit: InputAudit | None = None

    @property
    def problems(self) -> list[str]:
        """What is not as it should be: numbers that differ, and what cannot be read."""
        differing = [
            f"{one.title}: expected {'at least ' if one.at_least else ''}{one.expected:,}, "
            f"found {'none' if one.found is None else f'{one.found:,}'}"
            for one in self.comparisons
            if one.agrees is False
        ]
        unreadable = [] if self.audit is None else self.audit.unreadable
        if unreadable:
            ids = some_of([one.image_id for one in unreadable], limit=5)
            what = counted(len(unreadable), "image or array of features", "images or arrays of features")
            first = unreadable[0]
            differing.append(
                f"{what} cannot be read: {ids}. The first is {first.path or 'inside a file'}: {first.reason}"
            )
        return differing

    @property
    def findings(self) -> list[str]:
        """What to know of the data set, although published copies have it too."""
        frequencies = self.frequencies
        # Outside train, words are no need: prediction does not read them.
        without = [("label", split, count) for split, count in frequencies.without_label.items()]
        without.append(("words", "train", frequencies.without_words.get("train", 0)))
        found = [
            f"{count:,} of {frequencies.num_samples[split]:,} samples of {split} {'has' if count == 1 else 'have'} "
            f"no {what}"
            for what, split, count in without
            if count
        ]
        if self.audit is None:
            return found
        for repeated, where in (
            (self.audit.across_splits, "in more than one split"),
            (self.audit.conflicting, "in train several times, with different labels"),
        ):
            if repeated:
                found.append(f"{counted(len(repeated), 'picture is', 'pictures are')} {where}")
        return found

    def to_dict(self) -> dict[str, Any]:
        """
        Write as plain types.

        Returns:
            `dict[str, Any]`: What JSON can hold.
        """
        return {
            "name": self.name,
            "data_dir": self.data_dir,
            "options": self.options,
            "problems": self.problems,
            "findings": self.findings,
            "comparisons": [asdict(one) for one in self.comparisons],
            "thresholds": {
                "head": self.stats.head_threshold,
                "tail": self.stats.tail_threshold,
                "boundaries": self.stats.boundaries,
            },
            "frequencies": self.frequencies.to_dict(),
            "audit": None if self.audit is None else self.audit.to_dict(),
        }


def check_dataset(
    name_or_path: str | Path,
    data_dir: str | Path | None = None,
    *,
    read_inputs: bool = True,
    num_proc: int | None = None,
    head: int | None = None,
    tail: int | None = None,
    **options: Any,
) -> DatasetReport:
    """
    Load a data set, compare its numbers with the published ones, count its classes and words, and read its images.

    Two images are the same picture if their decoded pixels are equal, so that a copy with other metadata is found, and
    one that was resized or compressed anew is not.

    Args:
        name_or_path (`str` or `pathlib.Path`):
            As for [`load_lt`].
        data_dir (`str` or `pathlib.Path`, *optional*):
            As for [`load_lt`].
        read_inputs (`bool`, *optional*, defaults to `True`):
            Whether to read every image, or all features of videos.
        num_proc (`int`, *optional*):
            Processes that build the data set and read.
        head (`int`, *optional*, defaults to the data set's own, or 100):
            Upper threshold of the frequency groups.
        tail (`int`, *optional*, defaults to the data set's own, or 20):
            Lower threshold of the frequency groups.
        **options:
            What else [`load_lt`] takes. Training samples without words are counted, not refused.

    Returns:
        [`DatasetReport`]

    Raises:
        FileNotFoundError: If files are missing, see [`missing_files`].
        ValueError: If a file is not as published, or an option is not as expected.

    Example:

    ```python
    >>> from xmodal_lt.data import check_dataset

    >>> report = check_dataset("emoji-lt", read_inputs=False)
    >>> report.problems
    []
    ```
    """
    dataset = load_whole(name_or_path, data_dir, num_proc, {"missing_words": "keep"} | options)
    spec = find_spec(name_or_path)
    thresholds = {key: value for key, value in (("head", head), ("tail", tail)) if value is not None}
    stats = train_stats(dataset, spec, **thresholds)
    frequencies = count_frequencies(dataset, stats)
    facts = () if spec is None else spec.facts
    return DatasetReport(
        name=str(name_or_path),
        data_dir=None if data_dir is None else str(data_dir),
        options=options,
        comparisons=_compare(_measure(stats, frequencies), facts, {*options, *thresholds}),
        stats=stats,
        frequencies=frequencies,
        audit=audit_inputs(dataset, num_proc) if read_inputs else None,
    )


def _measure(stats: ClassStats, frequencies: Frequencies) -> dict[str, float | None]:
    """The numbers of the data set, by quantity; `None` for those that are not finite."""
    groups = Counter(stats.groups.tolist())
    found: dict[str, float | None] = {
        **frequencies.num_samples,
        "classes": stats.num_classes,
        **{group: groups[group] for group in GROUPS},
        "imbalance_ratio": stats.imbalance_ratio if math.isfinite(stats.imbalance_ratio) else None,
    }
    if "test" in frequencies.num_samples:
        counts = [one.counts["test"] for one in frequencies.classes]
        found["test_imbalance_ratio"] = max(counts) / min(counts) if min(counts) else None
    if stats.cooccurrence is not None:
        found["labels_per_image"] = float(stats.counts.sum()) / stats.num_samples
    if frequencies.words is not None:
        found |= {"words": len(frequencies.words.counts), "words_per_image": frequencies.words.per_sample}
    return found


def _compare(found: dict[str, float | None], facts: Collection[Fact], changed: set[str]) -> list[Comparison]:
    expected = {fact.quantity: fact for fact in facts}
    # A validation split that is published as an extra is there or not; one of train and test is always asked for.
    quantities = [*found, *(quantity for quantity in expected if quantity not in found and quantity != "validation")]
    return [_compare_one(quantity, found.get(quantity), expected.get(quantity), changed) for quantity in quantities]


def _compare_one(quantity: str, found: float | None, fact: Fact | None, changed: set[str]) -> Comparison:
    if fact is None:
        return Comparison(quantity, found)
    varied = sorted(changed & {*fact.varies_with, *(_THRESHOLDS if quantity in GROUPS else ())})
    if varied:
        return Comparison(quantity, found, source=f"not compared: depends on {', '.join(varied)}")
    agrees = found is not None and fact.agrees(found)
    return Comparison(quantity, found, fact.value, fact.source, agrees, fact.at_least)
