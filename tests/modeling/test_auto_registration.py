"""Every method behind transformers' Auto classes and pipelines."""

import pytest
import torch
from PIL import Image
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModel,
    AutoModelForImageClassification,
    AutoProcessor,
    pipeline,
)

from xmodal_lt.processing import (
    XModalLTImageProcessor,
    XModalLTImageProcessorPil,
    XModalProcessor,
    build_word_tokenizer,
)
from xmodal_lt.registry import get_method


LABELS = {0: "circle", 1: "square", 2: "triangle"}


@pytest.fixture
def config(method):
    return method.config_class()(
        backbone="test_resnet",
        id2label=LABELS,
        label2id={v: k for k, v in LABELS.items()},
        problem_type="single_label_classification",
    )


@pytest.fixture
def folder(method, config, tmp_path):
    """A checkpoint with the processors that a run leaves beside it."""
    torch.manual_seed(0)
    method.classifier_class()(config).save_pretrained(tmp_path)
    image_processor = XModalLTImageProcessor(size={"height": 64, "width": 64})
    image_processor.save_pretrained(tmp_path)
    XModalProcessor(image_processor, build_word_tokenizer([["red", "round"]])).save_pretrained(tmp_path)
    return tmp_path


def test_auto_config_makes_the_config(method):
    assert type(AutoConfig.for_model(method.model_type)) is method.config_class()


def test_auto_model_makes_the_base_model(method, config):
    assert type(AutoModel.from_config(config)) is method.model_class()


def test_auto_model_for_image_classification_makes_the_classifier(method, config):
    assert type(AutoModelForImageClassification.from_config(config)) is method.classifier_class()


def test_auto_classes_open_a_saved_classifier(method, folder):
    assert type(AutoModelForImageClassification.from_pretrained(folder)) is method.classifier_class()
    assert type(AutoModel.from_pretrained(folder)) is method.model_class()


def test_auto_processor_opens_a_saved_folder(folder):
    assert type(AutoProcessor.from_pretrained(folder)) is XModalProcessor


@pytest.mark.parametrize(
    ("backend", "expected"), [("torchvision", XModalLTImageProcessor), ("pil", XModalLTImageProcessorPil)]
)
def test_auto_image_processor_opens_a_saved_folder(folder, backend, expected):
    assert type(AutoImageProcessor.from_pretrained(folder, backend=backend)) is expected


def test_pipeline_scores_an_image(folder):
    scores = pipeline("image-classification", model=str(folder))(Image.new("RGB", (80, 64), "red"))
    assert {row["label"] for row in scores} == set(LABELS.values())
    assert sum(row["score"] for row in scores) == pytest.approx(1.0)


def test_model_types_are_those_of_the_configs(method):
    assert method.config_class().model_type == method.model_type
    assert method.model_class().config_class is method.config_class()
    assert method.classifier_class().base_model_prefix == method.model_class().base_model_prefix


def test_a_method_is_found_by_its_model_type(method):
    assert get_method(method.model_type) is method


def test_an_unknown_model_type_names_those_there_are():
    with pytest.raises(
        ValueError, match=r"Unknown model type 'resnet'; expected one of \['cmltnet', 'cprfl', 'crif', 'lt_classifier'"
    ):
        get_method("resnet")
