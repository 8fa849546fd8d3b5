from __future__ import annotations

import importlib.metadata
from collections import Counter, defaultdict
from pathlib import Path

import datasets
import pytest

from xmodal_lt.data import ClassStats, EmojiLT, load_lt


SPLITS = ("train", "validation", "test")


def code_of(image_id: str) -> str:
    return image_id.split("/")[1]


def test_columns_and_sizes(emoji_lt):
    assert {split: part.num_rows for split, part in emoji_lt.items()} == {
        "train": 2638,
        "validation": 400,
        "test": 758,
    }
    for part in emoji_lt.values():
        assert part.features == datasets.Features(
            image=datasets.Image(),
            words=datasets.List(datasets.Value("string")),
            label=datasets.ClassLabel(names=sorted(part.features["label"].names)),
            image_id=datasets.Value("string"),
            name=datasets.Value("string"),
        )
        assert part.features["label"].num_classes == 99


def test_images_are_rgb_of_one_size(emoji_lt):
    for row in (0, 1, -1):
        image = emoji_lt["test"][row]["image"]
        assert (image.mode, image.size) == ("RGB", (72, 72))


def test_both_styles_of_an_emoji_are_in_one_split(emoji_lt):
    places = Counter((code_of(image_id), split) for split, part in emoji_lt.items() for image_id in part["image_id"])
    assert len(places) == 1898
    assert set(places.values()) == {2}


def test_no_picture_is_in_two_splits(emoji_lt):
    splits = defaultdict(set)
    for split, part in emoji_lt.items():
        for image in part.cast_column("image", datasets.Image(decode=False))["image"]:
            splits[image["bytes"]].add(split)
    assert len(splits) < 3796  # so there are emoji that look the same
    assert all(len(found) == 1 for found in splits.values())


def test_a_class_of_three_emoji_or_more_is_in_every_split(emoji_lt):
    counts = {split: ClassStats.from_dataset(part).counts // 2 for split, part in emoji_lt.items()}
    for label, emoji in enumerate(sum(counts.values())):
        found = [split for split in SPLITS if counts[split][label]]
        assert found == {1: ["train"], 2: ["train", "test"]}.get(int(emoji), list(SPLITS))


def test_frequency_groups_of_the_training_split(emoji_lt):
    stats = ClassStats.from_dataset(emoji_lt["train"]).require_all()
    assert Counter(stats.groups.tolist()) == {"head": 2, "medium": 42, "tail": 55}
    assert (stats.counts.max(), stats.counts.min()) == (360, 2)


def test_every_sample_has_words(emoji_lt):
    assert all(words for part in emoji_lt.values() for words in part["words"])


def test_both_styles_of_an_emoji_have_its_name(emoji_lt):
    rows = (row for part in emoji_lt.remove_columns("image").values() for row in part)
    names = {(code_of(row["image_id"]), row["name"]) for row in rows}
    assert len(names) == 1898
    assert ("1f600", "grinning face") in names


def test_options_change_the_images_but_not_the_split(emoji_lt, emoji_cache):
    black = load_lt("emoji-lt", styles=["twemoji"], background="black", cache_dir=emoji_cache)
    for split, part in emoji_lt.items():
        assert list(black[split]["image_id"]) == [name for name in part["image_id"] if name.startswith("twemoji/")]
    assert black["train"][0]["image"].getpixel((0, 0)) == (0, 0, 0)


def test_options_and_versions_have_caches_of_their_own(tmp_path, monkeypatch):
    caches = {EmojiLT(cache_dir=tmp_path, **options).cache_dir for options in ({}, {"seed": 1}, {"background": "red"})}
    monkeypatch.setattr(importlib.metadata.Distribution, "version", "0.0.0")
    caches.add(EmojiLT(cache_dir=tmp_path).cache_dir)
    assert len(caches) == 4


def test_a_second_load_reads_the_cache(emoji_lt, emoji_cache):
    again = load_lt("emoji-lt", cache_dir=emoji_cache)
    assert again["train"].cache_files == emoji_lt["train"].cache_files
    assert again["train"]._fingerprint == emoji_lt["train"]._fingerprint
    assert Path(again["train"].cache_files[0]["filename"]).is_relative_to(emoji_cache)


@pytest.mark.parametrize("styles", [[], ["twemoji", "apple"], ["twemoji", "twemoji"]])
def test_unknown_styles_are_refused(styles):
    with pytest.raises(ValueError, match="styles must be one or more of"):
        EmojiLT(styles=styles)


def test_an_unknown_colour_is_refused():
    with pytest.raises(ValueError, match=r"background must be a colour .* got 'whitish'"):
        EmojiLT(background="whitish")
