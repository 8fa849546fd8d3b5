import pytest
import torch
import torch.nn.functional as F

from xmodal_lt.modeling.class_reweighting import class_balanced_weights, inverse_frequency_weights


DOUBLE = {"rtol": 1e-7, "atol": 1e-12}


def _double(values):
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize("beta", [0.9, 0.99, 0.999, 0.9999])
def test_class_balanced_weights_equal_the_recorded_reference(golden, beta):
    record = golden("class_balanced")

    weights = class_balanced_weights(record["inputs"]["samples_per_cls"], beta)

    torch.testing.assert_close(weights, _double(record["outputs"]["per_class_weights"][str(beta)]), **DOUBLE)


@pytest.mark.parametrize("case", [0, 1], ids=["beta=0", "beta=0.9999"])
def test_class_balanced_weights_equal_those_of_deferred_reweighting(golden, case):
    record = golden("ldam_drw")
    expected = record["outputs"]["cases"][case]

    weights = class_balanced_weights(record["inputs"]["cls_num_list"], expected["drw_beta"])

    torch.testing.assert_close(weights, _double(expected["per_cls_weights"]), **DOUBLE)


@pytest.mark.parametrize("output", ["generalized_reweight_0.5", "generalized_reweight_1.0"])
def test_inverse_frequency_weights_equal_the_recorded_reference(golden, output):
    record = golden("balanced_softmax_logit_adjust")

    weights = inverse_frequency_weights(record["inputs"]["cls_num_list"], power=float(output.rpartition("_")[2]))

    torch.testing.assert_close(weights, _double(record["outputs"][output]["weights"]), **DOUBLE)


def test_weights_make_the_recorded_weighted_cross_entropies(golden):
    record = golden("class_balanced")
    inputs, expected = record["inputs"], record["outputs"]["losses"]["weighted_ce"]
    logits = _double(inputs["logits"]).requires_grad_()
    weights = class_balanced_weights(inputs["samples_per_cls"], record["params"]["beta"])

    loss = F.cross_entropy(logits, torch.tensor(inputs["target"]), weight=weights)
    loss.backward()

    torch.testing.assert_close(loss, _double(expected["loss"]), **DOUBLE)
    torch.testing.assert_close(logits.grad, _double(expected["grad"]), **DOUBLE)


@pytest.mark.parametrize(
    ("output", "make_weights"),
    [
        ("class_balanced_lift", lambda counts: class_balanced_weights(counts, 0.9999)),
        ("generalized_reweight_0.5", lambda counts: inverse_frequency_weights(counts, 0.5)),
        ("generalized_reweight_1.0", inverse_frequency_weights),
    ],
)
def test_weights_make_the_recorded_losses_of_lift(golden, output, make_weights):
    record = golden("balanced_softmax_logit_adjust")
    inputs, expected = record["inputs"], record["outputs"][output]
    logits = _double(inputs["logits"]).requires_grad_()

    loss = F.cross_entropy(logits, torch.tensor(inputs["target"]), weight=make_weights(inputs["cls_num_list"]))
    loss.backward()

    torch.testing.assert_close(loss, _double(expected["loss"]), **DOUBLE)
    torch.testing.assert_close(logits.grad, _double(expected["grad"]), **DOUBLE)


@pytest.mark.parametrize(
    "make_weights",
    [lambda counts: class_balanced_weights(counts, 0.999), lambda counts: inverse_frequency_weights(counts, 0.5)],
)
def test_weights_sum_to_the_number_of_classes_and_fall_with_the_count(make_weights):
    weights = make_weights([1000, 100, 10, 1])

    assert weights.dtype == torch.float64
    assert weights.sum().item() == pytest.approx(4, rel=1e-12)
    assert (weights.diff() > 0).all()


def test_beta_near_one_is_the_inverse_frequency():
    counts = [500, 20, 3]

    weights = class_balanced_weights(counts, beta=1 - 1e-9)

    torch.testing.assert_close(weights, inverse_frequency_weights(counts), rtol=1e-6, atol=0)


def test_counts_may_be_a_tensor():
    counts = [500, 20, 3]

    assert torch.equal(class_balanced_weights(torch.tensor(counts), 0.9), class_balanced_weights(counts, 0.9))


@pytest.mark.parametrize(
    "make_weights", [lambda counts: class_balanced_weights(counts, 0.9), inverse_frequency_weights]
)
@pytest.mark.parametrize("empty", [0, -1, float("nan")])
def test_classes_without_samples_are_named(make_weights, empty):
    with pytest.raises(ValueError, match=r"Classes \[1, 3\] have no training sample.*Remove these classes"):
        make_weights([5, empty, 2, empty])


@pytest.mark.parametrize("beta", ["0.9", None])
def test_beta_that_is_no_number_is_named(beta):
    with pytest.raises(ValueError, match=f"beta={beta!r} must be a number, but is of type {type(beta).__name__}"):
        class_balanced_weights([5, 2], beta)


@pytest.mark.parametrize("beta", [1.0, -0.1, float("nan")])
def test_beta_outside_its_range_is_named(beta):
    with pytest.raises(ValueError, match=rf"beta={beta} must be in \[0, 1\)"):
        class_balanced_weights([5, 2], beta)
