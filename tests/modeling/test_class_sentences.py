import pytest
import torch
from torch import nn
from torch.testing import assert_close

from xmodal_lt.modeling.class_sentences import ClassSentences


COUNTS = torch.tensor([3, 1, 2])


@pytest.fixture
def embeds():
    return torch.randn(3, 3, 5, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def sentences(embeds):
    sentences = ClassSentences(3, 3, 5)
    sentences.set(embeds, COUNTS)
    return sentences


def test_constants_are_those_of_the_sentences(sentences, embeds):
    assert sentences.valid.tolist() == [[True] * 3, [True, False, False], [True, True, False]]
    for class_id, count in enumerate(COUNTS):
        own = embeds[class_id, :count]
        assert torch.equal(sentences.embeds[class_id, :count], own)
        assert_close(sentences.gram[class_id, :count, :count], own @ own.T)
        normed = (own - own.mean(-1, keepdim=True)) * sentences.scales[class_id, :count, None]
        assert_close(normed, nn.functional.layer_norm(own, (5,)))


def test_what_stands_behind_the_sentences_is_ignored(sentences, embeds):
    before = {name: buffer.clone() for name, buffer in sentences.named_buffers()}
    embeds[1, 1:], embeds[2, 2:] = float("nan"), float("inf")
    sentences.set(embeds, COUNTS)
    for name, buffer in sentences.named_buffers():
        assert torch.equal(buffer, before[name]), name
    assert not sentences.embeds[~sentences.valid].any()


def test_a_checkpoint_keeps_them(sentences):
    new = ClassSentences(3, 3, 5)
    assert not any(buffer.any() for buffer in new.buffers())
    new.load_state_dict(sentences.state_dict())
    for name, buffer in new.named_buffers():
        assert torch.equal(buffer, sentences.get_buffer(name)), name
    assert not list(new.parameters())
    new.reset_parameters()
    assert not any(buffer.any() for buffer in new.buffers())


def test_sentences_in_half_precision_have_exact_constants(sentences, embeds):
    half = embeds.half()
    sentences.set(half, COUNTS)
    own = half[0].float()
    assert_close(sentences.gram[0], own @ own.T)


@pytest.mark.parametrize(
    ("shape", "counts", "message"),
    [
        ((3, 2, 5), [2, 1, 2], r"Expected embeddings \[3, 3, 5\] and counts \[3\], got \[3, 2, 5\] and \[3\]"),
        ((3, 3, 5), [2, 1], r"got \[3, 3, 5\] and \[2\]"),
        ((3, 3, 5), [2, 0, 4], r"needs 1 to 3 sentences; classes \[1, 2\]"),
    ],
)
def test_wrong_sentences_are_refused_and_change_nothing(sentences, shape, counts, message):
    before = sentences.embeds.clone()
    with pytest.raises(ValueError, match=message):
        sentences.set(torch.zeros(shape), torch.tensor(counts))
    assert torch.equal(sentences.embeds, before)
    assert torch.equal(sentences.counts, COUNTS)
