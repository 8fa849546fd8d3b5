from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import datasets
import numpy as np
import pytest

from xmodal_lt.data import ClassStats, VocLT, dataset_spec, load_lt


IN_ORDER = (
    "aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike person pottedplant "
    "sheep sofa train tvmonitor"
)
CLASSES = IN_ORDER.split()
LABELS = {
    "train": {"2008_000023": [4, 14, 19], "2010_002361": [6], "2008_000028": [10, 14, 15]},
    "test": {"000002": [4], "000001": [14, 15]},
}
DIFFICULT = {"2010_002361": [6], "2008_000023": [19], "000002": [4]}
DEVKIT = {"train": "VOCdevkit/VOC2012", "test": "VOCdevkit/VOC2007"}
IDS = {"train": "img_id.txt", "test": "VOCdevkit/VOC2007/ImageSets/Main/test.txt"}
CAPTIONS = {
    "2008_000023": "a bottle of beer and a television.",
    "2010_002361": "a black car",
    "2008_000028": "a man in a dining room",
}


def image_path(split: str, image_id: str) -> str:
    return f"{DEVKIT[split]}/JPEGImages/{image_id}.jpg"


def write_lists(folder: Path, labels: dict[str, dict[str, list[int]]] = LABELS) -> None:
    for split, images in labels.items():
        lines = [" ".join([image_path(split, name), *map(str, ids)]) for name, ids in images.items()]
        (folder / f"voc_lt_{split}.txt").write_text("\n".join(lines))


def write_annotations(folder: Path, labels: dict[str, dict[str, list[int]]] = LABELS) -> None:
    for split, images in labels.items():
        (folder / IDS[split]).parent.mkdir(parents=True, exist_ok=True)
        (folder / IDS[split]).write_text("\n".join(images) + "\n")
        (folder / DEVKIT[split] / "Annotations").mkdir()
        for name, ids in images.items():
            text = "".join(an_object(CLASSES[i], i in DIFFICULT.get(name, ())) for i in ids)
            text = f"<annotation><filename>{name}.jpg</filename>{text}</annotation>"
            (folder / DEVKIT[split] / "Annotations" / f"{name}.xml").write_text(text)


def an_object(name: str, difficult: bool) -> str:
    part = "<part><name>hand</name></part>" if name == "person" else ""
    return f"<object><name>{name}</name><difficult>{int(difficult)}</difficult>{part}</object>" * 2


def write_captions(folder: Path) -> None:
    lines = [f"{image_path('train', name)} {caption}" for name, caption in CAPTIONS.items()]
    (folder / "voc_lt_captions.txt").write_text("\n".join(lines))


@pytest.fixture
def images(tmp_path, write_images) -> Path:
    """A folder with the images alone."""
    for split, labels in LABELS.items():
        write_images(tmp_path / "voc" / DEVKIT[split] / "JPEGImages", [f"{name}.jpg" for name in labels])
    return tmp_path / "voc"


@pytest.fixture
def listed(images) -> Path:
    """The folder of images and of the lists that have labels."""
    write_lists(images)
    return images


@pytest.fixture
def annotated(images) -> Path:
    """The folder of images, lists of ids and annotations."""
    write_annotations(images)
    return images


@pytest.mark.parametrize("form", ["listed", "annotated"])
def test_both_forms_of_the_lists_make_the_same_rows(form, request):
    dataset = load_lt("voc-lt", data_dir=request.getfixturevalue(form))
    assert {split: dict(zip(part["image_id"], part["labels"], strict=True)) for split, part in dataset.items()} == (
        LABELS
    )
    assert [list(part["image_id"]) for part in dataset.values()] == [list(LABELS["train"]), list(LABELS["test"])]


def test_columns(listed):
    for part in load_lt("voc-lt", data_dir=listed).values():
        assert part.column_names == ["image", "labels", "image_id"]
        assert part.features["image"] == datasets.Image()
        assert isinstance(part.features["labels"].feature, datasets.ClassLabel)


def test_classes_have_names_that_people_read(listed):
    names = load_lt("voc-lt", data_dir=listed)["test"].features["labels"].feature.names
    readable = {"diningtable": "dining table", "pottedplant": "potted plant", "tvmonitor": "tv monitor"}
    assert names == [readable.get(name, name) for name in CLASSES]


def test_images_are_read_when_they_are_used(listed):
    wanted = listed / image_path("train", "2008_000023")
    wanted.unlink()
    wanted.write_bytes(b"not an image")
    train = load_lt("voc-lt", data_dir=listed)["train"]
    stored = train.cast_column("image", datasets.Image(decode=False))["image"][0]
    assert (stored["path"], stored["bytes"]) == (str(wanted), None)
    assert train[1]["image"].size == (2, 2)


