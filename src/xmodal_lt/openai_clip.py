"""OpenAI's CLIP files, such as RN50.pt and ViT-B-16.pt, as the files that backbones and text backbones come from."""

from __future__ import annotations

import json
import math
import re
import shutil
import uuid
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor


__all__ = ["DEFAULT_TOKENIZER", "VISUAL_FILE", "convert_openai_clip"]

DEFAULT_TOKENIZER = "openai/clip-vit-base-patch16"  # OpenAI published one for all its CLIPs
VISUAL_FILE = "visual.safetensors"
BACKBONE_FILE = "clip.json"
_MOST_COMPRESSED = 2**24  # bytes of code; OpenAI's files have some hundred thousand
_HEAD_SIZE = 64  # of every attention in these models
_RESNET_HEAD = "visual.attnpool.c_proj"  # the last layer of the attention pooling, into the joint space
# What tells OpenAI's files from others, and their sizes.
_NEEDED = (
    "logit_scale",
    "text_projection",
    "token_embedding.weight",
    "positional_embedding",
    "transformer.resblocks.0.mlp.c_fc.weight",
    "ln_final.weight",
    "ln_final.bias",
    "visual.conv1.weight",
)
# Of OpenAI's ResNets, the residual blocks of each stage and the width of the first one.
_RESNETS: dict[tuple[tuple[int, ...], int], str] = {
    ((3, 4, 6, 3), 64): "resnet50_clip",
    ((3, 4, 23, 3), 64): "resnet101_clip",
    ((4, 6, 10, 6), 80): "resnet50x4_clip",
    ((6, 8, 18, 8), 96): "resnet50x16_clip",
    ((3, 15, 36, 10), 128): "resnet50x64_clip",
}
# Of OpenAI's ViTs, width, layers, patch size and image size. They were trained with an approximate GELU, so that
# timm's models without "quickgelu" in their names give other features from the same weights.
_VITS = {
    (768, 12, 32, 224): "vit_base_patch32_clip_quickgelu_224",
    (768, 12, 16, 224): "vit_base_patch16_clip_quickgelu_224",
    (1024, 24, 14, 224): "vit_large_patch14_clip_quickgelu_224",
    (1024, 24, 14, 336): "vit_large_patch14_clip_quickgelu_336",
}
# From the names in OpenAI's files to those of transformers, for the text tower.
_TEXT_NAMES = {
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "ln_final.weight": "text_model.final_layer_norm.weight",
    "ln_final.bias": "text_model.final_layer_norm.bias",
}
_LAYER_NAMES = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "attn.out_proj": "self_attn.out_proj",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}


