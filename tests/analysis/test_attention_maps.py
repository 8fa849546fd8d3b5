from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import CLIPVisionConfig, ResNetConfig, SwinConfig, ViTConfig

from xmodal_lt.analysis.attention_maps import attention_maps, images_as_seen, overlay, plot_attention_maps
from xmodal_lt.analysis.cam_targets import CamTarget, cam_target
from xmodal_lt.modeling.vision_encoder import VisionEncoder
from xmodal_lt.processing import XModalLTImageProcessor
from xmodal_lt.registry import get_method


pytest.importorskip("pytorch_grad_cam")

SIZES = {"shared_size": 8, "semantic_size": 6, "transfer_hidden_size": 7, "word_embedding_size": 4}
SETTINGS = {
    "cmltnet": {"vocab_size": 12, "top_k": 3, "word_fusion": "mean", **SIZES},
    "cprfl": {"problem_type": "single_label_classification", "hidden_size": 8, "num_heads": 2, "head_size": 6},
    "crif": {"vocab_size": 12, "word_decoder": "lstm", **SIZES},
    "lt_classifier": {},
    "vl_ltr": {"num_anchors": 4, "embed_size": 6},
}
BRANCHES = {
    "cmltnet": ["aligned", "inferred", "fused"],
    "cprfl": ["logits"],
    "crif": ["aligned", "inferred", "fused"],
    "lt_classifier": ["logits"],
    "vl_ltr": ["visual", "text"],
}


def build(model_type, backbone="test_resnet", **settings):
    torch.manual_seed(0)
    method = get_method(model_type)
    config = method.config_class()(backbone=backbone, num_labels=3, **SETTINGS[model_type], **settings)
    model = method.classifier_class()(config).eval()
    if model_type == "vl_ltr":
        model.set_class_text(torch.randn(3, 6), torch.randn(3, 4, 6), torch.tensor([1, 2, 4]))
    return model


def images(count=2, height=64, width=64):
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(0))


def by_hand(model, pixel_values, score_of):
    """Grad-CAM of one image written out, for a score that is made of the model's output."""
    kept = []
    layer = model.get_vision_encoder().model.layer4
    handle = layer.register_forward_hook(lambda module, inputs, activations: kept.append(activations))
    score = score_of(model(pixel_values=pixel_values))
    handle.remove()
    (gradient,) = torch.autograd.grad(score, kept[0])
    cells = (gradient.mean(dim=(2, 3), keepdim=True) * kept[0]).sum(dim=1).relu().detach()
    places = torch.nn.functional.interpolate(cells[None], pixel_values.shape[-2:], mode="bilinear")[0, 0]
    return ((places - places.min()) / (places.max() - places.min()).clamp(min=1e-7)).numpy()


@pytest.mark.parametrize("model_type", BRANCHES)
def test_every_method_has_a_map_for_each_of_its_branches(model_type):
    model = build(model_type)
    maps = attention_maps(model, images())
    assert list(maps) == BRANCHES[model_type]
    for of_branch in maps.values():
        assert of_branch.shape == (2, 64, 64)
        assert of_branch.min() == 0
        assert set(of_branch.max(axis=(1, 2)).round(3)) <= {0.0, 1.0}


def test_a_map_is_the_gradient_weighted_sum_of_the_last_stage():
    model, pixel_values = build("crif"), images(1, 160, 160)
    maps = attention_maps(model, pixel_values.expand(3, -1, -1, -1), classes=[0, 1, 2])
    for branch, got in maps.items():
        for label in range(3):
            expected = by_hand(model, pixel_values, lambda outputs: outputs[f"{branch}_logits"][0, label])  # noqa: B023
            assert got[label] == pytest.approx(expected, abs=1e-3)
        assert got.max() > 0.9


def test_an_image_has_the_same_map_alone_and_in_a_batch_and_another_for_another_class():
    model, pixel_values = build("crif"), images(3)
    batch = attention_maps(model, pixel_values, classes=[0, 1, 2])["fused"]
    alone = attention_maps(model, pixel_values[1:2], classes=[1])["fused"]
    other = attention_maps(model, pixel_values[1:2], classes=[2])["fused"]
    assert alone[0] == pytest.approx(batch[1], abs=1e-4)
    assert np.abs(alone - other).max() > 0.1


