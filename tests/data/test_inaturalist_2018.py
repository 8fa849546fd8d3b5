from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from xmodal_lt.data import INaturalist2018, dataset_spec, load_lt


ROWS = {
    "train": {
        "train_val2018/Aves/2/3a9b.jpg": 2,
        "train_val2018/Plantae/0/0d11.jpg": 0,
        "train_val2018/Plantae/1/77.jpg": 1,
        "train_val2018/Aves/2/10.jpg": 2,
    },
    "val": {"train_val2018/Plantae/1/5f.jpg": 1, "train_val2018/Aves/2/6f.jpg": 2},
}
CATEGORIES = [
    {"id": 2, "name": "Turdus merula", "supercategory": "Aves"},
    {"id": 0, "name": "Bellis perennis", "supercategory": "Plantae"},
    {"id": 1, "name": "Urtica dioica", "supercategory": "Plantae"},
]


def write_lists(folder: Path) -> None:
    for part, images in ROWS.items():
        lines = [f"{path} {class_id}" for path, class_id in images.items()]
        (folder / f"iNaturalist18_{part}.txt").write_text("\n".join(lines))


def annotations_of(part: str) -> dict[str, list[dict[str, Any]]]:
    """The official form; the annotations in another order than the images."""
    ids = {path: 1000 + number for number, path in enumerate(ROWS[part])}
    return {
        "images": [{"id": image_id, "file_name": path, "license": 3} for path, image_id in ids.items()],
        "annotations": [
            {"id": ids[path], "image_id": ids[path], "category_id": class_id}
            for path, class_id in reversed(ROWS[part].items())
        ],
        "categories": [{"id": n, "name": f"hidden {n}"} for n in range(3)],
    }


def write_annotations(folder: Path) -> None:
    for part in ROWS:
        (folder / f"{part}2018.json").write_text(json.dumps(annotations_of(part)))


@pytest.fixture
def images(tmp_path, write_images) -> Path:
    """The folder of images alone."""
    for path in (path for images in ROWS.values() for path in images):
        write_images((tmp_path / "inaturalist" / path).parent, [Path(path).name])
    return tmp_path / "inaturalist"


@pytest.fixture
def annotated(images) -> Path:
    """The folder of images and official annotations."""
    write_annotations(images)
    return images


@pytest.mark.parametrize("write", [write_lists, write_annotations])
def test_both_forms_make_the_same_rows(images, write: Callable[[Path], None]):
    write(images)
    dataset = load_lt("inaturalist-2018", data_dir=images)
    assert list(dataset) == ["train", "test"]
    for part, expected in zip(dataset.values(), ROWS.values(), strict=True):
        assert part.column_names == ["image", "label", "image_id"]
        assert [f"{image_id}.jpg" for image_id in part["image_id"]] == list(expected)
        assert list(part["label"]) == list(expected.values())
    assert dataset["train"].features["label"].names == ["0", "1", "2"]
    assert dataset["test"][1]["image"].size == (2, 2)


def test_the_recorded_first_line_is_read(golden, images):
    for record in golden("dataset_facts_single_label")["outputs"]["iNaturalist18"]["val"].values():
        path, class_id = record["first_line"].split()
        (images / path).parent.mkdir(parents=True, exist_ok=True)
        # A list that starts with it, and one with an image of each class up to its own.
        (images / "iNaturalist18_val.txt").write_text(record["first_line"])
        lines = [f"train_val2018/Plantae/{n}/1.jpg {n}" for n in range(int(class_id) + 1)]
        (images / "iNaturalist18_train.txt").write_text("\n".join(lines))
        test = INaturalist2018(data_dir=images)._files.sources["test"].read()
        assert [(image.path, image.class_id) for image in test] == [(path, int(class_id))]


