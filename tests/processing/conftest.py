from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image
from transformers import PreTrainedTokenizerFast

from xmodal_lt.processing import XModalLTImageProcessor, XModalProcessor, build_word_tokenizer


@pytest.fixture
def smooth_image() -> Callable[..., Image.Image]:
    """Makes natural-like images: random colours, interpolated to the wanted size."""

    def make(width: int, height: int, seed: int = 0) -> Image.Image:
        coarse = np.random.default_rng(seed).integers(0, 256, (max(height // 8, 2), max(width // 8, 2), 3), np.uint8)
        return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)

    return make


@pytest.fixture
def tokenizer() -> PreTrainedTokenizerFast:
    return build_word_tokenizer([["red", "fire engine"], ["red", "car"], ["red", "car", "wheel"]])


@pytest.fixture
def processor(tokenizer: PreTrainedTokenizerFast) -> XModalProcessor:
    return XModalProcessor(XModalLTImageProcessor(size={"height": 32, "width": 32}), tokenizer)
