import pytest
import torch
import torch.nn.functional as F

from xmodal_lt.modeling.class_balanced_losses import (
    class_balanced_focal_loss,
    class_balanced_multilabel_loss,
    class_balanced_softmax_loss,
)
from xmodal_lt.modeling.multilabel_losses import multilabel_focal_loss


DOUBLE = {"rtol": 1e-7, "atol": 1e-12}
# Beside float64, the reference's width. float32 rounds each step to some 1e-7; bfloat16 rounds the inputs to 8 bits,
# up to 0.4 % of a logit, before float32 takes over, and the gradients once more.
TOLERANCES = {
    torch.float64: DOUBLE,
    torch.float32: {"rtol": 1e-5, "atol": 1e-6},
    torch.bfloat16: {"rtol": 2e-2, "atol": 1e-3},
}
COUNTS = [40, 9, 3, 1]


def _double(values):
    return torch.tensor(values, dtype=torch.float64)


def _assert_recorded(result, recorded, dtype):
    torch.testing.assert_close(result.double(), _double(recorded), **TOLERANCES[dtype])


@pytest.fixture
def batch():
    """Logits (float64 `[3, 4]`), and targets of two labels, one and none."""
    logits = torch.randn(3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return logits, _double([[1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 0, 0]])


@pytest.mark.parametrize(
    ("output", "function", "settings"),
    [("focal", class_balanced_focal_loss, {"gamma": 2.0}), ("softmax", class_balanced_softmax_loss, {})],
)
@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
def test_single_label_losses_equal_the_recorded_reference(golden, output, function, settings, dtype):
    record = golden("class_balanced")
    inputs, expected = record["inputs"], record["outputs"]["losses"][output]
    logits = _double(inputs["logits"]).to(dtype).requires_grad_()

    loss = function(logits, torch.tensor(inputs["target"]), inputs["samples_per_cls"], beta=0.9999, **settings)
    loss.backward()

    _assert_recorded(loss, expected["loss"], dtype)
    _assert_recorded(logits.grad, expected["grad"], dtype)


def test_softmax_loss_is_right_where_a_probability_rounds_to_one():
    logits = torch.tensor([[50.0, 0.0, 0.0]], requires_grad=True)

    loss = class_balanced_softmax_loss(logits, torch.tensor([1]), [1, 1, 1], reduction="sum")
    loss.backward()

    # -log(p_1) is 50, and -log(1 - p_0) is 50 - log(2) with p_1 + p_2 = 2 e^-50; averaged over the classes
    assert loss.item() == pytest.approx((100 - torch.tensor(2.0).log().item()) / 3, rel=1e-6)
    torch.testing.assert_close(logits.grad, torch.tensor([[2 / 3, -0.5, -1 / 6]]))


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
def test_multilabel_loss_equals_the_recorded_reference(golden, dtype):
    record = golden("db_loss")
    inputs = record["inputs"]
    expected = next(case for case in record["outputs"]["cases"] if case["case"] == "cb_focal_by_class")
    logits = _double(inputs["logits"]).to(dtype).requires_grad_()

    loss = 10 * class_balanced_multilabel_loss(
        logits,
        _double(inputs["labels"]),
        inputs["class_freq"],
        num_samples=inputs["train_num"],
        kappa=0.05,
        lam=5.0,
        reduction="none",
    )
    loss.mean().backward()

    _assert_recorded(loss, expected["loss"], dtype)
    _assert_recorded(logits.grad, expected["grad_of_mean_loss"], dtype)


def _weight(n, beta=0.9):
    return (1 - beta) / (1 - beta**n)


@pytest.mark.parametrize(
    ("mode", "weights"),
    [
        ("by_class", [[_weight(n) for n in COUNTS]] * 3),
        ("average_n", [[_weight(20.5)], [_weight(9)], [0.1]]),
        ("average_w", [[(_weight(40) + 1) / 2], [_weight(9)], [0.1]]),
        ("min_n", [[1.0], [_weight(9)], [0.1]]),
    ],
)
@pytest.mark.parametrize("gamma", [None, 2.0])
def test_modes_weigh_elements_or_samples(batch, mode, weights, gamma):
    if gamma is None:
        plain = F.binary_cross_entropy_with_logits(*batch, reduction="none")
    else:
        plain = multilabel_focal_loss(*batch, gamma=gamma, alpha=2.0, reduction="none")

    loss = class_balanced_multilabel_loss(*batch, COUNTS, mode=mode, focal_gamma=gamma, reduction="none")

    torch.testing.assert_close(loss, plain * _double(weights), **DOUBLE)


@pytest.mark.parametrize("mode", ["by_class", "average_n", "average_w", "min_n"])
def test_beta_zero_weighs_all_alike(batch, mode):
    loss = class_balanced_multilabel_loss(*batch, COUNTS, beta=0.0, mode=mode)

    torch.testing.assert_close(loss, multilabel_focal_loss(*batch), **DOUBLE)


def test_weights_of_beta_near_one_are_exact_in_float32(batch):
    logits, targets = (tensor.float() for tensor in batch)

    for mode in ("by_class", "average_n", "average_w", "min_n"):
        loss = class_balanced_multilabel_loss(logits, targets, COUNTS, beta=0.99999, mode=mode)

        expected = class_balanced_multilabel_loss(logits.double(), targets, COUNTS, beta=0.99999, mode=mode)
        assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_unknown_mode_is_named(batch):
    with pytest.raises(ValueError, match="Unknown mode 'max_n'; expected one of by_class, average_n"):
        class_balanced_multilabel_loss(*batch, COUNTS, mode="max_n")


def test_shift_asks_for_the_number_of_samples(batch):
    with pytest.raises(ValueError, match="num_samples=None must be larger than every class count"):
        class_balanced_multilabel_loss(*batch, COUNTS, kappa=0.05)


@pytest.mark.parametrize("beta", [1.0, -0.5])
def test_beta_outside_its_range_is_named(batch, beta):
    with pytest.raises(ValueError, match=rf"beta={beta} must be in \[0, 1\)"):
        class_balanced_multilabel_loss(*batch, COUNTS, beta=beta)
