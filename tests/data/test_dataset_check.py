from __future__ import annotations

import json

import pytest
from made_sets import made_set
from own_sets import COUNTS, FORMATS
from PIL import Image

from xmodal_lt.cli import main
from xmodal_lt.data import ClassStats, check_dataset, load_lt


def comparisons(report) -> dict:
    return {one.quantity: one for one in report.comparisons}


@pytest.fixture
def animals(image_folder):
    rows = [{"label": "cat", "words": ["fur", "tail"]}] * 3 + [{"label": "owl", "words": []}]
    return image_folder(rows)


@pytest.mark.parametrize("name", ["emoji-lt", "emoji-lt-multilabel"])
def test_a_data_set_that_is_as_published(name, emoji_cache, request):
    request.getfixturevalue(name.replace("-", "_"))
    report = check_dataset(name, read_inputs=False, cache_dir=emoji_cache)
    assert report.problems == []
    assert {one.verdict for one in report.comparisons if one.expected is not None} == {"ok"}


def test_a_number_that_differs_is_a_problem(write_images, tmp_path):
    for year, name in (("2012", "2008_000001"), ("2007", "000001")):
        folder = f"VOCdevkit/VOC{year}/JPEGImages"
        write_images(tmp_path / "voc" / folder, [f"{name}.jpg"])
        split = "train" if year == "2012" else "test"
        (tmp_path / "voc" / f"voc_lt_{split}.txt").write_text(f"{folder}/{name}.jpg 3 5")
    report = check_dataset("voc-lt", tmp_path / "voc", read_inputs=False)
    found = comparisons(report)
    assert (found["train"].found, found["train"].expected, found["train"].agrees) == (1, 1142, False)
    assert found["train"].source == "CPRFL paper, section 4.1"
    assert found["classes"].agrees is True
    assert "samples of train: expected 1,142, found 1" in report.problems
    # Classes without a sample make it infinite.
    assert "imbalance ratio: expected 193.75, found none" in report.problems


def test_numbers_that_an_option_changes_are_not_compared(emoji_lt, emoji_cache):
    report = check_dataset("emoji-lt", read_inputs=False, cache_dir=emoji_cache, styles=("twemoji",))
    found = comparisons(report)
    assert (found["train"].found, found["train"].expected) == (1319, None)
    assert found["train"].source == "not compared: depends on styles"
    assert found["classes"].agrees is True and report.problems == []


def test_other_thresholds_change_the_groups(emoji_lt, emoji_cache):
    report = check_dataset("emoji-lt", read_inputs=False, cache_dir=emoji_cache, head=50)
    found = comparisons(report)
    assert found["head"].found > 2 and found["head"].source == "not compared: depends on head"
    assert found["tail"].found == 55


def test_a_data_set_of_your_own(animals):
    report = check_dataset(animals)
    assert [(one.quantity, one.found) for one in report.comparisons] == [
        ("train", 4),
        ("classes", 2),
        ("head", 0),
        ("medium", 0),
        ("tail", 2),
        ("imbalance_ratio", 3),
        ("words", 2),
        ("words_per_image", 1.5),
    ]
    assert report.problems == [] and report.audit.num_read == 4
    assert report.findings == ["1 of 4 samples of train has no words"]


def test_what_cannot_be_read_is_a_problem_and_copies_are_a_finding(animals):
    (animals / "train" / "0.png").write_bytes(b"")
    Image.open(animals / "train" / "3.png").save(animals / "train" / "2.png")
    report = check_dataset(animals)
    (problem,) = report.problems
    assert problem.startswith("1 image or array of features cannot be read: 'train/0'. The first is ")
    assert f"{animals}/train/0.png: Cannot read the image" in problem
    assert "1 picture is in train several times, with different labels" in report.findings


def test_images_are_not_read_if_they_shall_not(animals):
    (animals / "train" / "0.png").write_bytes(b"")
    report = check_dataset(animals, read_inputs=False)
    assert report.audit is None and report.problems == []


