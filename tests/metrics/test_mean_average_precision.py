import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from xmodal_lt.metrics import average_precision, lt_map


def random_multilabel(num_samples=500, num_classes=12, decimals=None, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    targets = rng.random((num_samples, num_classes)) < np.linspace(0.02, 0.6, num_classes)
    scores = rng.normal(size=targets.shape) + targets
    return (scores if decimals is None else scores.round(decimals)).astype(dtype), targets.astype(dtype)


def sklearn_loop(scores, targets):
    return [average_precision_score(targets[:, label], scores[:, label]) for label in range(scores.shape[1])]


def ranked_loop(scores, targets):
    """Rank-based average precision as a plain loop: mean over positives of (positives up to here) / rank."""
    result = []
    for score, target in zip(scores.T, targets.T, strict=True):
        hits, precisions = 0, []
        for rank, sample in enumerate(sorted(range(len(score)), key=lambda i: -score[i]), start=1):
            if target[sample]:
                hits += 1
                precisions.append(hits / rank)
        result.append(sum(precisions) / hits)
    return result


def test_equals_the_recorded_reference(golden):
    record = golden("map_head_medium_tail")
    inputs, expected = record["inputs"], record["outputs"]
    result = lt_map(inputs["scores"], inputs["targets"], inputs["class_freq"])
    np.testing.assert_allclose(result["ap"], expected["ap_sklearn"], rtol=1e-12)
    for key, reference in {"map": "map", "map_head": "head", "map_medium": "medium", "map_tail": "tail"}.items():
        assert result[key] == pytest.approx(expected[reference], rel=1e-12)


def test_rank_method_equals_the_recorded_reference(golden):
    record = golden("map_head_medium_tail")
    ap = average_precision(record["inputs"]["scores"], record["inputs"]["targets"], method="rank")
    np.testing.assert_allclose(ap, record["outputs"]["ap_gcn"], rtol=1e-12)


def test_rank_method_equals_the_recorded_meters_of_asl_and_comic(golden):
    record = golden("map_head_medium_tail")
    inputs, expected, tolerance = record["inputs"], record["outputs"], record["tolerance"]
    result = lt_map(inputs["scores"], inputs["targets"], inputs["class_freq"], method="rank")
    # Both meters add 1e-8 to the number of positives.
    np.testing.assert_allclose(result["ap"], expected["ap_asl"], **tolerance)
    means = [100 * result[key] for key in ("map", "map_head", "map_medium", "map_tail")]
    np.testing.assert_allclose(means, expected["comic_shot_map_percent"], **tolerance)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("decimals", [None, 1, 0])
def test_equals_scikit_learn_class_by_class_with_and_without_ties(decimals, dtype):
    scores, targets = random_multilabel(decimals=decimals, dtype=dtype)
    np.testing.assert_allclose(average_precision(scores, targets), sklearn_loop(scores, targets), rtol=1e-12)


@pytest.mark.parametrize("decimals", [1, 2])
def test_rare_and_universal_classes_equal_scikit_learn_on_tied_scores(decimals):
    scores, targets = random_multilabel(num_samples=2000, num_classes=4, decimals=decimals)
    assert np.unique(scores[:, 0]).size < len(scores) / 3
    one, two, all_but_one, all_samples = np.zeros(2000), np.zeros(2000), np.ones(2000), np.ones(2000)
    one[7], two[[3, 1999]], all_but_one[11] = 1, 1, 0
    targets = np.stack([one, two, all_but_one, all_samples], axis=1)
    ap = average_precision(scores, targets)
    np.testing.assert_allclose(ap, sklearn_loop(scores, targets), rtol=1e-12)
    assert ap[3] == pytest.approx(1, rel=1e-12)


def test_equal_scores_everywhere_give_the_share_of_positives():
    _, targets = random_multilabel()
    np.testing.assert_allclose(average_precision(np.zeros_like(targets), targets), targets.mean(axis=0), rtol=1e-12)


def test_half_precision_scores_keep_the_ties_they_have():
    scores, targets = random_multilabel(dtype=np.float16)
    assert np.unique(scores[:, 0]).size < len(scores)
    expected = sklearn_loop(scores.astype(np.float64), targets)
    np.testing.assert_allclose(average_precision(scores, targets), expected, rtol=1e-12)


def test_rank_method_settles_ties_in_the_order_of_the_samples():
    scores, targets = random_multilabel(num_samples=80, decimals=0)
    by_rank = average_precision(scores, targets, method="rank")
    np.testing.assert_allclose(by_rank, ranked_loop(scores, targets), rtol=1e-12)
    assert np.abs(by_rank - average_precision(scores, targets)).max() > 0.01


def test_class_without_positives_is_nan_and_left_out_of_the_means():
    scores, targets = random_multilabel(num_classes=4)
    targets[:, 1] = 0
    result = lt_map(scores, targets, class_counts=[500, 400, 50, 5])
    assert np.isnan(result["ap"]).tolist() == [False, True, False, False]
    assert result["map"] == pytest.approx(np.delete(result["ap"], 1).mean())
    assert result["map_head"] == result["ap"][0]


def test_group_without_classes_is_nan():
    scores, targets = random_multilabel(num_classes=2)
    result = lt_map(scores, targets, class_counts=[500, 5])
    assert np.isnan(result["map_medium"]) and not np.isnan(result["map"])


def test_groups_follow_the_given_thresholds_and_boundaries():
    scores, targets = random_multilabel(num_classes=3)
    result = lt_map(scores, targets, class_counts=[5000, 2000, 1], head=5000, tail=2000, boundaries="decoupling")
    assert result["map_medium"] == pytest.approx(result["ap"][:2].mean())
    assert np.isnan(result["map_head"])


def test_inputs_are_not_changed():
    scores, targets = random_multilabel(decimals=1)
    before = scores.copy(), targets.copy()
    lt_map(scores, targets, class_counts=range(1, 13))
    assert np.array_equal(scores, before[0]) and np.array_equal(targets, before[1])


@pytest.mark.parametrize(
    ("scores", "targets", "counts", "message"),
    [
        ([0.1, 0.2], [0, 1], [3, 4], r"shape \[N, C\].*got shape \(2,\)"),
        (np.empty((0, 2)), np.empty((0, 2)), [3, 4], r"at least one sample.*\(0, 2\)"),
        ([[0.1, 0.2]], [[0, 1, 0]], [3, 4], r"\(1, 2\).*got \(1, 3\)"),
        ([[0.1, 0.2]], [[-1, 1]], [3, 4], r"must be 0 or 1, got \[-1\]"),
        ([[0.1, float("nan")]], [[0, 1]], [3, 4], "first is nan .sample 0, class 1"),
        ([[0.1, 0.2]], [[0, 1]], [3, 4, 5], "class_counts has 3 classes and scores have 2"),
    ],
)
def test_bad_input_is_refused(scores, targets, counts, message):
    with pytest.raises(ValueError, match=message):
        lt_map(scores, targets, counts)


def test_unknown_method_is_refused():
    with pytest.raises(ValueError, match="got 'voc07'"):
        average_precision([[0.1]], [[1]], method="voc07")
