"""Centroid alignment against recorded values, and against its formula written again as a loop over numbers."""

import re

import pytest
import torch
from crif_reference import Row, Rows, mean, squared_distance

from xmodal_lt.losses import centroid_alignment_loss


DOUBLE = {"rtol": 1e-7, "atol": 1e-12}
RECORDED = {"rtol": 1e-8, "atol": 1e-10}  # as the file of the recorded values states it
CLASS_IDS = torch.tensor([2, 0, 2, 5])
MULTI_HOT = torch.tensor([[1.0, 0, 1], [0, 1, 1], [1, 0, 1], [0, 0, 0]])
each_form = pytest.mark.parametrize("pooled", [False, True])


def _tensor(rows, requires_grad: bool = False) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float64, requires_grad=requires_grad)


def _centroid(rows: Rows) -> Row:
    return [mean(column) for column in zip(*rows, strict=True)]


def _plain_loss(images: list[Rows], words: list[Rows], pooled: bool) -> float:
    """Of the rows of each class, over the classes that have both images and words."""
    total = 0.0
    for of_images, of_words in zip(images, words, strict=True):
        if of_images and of_words:
            centroids = _centroid(of_images), _centroid(of_words)
            total += squared_distance(*centroids)
            if pooled:
                both = _centroid(of_images + of_words)
                total += sum(squared_distance(centroid, both) for centroid in centroids)
    return total


def _by_class(embeds, labels, num_classes: int) -> list[Rows]:
    """Rows of each class, of class ids or multi-hot labels."""
    rows, labels = embeds.tolist(), labels.tolist()
    if isinstance(labels[0], list):
        members = [[label[number] == 1 for label in labels] for number in range(num_classes)]
    else:
        members = [[label == number for label in labels] for number in range(num_classes)]
    return [[row for row, member in zip(rows, of_class, strict=True) if member] for of_class in members]


@pytest.fixture
def embeds():
    """Image and word features, float64 `[4, 6]`, both with gradients."""
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(4, 6, generator=generator, dtype=torch.float64).requires_grad_() for _ in range(2)]


@pytest.fixture
def record(golden):
    return golden("ssan_centroid")


@pytest.fixture
def batch(record):
    """Source and target features of the record and their labels; unlabelled targets have pseudo labels."""
    inputs = record["inputs"]
    return {
        "image_embeds": _tensor(inputs["source"], requires_grad=True),
        "word_embeds": _tensor(inputs["labelled_target"] + inputs["unlabelled_target"], requires_grad=True),
        "labels": torch.tensor(inputs["source_labels"]),
        "word_labels": torch.tensor(inputs["target_labels"] + inputs["pseudo_labels"]),
    }


@pytest.mark.parametrize(("pooled", "output"), [(False, "two"), (True, "three")])
def test_equals_the_recorded_reference(record, batch, pooled, output):
    loss = centroid_alignment_loss(**batch, pooled=pooled)

    torch.testing.assert_close(loss, _tensor(record["outputs"][output]), **RECORDED)


@each_form
def test_gradients_equal_finite_differences(batch, pooled):
    labels = batch["labels"], batch["word_labels"]

    assert torch.autograd.gradcheck(
        lambda images, words: centroid_alignment_loss(images, words, *labels, pooled=pooled),
        (batch["image_embeds"], batch["word_embeds"]),
    )


@each_form
def test_equals_a_loop(batch, pooled):
    loss = centroid_alignment_loss(**batch, pooled=pooled)

    rows = [
        _by_class(batch[f"{kind}_embeds"], batch[labels], 3)
        for kind, labels in (("image", "labels"), ("word", "word_labels"))
    ]
    assert loss.item() == pytest.approx(_plain_loss(*rows, pooled), rel=1e-12)


@each_form
def test_multi_hot_labels_equal_a_loop(embeds, pooled):
    loss = centroid_alignment_loss(*embeds, MULTI_HOT, pooled=pooled)

    rows = [_by_class(tensor, MULTI_HOT, 3) for tensor in embeds]
    assert loss.item() == pytest.approx(_plain_loss(*rows, pooled), rel=1e-12)


@each_form
def test_class_ids_and_their_one_hot_rows_are_the_same(embeds, pooled):
    one_hot = torch.nn.functional.one_hot(CLASS_IDS)

    expected = centroid_alignment_loss(*embeds, CLASS_IDS, pooled=pooled)
    torch.testing.assert_close(centroid_alignment_loss(*embeds, one_hot, pooled=pooled), expected, **DOUBLE)


@pytest.mark.parametrize("dtype", [torch.bool, torch.int32, torch.float16])
def test_multi_hot_labels_may_have_any_dtype(embeds, dtype):
    loss = centroid_alignment_loss(*embeds, MULTI_HOT.to(dtype))

    assert torch.equal(loss, centroid_alignment_loss(*embeds, MULTI_HOT))


def test_words_have_the_labels_of_the_images_by_default(embeds):
    loss = centroid_alignment_loss(*embeds, CLASS_IDS)

    assert torch.equal(loss, centroid_alignment_loss(*embeds, CLASS_IDS, CLASS_IDS))


@each_form
@pytest.mark.parametrize("absent", ["image", "word"])
def test_classes_absent_in_a_modality_are_left_out(batch, absent, pooled):
    key = {"image": "labels", "word": "word_labels"}[absent]
    batch[key] = torch.where(batch[key] == 1, 7, batch[key])  # 7 is absent in the other one

    loss = centroid_alignment_loss(**batch, pooled=pooled)
    loss.backward()

    rows = []
    for embeds, labels in ((batch["image_embeds"], batch["labels"]), (batch["word_embeds"], batch["word_labels"])):
        zero, _, two = _by_class(embeds, labels, 3)
        rows.append([zero, two])
        assert not embeds.grad[(labels == 1) | (labels == 7)].any()
    assert loss.item() == pytest.approx(_plain_loss(*rows, pooled), rel=1e-12)


@each_form
def test_modalities_without_a_common_class_have_no_loss(embeds, pooled):
    assert centroid_alignment_loss(*embeds, CLASS_IDS, CLASS_IDS + 10, pooled=pooled).item() == 0


@pytest.mark.parametrize(
    ("labels", "word_labels"),
    [(CLASS_IDS[:3], None), (CLASS_IDS, CLASS_IDS[:3]), (MULTI_HOT, MULTI_HOT[:, :2]), (CLASS_IDS, MULTI_HOT)],
    ids=["too few", "too few of words", "other classes", "ids and rows"],
)
def test_names_labels_that_do_not_fit(embeds, labels, word_labels):
    with pytest.raises(ValueError, match="and the labels of their rows, got"):
        centroid_alignment_loss(*embeds, labels, word_labels)


@pytest.mark.parametrize("shape", [(4,), (4, 4, 2)], ids=len)
def test_names_features_that_are_no_rows(shape):
    with pytest.raises(ValueError, match=re.escape(str(shape))):
        centroid_alignment_loss(torch.zeros(shape), torch.zeros(shape), CLASS_IDS)
