"""The one schema of every data set: `image` or `features`, `words`, `label` or `labels`, `image_id`."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

import datasets

from .feature_columns import with_references
from .messages import did_you_mean
from .table import column_values, item_feature, replace_column


__all__ = ["to_schema"]

logger = logging.getLogger(__name__)

_STRINGS = ("string", "large_string")
_FEATURE_COLUMNS = ("features", "privileged_features")


def to_schema(
    dataset: datasets.DatasetDict,
    image_column: str | None = None,
    words_column: str | None = None,
    label_column: str | None = None,
    words_separator: str = ",",
    base_dir: Path | None = None,
) -> datasets.DatasetDict:
    """
    Bring the columns of a data set to the one schema; other columns follow behind, untouched. No image is decoded, and
    no file of features is opened.

    A data set without a column of images may have features of videos instead: their paths in the column `features`,
    and in `privileged_features` those of features that only training has.

    Args:
        dataset (`datasets.DatasetDict`):
            Splits, one of them `"train"`.
        image_column (`str`, *optional*, defaults to `"image"`):
            Images, paths of images, or encoded images.
        words_column (`str`, *optional*, defaults to `"words"`, if there is one):
            Lists of strings, or strings that hold words and separators. Other splits than train need none.
        label_column (`str`, *optional*, defaults to `"label"` or `"labels"`):
            Labels, or lists of them if a sample has several.
        words_separator (`str`, *optional*, defaults to `","`):
            What is between the words of a string.
        base_dir (`pathlib.Path`, *optional*, defaults to the current folder):
            Where relative paths of images and features start.

    Returns:
        `datasets.DatasetDict`: `image` (`Image`), or `features` and `privileged_features` (`FEATURES`), `words`
        (`List(Value("string"))`, where there are words), `label` as it was, or `labels` if it holds lists, `image_id`
        (`Value("string")`, `"<split>/<row>"` if new).

    Raises:
        ValueError: If there is no train split, or a column is missing.
        TypeError: If the images, features or words are something else.
    """
    if "train" not in dataset:
        raise ValueError(f"expected a split named 'train' to learn from, got {list(dataset)}. Rename the split")
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
        if image_column is None:
            part = _with_features(part, split, base_dir)
        else:
            part = _with_images(part, image_column, base_dir)
        if words_column is not None and words_column in part.column_names:
            part = _with_words(part, words_column, words_separator)
        part = _rename(part, {old: new for old, new in columns.items() if old in part.column_names})
        parts[split] = _in_order(_with_ids(part, split), ("image",) if image_column else _FEATURE_COLUMNS)
    return datasets.DatasetDict(parts)


def _find_images(dataset: dict[str, datasets.Dataset], named: str | None) -> str | None:
    """The column of images, `None` if the data set has features instead."""
    columns = dataset["train"].column_names
    if named is None and "image" not in columns and "features" in columns:
        return None
    return _find(dataset, named, ("image",), "image_column")


def _find(dataset: dict[str, datasets.Dataset], named: str | None, usual: tuple[str, ...], option: str) -> str:
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


def _with_features(part: datasets.Dataset, split: str, base_dir: Path | None) -> datasets.Dataset:
    if "features" not in part.column_names:
        raise ValueError(
            f"split {split!r} has no column 'features', as train has; its columns are {part.column_names}"
        )
    for column in _FEATURE_COLUMNS:
        if column in part.column_names:
            part = with_references(part, column, base_dir)
    return part


def _with_images(part: datasets.Dataset, column: str, base_dir: Path | None) -> datasets.Dataset:
    feature = part.features[column]
    dtype = getattr(feature, "dtype", None)
    if isinstance(feature, datasets.Image) and feature.decode:
        return part
    if dtype in _STRINGS and base_dir is not None:
        paths = [_locate(path, base_dir) for path in column_values(part, column)]
        part = replace_column(part, column, paths, datasets.Value("string"))
    elif not (
        isinstance(feature, datasets.Image)
        or dtype in (*_STRINGS, "binary", "large_binary")
        or (isinstance(feature, dict) and {"bytes", "path"} <= set(feature))
    ):
        raise TypeError(f"column {column!r} must hold images, their paths or their encoded bytes, got {feature}")
    return part.cast_column(column, datasets.Image())


def _locate(path: str | None, base_dir: Path) -> str | None:
    return path if path is None or "://" in path else str(base_dir / path)


def _with_words(part: datasets.Dataset, column: str, separator: str) -> datasets.Dataset:
    feature = part.features[column]
    if getattr(item_feature(feature), "dtype", None) not in (*_STRINGS, "null"):
        raise TypeError(
            f"column {column!r} must hold lists of strings, or strings with {separator!r} between words, got {feature}"
        )
    rows = column_values(part, column)
    words = [_clean(row.split(separator) if isinstance(row, str) else row or ()) for row in rows]
    wanted = datasets.List(datasets.Value("string"))
    return part if words == rows and feature == wanted else replace_column(part, column, words, wanted)


def _clean(words: Iterable[str | None]) -> list[str]:
    return list(dict.fromkeys(word.strip() for word in words if word and word.strip()))


def _with_ids(part: datasets.Dataset, split: str) -> datasets.Dataset:
    text = datasets.Value("string")
    if "image_id" not in part.column_names:
        return part.add_column("image_id", [f"{split}/{row}" for row in range(len(part))], feature=text)
    return part if part.features["image_id"] == text else part.cast_column("image_id", text)


def _rename(part: datasets.Dataset, columns: dict[str, str]) -> datasets.Dataset:
    """A column that the user named takes the place of one that had the name before."""
    taken = {*columns.values(), "label", "labels"} - set(columns)
    replaced = [name for name in part.column_names if name in taken]
    if replaced:
        logger.warning("Columns %s give way to the ones you named: %s.", replaced, columns)
    return part.remove_columns(replaced).rename_columns({old: new for old, new in columns.items() if old != new})


def _in_order(part: datasets.Dataset, inputs: tuple[str, ...]) -> datasets.Dataset:
    schema = [name for name in (*inputs, "words", "label", "labels", "image_id") if name in part.column_names]
    return part.select_columns(schema + [name for name in part.column_names if name not in schema])
