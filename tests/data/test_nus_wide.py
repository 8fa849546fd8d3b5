from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from xmodal_lt.data import NusWide, bit_table, dataset_spec, load_lt
from xmodal_lt.metrics import frequency_groups


CONCEPTS = ["airport", "dining_table", "birds"]
TAGS = ["sky", "Dining-Table", "bird", "birds", "nature"]
# Path, concepts, tags. One of each part has no concept and one no tag.
ROWS = {
    "Train": [
        (r"actor\0001_2124494179.jpg", [0, 2], [0, 3, 4]),
        (r"zoo\0002_174174086.jpg", [], [0, 4]),
        (r"actor\0003_2538765853.jpg", [1], [1]),
        (r"zoo\0004_51234.jpg", [2], []),
        (r"zoo\0005_77.jpg", [0, 1, 2], [2]),
    ],
    "Test": [
        (r"zoo\0006_88.jpg", [], []),
        (r"actor\0007_99.jpg", [1, 2], [1, 2]),
    ],
}
LISTED = {"train": [ROWS["Train"][row] for row in (0, 2, 4)], "test": [ROWS["Test"][1]]}
LABELS, TRAIN_TAGS = "Groundtruth/TrainTestLabels/Labels_dining_table_Train.txt", "NUS_WID_Tags/Train_Tags1k.dat"


def image_id(path: str) -> str:
    return path.replace("\\", "/").removesuffix(".jpg")


def write(file: Path, lines: list[str], end: str = "\n") -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes("".join(f"{line}{end}" for line in lines).encode())


def overwrite(file: Path, number: int, line: str | None) -> None:
    """Replace, append, or with `None` take out a line."""
    lines = file.read_text().splitlines()
    lines[number - 1 : number] = [] if line is None else [line]
    write(file, lines)


def bits(ones: list[int], width: int) -> list[str]:
    return [str(int(column in ones)) for column in range(width)]


@pytest.fixture
def nus_wide(tmp_path, write_images) -> Path:
    """The folder in which the published archives and the images of the data set are unpacked."""
    root = tmp_path / "nus"
    write(root / "ConceptsList/Concepts81.txt", CONCEPTS, "\r\n")
    write(root / "NUS_WID_Tags/TagList1k.txt", TAGS, "\r\n")
    for part, rows in ROWS.items():
        write(root / f"ImageList/{part}Imagelist.txt", [path for path, _, _ in rows], "\r\n")
        for number, concept in enumerate(CONCEPTS):
            file = root / f"Groundtruth/TrainTestLabels/Labels_{concept}_{part}.txt"
            write(file, [str(int(number in concepts)) for _, concepts, _ in rows])
        tags = ["\t".join([*bits(tags, len(TAGS)), ""]) for _, _, tags in rows]
        write(root / f"NUS_WID_Tags/{part}_Tags1k.dat", tags)
    for path in (root / "Flickr" / f"{image_id(path)}.jpg" for rows in LISTED.values() for path, _, _ in rows):
        write_images(path.parent, [path.name])
    return root


def test_images_with_a_concept_and_a_tag_are_the_rows(nus_wide):
    dataset = load_lt("nus-wide", data_dir=nus_wide)
    assert list(dataset) == ["train", "test"]
    for split, part in dataset.items():
        assert part.column_names == ["image", "words", "labels", "image_id"]
        assert list(part["image_id"]) == [image_id(path) for path, _, _ in LISTED[split]]
        assert list(part["labels"]) == [concepts for _, concepts, _ in LISTED[split]]
        assert list(part["words"]) == [[TAGS[n] for n in tags] for _, _, tags in LISTED[split]]
        assert part.features["labels"].feature.names == ["airport", "dining table", "birds"]
        assert part[0]["image"].size == (2, 2)


def test_tags_that_are_concepts_are_dropped_on_request(nus_wide):
    dataset = load_lt("nus-wide", data_dir=nus_wide, drop_concept_tags=True, missing_words="keep")
    assert list(dataset["train"]["words"]) == [["sky", "nature"], [], ["bird"]]
    assert list(dataset["test"]["words"]) == [["bird"]]
    assert list(dataset["train"]["image_id"]) == [image_id(path) for path, _, _ in LISTED["train"]]


def test_a_training_image_left_without_words_needs_a_decision(nus_wide):
    with pytest.raises(
        ValueError, match=r"1 of 3 .* no words: 'actor/0003_2538765853'.*pass `missing_words=\"skip\"`"
    ):
        load_lt("nus-wide", data_dir=nus_wide, drop_concept_tags=True)


