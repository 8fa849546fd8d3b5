"""Heads that learn nothing, against loops over images, sentences and classes."""

import math

import pytest
import torch
from torch.testing import assert_close

from xmodal_lt.modeling.class_sentences import ClassSentences
from xmodal_lt.modeling.sentence_heads import nearest_sentence_logits, prompt_ensemble, zero_shot_logits


COUNTS = (4, 1, 2)
SCALE = math.log(5)


@pytest.fixture
def embeds():
    return 3 * torch.randn(5, 6, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def sentences():
    sentences = ClassSentences(3, 4, 6)
    sentences.set(torch.randn(3, 4, 6, generator=torch.Generator().manual_seed(1)), torch.tensor(COUNTS))
    return sentences


def _cosine(a, b) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True)) / (math.hypot(*a) * math.hypot(*b))


def _plain_shares(image, texts, neighbours: int) -> list[float]:
    """Shares of the votes of the nearest sentences, by class."""
    cosines = [(_cosine(image, texts[c][m]), c) for c, count in enumerate(COUNTS) for m in range(count)]
    nearest = sorted(cosines, reverse=True)[:neighbours]
    total = sum(math.exp(math.exp(SCALE) * cosine) for cosine, _ in nearest)
    shares = [0.0] * len(COUNTS)
    for cosine, class_id in nearest:
        shares[class_id] += math.exp(math.exp(SCALE) * cosine) / total
    return shares


@pytest.mark.parametrize("neighbours", [1, 3, 7, 50])
def test_the_nearest_sentences_vote_by_their_cosines(embeds, sentences, neighbours):
    logits = nearest_sentence_logits(embeds, sentences, torch.tensor(SCALE), neighbours)
    texts = sentences.embeds.tolist()
    expected = torch.tensor([_plain_shares(image, texts, neighbours) for image in embeds.tolist()])
    assert_close(logits.exp(), expected, rtol=1e-5, atol=2e-6)  # a class without a vote has a little
    assert logits.isfinite().all()


def test_a_model_without_sentences_prefers_no_class(embeds):
    logits = nearest_sentence_logits(embeds, ClassSentences(3, 4, 6), torch.tensor(SCALE), 2)
    assert logits.isfinite().all()
    assert (logits == logits[0, 0]).all()


def test_a_class_is_the_normalised_mean_of_its_normalised_prompts(embeds):
    prompts = (
        torch.randn(6, 6, generator=torch.Generator().manual_seed(2)) * torch.tensor([1, 50, 1, 2, 9, 0.1])[:, None]
    )
    class_ids = torch.tensor([2, 0, 0, 1, 0, 2])
    classes = prompt_ensemble(prompts, class_ids, 3)
    units = prompts / prompts.norm(dim=1, keepdim=True)
    for class_id in range(3):
        mean = units[class_ids == class_id].mean(0)
        assert_close(classes[class_id], mean / mean.norm())
    logits = zero_shot_logits(embeds, 7 * classes, torch.tensor(SCALE))  # whatever their length
    expected = [[math.exp(SCALE) * _cosine(image, own) for own in classes.tolist()] for image in embeds.tolist()]
    assert_close(logits, torch.tensor(expected))


def test_half_precision_loses_nothing(embeds, sentences):
    scale, classes = torch.tensor(math.log(100)), sentences.embeds[:, 0]
    wide = zero_shot_logits(embeds, classes, scale), nearest_sentence_logits(embeds, sentences, scale, 3)
    with torch.autocast("cpu", torch.bfloat16):
        narrow = zero_shot_logits(embeds, classes, scale), nearest_sentence_logits(embeds, sentences, scale, 3)
    for found, expected in zip(narrow, wide, strict=True):
        assert_close(found, expected)
    half = zero_shot_logits(300 * embeds.half(), classes.half(), scale.half())
    assert half.dtype == torch.float32
    assert_close(half, wide[0], rtol=1e-2, atol=0.3)
