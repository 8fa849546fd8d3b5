"""Train, validation and test splits that keep what belongs together in one split."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping


__all__ = ["split_items"]


def split_items(
    class_of: Mapping[str, str],
    traits: Mapping[str, Iterable[Hashable]],
    seed: int = 0,
    validation: float = 0.1,
    test: float = 0.2,
) -> dict[str, str]:
    """
    Split items by class, so that no trait is in two splits.

    A class of three or more items has at least one in every split, one of two has them in train and test, a lone item
    is for training. Items that share a trait (the same picture, the same author) stay together; if they are of
    different classes they stay in train, as there is no right answer to test them on. The order is that of a hash of
    seed and item: the same on every machine, and little changed by new items.

    Args:
        class_of (`Mapping[str, str]`):
            Class of each item.
        traits (`Mapping[str, Iterable[Hashable]]`):
            What each item must not share with an item of another split.
        seed (`int`, *optional*, defaults to 0):
            Chooses the split.
        validation (`float`, *optional*, defaults to 0.1):
            Share of each class to validate on.
        test (`float`, *optional*, defaults to 0.2):
            Share of each class to test on.

    Returns:
        `dict[str, str]`: `"train"`, `"validation"` or `"test"` for each item.
    """
    room = {name: _held_out(size, validation, test) for name, size in Counter(class_of.values()).items()}
    groups = _groups_by_trait({item: traits.get(item, ()) for item in class_of})
    groups.sort(key=lambda group: hashlib.sha256(f"{seed}/{min(group)}".encode()).digest())
    split_of: dict[str, str] = {}
    for group in groups:
        split = "train"
        classes = {class_of[item] for item in group}
        if len(classes) == 1:
            left = room[classes.pop()]
            split = next((name for name in ("test", "validation") if left[name] >= len(group)), "train")
            left[split] -= len(group)
        split_of.update(dict.fromkeys(group, split))
    return split_of


def _held_out(size: int, validation: float, test: float) -> Counter[str]:
    if size < 3:
        return Counter(test=size - 1)
    return Counter(validation=max(1, round(validation * size)), test=max(1, round(test * size)))


def _groups_by_trait(traits: Mapping[str, Iterable[Hashable]]) -> list[list[str]]:
    """Items that are linked, directly or through others, by a shared trait (union-find)."""
    leader = {item: item for item in traits}
    owner: dict[Hashable, str] = {}

    def find(item: str) -> str:
        while leader[item] != item:
            item = leader[item]
        return item

    for item, own_traits in traits.items():
        for trait in own_traits:
            leader[find(item)] = find(owner.setdefault(trait, item))
    groups = defaultdict(list)
    for item in traits:
        groups[find(item)].append(item)
    return list(groups.values())
