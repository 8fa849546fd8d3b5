from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from xmodal_lt.data import dataset_spec, list_datasets, long_tailed_counts
from xmodal_lt.data.dataset_facts import Fact, facts
from xmodal_lt.metrics.groups import frequency_groups


GOLDEN = Path(__file__).parent.parent / "golden"


def values(name: str) -> dict[str, float]:
    return {fact.quantity: fact.value for fact in dataset_spec(name).facts}


@pytest.mark.parametrize(
    ("published", "found", "agrees"),
    [(1142, 1142, True), (1142, 1141, False), (5.57, 5.5714, True), (5.57, 5.58, False), (100, 100.0, True)],
)
def test_a_number_agrees_to_as_many_decimals_as_are_published(published, found, agrees):
    assert Fact("train", published, "a paper").agrees(found) is agrees


def test_a_copy_may_have_more_than_the_least_number():
    fact = Fact("test", 4917, "a paper", at_least=True)
    assert [fact.agrees(found) for found in (4916, 4917, 4926)] == [False, True, True]


def test_numbers_of_one_source():
    assert facts("a paper", ("seed",), train=3, test=2) == (
        Fact("train", 3, "a paper", ("seed",)),
        Fact("test", 2, "a paper", ("seed",)),
    )


@pytest.mark.parametrize("name", list_datasets())
def test_every_data_set_has_numbers_each_once_and_with_a_source(name):
    quantities = Counter(fact.quantity for fact in dataset_spec(name).facts)
    assert {"train", "classes"} <= set(quantities) and max(quantities.values()) == 1
    assert all(fact.source for fact in dataset_spec(name).facts)


@pytest.mark.parametrize("name", list_datasets())
def test_groups_hold_all_classes(name):
    numbers = values(name)
    if "head" in numbers:
        assert numbers["head"] + numbers["medium"] + numbers["tail"] == numbers["classes"]


@pytest.mark.parametrize("name", ["voc-lt", "coco-lt"])
def test_numbers_of_the_multi_label_lists(name):
    golden = json.loads((GOLDEN / "dataset_facts_voc_coco_lt.json").read_text())["outputs"][name.replace("-", "_")]
    counts = golden["class_freq"]
    expected = {"train": golden["num_train"], "test": golden["test_images"], "classes": len(counts)}
    expected |= {group: len(golden[group]) for group in ("head", "medium", "tail")}
    expected["labels_per_image"] = round(golden["train_label_card"], 2)
    assert values(name) == expected | {"imbalance_ratio": round(max(counts) / min(counts), 2)}


@pytest.mark.parametrize(
    ("name", "lists", "parts"),
    [
        ("places-lt", "Places_LT", {"train": "train", "validation": "val", "test": "test"}),
        ("imagenet-lt", "ImageNet_LT", {"validation": "val", "test": "test"}),
        ("inaturalist-2018", "iNaturalist18", {"test": "val"}),
    ],
)
def test_numbers_of_the_single_label_lists(name, lists, parts):
    golden = json.loads((GOLDEN / "dataset_facts_single_label.json").read_text())["outputs"][lists]
    numbers = values(name)
    for split, part in parts.items():
        (published, *_) = golden[part].values()
        assert (numbers[split], numbers["classes"]) == (published["lines"], published["classes"])


def test_groups_of_places_lt():
    golden = json.loads((GOLDEN / "dataset_facts_single_label.json").read_text())["outputs"]["Places_LT"]["train"]
    (published, *_) = golden.values()
    numbers = values("places-lt")
    assert [numbers[group] for group in ("head", "medium", "tail")] == [
        published[key] for key in ("many_gt100", "medium_20_100", "few_lt20")
    ]
    assert numbers["imbalance_ratio"] == published["max"] / published["min"]


def test_numbers_of_cifar100_lt_are_those_of_its_profile():
    counts = long_tailed_counts(num_classes=100, max_count=500, imbalance_ratio=100)
    numbers = values("cifar100-lt")
    assert numbers["train"] == sum(counts)
    assert Counter(frequency_groups(counts).tolist()) == {
        group: numbers[group] for group in ("head", "medium", "tail")
    }
