"""The processors behind transformers' Auto classes and pipelines, with a small model of their own."""

import pytest
import torch
from PIL import Image
from torch import nn
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModelForImageClassification,
    AutoProcessor,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    pipeline,
)
from transformers.modeling_outputs import ImageClassifierOutput

from xmodal_lt.processing import XModalLTImageProcessor, XModalLTImageProcessorPil, XModalProcessor


class MeanColourConfig(PreTrainedConfig):
    model_type = "xmodal_lt_mean_colour"


class MeanColourModel(PreTrainedModel):
    """Scores an image by its mean red, green and blue."""

    config_class = MeanColourConfig
    main_input_name = "pixel_values"

    def __init__(self, config: MeanColourConfig) -> None:
        super().__init__(config)
        self.scale = nn.Linear(1, 1)
        self.post_init()

    def forward(self, pixel_values: torch.Tensor) -> ImageClassifierOutput:
        return ImageClassifierOutput(logits=pixel_values.mean(dim=(2, 3)))


@pytest.fixture(scope="module", autouse=True)
def register() -> None:
    backends = {"torchvision": XModalLTImageProcessor, "pil": XModalLTImageProcessorPil}
    AutoConfig.register(MeanColourConfig.model_type, MeanColourConfig)
    AutoModelForImageClassification.register(MeanColourConfig, MeanColourModel)
    AutoImageProcessor.register(MeanColourConfig, image_processor_classes=backends)
    AutoProcessor.register(MeanColourConfig, XModalProcessor)


@pytest.fixture
def saved(processor, tmp_path):
    config = MeanColourConfig(num_labels=3, id2label={0: "red", 1: "green", 2: "blue"})
    MeanColourModel(config).save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    return tmp_path


def test_auto_processor(saved, processor):
    loaded = AutoProcessor.from_pretrained(saved)
    assert isinstance(loaded, XModalProcessor)
    assert loaded.to_dict() == processor.to_dict()
    assert loaded.tokenizer.get_vocab() == processor.tokenizer.get_vocab()


def test_max_words_per_image_is_saved(processor, tmp_path):
    XModalProcessor(processor.image_processor, processor.tokenizer, max_words_per_image=3).save_pretrained(tmp_path)
    assert XModalProcessor.from_pretrained(tmp_path).max_words_per_image == 3


def test_a_used_processor_saves_the_same_tokenizer(saved, processor, tmp_path):
    processor(words=[["red"], ["car", "red"]], return_tensors="pt")
    processor.save_pretrained(tmp_path / "again")
    assert (tmp_path / "again" / "tokenizer.json").read_text() == (saved / "tokenizer.json").read_text()


@pytest.mark.parametrize(
    ("backend", "expected"), [("torchvision", XModalLTImageProcessor), ("pil", XModalLTImageProcessorPil)]
)
def test_auto_image_processor_reads_the_processor_folder(saved, processor, backend, expected):
    loaded = AutoImageProcessor.from_pretrained(saved, backend=backend)
    assert type(loaded) is expected
    assert loaded.to_dict() == processor.image_processor.to_dict()


def test_auto_image_processor_reads_its_own_folder(tmp_path):
    XModalLTImageProcessorPil(size={"height": 8, "width": 8}).save_pretrained(tmp_path)
    assert type(AutoImageProcessor.from_pretrained(tmp_path)) is XModalLTImageProcessor


def test_auto_tokenizer_reads_the_processor_folder(saved, processor):
    assert AutoTokenizer.from_pretrained(saved).get_vocab() == processor.tokenizer.get_vocab()


def test_pipeline_from_the_folder(saved):
    classify = pipeline("image-classification", model=str(saved))
    assert classify(Image.new("RGB", (20, 30), "blue"), top_k=1)[0]["label"] == "blue"


def test_pipeline_with_a_given_image_processor(saved, processor):
    model = MeanColourModel.from_pretrained(saved)
    classify = pipeline("image-classification", model=model, image_processor=processor.image_processor)
    assert [best[0]["label"] for best in classify([Image.new("RGB", (9, 9), c) for c in ("red", "lime")])] == [
        "red",
        "green",
    ]
