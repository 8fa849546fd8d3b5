"""Columns of WebDataset shards, named by the endings of their files, under the names of the one schema."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

import datasets

from .table import Conversion, Split, convert_columns, undecoded_images


__all__ = ["lift_webdataset"]

_KEY, _URL, _JSON = "__key__", "__url__", "json"


def lift_webdataset(part: Split) -> Split:
    """
    Give a split that `datasets` read from WebDataset shards the columns of other data sets.

    The key becomes `image_id`; the only kind of images `image`; the class, `.cls`, `label`; and each field of the
    `.json` a column. Columns that have such a name already keep it.

    Args:
        part (`datasets.Dataset` or `datasets.IterableDataset`):
            Any split.

    Returns:
        `datasets.Dataset` or `datasets.IterableDataset`: The same split if it is from other files.

    Raises:
        ValueError: If a key leads out of the archive; of a stream when it is read.
    """
    columns = part.column_names or []
    if not {_KEY, _URL} <= set(columns):
        return part
    part = part.remove_columns([_URL])
    images = [name for name, feature in part.features.items() if isinstance(feature, datasets.Image)]
    part = convert_columns(undecoded_images(part), {_KEY: Conversion(_checked_key, datasets.Value("string"))})
    if _JSON in columns and isinstance(part.features[_JSON], dict):
        part = _lift_json(part)
    wanted = {_KEY: "image_id", "cls": "label"}
    if len(images) == 1:
        wanted[images[0]] = "image"
    names = part.column_names
    if "label" in names or "labels" in names:
        wanted.pop("cls")
    renamed = {old: new for old, new in wanted.items() if old in names and new not in names}
    part = part.rename_columns(renamed)
    if isinstance(part, datasets.IterableDataset):
        return part
    for name in images:
        part = part.cast_column(renamed.get(name, name), datasets.Image())
    return part


def _lift_json(part: Split) -> Split:
    fields = part.features[_JSON]
    taken = set(part.column_names) - {_JSON}
    lifted = {name: feature for name, feature in fields.items() if name not in taken}
    if isinstance(part, datasets.Dataset):
        # Without a copy of the images, which `map` would write to the disk.
        others = [name for name in part.column_names if name != _JSON]
        flat = part.select_columns([_JSON]).flatten(max_depth=2)  # the fields, and not what is in them
        for name in lifted:
            part = part.add_column(name, flat[f"{_JSON}.{name}"][:], feature=lifted[name])
        return part.select_columns([*others, *lifted])
    features = {name: feature for name, feature in part.features.items() if name != _JSON}
    return part.map(
        _json_fields,
        fn_kwargs={"names": list(lifted)},
        remove_columns=[_JSON],
        features=datasets.Features({**features, **lifted}),
    )


def _json_fields(row: dict[str, Any], names: list[str]) -> dict[str, Any]:
    fields = row[_JSON] or {}
    return {name: fields.get(name) for name in names}


def _checked_key(key: str) -> str:
    path = PurePosixPath(key)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"the file {key!r:.200} of an archive would be outside of it: expected names without '..'")
    return key
