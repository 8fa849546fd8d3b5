"""The choice of sentences against its formula, written again as loops over all sentences and images."""

import math
import subprocess
import sys
from functools import partial

import pytest
import torch
from torch.testing import assert_close

from xmodal_lt.losses import class_contrastive_loss
from xmodal_lt.modeling import anchor_sentences
from xmodal_lt.modeling.anchor_sentences import cut_off, select_anchors, sentence_losses
from xmodal_lt.modeling.contrastive_losses import cosine_logits


NUM_CLASSES, NUM_ANCHORS, WIDTH, SCALE = 5, 4, 6, math.log(9)
NO_IMAGE, NO_SENTENCE = 1, 4
SENTENCES_OF = (11, 7, 2, 4, 0)  # more than M, without images, fewer, exactly M, none
IMAGES_OF = (3, 0, 5, 1, 2)


def _embeds(rows: int, seed: int) -> torch.Tensor:
    return 3 * torch.randn(rows, WIDTH, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _shuffled_labels(counts: tuple[int, ...], seed: int) -> torch.Tensor:
    labels = torch.arange(NUM_CLASSES).repeat_interleave(torch.tensor(counts))
    return labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))]


@pytest.fixture
def sentences():
    return _embeds(sum(SENTENCES_OF), 0), _shuffled_labels(SENTENCES_OF, 1)


@pytest.fixture
def images():
    return _embeds(sum(IMAGES_OF), 2), _shuffled_labels(IMAGES_OF, 3)


def _plain_losses(texts, text_labels, images, image_labels) -> list[float]:
    """-(1/|same|) sum over the same class of log softmax(exp(s) cos), a number at a time."""
    losses = []
    for text, text_label in zip(texts.tolist(), text_labels.tolist(), strict=True):
        scores = [
            math.exp(SCALE) * sum(a * b for a, b in zip(text, image, strict=True))
            / (math.hypot(*text) * math.hypot(*image))
            for image in images.tolist()
        ]  # fmt: skip
        total = math.log(sum(map(math.exp, scores)))
        same = [s - total for s, label in zip(scores, image_labels.tolist(), strict=True) if label == text_label]
        losses.append(-sum(same) / len(same) if same else math.inf)
    return losses


def _plain_choice(losses: list[float], labels: list[int]) -> tuple[list[list[int]], list[list[int]]]:
    """Rows of the kept sentences of each class, and their places among the sentences of the class."""
    rows, places = [], []
    for class_id in range(NUM_CLASSES):
        own = [row for row, label in enumerate(labels) if label == class_id]
        rows.append(sorted(own, key=lambda row: (losses[row], row))[:NUM_ANCHORS])
        places.append([own.index(row) for row in rows[-1]])
    return rows, places


def _batches(embeds, labels, size: int):
    return list(zip(embeds.split(size), labels.split(size), strict=True))


def _assert_kept(anchors, embeds, losses, rows, places):
    """The kept sentences of each class in their order, then padding."""
    assert anchors.num_sentences.tolist() == list(map(len, rows))
    for class_id, (kept, own_places) in enumerate(zip(rows, places, strict=True)):
        number = len(kept)
        assert anchors.indices[class_id].tolist() == own_places + [-1] * (NUM_ANCHORS - number)
        assert torch.equal(anchors.embeds[class_id, :number], embeds[kept])
        assert not anchors.embeds[class_id, number:].any()
        padding = [math.inf] * (NUM_ANCHORS - number)
        assert_close(
            anchors.losses[class_id].double(), torch.tensor([*(losses[row] for row in kept), *padding]).double()
        )


@pytest.fixture(params=[None, 1, 200, 10**6], ids=lambda size: f"blocks of {size} bytes" if size else "default blocks")
def _block_bytes(request, monkeypatch):
    """A sentence at a time; two at a time, so that a block is left over; all at once."""
    if request.param:
        monkeypatch.setattr(anchor_sentences, "BLOCK_BYTES", request.param)


