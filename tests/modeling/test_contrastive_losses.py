"""Contrastive losses against recorded values, and against the paper's sums written again term by term."""

import math
from functools import partial

import pytest
import torch
import torch.nn.functional as F

from xmodal_lt.losses import class_contrastive_loss, contrastive_distillation_loss
from xmodal_lt.modeling.contrastive_losses import VARIANTS, cosine_logits


DOUBLE = {"rtol": 1e-9, "atol": 1e-12}
RECORDED = {"rtol": 1e-8, "atol": 1e-10}  # as the file of the recorded values states it
LABELS = torch.tensor([2, 0, 2, 5, 0])
each_variant = pytest.mark.parametrize("variant", VARIANTS)


def _tensor(values, requires_grad: bool = False) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64, requires_grad=requires_grad)


def _random(seed: int, rows: int = 5, width: int = 4) -> torch.Tensor:
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


TEACHER = [_random(seed, width=3).bfloat16().double() for seed in (2, 3)]  # the same numbers in any dtype
# Every loss as a function of images, sentences `[5, D]` and the scale.
LOSSES = {
    f"{name}, {variant}": partial(function, variant=variant)
    for variant in VARIANTS
    for name, function in {
        "contrastive": lambda images, texts, scale, variant: class_contrastive_loss(
            images, texts, LABELS[: len(images)], scale, variant=variant
        ),
        "distillation": lambda images, texts, scale, variant: contrastive_distillation_loss(
            images, texts, *(rows[: len(images)].to(images) for rows in TEACHER), scale, math.log(20), variant=variant
        ),
    }.items()
}
each_loss = pytest.mark.parametrize("loss_of", LOSSES.values(), ids=LOSSES)


@pytest.fixture
def inputs():
    """Images, sentences `[5, 4]` and the scale log 7, float64 with gradients."""
    return [tensor.requires_grad_() for tensor in (_random(0), _random(1), _tensor(math.log(7)))]


# The paper's sums, a scalar at a time: rows[i][j] is S_ij / tau, and the text side has the matrix turned over.


def _plain_logits(images, texts, scale) -> list[list[torch.Tensor]]:
    def cosine(x, t):
        return (x * t).sum() / ((x * x).sum().sqrt() * (t * t).sum().sqrt())

    return [[scale.exp() * cosine(x, t) for t in texts] for x in images]


def _turned(rows):
    return [list(column) for column in zip(*rows, strict=True)]


def _plain_log_probabilities(row) -> list[torch.Tensor]:
    total = sum(score.exp() for score in row)
    return [score - total.log() for score in row]


def _plain_contrastive_side(rows, positives, smoothing: float):
    total = 0.0
    for i, row in enumerate(rows):
        log_p = _plain_log_probabilities(row)
        own = [log_p[j] for j in range(len(row)) if positives[i][j]]
        total += (1 - smoothing) * -sum(own) / len(own) + smoothing * -sum(log_p) / len(row)
    return total / len(rows)


def _plain_distillation_side(rows, teacher_rows, diagonal: bool):
    total = 0.0
    for i, (row, teacher_row) in enumerate(zip(rows, teacher_rows, strict=True)):
        log_p, log_teacher = _plain_log_probabilities(row), _plain_log_probabilities(teacher_row)
        for j in [i] if diagonal else range(len(row)):
            total -= log_teacher[j].exp() * log_p[j]
    return total / len(rows)


def _assert_same_gradients(loss, expected, inputs):
    torch.testing.assert_close(loss, expected, **DOUBLE)
    torch.testing.assert_close(torch.autograd.grad(loss, inputs), torch.autograd.grad(expected, inputs), **DOUBLE)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@each_variant
def test_contrastive_loss_equals_the_sums_of_the_paper(inputs, variant, smoothing):
    loss = class_contrastive_loss(*inputs[:2], LABELS, inputs[2], smoothing, variant)

    rows, positives = _plain_logits(*inputs), [[a == b for b in LABELS] for a in LABELS]
    smoothing = smoothing if variant == "code" else 0.0
    sides = sum(_plain_contrastive_side(side, positives, smoothing) for side in (rows, _turned(rows)))
    _assert_same_gradients(loss, sides / 2 if variant == "code" else sides, inputs)


