"""Data sets by name: what is known of each, and what builds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import datasets

from xmodal_lt.metrics.groups import Boundaries

from . import (
    activitynet_files,
    class_list,
    coco_files,
    dataset_facts,
    imagenet_lt,
    inaturalist_files,
    msr_vtt_files,
    nus_wide_files,
    places_lt,
    vireofood_files,
    voc_files,
)
from .activitynet_captions import ActivityNetCaptions
from .cifar100_lt import Cifar100LT
from .coco_lt import CocoLT
from .dataset_facts import Facts
from .emoji_lt import EmojiLT
from .emoji_lt_multilabel import EmojiLTMultilabel
from .image_list import IDS_HOMEPAGE, LISTS_HOMEPAGE
from .imagenet_lt import ImageNetLT
from .inaturalist_2018 import INaturalist2018
from .messages import did_you_mean
from .msr_vtt import MsrVtt
from .nus_wide import NusWide
from .places_lt import PlacesLT
from .vireofood_172 import VireoFood172
from .voc_lt import VocLT


__all__ = ["DatasetSpec", "dataset_spec", "list_datasets"]


@dataclass(frozen=True)
class DatasetSpec:
    """
    What is known of a data set.

    Args:
        name (`str`):
            Name for [`~xmodal_lt.data.load_lt`].
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
        redistribution (`bool`, *optional*, defaults to `False`):
            Whether its licence allows everyone to pass its images on.
        facts (`tuple[Fact, ...]`, *optional*):
            Numbers that are published about it.
    """

    name: str
    builder: type[datasets.DatasetBuilder]
    problem_type: Literal["single_label_classification", "multi_label_classification"]
    access: str
    homepage: str
    head: int = 100
    tail: int = 20
    boundaries: Boundaries = "decoupling"
    redistribution: bool = False
    facts: Facts = ()


_EMOJI_ACCESS = '`pip install "xmodal-lt[emoji]"`; drawings CC-BY-4.0 (Twemoji) and CC-BY-SA-4.0 (OpenMoji)'
_OPENMOJI = "https://openmoji.org"

_SPECS = {
    spec.name: spec
    for spec in (
        DatasetSpec(
            name="activitynet-captions",
            builder=ActivityNetCaptions,
            problem_type="single_label_classification",
            facts=dataset_facts.ACTIVITYNET_CAPTIONS,
            access="no licence is stated, and videos are not part of it; `data_dir` with train.json, val_1.json and "
            "val_2.json from the home page and activity_net.v1-3.min.json from http://activity-net.org/download.html, "
            "and `features`, which you extract or download",
            homepage=activitynet_files.HOMEPAGE,
        ),
        DatasetSpec(
            name="cifar100-lt",
            builder=Cifar100LT,
            problem_type="single_label_classification",
            facts=dataset_facts.CIFAR100_LT,
            access="no licence is stated; `data_dir` with your copy of cifar-100-python.tar.gz, or its folder, from "
            'the home page, or `hub_id="uoft-cs/cifar100"`',
            homepage="https://www.cs.toronto.edu/~kriz/cifar.html",
        ),
        DatasetSpec(
            name="coco-lt",
            builder=CocoLT,
            problem_type="multi_label_classification",
            facts=dataset_facts.COCO_LT,
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
            facts=dataset_facts.EMOJI_LT,
            access=_EMOJI_ACCESS,
            homepage=_OPENMOJI,
            redistribution=True,
        ),
        DatasetSpec(
            name="emoji-lt-multilabel",
            builder=EmojiLTMultilabel,
            problem_type="multi_label_classification",
            facts=dataset_facts.EMOJI_LT_MULTILABEL,
            access=_EMOJI_ACCESS,
            homepage=_OPENMOJI,
            redistribution=True,
            boundaries="multilabel",
        ),
        DatasetSpec(
            name="imagenet-lt",
            builder=ImageNetLT,
            problem_type="single_label_classification",
            facts=dataset_facts.IMAGENET_LT,
            access="images under the terms of access of ImageNet, for non-commercial research and education; "
            "`data_dir` with train and val from the home page and with ImageNet_LT_train.txt, ImageNet_LT_val.txt and "
            f"ImageNet_LT_test.txt from {class_list.LISTS_HOMEPAGE}",
            homepage=imagenet_lt.HOMEPAGE,
        ),
        DatasetSpec(
            name="inaturalist-2018",
            builder=INaturalist2018,
            problem_type="single_label_classification",
            facts=dataset_facts.INATURALIST_2018,
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
            facts=dataset_facts.MSR_VTT,
            access="no licence is stated, and videos are not part of it; `data_dir` with "
            "train_val_videodatainfo.json and test_videodatainfo.json of the MS multimedia challenge, today from "
            "public mirrors, and `features`, which you extract or obtain",
            homepage=msr_vtt_files.HOMEPAGE,
        ),
        DatasetSpec(
            name="nus-wide",
            builder=NusWide,
            problem_type="multi_label_classification",
            facts=dataset_facts.NUS_WIDE,
            access="no licence is stated, images under the terms of use of Flickr, given on request; `data_dir` with "
            "NUS-WIDE.zip and NUS_WID_Tags.zip from the home page, unpacked, with ImageList of the first release, and "
            "with Flickr, the images",
            homepage=nus_wide_files.HOMEPAGE,
            head=5000,
            tail=2000,
        ),
        DatasetSpec(
            name="places-lt",
            builder=PlacesLT,
            problem_type="single_label_classification",
            facts=dataset_facts.PLACES_LT,
            access="images under the terms of use of Places, for non-commercial research and education; `data_dir` "
            "with train and val from the home page and with Places_LT_train.txt, Places_LT_val.txt and "
            f"Places_LT_test.txt from {class_list.LISTS_HOMEPAGE}",
            homepage=places_lt.HOMEPAGE,
        ),
        DatasetSpec(
            name="vireofood-172",
            builder=VireoFood172,
            problem_type="single_label_classification",
            facts=dataset_facts.VIREOFOOD_172,
            access="no licence is stated, given on request by the form on the home page; `data_dir` with "
            "ready_chinese_food, the images, and SplitAndIngreLabel",
            homepage=vireofood_files.HOMEPAGE,
            head=500,
            tail=300,
        ),
        DatasetSpec(
            name="voc-lt",
            builder=VocLT,
            problem_type="multi_label_classification",
            facts=dataset_facts.VOC_LT,
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
    Names that [`~xmodal_lt.data.load_lt`] knows.

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
