import math

import pytest
import torch
import torch.nn.functional as F

from xmodal_lt.modeling.cross_modal_focal_loss import cross_modal_focal_loss


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


@pytest.fixture(params=range(3), ids=["both classes", "negatives only", "other detached"])
def case(request, golden):
    """The probabilities and targets of the record, the arguments of a case, and its outputs."""
    record = golden("cmfl")
    expected = record["outputs"]["cases"][request.param]
    settings = {
        "gamma": expected["params"]["gamma"],
        "alpha": expected["params"]["alpha"],
        "focus_positives": not expected["params"]["binary"],
        "detach_other": expected["params"].get("sg", False),
    }
    return {name: _double(values) for name, values in record["inputs"].items()}, settings, expected


@pytest.fixture
def batch():
    """Logits of both modalities (float64 `[5, 4]`) and class ids."""
    a, b = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return a.requires_grad_(), b.requires_grad_(), torch.tensor([0, 1, 2, 3, 1])


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
def test_equals_the_recorded_reference(case, dtype):
    # The record has one probability a sample, that of class 1: the sigmoid of a multi-label problem of one label.
    inputs, settings, expected = case
    logits = {side: torch.logit(inputs[f"prob_{side}"]).to(dtype).requires_grad_() for side in "ab"}

    loss = cross_modal_focal_loss(logits["a"], logits["b"], inputs["target"], **settings)
    loss.backward()

    _assert_recorded(loss, expected["loss"], dtype)
    for side in "ab":
        # The record's gradients are by the probabilities.
        slope = inputs[f"prob_{side}"] * (1 - inputs[f"prob_{side}"])
        _assert_recorded(logits[side].grad, (_double(expected[f"grad_{side}"]) * slope).tolist(), dtype)


def test_two_classes_are_the_binary_problem(golden):
    record = golden("cmfl")
    logits = [torch.logit(_double(record["inputs"][f"prob_{side}"])) for side in "ab"]
    target = torch.tensor(record["inputs"]["target"]).flatten().long()

    loss = cross_modal_focal_loss(*(F.pad(x, (1, 0)) for x in logits), target)  # class 0 has the logit 0

    torch.testing.assert_close(loss, _double(record["outputs"]["cases"][0]["loss"]), **DOUBLE)


@pytest.mark.parametrize("gamma", [0.5, 3.0])
def test_class_ids_equal_a_loop(batch, gamma):
    a, b, target = batch
    p, q = (logits.softmax(-1)[range(5), target].tolist() for logits in (a, b))

    losses = cross_modal_focal_loss(a, b, target, gamma=gamma, alpha=0.25, reduction="none")

    for loss, own, other in zip(losses, p, q, strict=True):
        mean = 2 * own * other / (own + other)
        sides = ((1 - other * mean) ** gamma * math.log(own), (1 - own * mean) ** gamma * math.log(other))
        assert loss.item() == pytest.approx(-0.25 * sum(sides) / 2, rel=1e-7)


def test_several_labels_are_problems_of_one_label(batch):
    a, b, target = batch
    labels = F.one_hot(target, 4)

    loss = cross_modal_focal_loss(a, b, labels, reduction="none")

    columns = [cross_modal_focal_loss(a[:, [c]], b[:, [c]], labels[:, [c]], reduction="none") for c in range(4)]
    torch.testing.assert_close(loss, torch.cat(columns, dim=1), **DOUBLE)


def test_without_focus_it_is_the_mean_of_the_cross_entropies(batch):
    a, b, target = batch

    loss = cross_modal_focal_loss(a, b, target, gamma=0.0)

    torch.testing.assert_close(loss, (F.cross_entropy(a, target) + F.cross_entropy(b, target)) / 2, **DOUBLE)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("labels", ["class ids", "multi-hot"])
def test_gradients_equal_finite_differences(batch, gamma, labels):
    a, b, target = batch
    target = target if labels == "class ids" else F.one_hot(target, 4)

    assert torch.autograd.gradcheck(lambda a, b: cross_modal_focal_loss(a, b, target, gamma), (a, b))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("gamma", [0.5, 3.0])
@pytest.mark.parametrize("target", [torch.tensor([0, 0]), torch.tensor([[1, 0], [1, 0]])], ids=["ids", "multi-hot"])
def test_extreme_logits_give_finite_values(dtype, gamma, target):
    a = torch.tensor([[60000.0, -60000.0], [-60000.0, 60000.0]]).to(dtype).requires_grad_()
    b = a.detach().clone().requires_grad_()

    loss = cross_modal_focal_loss(a, b, target, gamma)
    loss.backward()

    assert loss.dtype == torch.float32
    assert loss.isfinite()
    assert a.grad.isfinite().all()
    assert b.grad.isfinite().all()


@pytest.mark.parametrize(
    ("b_shape", "target", "settings", "message"),
    [
        ((5, 3), torch.zeros(5).long(), {}, r"Both modalities must have logits \[B, C\], got \(5, 4\) and \(5, 3\)"),
        ((5, 4), torch.zeros(4).long(), {}, r"got \(5, 4\) and \(4,\)"),
        ((5, 4), torch.zeros(5), {}, r"got \(5, 4\) and \(5,\) of torch.float32"),
        (
            (5, 4),
            torch.zeros(5, 3),
            {},
            r"Expected logits and targets of one shape \[B, C\], got \(5, 4\) and \(5, 3\)",
        ),
        ((5, 4), torch.zeros(5).long(), {"gamma": -1.0}, r"gamma=-1\.0 must be at least 0"),
        ((5, 4), torch.zeros(5).long(), {"focus_positives": False}, r"needs targets \[B, C\] of 0 and 1"),
        ((5, 4), torch.zeros(5).long(), {"reduction": "median"}, "Unknown reduction 'median'"),
    ],
)
def test_bad_input_is_named(b_shape, target, settings, message):
    with pytest.raises(ValueError, match=message):
        cross_modal_focal_loss(torch.zeros(5, 4), torch.zeros(b_shape), target, **settings)
