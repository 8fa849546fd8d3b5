import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from export_models import GRU, NAMES, image_processor, make_model, predict, random_images
from PIL import Image
from timm.data import create_transform, resolve_model_data_config

from xmodal_lt.hub.export_to_timm import export_timm
from xmodal_lt.processing import XModalLTImageProcessor


# Run where xmodal_lt cannot be imported.
LOADER = """
import sys
sys.modules["xmodal_lt"] = None
import timm, torch
model = timm.create_model("local-dir:" + sys.argv[1], pretrained=True).eval()
images = torch.load(sys.argv[2])
torch.save(model(images), sys.argv[3])
"""


def _load(folder: Path) -> Any:
    return timm.create_model(f"local-dir:{folder}", pretrained=True).eval()


@pytest.mark.parametrize(
    "settings",
    [{}, {"backbone": "repvgg_a0"}, {"backbone": "test_efficientnet", "dropout": 0.5}],
    ids=["class scales", "branches", "dropout"],
)
def test_timm_loads_the_folder_and_predicts_the_same(settings: dict[str, Any], tmp_path: Path):
    model = make_model("lt_classifier", **settings)
    with torch.no_grad():
        model.class_scales.weight.copy_(torch.tensor([0.5, 1.0, 2.0]))
    assert export_timm(model, tmp_path) == tmp_path

    assert {file.name for file in tmp_path.iterdir()} == {"config.json", "model.safetensors"}
    loaded = _load(tmp_path)
    images = random_images(3)
    torch.testing.assert_close(loaded(images), predict(model, pixel_values=images)[0], rtol=1e-4, atol=1e-5)
    assert loaded.pretrained_cfg["label_names"] == list(NAMES)


def test_arguments_of_the_backbone_are_kept_and_nothing_is_claimed_of_timms_weights(tmp_path: Path):
    kwargs = {"img_size": 64, "window_size": 4, "depths": (1, 1, 1, 1), "embed_dim": 24}
    model = make_model("lt_classifier", backbone="swin_tiny_patch4_window7_224", backbone_kwargs=kwargs)
    export_timm(model, tmp_path)

    config = json.loads((tmp_path / "config.json").read_text())
    assert config["architecture"] == "swin_tiny_patch4_window7_224" and config["num_classes"] == 3
    assert config["pretrained_cfg"]["input_size"] == [3, 64, 64]
    assert not {"tag", "license", "url", "hf_hub_id"} & set(config["pretrained_cfg"])
    images = random_images(2)
    torch.testing.assert_close(_load(tmp_path)(images), predict(model, pixel_values=images)[0])


@pytest.mark.parametrize(
    "processor",
    [
        XModalLTImageProcessor(size={"height": 48, "width": 48}, image_mean=[0.5] * 3, image_std=[0.5] * 3),
        XModalLTImageProcessor(
            size={"shortest_edge": 56}, do_center_crop=True, crop_size={"height": 48, "width": 48}, resample=2
        ),
    ],
    ids=["resize", "crop"],
)
def test_timms_transform_prepares_images_as_the_processor_does(processor: XModalLTImageProcessor, tmp_path: Path):
    export_timm(make_model("lt_classifier"), tmp_path, processor)
    ramp = np.linspace(0, 255, 90)[:, None, None] * np.linspace(0.2, 1, 120)[:, None] * [1.0, 0.7, 0.4]
    image = Image.fromarray(ramp.astype(np.uint8))

    transform: Any = create_transform(**resolve_model_data_config(_load(tmp_path)))
    expected = processor(image, return_tensors="pt")["pixel_values"][0]
    torch.testing.assert_close(transform(image), expected, rtol=0, atol=0.036)  # two levels of 255


@pytest.mark.slow
def test_the_folder_needs_nothing_of_this_package(tmp_path: Path):
    model = make_model("lt_classifier")
    export_timm(model, tmp_path / "timm", image_processor())
    images, found = tmp_path / "images.pt", tmp_path / "logits.pt"
    torch.save(random_images(2), images)
    subprocess.run([sys.executable, "-c", LOADER, tmp_path / "timm", images, found], check=True)
    torch.testing.assert_close(torch.load(found), predict(model, pixel_values=random_images(2))[0])


@pytest.mark.parametrize(
    ("model_type", "settings", "message"),
    [
        ("cmltnet", {}, "lt_classifier, not cmltnet; export this one to ONNX"),
        ("lt_classifier", {"head": "cosine", "class_scales": False}, "head='cosine' is not"),
        ("lt_classifier", GRU, "'features:gru' is not timm's"),
        ("lt_classifier", {"backbone": "deit_tiny_distilled_patch16_224"}, "not by one linear layer"),
        ("lt_classifier", {"backbone": "repvgg_a0", "reparameterized": True}, "merged for prediction"),
    ],
    ids=["method", "head", "backbone", "two heads", "merged"],
)
def test_what_timm_has_no_format_for_is_refused(
    model_type: str, settings: dict[str, Any], message: str, tmp_path: Path
):
    with pytest.raises(ValueError, match=message):
        export_timm(make_model(model_type, **settings), tmp_path)
    assert not list(tmp_path.iterdir())


def test_preprocessing_without_one_size_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="resize images to one size"):
        export_timm(make_model("lt_classifier"), tmp_path, XModalLTImageProcessor(size={"shortest_edge": 48}))
