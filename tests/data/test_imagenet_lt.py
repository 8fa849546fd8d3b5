from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import datasets
import pytest

from xmodal_lt.data import ImageNetLT, dataset_spec, load_lt


# Path and class of each image, in the order of the lists; no order of the classes.
ROWS = {
    "train": {
        "train/n01440764/n01440764_190.JPEG": 0,
        "train/n03126707/n03126707_7.JPEG": 2,
        "train/n02012849/n02012849_5.JPEG": 1,
        "train/n01440764/n01440764_31.JPEG": 0,
    },
    "val": {"train/n02012849/n02012849_9.JPEG": 1, "train/n01440764/n01440764_762.JPEG": 0},
    "test": {"val/n01440764/ILSVRC2012_val_00029930.JPEG": 0, "val/n03126707/ILSVRC2012_val_00000007.JPEG": 2},
}
WNIDS = ["n01440764", "n02012849", "n03126707"]
NAMES = "n01440764 0 tench\nn02012849 1 crane\nn03126707 2 crane\n"


def write_lists(folder: Path, rows: dict[str, dict[str, int]] = ROWS) -> None:
    for part, images in rows.items():
        lines = [f"{path} {class_id}\n" for path, class_id in images.items()]
        (folder / f"ImageNet_LT_{part}.txt").write_text("".join(lines))


def flatten(folder: Path) -> None:
    """Leaves the images of `val` as their archive unpacks."""
    for path in list((folder / "val").glob("*/*.JPEG")):
        shutil.move(path, folder / "val" / path.name)
        path.parent.rmdir()


@pytest.fixture
def listed(tmp_path, write_images) -> Path:
    """The folder of images and lists."""
    root = tmp_path / "imagenet"
    for path in (path for images in ROWS.values() for path in images):
        write_images((root / path).parent, [Path(path).name])
    write_lists(root)
    return root


def test_rows_and_columns(listed):
    dataset = load_lt("imagenet-lt", data_dir=listed)
    assert list(dataset) == ["train", "validation", "test"]
    for part, images in zip(dataset.values(), ROWS.values(), strict=True):
        assert part.column_names == ["image", "label", "image_id"]
        assert part.features["image"] == datasets.Image()
        assert dict(zip(part["image_id"], part["label"], strict=True)) == {
            path.removesuffix(".JPEG"): class_id for path, class_id in images.items()
        }
        assert [f"{image_id}.JPEG" for image_id in part["image_id"]] == list(images)


def test_images_are_read_when_they_are_used(listed, monkeypatch):
    (listed / "train/n01440764/n01440764_190.JPEG").unlink()
    monkeypatch.chdir(listed.parent)
    train = load_lt("imagenet-lt", data_dir="imagenet")["train"]
    stored = train.cast_column("image", datasets.Image(decode=False))["image"][0]
    assert stored == {"path": str(listed / "train/n01440764/n01440764_190.JPEG"), "bytes": None}
    assert train[1]["image"].size == (2, 2)


@pytest.mark.parametrize("part", ["val", "test"])
def test_the_recorded_first_lines_are_read(golden, listed, part):
    facts = golden("dataset_facts_single_label")["outputs"]["ImageNet_LT"][part]
    for repository in facts.values():
        (listed / f"ImageNet_LT_{part}.txt").write_text(repository["first_line"])
        first = load_lt("imagenet-lt", data_dir=listed)[{"val": "validation"}.get(part, part)][0]
        assert (f"{first['image_id']}.JPEG {first['label']}") == repository["first_line"]
        assert first["image"].size == (2, 2)


def test_classes_are_named_by_their_wnid_unless_there_is_a_file_of_names(listed):
    assert load_lt("imagenet-lt", data_dir=listed)["train"].features["label"].names == WNIDS
    (listed / "labels.txt").write_text("n02012849 1 great_white shark, Jaws\nn03126707 2 T-shirt\nn01440764 0 tench")
    names = load_lt("imagenet-lt", data_dir=listed)["test"].features["label"].names
    assert names == ["tench", "great white shark, Jaws", "T-shirt"]


