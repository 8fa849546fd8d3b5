"""Backbones behind one interface: timm models by name, transformers vision models as `hf:<folder>`."""

import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForImageClassification, ResNetConfig, ResNetModel, ViTModel

from xmodal_lt import ImageClassifierConfig
from xmodal_lt.modeling.vision_encoder import VisionEncoder, resolve_backbone_config


# `mobilenetv3_small_050`, `test_mambaout` and `lcnet_035` have a layer between pooling and classifier, of another
# width than their last feature map; `qwen3_vit_306m_enc` gives tokens, the others pooled features.
TIMM_MODELS = {
    "test_resnet": ({}, 32),
    "test_efficientnet": ({}, 32),
    "test_vit": ({}, 160),
    "test_convnext": ({}, 32),
    "regnetx_002": ({}, 32),
    "mobilenetv3_small_050": ({}, 32),
    "test_mambaout": ({}, 32),
    "lcnet_035": ({}, 32),
    "qwen3_vit_306m_enc": ({"depth": 1, "embed_dim": 32, "num_heads": 2, "img_size": 64}, 64),
}


@pytest.fixture
def hf_resnet(tmp_path) -> Path:
    """The folder of a tiny transformers ResNet with random weights."""
    config = ResNetConfig(embedding_size=4, hidden_sizes=[4, 8], depths=[1, 1], layer_type="basic")
    ResNetModel(config).save_pretrained(tmp_path / "hf_resnet")
    return tmp_path / "hf_resnet"


def make_encoder(backbone: str) -> VisionEncoder:
    return VisionEncoder(backbone, backbone_config=resolve_backbone_config(backbone)).eval()


@pytest.mark.parametrize("name", TIMM_MODELS)
def test_hidden_size_is_the_width_of_the_pooled_output(name):
    kwargs, size = TIMM_MODELS[name]
    encoder = VisionEncoder(name, kwargs).eval()
    with torch.no_grad():
        assert encoder(torch.zeros(2, 3, size, size)).shape == (2, encoder.hidden_size)


def test_hidden_size_of_a_backbone_with_a_wide_head():
    with torch.device("meta"):  # VGG has 130 million weights
        encoder = VisionEncoder("vgg11").eval()
        assert encoder(torch.zeros(2, 3, 32, 32)).shape == (2, encoder.hidden_size) == (2, 4096)


def test_backbone_arguments_reach_timm():
    encoder = VisionEncoder("resnet18", {"in_chans": 1})
    assert encoder.model.conv1.in_channels == 1


def test_unknown_timm_model_names_close_ones():
    with pytest.raises(ValueError, match=r"no model 'resnet1'.*Close names: .*resnet.*hf:<model id>"):
        VisionEncoder("resnet1")


def test_data_config_has_the_size_that_the_model_was_built_for():
    assert VisionEncoder("test_vit", {"img_size": 96}).data_config()["input_size"] == (3, 96, 96)


def test_transformers_backbone_has_no_data_config(hf_vit):
    with pytest.raises(ValueError, match="AutoImageProcessor"):
        make_encoder(f"hf:{hf_vit}").data_config()


def test_a_timm_name_needs_no_backbone_config():
    assert resolve_backbone_config("resnet18") is None


def test_transformers_vit_gives_its_pooled_output(hf_vit):
    encoder = make_encoder(f"hf:{hf_vit}")
    images = torch.randn(2, 3, 64, 64)
    assert encoder.hidden_size == 16
    assert isinstance(encoder.model, ViTModel)
    assert torch.equal(encoder(images), encoder.model(images).pooler_output)


def test_transformers_resnet_gives_a_vector_an_image(hf_resnet):
    encoder = make_encoder(f"hf:{hf_resnet}")
    assert encoder(torch.randn(2, 3, 32, 32)).shape == (2, encoder.hidden_size) == (2, 8)


def test_backbone_arguments_change_the_transformers_config(hf_vit):
    backbone = f"hf:{hf_vit}"
    encoder = VisionEncoder(backbone, {"num_hidden_layers": 1}, resolve_backbone_config(backbone))
    assert encoder.model.config.num_hidden_layers == 1


def test_transformers_backbone_needs_its_config(hf_vit):
    with pytest.raises(ValueError, match="needs `backbone_config`"):
        VisionEncoder(f"hf:{hf_vit}")


def test_clip_gives_its_vision_tower(hf_clip):
    encoder = make_encoder(f"hf:{hf_clip}")
    assert encoder.model.config.model_type == "clip_vision_model"
    assert encoder(torch.zeros(2, 3, 32, 32)).shape == (2, encoder.hidden_size) == (2, 16)


def test_a_transformers_backbone_without_hidden_size_is_an_error():
    with pytest.raises(ValueError, match="says no hidden size; use a timm model"):
        VisionEncoder("hf:some/efficientnet", backbone_config={"model_type": "efficientnet"})


def test_the_config_keeps_the_backbone_config(hf_vit, tmp_path):
    ImageClassifierConfig(backbone=f"hf:{hf_vit}").save_pretrained(tmp_path)
    assert ImageClassifierConfig.from_pretrained(tmp_path).backbone_config["hidden_size"] == 16


@pytest.mark.parametrize("folder", ["hf_vit", "hf_resnet", "hf_clip"])
def test_a_checkpoint_outlives_the_folder_of_its_backbone(
    folder, method, make_model, make_batch, request, tmp_path, transformers_warnings
):
    copied = shutil.copytree(request.getfixturevalue(folder), tmp_path / "backbone")
    side = {"hf_vit": 64, "hf_resnet": 64, "hf_clip": 32}[folder]
    model = make_model(method.model_type, backbone=f"hf:{copied}").eval()
    model.save_pretrained(tmp_path / "model")
    shutil.rmtree(copied)

    reloaded = AutoModelForImageClassification.from_pretrained(tmp_path / "model").eval()
    images = make_batch(model)["pixel_values"][..., :side, :side]
    # float32; weights from a mapped file may be summed in another order.
    torch.testing.assert_close(reloaded(pixel_values=images).logits, model(pixel_values=images).logits)
    assert transformers_warnings == []
