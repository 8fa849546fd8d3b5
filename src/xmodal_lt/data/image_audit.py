"""Reading every image, or all features, of a data set once: what cannot be read, and what is there twice."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import datasets
import numpy as np
import pandas as pd

from .feature_files import read_features
from .images import decode_image
from .table import column_values, item_feature


__all__ = ["InputAudit", "RepeatedInput", "UnreadableInput", "audit_inputs"]

_DIGEST_SIZE = 16


@dataclass(frozen=True)
class UnreadableInput:
    """
    An image, or features, that cannot be read.

    Args:
        split (`str`):
            Its split.
        image_id (`str`):
            Its row.
        path (`str`):
            Its file, empty if it has none.
        reason (`str`):
            What is wrong.
    """

    split: str
    image_id: str
    path: str
    reason: str


@dataclass(frozen=True)
class RepeatedInput:
    """
    Rows with the same picture.

    Args:
        image_ids (`dict[str, list[str]]`):
            The rows, by split.
        labels (`list[list[str]]`):
            The different labels that its rows in train have.
    """

    image_ids: dict[str, list[str]]
    labels: list[list[str]]


@dataclass(frozen=True)
class InputAudit:
    """
    What reading all inputs has shown.

    Args:
        num_read (`int`):
            Inputs that can be read.
        unreadable (`list[UnreadableInput]`):
            Those that cannot.
        across_splits (`list[RepeatedInput]`):
            Pictures that are in more than one split.
        conflicting (`list[RepeatedInput]`):
            Pictures that are in train with different labels.
    """

    num_read: int
    unreadable: list[UnreadableInput] = field(default_factory=list)
    across_splits: list[RepeatedInput] = field(default_factory=list)
    conflicting: list[RepeatedInput] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Plain types, for JSON."""
        return asdict(self)


def audit_inputs(dataset: datasets.DatasetDict, num_proc: int | None = None) -> InputAudit:
    """
    Read every image, or all features.

    Images are the same if their decoded pixels are, whatever their files hold beside these: a copy with other metadata
    is found, one that was resized or compressed anew is not.

    Args:
        dataset (`datasets.DatasetDict`):
            What [`load_lt`] returns.
        num_proc (`int`, *optional*):
            Processes that read.

    Returns:
        [`InputAudit`]
    """
    frame = pd.concat([_read_split(part, split, num_proc) for split, part in dataset.items()], ignore_index=True)
    readable = frame["error"].isna()
    unreadable = frame[~readable]
    repeated = frame[readable & frame.duplicated("digest", keep=False)]
    labels = _labels_of_rows(dataset["train"], repeated.loc[repeated["split"] == "train", "row"].tolist())
    across, conflicting = [], []
    for _, rows in repeated.groupby("digest", sort=False):
        one = _repeated(rows, labels)
        if len(one.image_ids) > 1:
            across.append(one)
        if len(one.labels) > 1:
            conflicting.append(one)
    return InputAudit(
        num_read=int(readable.sum()),
        unreadable=[
            UnreadableInput(row.split, row.image_id, row.path, row.error) for row in unreadable.itertuples(index=False)
        ],
        across_splits=across,
        conflicting=conflicting,
    )


def _read_split(part: datasets.Dataset, split: str, num_proc: int | None) -> pd.DataFrame:
    """A row each with the digest of what was read, or the error."""
    columns = [name for name in ("image", "features", "privileged_features") if name in part.column_names]
    inputs = part.with_format(None).select_columns(columns)
    if "image" in columns:
        inputs = inputs.cast_column("image", datasets.Image(decode=False))
    results = inputs.map(
        _read_row,
        fn_kwargs={"needed": columns if split == "train" else columns[:1]},
        remove_columns=columns,
        features=datasets.Features(
            {"digest": datasets.Value("binary"), "path": datasets.Value("string"), "error": datasets.Value("string")}
        ),
        keep_in_memory=True,  # a few bytes a row, of no use to anyone later
        load_from_cache_file=False,
        num_proc=num_proc,
        desc=f"Reading {split}",
    )
    frame = results.with_format("arrow")[:].to_pandas()
    return frame.assign(split=split, row=np.arange(len(part)), image_id=column_values(part, "image_id"))


def _read_row(row: Mapping[str, Any], needed: list[str]) -> dict[str, Any]:
    digest = hashlib.blake2b(digest_size=_DIGEST_SIZE)
    path = ""
    try:
        for column, value in row.items():
            path = (value.get("path") if isinstance(value, Mapping) else None) or ""
            if value is not None or column in needed:
                digest.update(_content(column, value))
    except (OSError, TypeError, ValueError) as error:
        return {"digest": None, "path": path, "error": str(error)}
    return {"digest": digest.digest(), "path": path, "error": None}


def _content(column: str, value: Any) -> bytes:
    """Numbers of a picture or of features, and how they are laid out."""
    if column == "image":
        image = decode_image(value)
        return f"{image.size}".encode() + image.tobytes()
    features = read_features(value)
    return f"{features.shape}".encode() + features.tobytes()


def _repeated(rows: pd.DataFrame, labels: Mapping[int, tuple[str, ...]]) -> RepeatedInput:
    in_train = rows.loc[rows["split"] == "train", "row"]
    different = sorted({labels[row] for row in in_train})
    return RepeatedInput(rows.groupby("split", sort=False)["image_id"].agg(list).to_dict(), list(map(list, different)))


def _labels_of_rows(train: datasets.Dataset, rows: list[int]) -> dict[int, tuple[str, ...]]:
    column = "label" if "label" in train.column_names else "labels"
    feature = item_feature(train.features[column])
    values = column_values(train.select(rows), column)
    names = (feature.int2str(value if isinstance(value, list) else [value]) for value in values)
    return {row: tuple(sorted(own)) for row, own in zip(rows, names, strict=True)}
