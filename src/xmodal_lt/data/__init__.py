import importlib

from .activitynet_captions import ActivityNetCaptions, ActivityNetCaptionsConfig
from .captions import caption_words
from .cifar100_lt import Cifar100LT, Cifar100LTConfig
from .class_stats import ClassStats
from .coco_lt import CocoLT
from .emoji_builder import EmojiLTConfig
from .emoji_lt import EmojiLT
from .emoji_lt_multilabel import EmojiLTMultilabel
from .feature_files import FEATURES, read_features
from .feature_source import FeatureSource
from .image_list_builder import ImageListConfig
from .images import decode_image
from .long_tail import long_tailed_counts, make_long_tailed
from .msr_vtt import MsrVtt, MsrVttConfig
from .registry import DatasetSpec, dataset_spec, list_datasets, load_lt
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
    "ActivityNetCaptions",
    "ActivityNetCaptionsConfig",
    "Cifar100LT",
    "Cifar100LTConfig",
    "ClassStats",
    "CocoLT",
    "ImageListConfig",
    "DatasetSpec",
    "EmojiLT",
    "EmojiLTConfig",
    "EmojiLTMultilabel",
    "FeatureSource",
    "MsrVtt",
    "MsrVttConfig",
    "VocLT",
    "VocLTConfig",
    "caption_words",
    "dataset_spec",
    "decode_image",
    "list_datasets",
    "load_lt",
    "long_tailed_counts",
    "make_long_tailed",
    "read_features",
    *_SAMPLERS,
]


def __getattr__(name: str):
    if name in _SAMPLERS:
        return getattr(importlib.import_module("xmodal_lt.data.samplers"), name)
    raise AttributeError(f"module 'xmodal_lt.data' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