def test_a_relative_folder_is_read_from_anywhere(listed, monkeypatch, tmp_path):
    monkeypatch.chdir(listed)
    train = load_lt("voc-lt", data_dir=".")["train"]
    monkeypatch.chdir(tmp_path)
    assert train[0]["image"].size == (2, 2)


def test_difficult_objects_count_unless_they_are_left_out(annotated):
    kept = load_lt("voc-lt", data_dir=annotated)
    left_out = load_lt("voc-lt", data_dir=annotated, difficult="leave_out")
    assert list(kept["train"]["labels"]) == [[4, 14, 19], [6], [10, 14, 15]]
    assert list(left_out["train"]["labels"]) == [[4, 14], [], [10, 14, 15]]
    assert list(left_out["test"]["labels"]) == [[], [14, 15]]


def test_lists_with_labels_come_before_annotations_unless_difficult_objects_are_left_out(annotated):
    write_lists(annotated, {"train": LABELS["train"] | {"2008_000023": [4]}})
    assert load_lt("voc-lt", data_dir=annotated)["train"]["labels"][0] == [4]
    assert load_lt("voc-lt", data_dir=annotated, difficult="leave_out")["train"]["labels"][0] == [4, 14]


def test_a_list_cannot_tell_which_objects_are_difficult(listed):
    with pytest.raises(
        ValueError,
        match=r"voc_lt_train\.txt does not tell which objects of split 'train' .*: add img_id\.txt from appendix/",
    ):
        load_lt("voc-lt", data_dir=listed, difficult="leave_out")


def test_words_are_those_of_the_captions(listed):
    write_captions(listed)
    dataset = load_lt("voc-lt", data_dir=listed)
    assert list(dataset["train"]["words"]) == [
        ["bottle", "beer", "television"],
        ["black", "car"],
        ["man", "dining", "room"],
    ]
    assert list(dataset["test"]["words"]) == [[], []]


def test_captions_can_be_ignored_or_asked_for(listed):
    with pytest.raises(
        FileNotFoundError, match=r"no voc_lt_captions\.txt in .*Get it from data/voc of https://.*LMPT"
    ):
        load_lt("voc-lt", data_dir=listed, captions=True)
    write_captions(listed)
    assert "words" in load_lt("voc-lt", data_dir=listed, captions=True)["train"].column_names
    assert "words" not in load_lt("voc-lt", data_dir=listed, captions=False)["train"].column_names


def test_training_images_without_caption_are_named(listed):
    (listed / "voc_lt_captions.txt").write_text(f"{image_path('train', '2008_000023')} a bottle\n")
    with pytest.raises(ValueError, match="2 of 3 training samples have no words: '2010_002361', '2008_000028'"):
        load_lt("voc-lt", data_dir=listed)


@pytest.mark.parametrize(
    ("lists", "devkit"),
    [("", "data"), ("data/voc", "data/voc"), ("voc", ""), ("data/voc", "data"), ("", "voc")],
)
def test_lists_and_images_may_lie_as_repositories_lay_them_out(listed, tmp_path, lists, devkit):
    root = tmp_path / "root"
    for folder in (root / lists, root / devkit):
        folder.mkdir(parents=True, exist_ok=True)
    for file in listed.glob("*.txt"):
        shutil.move(file, root / lists / file.name)
    shutil.move(listed / "VOCdevkit", root / devkit / "VOCdevkit")
    assert load_lt("voc-lt", data_dir=root)["test"][0]["image"].size == (2, 2)


