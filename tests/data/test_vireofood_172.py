from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from xmodal_lt.data import VireoFood172, bit_table, dataset_spec, load_lt
from xmodal_lt.metrics import frequency_groups


DISHES = ["Braised Pork", "Mapo Tofu", "Fried rice"]
INGREDIENTS = ["Minced green onion", "Pork chunks", "Tofu", "Rice"]
# Ingredients of the images of each list.
ROWS = {
    "TR": {"1/0_0": [1], "3/1_2": [0, 3], "2/0_7": [0, 2], "1/1_5": [0, 1]},
    "VAL": {"3/0_1": [3]},
    "TE": {"2/2_2": [2], "1/0_9": []},
}
SPLITS = {"TR": "train", "VAL": "validation", "TE": "test"}
TABLE = "SplitAndIngreLabel/IngreLabel.txt"


def write(file: Path, lines: list[str]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(lines) + "\n")


def overwrite(file: Path, number: int, line: str) -> None:
    lines = file.read_text().splitlines()
    lines[number - 1 : number] = [line]
    write(file, lines)


def write_table(folder: Path, absent: str = "-1", lead: str = "/") -> None:
    """The ingredients of all images, in another order than the lists."""
    rows = {path: ones for images in ROWS.values() for path, ones in images.items()}
    write(
        folder / TABLE,
        [
            " ".join([f"{lead}{path}.jpg", *("1" if n in ones else absent for n in range(len(INGREDIENTS)))])
            for path, ones in reversed(rows.items())
        ],
    )


@pytest.fixture
def vireo(tmp_path, write_images) -> Path:
    """The folder in which the archives are unpacked."""
    root = tmp_path / "vireo"
    for name, images in ROWS.items():
        write(root / f"SplitAndIngreLabel/{name}.txt", [f"/{path}.jpg" for path in images])
        for path in images:
            folder, image = path.split("/")
            write_images(root / "ready_chinese_food" / folder, [f"{image}.jpg"])
    write(root / "SplitAndIngreLabel/FoodList.txt", DISHES)
    write(root / "SplitAndIngreLabel/IngredientList.txt", INGREDIENTS)
    write_table(root)
    return root


def assert_is_as_written(dataset) -> None:
    assert list(dataset) == ["train", "validation", "test"]
    for name, images in ROWS.items():
        part = dataset[SPLITS[name]]
        assert part.column_names == ["image", "words", "label", "image_id"]
        assert list(part["image_id"]) == list(images)
        assert list(part["label"]) == [int(path[0]) - 1 for path in images]
        assert list(part["words"]) == [[INGREDIENTS[n] for n in ones] for ones in images.values()]
        assert part.features["label"].names == DISHES
        assert part[0]["image"].size == (2, 2)


@pytest.mark.parametrize("absent", ["-1", "0"])
@pytest.mark.parametrize("lead", ["/", ""])
def test_both_forms_of_the_ingredients_make_the_same_rows(vireo, absent, lead):
    write_table(vireo, absent, lead)
    assert_is_as_written(load_lt("vireofood-172", data_dir=vireo))


def test_forms_that_published_code_allows_for(vireo):
    write(vireo / "SplitAndIngreLabel/TR.txt", [f"{path}.jpg\r" for path in ROWS["TR"]])
    write(vireo / "SplitAndIngreLabel/FoodList.txt", [f"{name};" for name in DISHES])
    table = vireo / TABLE
    table.write_text("\ufeff" + table.read_text().replace(".jpg ", ".jpg  ").replace("\n", " \r\n"))
    assert_is_as_written(load_lt("vireofood-172", data_dir=vireo))


def test_names_that_are_alike(vireo):
    overwrite(vireo / "SplitAndIngreLabel/FoodList.txt", 3, "Braised Pork")
    overwrite(vireo / "SplitAndIngreLabel/IngredientList.txt", 3, "Minced green onion")
    train = load_lt("vireofood-172", data_dir=vireo)["train"]
    assert train.features["label"].names == ["Braised Pork (1)", "Mapo Tofu", "Braised Pork (3)"]
    assert list(train["words"])[2] == ["Minced green onion"]  # which is two ingredients of that image


