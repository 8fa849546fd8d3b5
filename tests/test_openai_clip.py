"""The converter of OpenAI's CLIP files, against CLIP's forward pass written out for weights of their names."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import timm
import torch
import torch.nn.functional as F
from tiny_clip import tiny_tokenizer
from torch import Tensor, nn
from transformers import CLIPTokenizer

from xmodal_lt.cli import main
from xmodal_lt.modeling.pretrained_backbones import load_pretrained_backbone
from xmodal_lt.modeling.sentence_encoder import (
    SentenceEncoder,
    load_clip_joint_space,
    load_sentence_tokenizer,
    resolve_sentence_config,
    tokenize_sentences,
)
from xmodal_lt.modeling.vision_encoder import VisionEncoder
from xmodal_lt.openai_clip import convert_openai_clip


WIDTH, TEXT_WIDTH, JOINT, CONTEXT = 128, 64, 6, 20
SENTENCES = ["a dog", "a traffic light, and a cat", "a b c d e f g h i j k l m n o p q r s t u v w x y z"]
KEPT_IN_FLOAT32 = ("ln_", "bn", "embedding", "logit_scale", "downsample.1")  # as OpenAI's files have it

Weights = dict[str, Tensor]


def _draw(*shape: int, scale: float | None = None) -> Tensor:
    return torch.randn(shape) * (scale or shape[-1] ** -0.5)


def _norm(name: str, width: int) -> Weights:
    return {f"{name}.weight": 1 + _draw(width, scale=0.1), f"{name}.bias": _draw(width, scale=0.1)}


def _linear(name: str, rows: int, columns: int) -> Weights:
    return {f"{name}.weight": _draw(rows, columns), f"{name}.bias": _draw(rows, scale=0.1)}


def _transformer(name: str, width: int, layers: int = 2) -> Weights:
    weights: Weights = {}
    for layer in range(layers):
        block = f"{name}.resblocks.{layer}"
        weights[f"{block}.attn.in_proj_weight"] = _draw(3 * width, width)
        weights[f"{block}.attn.in_proj_bias"] = _draw(3 * width, scale=0.1)
        weights |= _linear(f"{block}.attn.out_proj", width, width)
        weights |= _linear(f"{block}.mlp.c_fc", 4 * width, width) | _linear(f"{block}.mlp.c_proj", width, 4 * width)
        weights |= _norm(f"{block}.ln_1", width) | _norm(f"{block}.ln_2", width)
    return weights


def _text_tower() -> Weights:
    return {
        "positional_embedding": _draw(CONTEXT, TEXT_WIDTH, scale=0.3),
        "text_projection": _draw(TEXT_WIDTH, JOINT),
        "logit_scale": torch.tensor(4.6),
        "token_embedding.weight": _draw(len(tiny_tokenizer()), TEXT_WIDTH, scale=0.3),
        **_norm("ln_final", TEXT_WIDTH),
        **_transformer("transformer", TEXT_WIDTH),
        **{name: torch.tensor(CONTEXT) for name in ("input_resolution", "context_length", "vocab_size")},
    }


def _vit_clip() -> Weights:
    """A CLIP of images of 24 x 24, in patches of 8 x 8, as OpenAI's files name it."""
    torch.manual_seed(0)
    return _as_published(
        {
            "visual.class_embedding": _draw(WIDTH, scale=0.3),
            "visual.positional_embedding": _draw(10, WIDTH, scale=0.3),
            "visual.proj": _draw(WIDTH, JOINT),
            "visual.conv1.weight": _draw(WIDTH, 3, 8, 8, scale=0.1),
            **_norm("visual.ln_pre", WIDTH),
            **_norm("visual.ln_post", WIDTH),
            **_transformer("visual.transformer", WIDTH),
            **_text_tower(),
        }
    )


def _conv(name: str, number: int, out: int, width: int, size: int = 1, suffixes: tuple[str, str] = ("conv", "bn")):
    conv, norm = (f"{name}{suffix}{number}" for suffix in suffixes)
    return {
        f"{conv}.weight": _draw(out, width, size, size, scale=(width * size * size / 2) ** -0.5),
        **_norm(norm, out),
        f"{norm}.running_mean": _draw(out, scale=0.1),
        f"{norm}.running_var": 1 + torch.rand(out),
        f"{norm}.num_batches_tracked": torch.tensor(7),
    }


