from __future__ import annotations

import datasets
import pytest

from xmodal_lt.data import ClassStats, load_lt
from xmodal_lt.data.class_stats_cache import cached_class_stats


@pytest.fixture
def train(image_folder) -> datasets.Dataset:
    return load_lt(image_folder([{"label": "cat"}, {"label": "dog"}, {"label": "cat"}]))["train"]


def same(first: ClassStats, second: ClassStats) -> bool:
    return first.to_dict() == second.to_dict()


def test_a_split_is_counted_once_whatever_the_groups(train, monkeypatch):
    counted = cached_class_stats(train, head=2, tail=1)
    assert same(counted, ClassStats.from_dataset(train, head=2, tail=1))
    other = ClassStats.from_dataset(train)
    monkeypatch.setattr(ClassStats, "from_dataset", None)  # which would fail if it were called
    assert same(cached_class_stats(train, head=2, tail=1), counted)
    assert same(cached_class_stats(train), other)


def test_another_split_is_counted_anew(train):
    cached_class_stats(train)
    assert cached_class_stats(train.select([0, 1])).counts.tolist() == [1, 1]


def test_several_labels_keep_their_cooccurrence(tmp_path):
    rows = datasets.Dataset.from_dict(
        {"labels": [[0, 1], [1]]},
        features=datasets.Features({"labels": datasets.List(datasets.ClassLabel(names=["a", "b"]))}),
    )
    rows.save_to_disk(str(tmp_path / "rows"))
    train = datasets.load_from_disk(str(tmp_path / "rows"))
    assert same(cached_class_stats(train), cached_class_stats(train))
    assert cached_class_stats(train).cooccurrence.tolist() == [[1, 1], [1, 2]]


def test_a_broken_file_is_written_again(train):
    counted = cached_class_stats(train)
    folder = datasets.config.HF_DATASETS_CACHE / "xmodal_lt" / "class_stats"
    (file,) = folder.iterdir()
    file.write_text("{")
    assert same(cached_class_stats(train), counted)
    assert file.read_text() != "{"


def test_what_is_in_memory_leaves_no_file():
    rows = datasets.Dataset.from_dict({"label": [0]}).cast_column("label", datasets.ClassLabel(names=["a"]))
    assert cached_class_stats(rows).counts.tolist() == [1]
    assert not (datasets.config.HF_DATASETS_CACHE / "xmodal_lt").exists()


def test_a_cache_that_cannot_be_written_costs_a_warning(train, monkeypatch, tmp_path, caplog):
    (tmp_path / "file").touch()
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "file")
    assert cached_class_stats(train).counts.tolist() == [2, 1]
    assert "Cannot keep class_stats in the cache" in caplog.text
