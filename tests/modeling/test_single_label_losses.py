import math

import pytest
import torch
import torch.nn.functional as F

from xmodal_lt.modeling.single_label_losses import (
    asymmetric_single_label_loss,
    focal_cross_entropy,
    ldam_loss,
    logit_adjusted_cross_entropy,
)


DOUBLE = {"rtol": 1e-7, "atol": 1e-12}
# Beside float64, the reference's width. float32 rounds each step to some 1e-7; bfloat16 rounds the inputs to 8 bits,
# up to 0.4 % of a logit, before float32 takes over, and the gradients once more.
TOLERANCES = {
    torch.float64: DOUBLE,
    torch.float32: {"rtol": 1e-5, "atol": 1e-6},
    torch.bfloat16: {"rtol": 2e-2, "atol": 1e-3},
}
# The scale of 30 makes up to 0.06 of a rounded cosine, by which probabilities differ in the same proportion.
LDAM_TOLERANCES = {**TOLERANCES, torch.bfloat16: {"rtol": 6e-2, "atol": 1e-3}}
TAUS = {
    "balanced_softmax": 1.0,
    "balanced_softmax_lift": 1.0,
    "logit_adjusted_tau0.5": 0.5,
    "logit_adjusted_tau1.0": 1.0,
    "logit_adjusted_tau2.0": 2.0,
}


def _double(values):
    return torch.tensor(values, dtype=torch.float64)


def _inputs(record, logits="logits", dtype=torch.float64):
    """Logits of the record, with gradient, and target."""
    return _double(record["inputs"][logits]).to(dtype).requires_grad_(), torch.tensor(record["inputs"]["target"])


def _assert_recorded(result, recorded, dtype, tolerances=TOLERANCES):
    torch.testing.assert_close(result.double(), _double(recorded), **tolerances[dtype])


@pytest.fixture
def record(golden):
    return golden("balanced_softmax_logit_adjust")


@pytest.fixture
def batch(record):
    """Logits (float64 `[5, 5]`, with gradient), target and class counts of the record."""
    return *_inputs(record), record["inputs"]["cls_num_list"]


@pytest.mark.parametrize("output", TAUS)
@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
def test_logit_adjusted_loss_equals_the_recorded_reference(record, output, dtype):
    logits, target = _inputs(record, dtype=dtype)
    expected = record["outputs"][output]

    loss = logit_adjusted_cross_entropy(logits, target, record["inputs"]["cls_num_list"], tau=TAUS[output])
    loss.backward()

    _assert_recorded(loss, expected["loss"], dtype)
    _assert_recorded(logits.grad, expected["grad"], dtype)


def test_tau_zero_is_plain_cross_entropy(batch):
    logits, target, counts = batch

    loss = logit_adjusted_cross_entropy(logits, target, counts, tau=0)

    torch.testing.assert_close(loss, F.cross_entropy(logits, target), **DOUBLE)


def test_only_the_proportions_of_the_counts_matter(batch):
    logits, target, counts = batch

    loss = logit_adjusted_cross_entropy(logits, target, [7 * count for count in counts])

    torch.testing.assert_close(loss, logit_adjusted_cross_entropy(logits, target, counts), **DOUBLE)


@pytest.mark.parametrize("as_type", [list, torch.tensor])
def test_class_weights_average_the_samples(batch, as_type):
    logits, target, counts = batch
    weight = [0.5, 1.0, 2.0, 3.0, 4.0]
    samples = logit_adjusted_cross_entropy(logits, target, counts, reduction="none")

    loss = logit_adjusted_cross_entropy(logits, target, counts, weight=as_type(weight))

    sample_weights = torch.tensor(weight, dtype=torch.float64)[target]
    torch.testing.assert_close(loss, (sample_weights * samples).sum() / sample_weights.sum(), **DOUBLE)


