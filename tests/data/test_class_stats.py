from __future__ import annotations

import json

import datasets
import numpy as np
import pytest

from xmodal_lt.data import ClassStats


SINGLE = [0, 0, 0, 0, 1, 1, 2]
ID_LISTS = [[0, 1], [0], [1, 2, 0], []]
MULTI_HOT = np.array([[1, 1, 0], [1, 0, 0], [1, 1, 1], [0, 0, 0]])


def test_single_label_counts():
    stats = ClassStats.from_labels(SINGLE, class_names=["a", "b", "c"])
    assert stats.counts.tolist() == [4, 2, 1]
    assert (stats.num_samples, stats.num_classes, stats.imbalance_ratio) == (7, 3, 4.0)
    assert stats.priors.tolist() == [4 / 7, 2 / 7, 1 / 7]
    assert stats.cooccurrence is None


@pytest.mark.parametrize("labels", [ID_LISTS, MULTI_HOT, MULTI_HOT.astype(np.float32)], ids=["ids", "int", "float"])
def test_multi_label_counts(labels):
    stats = ClassStats.from_labels(labels)
    assert stats.counts.tolist() == [3, 2, 1]
    assert stats.cooccurrence.tolist() == [[3, 2, 1], [2, 2, 1], [1, 1, 1]]
    assert stats.num_samples == 4
    assert stats.priors.tolist() == [0.75, 0.5, 0.25]


@pytest.mark.parametrize(
    ("boundaries", "expected"),
    [
        ("decoupling", ["head", "medium", "medium", "medium", "tail"]),
        ("vl_ltr", ["head", "head", "medium", "tail", "tail"]),
        ("multilabel", ["head", "head", "medium", "medium", "tail"]),
    ],
)
def test_groups_at_the_thresholds(boundaries, expected):
    labels = np.repeat(np.arange(5), [101, 100, 21, 20, 19])
    assert ClassStats.from_labels(labels, boundaries=boundaries).groups.tolist() == expected


def test_thresholds_are_checked_at_once():
    with pytest.raises(ValueError, match="head"):
        ClassStats.from_labels(SINGLE, head=5, tail=20)


def test_counts_cannot_be_changed_by_accident():
    with pytest.raises(ValueError, match="read-only"):
        ClassStats.from_labels(SINGLE).counts[0] = 3


@pytest.mark.parametrize("labels", [SINGLE, ID_LISTS], ids=["single", "multi"])
def test_json_round_trip(labels):
    stats = ClassStats.from_labels(labels, class_names=["a", "b", "c"], head=2, tail=1, boundaries="vl_ltr")
    values = stats.to_dict()
    again = ClassStats.from_dict(json.loads(json.dumps(values)))
    assert again.to_dict() == values
    assert again.groups.tolist() == stats.groups.tolist()


def test_from_dataset_reads_class_labels_but_no_image(tmp_path):
    dataset = datasets.Dataset.from_dict(
        {"image": [str(tmp_path / "nowhere.png")] * 3, "label": [1, 0, 1]},
        features=datasets.Features(image=datasets.Image(), label=datasets.ClassLabel(names=["cat", "dog", "emu"])),
    )
    stats = ClassStats.from_dataset(dataset.select([0, 2, 1]))
    assert stats.counts.tolist() == [1, 2, 0]
    assert stats.class_names == ("cat", "dog", "emu")


def test_from_dataset_reads_several_labels():
    feature = datasets.List(datasets.ClassLabel(names=["a", "b", "c"]))
    dataset = datasets.Dataset.from_dict({"labels": ID_LISTS}, features=datasets.Features(labels=feature))
    stats = ClassStats.from_dataset(dataset, head=2, tail=1, boundaries="multilabel")
    assert stats.groups.tolist() == ["head", "head", "medium"]
    assert stats.cooccurrence[0].tolist() == [3, 2, 1]


@pytest.mark.parametrize("labels", [[0, 3], [[0], [3]]], ids=["single", "multi"])
def test_a_label_out_of_range_is_named(labels):
    with pytest.raises(ValueError, match="label 3 of sample 1 is out of range: expected 0 to 2"):
        ClassStats.from_labels(labels, num_classes=3)


def test_a_missing_label_is_named():
    with pytest.raises(ValueError, match="label -1 of sample 1 is out of range"):
        ClassStats.from_labels([0, -1])


def test_labels_that_are_not_whole_numbers_are_refused():
    with pytest.raises(TypeError, match="class ids must be whole numbers"):
        ClassStats.from_labels([0.5, 1.0])


def test_multi_hot_rows_as_lists_are_not_taken_for_ids():
    with pytest.raises(ValueError, match="sample 0 lists a class twice"):
        ClassStats.from_labels(MULTI_HOT.tolist())


def test_a_multi_hot_array_holds_zeros_and_ones():
    with pytest.raises(ValueError, match="zeros and ones"):
        ClassStats.from_labels(np.array([[0, 2], [1, 0]]))


def test_no_labels():
    with pytest.raises(ValueError, match="there are no labels"):
        ClassStats.from_labels([])


def test_names_must_fit_the_counts():
    with pytest.raises(ValueError, match="one name per class, got 2 for 3"):
        ClassStats(counts=np.array([1, 2, 3]), num_samples=6, class_names=["a", "b"])


def test_require_all_names_the_empty_classes():
    stats = ClassStats.from_labels([0, 0], class_names=["cat", "dog", "emu"])
    assert stats.imbalance_ratio == float("inf")
    with pytest.raises(ValueError, match=r"2 of 3 classes have no training sample: 'dog', 'emu'\. Add samples"):
        stats.require_all()


def test_from_dataset_wants_one_split():
    with pytest.raises(TypeError, match=r'dataset\["train"\]'):
        ClassStats.from_dataset(datasets.DatasetDict())


def test_from_dataset_names_the_columns_there_are():
    with pytest.raises(ValueError, match=r"no column 'label' or 'labels'; its columns are \['species'\]"):
        ClassStats.from_dataset(datasets.Dataset.from_dict({"species": [0]}))


def test_from_dataset_wants_numbered_classes():
    with pytest.raises(TypeError, match=r"load_lt\(\.\.\., label_column='species'\)"):
        ClassStats.from_dataset(datasets.Dataset.from_dict({"species": ["cat"]}), "species")
