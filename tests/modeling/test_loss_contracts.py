"""What every classification loss promises, whatever its formula: width, reductions, safety, errors.

A new loss adds its row to `SINGLE_LABEL` or `MULTI_LABEL`.
"""

import inspect
import re
from functools import partial

import numpy as np
import pytest
import torch

from xmodal_lt import losses
from xmodal_lt.modeling import analytic_gradient


COUNTS = [40, 9, 3, 1]
# name -> (loss, its arguments after logits and targets)
SINGLE_LABEL = {
    "asymmetric_single_label": (losses.asymmetric_single_label_loss, {}),
    "asymmetric_single_label, focused": (losses.asymmetric_single_label_loss, {"gamma_pos": 0.5, "gamma_neg": 0.5}),
    "class_balanced_focal": (losses.class_balanced_focal_loss, {"class_counts": COUNTS}),
    "class_balanced_softmax": (losses.class_balanced_softmax_loss, {"class_counts": COUNTS}),
    "focal, gamma 0.5": (losses.focal_cross_entropy, {"gamma": 0.5}),
    "focal, gamma 2": (losses.focal_cross_entropy, {"gamma": 2.0, "weight": [0.5, 1.0, 2.0, 4.0]}),
    "lade": (losses.lade_loss, {"class_counts": COUNTS}),
    "ldam": (losses.ldam_loss, {"class_counts": COUNTS}),
    "logit_adjusted": (losses.logit_adjusted_cross_entropy, {"class_counts": COUNTS}),
}
MULTI_LABEL = {
    "asymmetric, detached": (losses.asymmetric_loss, {}),
    "asymmetric": (losses.asymmetric_loss, {"detach_focus": False}),
    "asymmetric, focused": (losses.asymmetric_loss, {"detach_focus": False, "gamma_pos": 0.5, "gamma_neg": 0.5}),
    "asymmetric, unfocused": (losses.asymmetric_loss, {"detach_focus": False, "gamma_neg": 0.0}),
    "asymmetric, not shifted": (losses.asymmetric_loss, {"detach_focus": False, "clip": 0.0, "gamma_neg": 1.5}),
    "class_balanced": (losses.class_balanced_multilabel_loss, {"class_counts": COUNTS}),
    "class_balanced, by sample": (
        losses.class_balanced_multilabel_loss,
        {"class_counts": COUNTS, "mode": "average_n", "num_samples": 50, "kappa": 0.05, "lam": 2.0},
    ),
    "class_balanced, by mean weight": (
        losses.class_balanced_multilabel_loss,
        {"class_counts": COUNTS, "mode": "average_w"},
    ),
    "class_balanced, by rarest": (losses.class_balanced_multilabel_loss, {"class_counts": COUNTS, "mode": "min_n"}),
    "distribution_balanced": (losses.distribution_balanced_loss, {"class_counts": COUNTS, "num_samples": 50}),
    "distribution_balanced, not focal": (
        losses.distribution_balanced_loss,
        {"class_counts": COUNTS, "num_samples": 50, "focal_gamma": None, "lam": 5.0},
    ),
    "focal": (losses.multilabel_focal_loss, {}),
    "focal, detached": (losses.multilabel_focal_loss, {"detach_focus": True}),
    "focal, gamma 0.5": (losses.multilabel_focal_loss, {"gamma": 0.5}),
    "focal, gamma 3": (losses.multilabel_focal_loss, {"gamma": 3.0}),
    "ldam": (losses.multilabel_ldam_loss, {"class_counts": COUNTS, "scale": 2.0}),
    "ldam, weighted": (losses.multilabel_ldam_loss, {"class_counts": COUNTS, "weight": [0.5, 1.0, 2.0, 4.0]}),
    "multi_grained": (losses.multi_grained_focal_loss, {"class_counts": COUNTS, "detach_focus": False}),
    "reweighted": (losses.reweighted_multilabel_loss, {"class_counts": COUNTS, "num_samples": 50}),
    "soft_margin": (losses.multilabel_soft_margin_loss, {}),
}
LOSSES = {f"{name} (single-label)": row for name, row in SINGLE_LABEL.items()} | MULTI_LABEL
# LADE compares the samples of a batch, so that it has no parts.
REDUCIBLE = {name: row for name, row in LOSSES.items() if row[0] is not losses.lade_loss}
# The gradient of a detached factor is not the derivative of the loss.
DIFFERENTIATED = {name: row for name, row in LOSSES.items() if "detached" not in name}
COUNTED = {name: row for name, row in LOSSES.items() if "class_counts" in row[1]}
FUNCTIONS = {row[0].__name__: row for row in LOSSES.values()}
# argument -> a value outside its range, and the range, for every loss that has the argument
RANGES = {
    "beta": (1.0, r"in \[0, 1\)"),
    "clip": (1.0, r"in \[0, 1\)"),
    "focal_gamma": (-1.0, "at least 0"),
    "gamma": (-1.0, "at least 0"),
    "gamma_neg": (-1.0, "at least 0"),
    "gamma_pos": (-1.0, "at least 0"),
    "lam": (0.0, "larger than 0"),
    "max_margin": (-0.5, "at least 0"),
    "scale": (0.0, "larger than 0"),
}
# The strength of LADE's penalty may be 0, and the steepness of the distribution-balanced weights has no bound.
UNBOUNDED = {("lade_loss", "lam"), ("distribution_balanced_loss", "beta")}
RANGED = [
    (name, argument)
    for name, row in FUNCTIONS.items()
    for argument in inspect.signature(row[0]).parameters
    if argument in RANGES and (name, argument) not in UNBOUNDED
]
MULTI_HOT = [[1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1], [0, 0, 1, 0]]
CLASS_IDS = [0, 3, 1, 2, 0]
# Arguments rounded to a dtype are the same for both sides, so that only the arithmetic differs. It is float32's, of
# some 1e-7 a step; focusing powers and probabilities near 1 multiply that.
SINGLE = {"rtol": 2e-5, "atol": 1e-6}
# Gradients are rounded to the width of the logits: 8 bits and 11 bits.
GRADIENT = {
    torch.float32: SINGLE,
    torch.float16: {"rtol": 1e-3, "atol": 1e-5},
    torch.bfloat16: {"rtol": 8e-3, "atol": 1e-5},
}