def _resnet_clip() -> Weights:
    """A CLIP with the visual tower of RN50 in full size and a small text tower."""
    torch.manual_seed(0)
    weights = _conv("visual.", 1, 32, 3, 3) | _conv("visual.", 2, 32, 32, 3) | _conv("visual.", 3, 64, 32, 3)
    width = 64
    for stage, blocks in enumerate((3, 4, 6, 3), start=1):
        inner = 32 * 2**stage
        for block in range(blocks):
            name = f"visual.layer{stage}.{block}."
            weights |= (
                _conv(name, 1, inner, width) | _conv(name, 2, inner, inner, 3) | _conv(name, 3, 4 * inner, inner)
            )
            if block == 0:
                shortcut = _conv(f"{name}downsample.", 0, 4 * inner, width, suffixes=("", "bn"))
                weights |= {key.replace("bn0", "1"): tensor for key, tensor in shortcut.items()}
            width = 4 * inner
    pool = "visual.attnpool"
    weights[f"{pool}.positional_embedding"] = _draw(50, width)
    for letter in "qkv":
        weights |= _linear(f"{pool}.{letter}_proj", width, width)
    weights |= _linear(f"{pool}.c_proj", JOINT, width)
    return _as_published(weights | _text_tower())


def _as_published(weights: Weights) -> Weights:
    return {
        name: tensor.half()
        if tensor.is_floating_point() and not any(part in name for part in KEPT_IN_FLOAT32)
        else tensor
        for name, tensor in weights.items()
    }


def _save_state_dict(weights: Weights, file: Path) -> None:
    torch.save(weights, file)


def _save_torchscript(weights: Weights, file: Path) -> None:
    root = nn.Module()
    for name, tensor in weights.items():
        *path, leaf = name.split(".")
        module = root
        for part in path:
            if not hasattr(module, part):
                module.add_module(part, nn.Module())
            module = getattr(module, part)
        if tensor.is_floating_point():
            module.register_parameter(leaf, nn.Parameter(tensor))
        else:
            module.register_buffer(leaf, tensor)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # the format is deprecated; OpenAI's files have it
        torch.jit.save(torch.jit.script(root), file)


def _reference_norm(x: Tensor, weights: Weights, name: str) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], weights[f"{name}.weight"], weights[f"{name}.bias"])


def _reference_linear(x: Tensor, weights: Weights, name: str) -> Tensor:
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def _reference_attention(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None) -> Tensor:
    """Heads of 64, one after another; all of `[L, width]`."""
    heads = []
    for q, k, v in zip(queries.split(64, -1), keys.split(64, -1), values.split(64, -1), strict=True):
        scores = q @ k.T / 8
        heads.append((scores if mask is None else scores + mask).softmax(-1) @ v)
    return torch.cat(heads, dim=-1)


def _reference_blocks(x: Tensor, weights: Weights, name: str, mask: Tensor | None = None) -> Tensor:
    for layer in range(2):
        block = f"{name}.resblocks.{layer}"
        normed = _reference_norm(x, weights, f"{block}.ln_1")
        joint = normed @ weights[f"{block}.attn.in_proj_weight"].T + weights[f"{block}.attn.in_proj_bias"]
        attended = _reference_attention(*joint.chunk(3, dim=-1), mask=mask)
        x = x + _reference_linear(attended, weights, f"{block}.attn.out_proj")
        hidden = _reference_linear(_reference_norm(x, weights, f"{block}.ln_2"), weights, f"{block}.mlp.c_fc")
        x = x + _reference_linear(hidden * torch.sigmoid(1.702 * hidden), weights, f"{block}.mlp.c_proj")
    return x


def _reference_text(ids: list[int], weights: Weights) -> Tensor:
    """The embedding of one text, `[JOINT]`: that of its end, which has the highest id."""
    x = weights["token_embedding.weight"][ids] + weights["positional_embedding"][: len(ids)]
    mask = torch.full((len(ids), len(ids)), float("-inf"), dtype=x.dtype).triu(1)
    x = _reference_norm(_reference_blocks(x, weights, "transformer", mask), weights, "ln_final")
    return x[ids.index(max(ids))] @ weights["text_projection"]