def test_missing_images_are_refused_or_left_out(nus_wide, caplog):
    (nus_wide / "Flickr/zoo/0005_77.jpg").unlink()
    message = r"1 of 3 images of split 'train' are not in .*Flickr: 'zoo/0005_77\.jpg'"
    with pytest.raises(FileNotFoundError, match=rf"{message}\. Get .*, or pass `missing_images=\"skip\"`"):
        load_lt("nus-wide", data_dir=nus_wide)
    dataset = load_lt("nus-wide", data_dir=nus_wide, missing_images="skip")
    assert list(dataset["train"]["image_id"]) == ["actor/0001_2124494179", "actor/0003_2538765853"]
    assert [record.message.count("1 of 3 images of split 'train'") for record in caplog.records] == [1]


def test_images_that_come_later_are_noticed(nus_wide):
    image = nus_wide / "Flickr/zoo/0005_77.jpg"
    image.rename(nus_wide / "kept.jpg")
    assert len(load_lt("nus-wide", data_dir=nus_wide, missing_images="skip")["train"]) == 2
    (nus_wide / "kept.jpg").rename(image)
    assert len(load_lt("nus-wide", data_dir=nus_wide, missing_images="skip")["train"]) == 3


def test_a_split_without_any_image_is_never_left_out(nus_wide):
    shutil.rmtree(nus_wide / "Flickr/actor")
    with pytest.raises(FileNotFoundError, match=r"1 of 1 images of split 'test' are not in .*Get the images from"):
        load_lt("nus-wide", data_dir=nus_wide, missing_images="skip")


@pytest.mark.parametrize(
    ("file", "number", "line", "expected"),
    [
        (LABELS, 3, "2", "0 or 1, got '2'"),
        (LABELS, 3, "-1", "0 or 1, got '-1'"),
        (LABELS, 2, "01", "0 or 1, got '01'"),
        (LABELS, 2, "0 1", "0 or 1, got 2 values"),
        (LABELS, 2, "", "0 or 1, got 0 values"),
        (LABELS, 5, None, r"5 lines, one for each image of TrainImagelist\.txt, got 4"),
        (LABELS, 6, "1", r"5 lines, one for each image of TrainImagelist\.txt, got 6"),
        (TRAIN_TAGS, 4, "0\t0\t0\t0\t", r"5 values of 0 or 1, one for each line of TagList1k\.txt, got 4 values"),
        (TRAIN_TAGS, 1, "0\t0\t0\t0\t1\t1\t", r"5 values of 0 or 1, .*TagList1k\.txt, got 6 values"),
        (TRAIN_TAGS, 5, "0\t0\t0\t10\t1\t", r"5 values of 0 or 1, .*TagList1k\.txt, got '10'"),
        (TRAIN_TAGS, 2, "0\t0\tx\t1\t1\t", r"5 values of 0 or 1, .*TagList1k\.txt, got 'x'"),
        (TRAIN_TAGS, 2, "0\t00\t1\t1\t", r"5 values of 0 or 1, .*TagList1k\.txt, got '00'"),
        (TRAIN_TAGS, 5, None, r"5 lines, one for each image of TrainImagelist\.txt, got 4"),
        ("ConceptsList/Concepts81.txt", 3, "airport", "each name once, but 'airport' is there again"),
        ("ConceptsList/Concepts81.txt", 3, "../birds", r"a name such as 'airport', got '\.\./birds'"),
        ("ImageList/TrainImagelist.txt", 3, r"..\0001_2.jpg", "the path of an image such as 'actor"),
        ("ImageList/TrainImagelist.txt", 3, r"actor\..\0001_2.jpg", "the path of an image such as 'actor"),
        ("ImageList/TrainImagelist.txt", 3, r"C:\actor\0001_2.jpg", "the path of an image such as 'actor"),
        ("ImageList/TrainImagelist.txt", 3, "/actor/0001_2.jpg", "the path of an image such as 'actor"),
        ("ImageList/TrainImagelist.txt", 3, "actor/0001_2124494179.jpg", "each image once, but 'actor/0001_2124"),
    ],
)
def test_a_wrong_line_is_named(nus_wide, file, number, line, expected):
    overwrite(nus_wide / file, number, line)
    name = Path(file).name.replace(".", r"\.")
    with pytest.raises(ValueError, match=rf"line {number} of .*{name} is not as published: expected {expected}"):
        load_lt("nus-wide", data_dir=nus_wide)


def test_a_list_of_fewer_tags_than_columns_is_named(nus_wide):
    overwrite(nus_wide / "NUS_WID_Tags/TagList1k.txt", 5, None)
    with pytest.raises(ValueError, match=r"line 1 of .*Train_Tags1k\.dat .* 4 values .*TagList1k\.txt, got 5 values"):
        load_lt("nus-wide", data_dir=nus_wide)


def test_a_list_without_any_image_to_keep_is_named(nus_wide):
    overwrite(nus_wide / "NUS_WID_Tags/Test_Tags1k.dat", 2, "0\t0\t0\t0\t0\t")
    with pytest.raises(ValueError, match=r"no image of .*TestImagelist\.txt has a concept and a tag"):
        load_lt("nus-wide", data_dir=nus_wide)


