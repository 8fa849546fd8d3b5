import math

import pytest
import torch
import torch.nn.functional as F

from xmodal_lt.modeling.multilabel_losses import (
    multilabel_focal_loss,
    multilabel_ldam_loss,
    multilabel_soft_margin_loss,
    reweighted_multilabel_loss,
)


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


def _inputs(record, dtype=torch.float64):
    """Logits of the record, with gradient, and targets."""
    return _double(record["inputs"]["logits"]).to(dtype).requires_grad_(), _double(record["inputs"]["labels"])


def _assert_recorded(result, recorded, dtype):
    torch.testing.assert_close(result.double(), _double(recorded), **TOLERANCES[dtype])


@pytest.fixture
def record(golden):
    return golden("focal_multilabel")


@pytest.fixture
def batch(record):
    return _inputs(record)


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
def test_focal_loss_equals_the_recorded_reference(record, dtype):
    logits, targets = _inputs(record, dtype)

    multilabel_focal_loss(logits, targets).backward()

    elements = multilabel_focal_loss(logits, targets, reduction="none")
    _assert_recorded(elements, record["outputs"]["focal_elementwise"], dtype)
    _assert_recorded(logits.grad, record["outputs"]["grad_of_mean_focal"], dtype)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 3.0])
def test_focal_loss_equals_a_loop(batch, gamma):
    logits, targets = batch

    elements = multilabel_focal_loss(logits, targets, gamma=gamma, alpha=0.25, reduction="none")

    rows = (tensor.flatten().tolist() for tensor in (elements, logits, targets))
    for element, x, y in zip(*rows, strict=True):
        p_t = 1 / (1 + math.exp(-x if y else x))
        assert element == pytest.approx(-0.25 * (1 - p_t) ** gamma * math.log(p_t), rel=1e-9)


def test_focal_loss_of_uncertain_labels_vanishes_with_the_distance(batch):
    # (1 - p_t) of such a label never does
    logits, _ = batch

    elements = multilabel_focal_loss(logits, logits.detach().sigmoid(), reduction="none")

    torch.testing.assert_close(elements, torch.zeros_like(elements), rtol=0, atol=1e-30)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 3.0])
def test_detached_focus_is_a_constant_for_the_gradient(batch, gamma):
    logits, targets = batch
    bce = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    focus = (1 - (-bce).exp()) ** gamma

    loss = multilabel_focal_loss(logits, targets, gamma=gamma, alpha=0.25, detach_focus=True)
    (gradient,) = torch.autograd.grad(loss, logits)

    torch.testing.assert_close(loss, multilabel_focal_loss(logits, targets, gamma=gamma, alpha=0.25), **DOUBLE)
    expected = torch.autograd.grad((0.25 * focus.detach() * bce).mean(), logits)
    torch.testing.assert_close(gradient, *expected, **DOUBLE)


def test_focal_loss_has_a_modulator_for_each_element(batch):
    # The released code of CPRFL has one for the batch.
    logits, targets = batch
    bce = F.binary_cross_entropy_with_logits(logits, targets)

    loss = multilabel_focal_loss(logits, targets, alpha=1.0)

    assert loss.item() != pytest.approx(((1 - (-bce).exp()) ** 2 * bce).item(), rel=0.1)


@pytest.mark.parametrize("output", ["mlsm", "bce"])
@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
def test_soft_margin_loss_equals_the_recorded_reference(record, output, dtype):
    logits, targets = _inputs(record, dtype)

    loss = multilabel_soft_margin_loss(logits, targets)
    loss.backward()

    expected = record["outputs"]["mlsm" if output == "mlsm" else "bce_mean"]
    _assert_recorded(loss, expected, dtype)
    _assert_recorded(logits.grad, record["outputs"][f"{output}_grad"], dtype)


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
def test_reweighted_loss_equals_the_recorded_reference(golden, dtype):
    record = golden("db_loss")
    logits, targets = _inputs(record, dtype)
    expected = next(case for case in record["outputs"]["cases"] if case["case"] == "rw_sqrt_bce")

    loss = reweighted_multilabel_loss(logits, targets, record["inputs"]["class_freq"], record["inputs"]["train_num"])
    loss.backward()

    _assert_recorded(loss, expected["loss"], dtype)
    _assert_recorded(logits.grad, expected["grad_of_mean_loss"], dtype)


def test_reweighted_loss_weighs_by_the_power_of_the_frequency(batch):
    logits, targets = batch
    plain = multilabel_soft_margin_loss(logits, targets, reduction="none")

    loss = reweighted_multilabel_loss(logits, targets, [8, 4, 2, 1, 1], num_samples=8, power=1.0, reduction="none")

    torch.testing.assert_close(loss, plain * _double([1, 2, 4, 8, 8]), **DOUBLE)


def test_margins_are_taken_from_positives_only(batch):
    logits, targets = batch
    counts = [625, 256, 81, 16, 1]
    margins = _double([0.4 / 5, 0.4 / 4, 0.4 / 3, 0.4 / 2, 0.4])

    loss = multilabel_ldam_loss(logits, targets, counts, max_margin=0.4, scale=3.0)

    expected = F.binary_cross_entropy_with_logits(
        torch.where(targets > 0, 3 * (logits - margins), 3 * logits), targets
    )
    torch.testing.assert_close(loss, expected, **DOUBLE)


def test_margin_loss_without_margin_is_binary_cross_entropy(batch):
    logits, targets = batch

    loss = multilabel_ldam_loss(logits, targets, [5, 4, 3, 2, 1], max_margin=0.0)

    torch.testing.assert_close(loss, F.binary_cross_entropy_with_logits(logits, targets), **DOUBLE)


@pytest.mark.parametrize("as_type", [list, torch.tensor])
def test_class_weights_multiply_the_elements_of_the_margin_loss(batch, as_type):
    counts, weight = [5, 4, 3, 2, 1], [0.5, 1.0, 2.0, 3.0, 4.0]
    elements = multilabel_ldam_loss(*batch, counts, reduction="none")

    loss = multilabel_ldam_loss(*batch, counts, weight=as_type(weight))

    torch.testing.assert_close(loss, (elements * _double(weight)).mean(), **DOUBLE)
