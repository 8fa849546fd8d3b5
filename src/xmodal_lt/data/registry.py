"""Data sets by name, and `load_lt`, which brings any data set to the one schema."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import datasets

from xmodal_lt.metrics.groups import Boundaries

from . import (
    activitynet_files,
    class_list,
    coco_files,
    imagenet_lt,
    inaturalist_files,
    msr_vtt_files,
    places_lt,
    voc_files,
)
from .activitynet_captions import ActivityNetCaptions
from .cifar100_lt import Cifar100LT
from .class_labels import encode_labels
from .coco_lt import CocoLT
from .columns import to_schema
from .emoji_lt import EmojiLT
from .emoji_lt_multilabel import EmojiLTMultilabel
from .image_list import IDS_HOMEPAGE, LISTS_HOMEPAGE
from .imagenet_lt import ImageNetLT
from .inaturalist_2018 import INaturalist2018
from .local import FILE_FORMATS, read_local
from .messages import check_choice, did_you_mean
from .msr_vtt import MsrVtt
from .places_lt import PlacesLT
from .screening import screen_inputs, screen_words
from .voc_lt import VocLT


__all__ = ["DatasetSpec", "dataset_spec", "list_datasets", "load_lt"]

_HUB_ID = re.compile(r"\w[\w.-]*/[\w.-]+")


@dataclass(frozen=True)
class DatasetSpec:
    """
    What is known of a data set.

    Args:
        name (`str`):
            Name for [`load_lt`].
        builder (`type[datasets.DatasetBuilder]`):
            Builds it.
        problem_type (`str`):
            `"single_label_classification"` or `"multi_label_classification"`.
        access (`str`):
            Licence, and how to get the files.
        homepage (`str`):
            Where it is described.
        head (`int`, *optional*, defaults to 100):
            Upper threshold of its frequency groups.
        tail (`int`, *optional*, defaults to 20):
            Lower threshold of its frequency groups.
        boundaries (`str`, *optional*, defaults to `"decoupling"`):
            The group of a class that is exactly at a threshold.
    """

    name: str
    builder: type[datasets.DatasetBuilder]
    problem_type: Literal["single_label_classification", "multi_label_classification"]
    access: str
    homepage: str
    head: int = 100
    tail: int = 20
    boundaries: Boundaries = "decoupling"


_EMOJI_ACCESS = '`pip install "xmodal-lt[emoji]"`; drawings CC-BY-4.0 (Twemoji) and CC-BY-SA-4.0 (OpenMoji)'
_OPENMOJI = "https://openmoji.org"

_SPECS = {
    spec.name: spec
    for spec in (
        DatasetSpec(
            name="activitynet-captions",
            builder=ActivityNetCaptions,
            problem_type="single_label_classification",
            access="no licence is stated, and videos are not part of it; `data_dir` with train.json, val_1.json and "
            "val_2.json from the home page and activity_net.v1-3.min.json from http://activity-net.org/download.html, "
            "and `features`, which you extract or download",
            homepage=activitynet_files.HOMEPAGE,
        ),
        DatasetSpec(
            name="cifar100-lt",
            builder=Cifar100LT,
            problem_type="single_label_classification",
            access="no licence is stated; `data_dir` with your copy of cifar-100-python.tar.gz, or its folder, from "
            'the home page, or `hub_id="uoft-cs/cifar100"`',
            homepage="https://www.cs.toronto.edu/~kriz/cifar.html",
        ),
        DatasetSpec(
            name="coco-lt",
            builder=CocoLT,
            problem_type="multi_label_classification",
            access="annotations CC-BY-4.0, images under the terms of use of Flickr, no licence is stated for the "
            "lists; `data_dir` with train2017, val2017 and annotations from the home page and with coco_lt_train.txt "
            f"and coco_lt_test.txt from {LISTS_HOMEPAGE}, or in place of these img_id.pkl from {IDS_HOMEPAGE}",
            homepage=coco_files.HOMEPAGE,
            boundaries="multilabel",
        ),
        DatasetSpec(
            name="emoji-lt",
            builder=EmojiLT,
            problem_type="single_label_classification",
            access=_EMOJI_ACCESS,
            homepage=_OPENMOJI,
        ),
        DatasetSpec(
            name="emoji-lt-multilabel",
            builder=EmojiLTMultilabel,
            problem_type="multi_label_classification",
            access=_EMOJI_ACCESS,
            homepage=_OPENMOJI,
            boundaries="multilabel",
        ),
        DatasetSpec(
            name="imagenet-lt",
            builder=ImageNetLT,
            problem_type="single_label_classification",
            access="images under the terms of access of ImageNet, for non-commercial research and education; "
            "`data_dir` with train and val from the home page and with ImageNet_LT_train.txt, ImageNet_LT_val.txt and "
            f"ImageNet_LT_test.txt from {class_list.LISTS_HOMEPAGE}",
            homepage=imagenet_lt.HOMEPAGE,
        ),
        DatasetSpec(
            name="inaturalist-2018",
            builder=INaturalist2018,
            problem_type="single_label_classification",
            access="images under licences of their own, for non-commercial research and education; `data_dir` with "
            "train_val2018, train2018.json, val2018.json and categories.json from the home page, or in place of the "
            "first two files iNaturalist18_train.txt and iNaturalist18_val.txt from "
            f"{inaturalist_files.LISTS_HOMEPAGE}",
            homepage=inaturalist_files.HOMEPAGE,
        ),
        DatasetSpec(
            name="msr-vtt",
            builder=MsrVtt,
            problem_type="single_label_classification",
            access="no licence is stated, and videos are not part of it; `data_dir` with "
            "train_val_videodatainfo.json and test_videodatainfo.json of the MS multimedia challenge, today from "
            "public mirrors, and `features`, which you extract or obtain",
            homepage=msr_vtt_files.HOMEPAGE,
        ),
        DatasetSpec(
            name="places-lt",
            builder=PlacesLT,
            problem_type="single_label_classification",
            access="images under the terms of use of Places, for non-commercial research and education; `data_dir` "
            "with train and val from the home page and with Places_LT_train.txt, Places_LT_val.txt and "
            f"Places_LT_test.txt from {class_list.LISTS_HOMEPAGE}",
            homepage=places_lt.HOMEPAGE,
        ),
        DatasetSpec(
            name="voc-lt",
            builder=VocLT,
            problem_type="multi_label_classification",
            access="images under the terms of use of Flickr, no licence is stated for the lists; `data_dir` with "
            "VOCdevkit/VOC2012 and VOCdevkit/VOC2007 from the home page and with voc_lt_train.txt and voc_lt_test.txt "
            f"from {LISTS_HOMEPAGE}, or in place of these img_id.txt from {IDS_HOMEPAGE}",
            homepage=voc_files.HOMEPAGE,
            boundaries="multilabel",
        ),
    )
}


def list_datasets() -> list[str]:
    """
    Names that [`load_lt`] knows.

    Returns:
        `list[str]`: Sorted.

    Example:

    ```python
    >>> from xmodal_lt.data import list_datasets

    >>> "emoji-lt" in list_datasets()
    True
    ```
    """
    return sorted(_SPECS)


def dataset_spec(name: str) -> DatasetSpec:
    """
    Look up a data set.

    Args:
        name (`str`):
            One of [`list_datasets`].

    Returns:
        [`DatasetSpec`]

    Raises:
        ValueError: If there is none of that name.
    """
    if name not in _SPECS:
        raise ValueError(
            f"unknown data set {name!r}.{did_you_mean(name, _SPECS)} Known names are "
            f"{list_datasets()}; anything else must be a local folder or file that exists, or a Hub id 'owner/name'"
        )
    return _SPECS[name]


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
    **kwargs: Any,
) -> datasets.DatasetDict:
    """
    Load a data set of images, or of videos as extracted features, with words and labels.

    Args:
        name_or_path (`str` or `pathlib.Path`):
            A name of [`list_datasets`]; a local folder (images, with `metadata.jsonl` or `metadata.csv`; parquet, csv
            or jsonl files; or what `save_to_disk` wrote) or file; or the id of a data set on the Hub. Without a column
            of images it must have `features`, paths of features extracted from videos, relative ones seen from the
            folder of the data: `"file.npy"` or `"file.h5::name"`, each an array [T, D]; it may have
            `privileged_features`, paths too, for training alone.
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
        **kwargs:
            Options of the builder (of `emoji-lt` and `emoji-lt-multilabel`: `styles`, `background`, `seed`; of
            `cifar100-lt`: `imbalance_ratio`, `profile`, `seed`, `hub_id`; of `msr-vtt`: `features`,
            `privileged_features`, `missing_features`, `validation_in_train`; of `activitynet-captions`: the first
            three of these, `level`; of `coco-lt`: `captions`; of `voc-lt`: `captions`, `difficult`), `cache_dir`,
            `num_proc`, or what `datasets.load_dataset` takes.

    Returns:
        `datasets.DatasetDict`: Split `train`, and `validation` and `test` where the data set has them, with `image`
        (`Image`), or `features` and perhaps `privileged_features` (`FEATURES`, references that [`read_features`]
        takes), `words` (`List(Value("string"))`, absent without words), `label` (`ClassLabel`) or `labels`
        (`List(ClassLabel)`), `image_id` (`Value("string")`), then its other columns.

    Raises:
        ImportError: If the data set needs an extra that is not installed.
        FileNotFoundError: If a local path does not exist.
        ValueError: If the name is unknown; a column is missing; a sample has no label, or in training no words; or a
            split has a label of which train has no sample.
        TypeError: If a column holds something unusable.

    Example:

    ```python
    >>> from xmodal_lt.data import load_lt

    >>> load_lt("emoji-lt")["train"].column_names
    ['image', 'words', 'label', 'image_id', 'name']
    ```
    """
    check_choice("missing_words", missing_words, ("error", "skip", "keep"))
    check_choice("bad_images", bad_images, ("error", "skip"))
    dataset, base_dir = _read(str(name_or_path), None if data_dir is None else str(data_dir), kwargs)
    if not isinstance(dataset, datasets.DatasetDict):
        raise TypeError(
            f"load_lt reads all splits, but `datasets` gave a {type(dataset).__name__}: leave out {list(kwargs)}"
        )
    dataset = to_schema(dataset, image_column, words_column, label_column, words_separator, base_dir)
    if bad_images == "skip":
        dataset = screen_inputs(dataset)
    # Last, so that only what is left counts as seen in training.
    return encode_labels(screen_words(dataset, missing_words))


def _read(name: str, data_dir: str | None, kwargs: dict[str, Any]) -> tuple[datasets.DatasetDict, Path | None]:
    """The raw data set and the folder that relative paths in it start from."""
    if name not in _SPECS:
        path = Path(name).expanduser()
        if path.exists() or path.suffix in FILE_FORMATS or name.startswith(("/", ".", "~")):
            path = (path / (data_dir or "")).absolute()
            return read_local(path, **kwargs), path.parent if path.is_file() else path
        if _HUB_ID.fullmatch(name):
            return datasets.load_dataset(name, data_dir=data_dir, **kwargs), None
    num_proc = kwargs.pop("num_proc", None)
    builder = dataset_spec(name).builder(data_dir=data_dir, **kwargs)
    builder.download_and_prepare(num_proc=num_proc)
    return builder.as_dataset(), None
