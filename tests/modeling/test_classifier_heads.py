import pytest
import torch

from xmodal_lt.modeling.classifier_heads import (
    ClassScales,
    CosineClassifier,
    NearestMeanClassifier,
    tau_normalized,
)


DOUBLE = {"rtol": 1e-7, "atol": 1e-12}


def test_cosine_head_gives_the_scaled_cosines():
    torch.manual_seed(0)
    head, features = CosineClassifier(4, 3, scale=16.0).double(), torch.randn(5, 4, dtype=torch.float64)
    expected = [[16 * torch.cosine_similarity(x, w, dim=0).item() for w in head.weight] for x in features]
    torch.testing.assert_close(head(features), torch.tensor(expected, dtype=torch.float64), **DOUBLE)


def test_cosine_head_ignores_the_length_of_features_and_weights():
    torch.manual_seed(0)
    head, features = CosineClassifier(4, 3).double(), torch.randn(5, 4, dtype=torch.float64)
    before = head(features)
    with torch.no_grad():
        head.weight *= 7
    torch.testing.assert_close(head(3 * features), before, **DOUBLE)


def _slow_nearest_mean(train, target, features, num_classes):
    """Distances, one by one."""
    center = train.mean(0)
    unit = [(x - center) / (x - center).norm() for x in train]
    means = [sum(x for x, y in zip(unit, target, strict=True) if y == c) / (target == c).sum() for c in range(3)]
    rows = [[-(((x - center) / (x - center).norm() - mean) ** 2).sum() for mean in means] for x in features]
    return torch.tensor(rows, dtype=features.dtype)


def test_nearest_mean_gives_minus_the_squared_distances():
    torch.manual_seed(0)
    train, target = torch.randn(9, 4, dtype=torch.float64), torch.tensor([0, 1, 2, 0, 1, 0, 0, 2, 0])
    features = torch.randn(5, 4, dtype=torch.float64)
    head = NearestMeanClassifier(4, 3).double()
    head.fit(train, target)
    torch.testing.assert_close(head(features), _slow_nearest_mean(train, target, features, 3), **DOUBLE)


def test_nearest_mean_names_classes_without_samples():
    with pytest.raises(ValueError, match=r"Classes \[1\] have no training sample"):
        NearestMeanClassifier(2, 3).fit(torch.ones(2, 2), torch.tensor([0, 2]))


def test_class_scales_change_nothing_at_first_and_then_each_class():
    scales, logits = ClassScales(3), torch.tensor([[1.0, 2.0, 3.0]])
    assert torch.equal(scales(logits), logits)
    with torch.no_grad():
        scales.weight.copy_(torch.tensor([1.0, 0.5, 2.0]))
    assert scales(logits).tolist() == [[1.0, 1.0, 6.0]]


def test_tau_normalisation_equals_the_recorded_reference(golden):
    record = golden("tau_norm")
    weight = torch.tensor(record["inputs"]["classifier_weight"], dtype=torch.float64)
    features = torch.tensor(record["inputs"]["features"], dtype=torch.float64)
    for case in record["outputs"]["cases"]:
        normalized = tau_normalized(weight, case["tau"])
        torch.testing.assert_close(normalized, torch.tensor(case["weights"], dtype=torch.float64), **DOUBLE)
        logits = torch.tensor(case["logits"], dtype=torch.float64)
        torch.testing.assert_close(features @ normalized.T, logits, **DOUBLE)


def test_tau_normalisation_names_bad_input():
    with pytest.raises(ValueError, match=r"tau=-0.5 must be 0 or more"):
        tau_normalized(torch.ones(2, 2), -0.5)
    with pytest.raises(ValueError, match=r"classes \[1\] have length 0"):
        tau_normalized(torch.tensor([[1.0, 2.0], [0.0, 0.0]]), 1.0)
