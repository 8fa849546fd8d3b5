import importlib

from .activitynet_captions import ActivityNetCaptions, ActivityNetCaptionsConfig
from .captions import caption_words
from .cifar100_lt import Cifar100LT, Cifar100LTConfig
from .class_corpus import ClassCorpus, build_corpus
from .class_stats import ClassStats
from .coco_lt import CocoLT
from .convert import ConvertedDataset, convert_dataset
from .dataset_check import DatasetReport, check_dataset
from .emoji_builder import EmojiLTConfig
from .emoji_lt import EmojiLT
from .emoji_lt_multilabel import EmojiLTMultilabel
from .feature_files import FEATURES, read_features
from .feature_source import FeatureSource
from .image_list_builder import ImageListConfig
from .imagenet_lt import ImageNetLT
from .images import decode_image
from .inaturalist_2018 import INaturalist2018
from .loading import load_lt
from .long_tail import long_tailed_counts, make_long_tailed
from .missing_files import missing_files
from .msr_vtt import MsrVtt, MsrVttConfig
from .nus_wide import NusWide, NusWideConfig
from .places_lt import PlacesLT
from .prompt_templates import PROMPT_TEMPLATES
from .registry import DatasetSpec, dataset_spec, list_datasets
from .vireofood_172 import VireoFood172, VireoFood172Config
from .voc_lt import VocLT, VocLTConfig


# Loaded when they are used: they need torch, which takes seconds and which nothing else here does.
_SAMPLERS = (
    "SAMPLERS",
    "ClassAwareSampler",
    "DualSampler",
    "EffectiveNumberSampler",
    "ReversedSampler",
    "SquareRootSampler",
    "bbn_mixing_weight",
    "build_sampler",
)

__all__ = [
    "FEATURES",
    "PROMPT_TEMPLATES",
    "ActivityNetCaptions",
    "ActivityNetCaptionsConfig",
    "Cifar100LT",
    "Cifar100LTConfig",
    "ClassCorpus",
    "ClassStats",
    "CocoLT",
    "ConvertedDataset",
    "ImageListConfig",
    "DatasetReport",
    "DatasetSpec",
    "EmojiLT",
    "EmojiLTConfig",
    "EmojiLTMultilabel",
    "FeatureSource",
    "INaturalist2018",
    "ImageNetLT",
    "MsrVtt",
    "MsrVttConfig",
    "NusWide",
    "NusWideConfig",
    "PlacesLT",
    "VireoFood172",
    "VireoFood172Config",
    "VocLT",
    "VocLTConfig",
    "build_corpus",
    "caption_words",
    "check_dataset",
    "convert_dataset",
    "dataset_spec",
    "decode_image",
    "list_datasets",
    "load_lt",
    "long_tailed_counts",
    "make_long_tailed",
    "missing_files",
    "read_features",
    *_SAMPLERS,
]


def __getattr__(name: str):
    if name in _SAMPLERS:
        return getattr(importlib.import_module("xmodal_lt.data.samplers"), name)
    raise AttributeError(f"module 'xmodal_lt.data' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
