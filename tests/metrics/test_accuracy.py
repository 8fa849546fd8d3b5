import numpy as np
import pytest
from sklearn.metrics import top_k_accuracy_score

from xmodal_lt.metrics import shot_accuracy, top_k_accuracy


def test_defaults_equal_the_recorded_numbers_of_decoupling(golden):
    record = golden("shot_accuracy")
    inputs, expected = record["inputs"], record["outputs"]
    result = shot_accuracy(inputs["pred"], inputs["label"], inputs["train_class_count"])
    for shot, value in expected["classifier_balancing"].items():
        assert result[shot] == pytest.approx(value, rel=1e-12)
    assert result["accuracy"] == pytest.approx(expected["overall_micro"], rel=1e-12)


def test_micro_average_with_vl_ltr_boundaries_equals_its_recorded_numbers(golden):
    record = golden("shot_accuracy")
    inputs, expected = record["inputs"], record["outputs"]["vlltr_percent"]
    result = shot_accuracy(
        inputs["pred"], inputs["label"], inputs["train_class_count"], average="micro", boundaries="vl_ltr"
    )
    for shot, reference in {"many": "many", "medium": "median", "few": "low"}.items():
        assert 100 * result[shot] == pytest.approx(expected[reference], rel=1e-12)


def test_macro_and_micro_agree_on_a_balanced_test_split():
    rng = np.random.default_rng(0)
    references = np.repeat(np.arange(9), 20)
    predictions = np.where(rng.random(180) < 0.6, references, rng.integers(0, 9, 180))
    counts = [500, 300, 200, 90, 60, 30, 10, 5, 1]
    macro = shot_accuracy(predictions, references, counts, average="macro")
    micro = shot_accuracy(predictions, references, counts, average="micro")
    assert [macro[shot] for shot in ("many", "medium", "few")] == pytest.approx(
        [micro[shot] for shot in ("many", "medium", "few")]
    )


def test_per_class_is_the_recall_of_each_class():
    result = shot_accuracy([0, 1, 1, 2, 0], [0, 0, 1, 2, 2], class_counts=[200, 50, 5])
    assert result["per_class"].tolist() == [0.5, 1.0, 0.5]


@pytest.mark.parametrize("average", ["macro", "micro"])
def test_class_without_test_samples_is_nan_and_left_out(average):
    result = shot_accuracy([0, 1], [0, 0], class_counts=[200, 150, 5], average=average)
    assert result["many"] == 0.5
    assert np.isnan(result["few"]) and np.isnan(result["medium"])
    assert np.isnan(result["per_class"]).tolist() == [False, True, True]


@pytest.mark.parametrize(
    ("predictions", "references", "message"),
    [
        ([[0.2, 0.8]], [1], r"predictions must be one class index per sample.*\(1, 2\) of float64"),
        ([0.0], [1], "predictions must be .*integers"),
        ([0], [2], r"references must lie in 0..1 for 2 classes; got 2..2"),
        ([0], [-100], "got -100..-100"),
        ([0, 1], [0], "got 2 for 1 references"),
        ([], [], r"got shape \(0,\)"),
    ],
)
def test_bad_input_is_refused(predictions, references, message):
    with pytest.raises(ValueError, match=message):
        shot_accuracy(predictions, references, class_counts=[200, 5])


def test_unknown_average_is_refused():
    with pytest.raises(ValueError, match="got 'weighted'"):
        shot_accuracy([0], [0], class_counts=[200], average="weighted")


@pytest.mark.parametrize("k", [1, 2, 5, 7])
def test_top_k_accuracy_equals_scikit_learn(k):
    rng = np.random.default_rng(1)
    scores, references = rng.normal(size=(200, 7)).astype(np.float32), rng.integers(0, 7, 200)
    with_all_classes = top_k_accuracy_score(references, scores, k=k, labels=range(7)) if k < 7 else 1.0
    assert top_k_accuracy(scores, references, k) == pytest.approx(with_all_classes, rel=1e-12)


def test_top_1_of_equal_scores_is_the_accuracy_of_argmax():
    scores, references = np.zeros((4, 3)), [0, 1, 2, 0]
    assert top_k_accuracy(scores, references, k=1) == np.mean(scores.argmax(axis=1) == references)


@pytest.mark.parametrize("k", [0, 4])
def test_top_k_outside_the_classes_is_refused(k):
    with pytest.raises(ValueError, match=rf"1..3, the number of classes; got {k}"):
        top_k_accuracy(np.zeros((2, 3)), [0, 1], k)


def test_top_k_needs_one_reference_per_row():
    with pytest.raises(ValueError, match="got 3 for 2 rows"):
        top_k_accuracy(np.zeros((2, 3)), [0, 1, 2], k=1)
