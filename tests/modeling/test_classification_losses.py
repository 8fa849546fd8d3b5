import math

import pytest
import torch
import torch.nn.functional as F

from xmodal_lt.modeling.classification_losses import MULTI_LABEL, SINGLE_LABEL, build_classification_loss
from xmodal_lt.modeling.single_label_losses import logit_adjusted_cross_entropy


DOUBLE = {"rtol": 1e-7, "atol": 1e-12}
TAUS = {
    "balanced_softmax": 1.0,
    "logit_adjusted_tau0.5": 0.5,
    "logit_adjusted_tau1.0": 1.0,
    "logit_adjusted_tau2.0": 2.0,
}


@pytest.fixture
def record(golden):
    return golden("balanced_softmax_logit_adjust")


@pytest.fixture
def batch(record):
    """Logits (float64 `[5, 5]`, with gradient), target and class counts of the record."""
    inputs = record["inputs"]
    logits = torch.tensor(inputs["logits"], dtype=torch.float64, requires_grad=True)
    return logits, torch.tensor(inputs["target"]), inputs["cls_num_list"]


@pytest.mark.parametrize("output", TAUS)
def test_logit_adjusted_loss_equals_the_recorded_reference(record, batch, output):
    loss = logit_adjusted_cross_entropy(*batch, tau=TAUS[output])

    expected = torch.tensor(record["outputs"][output]["loss"], dtype=torch.float64)
    torch.testing.assert_close(loss, expected, **DOUBLE)


@pytest.mark.parametrize("output", TAUS)
def test_logit_adjusted_gradient_equals_the_recorded_reference(record, batch, output):
    logits, target, counts = batch

    logit_adjusted_cross_entropy(logits, target, counts, tau=TAUS[output]).backward()

    expected = torch.tensor(record["outputs"][output]["grad"], dtype=torch.float64)
    torch.testing.assert_close(logits.grad, expected, **DOUBLE)


def test_tau_zero_is_plain_cross_entropy(batch):
    logits, target, counts = batch

    loss = logit_adjusted_cross_entropy(logits, target, counts, tau=0)

    torch.testing.assert_close(loss, F.cross_entropy(logits, target), **DOUBLE)


def test_counts_may_be_a_tensor(batch):
    logits, target, counts = batch

    loss = logit_adjusted_cross_entropy(logits, target, torch.tensor(counts))

    torch.testing.assert_close(loss, logit_adjusted_cross_entropy(logits, target, counts), **DOUBLE)


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


@pytest.mark.parametrize(("reduction", "divisor"), [("sum", 1), ("mean", 5)])
def test_reductions_divide_the_sum(batch, reduction, divisor):
    samples = logit_adjusted_cross_entropy(*batch, reduction="none")

    loss = logit_adjusted_cross_entropy(*batch, reduction=reduction)

    assert samples.shape == (5,)
    torch.testing.assert_close(loss, samples.sum() / divisor, **DOUBLE)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_logit_adjustment_is_computed_in_float32_at_least(batch, dtype):
    # The logits are rounded first, so that only the arithmetic differs: float32's, some 1e-7 a step.
    logits, target, counts = batch
    narrow = logits.detach().to(dtype)

    loss = logit_adjusted_cross_entropy(narrow, target, counts)

    assert loss.dtype == torch.float32
    expected = logit_adjusted_cross_entropy(narrow.double(), target, counts)
    torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=1e-7)


def test_leaves_its_inputs_as_they_are(batch):
    logits, target, counts = batch
    counts = torch.tensor(counts, dtype=torch.float64)
    before = [tensor.detach().clone() for tensor in (logits, target, counts)]

    logit_adjusted_cross_entropy(logits, target, counts).backward()

    assert all(torch.equal(tensor, copy) for tensor, copy in zip((logits, target, counts), before, strict=True))


def test_names_classes_without_samples():
    with pytest.raises(ValueError, match=r"Classes \[1, 3\] have no training sample.*Remove these classes"):
        logit_adjusted_cross_entropy(torch.zeros(2, 4), torch.tensor([0, 2]), class_counts=[5, 0, 3, 0])


def test_names_counts_of_another_length():
    with pytest.raises(ValueError, match="class_counts has 3 entries but the logits have 4 classes"):
        logit_adjusted_cross_entropy(torch.zeros(2, 4), torch.tensor([0, 2]), class_counts=[5, 1, 3])


def test_names_an_unknown_reduction(batch):
    with pytest.raises(ValueError, match="median"):
        logit_adjusted_cross_entropy(*batch, reduction="median")


