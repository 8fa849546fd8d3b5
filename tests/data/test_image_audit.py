from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from xmodal_lt.data import load_lt
from xmodal_lt.data.image_audit import RepeatedInput, audit_inputs


@pytest.fixture
def photos(image_folder):
    """Four images of train and three of test, no two the same."""
    image_folder([{"label": label} for label in ("cat", "cat", "dog", "owl")])
    folder = image_folder([{"label": label} for label in ("cat", "dog", "owl")], split="test")
    for number in range(3):
        Image.new("RGB", (8, 8), (0, 100 + number, 0)).save(folder / "test" / f"{number}.png")
    return folder


def test_images_that_differ_are_read_without_a_finding(photos):
    audit = audit_inputs(load_lt(photos))
    assert (audit.num_read, audit.unreadable, audit.across_splits, audit.conflicting) == (7, [], [], [])


def test_an_unreadable_image_is_named_with_its_file_and_the_reason(photos):
    (photos / "train" / "1.png").write_text("no image")
    audit = audit_inputs(load_lt(photos))
    (bad,) = audit.unreadable
    assert (audit.num_read, bad.split, bad.path) == (6, "train", str(photos / "train" / "1.png"))
    assert "cannot identify image file" in bad.reason


def test_a_copy_with_other_metadata_is_found_in_another_split(photos):
    info = PngInfo()
    info.add_text("comment", "a copy")
    Image.open(photos / "train" / "2.png").save(photos / "test" / "0.png", pnginfo=info)
    dataset = load_lt(photos)
    ids = {split: dataset[split]["image_id"] for split in dataset}
    audit = audit_inputs(dataset)
    assert audit.across_splits == [
        RepeatedInput({"train": [ids["train"][2]], "test": [ids["test"][0]]}, labels=[["dog"]])
    ]
    assert audit.conflicting == []


def test_the_same_numbers_in_another_shape_are_another_picture(photos):
    Image.new("RGB", (4, 16), (2, 0, 0)).save(photos / "test" / "0.png")
    assert audit_inputs(load_lt(photos)).across_splits == []


@pytest.mark.parametrize(("labels", "conflicting"), [(("cat", "dog"), [[["cat"], ["dog"]]]), (("cat", "cat"), [])])
def test_the_same_picture_in_train_with_different_labels(image_folder, labels, conflicting):
    folder = image_folder([{"label": label} for label in labels])
    Image.open(folder / "train" / "0.png").save(folder / "train" / "1.png")
    audit = audit_inputs(load_lt(folder))
    assert [one.labels for one in audit.conflicting] == conflicting
    assert audit.across_splits == []


def test_the_order_of_several_labels_is_no_difference(image_folder):
    folder = image_folder([{"labels": ["cat", "dog"]}, {"labels": ["dog", "cat"]}])
    Image.open(folder / "train" / "0.png").save(folder / "train" / "1.png")
    assert audit_inputs(load_lt(folder)).conflicting == []


def test_two_processes_find_the_same(photos):
    (photos / "train" / "1.png").write_text("no image")
    Image.open(photos / "train" / "2.png").save(photos / "test" / "0.png")
    dataset = load_lt(photos)
    assert audit_inputs(dataset, num_proc=2) == audit_inputs(dataset)


def test_features_of_videos(write_features, numbered, tmp_path):
    features = write_features("videos", {"a": numbered(3), "b": numbered(3, base=9), "c": numbered(3)})
    rows = [("a", "music"), ("b", "sport"), ("c", "sport")]
    (features / "train.csv").write_text("features,label\n" + "\n".join(f"{name}.npy,{label}" for name, label in rows))
    np.save(features / "b.npy", np.full((2, 2), np.nan, dtype=np.float32))
    audit = audit_inputs(load_lt(features))
    (bad,), (same,) = audit.unreadable, audit.conflicting
    assert bad.path.endswith("b.npy") and "NaN" in bad.reason
    assert same.labels == [["music"], ["sport"]] and audit.num_read == 2