@pytest.mark.parametrize("place", ["appendix/VOCdevkit/longtail2012", "VOCdevkit/longtail2012", "longtail2012"])
def test_the_list_of_ids_may_lie_as_its_repository_lays_it_out(annotated, place):
    (annotated / place).mkdir(parents=True)
    shutil.move(annotated / "img_id.txt", annotated / place / "img_id.txt")
    assert list(load_lt("voc-lt", data_dir=annotated)["train"]["image_id"]) == list(LABELS["train"])


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("/etc/passwd 1", "the path of an image, VOCdevkit/VOC2012/JPEGImages/<name>.jpg, got '/etc/passwd'"),
        ("VOCdevkit/VOC2012/JPEGImages/../../../a.jpg 1", "the path of an image, .* got 'VOCdevkit"),
        ("VOCdevkit/VOC2012/JPEGImages/.. 1", "the path of an image, .*"),
        ("VOCdevkit/VOC2007/JPEGImages/000001.jpg 1", "the path of an image, VOCdevkit/VOC2012/.*"),
        ("VOCdevkit/VOC2012/JPEGImages/a.jpg 3 20", "class ids from 0 to 19 after the path, got '3 20'"),
        ("VOCdevkit/VOC2012/JPEGImages/a.jpg -1", "class ids from 0 to 19 after the path, got '-1'"),
        ("VOCdevkit/VOC2012/JPEGImages/a.jpg person", "class ids from 0 to 19 after the path, got 'person'"),
        ("VOCdevkit/VOC2012/JPEGImages/a.jpg 3 4 3", "each class once, got '3 4 3'"),
        ("VOCdevkit/VOC2012/JPEGImages/2008_000023.jpg 3", "each image once, but 'VOCdevkit.*' is there again"),
    ],
)
def test_a_wrong_line_is_named(listed, line, expected):
    file = listed / "voc_lt_train.txt"
    file.write_text(f"{file.read_text().splitlines()[0]}\n\n{line}\n")
    with pytest.raises(
        ValueError, match=rf"line 3 of .*{file.name} is not as published: expected {expected}.* from d"
    ):
        load_lt("voc-lt", data_dir=listed)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("../000001", r"an image id in plain text such as '2008_000023', got '\.\./000001'"),
        ("2008_000023 1", "an image id in plain text"),
        ("2008_000023", "each image once, but '2008_000023' is there again"),
    ],
)
def test_a_wrong_id_is_named(annotated, line, expected):
    (annotated / "img_id.txt").write_text(f"2008_000023\n{line}")
    with pytest.raises(ValueError, match=rf"line 2 of .*img_id\.txt is not as published: expected {expected}"):
        load_lt("voc-lt", data_dir=annotated)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<annotation><object>", r"cannot read .*2010_002361\.xml: .*\. Get it anew from VOCtrainval"),
        ("<html></html>", r"2010_002361\.xml is not as published: .* got a <html>"),
        (
            "<annotation><object><name>unicorn</name></object></annotation>",
            "objects of 20 classes, got a <annotation> with 'unicorn'",
        ),
    ],
)
def test_a_wrong_annotation_is_named(annotated, text, message):
    (annotated / DEVKIT["train"] / "Annotations" / "2010_002361.xml").write_text(text)
    with pytest.raises(ValueError, match=message):
        load_lt("voc-lt", data_dir=annotated)


@pytest.mark.parametrize(
    ("kind", "ending", "what"),
    [("JPEGImages", "jpg", "images of split 'train'"), ("Annotations", "xml", r"annotations of img_id\.txt")],
)
def test_missing_files_are_counted_and_named(annotated, kind, ending, what):
    for name in ("2008_000023", "2010_002361"):
        (annotated / DEVKIT["train"] / kind / f"{name}.{ending}").unlink()
    names = f"'2008_000023.{ending}', '2010_002361.{ending}'"
    with pytest.raises(
        FileNotFoundError, match=rf"2 of 3 {what} are not in .*{kind}: {names}\. Get them from VOCtrainval"
    ):
        load_lt("voc-lt", data_dir=annotated)


@pytest.mark.parametrize(
    ("remove", "message"),
    [
        ("VOCdevkit/VOC2012", r"no VOCdevkit/VOC2012/JPEGImages in .*Get VOCtrainval_11-May-2012\.tar \(http"),
        ("VOCdevkit/VOC2007", r"no VOCdevkit/VOC2007/JPEGImages in .*Get VOCtest_06-Nov-2007\.tar \(http"),
        ("voc_lt_train.txt", r"no voc_lt_train\.txt or .*img_id\.txt in .* or img_id\.txt from appendix/.* of https"),
        (
            "voc_lt_test.txt",
            r"no voc_lt_test\.txt or .*Main/test\.txt in .*Get voc_lt_test\.txt from data/voc of http",
        ),
    ],
)
def test_what_is_missing_is_named(listed, remove, message):
    shutil.rmtree(listed / remove) if (listed / remove).is_dir() else (listed / remove).unlink()
    with pytest.raises(FileNotFoundError, match=message):
        load_lt("voc-lt", data_dir=listed)


def test_an_image_in_both_splits(images, write_images):
    write_images(images / DEVKIT["test"] / "JPEGImages", ["2008_000023.jpg"])
    write_lists(images, LABELS | {"test": {"2008_000023": [4]}})
    with pytest.raises(ValueError, match="1 images are in split 'train' and in split 'test': '2008_000023'"):
        load_lt("voc-lt", data_dir=images)


def test_without_a_folder_the_error_says_what_to_get():
    with pytest.raises(FileNotFoundError, match=r"get VOCtrainval.* voc_lt_train\.txt .*as `data_dir`"):
        load_lt("voc-lt")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"difficult": "ignore"}, r"difficult must be one of \['positive', 'leave_out'\], got 'ignore'"),
        ({"captions": "yes"}, "captions must be True, False or None, got 'yes'"),
    ],
)
def test_an_unknown_choice(listed, options, message):
    with pytest.raises(ValueError, match=message):
        load_lt("voc-lt", data_dir=listed, **options)


