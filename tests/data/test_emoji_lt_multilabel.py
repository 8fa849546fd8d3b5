from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict

import datasets
import pytest

from xmodal_lt.data import ClassStats, EmojiLTMultilabel, dataset_spec, load_lt
from xmodal_lt.data import emoji_keywords as keywords
from xmodal_lt.data.emoji_keywords import LABELS, labelled_emoji, labels_of, other_words_of
from xmodal_lt.data.emoji_lt_multilabel import rarest_labels
from xmodal_lt.data.emoji_source import read_emoji


@pytest.fixture(scope="module")
def seed_one(emoji_cache: str) -> datasets.DatasetDict:
    return load_lt("emoji-lt-multilabel", seed=1, styles=["twemoji"], background="black", cache_dir=emoji_cache)


def split_of(dataset: datasets.DatasetDict) -> dict[str, str]:
    return {image_id: split for split, part in dataset.items() for image_id in part["image_id"]}


def test_columns_and_sizes(emoji_lt_multilabel):
    sizes = {split: part.num_rows for split, part in emoji_lt_multilabel.items()}
    assert sizes == {"train": 1832, "validation": 316, "test": 526}
    for part in emoji_lt_multilabel.values():
        assert part.features == datasets.Features(
            image=datasets.Image(),
            words=datasets.List(datasets.Value("string")),
            labels=datasets.List(datasets.ClassLabel(names=sorted(LABELS))),
            image_id=datasets.Value("string"),
            name=datasets.Value("string"),
        )


def test_frequency_groups_of_the_training_split(emoji_lt_multilabel):
    spec = dataset_spec("emoji-lt-multilabel")
    thresholds = {"head": spec.head, "tail": spec.tail, "boundaries": spec.boundaries}
    stats = ClassStats.from_dataset(emoji_lt_multilabel["train"], **thresholds).require_all()
    assert (spec.builder, spec.problem_type) == (EmojiLTMultilabel, "multi_label_classification")
    assert Counter(stats.groups.tolist()) == {"head": 4, "medium": 24, "tail": 71}
    assert (stats.counts.max(), stats.counts.min()) == (380, 4)


def test_labels_and_words_of_an_emoji(emoji_lt_multilabel):
    names = emoji_lt_multilabel["train"].features["labels"].feature.names
    rows = {
        row["image_id"]: ([names[label] for label in row["labels"]], row["words"])
        for part in emoji_lt_multilabel.remove_columns("image").values()
        for row in part
    }
    assert rows["twemoji/1f63a"] == rows["openmoji/1f63a"] == (["cat", "face", "grinning", "mouth", "smile"], ["open"])


def test_every_label_is_in_train_and_test(emoji_lt_multilabel, seed_one):
    for dataset in (emoji_lt_multilabel, seed_one):
        assert all(ClassStats.from_dataset(dataset[split]).counts.min() > 0 for split in ("train", "test"))


def test_every_label_whose_pictures_can_be_divided_is_in_validation(emoji_lt_multilabel):
    stats = ClassStats.from_dataset(emoji_lt_multilabel["validation"])
    empty = [name for name, count in zip(stats.class_names, stats.counts, strict=True) if count == 0]
    assert empty == ["family"]  # 29 emoji, but four pictures in Twemoji


def test_both_styles_of_an_emoji_are_in_one_split(emoji_lt_multilabel):
    places = Counter((image_id.split("/")[1], split) for image_id, split in split_of(emoji_lt_multilabel).items())
    assert len(places) == 1337
    assert set(places.values()) == {2}


def test_no_picture_is_in_two_splits(emoji_lt_multilabel):
    splits = defaultdict(set)
    for split, part in emoji_lt_multilabel.items():
        for image in part.cast_column("image", datasets.Image(decode=False))["image"]:
            splits[image["bytes"]].add(split)
    assert len(splits) < 2674  # so there are emoji that look the same
    assert all(len(found) == 1 for found in splits.values())


def test_options_change_the_images_but_not_the_split(emoji_lt_multilabel, emoji_cache):
    black = load_lt("emoji-lt-multilabel", styles=["twemoji"], background="black", cache_dir=emoji_cache)
    expected = {image_id: split for image_id, split in split_of(emoji_lt_multilabel).items() if "twemoji" in image_id}
    assert split_of(black) == expected
    assert black["train"][0]["image"].getpixel((0, 0)) == (0, 0, 0)


def test_the_seed_changes_the_split(emoji_lt_multilabel, seed_one):
    splits = split_of(emoji_lt_multilabel)
    assert any(splits[image_id] != split for image_id, split in split_of(seed_one).items())


def test_the_class_is_the_rarest_label_and_of_equally_rare_ones_the_first_by_name():
    labels = {"1": ("face",), "2": ("cat", "face"), "3": ("red", "cat"), "4": ("red", "face")}
    assert rarest_labels(labels) == {"1": "face", "2": "cat", "3": "cat", "4": "red"}


def test_there_are_99_distinct_labels_in_order():
    assert list(LABELS) == sorted(set(LABELS))
    assert len(LABELS) == 99


def test_every_emoji_has_a_label_and_a_word_and_every_label_five_emoji():
    emoji = labelled_emoji()
    sizes = Counter(label for one in emoji for label in labels_of(one))
    assert all(labels_of(one) and other_words_of(one) for one in emoji)
    assert all(set(labels_of(one) + other_words_of(one)) == set(one.words) for one in emoji)
    assert (len(sizes), max(sizes.values()), min(sizes.values())) == (99, 273, 5)


def test_other_words_than_expected_are_refused(monkeypatch):
    renamed = tuple(
        dataclasses.replace(one, words=tuple("canine" if word == "dog" else word for word in one.words))
        for one in read_emoji()
    )
    monkeypatch.setattr(keywords, "read_emoji", lambda: renamed)
    with pytest.raises(ValueError, match=r"1 labels describe fewer than 5 emoji: 'dog'.*pip install \"xmodal-lt"):
        labelled_emoji()
