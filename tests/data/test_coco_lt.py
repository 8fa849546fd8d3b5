from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xmodal_lt.data import ClassStats, CocoLT, dataset_spec, load_lt


IN_ORDER = (
    "person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,traffic light,fire hydrant,stop sign,parking meter,"
    "bench,bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe,backpack,umbrella,handbag,tie,suitcase,frisbee,"
    "skis,snowboard,sports ball,kite,baseball bat,baseball glove,skateboard,surfboard,tennis racket,bottle,wine glass,"
    "cup,fork,knife,spoon,bowl,banana,apple,sandwich,orange,broccoli,carrot,hot dog,pizza,donut,cake,chair,couch,"
    "potted plant,bed,dining table,toilet,tv,laptop,mouse,remote,keyboard,cell phone,microwave,oven,toaster,sink,"
    "refrigerator,book,clock,vase,scissors,teddy bear,hair drier,toothbrush"
)
NAMES = IN_ORDER.split(",")
# The official ids leave some numbers out.
CATEGORY_IDS = [number for number in range(1, 91) if number not in (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)]
LABELS = {
    "train": {554625: [0, 62, 64], 9: [79], 581929: [0, 11, 12]},
    "test": {724: [11, 79], 139: [0], 285: []},
}
FOLDERS = {"train": "train2017", "test": "val2017"}
CAPTIONS = {554625: ["A boy at a computer.", "a boy with a keyboard"], 9: ["a toothbrush"], 581929: ["some parking"]}
INSTANCES = "annotations/instances_train2017.json"


def write_lists(folder: Path, labels: dict[str, dict[int, list[int]]] = LABELS) -> None:
    for split, images in labels.items():
        lines = [" ".join([f"{FOLDERS[split]}/{n:012}.jpg", *map(str, ids)]) + " " for n, ids in images.items()]
        (folder / f"coco_lt_{split}.txt").write_text("\n".join(lines))


def write_annotations(folder: Path, labels: dict[str, dict[int, list[int]]] = LABELS) -> None:
    """Instances, two of each class and image, the second a crowd, and in train of another image too."""
    (folder / "img_id.pkl").write_text("\n".join(map(str, labels["train"])))
    for split, images in labels.items():
        others = {7: [5]} if split == "train" else {}
        annotations = [
            {"id": 10 * image + crowd, "image_id": image, "category_id": CATEGORY_IDS[i], "iscrowd": crowd}
            for image, ids in (images | others).items()
            for i in ids
            for crowd in (0, 1)
        ]
        categories = [{"id": n, "name": name} for n, name in zip(CATEGORY_IDS, NAMES, strict=True)]
        content = {"annotations": annotations, "categories": categories[::-1], "images": infos([*others, *images])}
        write_json(folder / f"annotations/instances_{FOLDERS[split]}.json", content)


def write_captions(folder: Path) -> None:
    annotations = [{"image_id": image, "caption": one} for image, several in CAPTIONS.items() for one in several]
    annotations.append({"image_id": 7, "caption": "a bus"})
    content = {"images": infos([7, *CAPTIONS]), "annotations": annotations}
    write_json(folder / "annotations/captions_train2017.json", content)


def infos(images: list[int]) -> list[dict[str, Any]]:
    return [{"id": image, "file_name": f"{image:012}.jpg"} for image in images]


def write_json(file: Path, content: dict[str, Any]) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(content))


