"""The card of a converted data set: what its rows are and where they are from, for people and for the Hub."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
from datasets.info import DatasetInfosDict
from datasets.splits import SplitDict
from datasets.utils.metadata import MetadataConfigs
from huggingface_hub import DatasetCard, DatasetCardData

from xmodal_lt.atomic_file import atomic_path
from xmodal_lt.metrics.groups import GROUPS

from .class_stats import ClassStats


__all__ = ["CardFacts", "move_card", "write_data_card"]

_TASK_IDS = {"label": "multi-class-image-classification", "labels": "multi-label-image-classification"}
_COLUMNS = {
    "image": "the image, with the bytes that it has in the source",
    "words": "words that describe the image, for training alone",
    "label": "its class",
    "labels": "its classes",
    "image_id": "what tells the images apart",
}
# The rules of `frequency_groups` for head and for tail, in this order.
_RULES = {"decoupling": ("more than", "fewer than"), "vl_ltr": ("at least", "at most")}
_RULES["multilabel"] = ("at least", "fewer than")


@dataclass(frozen=True)
class CardFacts:
    """
    What the rows do not tell.

    Args:
        title (`str`):
            Name of the data set.
        source (`str`):
            Where it is from.
        access (`str`):
            Its licence, or how to get access.
        options (`Mapping[str, Any]`):
            Options it was built with, without those that change no row.
        location (`str`):
            Where to load it from: the name of its folder.
        version (`str`):
            Version of this package.
    """

    title: str
    source: str
    access: str
    options: Mapping[str, Any]
    location: str
    version: str


def write_data_card(
    path: Path,
    facts: CardFacts,
    dataset: datasets.DatasetDict,
    stats: ClassStats,
    num_bytes: Mapping[str, int],
    download_size: int,
) -> None:
    """
    Write the card.

    Args:
        path (`pathlib.Path`):
            `README.md` beside the folder `data` of the parquet files.
        facts ([`CardFacts`]):
            What the rows do not tell.
        dataset (`datasets.DatasetDict`):
            The rows, in the one schema.
        stats ([`ClassStats`]):
            Of the training split.
        num_bytes (`Mapping[str, int]`):
            Bytes of each split.
        download_size (`int`):
            Bytes of all parquet files.
    """
    train = dataset["train"]
    column = "labels" if "labels" in train.column_names else "label"
    data = DatasetCardData(
        pretty_name=facts.title,
        task_categories=["image-classification"],
        task_ids=[_TASK_IDS[column]],
        size_categories=[_size_category(sum(map(len, dataset.values())))],
        tags=["long-tailed"],
    )
    splits = SplitDict()
    for name, part in dataset.items():
        splits.add(datasets.SplitInfo(name, num_bytes[name], len(part)))
    info = datasets.DatasetInfo(
        features=train.features,
        splits=splits,
        download_size=download_size,
        dataset_size=sum(num_bytes.values()),
    )
    DatasetInfosDict(default=info).to_dataset_card_data(data)
    files = [{"split": name, "path": f"data/{name}-*"} for name in dataset]
    MetadataConfigs(default={"data_files": files}).to_dataset_card_data(data)
    DatasetCard(f"---\n{data.to_yaml()}\n---\n\n{_body(facts, dataset, stats)}").save(path)


def move_card(path: Path, location: str, new_location: str) -> None:
    """
    Let a card say that the data set is loaded from elsewhere; whatever else was written into it stays.

    Args:
        path (`pathlib.Path`):
            The card.
        location (`str`):
            Where it says that the data set is.
        new_location (`str`):
            Where the data set is now.
    """
    text = path.read_text(encoding="utf-8").replace(f"({location!r})", f"({new_location!r})")
    with atomic_path(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def _body(facts: CardFacts, dataset: datasets.DatasetDict, stats: ClassStats) -> str:
    options = ", ".join(f"`{name}={value!r}`" for name, value in facts.options.items()) or "the default ones"
    splits = [(name, f"{len(part):,}") for name, part in dataset.items()]
    columns = [(f"`{name}`", _COLUMNS.get(name, "as in the source")) for name in dataset["train"].column_names]
    return f"""# {facts.title}

{len(stats.class_names):,} classes. Converted to parquet by xmodal-lt {facts.version}; no image was encoded anew.

- Source: {facts.source}
- Licence and access: {facts.access}
- Options: {options}

## Load it

```python
from xmodal_lt.data import load_lt

dataset = load_lt({facts.location!r})
```

or `datasets.load_dataset({facts.location!r})`.

## Splits

{_table(("split", "images"), splits)}

## Classes

The imbalance ratio of the training split is {stats.imbalance_ratio:,.2f}: its most frequent class has \
{stats.counts.max():,} images, its rarest {stats.counts.min():,}.

{_table(("group", "training images of a class", "classes"), _groups(stats))}

## Columns

{_table(("column", "what it holds"), columns)}
"""


def _groups(stats: ClassStats) -> list[tuple[str, ...]]:
    above, below = _RULES[stats.boundaries]
    rules = (f"{above} {stats.head_threshold:,}", "between", f"{below} {stats.tail_threshold:,}")
    return [(name, rule, str((stats.groups == name).sum())) for name, rule in zip(GROUPS, rules, strict=True)]


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    cells = ([cell.replace("|", "\\|") for cell in row] for row in (header, ("---",) * len(header), *rows))
    return "\n".join("| " + " | ".join(row) + " |" for row in cells)


def _size_category(rows: int) -> str:
    """As the Hub names them, `1K<n<10K`."""
    bounds = {10**3: "1K", 10**4: "10K", 10**5: "100K", 10**6: "1M", 10**7: "10M", 10**8: "100M", 10**9: "1B"}
    above = [name for bound, name in bounds.items() if rows >= bound]
    below = [name for bound, name in bounds.items() if rows < bound]
    if not above:
        return f"n<{below[0]}"
    return f"{above[-1]}<n<{below[0]}" if below else f"n>{above[-1]}"