@pytest.mark.usefixtures("_block_bytes")
def test_losses_equal_the_formula(sentences, images):
    losses = sentence_losses(*sentences, *images, SCALE)

    assert_close(losses, torch.tensor(_plain_losses(*sentences, *images), dtype=torch.float64))


def test_blocks_hold_no_more_than_their_bytes(sentences, images, monkeypatch):
    rows = []
    whole = anchor_sentences._block_losses
    monkeypatch.setattr(anchor_sentences, "BLOCK_BYTES", 5 * 8 * len(images[0]))  # five sentences in float64
    monkeypatch.setattr(anchor_sentences, "_block_losses", lambda *block: rows.append(len(block[0])) or whole(*block))

    sentence_losses(*sentences, *images, SCALE)

    assert rows == [5, 5, 5, 5, 4]


# Prints by how many MB the peak memory of the process grows.
MEASURE = """
import resource

import torch

from xmodal_lt.modeling.anchor_sentences import sentence_losses

images, image_labels = torch.randn(20000, 8), torch.arange(20000) % 100
texts, text_labels = torch.randn(4000, 8), torch.arange(4000) % 100
sentence_losses(texts[:1], text_labels[:1], images, image_labels, 4.6)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
sentence_losses(texts, text_labels, images, image_labels, 4.6)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1000)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="counts in kB, and the allocator of glibc")
def test_memory_is_that_of_a_block():
    script = subprocess.run([sys.executable, "-c", MEASURE], check=True, capture_output=True, text=True, timeout=200)

    assert float(script.stdout) < 80  # all sentences by all images are 320, and as much again for each step


def test_losses_are_the_text_side_of_the_contrastive_loss(images):
    embeds, labels = images
    texts = _embeds(len(embeds), 4)

    losses = sentence_losses(texts, labels, embeds, labels, SCALE)

    logits, same = cosine_logits(embeds, texts, SCALE), labels[:, None] == labels
    image_side = -(logits.log_softmax(1) * same).sum(1) / same.sum(1)
    both = class_contrastive_loss(embeds, texts, labels, SCALE, variant="paper")
    assert_close(losses.mean() + image_side.mean(), both)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_losses_are_computed_in_float32(sentences, images, dtype):
    narrow = [rows if rows.dtype == torch.long else rows.to(dtype) for rows in (*sentences, *images)]
    wide = [rows if rows.dtype == torch.long else rows.double() for rows in narrow]

    with torch.autocast("cpu", torch.bfloat16):
        losses = sentence_losses(*narrow, torch.tensor(SCALE))

    assert losses.dtype == torch.float32
    assert_close(losses.double(), sentence_losses(*wide, SCALE), rtol=1e-5, atol=1e-6)


def test_losses_have_no_history_and_leave_their_inputs(sentences, images):
    inputs = [*sentences, *images]
    before = [tensor.clone() for tensor in inputs]
    scale = torch.tensor(SCALE, requires_grad=True)

    losses = sentence_losses(inputs[0].requires_grad_(), *inputs[1:], scale)

    assert not losses.requires_grad
    assert all(map(torch.equal, inputs, before))


def test_no_sentence_has_no_loss(sentences, images):
    assert sentence_losses(sentences[0][:0], sentences[1][:0], *images, SCALE).shape == (0,)


@pytest.mark.parametrize("size", [1, 3, 24])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_keeps_the_sentences_of_the_smallest_losses(sentences, images, size, dtype):
    embeds, labels = sentences[0].to(dtype), sentences[1]

    anchors = select_anchors(_batches(embeds, labels, size), *images, NUM_CLASSES, NUM_ANCHORS, SCALE)

    losses = _plain_losses(embeds, labels, *images)
    _assert_kept(anchors, embeds, losses, *_plain_choice(losses, labels.tolist()))
    assert anchors.losses[NO_IMAGE].isinf().all()
    assert anchors.indices[NO_IMAGE].tolist() == [0, 1, 2, 3]  # as `cut_off`
    assert anchors.num_sentences[NO_SENTENCE] == 0
    assert not anchors.embeds.requires_grad


def test_cut_off_keeps_the_first_sentences(sentences):
    embeds, labels = sentences

    anchors = cut_off(_batches(embeds, labels, 3), NUM_CLASSES, NUM_ANCHORS)

    losses = [math.inf] * len(labels)
    _assert_kept(anchors, embeds, losses, *_plain_choice(losses, labels.tolist()))


def test_of_equal_losses_the_earlier_sentence_is_kept(images):
    better = images[0][images[1] == 0].mean(0)
    worse = -better
    texts = torch.stack([worse, better, better, worse, worse, better, better])

    anchors = select_anchors(
        _batches(texts, torch.zeros(7, dtype=torch.long), 1), *images, NUM_CLASSES, NUM_ANCHORS, SCALE
    )
    one_more = select_anchors(_batches(texts[:6], torch.zeros(6, dtype=torch.long), 1), *images, NUM_CLASSES, 5, SCALE)

    assert anchors.indices[0].tolist() == [1, 2, 5, 6]
    assert one_more.indices[0].tolist() == [1, 2, 5, 0, 3]


def test_a_batch_is_asked_for_only_when_the_last_is_done(sentences, images):
    """So that no more than one stands in memory."""
    done = []

    def batches():
        for embeds, labels in _batches(*sentences, 4):
            yield embeds, labels
            done.append(len(done))
            embeds.fill_(math.nan)  # whoever still reads it, or a view of it, shows it

    embeds = sentences[0].clone()
    anchors = select_anchors(batches(), *images, NUM_CLASSES, NUM_ANCHORS, SCALE)

    losses = _plain_losses(embeds, sentences[1], *images)
    _assert_kept(anchors, embeds, losses, *_plain_choice(losses, sentences[1].tolist()))
    assert len(done) == 6


class TestErrors:
    @pytest.fixture
    def select(self, images):
        return partial(
            select_anchors,
            image_embeds=images[0],
            image_labels=images[1],
            num_classes=NUM_CLASSES,
            num_anchors=NUM_ANCHORS,
            logit_scale=SCALE,
        )

    @pytest.mark.parametrize(
        "choose", [partial(cut_off, num_classes=2, num_anchors=3), None], ids=["cut_off", "select"]
    )
    def test_no_batch(self, select, choose):
        with pytest.raises(ValueError, match="There are no sentences to choose from"):
            (choose or select)([])

    @pytest.mark.parametrize("number", ["num_classes", "num_anchors"])
    def test_numbers_below_one(self, sentences, number):
        with pytest.raises(ValueError, match=f"{number}=0"):
            cut_off([sentences], **{"num_classes": 5, "num_anchors": 5, number: 0})

    @pytest.mark.parametrize("label", [-1, NUM_CLASSES])
    def test_labels_outside_the_classes(self, sentences, images, select, label):
        embeds, labels = sentences
        labels[7] = label
        with pytest.raises(ValueError, match=f"text_labels has the class {label}, .* 5 classes: expected 0 to 4"):
            select([(embeds, labels)])

        images[1][0] = label
        with pytest.raises(ValueError, match=f"image_labels has the class {label}"):
            select([(embeds, labels.clamp(0, 4))])

    def test_shapes_that_do_not_fit(self, sentences, images):
        embeds, labels = sentences
        with pytest.raises(ValueError, match=r"text_embeds \[N, D\] .* got \(24, 6\) and \(23,\) of torch.int64"):
            sentence_losses(embeds, labels[1:], *images, SCALE)
        with pytest.raises(ValueError, match=r"image_embeds \[N, D\] .* got \(11, 6\) and \(11,\) of torch.float32"):
            sentence_losses(embeds, labels, images[0], images[1].float(), SCALE)
        with pytest.raises(ValueError, match=r"one width D, got \(24, 5\) and \(11, 6\)"):
            sentence_losses(embeds[:, 1:], labels, *images, SCALE)

    @pytest.mark.parametrize("where", ["sentence", "image"])
    def test_embeddings_that_are_not_finite(self, sentences, images, select, where):
        (sentences if where == "sentence" else images)[0][3, 2] = math.nan
        with pytest.raises(ValueError, match="Embeddings of sentences or of images are not finite"):
            select([sentences])