def overwrite(file: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


@pytest.fixture
def images(tmp_path, write_images) -> Path:
    """A folder with the images alone."""
    for split, labels in LABELS.items():
        write_images(tmp_path / "coco" / FOLDERS[split], [f"{image:012}.jpg" for image in labels])
    return tmp_path / "coco"


@pytest.fixture
def listed(images) -> Path:
    """The folder of images and of the lists that have labels."""
    write_lists(images)
    return images


@pytest.fixture
def annotated(images) -> Path:
    """The folder of images, the list of ids and the files of instances."""
    write_annotations(images)
    return images


@pytest.mark.parametrize("form", ["listed", "annotated"])
def test_both_forms_of_the_lists_make_the_same_rows(form, request):
    dataset = load_lt("coco-lt", data_dir=request.getfixturevalue(form))
    for split, part in dataset.items():
        assert part.column_names == ["image", "labels", "image_id"]
        assert list(part["image_id"]) == [f"{image:012}" for image in LABELS[split]]
        assert list(part["labels"]) == list(LABELS[split].values())
        assert part[0]["image"].size == (2, 2)
        assert part.features["labels"].feature.names == NAMES


def test_an_image_with_nothing_but_a_crowd_has_its_class(annotated):
    def only_crowds(content: dict[str, Any]) -> None:
        content["annotations"] = [one for one in content["annotations"] if one["iscrowd"]]

    overwrite(annotated / INSTANCES, only_crowds)
    assert list(load_lt("coco-lt", data_dir=annotated)["train"]["labels"]) == list(LABELS["train"].values())


def test_words_are_those_of_all_captions(listed):
    write_captions(listed)
    dataset = load_lt("coco-lt", data_dir=listed)
    assert list(dataset["train"]["words"]) == [["boy", "computer", "keyboard"], ["toothbrush"], ["parking"]]
    assert list(dataset["test"]["words"]) == [[], [], []]


def test_captions_can_be_ignored_or_asked_for(listed):
    with pytest.raises(
        FileNotFoundError, match=r"no .*captions_train2017\.json in .*from annotations_trainval2017\.zip"
    ):
        load_lt("coco-lt", data_dir=listed, captions=True)
    write_captions(listed)
    assert "words" in load_lt("coco-lt", data_dir=listed, captions=True)["train"].column_names
    assert "words" not in load_lt("coco-lt", data_dir=listed, captions=False)["train"].column_names


def test_a_caption_of_an_unknown_image(listed):
    write_captions(listed)
    overwrite(listed / "annotations/captions_train2017.json", lambda content: content["images"].pop())
    with pytest.raises(ValueError, match="expected image of annotation 3 to be in the file, got 581929"):
        load_lt("coco-lt", data_dir=listed)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_is_refused(annotated, protocol):
    (annotated / "img_id.pkl").write_bytes(pickle.dumps([554625, 9], protocol=protocol))
    with pytest.raises(ValueError, match=r"img_id\.pkl is not as published: expected .*plain text"):
        load_lt("coco-lt", data_dir=annotated)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("train2017/000000000009.jpg 0", "an image id in plain text such as '554625', got "),
        ("-9", "an image id in plain text"),
        ("000000000009", "an image id in plain text"),
        ("554625", "each image once, but '554625' is there again"),
    ],
)
def test_a_wrong_id_is_named(annotated, line, expected):
    (annotated / "img_id.pkl").write_text(f"554625\n{line}\n")
    with pytest.raises(ValueError, match=rf"line 2 of .*img_id\.pkl is not as published: expected {expected}"):
        load_lt("coco-lt", data_dir=annotated)


def test_ids_of_other_images(annotated):
    (annotated / "img_id.pkl").write_text("554625\n139\n285")
    with pytest.raises(ValueError, match=r"2 of 3 images of .*img_id\.pkl are not in .*train2017\.json: '139', '285'"):
        load_lt("coco-lt", data_dir=annotated)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("train2017/000000000009.jpg 80", "class ids from 0 to 79 after the path, got '80'"),
        ("train2017/../val2017/000000000139.jpg 0", "the path of an image, train2017/<name>.jpg"),
        ("val2017/000000000139.jpg 0", "the path of an image, train2017/<name>.jpg"),
        ("train2017/000000554625.jpg 3", "each image once"),
    ],
)
def test_a_wrong_line_is_named(listed, line, expected):
    (listed / "coco_lt_train.txt").write_text(f"train2017/000000554625.jpg 0 62 \n{line} \n")
    with pytest.raises(ValueError, match=rf"line 2 of .*coco_lt_train\.txt is not as published: expected {expected}"):
        load_lt("coco-lt", data_dir=listed)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content.pop("images"), "the file to have the field 'images'"),
        (lambda content: content["images"].append(content["images"][1]), "each image once, but 554625 is .* image 4"),
        (lambda content: content["images"][1].update(file_name="../a.jpg"), "'file_name' of image 1 to be the name"),
        (
            lambda content: content["annotations"][3].update(category_id=12),
            "image and category of annotation 3 to be in the file, got 554625 and 12",
        ),
        (lambda content: content["annotations"][3].update(image_id=139), "image and category of annotation 3"),
        (lambda content: content["categories"].pop(), "the 80 categories of COCO in their order, got 79"),
        (
            lambda content: content["categories"][4].update(name="hovercraft"),
            "the 80 categories of COCO in their order, got 80, with 'hovercraft'",
        ),
    ],
)
def test_instances_that_hold_something_else(annotated, change, message):
    overwrite(annotated / INSTANCES, change)
    with pytest.raises(ValueError, match=rf"instances_train2017\.json is not as published: expected ({message})"):
        load_lt("coco-lt", data_dir=annotated)


def test_missing_images_are_counted_and_named(listed):
    (listed / "val2017" / "000000000139.jpg").unlink()
    with pytest.raises(
        FileNotFoundError,
        match=r"1 of 3 images of split 'test' are not in .*val2017: '000000000139\.jpg'\. Get them from val2017\.zip",
    ):
        load_lt("coco-lt", data_dir=listed)