def test_two_processes_make_the_same_rows(listed, tmp_path):
    builds = [
        load_lt("voc-lt", data_dir=listed, num_proc=num_proc, cache_dir=str(tmp_path / f"cache{num_proc}"))
        for num_proc in (1, 2)
    ]
    rows = [{split: part.remove_columns("image").to_dict() for split, part in build.items()} for build in builds]
    assert rows[0] == rows[1]


@pytest.mark.parametrize(
    "file",
    [
        "img_id.txt",
        "VOCdevkit/VOC2007/ImageSets/Main/test.txt",
        "VOCdevkit/VOC2012/Annotations/2010_002361.xml",
        "VOCdevkit/VOC2007/Annotations/000001.xml",
        "voc_lt_captions.txt",
    ],
)
def test_a_changed_file_has_a_cache_of_its_own(annotated, file):
    write_captions(annotated)
    before = VocLT(data_dir=annotated).cache_dir
    assert VocLT(data_dir=annotated).cache_dir == before
    os.utime(annotated / file, ns=(0, 0))
    assert VocLT(data_dir=annotated).cache_dir != before


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: os.utime(folder / "voc_lt_train.txt", ns=(0, 0)),
        lambda folder: os.utime(folder / "voc_lt_test.txt", ns=(0, 0)),
        write_captions,
        lambda folder: ((folder / "data").mkdir(), shutil.move(folder / "VOCdevkit", folder / "data")),
    ],
    ids=["train", "test", "captions", "images moved"],
)
def test_what_is_read_anew_after_a_change(listed, change: Callable[[Path], object]):
    before = VocLT(data_dir=listed).cache_dir
    change(listed)
    assert VocLT(data_dir=listed).cache_dir != before


def test_options_have_caches_of_their_own(annotated):
    write_captions(annotated)
    options = ({}, {"difficult": "leave_out"}, {"captions": False})
    assert len({VocLT(data_dir=annotated, **one).cache_dir for one in options}) == 3


# What the recorded sums of P(c | i) over the classes i say of some rare classes c: the images they share with others.
PARTNERS = {
    0: {6: 1, 14: 5},
    2: {3: 1, 6: 2, 8: 1, 14: 6},
    9: {7: 1, 14: 4},
    12: {6: 2, 8: 1, 14: 9},
    16: {14: 5},
    18: {14: 7},
}


def test_the_recorded_facts_are_reproduced(tmp_path, golden, write_images, labels_with_counts, cooccurring):
    facts = golden("dataset_facts_voc_coco_lt")["outputs"]["voc_lt"]
    counts = facts["class_freq"]
    given = [row for one, partners in PARTNERS.items() for row in cooccurring(one, counts[one], partners)]
    rows = {
        "train": labels_with_counts(counts, facts["num_train"], given),
        "test": labels_with_counts(facts["test_pos_per_class"], facts["test_images"]),
    }
    names = {"train": "2008_{:06}", "test": "{:06}"}
    labels = {split: {names[split].format(n): ids for n, ids in enumerate(rows[split])} for split in rows}
    for split, images in labels.items():
        write_images(tmp_path / DEVKIT[split] / "JPEGImages", [f"{name}.jpg" for name in images])
    write_lists(tmp_path, labels)

    dataset, spec = load_lt("voc-lt", data_dir=tmp_path), dataset_spec("voc-lt")
    stats = ClassStats.from_dataset(dataset["train"], head=spec.head, tail=spec.tail, boundaries=spec.boundaries)
    assert (stats.num_samples, stats.counts.tolist()) == (facts["num_train"], counts)
    for group in ("head", "medium", "tail"):
        assert np.flatnonzero(stats.groups == group).tolist() == facts[group]
    assert stats.counts.sum() / stats.num_samples == pytest.approx(facts["train_label_card"], rel=1e-8)
    sums = (stats.cooccurrence / stats.counts[:, None]).sum(axis=0)
    expected = np.array(facts["sum_cond_prob_per_class"])
    np.testing.assert_allclose(sums[list(PARTNERS)], expected[list(PARTNERS)], rtol=1e-8)
    test = ClassStats.from_dataset(dataset["test"])
    assert (test.num_samples, test.counts.tolist()) == (facts["test_images"], facts["test_pos_per_class"])
    assert sum(not ids for ids in dataset["test"]["labels"]) == facts["test_images_without_label"]


def test_voc_lt_is_registered():
    spec = dataset_spec("voc-lt")
    assert (spec.builder, spec.problem_type) == (VocLT, "multi_label_classification")
    assert (spec.head, spec.tail, spec.boundaries) == (100, 20, "multilabel")
    assert "voc_lt_train.txt" in spec.access


def test_a_folder_that_is_not_there_says_what_to_get(tmp_path):
    with pytest.raises(FileNotFoundError, match="PASCAL VOC 2012 and 2007"):
        load_lt("voc-lt", data_dir=tmp_path / "nowhere")
