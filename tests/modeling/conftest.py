"""Small models of every method, and batches for them: what the shared tests run on.

A new method adds its row to `TINY`.
"""

import inspect
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import CLIPConfig, CLIPModel, ViTConfig, ViTModel

from xmodal_lt.registry import METHODS, Method, get_method


NUM_CLASSES = 3
VOCAB_SIZE = 12  # ten words after [PAD] and [UNK]

# Per method: the config fields that make it small.
TINY: dict[str, dict[str, Any]] = {
    "cmltnet": {
        "vocab_size": VOCAB_SIZE,
        "shared_size": 8,
        "semantic_size": 6,
        "transfer_hidden_size": 7,
        "word_hidden_size": 5,
        "word_embedding_size": 4,
        "fusion_size": 9,
        "top_k": 3,
    },
    "cprfl": {
        "problem_type": "single_label_classification",  # as the others by default; its own tests are multi-label
        "semantic_size": 5,
        "hidden_size": 8,
        "num_heads": 2,
        "head_size": 6,
        "mlp_size": 10,
        "dropout": 0.0,
    },
    "crif": {
        "vocab_size": VOCAB_SIZE,
        "shared_size": 8,
        "semantic_size": 6,
        "transfer_hidden_size": 7,
        "word_hidden_size": 5,
        "word_embedding_size": 4,
        "fusion_size": 9,
        "decoder_steps": 3,
    },
    "lt_classifier": {"class_scales": True},  # so that it has all its stages
    "vl_ltr": {
        "text_backbone": "clip:of nowhere",  # as its config is given
        "text_backbone_config": {
            "kind": "clip",
            "config": {
                "vocab_size": VOCAB_SIZE,
                "hidden_size": 8,
                "intermediate_size": 8,
                "num_hidden_layers": 1,
                "num_attention_heads": 2,
                "max_position_embeddings": 8,
                "projection_dim": 6,
                "bos_token_id": 0,
                "eos_token_id": 2,
            },
            "pooling": None,
            "normalize": False,
            "max_tokens": 8,
        },
        "train_mode": True,  # as the other methods; its own tests are in eval mode
        "distillation_weight": 0.0,
        "num_anchors": 4,
        "num_neighbors": 3,
    },
}

BACKBONES: dict[str, dict[str, Any]] = {
    "resnet18": {"backbone": "resnet18"},
    "vit": {"backbone": "test_vit", "backbone_kwargs": {"img_size": 160}},
    "swin": {
        "backbone": "swin_tiny_patch4_window7_224",
        "backbone_kwargs": {"img_size": 64, "window_size": 4, "depths": (1, 1, 1, 1), "embed_dim": 24},
    },
    "eva02": {"backbone": "eva02_tiny_patch14_224", "backbone_kwargs": {"img_size": 56, "depth": 2}},
}


def _make_model(model_type: str, seed: int = 0, **settings: Any) -> Any:
    method = get_method(model_type)
    settings = {"backbone": "test_resnet", "num_labels": NUM_CLASSES, **TINY[model_type], **settings}
    torch.manual_seed(seed)
    model = method.classifier_class()(method.config_class()(**settings))
    if model_type == "vl_ltr" and not model.class_embeds.is_meta:  # whose sentences a run would set
        classes, width = model.class_embeds.shape
        counts = torch.arange(classes) % 4 + 1
        model.set_class_text(torch.randn(classes, width), torch.randn(classes, 4, width), counts)
    return model


def _make_batch(model: Any, size: int = 4, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    config = model.config
    side = (config.backbone_kwargs or {}).get("img_size", 64)
    labels = torch.arange(size) % config.num_labels
    if config.problem_type == "multi_label_classification":
        labels = torch.nn.functional.one_hot(labels, config.num_labels).float()
    input_ids = torch.randint(2, VOCAB_SIZE, (size, 4), generator=generator)
    input_ids[0, 2:] = 0  # [PAD]
    input_ids[1, 0] = 1  # [UNK]
    batch = {
        "pixel_values": torch.randn(size, 3, side, side, generator=generator),
        "input_ids": input_ids,
        "attention_mask": (input_ids != 0).long(),
        "labels": labels,
    }
    accepted = inspect.signature(model.forward).parameters
    return {name: tensor for name, tensor in batch.items() if name in accepted}


@pytest.fixture(scope="session")
def make_model() -> Callable[..., Any]:
    """Makes the classifier of a method, small and seeded; further arguments are config fields."""
    return _make_model


@pytest.fixture(scope="session")
def make_batch() -> Callable[..., dict[str, Tensor]]:
    """Makes a labelled batch that a model takes, with padding and an unknown word where it takes words."""
    return _make_batch


@pytest.fixture(params=METHODS, ids=lambda method: method.model_type)
def method(request: pytest.FixtureRequest) -> Method:
    """Each method of the registry in turn."""
    return request.param


@pytest.fixture(
    params=[
        method for method in METHODS if "features" in inspect.signature(method.classifier_class().forward).parameters
    ],
    ids=lambda method: method.model_type,
)
def video_method(request: pytest.FixtureRequest) -> Method:
    """Each method that takes videos, as sequences of features, in turn."""
    return request.param


@pytest.fixture(params=BACKBONES)
def backbone(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Config fields of small backbones: a CNN, and transformers whose buffers a checkpoint does not hold."""
    return BACKBONES[request.param]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Runs tests that take `staged` for every stage of every method."""
    if "staged" in metafunc.fixturenames:
        cases = [(m.model_type, stage) for m in METHODS for stage in _make_model(m.model_type).stages]
        metafunc.parametrize("staged", cases, ids=["-".join(case) for case in cases])


@pytest.fixture(scope="session")
def hf_vit(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a tiny transformers ViT with random weights."""
    torch.manual_seed(1)
    config = ViTConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16, image_size=64, patch_size=16
    )
    folder = tmp_path_factory.mktemp("hf_vit")
    ViTModel(config).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def hf_clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a tiny CLIP, both towers, with random weights."""
    sizes = {"num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    text = {"hidden_size": 8, "vocab_size": 10, "bos_token_id": 1, "eos_token_id": 2, **sizes}
    vision = {"hidden_size": 16, "image_size": 32, "patch_size": 16, **sizes}
    torch.manual_seed(1)
    folder = tmp_path_factory.mktemp("hf_clip")
    CLIPModel(CLIPConfig(text_config=text, vision_config=vision)).save_pretrained(folder)
    return str(folder)


@pytest.fixture
def transformers_warnings() -> Iterator[list[str]]:
    """What transformers logs as a warning or worse during the test."""
    messages: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: messages.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("transformers")
    logger.addHandler(handler)
    yield messages
    logger.removeHandler(handler)