@pytest.mark.parametrize(
    ("form", "remove", "message"),
    [
        ("listed", "train2017", r"no train2017 in .*Get train2017\.zip \(https://cocodataset"),
        (
            "listed",
            "coco_lt_train.txt",
            r"no coco_lt_train\.txt or longtail2017/img_id\.pkl with .*train2017\.json in .* of https://github",
        ),
        ("listed", "coco_lt_test.txt", r"no coco_lt_test\.txt or annotations/instances_val2017\.json in .*Get coco_"),
        ("annotated", INSTANCES, r"no coco_lt_train\.txt or annotations/instances_train2017\.json in .*Get coco_lt"),
    ],
)
def test_what_is_missing_is_named(form, remove, message, request):
    folder = request.getfixturevalue(form)
    shutil.rmtree(folder / remove) if (folder / remove).is_dir() else (folder / remove).unlink()
    with pytest.raises(FileNotFoundError, match=message):
        load_lt("coco-lt", data_dir=folder)


def test_without_a_folder_the_error_says_what_to_get():
    with pytest.raises(FileNotFoundError, match=r"get train2017\.zip .* coco_lt_train\.txt .*as `data_dir`"):
        load_lt("coco-lt")


@pytest.mark.parametrize("place", ["appendix/coco/longtail2017", "longtail2017", "coco"])
def test_the_list_of_ids_may_lie_as_its_repository_lays_it_out(annotated, place):
    (annotated / place).mkdir(parents=True)
    shutil.move(annotated / "img_id.pkl", annotated / place / "img_id.pkl")
    assert len(load_lt("coco-lt", data_dir=annotated)["train"]) == 3


@pytest.mark.parametrize("place", ["images", "data/coco"])
def test_images_may_lie_in_a_folder_of_their_own(listed, place):
    (listed / place).mkdir(parents=True)
    for folder in FOLDERS.values():
        shutil.move(listed / folder, listed / place / folder)
    assert load_lt("coco-lt", data_dir=listed)["train"][0]["image"].size == (2, 2)


@pytest.mark.parametrize(
    "file", ["img_id.pkl", INSTANCES, "annotations/instances_val2017.json", "annotations/captions_train2017.json"]
)
def test_a_changed_file_has_a_cache_of_its_own(annotated, file):
    write_captions(annotated)
    before = CocoLT(data_dir=annotated).cache_dir
    assert CocoLT(data_dir=annotated).cache_dir == before
    os.utime(annotated / file, ns=(0, 0))
    assert CocoLT(data_dir=annotated).cache_dir != before


def test_two_processes_make_the_same_rows(annotated, tmp_path):
    builds = [
        load_lt("coco-lt", data_dir=annotated, num_proc=num_proc, cache_dir=str(tmp_path / f"cache{num_proc}"))
        for num_proc in (1, 2)
    ]
    rows = [{split: part.remove_columns("image").to_dict() for split, part in build.items()} for build in builds]
    assert rows[0] == rows[1]


# What the recorded sum of P(c | i) over the classes i says of bears: how many of their images have people, and so on.
BEAR, BEAR_PARTNERS = 21, {62: 2, 73: 1, 0: 4}


@pytest.mark.parametrize("write", [write_lists, write_annotations])
def test_the_recorded_facts_are_reproduced(tmp_path, golden, write_images, labels_with_counts, cooccurring, write):
    facts = golden("dataset_facts_voc_coco_lt")["outputs"]["coco_lt"]
    counts, unlabelled = facts["class_freq"], facts["test_images_without_label"]
    given = cooccurring(BEAR, counts[BEAR], BEAR_PARTNERS)
    rows = {
        "train": labels_with_counts(counts, facts["num_train"], given),
        "test": labels_with_counts(facts["test_pos_per_class"], facts["test_images"], [[]] * unlabelled),
    }
    start = {"train": 100_000, "test": 1_000}
    labels = {split: dict(enumerate(rows[split], start[split])) for split in rows}
    for split, images in labels.items():
        write_images(tmp_path / FOLDERS[split], [f"{image:012}.jpg" for image in images])
    write(tmp_path, labels)

    dataset, spec = load_lt("coco-lt", data_dir=tmp_path), dataset_spec("coco-lt")
    stats = ClassStats.from_dataset(dataset["train"], head=spec.head, tail=spec.tail, boundaries=spec.boundaries)
    assert (stats.num_samples, stats.counts.tolist()) == (facts["num_train"], counts)
    for group in ("head", "medium", "tail"):
        assert np.flatnonzero(stats.groups == group).tolist() == facts[group]
    assert stats.counts.sum() / stats.num_samples == pytest.approx(facts["train_label_card"], rel=1e-8)
    conditional = stats.cooccurrence[:, BEAR] / stats.counts
    assert conditional.sum() == pytest.approx(facts["sum_cond_prob_per_class"][BEAR], rel=1e-8)
    test = ClassStats.from_dataset(dataset["test"])
    assert (test.num_samples, test.counts.tolist()) == (facts["test_images"], facts["test_pos_per_class"])
    assert sum(not ids for ids in dataset["test"]["labels"]) == unlabelled


def test_coco_lt_is_registered():
    spec = dataset_spec("coco-lt")
    assert (spec.builder, spec.problem_type) == (CocoLT, "multi_label_classification")
    assert (spec.head, spec.tail, spec.boundaries) == (100, 20, "multilabel")
    assert "coco_lt_train.txt" in spec.access
