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

from .class_stats import ClassStats
from .dataset_list import group_rules


__all__ = ["CardFacts", "card_for_hub", "write_data_card"]

_TASK_IDS = {"label": "multi-class-image-classification", "labels": "multi-label-image-classification"}
_COLUMNS = {
    "image": "the image, with the bytes that it has in the source",
    "features": "features of the video: rows `start` to before `stop` of the npy file `path`",
    "privileged_features": "features that only training has, in the same way, or null",
    "words": "words that describe it, for training alone",
    "label": "its class",
    "labels": "its classes",
    "image_id": "what tells the rows apart",
}


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
            `README.md` beside the folder `data` of the parquet files, and the folders of features of videos.
        facts ([`CardFacts`]):
            What the rows do not tell.
        dataset (`datasets.DatasetDict`):
            The rows, in the one schema.
        stats ([`ClassStats`]):
            Of the training split.
        num_bytes (`Mapping[str, int]`):
            Bytes of each split.
        download_size (`int`):
            Bytes of all files.
    """
    train = dataset["train"]
    column = "labels" if "labels" in train.column_names else "label"
    has_images = "image" in train.column_names
    data = DatasetCardData(
        pretty_name=facts.title,
        task_categories=["image-classification" if has_images else "video-classification"],
        task_ids=[_TASK_IDS[column]] if has_images else None,  # the Hub has none for videos
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


def card_for_hub(card: str, location: str, repo_id: str) -> str:
    """
    The card that says that the data set is loaded from the Hub; whatever else was written into it stays.

    Args:
        card (`str`):
            The card.
        location (`str`):
            Where it says that the data set is.
        repo_id (`str`):
            Where the data set is on the Hub.

    Returns:
        `str`
    """
    card = card.replace(_image_example(location), _image_example(repo_id))
    return card.replace(_video_example(location), _video_hub_example(repo_id))


def _image_example(location: str) -> str:
    return f"""```python
from xmodal_lt.data import load_lt

dataset = load_lt({location!r})
```

or `datasets.load_dataset({location!r})`."""


def _video_example(location: str) -> str:
    return f"""```python
from xmodal_lt.data import load_lt, read_features

dataset = load_lt({location!r})
features = read_features(dataset["train"][0]["features"])
```

The paths of the files of features are relative to this folder, so that a copy on the Hub is loaded after \
`huggingface_hub.snapshot_download`, from the folder that this returns."""


def _video_hub_example(repo_id: str) -> str:
    return f"""```python
from huggingface_hub import snapshot_download

from xmodal_lt.data import load_lt, read_features

folder = snapshot_download({repo_id!r}, repo_type="dataset")
dataset = load_lt(folder)
features = read_features(dataset["train"][0]["features"])
```

The paths of the files of features are relative to the folder, which is why it is downloaded first."""


def _body(facts: CardFacts, dataset: datasets.DatasetDict, stats: ClassStats) -> str:
    options = ", ".join(f"`{name}={value!r}`" for name, value in facts.options.items()) or "the default ones"
    columns = dataset["train"].column_names
    inputs = "images" if "image" in columns else "videos"
    example = _image_example if inputs == "images" else _video_example
    kept = "no image was encoded anew" if inputs == "images" else "features are as `read_features` reads the source"
    splits = [(name, f"{len(part):,}") for name, part in dataset.items()]
    meanings = [(f"`{name}`", _COLUMNS.get(name, "as in the source")) for name in columns]
    rules = group_rules(stats.head_threshold, stats.tail_threshold, stats.boundaries)
    groups = [(name, rule, str((stats.groups == name).sum())) for name, rule in rules.items()]
    return f"""# {facts.title}

{len(stats.class_names):,} classes. Converted to parquet by xmodal-lt {facts.version}; {kept}.

- Source: {facts.source}
- Licence and access: {facts.access}
- Options: {options}

## Load it

{example(facts.location)}

## Splits

{_table(("split", inputs), splits)}

## Classes

The imbalance ratio of the training split is {stats.imbalance_ratio:,.2f}: its most frequent class has \
{stats.counts.max():,} {inputs}, its rarest {stats.counts.min():,}.

{_table(("group", f"training {inputs} of a class", "classes"), groups)}

## Columns

{_table(("column", "what it holds"), meanings)}
"""


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
