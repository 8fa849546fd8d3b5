import math

import pytest
import torch
import torch.nn.functional as F

from xmodal_lt.modeling.class_reweighting import class_balanced_weights, inverse_frequency_weights
from xmodal_lt.modeling.classification_losses import (
    CLASSIFICATION_LOSSES,
    MULTI_LABEL,
    SINGLE_LABEL,
    WEIGHTINGS,
    build_classification_loss,
)
from xmodal_lt.modeling.multilabel_losses import multilabel_ldam_loss
from xmodal_lt.modeling.single_label_losses import ldam_loss


DOUBLE = {"rtol": 1e-7, "atol": 1e-12}


@pytest.fixture
def record(golden):
    return golden("balanced_softmax_logit_adjust")


@pytest.fixture
def batch(record):
    """Logits (float64 `[5, 5]`, with gradient), target and class counts of the record."""
    inputs = record["inputs"]
    logits = torch.tensor(inputs["logits"], dtype=torch.float64, requires_grad=True)
    return logits, torch.tensor(inputs["target"]), inputs["cls_num_list"]


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


BY_NAME = [(name, problem_type) for name, (problem_type, _) in CLASSIFICATION_LOSSES.items()]
GIVEN = {"class_counts": [40, 20, 2], "num_samples": 50, "cosine_scale": 10.0}


def _labelled(problem_type, dtype=torch.float32):
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(0)).to(dtype).requires_grad_()
    if problem_type == SINGLE_LABEL:
        return logits, torch.tensor([0, 2, 1, 0])
    return logits, torch.tensor([[1, 0, 0], [0, 1, 1], [0, 0, 0], [1, 1, 1]]).float()


@pytest.mark.parametrize(("name", "problem_type"), BY_NAME)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_every_loss_is_a_finite_float32_scalar_with_a_gradient(name, problem_type, dtype):
    logits, labels = _labelled(problem_type, dtype)
    loss = build_classification_loss(name, problem_type, **GIVEN)(logits, labels)
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.shape == ()
    assert loss.isfinite()
    assert logits.grad.isfinite().all()
    assert logits.grad.abs().sum() > 0


@pytest.mark.parametrize(("name", "problem_type"), BY_NAME)
def test_labels_may_be_of_any_number_type(name, problem_type):
    logits, labels = _labelled(problem_type)
    loss = build_classification_loss(name, problem_type, **GIVEN)
    torch.testing.assert_close(loss(logits, labels.long()), loss(logits, labels))


@pytest.mark.parametrize("name", ["cross_entropy", "focal", "ldam", "logit_adjusted", "bce", "multilabel_ldam"])
@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_weighting_is_the_class_weights_of_a_loss(name, weighting):
    problem_type = dict(BY_NAME)[name]
    logits, labels = _labelled(problem_type)
    loss = build_classification_loss(name, problem_type, **GIVEN, weighting=weighting)
    plain = build_classification_loss(name, problem_type, **GIVEN)
    weights = {
        "class_balanced": class_balanced_weights(GIVEN["class_counts"], 0.9999),
        "inverse": inverse_frequency_weights(GIVEN["class_counts"]),
        "inverse_sqrt": inverse_frequency_weights(GIVEN["class_counts"], 0.5),
    }[weighting]
    torch.testing.assert_close(loss(logits, labels), plain.func(logits, labels, **plain.keywords, weight=weights))
    assert abs(loss(logits, labels) - plain(logits, labels)) > 1e-3


def test_beta_is_that_of_the_effective_number():
    logits, labels = _labelled(SINGLE_LABEL)
    loss = build_classification_loss("cross_entropy", SINGLE_LABEL, [40, 20, 2], weighting="class_balanced", beta=0.9)
    expected = F.cross_entropy(logits, labels, weight=class_balanced_weights([40, 20, 2], 0.9).float())
    torch.testing.assert_close(loss(logits, labels), expected)


def test_ldam_takes_scaled_cosines():
    cosine = torch.tensor([[0.5, 0.1, -0.2], [0.0, 0.3, 0.9]])
    loss = build_classification_loss("ldam", SINGLE_LABEL, [16, 16, 1], cosine_scale=4.0, max_margin=0.2)
    expected = ldam_loss(cosine, torch.tensor([0, 2]), [16, 16, 1], max_margin=0.2, scale=4.0)
    torch.testing.assert_close(loss(4.0 * cosine, torch.tensor([0, 2])), expected)


def test_multilabel_ldam_takes_scaled_cosines_too():
    cosine, labels = torch.tensor([[0.5, 0.1, -0.2]]), torch.tensor([[1.0, 0.0, 1.0]])
    loss = build_classification_loss("multilabel_ldam", MULTI_LABEL, [16, 16, 1], cosine_scale=4.0)
    torch.testing.assert_close(
        loss(4.0 * cosine, labels), multilabel_ldam_loss(cosine, labels, [16, 16, 1], scale=4.0)
    )


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("cross_entropy", {"weighting": "sqrt"}, "Unknown weighting 'sqrt'; expected one of class_balanced, inverse"),
        ("cross_entropy", {"beta": 0.9}, r"takes no \['beta'\].*`beta` belongs to weighting='class_balanced'"),
        ("cross_entropy", {"weighting": "inverse", "beta": 0.9}, r"takes no \['beta'\]"),
        ("lade", {"weighting": "inverse"}, "'lade' takes no class weights; leave out weighting='inverse'"),
        ("cross_entropy", {"weight": [1, 2, 3]}, r"takes no \['weight'\]"),
        ("ldam", {"cosine_scale": None}, "'ldam' is a loss of cosines.*head='cosine'"),
        ("ldam", {"scale": 4.0}, r"takes no \['scale'\]; its arguments are \['max_margin'\]"),
        ("distribution_balanced", {"num_samples": None}, "needs `num_samples` in the config: the training samples"),
        ("focal", {"class_counts": None, "weighting": "inverse"}, "needs `class_counts` in the config"),
    ],
)
def test_build_names_arguments_that_do_not_fit(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        build_classification_loss(name, dict(BY_NAME)[name], **{**GIVEN, **arguments})


def test_class_weights_name_classes_without_samples():
    with pytest.raises(ValueError, match=r"Classes \[1\] have no training sample"):
        build_classification_loss("cross_entropy", SINGLE_LABEL, [3, 0], weighting="inverse")
