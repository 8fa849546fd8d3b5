"""Columns of a grid's table, on the finished run of `crif_run`."""

import json

import numpy as np
import pytest

from xmodal_lt.data import ClassStats, load_lt
from xmodal_lt.training import Grid, Recipe, grid_table
from xmodal_lt.training.evaluation import evaluate_scores
from xmodal_lt.training.grid import Cell
from xmodal_lt.training.grid_table import column_scores


COLUMNS = {
    "Top-1": "accuracy",
    "tail classes": "tail",
    "V": "aligned.accuracy",
    "V, head": "aligned.head",
    "S": "semantic.macro_accuracy",
    "V+S": "visual_semantic.medium",
}


@pytest.fixture(scope="module")
def cell(crif_run) -> Cell:
    return Cell(("clip, CORAL",), 0, Recipe.load(crif_run / "recipe.yaml"))


@pytest.fixture(scope="module")
def values(crif_run) -> dict:
    return json.loads((crif_run / "results.json").read_text())


def cells_of(line: str) -> list[str]:
    return line.strip("| ").split(" | ")


@pytest.mark.parametrize("split", ["validation", "test"])
def test_columns_hold_what_they_name_in_the_results(values, split):
    own = values["splits"][split]
    aligned = values["branches"][split]["aligned"]
    privileged = values["privileged_branches"][split]
    assert column_scores(values, split, COLUMNS) == {
        "Top-1": own["accuracy"],
        "tail classes": own["groups"]["tail"]["macro"],
        "V": aligned["accuracy"],
        "V, head": aligned["groups"]["head"]["macro"],
        "S": privileged["semantic"]["macro_accuracy"],
        "V+S": privileged["visual_semantic"]["groups"]["medium"]["macro"],
    }


def test_a_table_of_columns_has_their_headers_and_their_scores_in_percent(cell, values):
    table = grid_table([cell], ["alignment"], columns=COLUMNS).splitlines()
    scores = column_scores(values, "test", COLUMNS)
    assert cells_of(table[0]) == ["alignment", *COLUMNS]
    assert cells_of(table[1]) == ["---"] * 7
    assert cells_of(table[2]) == ["clip, CORAL", *(f"{100 * score:.1f}" for score in scores.values())]
    assert len(table) == 3


def test_without_columns_the_table_is_that_of_the_groups(cell, values):
    table = grid_table([cell], ["alignment"], columns={})
    assert table == grid_table([cell], ["alignment"])
    lines = [cells_of(line) for line in table.splitlines()]
    assert lines[0] == ["alignment", "all", "macro", "head", "medium", "tail"]
    test = values["splits"]["test"]
    groups = [test["groups"][group]["macro"] for group in ("head", "medium", "tail")]
    assert lines[2][1:] == [f"{100 * score:.1f}" for score in (test["accuracy"], test["macro_accuracy"], *groups)]


def test_columns_of_several_labels_are_mean_average_precisions(colour_data):
    stats = ClassStats.from_dataset(load_lt(colour_data)["train"], head=10, tail=9)
    rng = np.random.default_rng(0)
    results = evaluate_scores(
        rng.normal(size=(20, 4)), np.eye(4)[rng.integers(0, 4, 20)], stats, "multi_label_classification"
    )
    values = {"splits": {"test": results}, "branches": {"test": {"fused": results}}}
    assert column_scores(values, "test", {"all": "map", "rare": "tail", "none": "fused.medium"}) == {
        "all": results["map"],
        "rare": results["groups"]["tail"]["map"],
        "none": None,
    }


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (
            "alligned.accuracy",
            r"columns\.V=alligned\.accuracy: the run has no branch 'alligned', only \['aligned', 'inf",
        ),
        ("aligned.acc", r"columns\.V=aligned\.acc: there is no score 'acc', only \['accuracy', .*'tail'\]"),
        ("per_class", r"columns\.V=per_class: there is no score 'per_class', only"),
        ("aligned.map", r"columns\.V=aligned\.map: there is no score 'map', only"),
    ],
)
def test_unknown_branches_and_scores_are_named(cell, path, message):
    with pytest.raises(ValueError, match=message):
        grid_table([cell], ["alignment"], columns={"V": path})


def test_a_run_without_words_has_no_branch_of_true_words(values):
    without = {key: value for key, value in values.items() if key != "privileged_branches"}
    with pytest.raises(ValueError, match=r"no branch 'semantic', only \['aligned', 'inferred', 'fused'\]"):
        column_scores(without, "test", {"S": "semantic.accuracy"})


def test_columns_are_read_from_the_grid(tmp_path):
    file = tmp_path / "grid.yaml"
    file.write_text("{base: base.yaml, output_dir: out, axes: {loss: {CE: {}}}, columns: {V: aligned.accuracy}}")
    assert Grid.load(file).columns == {"V": "aligned.accuracy"}
    file.write_text("{base: base.yaml, output_dir: out, axes: {loss: {CE: {}}}}")
    assert Grid.load(file).columns == {}


def test_columns_of_another_form_are_refused(tmp_path):
    file = tmp_path / "grid.yaml"
    file.write_text("{base: base.yaml, output_dir: out, axes: {loss: {CE: {}}}, columns: [aligned.accuracy]}")
    with pytest.raises(ValueError, match="is no grid"):
        Grid.load(file)