@pytest.mark.parametrize("case", range(6))
@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
def test_focal_loss_equals_the_recorded_reference(golden, case, dtype):
    record = golden("focal_single")
    logits, target = _inputs(record, dtype=dtype)
    expected = record["outputs"]["cases"][case]

    loss = focal_cross_entropy(logits, target, expected["gamma"], weight=expected["weight"])
    loss.backward()

    _assert_recorded(loss, expected["loss"], dtype)
    _assert_recorded(logits.grad, expected["grad"], dtype)


def test_focal_loss_without_focus_is_cross_entropy(batch):
    logits, target, _ = batch

    torch.testing.assert_close(focal_cross_entropy(logits, target, gamma=0), F.cross_entropy(logits, target), **DOUBLE)


def test_detached_focus_scales_the_gradient_of_cross_entropy(batch):
    logits, target, _ = batch
    probabilities = logits.detach().softmax(-1)
    one_hot = F.one_hot(target, 5)

    loss = focal_cross_entropy(logits, target, gamma=2.0, reduction="sum", detach_focus=True)
    loss.backward()

    torch.testing.assert_close(loss, focal_cross_entropy(logits, target, gamma=2.0, reduction="sum"), **DOUBLE)
    focus = (1 - (probabilities * one_hot).sum(-1, keepdim=True)) ** 2
    torch.testing.assert_close(logits.grad, focus * (probabilities - one_hot), **DOUBLE)


@pytest.mark.parametrize("case", range(3))
@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
def test_ldam_loss_equals_the_recorded_reference(golden, case, dtype):
    record = golden("ldam_drw")
    cosine, target = _inputs(record, "cosine_logits", dtype)
    expected = record["outputs"]["cases"][case]

    loss = ldam_loss(cosine, target, record["inputs"]["cls_num_list"], weight=expected.get("per_cls_weights"))
    loss.backward()

    _assert_recorded(loss, expected["loss"], dtype, LDAM_TOLERANCES)
    _assert_recorded(cosine.grad, expected["grad"], dtype, LDAM_TOLERANCES)


def test_ldam_margins_are_those_of_the_record(golden):
    # At cosines of zero, log(p / (1 - p)) of the target is -scale * margin - log(C - 1).
    record = golden("ldam_drw")
    target = torch.arange(5)

    losses = ldam_loss(_double([[0.0] * 5] * 5), target, record["inputs"]["cls_num_list"], scale=1, reduction="none")

    margins = losses.expm1().log() - math.log(4)
    torch.testing.assert_close(margins, _double(record["outputs"]["cases"][0]["m_list"]), **DOUBLE)


def test_ldam_loss_without_margin_is_scaled_cross_entropy(golden):
    record = golden("ldam_drw")
    cosine, target = _inputs(record, "cosine_logits")

    loss = ldam_loss(cosine, target, record["inputs"]["cls_num_list"], max_margin=0.0, scale=7.0)

    torch.testing.assert_close(loss, F.cross_entropy(7 * cosine, target), **DOUBLE)


@pytest.mark.parametrize("case", range(2))
@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
def test_asymmetric_loss_equals_the_recorded_reference(golden, case, dtype):
    record = golden("asl_single_label")
    logits, target = _inputs(record, dtype=dtype)
    settings = record["params"]["cases"][case]

    loss = asymmetric_single_label_loss(
        logits, target, settings["gamma_neg"], settings["gamma_pos"], label_smoothing=settings["eps"]
    )
    loss.backward()

    _assert_recorded(loss, record["outputs"]["loss"][case], dtype)
    _assert_recorded(logits.grad, record["outputs"]["grad"][case], dtype)


def test_asymmetric_loss_without_focus_is_smoothed_cross_entropy(batch):
    logits, target, _ = batch

    loss = asymmetric_single_label_loss(logits, target, gamma_neg=0, gamma_pos=0, label_smoothing=0.2)

    torch.testing.assert_close(loss, F.cross_entropy(logits, target, label_smoothing=0.2), **DOUBLE)
