"""`load_lt`, which brings any data set to the one schema, as a table or as a stream."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from pathlib import Path
from typing import Any, Literal

import datasets

from .class_labels import encode_labels, has_class_labels, streamed_class_names
from .columns import finish_stream, to_schema
from .json_cache import cached_json
from .messages import check_choice
from .screening import fingerprint_of_images, screen_inputs, screen_words
from .sharded_stream import ShardedStream, index_streams
from .sources import RawSource, open_source
from .table import Splits


__all__ = ["load_lt", "open_streams"]

_CHOICES = {"missing_words": ("error", "skip", "keep"), "bad_images": ("error", "skip")}
# Options of `load_lt` that say what becomes of the columns.
_SCHEMA = ("image_column", "words_column", "label_column", "words_separator", *_CHOICES)


def load_lt(
    name_or_path: str | Path,
    data_dir: str | Path | None = None,
    *,
    image_column: str | None = None,
    words_column: str | None = None,
    label_column: str | None = None,
    words_separator: str = ",",
    missing_words: Literal["error", "skip", "keep"] = "error",
    bad_images: Literal["error", "skip"] = "error",
    file_dir: str | Path | None = None,
    streaming: bool = False,
    **kwargs: Any,
) -> Any:
    """
    Load a data set of images, or of videos as extracted features, with words and labels.

    Args:
        name_or_path (`str` or `pathlib.Path`):
            A name of [`list_datasets`]; a local folder (images, with `metadata.jsonl` or `metadata.csv`; parquet, csv
            or jsonl files; WebDataset shards, `.tar`; or what `save_to_disk` wrote) or file; or the id of a data set
            on the Hub. Without a column of images it must have `features`, paths of features extracted from videos,
            relative ones seen from the folder of the data: `"file.npy"` or `"file.h5::name"`, each an array [T, D]; it
            may have `privileged_features`, paths too, for training alone. The fields of the `.json` in WebDataset
            shards are columns, and so are the endings of its other files; the only kind of images is `image`, `.cls`
            the label, and the key `image_id`.
        data_dir (`str` or `pathlib.Path`, *optional*):
            Folder of the original files, for a name; a folder inside the data set, for a path or Hub id.
        image_column (`str`, *optional*, defaults to `"image"`):
            Column with images, or paths of images, relative ones seen from the folder of the data.
        words_column (`str`, *optional*, defaults to `"words"`, if there is one):
            Column with the describing words: lists of strings, or strings with separators. A data set without words
            can train models that need none.
        label_column (`str`, *optional*, defaults to `"label"` or `"labels"`):
            Column with class names, numbers or `ClassLabel`, or lists of them if a sample has several labels.
        words_separator (`str`, *optional*, defaults to `","`):
            What is between the words of a string.
        missing_words (`str`, *optional*, defaults to `"error"`):
            Training samples without words: `"error"`, `"skip"` them with a warning, or `"keep"` them with an empty
            list.
        bad_images (`str`, *optional*, defaults to `"error"`):
            Unreadable images or features: `"error"` when they are accessed, or `"skip"` them with a warning, for which
            every image or file is read once.
        file_dir (`str` or `pathlib.Path`, *optional*, defaults to the folder of the data):
            Folder in which all images and features lie that a table of your own names by their paths. A path that
            leads out of it is refused.
        streaming (`bool`, *optional*, defaults to `False`):
            Read rows when they are asked for, in their order, and keep none on this disk. Errors in them come up when
            they are read. Labels that are no `ClassLabel` are read once, to number the classes. Rows without an
            `image_id` get one made of their image, as a part of a stream cannot number them.
        **kwargs:
            Options of the builder (of `emoji-lt` and `emoji-lt-multilabel`: `styles`, `background`, `seed`; of
            `cifar100-lt`: `imbalance_ratio`, `profile`, `seed`, `hub_id`; of `msr-vtt`: `features`,
            `privileged_features`, `missing_features`, `validation_in_train`; of `activitynet-captions`: the first
            three of these, `level`; of `coco-lt`: `captions`; of `voc-lt`: `captions`, `difficult`; of `nus-wide`:
            `missing_images`, `drop_concept_tags`; of `vireofood-172`: `missing_images`, `validation`), `cache_dir`,
            `num_proc`, or what `datasets.load_dataset` takes.

    Returns:
        `datasets.DatasetDict`, or with `streaming` a `datasets.IterableDatasetDict`: Split `train`, and `validation`
        and `test` where the data set has them, with `image` (`Image`), or `features` and perhaps
        `privileged_features` (`FEATURES`, references that [`read_features`] takes), `words` (`List(Value("string"))`,
        absent without words), `label` (`ClassLabel`) or `labels` (`List(ClassLabel)`), `image_id`
        (`Value("string")`), then its other columns.

    Raises:
        ImportError: If the data set needs an extra that is not installed.
        FileNotFoundError: If a local path does not exist.
        ValueError: If the name is unknown; a column is missing; a path leads out of the folder of the data; a sample
            has no label, or in training no words; or a split has a label of which train has no sample.
        TypeError: If a column holds something unusable.

    Example:

    ```python
    >>> from xmodal_lt.data import load_lt

    >>> load_lt("emoji-lt")["train"].column_names
    ['image', 'words', 'label', 'image_id', 'name']
    ```
    """
    schema = {
        "image_column": image_column,
        "words_column": words_column,
        "label_column": label_column,
        "words_separator": words_separator,
        "missing_words": missing_words,
        "bad_images": bad_images,
    }
    source = open_source(name_or_path, data_dir, file_dir, streaming, kwargs)
    if not streaming:
        return encode_labels(_prepare(source, schema))  # last, so that only what is left counts as seen in training
    streams = _prepare(source, schema)
    names = None
    if not has_class_labels(streams["train"]):
        names = _class_names(source, _without_images(source, schema, streams), _key(source, schema))
    streams = encode_labels(streams, names)
    return datasets.IterableDatasetDict({split: finish_stream(part, split) for split, part in streams.items()})


def open_streams(
    name_or_path: str | Path, data_dir: str | Path | None = None, **options: Any
) -> dict[str, ShardedStream]:
    """
    Open a data set of images as streams to train on, which know how many rows they have and where.

    What is small of a row, all but its image, is read once and kept on this disk, in the cache of `datasets`, until
    the data is another one.

    Args:
        name_or_path (`str` or `pathlib.Path`):
            As for [`load_lt`].
        data_dir (`str` or `pathlib.Path`, *optional*):
            As for [`load_lt`].
        **options:
            The other arguments of [`load_lt`].

    Returns:
        `dict[str, ShardedStream]`: By split.

    Raises:
        ValueError: As by [`load_lt`]; if it is of videos, whose features are read from their files one by one anyway.
    """
    file_dir = options.pop("file_dir", None)
    defaults = signature(load_lt).parameters
    schema = {name: options.pop(name, defaults[name].default) for name in _SCHEMA}
    source = open_source(name_or_path, data_dir, file_dir, True, options)
    streams = _prepare(source, schema)
    if "image" not in streams["train"].column_names:
        raise ValueError(
            f"{name_or_path} is of videos, whose features are read one by one from their files: load it without "
            "streaming, which would gain nothing"
        )
    small, key = _without_images(source, schema, streams), _key(source, schema)
    names = None if has_class_labels(streams["train"]) else _class_names(source, small, key)
    return index_streams(encode_labels(streams, names), encode_labels(small, names), key, source.cache_dir)


def _without_images(source: RawSource, schema: Mapping[str, Any], streams: Splits) -> Splits:
    """The rows of streams without their images, where these need not be read; else the streams."""
    unread = source.without_images(schema["image_column"] or "image") if schema["bad_images"] == "error" else None
    return streams if unread is None else _prepare(unread, schema)


def _class_names(source: RawSource, streams: Splits, key: str) -> list[str]:
    """The names of the classes of streams that have no `ClassLabel`."""
    return cached_json("class_names", key, lambda: streamed_class_names(streams["train"]), source.cache_dir)


def _key(source: RawSource, schema: Mapping[str, Any]) -> str:
    """Other text if the rows are other ones: those of which the images can be read are, if the images are."""
    images = fingerprint_of_images(_to_schema(source, schema)) if schema["bad_images"] == "skip" else ""
    return f"{source.key} {schema} {images}"


def _to_schema(source: RawSource, schema: Mapping[str, Any]) -> Splits:
    columns = {name: value for name, value in schema.items() if name not in _CHOICES}
    return to_schema(source.splits, **columns, place=source.place)


def _prepare(source: RawSource, schema: Mapping[str, Any]) -> Splits:
    """The columns of the one schema, and the rows to keep, by the options of [`load_lt`]."""
    for option, choices in _CHOICES.items():
        check_choice(option, schema[option], choices)
    dataset = _to_schema(source, schema)
    if schema["bad_images"] == "skip":
        dataset = screen_inputs(dataset)
    return screen_words(dataset, schema["missing_words"])