def _reference_vit(image: Tensor, weights: Weights) -> Tensor:
    """The embedding of one image `[3, 24, 24]`, `[JOINT]`."""
    kernel = weights["visual.conv1.weight"]
    patches = [image[:, i : i + 8, j : j + 8] for i in range(0, 24, 8) for j in range(0, 24, 8)]
    tokens = [weights["visual.class_embedding"], *((kernel * patch).sum(dim=(1, 2, 3)) for patch in patches)]
    x = _reference_norm(torch.stack(tokens) + weights["visual.positional_embedding"], weights, "visual.ln_pre")
    x = _reference_blocks(x, weights, "visual.transformer")
    return _reference_norm(x[0], weights, "visual.ln_post") @ weights["visual.proj"]


def _reference_conv(x: Tensor, weights: Weights, conv: str, norm: str, **kwargs: int) -> Tensor:
    x = F.conv2d(x, weights[f"{conv}.weight"], **kwargs)
    mean, variance = weights[f"{norm}.running_mean"], weights[f"{norm}.running_var"]
    return F.batch_norm(x, mean, variance, weights[f"{norm}.weight"], weights[f"{norm}.bias"])


def _reference_resnet(image: Tensor, weights: Weights) -> Tensor:
    """The embedding of one image `[3, 224, 224]`, `[JOINT]`; means of places are taken where others have a stride."""
    x = image.unsqueeze(0)
    for number, stride in ((1, 2), (2, 1), (3, 1)):
        x = _reference_conv(x, weights, f"visual.conv{number}", f"visual.bn{number}", stride=stride, padding=1).relu()
    x = F.avg_pool2d(x, 2)
    for stage, blocks in enumerate((3, 4, 6, 3), start=1):
        for block in range(blocks):
            name, pool = f"visual.layer{stage}.{block}", 2 if block == 0 and stage > 1 else 1
            inner = _reference_conv(x, weights, f"{name}.conv1", f"{name}.bn1").relu()
            inner = _reference_conv(inner, weights, f"{name}.conv2", f"{name}.bn2", padding=1).relu()
            inner = _reference_conv(F.avg_pool2d(inner, pool), weights, f"{name}.conv3", f"{name}.bn3")
            if block == 0:
                x = _reference_conv(F.avg_pool2d(x, pool), weights, f"{name}.downsample.0", f"{name}.downsample.1")
            x = (x + inner).relu()
    places = x[0].flatten(1).T
    tokens = torch.cat([places.mean(dim=0, keepdim=True), places]) + weights["visual.attnpool.positional_embedding"]
    parts = (_reference_linear(tokens, weights, f"visual.attnpool.{letter}_proj") for letter in "qkv")
    return _reference_linear(_reference_attention(*parts)[0], weights, "visual.attnpool.c_proj")


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("tokenizer")
    tiny_tokenizer().save_pretrained(folder)
    return str(folder)


def _embed_texts(folder: Path) -> Tensor:
    text_backbone = f"clip:{folder}"
    encoder = SentenceEncoder(resolve_sentence_config(text_backbone)).eval()
    encoder.load_pretrained(text_backbone)
    tokenizer = load_sentence_tokenizer(text_backbone)
    return encoder(**tokenize_sentences(tokenizer, SENTENCES, encoder.max_tokens))


def _embed_images(folder: Path, backbone: str, backbone_kwargs: dict[str, Any], images: Tensor) -> Tensor:
    encoder = VisionEncoder(backbone, backbone_kwargs).eval()
    load_pretrained_backbone(encoder, backbone, str(folder / "visual.safetensors"), backbone_kwargs)
    space = load_clip_joint_space(f"clip:{folder}")
    return F.linear(encoder(images), space["visual_projection.weight"], space.get("visual_projection.bias"))


def _in_float64(weights: Weights) -> Weights:
    return {name: tensor.double() for name, tensor in weights.items()}