def test_the_class_is_the_models_own_best_unless_it_is_given():
    model, pixel_values = build("lt_classifier"), images(2)
    best = model(pixel_values=pixel_values).logits.argmax(-1).tolist()
    expected = attention_maps(model, pixel_values, classes=best)["logits"]
    assert np.array_equal(attention_maps(model, pixel_values)["logits"], expected)


def test_words_that_cmltnet_chooses_count_by_their_logits():
    model, pixel_values = build("cmltnet"), images(1, 160, 160)
    got = attention_maps(model, pixel_values.expand(3, -1, -1, -1), classes=[0, 1, 2])["inferred"]
    # The score of a class is the mean of what the chosen words give it; each counts as much as the word is seen.
    gains = (model.inferred_classifier.weight @ model.cmltnet.word_embedding.weight.T / 3).detach()
    chosen = model(pixel_values=pixel_values).word_logits[0].topk(3).indices
    expected = [
        by_hand(model, pixel_values, lambda outputs, gain=gain: (gain * outputs.word_logits[0])[chosen].sum())
        for gain in gains
    ]
    assert got == pytest.approx(np.array(expected), abs=1e-3)
    assert got.max() > 0.9


def test_the_model_is_left_as_it_was():
    model, pixel_values = build("cmltnet").train(), images(1)
    model.get_vision_encoder().requires_grad_(False)
    model.fused_classifier.weight.grad = gradient = torch.ones_like(model.fused_classifier.weight)
    flags = [parameter.requires_grad for parameter in model.parameters()]
    attention_maps(model, pixel_values)
    assert model.training
    assert [parameter.requires_grad for parameter in model.parameters()] == flags
    assert model.fused_classifier.weight.grad is gradient
    assert not any(module._forward_hooks for module in model.modules())


def test_maps_lie_the_right_way_up_in_images_that_are_not_square():
    """A bright spot in the upper right of a wide image, and a ViT whose class token reads where there is light."""
    model = build("lt_classifier", "test_vit", backbone_kwargs={"img_size": (64, 128)})
    target = cam_target(model.get_vision_encoder(), images(1, 64, 128))
    assert target.places == 32
    tokens = torch.zeros(1, 33, 5)
    tokens[0, 1 + 7, :] = 1  # the last place of the first row, behind the class token
    assert target.as_map(tokens)[0, 0].nonzero().tolist() == [[0, 7]]
    assert attention_maps(model, images(1, 64, 128))["logits"].shape == (1, 64, 128)


@pytest.mark.parametrize(
    ("backbone", "kwargs", "layer"),
    [
        ("tf_efficientnet_lite0", {}, "blocks.6"),
        pytest.param("resnet50_clip", {"img_size": 64}, "final_conv", marks=pytest.mark.slow),
        ("test_vit", {"img_size": 64}, "blocks.5.norm1"),
        ("eva02_tiny_patch14_224", {"img_size": 56, "depth": 2}, "blocks.1.norm1"),
        (
            "swin_tiny_patch4_window7_224",
            {"img_size": 64, "window_size": 4, "depths": (1, 1, 1, 1), "embed_dim": 24},
            "layers.3",
        ),
    ],
)
def test_the_layer_is_chosen_by_the_kind_of_timm_backbone(backbone, kwargs, layer):
    side = kwargs.get("img_size", 64)
    model = build("lt_classifier", backbone, backbone_kwargs=kwargs)
    target = cam_target(model.get_vision_encoder(), images(1, side, side))
    assert target.layer is model.get_vision_encoder().model.get_submodule(layer)
    with torch.no_grad():  # so that what does not speak for the one class speaks for the other
        model.classifier.weight[1] = -model.classifier.weight[0]
    maps = attention_maps(model, images(1, side, side).expand(2, -1, -1, -1), classes=[0, 1])["logits"]
    assert maps.max() == pytest.approx(1, abs=1e-3)


SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}


