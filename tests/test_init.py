"""`import xmodal_lt` is light, and makes transformers' Auto classes know every method, whatever is imported first."""

import subprocess
import sys

import pytest

import xmodal_lt
from xmodal_lt.registry import METHODS


HEAVY = ("torch", "torchvision", "timm", "datasets", "pandas", "transformers.models.auto.modeling_auto")

FIRST_IMPORTS = {
    "transformers": "import transformers",
    "auto_classes": "from transformers import AutoModel, AutoImageProcessor, AutoProcessor",
    "package": "import xmodal_lt, transformers",
    "vision_encoder": "from xmodal_lt.modeling.vision_encoder import VisionEncoder",
    "processing": "import xmodal_lt.processing",
    "training": "import xmodal_lt.training",
} | {method.model_type: f"import {method.modeling_module}" for method in METHODS}

CHECK_AUTO_CLASSES = """
import torch
import xmodal_lt
from transformers import AutoConfig, AutoModel, AutoModelForImageClassification
from transformers.models.auto.image_processing_auto import IMAGE_PROCESSOR_MAPPING
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING
from xmodal_lt.registry import METHODS

for method in METHODS:
    config = AutoConfig.for_model(method.model_type, backbone="test_resnet")
    assert type(config) is method.config_class()
    with torch.device("meta"):
        assert type(AutoModel.from_config(config)) is method.model_class()
        assert type(AutoModelForImageClassification.from_config(config)) is method.classifier_class()
    assert set(IMAGE_PROCESSOR_MAPPING[type(config)]) == {"torchvision", "pil"}
    assert PROCESSOR_MAPPING[type(config)] is xmodal_lt.XModalProcessor
"""


def run_python(code: str) -> str:
    """Runs code in a fresh interpreter and returns what it prints."""
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def test_import_loads_nothing_heavy():
    loaded = run_python("import sys, xmodal_lt; print(*sys.modules)").split()
    assert "xmodal_lt.registry" in loaded
    assert not set(HEAVY) & set(loaded)


@pytest.mark.slow
@pytest.mark.parametrize("first", FIRST_IMPORTS)
def test_auto_classes_know_every_method_whatever_is_imported_first(first):
    run_python(FIRST_IMPORTS[first] + CHECK_AUTO_CLASSES)


@pytest.mark.parametrize("name", dir(xmodal_lt))
def test_every_listed_name_resolves(name):
    assert getattr(xmodal_lt, name) is not None


def test_classes_of_every_method_are_listed():
    assert {name for m in METHODS for name in (m.config, m.model, m.classifier)} <= set(dir(xmodal_lt))


def test_unknown_attribute_is_an_error():
    with pytest.raises(AttributeError, match="module 'xmodal_lt' has no attribute 'CMLTNetForSegmentation'"):
        xmodal_lt.CMLTNetForSegmentation  # noqa: B018