def test_names_of_species_come_from_their_own_file(annotated):
    (annotated / "categories.json").write_text(json.dumps(CATEGORIES))
    names = load_lt("inaturalist-2018", data_dir=annotated)["test"].features["label"].names
    assert names == ["Bellis perennis", "Urtica dioica", "Turdus merula"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"categories": CATEGORIES}, r"categories\.json is not as published: expected the file to be a list, got \{"),
        (CATEGORIES[:2], "must name the 3 classes of train, 0 to 2, each once; it names 2, and differs in class '1'"),
        ([*CATEGORIES, CATEGORIES[0]], "expected each category once and with a name, got .* as category 3"),
        ([{"id": 0, "name": " "}], "expected each category once and with a name, got .* as category 0"),
        ([{"id": 0}], r"expected category 0 to have the field 'name', got \['id'\]"),
    ],
)
def test_a_wrong_file_of_names(annotated, content, message):
    (annotated / "categories.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message):
        load_lt("inaturalist-2018", data_dir=annotated)


def set_in(kind: str, **fields: Any) -> Callable[[dict], object]:
    return lambda content: content[kind][1].update(fields)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (set_in("images", file_name="../Aves/2/a.jpg"), "'file_name' of image 1 to be the path of an image such as"),
        (set_in("images", file_name="/train_val2018/Aves/2/a.jpg"), "'file_name' of image 1 to be the path"),
        (set_in("images", file_name="train_val2018/Aves/../a.jpg"), "'file_name' of image 1 to be the path"),
        (
            set_in("images", file_name="train_val2018/Aves/2/3a9b.jpg"),
            "each image once, but .* there again as image 1",
        ),
        (set_in("images", id=5), "one annotation of image 1, the id of which is 5, got none"),
        (set_in("annotations", image_id=1003), "one annotation of each image, got another of 1003 as annotation 1"),
        (
            set_in("annotations", category_id=0),
            "one class for each folder, class 0 in '0' as before, got class 0 in '1' as image 2",
        ),
        (set_in("annotations", category_id="0"), "'category_id' of annotation 1 to be a whole number, got '0'"),
        (lambda content: content["images"].pop(), "images, and annotations of these alone, got 3 images and 1 ann"),
        (lambda content: content.pop("annotations"), "the file to have the field 'annotations'"),
    ],
)
def test_a_wrong_entry_is_named(annotated, change, expected):
    content = annotations_of("train")
    change(content)
    (annotated / "train2018.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=rf"train2018\.json is not as published: expected {expected}"):
        load_lt("inaturalist-2018", data_dir=annotated)


@pytest.mark.parametrize(
    ("remove", "message"),
    [
        (
            "train_val2018",
            r"no train_val2018 in .*Get train_val2018\.tar\.gz from https://github\.com/visipedia/inat_comp",
        ),
        (
            "train_val2018/Aves",
            r"1 of 3 folders of images of split 'train' .*: 'train_val2018/Aves/2'\. Get train_val2018",
        ),
        (
            "val2018.json",
            r"no val2018\.json or iNaturalist18_val\.txt in .*Get val2018\.json from .*inat_comp.*, or iNat.* from h",
        ),
    ],
)
def test_what_is_missing_is_named(annotated, remove, message):
    shutil.rmtree(annotated / remove) if (annotated / remove).is_dir() else (annotated / remove).unlink()
    with pytest.raises(FileNotFoundError, match=message):
        load_lt("inaturalist-2018", data_dir=annotated)


@pytest.mark.parametrize("file", ["train2018.json", "val2018.json", "categories.json"])
def test_a_changed_file_has_a_cache_of_its_own(annotated, file):
    (annotated / "categories.json").write_text(json.dumps(CATEGORIES))
    before = INaturalist2018(data_dir=annotated).cache_dir
    os.utime(annotated / file, ns=(0, 0))
    assert INaturalist2018(data_dir=annotated).cache_dir != before


def test_without_a_folder_the_error_says_what_to_get():
    with pytest.raises(FileNotFoundError, match=r"get train_val2018\.tar\.gz, train2018\.json, .* as `data_dir`"):
        load_lt("inaturalist-2018")


def test_inaturalist_2018_is_registered():
    spec = dataset_spec("inaturalist-2018")
    assert (spec.builder, spec.problem_type) == (INaturalist2018, "single_label_classification")
    assert (spec.head, spec.tail, spec.boundaries) == (100, 20, "decoupling")
    assert "train2018.json" in spec.access