def test_an_image_in_both_lists_is_named(nus_wide):
    overwrite(nus_wide / "ImageList/TestImagelist.txt", 2, r"actor\0001_2124494179.jpg")
    with pytest.raises(
        ValueError, match=r"1 images are in split 'train' and in split 'test': 'actor/0001_2124494179'"
    ):
        load_lt("nus-wide", data_dir=nus_wide)


@pytest.mark.parametrize("size", [1, 7, 11, 26])
def test_a_file_is_read_in_pieces(nus_wide, monkeypatch, size):
    whole = [part.remove_columns("image").to_dict() for part in load_lt("nus-wide", data_dir=nus_wide).values()]
    monkeypatch.setattr(bit_table, "_BLOCK_BYTES", size)
    pieces = load_lt("nus-wide", data_dir=nus_wide, cache_dir=str(nus_wide / "cache"))
    assert [part.remove_columns("image").to_dict() for part in pieces.values()] == whole
    overwrite(nus_wide / TRAIN_TAGS, 4, "0\t0\t0\t0\t")
    with pytest.raises(ValueError, match=r"line 4 of .*Train_Tags1k\.dat"):
        load_lt("nus-wide", data_dir=nus_wide)


@pytest.mark.parametrize(
    "form", [lambda text: text.replace("\t\n", "\r\n"), lambda text: text.strip(), lambda text: text + "\n\r\n"]
)
def test_ends_of_lines_may_differ(nus_wide, form):
    file = nus_wide / TRAIN_TAGS
    file.write_bytes(form(file.read_text()).encode())
    words = load_lt("nus-wide", data_dir=nus_wide)["train"]["words"]
    assert list(words) == [[TAGS[n] for n in tags] for _, _, tags in LISTED["train"]]


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("ConceptsList/Concepts81.txt", "Concepts81.txt"),
        ("Groundtruth/TrainTestLabels", "TrainTestLabels"),
        ("ImageList", "NUS-WIDE/ImageList"),
        ("Flickr", "NUS-WIDE/Flickr"),
    ],
)
def test_files_may_lie_as_their_archives_are_unpacked(nus_wide, source, target):
    (nus_wide / target).parent.mkdir(exist_ok=True)
    shutil.move(nus_wide / source, nus_wide / target)
    assert load_lt("nus-wide", data_dir=nus_wide)["train"][0]["image"].size == (2, 2)


@pytest.mark.parametrize(
    ("remove", "message"),
    [
        ("Flickr", r"no Flickr in .*Get the images from their publisher \(https://github"),
        ("NUS_WID_Tags/Test_Tags1k.dat", r"no NUS_WID_Tags/Test_Tags1k\.dat or .*Get NUS_WID_Tags\.zip"),
        ("ImageList/TrainImagelist.txt", r"no ImageList/TrainImagelist\.txt or .*Get ImageList\.zip"),
        (
            LABELS,
            r"1 of 6 files of labels for Concepts81\.txt are not in .*: 'Labels_dining_table_Train\.txt'.*NUS-WIDE",
        ),
    ],
)
def test_what_is_missing_is_named(nus_wide, remove, message):
    shutil.rmtree(nus_wide / remove) if (nus_wide / remove).is_dir() else (nus_wide / remove).unlink()
    with pytest.raises(FileNotFoundError, match=message):
        load_lt("nus-wide", data_dir=nus_wide)


@pytest.mark.parametrize(
    "file",
    [LABELS, TRAIN_TAGS, "NUS_WID_Tags/TagList1k.txt", "ConceptsList/Concepts81.txt", "ImageList/TestImagelist.txt"],
)
def test_a_changed_file_has_a_cache_of_its_own(nus_wide, file):
    before = NusWide(data_dir=nus_wide).cache_dir
    assert NusWide(data_dir=nus_wide).cache_dir == before
    os.utime(nus_wide / file, ns=(0, 0))
    assert NusWide(data_dir=nus_wide).cache_dir != before


@pytest.mark.parametrize("options", [{"drop_concept_tags": "yes"}, {"missing_images": "keep"}])
def test_other_options_are_refused(nus_wide, options):
    with pytest.raises(ValueError, match=f"{next(iter(options))} must be"):
        load_lt("nus-wide", data_dir=nus_wide, **options)


def test_without_a_folder_the_error_says_what_to_get():
    with pytest.raises(FileNotFoundError, match=r"get NUS-WIDE\.zip and NUS_WID_Tags\.zip .*as `data_dir`"):
        load_lt("nus-wide")


def test_nus_wide_is_registered_with_the_groups_of_the_papers():
    """Head: more than 5,000 training images; tail: less than 2,000."""
    spec = dataset_spec("nus-wide")
    assert (spec.builder, spec.problem_type) == (NusWide, "multi_label_classification")
    groups = frequency_groups(np.array([5001, 5000, 2000, 1999]), spec.head, spec.tail, spec.boundaries)
    assert groups.tolist() == ["head", "medium", "medium", "tail"]
    assert "NUS_WID_Tags.zip" in spec.access
