import math

import pytest
import torch
import torch.nn.functional as F

from xmodal_lt.modeling.class_balanced_losses import class_balanced_multilabel_loss
from xmodal_lt.modeling.distribution_balanced_loss import distribution_balanced_loss
from xmodal_lt.modeling.multilabel_losses import multilabel_focal_loss


DOUBLE = {"rtol": 1e-7, "atol": 1e-12}
# Beside float64, the reference's width. float32 rounds each step to some 1e-7; bfloat16 rounds the inputs to 8 bits,
# up to 0.4 % of a logit, before float32 takes over, and the gradients once more.
TOLERANCES = {
    torch.float64: DOUBLE,
    torch.float32: {"rtol": 1e-5, "atol": 1e-6},
    torch.bfloat16: {"rtol": 2e-2, "atol": 1e-3},
}
VOC = {"mu": 0.3, "lam": 5.0}
NO_SHIFT = {"kappa": 0.0, "lam": 1.0}
# record -> arguments, and the factor that the configuration of the record puts before the loss
CASES = {
    "voc_db_focal": (VOC, 1.0),
    "coco_db_focal": ({}, 1.0),
    "voc_db_nofocal": ({**VOC, "focal_gamma": None}, 0.5),
    "r_bce_focal": ({"mu": 0.3, **NO_SHIFT}, 1.0),
}


def _double(values):
    return torch.tensor(values, dtype=torch.float64)


def _assert_recorded(result, recorded, dtype):
    torch.testing.assert_close(result.double(), _double(recorded), **TOLERANCES[dtype])


def _inputs(record, dtype=torch.float64):
    """Logits, with gradient, targets, class counts and number of samples of the record."""
    inputs = record["inputs"]
    logits, targets = _double(inputs["logits"]).to(dtype).requires_grad_(), _double(inputs["labels"])
    return logits, targets, inputs["class_freq"], inputs["train_num"]


@pytest.fixture
def record(golden):
    return golden("db_loss")


@pytest.fixture
def batch(record):
    return _inputs(record)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
def test_equals_the_recorded_reference(record, name, dtype):
    batch = _inputs(record, dtype)
    settings, factor = CASES[name]
    expected = next(case for case in record["outputs"]["cases"] if case["case"] == name)

    reduction = "none" if expected["loss_is_elementwise"] else "mean"
    loss = factor * distribution_balanced_loss(*batch, **settings, reduction=reduction)
    loss.mean().backward()

    _assert_recorded(loss, expected["loss"], dtype)
    _assert_recorded(batch[0].grad, expected["grad_of_mean_loss"], dtype)


@pytest.mark.parametrize(
    "settings", [{}, {"focal_gamma": None}, {"lam": 3.0, "kappa": 0.2, "alpha": 0.5, "beta": 4.0}]
)
def test_equals_a_loop(batch, settings):
    logits, targets, counts, total = batch
    defaults = {"alpha": 0.1, "beta": 10.0, "mu": 0.2, "kappa": 0.05, "lam": 2.0, "focal_gamma": 2.0}
    alpha, beta, mu, kappa, lam, gamma = {**defaults, **settings}.values()

    loss = distribution_balanced_loss(*batch, **settings, reduction="none")

    for i in range(3):
        drawn = sum(y / n for y, n in zip(targets[i].tolist(), counts, strict=True))
        for c, n in enumerate(counts):
            weight = alpha + 1 / (1 + math.exp(-beta * (1 / n / drawn - mu)))
            x = logits[i, c].item() - kappa * math.log(total / n - 1) / lam
            if targets[i, c]:
                b = math.log1p(math.exp(-x))
            else:
                b, weight = math.log1p(math.exp(lam * x)), weight / lam
            focus = 1 if gamma is None else 2 * (1 - math.exp(-b)) ** gamma
            assert loss[i, c].item() == pytest.approx(focus * weight * b, rel=1e-9)


def test_switched_off_parts_leave_focal_loss(batch):
    logits, targets, counts, total = batch

    loss = distribution_balanced_loss(logits, targets, counts, total, rebalance=False, **NO_SHIFT)

    torch.testing.assert_close(loss, multilabel_focal_loss(logits, targets), **DOUBLE)


def test_switched_off_parts_leave_binary_cross_entropy(batch):
    logits, targets, counts, total = batch

    loss = distribution_balanced_loss(logits, targets, counts, total, False, **NO_SHIFT, focal_gamma=None)

    torch.testing.assert_close(loss, F.binary_cross_entropy_with_logits(logits, targets), **DOUBLE)


def test_tolerance_alone_equals_the_class_balanced_loss_of_equal_weights(batch):
    logits, targets, counts, total = batch

    loss = distribution_balanced_loss(logits, targets, counts, total, rebalance=False)

    expected = class_balanced_multilabel_loss(
        logits, targets, counts, beta=0.0, num_samples=total, kappa=0.05, lam=2.0
    )
    torch.testing.assert_close(loss, expected, **DOUBLE)


def test_sample_without_labels_takes_the_least_weight(batch):
    logits, targets, counts, total = batch
    none = torch.zeros_like(targets)

    loss = distribution_balanced_loss(logits, none, counts, total, reduction="none")
    loss.sum().backward()

    plain = distribution_balanced_loss(logits, none, counts, total, rebalance=False, reduction="none")
    torch.testing.assert_close(loss, plain * (0.1 + 1 / (1 + math.exp(10 * 0.2))), **DOUBLE)
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("largest", [50, 51])
def test_class_of_every_sample_is_named(largest):
    with pytest.raises(
        ValueError, match=rf"num_samples=50 must be larger than every class count.* {largest}\).*kappa=0"
    ):
        distribution_balanced_loss(torch.zeros(1, 2), torch.ones(1, 2), [largest, 3], num_samples=50)


def test_class_of_every_sample_needs_no_shift():
    loss = distribution_balanced_loss(torch.zeros(1, 2), torch.ones(1, 2), [50, 3], num_samples=50, kappa=0.0)

    assert loss.isfinite()


def test_released_loss_of_cprfl_is_another_one(golden):
    """Its modulator is a number for the batch, made of the mean of all elements, which are not weighted there."""
    record = golden("cprfl_dbl_released_behaviour")
    batch = _inputs(record)
    released = record["outputs"]["loss"]
    weighted = distribution_balanced_loss(*batch, **VOC, focal_gamma=None)
    elements = distribution_balanced_loss(*batch, **VOC, rebalance=False, focal_gamma=None, reduction="none")
    mean = torch.where(batch[1] > 0, elements, 5 * elements).mean()

    loss = distribution_balanced_loss(*batch, **VOC)

    assert (0.5 * weighted).item() == pytest.approx(released["voc_db_nofocal"], rel=1e-7)
    assert (2 * (1 - (-mean).exp()) ** 2 * weighted).item() == pytest.approx(released["voc_db_focal"], rel=1e-7)
    assert loss.item() != pytest.approx(released["voc_db_focal"], rel=1e-2)