def convert_openai_clip(
    file: str | Path, folder: str | Path, tokenizer: str = DEFAULT_TOKENIZER
) -> tuple[str, dict[str, Any]]:
    """
    Write a CLIP that OpenAI published as the files that this package reads.

    `folder` gets, all at once or not at all:

    - the text tower in transformers' format, in float32, with the projection of the visual tower and the logit scale
      beside it, and the tokenizer: `text_backbone` is `"clip:<folder>"`;
    - `visual.safetensors`, the visual tower under OpenAI's own names, which timm reads: the `pretrained` of a recipe;
    - `clip.json`, the `backbone` and `backbone_kwargs` that go with it.

    Args:
        file (`str` or `Path`): A TorchScript archive, as published, or a saved state dict of the same names.
        folder (`str` or `Path`): Where the files go; must be empty if it exists.
        tokenizer (`str`, *optional*, defaults to `DEFAULT_TOKENIZER`):
            Model id or local folder of a CLIP with the same vocabulary.

    Returns:
        `tuple[str, dict]`: The name of timm's model for the visual tower, and the arguments that it needs: none for
        those that OpenAI published.

    Raises:
        FileNotFoundError: When there is no such file or tokenizer.
        FileExistsError: When `folder` holds something.
        ValueError: When the file holds something else than such a CLIP, or the tokenizer belongs to another.

    Example:

    ```python
    >>> from xmodal_lt.openai_clip import convert_openai_clip
    >>> convert_openai_clip("RN50.pt", "weights/clip-rn50")  # doctest: +SKIP
    ('resnet50_clip', {})

    ```
    """
    target = Path(folder)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise FileExistsError(f"{target} is not empty; name a new folder, or delete it first.")
    weights = _read_openai_file(Path(file))
    backbone, backbone_kwargs = _visual_architecture(weights, file)
    text_tokenizer = _load_tokenizer(tokenizer, weights)
    config = _text_config(weights, text_tokenizer)
    text_weights = _text_weights(weights)
    _check_text_weights(text_weights, config, file)

    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
    try:
        temporary.mkdir(parents=True)
        config.save_pretrained(temporary)
        text_tokenizer.save_pretrained(temporary)
        save_file(text_weights | _joint_space(weights), temporary / "model.safetensors", {"format": "pt"})
        visual = {name: tensor for name, tensor in weights.items() if name.startswith("visual.")}
        save_file(visual, temporary / VISUAL_FILE, {"format": "pt"})
        settings = {"backbone": backbone, "backbone_kwargs": backbone_kwargs}
        (temporary / BACKBONE_FILE).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
        temporary.replace(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return backbone, backbone_kwargs


def _read_openai_file(file: Path) -> dict[str, Tensor]:
    """The weights by OpenAI's names, floating-point ones in float32."""
    if not file.is_file():
        raise FileNotFoundError(f"No file {str(file)!r}. Give one that OpenAI published, such as RN50.pt.")
    try:
        _check_size(file)
        if _is_torchscript(file):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # PyTorch deprecates the format, and has nothing else that reads it
                weights = torch.jit.load(file, map_location="cpu").state_dict()
        else:
            weights = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # any, by the way in which a file can be broken
        raise ValueError(f"Cannot read {str(file)!r} as a TorchScript archive or a state dict: {error!r}") from error
    if not isinstance(weights, dict) or not all(isinstance(tensor, Tensor) for tensor in weights.values()):
        raise ValueError(f"{str(file)!r} holds no state dict, which maps names to tensors.")
    return {
        name: (tensor.detach().float() if tensor.is_floating_point() else tensor).contiguous()
        for name, tensor in weights.items()
    }


def _check_size(file: Path) -> None:
    """PyTorch compresses nothing but a little code, so that a saved model unpacks to what the file itself has."""
    if not zipfile.is_zipfile(file):
        return
    size = file.stat().st_size
    with zipfile.ZipFile(file) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
    if unpacked > size + _MOST_COMPRESSED:
        raise ValueError(
            f"{str(file)!r} has {size:,} bytes, but would unpack to {unpacked:,}: PyTorch saves no such file."
        )


def _is_torchscript(file: Path) -> bool:
    if not zipfile.is_zipfile(file):
        return False
    with zipfile.ZipFile(file) as archive:
        return any(name.split("/")[1:2] == ["code"] for name in archive.namelist())


def _visual_architecture(weights: dict[str, Tensor], file: str | Path) -> tuple[str, dict[str, Any]]:
    absent = [name for name in _NEEDED if name not in weights]
    if absent:
        raise ValueError(f"{str(file)!r} is no CLIP as OpenAI saves it: it has no {absent[0]!r}.")
    if "visual.proj" in weights:
        return _vit_architecture(weights)
    blocks = tuple(_count(weights, rf"visual\.layer{stage}\.(\d+)\.conv1\.weight") for stage in range(1, 5))
    width = weights["visual.layer1.0.conv1.weight"].shape[0] if blocks[0] else 0
    if (blocks, width) not in _RESNETS or f"{_RESNET_HEAD}.weight" not in weights:
        raise ValueError(
            f"The visual tower in {str(file)!r} is neither a ViT nor a ResNet that OpenAI published: it has "
            f"{list(blocks)} blocks, the first {width} wide."
        )
    return _RESNETS[blocks, width], {}


def _vit_architecture(weights: dict[str, Tensor]) -> tuple[str, dict[str, Any]]:
    width, patch_size = weights["visual.conv1.weight"].shape[0], weights["visual.conv1.weight"].shape[-1]
    layers = _count(weights, r"visual\.transformer\.resblocks\.(\d+)\.attn\.in_proj_weight")
    image_size = patch_size * math.isqrt(weights["visual.positional_embedding"].shape[0] - 1)
    name = _VITS.get((width, layers, patch_size, image_size))
    if name is not None:
        return name, {}
    sizes = {"img_size": image_size, "patch_size": patch_size}
    return _VITS[768, 12, 16, 224], {**sizes, "embed_dim": width, "depth": layers, "num_heads": width // _HEAD_SIZE}


def _count(weights: dict[str, Tensor], pattern: str) -> int:
    return sum(re.fullmatch(pattern, name) is not None for name in weights)


def _text_weights(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The text tower under transformers' names."""
    renamed = {new: weights[old] for old, new in _TEXT_NAMES.items()}
    for name, tensor in weights.items():
        match = re.fullmatch(r"transformer\.resblocks\.(\d+)\.(.+)[._](weight|bias)", name)
        if match is None:
            continue
        layer, module, kind = match.groups()
        prefix = f"text_model.encoder.layers.{layer}"
        if module == "attn.in_proj":
            for part, rows in zip("qkv", tensor.chunk(3), strict=True):
                renamed[f"{prefix}.self_attn.{part}_proj.{kind}"] = rows
        else:
            renamed[f"{prefix}.{_LAYER_NAMES.get(module, module)}.{kind}"] = tensor
    renamed["text_projection.weight"] = weights["text_projection"].T
    return _without_sharing(renamed)


def _joint_space(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """What the towers share, under transformers' names; the bias, which only ResNets have, under one like them."""
    if "visual.proj" in weights:
        projection = {"visual_projection.weight": weights["visual.proj"].T}
    else:
        projection = {f"visual_projection.{kind}": weights[f"{_RESNET_HEAD}.{kind}"] for kind in ("weight", "bias")}
    return _without_sharing({**projection, "logit_scale": weights["logit_scale"]})


def _without_sharing(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    # safetensors takes no views of one another.
    return {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in weights.items()}


def _check_text_weights(weights: dict[str, Tensor], config: Any, file: str | Path) -> None:
    from transformers import CLIPTextModelWithProjection

    with torch.device("meta"):
        expected = {name: tensor.shape for name, tensor in CLIPTextModelWithProjection(config).state_dict().items()}
    found = {name: tensor.shape for name, tensor in weights.items()}
    wrong = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    if wrong:
        raise ValueError(
            f"The text tower in {str(file)!r} is not built as CLIP's: {len(wrong)} of its weights are missing, too "
            f"many or of another size, such as {wrong[0]!r}."
        )


def _load_tokenizer(source: str, weights: dict[str, Tensor]) -> Any:
    from xmodal_lt.modeling.text_encoder import load_clip_tokenizer

    tokenizer = load_clip_tokenizer(source)
    vocab_size = weights["token_embedding.weight"].shape[0]
    if len(tokenizer) != vocab_size or tokenizer.eos_token_id != vocab_size - 1:
        raise ValueError(
            f"The tokenizer of {source!r} does not belong to this CLIP: it has {len(tokenizer)} tokens and ends "
            f"a text with {tokenizer.eos_token_id}, but the text tower has {vocab_size} and its last one ends a text."
        )
    return tokenizer


def _text_config(weights: dict[str, Tensor], tokenizer: Any) -> Any:
    from transformers import CLIPTextConfig

    vocab_size, width = weights["token_embedding.weight"].shape
    joint_space = _joint_space(weights)
    return CLIPTextConfig(
        architectures=["CLIPTextModelWithProjection"],
        dtype="float32",
        vocab_size=vocab_size,
        hidden_size=width,
        intermediate_size=weights["transformer.resblocks.0.mlp.c_fc.weight"].shape[0],
        projection_dim=weights["text_projection"].shape[1],
        num_hidden_layers=_count(weights, r"transformer\.resblocks\.(\d+)\.attn\.in_proj_weight"),
        num_attention_heads=width // _HEAD_SIZE,
        max_position_embeddings=weights["positional_embedding"].shape[0],
        hidden_act="quick_gelu",
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        # Our own, for `load_clip_joint_space`.
        visual_size=joint_space["visual_projection.weight"].shape[1],
        visual_bias="visual_projection.bias" in joint_space,
    )
