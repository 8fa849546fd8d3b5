"""Backbones behind one interface: timm models by name, transformers vision models as `hf:<folder>`."""

import shutil
from pathlib import Path

import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModelForImageClassification,
    ResNetConfig,
    ResNetModel,
    SwinConfig,
    SwinModel,
    ViTModel,
)

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


@pytest.fixture
def hf_swin(tmp_path) -> Path:
    """The folder of a tiny transformers Swin with random weights."""
    config = SwinConfig(image_size=64, embed_dim=8, depths=[1, 1], num_heads=[1, 2], window_size=4)
    SwinModel(config).save_pretrained(tmp_path / "hf_swin")
    return tmp_path / "hf_swin"


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


class TestLocalFeatures:
    """Arguments, height, width and expected number of places of timm models; the small ViT of DeiT has two class
    tokens, Swin has its channels last, and the mobile nets a wider layer behind the pooling."""

    TIMM = {
        "test_resnet": ({}, (64, 96), 2 * 3),
        "test_convnext": ({}, (64, 96), 2 * 3),
        "test_vit": ({"img_size": (32, 48)}, (32, 48), 2 * 3),
        "deit_tiny_distilled_patch16_224": ({"img_size": (32, 48), "depth": 1, "embed_dim": 12}, (32, 48), 2 * 3),
        "swin_tiny_patch4_window7_224": (
            {"img_size": (64, 96), "window_size": 4, "depths": (1, 1, 1, 1), "embed_dim": 24},
            (64, 96),
            2 * 3,
        ),
        "mobilenetv3_small_050": ({}, (64, 96), 2 * 3),
        "lcnet_035": ({}, (64, 96), 2 * 3),
    }

    @pytest.mark.parametrize("name", TIMM)
    def test_are_as_many_as_the_places_of_timms_map(self, name):
        kwargs, size, num_places = self.TIMM[name]
        encoder = VisionEncoder(name, kwargs).eval()
        with torch.no_grad():
            assert encoder.local_features(torch.randn(2, 3, *size)).shape == (2, num_places, encoder.local_size)

    @pytest.mark.parametrize(("folder", "side", "num_places"), [("hf_resnet", 64, 64), ("hf_vit", 64, 16)])
    def test_are_as_many_as_the_places_of_a_transformers_model(self, folder, side, num_places, request):
        encoder = make_encoder(f"hf:{request.getfixturevalue(folder)}")
        assert encoder.local_features(torch.randn(2, 3, side, side)).shape == (2, num_places, encoder.local_size)

    def test_are_those_of_the_merged_patches_of_a_transformers_swin(self, hf_swin):
        encoder, images = make_encoder(f"hf:{hf_swin}"), torch.randn(2, 3, 64, 64)
        local = encoder.local_features(images)
        assert local.shape == (2, 8 * 8, encoder.local_size) == (2, 64, 16)
        torch.testing.assert_close(local.mean(dim=1), encoder(images))

    def test_are_the_patches_of_a_transformers_vit(self, hf_vit):
        encoder, images = make_encoder(f"hf:{hf_vit}"), torch.randn(2, 3, 64, 64)
        tokens = encoder.model(pixel_values=images).last_hidden_state
        assert torch.equal(encoder.local_features(images), tokens[:, 1:])

    def test_of_a_clip_are_the_patches_of_its_images(self, hf_clip):
        assert make_encoder(f"hf:{hf_clip}").local_features(torch.zeros(1, 3, 32, 32)).shape == (1, 4, 16)

    def test_leave_out_both_class_tokens_of_a_distilled_deit(self):
        kwargs, size, _ = self.TIMM["deit_tiny_distilled_patch16_224"]
        encoder, images = VisionEncoder("deit_tiny_distilled_patch16_224", kwargs).eval(), torch.randn(1, 3, *size)
        assert torch.equal(encoder.local_features(images), encoder.model.forward_features(images)[:, 2:])

    @pytest.mark.parametrize(
        ("name", "channels_last"), [("test_convnext", False), ("swin_tiny_patch4_window7_224", True)]
    )
    def test_go_row_by_row(self, name, channels_last):
        kwargs, size, _ = self.TIMM[name]
        encoder, images = VisionEncoder(name, kwargs).eval(), torch.randn(1, 3, *size)
        feature_map = encoder.model.forward_features(images)[0]
        feature_map = feature_map if channels_last else feature_map.permute(1, 2, 0)
        rows = [feature_map[y, x] for y in range(2) for x in range(3)]
        assert torch.equal(encoder.local_features(images)[0], torch.stack(rows))

    @pytest.mark.parametrize("name", ["test_resnet", "swin_tiny_patch4_window7_224"])
    def test_mean_is_the_pooled_feature(self, name):
        kwargs, size, _ = self.TIMM[name]
        encoder, images = VisionEncoder(name, kwargs).eval(), torch.randn(2, 3, *size)
        torch.testing.assert_close(encoder.local_features(images).mean(dim=1), encoder(images))

    def test_are_narrower_than_the_pooled_feature_of_a_mobile_net(self):
        encoder = VisionEncoder("mobilenetv3_small_050")
        assert encoder.local_size < encoder.hidden_size

    @pytest.mark.parametrize(("name", "num_places"), [("coat_lite_tiny", 7 * 7), ("volo_d1_224", 14 * 14)])
    def test_leave_out_class_tokens_that_timm_does_not_count(self, name, num_places):
        with torch.device("meta"):
            local = VisionEncoder(name).eval().local_features(torch.zeros(1, 3, 224, 224))
        assert local.shape[1] == num_places

    @pytest.mark.parametrize("name", ["coat_tiny", "crossvit_tiny_240", "pit_ti_224", "pit_ti_distilled_224"])
    def test_of_models_without_a_single_map_are_an_error(self, name):
        """PiT gives its class tokens alone."""
        with torch.device("meta"):
            encoder = VisionEncoder(name).eval()
            images = torch.zeros(1, 3, *encoder.data_config()["input_size"][1:])
            with pytest.raises(ValueError, match=f"{type(encoder.model).__name__} has .*choose a backbone such as"):
                encoder.local_features(images)

    @pytest.mark.parametrize("model_type", ["pvt", "dinov3_convnext"])
    def test_of_transformers_models_without_equal_patches_are_an_error(self, model_type):
        """Their last states have a class token or a pooled feature before the places."""
        with torch.device("meta"):
            encoder = VisionEncoder(f"hf:{model_type}", backbone_config=AutoConfig.for_model(model_type).to_dict())
            with pytest.raises(ValueError, match="choose a backbone such as"):
                encoder.local_features(torch.zeros(1, 3, 224, 224))

    def test_of_videos_are_an_error(self):
        encoder = VisionEncoder("features:gru", {"input_size": 4, "hidden_size": 6})
        with pytest.raises(ValueError, match="have no places; local features are those of images"):
            encoder.local_features(torch.zeros(1, 2, 4))
