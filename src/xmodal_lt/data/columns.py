"""The one schema of every data set: `image` or `features`, `words`, `label` or `labels`, `image_id`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.compute as pc

from .feature_columns import reference_conversion
from .file_paths import keep_path, place_file
from .images import decode_image
from .messages import did_you_mean
from .table import Conversion, Split, Splits, arrow_column, convert_columns, item_feature, undecoded_images


__all__ = ["finish_stream", "to_schema"]

logger = logging.getLogger(__name__)

_STRINGS = ("string", "large_string")
_FEATURE_COLUMNS = ("features", "privileged_features")
_IN_CURRENT_FOLDER = partial(place_file, folder=Path())


def to_schema(
    dataset: Splits,
    image_column: str | None = None,
    words_column: str | None = None,
    label_column: str | None = None,
    words_separator: str = ",",
    place: Callable[[str], str] = _IN_CURRENT_FOLDER,
) -> Splits:
    """
    Bring the columns of a data set to the one schema; other columns follow behind, untouched. No image is decoded, and
    no file of features is opened. What is streamed is converted as it is read.

    A data set without a column of images may have features of videos instead: their paths in the column `features`,
    and in `privileged_features` those of features that only training has.

    Args:
        dataset (`datasets.DatasetDict` or `datasets.IterableDatasetDict`):
            Splits, one of them `"train"`.
        image_column (`str`, *optional*, defaults to `"image"`):
            Images, paths of images, or encoded images.
        words_column (`str`, *optional*, defaults to `"words"`, if there is one):
            Lists of strings, or strings that hold words and separators. Other splits than train need none.
        label_column (`str`, *optional*, defaults to `"label"` or `"labels"`):
            Labels, or lists of them if a sample has several.
        words_separator (`str`, *optional*, defaults to `","`):
            What is between the words of a string.
        place (`Callable[[str], str]`, *optional*):
            From the path of an image or of features to where the file is; see [`place_file`], by default with paths
            in the current folder.

    Returns:
        `datasets.DatasetDict` or `datasets.IterableDatasetDict`: `image` (`Image`), or `features` and
        `privileged_features` (`FEATURES`), `words` (`List(Value("string"))`, where there are words), `label` as it
        was, or `labels` if it holds lists, `image_id` (`Value("string")`, `"<split>/<row>"` if new; a stream that has
        none gets none here, and images of streams are as they are stored, see [`finish_stream`]).

    Raises:
        ValueError: If there is no train split, or a column is missing.
        TypeError: If the images, features or words are something else.
    """
    if "train" not in dataset:
        raise ValueError(f"expected a split named 'train' to learn from, got {list(dataset)}. Rename the split")
    dataset = type(dataset)({split: _undecoded(part) for split, part in dataset.items()})
    image_column = _find_images(dataset, image_column)
    label_column = _find(dataset, label_column, ("label", "labels"), "label_column")
    if words_column is not None or "words" in dataset["train"].column_names:
        words_column = _find({"train": dataset["train"]}, words_column, ("words",), "words_column")

    label = dataset["train"].features[label_column]
    columns = {} if image_column is None else {image_column: "image"}
    columns[label_column] = "label" if item_feature(label) is label else "labels"
    if words_column is not None:
        columns[words_column] = "words"
    parts = {}
    for split, part in dataset.items():
        conversions = _conversions(part, split, image_column, words_column, words_separator, place)
        part = convert_columns(part, conversions)
        part = _rename(part, {old: new for old, new in columns.items() if old in part.column_names})
        if image_column is not None and part.features["image"] != (image := _stored_type(part)):
            part = part.cast_column("image", image)
        parts[split] = _in_order(_with_ids(part, split), ("image",) if image_column else _FEATURE_COLUMNS)
    return type(dataset)(parts)


def _undecoded(part: Split) -> Split:
    """Of a stream, the split with known types, and images as they are stored until all columns are converted."""
    if isinstance(part, datasets.Dataset):
        return part
    part = part._resolve_features()
    if part.features is None:
        raise ValueError("a split of the stream has no rows, so that the types of its columns are unknown")
    return undecoded_images(part)


def _find_images(dataset: Mapping[str, Split], named: str | None) -> str | None:
    """The column of images, `None` if the data set has features instead."""
    columns = dataset["train"].column_names
    if named is None and "image" not in columns and "features" in columns:
        return None
    return _find(dataset, named, ("image",), "image_column")


def _find(dataset: Mapping[str, Split], named: str | None, usual: tuple[str, ...], option: str) -> str:
    """The column that the user named, or the only one there that has its usual name."""
    wanted: Iterable[str] = (named,) if named else usual
    for split, part in dataset.items():
        found = [name for name in wanted if name in part.column_names]
        if not found:
            raise ValueError(_missing_column(split, part.column_names, list(wanted), option))
        wanted = found
    if len(found) > 1:
        raise ValueError(f"columns {found} could both be meant: name the right one as `{option}`")
    return found[0]


def _missing_column(split: str, columns: list[str], wanted: list[str], option: str) -> str:
    message = (
        f"split {split!r} has no column {' or '.join(map(repr, wanted))}; its columns are {columns}."
        f"{did_you_mean(wanted[0], columns)} Name the right one as `{option}`"
    )
    if option == "image_column":
        message += ". For videos, the paths of their extracted features go into a column 'features'"
    if option == "label_column":
        message += ". Where images have a metadata file, it must hold the label: the names of folders are not read"
    return message


def _conversions(
    part: Split,
    split: str,
    image_column: str | None,
    words_column: str | None,
    separator: str,
    place: Callable[[str], str],
) -> dict[str, Conversion]:
    features = part.features
    conversions = {}
    others = [name for name in features if name != image_column and _holds_images(features[name])]
    for column in others:
        if isinstance(part, datasets.IterableDataset) or _has_paths_to_place(part, column, place):
            conversions[column] = Conversion(partial(_stored_image, place), _stored_type(part))
    if image_column is None:
        if "features" not in features:
            raise ValueError(
                f"split {split!r} has no column 'features', as train has; its columns are {list(features)}"
            )
        for column in _FEATURE_COLUMNS:
            if column in features:
                conversions[column] = reference_conversion(column, features[column], place)
    else:
        _check_images(image_column, features[image_column])
        if isinstance(part, datasets.IterableDataset):
            conversions[image_column] = Conversion(partial(_stored_image, place), _stored_type(part))
        elif getattr(features[image_column], "dtype", None) in _STRINGS:
            conversions[image_column] = Conversion(partial(_place, place), datasets.Value("string"))
        elif _has_paths_to_place(part, image_column, place):
            conversions[image_column] = Conversion(partial(_stored_image, place), _stored_type(part))
    if words_column is not None and words_column in features:
        conversions[words_column] = _words_conversion(words_column, features[words_column], separator)
    return conversions


def _check_images(column: str, feature: Any) -> None:
    dtype = getattr(feature, "dtype", None)
    if not _holds_images(feature) and dtype not in (*_STRINGS, "binary", "large_binary"):
        raise TypeError(f"column {column!r} must hold images, their paths or their encoded bytes, got {feature}")


def _holds_images(feature: Any) -> bool:
    return isinstance(feature, datasets.Image) or (isinstance(feature, dict) and {"bytes", "path"} <= set(feature))


def _stored_type(part: Split) -> datasets.Image:
    """Of a stream, images are decoded last of all, by [`finish_stream`]: `datasets` does it no more after a `map`."""
    return datasets.Image(decode=isinstance(part, datasets.Dataset))


def _stored_image(place: Callable[[str], str], value: Any) -> dict[str, Any] | None:
    """An image as `datasets` stores it: its path, its bytes, or bytes and what their file was called."""
    if value is None:
        return None
    stored = datasets.Image().encode_example(value)
    if stored["bytes"] is None and stored["path"] is not None:
        stored = {**stored, "path": place(stored["path"])}
    return stored


def _has_paths_to_place(part: datasets.Dataset, column: str, place: Callable[[str], str]) -> bool:
    """Whether images that are stored as paths are elsewhere than these say; a `ValueError` if they may not be."""
    if place is keep_path:
        return False
    images = arrow_column(undecoded_images(part), column)
    if not pa.types.is_struct(images.type):
        return False
    is_path = pc.is_null(pc.struct_field(images, "bytes"))
    paths = pc.struct_field(images, "path").filter(is_path).drop_null().to_pylist()
    return any(place(path) != path for path in paths)


def _place(place: Callable[[str], str], path: str | None) -> str | None:
    return None if path is None else place(path)


def _words_conversion(column: str, feature: Any, separator: str) -> Conversion:
    if getattr(item_feature(feature), "dtype", None) not in (*_STRINGS, "null"):
        raise TypeError(
            f"column {column!r} must hold lists of strings, or strings with {separator!r} between words, got {feature}"
        )
    return Conversion(partial(_clean, separator), datasets.List(datasets.Value("string")))


def _clean(separator: str, value: Any) -> list[str]:
    words: Iterable[str | None] = value.split(separator) if isinstance(value, str) else value or ()
    return list(dict.fromkeys(word.strip() for word in words if word and word.strip()))


def _with_ids(part: Split, split: str) -> Split:
    text = datasets.Value("string")
    if "image_id" in part.column_names:
        return part if part.features["image_id"] == text else part.cast_column("image_id", text)
    if isinstance(part, datasets.IterableDataset):
        return part  # the number of a row is known where the stream is read, as a part of it may be
    return part.add_column("image_id", [f"{split}/{row}" for row in range(len(part))], feature=text)


def _rename(part: Split, columns: dict[str, str]) -> Split:
    """A column that the user named takes the place of one that had the name before."""
    taken = {*columns.values(), "label", "labels"} - set(columns)
    replaced = [name for name in part.column_names if name in taken]
    if replaced:
        logger.warning("Columns %s give way to the ones you named: %s.", replaced, columns)
        part = part.remove_columns(replaced)
    renamed = {old: new for old, new in columns.items() if old != new}
    return part.rename_columns(renamed) if renamed else part


def finish_stream(stream: datasets.IterableDataset, split: str) -> datasets.IterableDataset:
    """
    Give the rows of a stream decoded images and, if they have none, an `image_id`. It is `"<split>/<digest>"`, of the
    stored image or its path: a part of a stream, such as that of a worker, cannot number its rows.

    Args:
        stream (`datasets.IterableDataset`):
            A stream, as [`to_schema`] left it.
        split (`str`):
            Its name.

    Returns:
        `datasets.IterableDataset`
    """
    inputs = ("image",) if "image" in stream.features else _FEATURE_COLUMNS
    features = {**stream.features, "image_id": datasets.Value("string")}
    has_ids = "image_id" in stream.features
    images = [name for name, feature in features.items() if isinstance(feature, datasets.Image)]
    features |= {name: datasets.Image() for name in images}
    finish = partial(_finish, None if has_ids else split, images)
    return _in_order(stream.map(finish, features=datasets.Features(features)), inputs)


def _finish(split: str | None, images: list[str], row: dict[str, Any]) -> dict[str, Any]:
    new = {} if split is None else {"image_id": f"{split}/{_digest(row)}"}
    name = new.get("image_id") or row["image_id"]
    return {**new, **{column: _decoded(row[column], name) for column in images if row[column] is not None}}


def _digest(row: dict[str, Any]) -> str:
    stored = row["image"] if "image" in row else row["features"]
    content = (stored or {}).get("bytes") or str(stored).encode()
    return blake2b(content, digest_size=8).hexdigest()


def _decoded(stored: dict[str, Any], name: str) -> Any:
    try:
        return datasets.Image().decode_example(stored)
    except Exception:
        decode_image(stored, name)  # which names the image and says what to do
        raise


def _in_order(part: Split, inputs: tuple[str, ...]) -> Split:
    names = part.column_names
    schema = [name for name in (*inputs, "words", "label", "labels", "image_id") if name in names]
    return part.select_columns(schema + [name for name in names if name not in schema])
