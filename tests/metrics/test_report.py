import json
import math

import numpy as np
import pytest

from xmodal_lt.metrics import classification_results


COUNTS = [300, 120, 60, 40, 9, 3]
NAMES = ["cat", "dog", "owl", "yak", "elk", "bat"]
GROUP_OF_CLASS = ["head", "head", "medium", "medium", "tail", "tail"]


def single_label(seed=0, num_samples=90):
    rng = np.random.default_rng(seed)
    references = rng.integers(0, 5, num_samples)  # "bat" has no test sample
    return rng.normal(size=(num_samples, 6)) + 1.5 * np.eye(6)[references], references


def multi_label(seed=0):
    rng = np.random.default_rng(seed)
    references = (rng.random((90, 6)) < 0.3).astype(np.float32)
    references[:, 5] = 0
    return rng.normal(size=(90, 6)) + references, references


def evaluate(scores, references, problem_type="single_label_classification", **options):
    return classification_results(scores, references, COUNTS, problem_type=problem_type, **options)


def without_none(values):
    return [value for value in values if value is not None]


def test_single_label_results_equal_loops_over_samples_and_classes():
    scores, references = single_label()
    results = evaluate(scores, references, class_names=NAMES)
    right = scores.argmax(axis=1) == references
    top_5 = [label in np.argsort(-row)[:5] for row, label in zip(scores, references, strict=True)]
    class_accuracy = [right[references == label].mean() for label in range(5)]
    assert results["accuracy"] == pytest.approx(right.mean())
    assert results["accuracy_top5"] == pytest.approx(np.mean(top_5))
    assert results["macro_accuracy"] == pytest.approx(np.mean(class_accuracy))
    assert without_none(row["accuracy"] for row in results["per_class"]) == pytest.approx(class_accuracy)
    in_head = references < 2
    assert results["groups"]["head"] == {
        "micro": pytest.approx(right[in_head].mean()),
        "macro": pytest.approx(np.mean(class_accuracy[:2])),
        "num_classes": 2,
        "num_train": 420,
        "num_test": in_head.sum(),
    }


def test_all_classes_are_a_group_of_their_own():
    scores, references = single_label()
    results = evaluate(scores, references)
    everything = results["groups"]["all"]
    assert (everything["micro"], everything["macro"]) == (results["accuracy"], results["macro_accuracy"])
    for number in ("num_classes", "num_train", "num_test"):
        assert everything[number] == sum(results["groups"][group][number] for group in ("head", "medium", "tail"))
    assert list(results["groups"]) == ["all", "head", "medium", "tail"]


def test_per_class_rows_name_the_class_its_group_and_its_samples():
    scores, references = single_label()
    rows = evaluate(scores, references, class_names=NAMES)["per_class"]
    assert [row["class"] for row in rows] == NAMES
    assert [row["id"] for row in rows] == list(range(6))
    assert [row["group"] for row in rows] == GROUP_OF_CLASS
    assert [row["train_count"] for row in rows] == COUNTS
    assert [row["test_count"] for row in rows] == np.bincount(references, minlength=6).tolist()


def test_classes_without_names_are_called_by_their_index():
    assert [row["class"] for row in evaluate(*single_label())["per_class"]] == ["0", "1", "2", "3", "4", "5"]


def test_multi_label_results_hold_map_of_each_group_and_the_threshold_metrics():
    scores, references = multi_label()
    results = evaluate(scores, references, "multi_label_classification")
    ap = [row["ap"] for row in results["per_class"]]
    assert ap[5] is None
    assert results["map"] == results["groups"]["all"]["map"] == pytest.approx(np.mean(ap[:5]))
    assert results["groups"]["head"]["map"] == pytest.approx(np.mean(ap[:2]))
    assert results["groups"]["tail"]["map"] == pytest.approx(ap[4])
    assert [row["test_count"] for row in results["per_class"]] == references.sum(axis=0).tolist()
    for name in ("precision_at_1", "recall_at_1", "precision_at_5", "recall_at_5", "of1", "cf1"):
        assert 0 < results[name] <= 1


RATES = ("op", "or", "of1", "cp", "cr", "cf1")


