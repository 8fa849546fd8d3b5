from .class_stats import ClassStats
from .emoji_lt import EmojiLT, EmojiLTConfig
from .images import decode_image
from .registry import DatasetSpec, dataset_spec, list_datasets, load_lt


__all__ = [
    "ClassStats",
    "DatasetSpec",
    "EmojiLT",
    "EmojiLTConfig",
    "dataset_spec",
    "decode_image",
    "list_datasets",
    "load_lt",
]
