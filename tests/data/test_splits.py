from __future__ import annotations

from collections import Counter

import pytest

from xmodal_lt.data.splits import split_items


def items(**sizes: int) -> dict[str, str]:
    return {f"{name}{number}": name for name, size in sizes.items() for number in range(size)}


def splits_of(name: str, class_of: dict[str, str], **kwargs) -> Counter[str]:
    split_of = split_items(class_of, kwargs.pop("traits", {}), **kwargs)
    return Counter(split_of[item] for item in class_of if class_of[item] == name)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (1, {"train": 1}),
        (2, {"train": 1, "test": 1}),
        (3, {"train": 1, "validation": 1, "test": 1}),
        (100, {"train": 70, "validation": 10, "test": 20}),
    ],
)
def test_sizes(size, expected):
    assert splits_of("a", items(a=size, b=5)) == expected


def test_the_split_is_the_same_on_every_machine_and_in_every_process():
    expected = {"a0": "train", "a1": "test", "a2": "validation", "b0": "train"}
    assert split_items(items(a=3, b=1), {}) == expected


def test_the_seed_changes_the_split():
    class_of = items(a=50)
    assert split_items(class_of, {}, seed=0) != split_items(class_of, {}, seed=1)


def test_items_linked_by_traits_share_a_split_also_through_a_third():
    class_of = items(a=30)
    chain = {"a0": ["x"], "a1": ["x", "y"], "a2": ["y"]}
    for seed in range(20):
        split_of = split_items(class_of, chain, seed=seed)
        assert len({split_of[item] for item in chain}) == 1


def test_a_trait_shared_by_two_classes_stays_in_training():
    class_of = items(a=30, b=30)
    for seed in range(20):
        split_of = split_items(class_of, {"a0": ["x"], "b0": ["x"]}, seed=seed)
        assert split_of["a0"] == split_of["b0"] == "train"