def test_classes_of_the_same_name_are_told_apart(listed):
    (listed / "labels.txt").write_text(NAMES)
    names = load_lt("imagenet-lt", data_dir=listed)["train"].features["label"].names
    assert names == ["tench", "crane (n02012849)", "crane (n03126707)"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "1 crane\n",
            "crane\n",
            r"line 2 of .*labels\.txt is not as published: expected a line such as 'n01440764 0 ",
        ),
        ("1 crane\n", "0 crane\n", r"line 2 of .*: expected each class once, but class 0 is there again"),
        ("n03126707 2 crane\n", "", r"labels\.txt must name the 3 classes of train, 0 to 2, .* differs in class '2'"),
        ("n03126707 2 crane\n", "n03126707 3 crane\n", r"names 3, and differs in class '2', '3'"),
        ("n02012849 1", "n03126708 1", r"in another order than train: class 1 is 'n03126708', but 'n02012849' in"),
    ],
)
def test_a_wrong_file_of_names(listed, old, new, message):
    assert old in NAMES
    (listed / "labels.txt").write_text(NAMES.replace(old, new, 1))
    with pytest.raises(ValueError, match=message):
        load_lt("imagenet-lt", data_dir=listed)


def test_without_its_list_there_is_no_validation_split(listed):
    (listed / "ImageNet_LT_val.txt").unlink()
    assert list(load_lt("imagenet-lt", data_dir=listed)) == ["train", "test"]


def test_the_images_of_test_may_lie_without_folders(listed):
    flatten(listed)
    test = load_lt("imagenet-lt", data_dir=listed)["test"]
    assert test[0]["image"].size == (2, 2)
    assert test["image_id"][0] == "val/n01440764/ILSVRC2012_val_00029930"


@pytest.mark.parametrize("place", ["ImageNet_LT", "data/ImageNet_LT"])
def test_lists_may_lie_as_repositories_lay_them_out(listed, place):
    (listed / "labels.txt").write_text(NAMES)
    (listed / place).mkdir(parents=True)
    for file in listed.glob("*.txt"):
        shutil.move(file, listed / place / file.name)
    dataset = load_lt("imagenet-lt", data_dir=listed)
    assert (len(dataset), dataset["train"].features["label"].names[0]) == (3, "tench")


A_LINE = "the path of an image and a class id, such as 'train/n01440764/n01440764_762.JPEG 0', got "


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("/etc/n01440764/passwd.JPEG 0", f"{A_LINE}'/etc"),
        ("../train/n01440764/a.JPEG 0", A_LINE),
        ("train/../n01440764/a.JPEG 0", A_LINE),
        ("train/n01440764/../a.JPEG 0", A_LINE),
        ("train/n01440764/..JPEG 0", A_LINE),
        ("train\\n01440764\\a.JPEG 0", A_LINE),
        ("train/a.JPEG 0", A_LINE),
        ("train/n01440764/a.JPEG", A_LINE),
        ("train/n01440764/a.JPEG -1", A_LINE),
        ("train/n01440764/a.JPEG tench", A_LINE),
        ("train/n01440764/a.JPEG 0 1", A_LINE),
        ("train/n01440764/n01440764_190.JPEG 0", "each image once, but 'train/n01440764/n01440764_190.JPEG' is there"),
        (
            "train/n01440765/a.JPEG 0",
            "one class for each folder, class 0 in 'n01440764' as before, got class 0 in 'n01440765'",
        ),
        (
            "train/n01440764/a.JPEG 7",
            "one class for each folder, 'n01440764' with class 0 as before, got class 7 in 'n01440764'",
        ),
    ],
)
def test_a_wrong_line_is_named(listed, line, expected):
    file = listed / "ImageNet_LT_train.txt"
    file.write_text(f"{file.read_text().splitlines()[0]}\r\n\n{line}\n")
    with pytest.raises(
        ValueError, match=rf"line 3 of .*{file.name} is not as published: expected {expected}"
    ) as error:
        load_lt("imagenet-lt", data_dir=listed)
    assert str(error.value).endswith(
        "Get ImageNet_LT_train.txt anew from https://github.com/zhmiao/OpenLongTailRecognition-OLTR"
    )


