"""What every builder must do, on a small copy of its data in `made_sets`. A new one fails here until it has one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import datasets
import pytest
from made_sets import MadeRow, MadeSet, Rows, made_set, rename, shade_of

from xmodal_lt.data import ClassStats, dataset_spec, decode_image, list_datasets, load_lt, read_features


# Thresholds of methods.md, and the groups of classes with one image more than the upper one, as many, as many as the
# lower one, and one fewer.
LONG_TAILED = 100, 20, ["head", "medium", "medium", "tail"]
MULTI_LABEL = 100, 20, ["head", "head", "medium", "tail"]
THRESHOLDS = {
    "activitynet-captions": LONG_TAILED,
    "cifar100-lt": LONG_TAILED,
    "coco-lt": MULTI_LABEL,
    "emoji-lt": LONG_TAILED,
    "emoji-lt-multilabel": MULTI_LABEL,
    "imagenet-lt": LONG_TAILED,
    "inaturalist-2018": LONG_TAILED,
    "msr-vtt": LONG_TAILED,
    "nus-wide": (5000, 2000, ["head", "medium", "medium", "tail"]),
    "places-lt": LONG_TAILED,
    "vireofood-172": (500, 300, ["head", "medium", "medium", "tail"]),
    "voc-lt": MULTI_LABEL,
}
# The others refer to files.
HOLDS_IMAGES = {"cifar100-lt", "emoji-lt", "emoji-lt-multilabel"}
REFERS_TO_FILES = [name for name in list_datasets() if name not in HOLDS_IMAGES]


Splits = Mapping[str, datasets.Dataset | datasets.IterableDataset]


class Built(NamedTuple):
    name: str
    made: MadeSet
    dataset: datasets.DatasetDict


@pytest.fixture(scope="module", params=list_datasets())
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    folder = tmp_path_factory.mktemp(request.param)
    with made_set(request.param, folder / "source") as made:
        yield Built(request.param, made, load(request.param, made, folder / "cache"))


def load(name: str, made: MadeSet, cache: Path, **options: Any) -> Any:
    return load_lt(name, made.data_dir, cache_dir=str(cache), **made.options, **options)


def rows_of(splits: Splits) -> Rows:
    return {split: [made_row(row, part.features, split) for row in part] for split, part in splits.items()}


def made_row(row: dict[str, Any], features: datasets.Features, split: str) -> MadeRow:
    if "labels" in row:
        labels = [features["labels"].feature.int2str(label) for label in row["labels"]]
    else:
        labels = [features["label"].int2str(row["label"])]
    shade = shade_of(row["image"]) if "image" in row else shade_of_video(row, split)
    return MadeRow(row["image_id"], labels, row.get("words"), shade)


def shade_of_video(row: dict[str, Any], split: str) -> int:
    """The number that all of its features are; privileged ones, which only training has, are a hundred more."""
    (shade,) = set(read_features(row["features"]).ravel().tolist())
    if "privileged_features" in row:
        reference = row["privileged_features"]
        found = None if reference is None else set(read_features(reference).ravel().tolist())
        assert found == ({shade + 100} if split == "train" else None)
    return int(shade)


def features_of(splits: Splits) -> dict[str, datasets.Features]:
    return {split: part.features for split, part in splits.items()}


def class_names(dataset: datasets.DatasetDict) -> list[str]:
    features = dataset["train"].features
    return (features["labels"].feature if "labels" in features else features["label"]).names


def raw_inputs(part: datasets.Dataset) -> list[Any]:
    """References to images or features, which stay in their files."""
    if "features" in part.column_names:
        return part["features"][:]
    return part.cast_column("image", datasets.Image(decode=False))["image"][:]


def read_input(part: datasets.Dataset, row: int) -> Any:
    read = read_features if "features" in part.column_names else decode_image
    return read(raw_inputs(part)[row])


def arrow_files(cache: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in cache.rglob("*.arrow")}


def test_every_builder_is_tested_here():
    assert sorted(THRESHOLDS) == list_datasets()


def test_rows_are_those_of_the_files(built):
    assert rows_of(built.dataset) == built.made.rows
    assert class_names(built.dataset) == built.made.class_names


def test_columns_are_the_schema(built):
    several = dataset_spec(built.name).problem_type == "multi_label_classification"
    text = datasets.Value("string")
    label = datasets.ClassLabel(names=built.made.class_names)
    has_words = built.made.rows["train"][0].words is not None
    for part in built.dataset.values():
        schema = {"words": datasets.List(text)} if has_words else {}
        schema |= {"labels": datasets.List(label)} if several else {"label": label}
        schema["image_id"] = text
        columns = [name for name in part.column_names if name not in ("name", "video_id")]
        inputs = [name for name in columns if name in ("image", "features", "privileged_features")]
        assert columns == [*inputs, *schema]
        assert inputs and {name: part.features[name] for name in schema} == schema


def test_inputs_stay_in_their_files(built):
    kept = [value for part in built.dataset.values() for value in raw_inputs(part)]
    if built.name in HOLDS_IMAGES:
        assert all(value["bytes"] for value in kept)
        return
    paths = [Path(value["path"]) for value in kept]
    assert not any(value.get("bytes") for value in kept)
    assert set(paths) <= set(built.made.inputs) and len(set(paths)) == len(kept)


def test_groups_of_the_training_split(built):
    head, tail = built.made.thresholds
    boundaries = dataset_spec(built.name).boundaries
    stats = ClassStats.from_dataset(built.dataset["train"], head=head, tail=tail, boundaries=boundaries)
    assert dict(zip(stats.class_names, stats.groups.tolist(), strict=True)) == built.made.groups
    assert stats.num_samples == len(built.made.rows["train"])


@pytest.mark.parametrize("name", list_datasets())
def test_thresholds_are_those_of_the_papers(name):
    spec, (head, tail, groups) = dataset_spec(name), THRESHOLDS[name]
    stats = ClassStats([head + 1, head, tail, tail - 1], 1, (), spec.head, spec.tail, spec.boundaries)
    assert (spec.head, spec.tail, stats.groups.tolist()) == (head, tail, groups)


def test_a_builder_streams_the_rows_that_it_builds(built, tmp_path):
    made = built.made
    builder = dataset_spec(built.name).builder(data_dir=made.data_dir, cache_dir=str(tmp_path), **made.options)
    assert rows_of(builder.as_streaming_dataset()) == made.rows
    assert not arrow_files(tmp_path)


def test_a_stream_has_the_rows_and_schema_of_the_table(built, tmp_path):
    streams = load(built.name, built.made, tmp_path, streaming=True)
    assert isinstance(streams, datasets.IterableDatasetDict)
    assert features_of(streams) == features_of(built.dataset)
    assert rows_of(streams) == built.made.rows
    assert not arrow_files(tmp_path)


def test_class_names_may_be_in_any_script(tmp_path):
    with made_set("imagenet-lt", tmp_path / "source") as made:
        made = rename(tmp_path / "source/labels.txt", "crème brûlée", "法式焦糖炖").apply(made)
        assert class_names(load("imagenet-lt", made, tmp_path / "cache")) == made.class_names


def test_two_processes_build_the_same(built, tmp_path):
    dataset = load(built.name, built.made, tmp_path, num_proc=2)
    assert rows_of(dataset) == built.made.rows
    assert features_of(dataset) == features_of(built.dataset)


@pytest.mark.parametrize("name", list_datasets())
def test_a_changed_source_file_is_noticed(name, tmp_path):
    with made_set(name, tmp_path / "source") as made:
        load(name, made, tmp_path / "cache")
        for edit in made.edits:
            made = edit.apply(made)
            dataset = load(name, made, tmp_path / "cache")
            assert (rows_of(dataset), class_names(dataset)) == (made.rows, made.class_names)


def test_unchanged_files_are_read_once(built, tmp_path):
    first = load(built.name, built.made, tmp_path)
    before = arrow_files(tmp_path)
    again = load(built.name, built.made, tmp_path)
    assert before
    assert arrow_files(tmp_path) == before
    assert {split: part.cache_files for split, part in again.items()} == {
        split: part.cache_files for split, part in first.items()
    }


@pytest.mark.parametrize("name", REFERS_TO_FILES)
def test_loading_opens_no_image_or_array(name, tmp_path):
    with made_set(name, tmp_path / "source") as made:
        for path in made.inputs:
            path.write_bytes(b"broken")
        train = load(name, made, tmp_path / "cache")["train"]
        assert train["image_id"][:] == [row.image_id for row in made.rows["train"]]
        with pytest.raises(ValueError, match=f"Cannot read .*{made.inputs[0].name}"):
            read_input(train, 0)


@pytest.mark.parametrize("name", REFERS_TO_FILES)
def test_a_file_that_is_not_there_is_named(name, tmp_path):
    with made_set(name, tmp_path / "source") as made:
        made.inputs[0].unlink()
        if made.checks_inputs:
            with pytest.raises((FileNotFoundError, ValueError), match=made.inputs[0].stem):
                load(name, made, tmp_path / "cache")
            return
        # Of hundreds of thousands, which are looked for when they are used.
        train = load(name, made, tmp_path / "cache")["train"]
        with pytest.raises(FileNotFoundError, match=made.inputs[0].name):
            read_input(train, 0)
