import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from export_models import (
    GRU,
    NAMES,
    SIZE,
    VILT,
    image_processor,
    make_model,
    places_in,
    predict,
    random_images,
    random_videos,
    tokenizer,
)
from transformers import ViTConfig, ViTForImageClassification, ViTModel

from xmodal_lt.hub.export_to_onnx import OPSET, export_onnx
from xmodal_lt.hub.exportable import Exportable, check_export
from xmodal_lt.processing import XModalFeatureExtractor
from xmodal_lt.registry import METHODS, Method


onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


def _session(file: Path) -> Any:
    return onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])


def _assert_same(file: Path, model: Any, **inputs: torch.Tensor) -> None:
    given = _session(file).run(None, {name: tensor.numpy() for name, tensor in inputs.items()})
    expected = predict(model, **inputs)
    assert len(given) == len(expected)
    for array, tensor in zip(given, expected, strict=True):
        np.testing.assert_allclose(array, tensor.numpy(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.model_type)
def test_a_model_of_every_method_is_one_file_that_predicts_the_same(method: Method, tmp_path: Path):
    model = make_model(method.model_type)
    model.set_stage(next(iter(model.stages)))  # what a model is exported in does not matter
    words = tokenizer(model)
    file = export_onnx(model, tmp_path, image_processor(), words)

    assert list(tmp_path.iterdir()) == [file] and not places_in(file)
    assert model.training
    for count in (1, 5):
        _assert_same(file, model, pixel_values=random_images(count))
    session = _session(file)
    assert [value.shape for value in session.get_inputs()] == [["batch", 3, SIZE, SIZE]]
    assert [value.name for value in session.get_outputs()] == ["logits", *(["word_logits"] if words else [])]
    graph = onnx.load(file)
    assert graph.opset_import[0].version == OPSET
    names = " ".join(weight.name for weight in graph.graph.initializer)
    assert "vision_encoder" in names and not any(part in names for part in ("word_encoder", "text_encoder"))


def test_the_file_says_what_its_classes_and_words_are_and_how_images_are_prepared(tmp_path: Path):
    model = make_model("cmltnet", **GRU)
    extractor = XModalFeatureExtractor(feature_size=5, max_steps=30)
    file = export_onnx(model, tmp_path, extractor, tokenizer(model))

    metadata = _session(file).get_modelmeta().custom_metadata_map
    assert metadata["model_type"] == "cmltnet" and metadata["problem_type"] == "single_label_classification"
    assert json.loads(metadata["labels"]) == list(NAMES)
    assert json.loads(metadata["words"]) == [f"word {number}" for number in range(10)]
    assert json.loads(metadata["preprocessing"])["max_steps"] == 30


@pytest.mark.parametrize("model_type", ["lt_classifier", "crif"])
def test_videos_of_a_gru_may_have_any_number_of_steps(model_type: str, tmp_path: Path):
    model = make_model(model_type, **GRU)
    file = export_onnx(model, tmp_path)
    assert not places_in(file)
    for count, steps in ((1, 3), (4, 20)):
        _assert_same(file, model, **random_videos(count, steps))


@pytest.mark.slow
@pytest.mark.parametrize("model_type", ["crif", "vl_ltr"])
def test_videos_of_a_vilt_may_have_any_number_of_steps_up_to_its_longest(model_type: str, tmp_path: Path):
    model = make_model(model_type, **VILT)
    file = export_onnx(model, tmp_path)
    for count, steps in ((1, 3), (4, 12)):
        _assert_same(file, model, **random_videos(count, steps))


@pytest.mark.slow
@pytest.mark.parametrize("head", ["knn", "fc", "zero_shot", "nearest_mean"])
def test_every_head_of_vl_ltr(head: str, tmp_path: Path):
    model = make_model("vl_ltr")
    other = type(model)(type(model.config).from_dict({**model.config.to_dict(), "head": head}))
    shared = {
        key: value for key, value in model.state_dict().items() if key in other.state_dict() and "head" not in key
    }
    other.load_state_dict(shared, strict=False)
    _assert_same(export_onnx(other, tmp_path, image_processor()), other, pixel_values=random_images(3))


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"backbone": "repvgg_a0"},
        {"backbone": "test_vit", "backbone_kwargs": {"img_size": SIZE}},
        {
            "backbone": "swin_tiny_patch4_window7_224",
            "backbone_kwargs": {"img_size": SIZE, "window_size": 4, "depths": (1, 1, 1, 1), "embed_dim": 24},
        },
        {"backbone": "eva02_tiny_patch14_224", "backbone_kwargs": {"img_size": 56, "depth": 2}},
    ],
    ids=lambda settings: settings["backbone"],
)
def test_backbones_with_branches_and_with_buffers_that_no_checkpoint_holds(settings: dict, tmp_path: Path):
    model = make_model("lt_classifier", **settings)
    file = export_onnx(model, tmp_path)
    shape = _session(file).get_inputs()[0].shape
    _assert_same(file, model, pixel_values=torch.randn(3, *shape[1:]))


@pytest.mark.slow
def test_a_backbone_of_transformers(tmp_path: Path):
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    ViTModel(ViTConfig(image_size=48, patch_size=16, **sizes)).save_pretrained(tmp_path / "vit")
    model = make_model("lt_classifier", backbone=f"hf:{tmp_path / 'vit'}")
    file = export_onnx(model, tmp_path / "onnx")
    assert not places_in(file) and bytes(tmp_path) not in file.read_bytes()
    _assert_same(file, model, pixel_values=torch.randn(3, 3, 48, 48))


@pytest.mark.slow
def test_a_model_in_half_precision_is_exported_in_float32(tmp_path: Path):
    model = make_model("lt_classifier").bfloat16()
    file = export_onnx(model, tmp_path, image_processor())
    _assert_same(file, model.float(), pixel_values=random_images(2))


@pytest.mark.parametrize("wrong", [1e-3, float("nan")])
def test_an_export_that_predicts_something_else_is_refused(wrong: float):
    exportable = Exportable.from_model(make_model("lt_classifier"), image_processor())
    check_export(exportable, exportable.module, "file")
    with pytest.raises(ValueError, match=r"The file gives other logits than the model, .* in a batch of 1"):
        check_export(exportable, lambda *inputs: [logits + wrong for logits in exportable.module(*inputs)], "file")


def test_a_model_of_another_library_is_refused(tmp_path: Path):
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    with pytest.raises(ValueError, match="ViTForImageClassification is no model of xmodal_lt"):
        export_onnx(ViTForImageClassification(ViTConfig(**sizes)), tmp_path)


def test_a_missing_package_is_named_with_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ImportError, match=r"onnxruntime.*xmodal-lt\[onnx\]"):
        export_onnx(make_model("lt_classifier"), tmp_path)