@each_variant
def test_distillation_loss_equals_the_sums_of_the_paper(inputs, variant):
    teacher_scale = _tensor(math.log(20))

    loss = contrastive_distillation_loss(*inputs[:2], *TEACHER, inputs[2], teacher_scale, variant)

    rows, teacher_rows = _plain_logits(*inputs), _plain_logits(*TEACHER, teacher_scale)
    sides = sum(
        _plain_distillation_side(*pair, diagonal=variant == "paper")
        for pair in ((rows, teacher_rows), (_turned(rows), _turned(teacher_rows)))
    )
    _assert_same_gradients(loss, sides / 2 if variant == "code" else sides, inputs)


class TestRecord:
    @pytest.fixture
    def record(self, golden):
        return golden("vlltr_pretrain_loss")

    @pytest.mark.parametrize("number", range(4))
    def test_weighted_sum_and_its_gradients(self, record, number):
        given, case = record["inputs"], record["outputs"]["cases"][number]
        names = ("image_embed", "text_embed", "logit_scale_param")
        images, texts, scale = inputs = [_tensor(given[name], requires_grad=True) for name in names]
        teacher = [_tensor(given[f"teacher_{name}"], requires_grad=True) for name in names]
        smoothing = {"smoothCE": 0.1, "smoothCE_eps0": 0.0}[case["base"]]

        base = class_contrastive_loss(images, texts, torch.tensor(given["labels"]), scale, smoothing)
        distillation = contrastive_distillation_loss(images, texts, *teacher[:2], scale, teacher[2])
        loss = (1 - case["beta"]) * base + case["beta"] * distillation
        gradients = torch.autograd.grad(loss, [*inputs, *teacher], allow_unused=True)

        torch.testing.assert_close(loss, _tensor(case["loss"]), **RECORDED)
        if case["beta"]:  # it is not recorded, as 0, where it has no weight
            torch.testing.assert_close(distillation, _tensor(case["distill"]), **RECORDED)
        for gradient, name in zip(gradients, ("grad_image", "grad_text", "grad_logit_scale"), strict=False):
            torch.testing.assert_close(gradient, _tensor(case[name]), **RECORDED)
        assert gradients[3:] == (None, None, None)  # the teacher is frozen

    def test_positives_are_the_recorded_ones(self, record):
        given = record["inputs"]
        rows = _plain_logits(*(_tensor(given[f"{name}_embed"]) for name in ("image", "text")), _tensor(0.0))
        positives = record["outputs"]["target_matrix"]

        loss = class_contrastive_loss(
            _tensor(given["image_embed"]), _tensor(given["text_embed"]), torch.tensor(given["labels"]), 0.0, 0.0
        )

        sides = [_plain_contrastive_side(side, positives, 0.0) for side in (rows, _turned(rows))]
        torch.testing.assert_close(loss, sum(sides) / 2, **DOUBLE)


@each_variant
def test_different_classes_give_the_loss_of_clip(inputs, variant):
    logits, pairs = cosine_logits(*inputs), torch.arange(5)

    loss = class_contrastive_loss(*inputs[:2], pairs, inputs[2], label_smoothing=0.0, variant=variant)

    expected = F.cross_entropy(logits, pairs) + F.cross_entropy(logits.T, pairs)
    torch.testing.assert_close(loss, expected / 2 if variant == "code" else expected, **DOUBLE)


def test_smoothing_has_no_effect_on_a_single_class(inputs):
    losses = [class_contrastive_loss(*inputs[:2], LABELS * 0, inputs[2], smoothing) for smoothing in (0.0, 0.5)]

    torch.testing.assert_close(*losses, **DOUBLE)  # the target is uniform already


def test_distillation_is_least_for_the_teacher_itself():
    images, texts = (rows.clone().requires_grad_() for rows in TEACHER)

    loss = contrastive_distillation_loss(images, texts, *TEACHER, math.log(20), math.log(20))
    loss.backward()

    assert loss > 0.1  # the teacher's entropy
    torch.testing.assert_close((images.grad, texts.grad), (torch.zeros(5, 3).double(),) * 2, **DOUBLE)