@pytest.mark.parametrize(
    ("config", "layer"),
    [
        (ViTConfig(image_size=64, patch_size=16, **SMALL), "layers.1.layernorm_before"),
        (CLIPVisionConfig(image_size=64, patch_size=16, **SMALL), "encoder.layers.1.layer_norm1"),
        (ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic"), "encoder.stages.1"),
        (
            SwinConfig(image_size=64, embed_dim=12, depths=[1, 1], num_heads=[1, 2], window_size=4),
            "encoder.layers.1.blocks.0.layernorm_before",
        ),
    ],
    ids=["vit", "clip", "resnet", "swin"],
)
def test_the_layer_is_chosen_by_the_kind_of_transformers_backbone(config, layer):
    model = build("lt_classifier", f"hf:{config.model_type}", backbone_config=config.to_dict())
    target = cam_target(model.get_vision_encoder(), images(1))
    assert target.layer is model.get_vision_encoder().model.get_submodule(layer)
    assert attention_maps(model, images(1), classes=[0])["logits"].shape == (1, 64, 64)


def test_backbones_without_a_map_of_features_are_refused():
    videos = VisionEncoder("features:gru", {"input_size": 4})
    with pytest.raises(ValueError, match="takes videos as sequences of features"):
        cam_target(videos, images(1))
    with pytest.raises(ValueError, match=r"tokens fill no grid of the image's shape\. Choose a backbone"):
        CamTarget(torch.nn.Identity(), False, 1.0).as_map(torch.zeros(1, 7, 2))
    with pytest.raises(ValueError, match="gives no single map of features"):
        CamTarget(torch.nn.Identity(), False, 1.0).as_map((torch.zeros(1, 2, 4, 4),))


@pytest.mark.parametrize("classes", [[0], [0, 3], [0, -1]])
def test_a_class_for_each_image_is_asked_for(classes):
    with pytest.raises(ValueError, match="expected a class from 0 to 2 for each of 2 images; got"):
        attention_maps(build("lt_classifier"), images(2), classes)


def test_images_are_shown_as_the_model_sees_them():
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 48, 3), dtype=np.uint8))
    processor = XModalLTImageProcessor(size={"height": 48, "width": 48})
    (seen,) = images_as_seen(processor(picture, return_tensors="pt")["pixel_values"], processor)
    assert np.array_equal(np.asarray(seen), np.asarray(picture))


def test_panels_show_the_image_and_each_branch_under_its_name():
    pictures = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    maps = {name: np.linspace(0, 1, 128).reshape(2, 8, 8) for name in ("aligned", "inferred", "fused")}
    fig = plot_attention_maps(pictures, maps, ["whale (tail) $x", "sky (head)"], title="Attention")
    fig.draw_without_rendering()
    axes = np.array(fig.axes).reshape(2, 4)
    assert [ax.get_title() for ax in axes[0]] == ["image", "visual", "cross-modal", "fused"]
    assert [row[0].get_ylabel() for row in axes] == ["whale (tail) $x", "sky (head)"]
    assert np.array_equal(axes[1, 0].images[0].get_array(), np.asarray(pictures[1]))
    assert np.array_equal(axes[1, 3].images[0].get_array(), np.asarray(overlay(pictures[1], maps["fused"][1])))


def test_a_map_that_is_all_zero_is_marked():
    maps = {"aligned": np.zeros((1, 8, 8)), "fused": np.eye(8)[None]}
    fig = plot_attention_maps([Image.new("RGB", (8, 8))], maps, ["whale (tail)"])
    assert [ax.get_xlabel() for ax in fig.axes] == ["", "no evidence", ""]


def test_a_map_is_blue_where_it_is_low_and_red_where_it_is_high():
    low, high = np.asarray(overlay(Image.new("RGB", (2, 1), "black"), [[0.0, 1.0]]))[0].astype(int)
    assert low[2] > low[0] and high[0] > high[2]


@pytest.mark.parametrize(
    ("maps", "names", "message"),
    [
        ({}, ["a"], r"got 1 images, 1 names and maps of \{\}"),
        ({"fused": np.zeros((2, 8, 8))}, ["a"], r"maps of \{'fused': 2\}"),
        ({"fused": np.zeros((1, 8, 8))}, [], "got 1 images, 0 names"),
        ({"fused": np.zeros((1, 4, 4))}, ["a"], r"the map has shape \(4, 4\), and the image 8 rows of 8 pixels"),
    ],
)
def test_maps_that_do_not_fit_the_images_are_refused(maps, names, message):
    with pytest.raises(ValueError, match=message):
        plot_attention_maps([Image.new("RGB", (8, 8))], maps, names)
