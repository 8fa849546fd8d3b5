from __future__ import annotations

import pytest

from xmodal_lt.data import list_datasets
from xmodal_lt.data.dataset_list import describe_datasets, group_rules
from xmodal_lt.metrics.groups import frequency_groups


def test_all_data_sets_are_described():
    described = {one["name"]: one for one in describe_datasets()}
    assert list(described) == list_datasets()
    assert described["nus-wide"]["groups"] == {"head": "> 5000", "medium": "2000 to 5000", "tail": "< 2000"}
    assert described["coco-lt"]["facts"]["train"] == {
        "value": 1909,
        "source": "CPRFL paper, section 4.1",
        "at_least": False,
    }
    assert "missing" not in described["voc-lt"]


def test_files_are_looked_for_in_the_folder_of_the_name_or_else_in_the_folder_itself(tmp_path):
    (tmp_path / "places-lt" / "train").mkdir(parents=True)
    (tmp_path / "ImageNet_LT_train.txt").touch()
    places, imagenet = describe_datasets(["places-lt", "imagenet-lt"], tmp_path)
    needed = [[file["names"] for file in one["missing"] if not file["optional"]] for one in (places, imagenet)]
    assert needed == [["Places_LT_train.txt", "Places_LT_test.txt"], ["train", "ImageNet_LT_test.txt"]]


def test_a_folder_that_does_not_exist(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no folder .*nowhere"):
        describe_datasets(data_dir=tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("boundaries", "rules"),
    [
        ("decoupling", {"head": "> 100", "medium": "20 to 100", "tail": "< 20"}),
        ("vl_ltr", {"head": ">= 100", "medium": "21 to 99", "tail": "<= 20"}),
        ("multilabel", {"head": ">= 100", "medium": "20 to 99", "tail": "< 20"}),
    ],
)
def test_rules_say_what_the_groups_are(boundaries, rules):
    assert group_rules(100, 20, boundaries) == rules
    low, high = map(int, rules["medium"].split(" to "))
    groups = frequency_groups([high + 1, high, low, low - 1], 100, 20, boundaries)
    assert groups.tolist() == ["head", "medium", "medium", "tail"]