@each_loss
class TestEveryLoss:
    def test_a_single_pair_has_neither_loss_nor_gradient(self, inputs, loss_of):
        images, texts = (rows[:1].detach().requires_grad_() for rows in inputs[:2])

        loss = loss_of(images, texts, inputs[2])
        loss.backward()

        assert loss.item() == 0
        assert images.grad.abs().max() == texts.grad.abs().max() == inputs[2].grad == 0

    def test_lengths_do_not_matter(self, inputs, loss_of):
        images, texts, scale = inputs

        torch.testing.assert_close(loss_of(images * 3, texts * 0.01, scale), loss_of(*inputs), **DOUBLE)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
    def test_is_computed_in_float32_at_least(self, inputs, loss_of, dtype):
        # The inputs are rounded first, so that only the arithmetic differs: float32's, some 1e-7 a step.
        narrow = [tensor.detach().to(dtype).requires_grad_() for tensor in inputs]
        wide = [tensor.detach().double().requires_grad_() for tensor in narrow]

        loss, expected = loss_of(*narrow), loss_of(*wide)
        gradients, expected_gradients = torch.autograd.grad(loss, narrow), torch.autograd.grad(expected, wide)

        assert loss.dtype == torch.float32
        torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=1e-7)
        tolerance = {"rtol": 4 * torch.finfo(dtype).eps, "atol": 1e-5}  # gradients are rounded once
        torch.testing.assert_close([gradient.double() for gradient in gradients], [*expected_gradients], **tolerance)

    def test_autocast_does_not_narrow_the_arithmetic(self, inputs, loss_of):
        single = [tensor.detach().float() for tensor in inputs]

        with torch.autocast("cpu", torch.bfloat16):
            loss = loss_of(*single)

        assert torch.equal(loss, loss_of(*single))

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    @pytest.mark.parametrize(("size", "scale"), [(1e4, 10.0), (1e-6, 10.0), (1.0, 40.0)])
    def test_is_finite_for_extreme_embeddings_and_scales(self, loss_of, dtype, size, scale):
        signs = torch.tensor([[1, 0, -1], [-1, 1, 0], [1, 1, 1], [0, -1, 1], [0, 0, 1]])
        images, texts = ((size * sign * signs).to(dtype).requires_grad_() for sign in (1, -1))

        loss = loss_of(images, texts, scale)
        loss.backward()

        assert loss.isfinite()
        assert images.grad.isfinite().all()
        assert texts.grad.isfinite().all()

    def test_leaves_its_inputs_as_they_are(self, inputs, loss_of):
        tensors = *inputs, *TEACHER, LABELS
        before = [tensor.detach().clone() for tensor in tensors]

        loss_of(*inputs).backward()

        assert all(map(torch.equal, tensors, before))

    def test_the_scale_may_be_a_number(self, inputs, loss_of):
        torch.testing.assert_close(loss_of(*inputs[:2], math.log(7)), loss_of(*inputs), **DOUBLE)

    @pytest.mark.parametrize("shapes", [((5, 4), (5, 3)), ((5, 4), (4, 4)), ((5,), (5,))])
    def test_names_embeddings_that_are_no_pairs(self, loss_of, shapes):
        with pytest.raises(ValueError, match=r"pairs of embeddings of one shape \[B, D\], got \(5,"):
            loss_of(*map(torch.zeros, shapes), 0.0)

    def test_names_a_scale_with_dimensions(self, inputs, loss_of):
        with pytest.raises(ValueError, match=r"without dimensions, got shape \(1,\)"):
            loss_of(*inputs[:2], torch.zeros(1))

    def test_names_an_unknown_variant(self, inputs, loss_of):
        with pytest.raises(ValueError, match="Unknown variant 'clip'; expected one of code, paper"):
            loss_of(*inputs, variant="clip")


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32])
def test_class_ids_may_be_any_integers(inputs, dtype):
    losses = [class_contrastive_loss(*inputs[:2], labels, inputs[2]) for labels in (LABELS, LABELS.to(dtype))]

    assert torch.equal(*losses)


@pytest.mark.parametrize("labels", [LABELS[:4], LABELS.double(), F.one_hot(LABELS)], ids=["few", "float", "one-hot"])
def test_names_labels_that_are_no_class_ids(inputs, labels):
    with pytest.raises(ValueError, match=r"Expected labels \[5\] of integer class ids.*got \(\d.* of torch"):
        class_contrastive_loss(*inputs[:2], labels, inputs[2])


@pytest.mark.parametrize("smoothing", [-0.1, 1.0])
def test_names_a_smoothing_outside_its_range(inputs, smoothing):
    with pytest.raises(ValueError, match=rf"label_smoothing={smoothing} must be in \[0, 1\)"):
        class_contrastive_loss(*inputs[:2], LABELS, inputs[2], smoothing)


def test_names_a_teacher_of_another_batch(inputs):
    with pytest.raises(ValueError, match="there are 5 pairs and 3 of the teacher"):
        contrastive_distillation_loss(*inputs[:2], *(rows[:3] for rows in TEACHER), inputs[2], 3.0)
