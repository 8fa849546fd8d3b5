"""Cross-modal long-tailed image classification: words while you train, images alone when you predict.

Importing the package registers its models and processors with transformers' Auto classes; nothing heavy is loaded
until it is used.
"""

import importlib

from xmodal_lt.registry import METHODS


__version__ = "0.1.0"

_SUBMODULES = ("analysis", "data", "losses", "metrics", "modeling", "processing", "training")

_ATTRIBUTES = {
    name: module
    for method in METHODS
    for name, module in (
        (method.config, method.config_module),
        (method.model, method.modeling_module),
        (method.classifier, method.modeling_module),
    )
} | {
    "ClassStats": "xmodal_lt.data",
    "LongTailTrainer": "xmodal_lt.training",
    "LongTailTrainingArguments": "xmodal_lt.training",
    "Recipe": "xmodal_lt.training",
    "XModalCollator": "xmodal_lt.processing",
    "XModalFeatureExtractor": "xmodal_lt.processing",
    "XModalLTImageProcessor": "xmodal_lt.processing",
    "XModalLTImageProcessorPil": "xmodal_lt.processing",
    "XModalProcessor": "xmodal_lt.processing",
    "build_word_tokenizer": "xmodal_lt.processing",
    "list_datasets": "xmodal_lt.data",
    "load_lt": "xmodal_lt.data",
    "make_long_tailed": "xmodal_lt.data",
    "run_recipe": "xmodal_lt.training",
}

__all__ = sorted([*_SUBMODULES, *_ATTRIBUTES, "__version__"])


def __getattr__(name: str):
    if name in _SUBMODULES:
        return importlib.import_module(f"xmodal_lt.{name}")
    if name in _ATTRIBUTES:
        return getattr(importlib.import_module(_ATTRIBUTES[name]), name)
    raise AttributeError(f"module 'xmodal_lt' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