def test_single_label_default_is_cross_entropy(batch):
    logits, target, _ = batch

    loss = build_classification_loss(None, SINGLE_LABEL)(logits, target)

    torch.testing.assert_close(loss, F.cross_entropy(logits, target), **DOUBLE)


def test_multi_label_default_is_binary_cross_entropy_over_all_elements():
    logits, targets = [[0.3, -1.2], [2.0, 0.1]], [[1, 0], [1, 1]]

    loss = build_classification_loss(None, MULTI_LABEL)(torch.tensor(logits).double(), torch.tensor(targets))

    elements = [
        math.log1p(math.exp(-x if y else x))
        for row, labels in zip(logits, targets, strict=True)
        for x, y in zip(row, labels, strict=True)
    ]
    assert float(loss) == pytest.approx(sum(elements) / 4, rel=1e-6)  # the literals are rounded to float32


@pytest.mark.parametrize(("name", "problem_type"), [("cross_entropy", SINGLE_LABEL), ("bce", MULTI_LABEL)])
def test_half_precision_logits_give_a_float32_loss(name, problem_type):
    labels = torch.tensor([0, 2]) if problem_type == SINGLE_LABEL else torch.tensor([[1.0, 0, 0], [0, 1, 1]])
    logits = torch.randn(2, 3, generator=torch.Generator().manual_seed(0)).bfloat16()

    loss = build_classification_loss(name, problem_type)(logits, labels)

    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, build_classification_loss(name, problem_type)(logits.float(), labels))


def test_built_loss_takes_label_smoothing(batch):
    logits, target, _ = batch

    loss = build_classification_loss("cross_entropy", SINGLE_LABEL, label_smoothing=0.1)(logits, target)

    log_p = logits.log_softmax(-1)
    hard = -log_p.gather(1, target[:, None]).mean()
    torch.testing.assert_close(loss, 0.9 * hard - 0.1 * log_p.mean(), **DOUBLE)


def test_built_loss_takes_counts_and_tau(record, batch):
    logits, target, counts = batch

    loss = build_classification_loss("logit_adjusted", SINGLE_LABEL, counts, tau=2.0)(logits, target)

    assert loss.item() == pytest.approx(record["outputs"]["logit_adjusted_tau2.0"]["loss"], rel=1e-7)


@pytest.mark.parametrize("pos_weight", [3.0, [3.0, 3.0]])
def test_built_loss_takes_pos_weight(pos_weight):
    logits = torch.zeros(1, 2, dtype=torch.float64)

    loss = build_classification_loss("bce", MULTI_LABEL, pos_weight=pos_weight)(logits, torch.tensor([[1, 0]]))

    assert float(loss) == pytest.approx(2 * math.log(2), rel=1e-12)  # (3 log 2 + log 2) / 2


def test_counts_do_not_disturb_a_loss_that_takes_none(batch):
    logits, target, counts = batch

    loss = build_classification_loss("cross_entropy", SINGLE_LABEL, counts)(logits, target)

    torch.testing.assert_close(loss, F.cross_entropy(logits, target), **DOUBLE)


def test_build_names_an_unknown_loss():
    with pytest.raises(ValueError, match="Unknown classification loss 'hinge'; expected one of cross_entropy"):
        build_classification_loss("hinge", SINGLE_LABEL)


def test_build_names_an_unknown_problem_type():
    with pytest.raises(ValueError, match="Unknown problem type 'regression'; expected one of single_label"):
        build_classification_loss(None, "regression")


@pytest.mark.parametrize(
    ("name", "problem_type", "fitting"),
    [("bce", SINGLE_LABEL, "cross_entropy"), ("logit_adjusted", MULTI_LABEL, "bce")],
)
def test_build_names_losses_that_fit_the_problem_type(name, problem_type, fitting):
    with pytest.raises(ValueError, match=f"Loss {name!r} is for .*problem type is {problem_type}; try .*{fitting}"):
        build_classification_loss(name, problem_type)


def test_build_asks_for_counts():
    with pytest.raises(ValueError, match="'logit_adjusted' needs `class_counts`"):
        build_classification_loss("logit_adjusted", SINGLE_LABEL)


@pytest.mark.parametrize("argument", ["gamma", "reduction"])
def test_build_names_an_argument_that_the_loss_does_not_take(argument):
    # `reduction` too: models sum scalars.
    with pytest.raises(ValueError, match=rf"'logit_adjusted' takes no \['{argument}'\]; its arguments are \['tau'"):
        build_classification_loss("logit_adjusted", SINGLE_LABEL, [1, 2], **{argument: "none"})
