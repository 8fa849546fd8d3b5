from __future__ import annotations

import datasets
import pytest

from xmodal_lt.data import ClassStats
from xmodal_lt.data.frequencies import ClassFrequency, ClassPair, Frequencies, count_frequencies


NAMES = ["cat", "dog", "owl"]


def split(labels: list, words: list[list[str]] | None = None) -> datasets.Dataset:
    several = isinstance(labels[0], list)
    label = datasets.ClassLabel(names=NAMES)
    features = {"labels": datasets.List(label)} if several else {"label": label}
    columns = {next(iter(features)): labels}
    if words is not None:
        features["words"], columns["words"] = datasets.List(datasets.Value("string")), words
    return datasets.Dataset.from_dict(columns, features=datasets.Features(features))


def count(**splits: datasets.Dataset) -> Frequencies:
    return count_frequencies(datasets.DatasetDict(splits), ClassStats.from_dataset(splits["train"], head=2, tail=1))


@pytest.fixture
def several() -> Frequencies:
    return count(train=split([[0, 1], [0, 1, 2], [1], []]), test=split([[2], [], []]))


def test_classes_of_one_label_a_sample_are_sorted_by_their_training_samples():
    found = count(train=split([1, 1, 1, 0]), test=split([0, 2, 2]))
    assert found.classes == [
        ClassFrequency("dog", "head", {"train": 3, "test": 0}),
        ClassFrequency("cat", "medium", {"train": 1, "test": 1}),
        ClassFrequency("owl", "tail", {"train": 0, "test": 2}),
    ]
    assert (found.num_samples, found.without_label, found.pairs) == ({"train": 4, "test": 3}, {}, [])


def test_classes_of_several_labels_a_sample(several):
    assert [(one.name, one.counts) for one in several.classes] == [
        ("dog", {"train": 3, "test": 0}),
        ("cat", {"train": 2, "test": 0}),
        ("owl", {"train": 1, "test": 1}),
    ]
    assert several.without_label == {"train": 1, "test": 2}


def test_pairs_of_classes_are_each_there_once_the_most_frequent_first(several):
    assert several.pairs == [ClassPair("cat", "dog", 2), ClassPair("cat", "owl", 1), ClassPair("dog", "owl", 1)]


def test_words_are_counted_in_train_alone():
    found = count(train=split([0, 0, 1], [["fur", "tail"], ["fur"], []]), test=split([0, 0], [["fur"], []]))
    assert list(found.words.counts.items()) == [("fur", 2), ("tail", 1)]
    assert found.words.per_sample == 1
    assert found.without_words == {"train": 1, "test": 1}


def test_rows_that_were_left_out_do_not_count():
    train = split([0, 0, 1], [["fur", "tail"], ["fur"], ["tail"]]).select([0, 2])
    found = count(train=train)
    assert found.words.counts == {"fur": 1, "tail": 2}
    assert [one.counts["train"] for one in found.classes] == [1, 1, 0]


def test_without_words():
    found = count(train=split([0, 1]))
    assert (found.words, found.without_words) == (None, {})