def test_an_empty_table_is_named(vireo):
    (vireo / TABLE).write_text("")
    with pytest.raises(
        ValueError, match=r"line 1 of .*IngreLabel\.txt is not as published: expected lines such as .* got none"
    ):
        load_lt("vireofood-172", data_dir=vireo)


def test_the_validation_split_can_be_left_out(vireo):
    assert list(load_lt("vireofood-172", data_dir=vireo, validation=False)) == ["train", "test"]
    (vireo / "SplitAndIngreLabel/VAL.txt").unlink()
    assert list(load_lt("vireofood-172", data_dir=vireo)) == ["train", "test"]
    with pytest.raises(
        FileNotFoundError, match=r"no SplitAndIngreLabel/VAL\.txt or VAL\.txt in .*Get VireoFood-172 by"
    ):
        load_lt("vireofood-172", data_dir=vireo, validation=True)


def test_missing_images_are_refused_or_left_out(vireo, caplog):
    shutil.rmtree(vireo / "ready_chinese_food/3")
    (vireo / "SplitAndIngreLabel/VAL.txt").unlink()
    message = r"1 of 4 images of split 'train' are not in .*ready_chinese_food: '3/1_2\.jpg'"
    with pytest.raises(FileNotFoundError, match=rf"{message}\. Get .*, or pass `missing_images=\"skip\"`"):
        load_lt("vireofood-172", data_dir=vireo)
    dataset = load_lt("vireofood-172", data_dir=vireo, missing_images="skip")
    assert list(dataset["train"]["image_id"]) == ["1/0_0", "2/0_7", "1/1_5"]
    assert list(dataset["train"]["words"])[1] == ["Minced green onion", "Tofu"]
    assert [record.message.count("1 of 4 images of split 'train'") for record in caplog.records] == [1]


@pytest.mark.parametrize(
    ("file", "number", "line", "expected"),
    [
        (TABLE, 3, "/3/0_1.jpg -1 -1 0 1", "1 for each .* and -1 for each other one, as on other lines, got 0"),
        (
            TABLE,
            3,
            "/3/0_1.jpg -1 -1 1",
            r"4 values of -1 or 1, one for each line of IngredientList\.txt, got 3 values",
        ),
        (TABLE, 3, "/3/0_1.jpg", r"4 values of -1 or 1, .*IngredientList\.txt, got 0 values"),
        (TABLE, 3, "/3/0_1.jpg -1 -1 2 1", r"4 values of -1 or 1, .*IngredientList\.txt, got '2'"),
        (TABLE, 3, "/3/0_1.jpg -1 -1 -11", r"4 values of -1 or 1, .*IngredientList\.txt, got '-11'"),
        (TABLE, 3, "/3/../0_1.jpg -1 -1 -1 1", "the path of an image such as '/3/1_2.jpg' and its ingredients"),
        (TABLE, 3, "", "the path of an image such as '/3/1_2.jpg' and its ingredients, got ''"),
        (TABLE, 3, "/2/2_2.jpg -1 -1 1 -1", "each image once, but '/2/2_2.jpg' is there again"),
        ("SplitAndIngreLabel/TR.txt", 2, "/../1_2.jpg", r"the path of an image such as '/3/1_2\.jpg', got '/\.\./1_"),
        ("SplitAndIngreLabel/TR.txt", 2, "//3/1_2.jpg", "the path of an image"),
        ("SplitAndIngreLabel/TR.txt", 2, "C:/3/1_2.jpg", "the path of an image"),
        ("SplitAndIngreLabel/TR.txt", 2, "/4/1_2.jpg", r"a folder from 1 to 3, the dishes of FoodList\.txt, got '/4/"),
        ("SplitAndIngreLabel/TR.txt", 2, "/0/1_2.jpg", "the path of an image"),
        ("SplitAndIngreLabel/TR.txt", 2, "1/0_0.jpg", "each image once, but '1/0_0.jpg' is there again"),
    ],
)
def test_a_wrong_line_is_named(vireo, file, number, line, expected):
    overwrite(vireo / file, number, line)
    name = Path(file).name.replace(".", r"\.")
    with pytest.raises(ValueError, match=rf"line {number} of .*{name} is not as published: expected {expected}"):
        load_lt("vireofood-172", data_dir=vireo)