@pytest.mark.parametrize(
    ("part", "line", "message"),
    [
        (
            "train",
            "train/n04000000/a.JPEG 5",
            r"train\.txt has images of 4 classes up to class 5, but none of class 3",
        ),
        ("test", "val/n04000000/a.JPEG 3", "1 classes of split 'test' are not as in 'train', .*: '3 in n04000000' of"),
        ("test", "val/n02012850/a.JPEG 1", "1 classes of split 'test' are not as in 'train', .*: '1 in n02012850' of"),
        (
            "val",
            "train/n01440764/n01440764_31.JPEG 0",
            "1 images are in split 'train' and in split 'validation': 'train/n01440764/n01440764_31'. Check which",
        ),
        (
            "val",
            "val/n01440764/ILSVRC2012_val_00029930.JPEG 0",
            "1 images are in split 'validation' and in split 'test': 'val/n01440764/ILSVRC2012_val_00029930'",
        ),
    ],
)
def test_lists_that_do_not_fit_together(listed, part, line, message):
    with (listed / f"ImageNet_LT_{part}.txt").open("a") as file:
        file.write(line)
    with pytest.raises(ValueError, match=message):
        load_lt("imagenet-lt", data_dir=listed)


@pytest.mark.parametrize(
    ("remove", "message"),
    [
        (
            "train",
            r"no train in .*Get ILSVRC2012_img_train\.tar .* from https://image-net\.org and unpack them as train/",
        ),
        (
            "train/n02012849",
            r"1 of 3 folders of images of split 'train' are not in .*: 'train/n02012849'\. Get ILSVRC",
        ),
        ("val", r"2 of 2 folders of images of split 'test' are not in .*imagenet: 'val/n01440764', 'val/n03126707'"),
        ("ImageNet_LT_train.txt", r"no ImageNet_LT_train\.txt in .*Get it from https://github\.com/zhmiao/Open"),
        ("ImageNet_LT_test.txt", r"no ImageNet_LT_test\.txt in .*Get it from https://github\.com/zhmiao/Open"),
    ],
)
def test_what_is_missing_is_named(listed, remove, message):
    shutil.rmtree(listed / remove) if (listed / remove).is_dir() else (listed / remove).unlink()
    with pytest.raises(FileNotFoundError, match=message):
        load_lt("imagenet-lt", data_dir=listed)


def test_without_a_folder_the_error_says_what_to_get(tmp_path):
    for folder in (None, tmp_path / "nowhere"):
        with pytest.raises(
            FileNotFoundError, match=r"ImageNet-LT is made .* ImageNet_LT_train\.txt, .* as `data_dir`"
        ):
            load_lt("imagenet-lt", data_dir=folder)


@pytest.mark.slow
def test_two_processes_make_the_same_rows(listed, tmp_path):
    builds = [
        load_lt("imagenet-lt", data_dir=listed, num_proc=num_proc, cache_dir=str(tmp_path / f"cache{num_proc}"))
        for num_proc in (1, 2)
    ]
    rows = [{split: part.remove_columns("image").to_dict() for split, part in build.items()} for build in builds]
    assert rows[0] == rows[1]


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: os.utime(folder / "ImageNet_LT_train.txt", ns=(0, 0)),
        lambda folder: (folder / "ImageNet_LT_val.txt").unlink(),
        lambda folder: (folder / "labels.txt").write_text(NAMES),
        flatten,
    ],
    ids=["list", "no validation", "names", "images moved"],
)
def test_what_is_read_anew_after_a_change(listed, change: Callable[[Path], object]):
    before = ImageNetLT(data_dir=listed).cache_dir
    assert ImageNetLT(data_dir=listed).cache_dir == before
    change(listed)
    assert ImageNetLT(data_dir=listed).cache_dir != before


def test_imagenet_lt_is_registered():
    spec = dataset_spec("imagenet-lt")
    assert (spec.builder, spec.problem_type) == (ImageNetLT, "single_label_classification")
    assert (spec.head, spec.tail, spec.boundaries) == (100, 20, "decoupling")
    assert "ImageNet_LT_train.txt" in spec.access