class TestConverted:
    @pytest.mark.parametrize("save", [_save_state_dict, _save_torchscript])
    def test_vit_embeds_as_clip(self, save: Callable[[Weights, Path], None], tokenizer, tmp_path):
        weights, images = _vit_clip(), torch.randn(2, 3, 24, 24)
        save(weights, tmp_path / "ViT.pt")
        backbone, kwargs = convert_openai_clip(tmp_path / "ViT.pt", tmp_path / "clip", tokenizer)
        assert backbone == "vit_base_patch16_clip_quickgelu_224"
        assert kwargs == {"img_size": 24, "patch_size": 8, "embed_dim": WIDTH, "depth": 2, "num_heads": 2}
        assert json.loads((tmp_path / "clip" / "clip.json").read_text()) == {
            "backbone": backbone,
            "backbone_kwargs": kwargs,
        }

        weights = _in_float64(weights)
        ids = CLIPTokenizer.from_pretrained(tokenizer)(SENTENCES, truncation=True, max_length=CONTEXT)["input_ids"]
        assert max(map(len, ids)) == CONTEXT
        with torch.no_grad():
            expected = torch.stack([_reference_text(row, weights) for row in ids]).float()
            torch.testing.assert_close(_embed_texts(tmp_path / "clip"), expected, atol=1e-5, rtol=1e-5)
            expected = torch.stack([_reference_vit(image.double(), weights) for image in images]).float()
            embeds = _embed_images(tmp_path / "clip", backbone, kwargs, images)
            torch.testing.assert_close(embeds, expected, atol=1e-5, rtol=1e-5)

    def test_resnet_embeds_as_clip(self, tokenizer, tmp_path):
        weights, images = _resnet_clip(), torch.randn(1, 3, 224, 224)
        _save_state_dict(weights, tmp_path / "RN50.pt")
        assert convert_openai_clip(tmp_path / "RN50.pt", tmp_path / "clip", tokenizer) == ("resnet50_clip", {})
        with torch.no_grad():
            expected = _reference_resnet(images[0], {name: tensor.float() for name, tensor in weights.items()})
            embeds = _embed_images(tmp_path / "clip", "resnet50_clip", {}, images)[0]
        torch.testing.assert_close(embeds, expected, atol=1e-4, rtol=1e-4)

    def test_logit_scale(self, tokenizer, tmp_path):
        _save_state_dict(_vit_clip(), tmp_path / "ViT.pt")
        convert_openai_clip(tmp_path / "ViT.pt", tmp_path / "clip", tokenizer)
        space = load_clip_joint_space(f"clip:{tmp_path}/clip")
        assert space.keys() == {"visual_projection.weight", "logit_scale"}
        assert space["logit_scale"] == pytest.approx(4.6)
        assert {tensor.dtype for tensor in space.values()} == {torch.float32}

    def test_loading_warns_of_nothing(self, tokenizer, tmp_path, recwarn):
        _save_torchscript(_vit_clip(), tmp_path / "ViT.pt")
        convert_openai_clip(tmp_path / "ViT.pt", tmp_path / "clip", tokenizer)
        assert recwarn.list == []

    def test_on_the_command_line(self, tokenizer, tmp_path, capsys):
        _save_state_dict(_vit_clip(), tmp_path / "ViT.pt")
        folder = tmp_path / "weights" / "clip"
        with pytest.raises(SystemExit, match="0"):
            main(["convert-clip", f"{tmp_path}/ViT.pt", str(folder), "--tokenizer", tokenizer])
        first, second, *last = capsys.readouterr().out.splitlines()
        assert first == "backbone: vit_base_patch16_clip_quickgelu_224"
        assert second.startswith("backbone_kwargs: {'img_size': 24, 'patch_size': 8,")
        assert last == [f"pretrained: {folder}/visual.safetensors", f"text_backbone: clip:{folder}"]


@pytest.mark.parametrize(
    "backbone",
    [
        "resnet50_clip",
        "resnet101_clip",
        "resnet50x4_clip",
        "resnet50x16_clip",
        "resnet50x64_clip",
        "vit_base_patch32_clip_quickgelu_224",
        "vit_base_patch16_clip_quickgelu_224",
        "vit_large_patch14_clip_quickgelu_224",
        "vit_large_patch14_clip_quickgelu_336",
    ],
)
def test_published_towers_are_known_by_their_sizes(backbone, tokenizer, tmp_path):
    """Those that timm gives weights of OpenAI for."""
    assert f"{backbone}.openai" in timm.list_pretrained(backbone)
    with torch.device("meta"):
        model = timm.create_model(backbone, num_classes=0)
    weights = _text_tower()
    if backbone.startswith("vit"):
        weights["visual.conv1.weight"] = torch.zeros(model.patch_embed.proj.weight.shape)
        weights["visual.positional_embedding"] = torch.zeros(model.pos_embed.shape[1:])
        weights["visual.proj"] = torch.zeros(model.num_features, JOINT)
        for layer in range(len(model.blocks)):
            weights[f"visual.transformer.resblocks.{layer}.attn.in_proj_weight"] = torch.zeros(1)
    else:
        weights["visual.conv1.weight"] = torch.zeros(model.stem.conv1.conv.weight.shape)
        weights |= _linear("visual.attnpool.c_proj", JOINT, model.num_features)
        for stage, blocks in enumerate(model.stages, start=1):
            for index, block in enumerate(blocks):
                width = block.conv1_1x1.conv.weight.shape[0]
                weights[f"visual.layer{stage}.{index}.conv1.weight"] = torch.zeros(width, 1, 1, 1)
    _save_state_dict(weights, tmp_path / "file.pt")
    assert convert_openai_clip(tmp_path / "file.pt", tmp_path / "clip", tokenizer) == (backbone, {})


