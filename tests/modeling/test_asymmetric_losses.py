import math
from functools import partial

import pytest
import torch
import torch.nn.functional as F

from xmodal_lt.modeling.asymmetric_losses import asymmetric_loss, multi_grained_focal_loss


DOUBLE = {"rtol": 1e-7, "atol": 1e-12}
# Beside float64, the reference's width. float32 rounds each step to some 1e-7; bfloat16 rounds the inputs to 8 bits,
# up to 0.4 % of a logit, before float32 takes over, and the gradients once more.
TOLERANCES = {
    torch.float64: DOUBLE,
    torch.float32: {"rtol": 1e-5, "atol": 1e-6},
    torch.bfloat16: {"rtol": 2e-2, "atol": 1e-3},
}


def _double(values):
    return torch.tensor(values, dtype=torch.float64)


def _assert_recorded(result, recorded, dtype):
    torch.testing.assert_close(result.double(), _double(recorded), **TOLERANCES[dtype])


@pytest.fixture
def record(golden):
    return golden("asl")


@pytest.fixture
def batch(record):
    """Logits (float64 `[4, 6]`, with gradient) and targets of the record."""
    inputs = record["inputs"]
    return _double(inputs["logits"]).requires_grad_(), _double(inputs["targets"])


@pytest.fixture(params=range(5))
def case(request, record):
    """The arguments and the outputs of a recorded case."""
    expected = record["outputs"]["cases"][request.param]
    settings = dict(expected["setting"])
    return {"detach_focus": settings.pop("disable_torch_grad_focal_loss"), **settings}, expected


def _element(x, y, gamma_neg=4.0, gamma_pos=0.0, clip=0.05):
    p = 1 / (1 + math.exp(-x))
    shifted = max(p - clip, 0)
    positive, negative = (1 - p) ** gamma_pos * math.log(p), shifted**gamma_neg * math.log(1 - shifted)
    return -(y * positive + (1 - y) * negative)


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
def test_equals_the_recorded_reference(batch, case, dtype):
    settings, expected = case
    logits, targets = batch[0].detach().to(dtype).requires_grad_(), batch[1]

    loss = asymmetric_loss(logits, targets, **settings, reduction="sum")
    loss.backward()

    _assert_recorded(loss, expected["loss_sum"], dtype)
    _assert_recorded(logits.grad, expected["grad_of_sum"], dtype)


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
def test_mean_equals_the_recorded_reference(batch, case, dtype):
    settings, expected = case
    logits, targets = batch[0].detach().to(dtype).requires_grad_(), batch[1]

    loss = asymmetric_loss(logits, targets, **settings)
    loss.backward()

    _assert_recorded(loss, expected["loss_mean_cprfl"], dtype)
    _assert_recorded(logits.grad, expected["grad_of_mean_cprfl"], dtype)


@pytest.mark.parametrize("settings", [{}, {"gamma_neg": 2.5, "gamma_pos": 0.5, "clip": 0.2}, {"gamma_neg": 0.0}])
@pytest.mark.parametrize("label", [None, 0.3], ids=["labels", "uncertain labels"])
def test_equals_a_loop(batch, settings, label):
    logits, targets = batch
    targets = targets if label is None else torch.full_like(targets, label)

    elements = asymmetric_loss(logits, targets, **settings, reduction="none")

    rows = (tensor.flatten().tolist() for tensor in (elements, logits, targets))
    for element, x, y in zip(*rows, strict=True):
        assert element == pytest.approx(_element(x, y, **settings), rel=1e-9)


def test_without_focus_and_shift_it_is_binary_cross_entropy_for_any_logit():
    logits = _double([[-1e4, -50.0, -20.0, -1.0, 1.0, 20.0, 50.0, 1e4]]).requires_grad_()
    targets = _double([[1, 1, 1, 0, 1, 0, 0, 0]])

    loss = asymmetric_loss(logits, targets, gamma_neg=0.0, clip=0.0, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, logits)

    expected = F.binary_cross_entropy_with_logits(logits, targets, reduction="sum")
    torch.testing.assert_close(loss, expected, **DOUBLE)
    torch.testing.assert_close(gradient, *torch.autograd.grad(expected, logits), **DOUBLE)


@pytest.mark.parametrize("gamma_neg", [0.0, 0.5, 4.0])
@pytest.mark.parametrize("make_loss", ["asymmetric", "multi-grained"])
def test_negatives_below_the_shift_count_nothing(gamma_neg, make_loss):
    logits = torch.tensor([[-30.0, -5.0, -3.0]], requires_grad=True)  # probabilities to 0.0474
    settings = {"gamma_neg": gamma_neg, "reduction": "sum"}

    if make_loss == "asymmetric":
        loss = asymmetric_loss(logits, torch.zeros(1, 3), **settings)
    else:
        loss = multi_grained_focal_loss(logits, torch.zeros(1, 3), [9, 3, 1], **settings)
    loss.backward()

    assert loss.item() == 0
    assert torch.equal(logits.grad, torch.zeros(1, 3))


def test_badly_missed_positives_keep_their_gradient():
    logits = torch.tensor([[-100.0]], requires_grad=True)

    loss = asymmetric_loss(logits, torch.ones(1, 1))
    loss.backward()

    assert loss.item() == 100
    assert logits.grad.item() == -1


def test_batchmean_is_the_mean_over_samples(batch):
    total = asymmetric_loss(*batch, reduction="sum")

    loss = asymmetric_loss(*batch, reduction="batchmean")
    (gradient,) = torch.autograd.grad(loss, batch[0])

    torch.testing.assert_close(loss, total / 4, **DOUBLE)
    torch.testing.assert_close(gradient, torch.autograd.grad(total, batch[0])[0] / 4, **DOUBLE)


@pytest.mark.parametrize("gamma_pos", [0.0, 1.0])
def test_multi_grained_loss_equals_a_loop(batch, gamma_pos):
    logits, targets = batch
    counts = [500, 100, 40, 10, 3, 1]

    elements = multi_grained_focal_loss(logits, targets, counts, gamma_pos=gamma_pos, reduction="none")

    for row, labels, losses in zip(logits.tolist(), targets.tolist(), elements.tolist(), strict=True):
        for x, y, loss, count in zip(row, labels, losses, counts, strict=True):
            weight = (1 - math.log(count / 500)) ** (1 / 6)
            assert loss == pytest.approx(weight * _element(x, y, 4 + weight, gamma_pos), rel=1e-9)


def test_multi_grained_loss_of_equal_counts_is_the_asymmetric_loss(batch):
    logits, targets = batch

    loss = multi_grained_focal_loss(logits, targets, [7] * 6, gamma_neg=3.0)
    (gradient,) = torch.autograd.grad(loss, logits)

    expected = asymmetric_loss(logits, targets)  # weight 1, and 3 + 1
    torch.testing.assert_close(loss, expected, **DOUBLE)
    torch.testing.assert_close(gradient, *torch.autograd.grad(expected, logits), **DOUBLE)


@pytest.mark.parametrize("loss", [asymmetric_loss, partial(multi_grained_focal_loss, class_counts=[6, 5, 4, 3, 2, 1])])
@pytest.mark.parametrize("clip", [-0.1, 1.0])
def test_clip_outside_its_range_is_named(batch, loss, clip):
    with pytest.raises(ValueError, match=rf"clip={clip} must be in \[0, 1\)"):
        loss(*batch, clip=clip)
