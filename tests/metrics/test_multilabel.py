import numpy as np
import pytest
from sklearn.metrics import precision_recall_fscore_support

from xmodal_lt.metrics import multilabel_f1, precision_recall_at_k


OVERALL = ("op", "or", "of1", "cp", "cr", "cf1")


def random_multilabel(seed=0):
    rng = np.random.default_rng(seed)
    targets = (rng.random((60, 9)) < 0.3).astype(np.float32)
    targets[0] = 0
    return rng.normal(size=targets.shape) + targets, targets


def test_precision_and_recall_at_every_k_equal_the_recorded_reference(golden):
    record = golden("precision_recall_at_k")
    inputs, expected = record["inputs"], record["outputs"]
    result = precision_recall_at_k(inputs["scores"], inputs["targets"], ks=range(1, 6))
    np.testing.assert_allclose(
        [result[f"precision_at_{k}"] for k in range(1, 6)], expected["precision_at"], rtol=1e-12
    )
    np.testing.assert_allclose([result[f"recall_at_{k}"] for k in range(1, 6)], expected["recall_at"], rtol=1e-12)


@pytest.mark.parametrize("k", [1, 3, 9])
def test_precision_and_recall_at_k_equal_a_loop_over_samples(k):
    scores, targets = random_multilabel()
    precisions, recalls = [], []
    for score, target in zip(scores, targets, strict=True):
        best = sorted(range(9), key=lambda label: -score[label])[:k]
        hits = sum(target[label] for label in best)
        precisions.append(hits / k)
        if target.any():
            recalls.append(hits / target.sum())
    result = precision_recall_at_k(scores, targets, ks=(k,))
    assert result == pytest.approx({f"precision_at_{k}": np.mean(precisions), f"recall_at_{k}": np.mean(recalls)})


def test_recall_at_k_is_nan_without_any_positive():
    result = precision_recall_at_k([[0.3, 0.1]], [[0, 0]], ks=(1,))
    assert result["precision_at_1"] == 0 and np.isnan(result["recall_at_1"])


@pytest.mark.parametrize(("ks", "message"), [((), "at least one"), ((0, 1), r"\(0, 1\)"), ((1, 10), "1..9.*got 10")])
def test_k_outside_the_classes_is_refused(ks, message):
    with pytest.raises(ValueError, match=message):
        precision_recall_at_k(*random_multilabel(), ks=ks)


@pytest.mark.parametrize(("output", "top_k"), [("overall", None), ("top3", 3)])
def test_f1_equals_the_recorded_reference(golden, output, top_k):
    record = golden("overall_multilabel_metrics")
    inputs = record["inputs"]
    result = multilabel_f1(inputs["scores"], inputs["targets"], record["params"]["threshold"], top_k)
    # The reference thresholds in float32, but its outputs are ratios of counts and so exact.
    np.testing.assert_allclose([result[name] for name in OVERALL], record["outputs"][output], rtol=1e-12)


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.8])
def test_f1_equals_scikit_learn_on_thresholded_probabilities(threshold):
    scores, targets = random_multilabel()
    predicted = 1 / (1 + np.exp(-scores)) >= threshold
    overall = precision_recall_fscore_support(targets, predicted, average="micro", zero_division=0)
    by_class = precision_recall_fscore_support(targets, predicted, average="macro", zero_division=0)
    result = multilabel_f1(scores, targets, threshold)
    assert [result["op"], result["or"], result["of1"]] == pytest.approx(overall[:3], rel=1e-12)
    # CF1 is the harmonic mean of the averages, not scikit-learn's average of harmonic means.
    cp, cr = by_class[:2]
    assert [result["cp"], result["cr"], result["cf1"]] == pytest.approx([cp, cr, 2 * cp * cr / (cp + cr)], rel=1e-12)


def test_class_without_positives_is_left_out_of_the_class_means():
    scores, targets = random_multilabel()
    targets[:, 4] = 0
    kept = [label for label in range(9) if label != 4]
    result, without = multilabel_f1(scores, targets), multilabel_f1(scores[:, kept], targets[:, kept])
    assert [result[name] for name in ("cp", "cr", "cf1")] == [without[name] for name in ("cp", "cr", "cf1")]
    assert result["op"] < without["op"]


def test_nothing_predicted_gives_zero():
    assert multilabel_f1([[-3.0, -2.0]], [[1, 0]]) == dict.fromkeys(OVERALL, 0.0)


@pytest.mark.parametrize("threshold", [0, 1, 1.5, -0.1])
def test_threshold_that_is_no_probability_is_refused(threshold):
    with pytest.raises(ValueError, match=f"between 0 and 1; got {threshold}"):
        multilabel_f1([[0.1]], [[1]], threshold)