def _logits(dtype=torch.float64):
    logits = 2 * torch.randn(5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return logits.to(dtype).requires_grad_()


def each(rows):
    return pytest.mark.parametrize("row", rows.values(), ids=rows)


@pytest.fixture
def targets(row):
    return torch.tensor(CLASS_IDS if row in SINGLE_LABEL.values() else MULTI_HOT)


@pytest.fixture
def loss_of(row):
    """The loss as a function of logits and targets."""
    function, arguments = row
    return partial(function, **arguments)


def test_every_loss_of_logits_and_targets_is_here():
    public = [getattr(losses, name) for name in losses.__all__]
    of_logits = {loss for loss in public if next(iter(inspect.signature(loss).parameters)) in ("logits", "cosine")}

    assert of_logits == {function for function, _ in LOSSES.values()}


@each(DIFFERENTIATED)
def test_gradients_equal_finite_differences(loss_of, targets):
    assert torch.autograd.gradcheck(lambda logits: loss_of(logits, targets), _logits())


@each({name: row for name, row in DIFFERENTIATED.items() if name in REDUCIBLE})
def test_unreduced_gradients_equal_finite_differences(loss_of, targets):
    assert torch.autograd.gradcheck(lambda logits: loss_of(logits, targets, reduction="none"), _logits())


@each({name: row for name, row in DIFFERENTIATED.items() if name in MULTI_LABEL})
def test_uncertain_labels_have_the_gradients_of_finite_differences(loss_of):
    targets = torch.rand(5, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda logits: loss_of(logits, targets), _logits())


@each(REDUCIBLE)
def test_reductions_sum_and_average_the_parts(loss_of, targets):
    parts = loss_of(_logits(), targets, reduction="none")

    total, mean = (loss_of(_logits(), targets, reduction=reduction) for reduction in ("sum", "mean"))

    assert parts.shape == targets.shape
    torch.testing.assert_close(total, parts.sum())
    torch.testing.assert_close(mean, parts.mean())


@each(LOSSES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_loss_is_computed_in_float32_at_least(loss_of, targets, dtype):
    logits = _logits(dtype)
    wide = logits.detach().double().requires_grad_()

    loss, expected = loss_of(logits, targets), loss_of(wide, targets)
    loss.backward()
    expected.backward()

    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss.double(), expected, **SINGLE)
    assert logits.grad.dtype == dtype
    torch.testing.assert_close(logits.grad.double(), wide.grad, **GRADIENT[dtype])


@each(LOSSES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("size", [100.0, 1e4, 60000.0])
def test_extreme_logits_give_finite_losses_and_gradients(row, loss_of, targets, dtype, size):
    signs = torch.tensor([[1, -1, 1, -1], [-1, 1, 1, 1], [0, 0, -1, -1], [1, 1, 1, 1], [-1, -1, -1, 1]])
    logits = (size * signs).to(dtype).requires_grad_()

    loss = loss_of(logits, targets)
    loss.backward()

    assert loss.isfinite()
    assert loss >= 0 or row[0] is losses.lade_loss
    assert logits.grad.isfinite().all()


@each(LOSSES)
def test_leaves_its_inputs_as_they_are(row, targets):
    function, arguments = row
    logits = _logits(torch.float32)
    tensors = {
        key: torch.tensor(value, dtype=torch.float64) for key, value in arguments.items() if type(value) is list
    }
    before = [tensor.detach().clone() for tensor in (logits, targets, *tensors.values())]

    function(logits, targets, **{**arguments, **tensors}).backward()

    assert all(map(torch.equal, (logits, targets, *tensors.values()), before))


@each(COUNTED)
@pytest.mark.parametrize("as_type", [torch.tensor, tuple, np.array])
def test_counts_may_have_any_type(row, targets, loss_of, as_type):
    function, arguments = row

    loss = function(_logits(), targets, **{**arguments, "class_counts": as_type(COUNTS)})

    assert torch.equal(loss, loss_of(_logits(), targets))


@each(MULTI_LABEL)
@pytest.mark.parametrize("as_type", [torch.Tensor.bool, torch.Tensor.float, torch.Tensor.half])
def test_multi_hot_targets_may_have_any_dtype(loss_of, as_type):
    targets = torch.tensor(MULTI_HOT)

    assert torch.equal(loss_of(_logits(), as_type(targets)), loss_of(_logits(), targets))


@each(LOSSES)
def test_no_gradient_is_made_where_none_is_wanted(loss_of, targets):
    expected = loss_of(_logits(), targets)

    with torch.no_grad():
        loss = loss_of(_logits(), targets)

        assert not torch.is_grad_enabled()
    assert not loss.requires_grad
    assert not loss_of(_logits().detach(), targets).requires_grad
    torch.testing.assert_close(loss, expected)


@each(LOSSES)
def test_gradients_add_up_over_backward_passes(loss_of, targets):
    logits = _logits()
    loss = loss_of(logits, targets)

    loss.backward(retain_graph=True)
    once = logits.grad.clone()
    (2 * loss).backward()

    torch.testing.assert_close(logits.grad, 3 * once)


@each(LOSSES)
def test_autocast_does_not_narrow_the_arithmetic(loss_of, targets):
    expected = loss_of(_logits(torch.float32), targets)

    with torch.autocast("cpu", torch.bfloat16):
        loss = loss_of(_logits(torch.float32), targets)

    assert torch.equal(loss, expected)


@each(LOSSES)
def test_does_not_wait_for_the_device_of_the_logits(loss_of, targets):
    logits = _logits(torch.float32).detach().to("meta").requires_grad_()

    loss = loss_of(logits, targets.to("meta"))  # its values cannot be read
    loss.backward()

    assert loss.device.type == "meta"
    assert logits.grad.shape == logits.shape


@each(LOSSES)
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_is_the_same_on_a_gpu(loss_of, targets):
    logits, there = _logits(torch.float32), _logits(torch.float32).detach().cuda().requires_grad_()

    loss, loss_there = loss_of(logits, targets), loss_of(there, targets.cuda())
    loss.backward()
    loss_there.backward()

    torch.testing.assert_close(loss_there.cpu(), loss, **SINGLE)
    torch.testing.assert_close(there.grad.cpu(), logits.grad, **SINGLE)


@each(MULTI_LABEL)
def test_blocks_of_rows_make_no_difference(loss_of, monkeypatch):
    targets = torch.tensor(MULTI_HOT)

    def value_and_gradient(reduction):
        logits = _logits()
        loss = loss_of(logits, targets, reduction=reduction)
        loss.sum().backward()
        return loss, logits.grad

    whole = [value_and_gradient(reduction) for reduction in ("mean", "sum", "none")]
    for block in (1, 8, 12):  # of one, two and three rows
        monkeypatch.setattr(analytic_gradient, "CPU_BLOCK", block)
        in_blocks = [value_and_gradient(reduction) for reduction in ("mean", "sum", "none")]
        torch.testing.assert_close(in_blocks, whole)


@each(LOSSES)
def test_torch_func_has_the_same_gradient(loss_of, targets):
    logits = _logits()
    loss_of(logits, targets).backward()

    gradient = torch.func.grad(loss_of)(logits.detach(), targets)

    torch.testing.assert_close(gradient, logits.grad)


@each(SINGLE_LABEL)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32])
def test_class_ids_may_be_any_integers(loss_of, targets, dtype):
    assert torch.equal(loss_of(_logits(), targets.to(dtype)), loss_of(_logits(), targets))