class TestErrors:
    @pytest.fixture
    def convert(self, tokenizer, tmp_path) -> Callable[..., Any]:
        """Converts what it is given, and sees to it that nothing is left behind."""

        def convert(content: Any, tokenizer: str = tokenizer) -> None:
            torch.save(content, tmp_path / "file.pt")
            try:
                convert_openai_clip(tmp_path / "file.pt", tmp_path / "clip", tokenizer)
            finally:
                assert [path.name for path in tmp_path.iterdir()] == ["file.pt"]

        return convert

    def test_absent_file(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"No file '.*RN50.pt'. Give one that OpenAI published"):
            convert_openai_clip(tmp_path / "RN50.pt", tmp_path / "clip")

    def test_broken_file(self, tmp_path):
        (tmp_path / "RN50.pt").write_bytes(b"not found")
        with pytest.raises(ValueError, match=r"Cannot read '.*RN50.pt' as a TorchScript archive or a state dict"):
            convert_openai_clip(tmp_path / "RN50.pt", tmp_path / "clip")

    @pytest.mark.parametrize("content", [[torch.zeros(2)], {"epoch": 3, "state_dict": {}}])
    def test_no_state_dict(self, convert, content):
        with pytest.raises(ValueError, match="holds no state dict, which maps names to tensors"):
            convert(content)

    @pytest.mark.parametrize("absent", ["logit_scale", "visual.conv1.weight"])
    def test_another_model(self, convert, absent):
        weights = _vit_clip()
        del weights[absent]
        with pytest.raises(ValueError, match=f"is no CLIP as OpenAI saves it: it has no '{absent}'"):
            convert(weights)

    def test_another_visual_tower(self, convert):
        weights = _vit_clip()
        del weights["visual.proj"]
        with pytest.raises(
            ValueError, match=r"neither a ViT nor a ResNet that OpenAI published: it has \[0, 0, 0, 0\]"
        ):
            convert(weights)

    @pytest.mark.parametrize("change", ["missing", "additional", "other size"])
    def test_another_text_tower(self, convert, change):
        weights, name = _vit_clip(), "transformer.resblocks.1.mlp.c_proj.bias"
        if change == "missing":
            del weights[name]
        elif change == "additional":
            weights["transformer.resblocks.1.mlp.gate.bias"] = weights[name]
        else:
            weights[name] = weights[name][:3]
        with pytest.raises(
            ValueError, match=r"is not built as CLIP's: 1 of its weights .* such as 'text_model.encoder"
        ):
            convert(weights)

    def test_tokenizer_of_another_clip(self, convert, tmp_path_factory):
        folder = tmp_path_factory.mktemp("tokenizer")
        tiny_tokenizer(extra_words=5).save_pretrained(folder)
        with pytest.raises(ValueError, match=r"does not belong to this CLIP: it has 65 tokens .* tower has 60"):
            convert(_vit_clip(), str(folder))

    def test_no_network(self, convert, monkeypatch):
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
        with pytest.raises(FileNotFoundError, match=r"No tokenizer 'no/such': .* a model id whose tokenizer the Hub"):
            convert(_vit_clip(), "no/such")

    def test_no_tokenizer(self, convert, tmp_path_factory):
        with pytest.raises(ValueError, match="has no tokenizer"):
            convert(_vit_clip(), str(tmp_path_factory.mktemp("empty")))
        with pytest.raises(FileNotFoundError, match="No tokenizer '/no/such/folder': it is neither a folder nor"):
            convert(_vit_clip(), "/no/such/folder")

    def test_folder_that_holds_something(self, tokenizer, tmp_path):
        _save_state_dict(_vit_clip(), tmp_path / "ViT.pt")
        with pytest.raises(FileExistsError, match="is not empty; name a new folder, or delete it first"):
            convert_openai_clip(tmp_path / "ViT.pt", tmp_path, tokenizer)