def test_the_report_can_be_json(animals):
    (animals / "train" / "0.png").write_bytes(b"")
    values = json.loads(json.dumps(check_dataset(animals).to_dict(), allow_nan=False))
    assert values["frequencies"]["words"]["counts"] == {"fur": 3, "tail": 3}
    assert values["audit"]["unreadable"][0]["split"] == "train"
    assert values["thresholds"] == {"head": 100, "tail": 20, "boundaries": "decoupling"}


def test_only_samples_of_train_need_words_and_all_need_a_label(image_folder):
    image_folder([{"labels": ["cat"]}, {"labels": ["dog"]}])
    folder = image_folder([{"labels": [], "words": []}, {"labels": ["dog"]}], split="test")
    report = check_dataset(folder)
    assert report.frequencies.without_words == {"train": 0, "test": 1}
    assert "1 of 2 samples of test has no label" in report.findings
    assert not any("words" in finding for finding in report.findings)


def test_several_pictures_are_several(image_folder):
    folder = image_folder([{"label": label} for label in ("cat", "owl", "cat", "owl")])
    for first, second in ((0, 1), (2, 3)):
        (folder / "train" / f"{second}.png").write_bytes((folder / "train" / f"{first}.png").read_bytes())
    assert "2 pictures are in train several times, with different labels" in check_dataset(folder).findings


def test_labels_of_a_sample_and_imbalance_of_test(image_folder):
    image_folder([{"labels": ["cat"]}, {"labels": ["cat", "dog"]}])
    folder = image_folder([{"labels": ["cat"]}] * 3 + [{"labels": ["dog"]}] * 2, split="test")
    found = comparisons(check_dataset(folder, read_inputs=False))
    assert (found["labels_per_image"].found, found["test_imbalance_ratio"].found) == (1.5, 1.5)


def test_a_number_below_the_least_is_a_problem(tmp_path):
    with made_set("activitynet-captions", tmp_path / "official") as made:
        report = check_dataset("activitynet-captions", made.data_dir, read_inputs=False, **made.options)
    test = comparisons(report)["test"]
    assert (test.expected, test.at_least, test.agrees) == (4917, True, False)
    assert f"samples of test: expected at least 4,917, found {test.found}" in report.problems


def test_classes_are_counted_once(animals, monkeypatch):
    first = check_dataset(animals, read_inputs=False)
    monkeypatch.setattr(ClassStats, "from_dataset", None)
    assert (
        check_dataset(animals, read_inputs=False, head=2, tail=1).stats.counts.tolist() == first.stats.counts.tolist()
    )


@pytest.mark.parametrize("options", [{"streaming": True}, {"split": "train"}])
def test_a_part_of_a_data_set_cannot_be_checked(animals, options):
    with pytest.raises(ValueError, match=rf"{next(iter(options))}.*all rows of all splits are read"):
        check_dataset(animals, **options)


def run(*arguments: object) -> None:
    with pytest.raises(SystemExit) as end:
        main(["datasets", *map(str, arguments)])
    assert not end.value.code


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_is_checked_and_converted_by_the_command_line(name, tmp_path):
    root = tmp_path / name
    data = [FORMATS[name](root), "--option", f"file_dir={root}"]
    run("check", *data, "--output", tmp_path / "check")
    report = json.loads((tmp_path / "check" / "report.json").read_text())
    counts = report["frequencies"]["num_samples"]
    assert counts == {split: COUNTS[split] for split in counts} and report["audit"]["num_read"] == sum(counts.values())
    run("convert", *data, "--output", tmp_path / "out")
    assert load_lt(tmp_path / "out").num_rows == counts


@pytest.mark.parametrize("command", [["check", "--no-images"], ["convert", "--output", "out"]])
def test_what_was_saved_is_read_whatever_the_number_of_processes(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    saved = FORMATS["saved_to_disk"](tmp_path / "own")
    run(*command, saved, "--num-proc", 2, "--option", f"file_dir={tmp_path / 'own'}")