@each(SINGLE_LABEL)
@pytest.mark.parametrize("dtype", [torch.bool, torch.float32])
def test_class_ids_that_are_no_integers_are_named(loss_of, targets, dtype):
    with pytest.raises(ValueError, match=f"target .B. of integer class ids, got .* of {dtype}"):
        loss_of(_logits(), targets.to(dtype))


@each(LOSSES)
def test_an_empty_batch_is_no_error(loss_of, targets):
    logits = torch.zeros(0, 4, requires_grad=True)

    loss_of(logits, targets[:0]).backward()

    assert logits.grad.shape == (0, 4)


@each(REDUCIBLE)
def test_unknown_reduction_is_named(loss_of, targets):
    with pytest.raises(ValueError, match="Unknown reduction 'median'; expected one of mean, sum, none"):
        loss_of(_logits(), targets, reduction="median")


@pytest.mark.parametrize(("name", "argument"), RANGED)
def test_arguments_outside_their_range_are_named(name, argument):
    function, arguments = row = FUNCTIONS[name]
    targets = torch.tensor(CLASS_IDS if row in SINGLE_LABEL.values() else MULTI_HOT)
    value, expected = RANGES[argument]
    with pytest.raises(ValueError, match=f"{argument}={value} must be {expected}"):
        function(_logits(), targets, **{**arguments, argument: value})
    with pytest.raises(ValueError, match=f"{argument}='{value}' must be a number, but is of type str"):
        function(_logits(), targets, **{**arguments, argument: str(value)})


