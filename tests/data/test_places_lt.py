from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from xmodal_lt.data import ClassStats, PlacesLT, dataset_spec, load_lt


ROWS = {
    "train": {"train/apartment_building/outdoor/00000002.jpg": 1, "train/airfield/00004851.jpg": 0},
    "val": {"train/airfield/00002049.jpg": 0},
    "test": {
        "val/airfield/Places365_val_00003597.jpg": 0,
        "val/apartment_building/outdoor/Places365_val_00000008.jpg": 1,
    },
}


def write_lists(folder: Path, rows: dict[str, dict[str, int]]) -> None:
    for part, images in rows.items():
        lines = [f"{path} {class_id}" for path, class_id in images.items()]
        (folder / f"Places_LT_{part}.txt").write_text("\n".join(lines))


@pytest.fixture
def listed(tmp_path, write_images) -> Path:
    """The folder of images and lists."""
    root = tmp_path / "places"
    for path in (path for images in ROWS.values() for path in images):
        write_images((root / path).parent, [Path(path).name])
    write_lists(root, ROWS)
    return root


def test_a_class_is_one_folder_or_two(listed):
    dataset = load_lt("places-lt", data_dir=listed)
    assert {split: dict(zip(part["image_id"], part["label"], strict=True)) for split, part in dataset.items()} == {
        {"val": "validation"}.get(part, part): {path.removesuffix(".jpg"): n for path, n in images.items()}
        for part, images in ROWS.items()
    }
    assert dataset["train"].features["label"].names == ["airfield", "apartment building outdoor"]
    assert dataset["test"][1]["image"].size == (2, 2)


@pytest.mark.parametrize("part", ["train", "val", "test"])
def test_the_recorded_first_lines_are_read(golden, listed, part):
    line = golden("dataset_facts_single_label")["outputs"]["Places_LT"][part]["shijxcs+LIFT"]["first_line"]
    path, class_id = line.split()
    write_lists(listed, {part: {path: int(class_id)} | ROWS[part]})
    first = load_lt("places-lt", data_dir=listed)[{"val": "validation"}.get(part, part)][0]
    assert (f"{first['image_id']}.jpg", first["label"]) == (path, 0)
    assert first["image"].size == (2, 2)


def test_names_may_come_from_a_file(listed):
    (listed / "labels.txt").write_text("air_field 0\napartment building/outside 1\n")
    names = load_lt("places-lt", data_dir=listed)["train"].features["label"].names
    assert names == ["air field", "apartment building outside"]
    (listed / "labels.txt").write_text("0 airfield\n")
    with pytest.raises(
        ValueError, match=r"line 1 of .*labels\.txt .* such as 'apartment_building/outdoor 8', got '0 a"
    ):
        load_lt("places-lt", data_dir=listed)


def test_the_layout_of_the_small_archive_is_refused_with_the_one_that_is_read(listed):
    (listed / "data_256").mkdir()
    (listed / "train").rename(listed / "data_256" / "a")
    with pytest.raises(
        FileNotFoundError,
        match=r"no train in .* such as train/airfield/00004851\.jpg and not data_256/a/airfield/00004851\.jpg",
    ):
        load_lt("places-lt", data_dir=listed)


def test_the_recorded_groups_follow_from_the_thresholds(tmp_path, golden):
    """
    The lists are not at hand, but both rules of the record together fix how many classes are exactly at a threshold:
    counts with that many, the recorded extremes and the recorded sum make a list as long as the published one.
    """
    facts = golden("dataset_facts_single_label")["outputs"]["Places_LT"]["train"][
        "facebookresearch+classifier-balancing"
    ]
    at_head = facts["vlltr_many_ge100"] - facts["many_gt100"]
    at_tail = facts["vlltr_low_le20"] - facts["few_lt20"]
    few = [100] * at_head + [50] * facts["vlltr_median_21_99"] + [20] * at_tail + [facts["min"]] * facts["few_lt20"]
    share, rest = divmod(facts["lines"] - facts["max"] - sum(few), facts["many_gt100"] - 1)
    counts = [facts["max"], share + rest, *[share] * (facts["many_gt100"] - 2), *few]
    assert len(counts) == facts["classes"]
    assert (max(counts), min(counts)) == (facts["max"], facts["min"])
    rows = {f"train/place_{n}/{row}.jpg": n for n, count in enumerate(counts) for row in range(count)}
    (tmp_path / "train").mkdir()
    write_lists(tmp_path, {"train": rows, "test": {"val/place_0/0.jpg": 0}})

    # Not by `load_lt`, which takes seconds to write as many rows.
    builder, spec = PlacesLT(data_dir=tmp_path), dataset_spec("places-lt")
    labels = [image.class_id for image in builder._files.sources["train"].read()]
    groups = {
        boundaries: Counter(
            ClassStats.from_labels(labels, None, None, spec.head, spec.tail, boundaries).groups.tolist()
        )
        for boundaries in (spec.boundaries, "vl_ltr")
    }
    assert len(labels) == facts["lines"]
    assert builder.info.features["label"].num_classes == facts["classes"]
    assert groups[spec.boundaries] == {
        "head": facts["many_gt100"],
        "medium": facts["medium_20_100"],
        "tail": facts["few_lt20"],
    }
    assert groups["vl_ltr"] == {
        "head": facts["vlltr_many_ge100"],
        "medium": facts["vlltr_median_21_99"],
        "tail": facts["vlltr_low_le20"],
    }


def test_without_a_folder_the_error_says_what_to_get():
    with pytest.raises(FileNotFoundError, match=r"Places-LT is made .* Places_LT_train\.txt, .* as `data_dir`"):
        load_lt("places-lt")


def test_places_lt_is_registered():
    spec = dataset_spec("places-lt")
    assert (spec.builder, spec.problem_type) == (PlacesLT, "single_label_classification")
    assert (spec.head, spec.tail, spec.boundaries) == (100, 20, "decoupling")
    assert "Places_LT_train.txt" in spec.access