def test_threshold_and_top_3_rates_equal_the_recorded_reference(golden):
    record = golden("overall_multilabel_metrics")
    inputs, threshold = record["inputs"], record["params"]["threshold"]
    results = classification_results(
        inputs["scores"],
        inputs["targets"],
        [100] * 7,
        problem_type="multi_label_classification",
        threshold=threshold,
    )
    assert results["threshold"] == threshold
    assert [results[name] for name in RATES] == pytest.approx(record["outputs"]["overall"], rel=1e-12)
    assert [results[f"{name}_top3"] for name in RATES] == pytest.approx(record["outputs"]["top3"], rel=1e-12)


def test_threshold_is_a_half_unless_given():
    scores, references = multi_label()
    results = evaluate(scores, references, "multi_label_classification")
    assert results["threshold"] == 0.5
    assert results == evaluate(scores, references, "multi_label_classification", threshold=0.5)
    assert results["or"] > evaluate(scores, references, "multi_label_classification", threshold=0.8)["or"]


@pytest.mark.parametrize("num_classes", [1, 2])
def test_fewer_than_three_classes_have_no_top_3(num_classes):
    scores, references = np.ones((1, num_classes)), np.ones((1, num_classes))
    results = classification_results(scores, references, [9] * num_classes, problem_type="multi_label_classification")
    assert [results[name] for name in RATES] == [1] * 6
    assert [results[f"{name}_top3"] for name in RATES] == [None] * 6


def test_labels_that_are_all_absent_leave_recalls_undefined():
    results = evaluate(np.ones((2, 6)), np.zeros((2, 6)), "multi_label_classification")
    assert (results["op"], results["op_top3"]) == (0, 0)
    assert (results["or"], results["cf1"], results["cf1_top3"], results["map"]) == (None,) * 4


@pytest.mark.parametrize(("threshold", "message"), [(0.8, r"threshold=0\.8 is for multi-label"), (1, "got 1")])
def test_threshold_of_a_single_label_problem_is_refused(threshold, message):
    with pytest.raises(ValueError, match=message):
        evaluate(*single_label(), threshold=threshold)


@pytest.mark.parametrize(
    ("problem_type", "make"),
    [("single_label_classification", single_label), ("multi_label_classification", multi_label)],
)
def test_results_survive_strict_json_unchanged(problem_type, make):
    results = evaluate(*make(), problem_type)
    assert json.loads(json.dumps(results, allow_nan=False)) == results


def test_group_without_classes_has_no_values():
    results = evaluate(*single_label(), head=1000, tail=2)
    assert results["groups"]["tail"] == {
        "micro": None,
        "macro": None,
        "num_classes": 0,
        "num_train": 0,
        "num_test": 0,
    }
    assert results["thresholds"] == {"head": 1000, "tail": 2, "boundaries": "decoupling"}


def test_fewer_than_five_classes_have_no_top_5():
    single = classification_results([[0.2, 0.1]], [0], [9, 8], problem_type="single_label_classification")
    multi = classification_results([[0.2, 0.1]], [[1, 1]], [9, 8], problem_type="multi_label_classification")
    assert single["accuracy"] == 1 and single["accuracy_top5"] is None
    assert multi["recall_at_1"] == 0.5 and multi["precision_at_5"] is None and multi["recall_at_5"] is None


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_scores_that_are_not_finite_are_refused(value):
    scores, references = single_label()
    scores[3, 2] = value
    with pytest.raises(ValueError, match=rf"1 of 540 are not: the first is {value} \(sample 3, class 2\)"):
        evaluate(scores, references)


def test_numbers_of_classes_that_differ_are_refused():
    with pytest.raises(ValueError, match="scores have 5 classes, class_counts 6 and class_names 1"):
        evaluate(np.zeros((2, 5)), [0, 1], class_names=["cat"])


def test_unknown_problem_type_is_refused():
    with pytest.raises(ValueError, match="multi_label_classification; got 'regression'"):
        evaluate(*single_label(), "regression")


def test_multi_hot_references_of_a_single_label_problem_are_refused():
    with pytest.raises(ValueError, match=r"references must be one class index per sample.*\(90, 6\)"):
        evaluate(*multi_label())