@each({name: row for name, row in LOSSES.items() if "weight" in inspect.signature(row[0]).parameters})
@pytest.mark.parametrize("weight", [[1.0] * 3, [1.0] * 5, torch.ones(5, 4)], ids=["short", "long", "by element"])
def test_class_weights_of_another_length_are_named(row, targets, weight):
    function, arguments = row
    shape = tuple(torch.as_tensor(weight).shape)
    with pytest.raises(ValueError, match=f"each of the 4 classes .* shape is {re.escape(str(shape))}"):
        function(_logits(), targets, **{**arguments, "weight": weight})


@each(LOSSES)
def test_shapes_that_do_not_fit_are_named(row, loss_of, targets):
    message = "Expected logits .*; for multi-hot" if row in SINGLE_LABEL.values() else "Expected logits .*one_hot"
    with pytest.raises(ValueError, match=message):
        loss_of(_logits(), targets[:3])
    with pytest.raises(ValueError, match=message):
        loss_of(_logits(), torch.tensor(MULTI_HOT if row in SINGLE_LABEL.values() else CLASS_IDS))


@each(COUNTED)
def test_classes_without_samples_are_named(row, targets):
    function, arguments = row
    with pytest.raises(ValueError, match=r"Classes \[1, 3\] have no training sample.*Remove these classes"):
        function(_logits(), targets, **{**arguments, "class_counts": [5, 0, 3, 0]})


@each(COUNTED)
@pytest.mark.parametrize("counts", [[5, 1, 3], []])
def test_counts_of_another_length_are_named(row, targets, counts):
    function, arguments = row
    with pytest.raises(ValueError, match=f"class_counts has {len(counts)} entries but the logits have 4 classes"):
        function(_logits(), targets, **{**arguments, "class_counts": counts})
