from __future__ import annotations

import datasets
import pytest

from xmodal_lt.data.class_labels import encode_labels


def splits(column: str = "label", **labels) -> datasets.DatasetDict:
    return datasets.DatasetDict({name: datasets.Dataset.from_dict({column: rows}) for name, rows in labels.items()})


def test_names_are_numbered_by_the_sorted_classes_of_train():
    dataset = encode_labels(splits(train=["dog", "cat", "emu"], test=["emu", "dog"]))
    assert list(dataset["train"]["label"]) == [1, 0, 2]
    assert list(dataset["test"]["label"]) == [2, 1]
    assert dataset["train"].features == dataset["test"].features
    assert dataset["train"].features["label"].names == ["cat", "dog", "emu"]


def test_numbers_are_sorted_as_numbers():
    dataset = encode_labels(splits(train=[10, 2, 10]))
    assert dataset["train"].features["label"].names == ["2", "10"]


def test_lists_of_names_may_be_empty():
    dataset = encode_labels(splits("labels", train=[["dog", "cat"], ["cat"]], test=[[], ["dog"]]))
    assert list(dataset["test"]["labels"]) == [[], [1]]
    assert dataset["train"].features["labels"] == datasets.List(datasets.ClassLabel(names=["cat", "dog"]))


def test_class_labels_keep_their_order_and_empty_classes():
    label = datasets.ClassLabel(names=["wolf", "cat", "emu"])
    dataset = splits(train=[0, 1], test=[1]).cast_column("label", label)
    assert encode_labels(dataset)["train"].features["label"] == label


def test_class_labels_of_splits_that_disagree_are_matched_by_name():
    dataset = splits(train=[0, 1], test=[0])
    dataset["train"] = dataset["train"].cast_column("label", datasets.ClassLabel(names=["cat", "dog"]))
    dataset["test"] = dataset["test"].cast_column("label", datasets.ClassLabel(names=["dog", "cat"]))
    assert list(encode_labels(dataset)["test"]["label"]) == [1]


@pytest.mark.parametrize(
    "dataset",
    [
        splits(train=["cat"], test=["cat", "emu"]),
        splits("labels", train=[["cat"]], test=[["cat", "emu"]]),
        splits(train=[0], test=[1]).cast_column("label", datasets.ClassLabel(names=["cat", "emu"])),
    ],
    ids=["names", "lists", "class labels"],
)
def test_a_label_that_is_not_in_training_is_named(dataset):
    with pytest.raises(ValueError, match="split 'test' has 1 labels of which 'train' has no sample: 'emu'"):
        encode_labels(dataset)


@pytest.mark.parametrize(
    "dataset",
    [
        splits(train=["cat", None]),
        splits(train=["cat", " "]),
        splits("labels", train=[["cat"], None]),
        splits(train=[0, -1]).cast_column("label", datasets.ClassLabel(names=["cat"])),
    ],
    ids=["names", "blank", "lists", "class labels"],
)
def test_a_sample_without_label_is_named(dataset):
    with pytest.raises(ValueError, match="row 1 of split 'train' has no label"):
        encode_labels(dataset)


def test_other_types_are_refused():
    with pytest.raises(TypeError, match="must hold ClassLabel, strings or whole numbers"):
        encode_labels(splits(train=[0.5]))