@pytest.mark.parametrize("size", [1, 40, 64])
@pytest.mark.parametrize(("absent", "other"), [("-1", "0"), ("0", "-1")])
def test_a_file_is_read_in_pieces(vireo, monkeypatch, size, absent, other):
    monkeypatch.setattr(bit_table, "_BLOCK_BYTES", size)
    write_table(vireo, absent)
    assert_is_as_written(load_lt("vireofood-172", data_dir=vireo))
    overwrite(vireo / TABLE, 6, f"/3/1_2.jpg 1 {other} {other} 1")
    with pytest.raises(
        ValueError, match=rf"line 6 of .* and {absent} for each other one, as on other lines, got {other}"
    ):
        load_lt("vireofood-172", data_dir=vireo)


def test_an_image_without_ingredients_in_the_table_is_named(vireo):
    overwrite(vireo / "SplitAndIngreLabel/TR.txt", 2, "/3/9_9.jpg")
    with pytest.raises(ValueError, match=r"1 of 4 images of .*TR\.txt are not in .*IngreLabel\.txt: '3/9_9\.jpg'"):
        load_lt("vireofood-172", data_dir=vireo)


@pytest.mark.parametrize("place", ["VireoFood172", "."])
def test_files_may_lie_elsewhere(vireo, place):
    (vireo / place).mkdir(exist_ok=True)
    for file in (vireo / "SplitAndIngreLabel").iterdir():
        shutil.move(file, vireo / place / file.name)
    assert_is_as_written(load_lt("vireofood-172", data_dir=vireo))


@pytest.mark.parametrize(
    "remove", ["ready_chinese_food", *(f"SplitAndIngreLabel/{name}.txt" for name in ("TR", "TE"))]
)
def test_what_is_missing_is_named(vireo, remove):
    (vireo / remove).rename(vireo / "elsewhere")
    with pytest.raises(FileNotFoundError, match=rf"no {remove} .*Get VireoFood-172 by the form at https://fvl"):
        load_lt("vireofood-172", data_dir=vireo)


@pytest.mark.parametrize("name", ["TR", "VAL", "IngreLabel", "FoodList", "IngredientList"])
def test_a_changed_file_has_a_cache_of_its_own(vireo, name):
    before = VireoFood172(data_dir=vireo).cache_dir
    assert VireoFood172(data_dir=vireo).cache_dir == before
    os.utime(vireo / f"SplitAndIngreLabel/{name}.txt", ns=(0, 0))
    assert VireoFood172(data_dir=vireo).cache_dir != before


def test_another_validation_option_is_refused(vireo):
    with pytest.raises(ValueError, match="validation must be True, False or None, got 'yes'"):
        load_lt("vireofood-172", data_dir=vireo, validation="yes")


def test_without_a_folder_the_error_says_what_to_get():
    with pytest.raises(FileNotFoundError, match=r"form at https://fvl.*SplitAndIngreLabel .*as `data_dir`"):
        load_lt("vireofood-172")


def test_vireofood_172_is_registered_with_the_groups_of_the_papers():
    """Head: more than 500 training images; tail: less than 300."""
    spec = dataset_spec("vireofood-172")
    assert (spec.builder, spec.problem_type) == (VireoFood172, "single_label_classification")
    groups = frequency_groups(np.array([501, 500, 300, 299]), spec.head, spec.tail, spec.boundaries)
    assert groups.tolist() == ["head", "medium", "medium", "tail"]
    assert "SplitAndIngreLabel" in spec.access
