import csv

import pytest

from xmodal_lt.metrics import classification_results, overall_scores, results_table, write_per_class_csv


COUNTS = [150, 8, 3]


@pytest.fixture
def single_label_results():
    scores = [[2.0, 0.1, 0.0], [0.3, 0.4, 0.0], [1.0, 0.0, 0.0]]
    return classification_results(
        scores, [0, 1, 1], COUNTS, problem_type="single_label_classification", class_names=["a, b", "c", "d"]
    )


@pytest.fixture
def multi_label_results():
    scores = [[2.0, 0.1, 0.0], [0.3, 0.4, 0.0]]
    return classification_results(scores, [[1, 0, 0], [0, 1, 1]], COUNTS, problem_type="multi_label_classification")


def cells(table):
    return [line.split() for line in table.splitlines()]


def test_table_has_a_row_for_each_group_with_counts_and_percent(single_label_results):
    assert cells(results_table(single_label_results)) == [
        ["classes", "train", "test", "micro", "%", "macro", "%"],
        ["all", "3", "161", "3", "66.7", "75.0"],
        ["head", "1", "150", "1", "100.0", "100.0"],
        ["medium", "0", "0", "0", "-", "-"],
        ["tail", "2", "11", "2", "50.0", "50.0"],
    ]


def test_table_of_multi_label_results_shows_map(multi_label_results):
    header, all_classes, *_ = cells(results_table(multi_label_results))
    assert header == ["classes", "train", "test", "mAP", "%"]
    assert all_classes == ["all", "3", "161", "3", "83.3"]


def test_table_of_several_runs_names_each(single_label_results):
    table = results_table({"cmltnet": single_label_results, "baseline": single_label_results})
    assert [line.split()[:2] for line in table.splitlines() if "all" in line] == [
        ["cmltnet", "all"],
        ["baseline", "all"],
    ]
    assert len(table.splitlines()) == 9


@pytest.mark.parametrize("results", [{}, {"accuracy": 0.5}, {"baseline": {"accuracy": 0.5}}])
def test_results_without_groups_are_refused(results):
    with pytest.raises(ValueError, match="expected what classification_results returns"):
        results_table(results)


def test_csv_holds_one_row_a_class_and_leaves_undefined_values_empty(single_label_results, tmp_path):
    path = tmp_path / "run" / "per_class.csv"
    write_per_class_csv(single_label_results, path)
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert rows[0] == {
        "class": "a, b",
        "id": "0",
        "group": "head",
        "train_count": "150",
        "test_count": "1",
        "accuracy": "1.0",
    }
    assert [row["accuracy"] for row in rows] == ["1.0", "0.5", ""]


def test_csv_that_fails_half_way_leaves_the_old_file(single_label_results, tmp_path):
    path = tmp_path / "per_class.csv"
    path.write_text("old")
    single_label_results["per_class"][2]["a column of its own"] = 1
    with pytest.raises(ValueError, match="a column of its own"):
        write_per_class_csv(single_label_results, path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_csv_of_results_without_classes_is_refused(tmp_path):
    with pytest.raises(ValueError, match='"per_class" list; got the keys'):
        write_per_class_csv({"accuracy": 0.5}, tmp_path / "per_class.csv")


def test_overall_scores_leave_out_what_is_not_defined(single_label_results):
    assert overall_scores(single_label_results) == "top-1 66.7, macro 75.0"  # of three classes there is no top 5


def test_overall_scores_of_multi_label_results(multi_label_results):
    # Five classes are predicted at 0.5, every one of them among the 3 best.
    expected = "mAP 83.3, P@1 100.0, R@1 75.0, CF1 66.7, OF1 66.7, CF1 top-3 66.7, OF1 top-3 66.7"
    assert overall_scores(multi_label_results) == expected
