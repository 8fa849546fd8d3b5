import numpy as np
import pytest

from xmodal_lt.metrics import frequency_groups


AT_THE_THRESHOLDS = [101, 100, 99, 21, 20, 19, 0]


@pytest.mark.parametrize(
    ("boundaries", "expected"),
    [
        ("decoupling", "head medium medium medium medium tail tail"),
        ("vl_ltr", "head head medium medium tail tail tail"),
        ("multilabel", "head head medium medium medium tail tail"),
    ],
)
def test_class_at_a_threshold_falls_on_the_side_of_its_convention(boundaries, expected):
    assert frequency_groups(AT_THE_THRESHOLDS, boundaries=boundaries).tolist() == expected.split()


def test_voc_lt_has_the_published_six_head_six_medium_and_eight_tail_classes():
    counts = [6, 34, 8, 14, 154, 17, 249, 29, 479, 4, 240, 48, 11, 20, 775, 100, 5, 82, 7, 64]
    groups = frequency_groups(counts, boundaries="multilabel")
    assert np.flatnonzero(groups == "head").tolist() == [4, 6, 8, 10, 14, 15]
    assert np.flatnonzero(groups == "medium").tolist() == [1, 7, 11, 13, 17, 19]


def test_thresholds_of_the_data_set_replace_the_defaults():
    assert frequency_groups([5001, 5000, 2000, 1999], head=5000, tail=2000).tolist() == [
        "head",
        "medium",
        "medium",
        "tail",
    ]


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([], r"shape \(0,\)"),
        ([[3, 4]], r"shape \(1, 2\)"),
        (["3", "4"], "of <U1"),
        ([3, -1], "class 1 has -1"),
        ([3, 0.5], "class 1 has 0.5"),
        ([float("nan"), 3], "class 0 has nan"),
        ([3, float("inf")], "class 1 has inf"),
    ],
)
def test_counts_that_are_no_counts_are_refused(counts, message):
    with pytest.raises(ValueError, match=message):
        frequency_groups(counts)


@pytest.mark.parametrize(("head", "tail"), [(20, 100), (20, 20), (100, -1)])
def test_thresholds_out_of_order_are_refused(head, tail):
    with pytest.raises(ValueError, match=f"head={head} and tail={tail}"):
        frequency_groups([1, 2], head, tail)


def test_unknown_boundaries_are_refused():
    with pytest.raises(ValueError, match="decoupling, vl_ltr, multilabel; got 'paper'"):
        frequency_groups([1, 2], boundaries="paper")
