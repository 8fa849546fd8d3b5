"""The methods of this package, and their registration with transformers' Auto classes.

Adding a method means adding one line to `METHODS`.
"""

import importlib
from dataclasses import dataclass
from typing import Any

import wrapt


@dataclass(frozen=True)
class Method:
    """Names of a method's classes; the files are `configuration_<model_type>.py` and `modeling_<model_type>.py`."""

    model_type: str
    config: str
    model: str
    classifier: str

    @property
    def config_module(self) -> str:
        return f"xmodal_lt.modeling.configuration_{self.model_type}"

    @property
    def modeling_module(self) -> str:
        return f"xmodal_lt.modeling.modeling_{self.model_type}"

    def config_class(self) -> Any:
        return getattr(importlib.import_module(self.config_module), self.config)

    def model_class(self) -> Any:
        return getattr(importlib.import_module(self.modeling_module), self.model)

    def classifier_class(self) -> Any:
        return getattr(importlib.import_module(self.modeling_module), self.classifier)


METHODS = (
    Method("cmltnet", "CMLTNetConfig", "CMLTNetModel", "CMLTNetForImageClassification"),
    Method("cprfl", "CPRFLConfig", "CPRFLModel", "CPRFLForImageClassification"),
    Method("crif", "CRIFConfig", "CRIFModel", "CRIFForImageClassification"),
    Method("lt_classifier", "ImageClassifierConfig", "ImageClassifierModel", "ImageClassifier"),
    Method("vl_ltr", "VLLTRConfig", "VLLTRModel", "VLLTRForImageClassification"),
)


def get_method(model_type: str) -> Method:
    """The method of that `model_type`.

    Raises:
        ValueError: when there is none.
    """
    for method in METHODS:
        if method.model_type == model_type:
            return method
    raise ValueError(f"Unknown model type {model_type!r}; expected one of {[m.model_type for m in METHODS]}.")


# The Auto classes import torch, which takes seconds; so each registration waits until its module is imported, which
# is at once where it already is.


@wrapt.when_imported("transformers.models.auto.configuration_auto")
def _register_configs(module) -> None:
    for method in METHODS:
        module.AutoConfig.register(method.model_type, method.config_class(), exist_ok=True)


@wrapt.when_imported("transformers.models.auto.modeling_auto")
def _register_models(module) -> None:
    for method in METHODS:
        module.AutoModel.register(method.config_class(), method.model_class(), exist_ok=True)
        classifier = method.classifier_class()
        module.AutoModelForImageClassification.register(method.config_class(), classifier, exist_ok=True)


@wrapt.when_imported("transformers.models.auto.image_processing_auto")
def _register_image_processors(module) -> None:
    processing = importlib.import_module("xmodal_lt.processing")
    backends = {"torchvision": processing.XModalLTImageProcessor, "pil": processing.XModalLTImageProcessorPil}
    for method in METHODS:
        module.AutoImageProcessor.register(method.config_class(), image_processor_classes=backends, exist_ok=True)


@wrapt.when_imported("transformers.models.auto.feature_extraction_auto")
def _register_feature_extractors(module) -> None:
    processing = importlib.import_module("xmodal_lt.processing")
    for method in METHODS:
        module.AutoFeatureExtractor.register(method.config_class(), processing.XModalFeatureExtractor, exist_ok=True)


@wrapt.when_imported("transformers.models.auto.processing_auto")
def _register_processors(module) -> None:
    processing = importlib.import_module("xmodal_lt.processing")
    for method in METHODS:
        module.AutoProcessor.register(method.config_class(), processing.XModalProcessor, exist_ok=True)


__all__ = ["METHODS", "Method", "get_method"]
