"""Small models of every method to export, and what prepares their images."""

import importlib.util
import site
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

import xmodal_lt
from xmodal_lt.processing import XModalLTImageProcessor, build_word_tokenizer


SIZE = 64
NAMES = ("heron", "egret", "stork")
GRU = {"backbone": "features:gru", "backbone_kwargs": {"input_size": 5, "hidden_size": 6}}
VILT_SIZES = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
VILT = {"backbone": "features:vilt", "backbone_kwargs": {"input_size": 5, "max_steps": 12, **VILT_SIZES}}


def make_model(model_type: str, **settings: Any) -> Any:
    """A tiny model, as the tests of the models make it, with names of its classes."""
    file = Path(__file__).parents[1] / "modeling" / "conftest.py"
    spec = importlib.util.spec_from_file_location("tiny_models", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module._make_model(model_type, id2label=dict(enumerate(NAMES)), **settings)


def image_processor() -> XModalLTImageProcessor:
    return XModalLTImageProcessor(size={"height": SIZE, "width": SIZE})


def tokenizer(model: Any) -> PreTrainedTokenizerBase | None:
    """Of the ten words of a model that infers words."""
    infers = getattr(model.config, "num_words", None) is not None
    return build_word_tokenizer([[f"word {number}" for number in range(10)]]) if infers else None


def random_images(count: int) -> Tensor:
    return torch.randn(count, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(7))


def random_videos(count: int, steps: int) -> dict[str, Tensor]:
    """Videos of which each is a step shorter than the one before."""
    features = torch.randn(count, steps, 5, generator=torch.Generator().manual_seed(7))
    lengths = steps - torch.arange(count)
    return {"features": features, "feature_mask": (torch.arange(steps) < lengths[:, None]).long()}


@torch.no_grad()
def predict(model: Any, **inputs: Tensor) -> list[Tensor]:
    """Logits, and word logits if there are any, as the model gives them after training."""
    model.set_stage(None)
    outputs = model.eval()(**inputs)
    words = getattr(outputs, "word_logits", None)
    return [outputs.logits, *([] if words is None else [words])]


def places_in(file: Path) -> set[str]:
    """Which folders of this machine an export names: those of the user, of this package and of others."""
    own = Path(xmodal_lt.__file__).parent
    places = map(str, (Path.home(), own, own.parents[1], *site.getsitepackages(), file.parent))
    content = file.read_bytes()
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            content = b"".join(archive.read(name) for name in archive.namelist())
    return {place for place in places if place.encode() in content}
