import json
from pathlib import Path

import pytest

from xmodal_lt.training import Grid, grid_table, run_grid
from xmodal_lt.training.grid_table import mean_and_deviation


pytestmark = pytest.mark.usefixtures("blank_figures")

RECIPE = """
model: {{type: lt_classifier, config: {{backbone: test_resnet}}}}
dataset: {{path: "{data}", validation_fraction: 0}}
images: {{size: 32}}
stages:
  joint: {{epochs: 1, learning_rate: 0.001, batch_size: 16, milestones: []}}
output_dir: unset
"""
HEAD = """
extends: base.yaml
stages: {joint: null}
rebalance: {method: nearest_mean}
"""
GRID = """
base: base.yaml
output_dir: "{output}"
seeds: [0, 1]
axes:
  method:
    CE: {{}}
    Focal (1): {{overrides: [model.config.classification_loss=focal]}}
    NCM: {{recipe: head.yaml, checkpoint: CE}}
  flip:
    never: {{overrides: [images.horizontal_flip=0]}}
    often: {{}}
"""


def write_grid(folder: Path, data: Path) -> Path:
    (folder / "base.yaml").write_text(RECIPE.format(data=data))
    (folder / "head.yaml").write_text(HEAD)
    path = folder / "grid.yaml"
    path.write_text(GRID.format(output=folder / "out"))
    return path


@pytest.fixture
def grid_file(colour_data, tmp_path) -> Path:
    return write_grid(tmp_path, colour_data)


def test_cells_are_all_combinations_seed_by_seed(grid_file):
    cells = Grid.load(grid_file).cells()
    assert len(cells) == 2 * 3 * 2
    assert [cell.seed for cell in cells] == [0] * 6 + [1] * 6
    assert cells[0].values == ("CE", "never")
    assert str(cells[-1]) == "NCM, often, seed 1"
    assert len({cell.folder for cell in cells}) == 12


def test_a_cell_is_the_base_recipe_with_its_changes(grid_file, tmp_path):
    cell = next(c for c in Grid.load(grid_file, ["num_workers=1"]).cells() if c.values == ("Focal (1)", "never"))
    recipe = cell.recipe
    assert recipe.model.config == {"backbone": "test_resnet", "classification_loss": "focal"}
    assert (recipe.images.horizontal_flip, recipe.num_workers, recipe.seed, recipe.resume) == (0, 1, 0, True)
    assert Path(recipe.output_dir) == tmp_path / "out" / "Focal_1_" / "never" / "seed0"


def test_overrides_that_are_given_prevail_over_those_of_a_cell(grid_file):
    cells = Grid.load(grid_file, ["images.horizontal_flip=0.25"]).cells()
    assert {cell.recipe.images.horizontal_flip for cell in cells} == {0.25}


def test_a_cell_may_start_from_another_with_the_same_other_values(grid_file):
    cells = {(*cell.values, cell.seed): cell for cell in Grid.load(grid_file).cells()}
    recipe = cells["NCM", "often", 1].recipe
    assert recipe.rebalance.method == "nearest_mean"
    assert recipe.model.checkpoint == str(cells["CE", "often", 1].folder)


def test_only_picks_values_and_seeds(grid_file):
    cells = Grid.load(grid_file).cells(["method=CE", "method=NCM", "flip=often", "seed=1"])
    assert [str(cell) for cell in cells] == ["CE, often, seed 1", "NCM, often, seed 1"]


@pytest.mark.parametrize(
    ("only", "message"),
    [("loss=CE", r"no axis 'loss'; the axes are \['seed', 'method', 'flip'\]"), ("flip=x", "flip has no value 'x'")],
)
def test_only_names_what_there_is(grid_file, only, message):
    with pytest.raises(ValueError, match=message):
        Grid.load(grid_file).cells([only])


def test_seeds_and_folder_can_be_others(grid_file, tmp_path):
    cells = Grid.load(grid_file, seeds=[7], output_dir=tmp_path / "elsewhere").cells()
    assert {cell.seed for cell in cells} == {7}
    assert len(Grid.load(grid_file, seeds=[7, 7]).cells()) == 6
    assert all(cell.folder.is_relative_to(tmp_path / "elsewhere") for cell in cells)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("checkpoint: CE", "checkpoint: Focal", r"starts from 'Focal', which is no value before it"),
        ("axes:", "axis:", "is no grid: Key 'axis' not in 'Grid'"),
        ("seeds: [0, 1]", "overrides: [seed=3]", "seed= cannot be overridden in a grid"),
        ("images.horizontal_flip=0", "seed=3", "seed= cannot be overridden in a grid"),
        ("seeds: [0, 1]", "seeds: []", "needs at least one seed"),
        ("flip:\n", "seed:\n", "axes.seed has the name by which --only picks the grid's seeds"),
        ("images.horizontal_flip=0", '"stages={joint: null}"', "stages= cannot be overridden as a whole in a grid"),
        ("Focal (1):", "C E: {}\n    C_E:", "Two values of axes.method have the same folder name"),
        ("axes:", "- axes", "is no grid"),
        ("images.horizontal_flip=0", "images.flip=0", r"Cell CE, never of .*unknown key 'images.flip'"),
    ],
)
def test_bad_grids_are_named(grid_file, old, new, message):
    grid_file.write_text(grid_file.read_text().replace(old, new))
    with pytest.raises(ValueError, match=message):
        Grid.load(grid_file).cells()


def test_missing_grid_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="recipes/grids"):
        Grid.load(tmp_path / "none.yaml")


def test_grid_runs_what_is_open_and_reports_it_all(grid_file):
    only = ["flip=never", "method=CE", "method=NCM", "seed=0"]
    grid = Grid.load(grid_file)
    everything, cells = grid.cells(), grid.cells(only)
    assert grid_table(everything, list(grid.axes)) == "No cell is finished."
    assert [error for _, error in run_grid(cells)] == [None, None]
    written = {cell.folder: (cell.folder / "results.json").stat().st_mtime_ns for cell in cells}
    list(run_grid(grid.cells(only)))
    assert {folder: (folder / "results.json").stat().st_mtime_ns for folder in written} == written

    lines = grid_table(everything, list(grid.axes)).splitlines()
    assert lines[0] == "| method | flip | all | macro | head | medium | tail |"
    assert [line.split(" | ")[:2] for line in lines[2:]] == [
        ["| CE", "never (1 of 2 seeds)"],
        ["| NCM", "never (1 of 2 seeds)"],
    ]
    compared = grid_table(everything, list(grid.axes), reference=("CE", "never")).splitlines()
    assert compared[0].endswith("| macro - CE, never | tail - CE, never |")
    assert compared[2].endswith("|  |  |")
    ncm, ce = (
        json.loads((cell.folder / "results.json").read_text())["splits"]["test"]["macro_accuracy"]
        for cell in reversed(cells)
    )
    assert compared[3].split(" | ")[7] == f"{100 * (ncm - ce):+.1f}"
    results = json.loads((cells[0].folder / "results.json").read_text())["splits"]["test"]
    assert lines[2].split(" | ")[2] == f"{100 * results['accuracy']:.1f}"


def test_a_diverged_cell_does_not_stop_the_others(grid_file):
    diverging = "CE: {overrides: [stages.joint.learning_rate=1e30, stages.joint.optimizer=sgd]}"
    grid_file.write_text(grid_file.read_text().replace("CE: {}", diverging))
    cells = Grid.load(grid_file).cells(["flip=never", "seed=0"])
    first, second, third = (error for _, error in run_grid(cells))
    assert type(first).__name__ == "NonFiniteError"
    assert second is None
    assert "starts from the run in" in str(third)  # NCM, of the model that diverged
    assert [cell.is_finished for cell in cells] == [False, True, False]


def test_overrides_of_a_stage_are_for_the_cells_that_have_it(grid_file):
    cells = {cell.values[0]: cell for cell in Grid.load(grid_file, ["stages.joint.epochs=3"]).cells(["flip=never"])}
    assert cells["CE"].recipe.stages["joint"].epochs == 3
    assert cells["NCM"].recipe.stages == {}
    with pytest.raises(ValueError, match=r"stages.jiont.epochs=3: no cell has that stage; the stages are \['joint'\]"):
        Grid.load(grid_file, ["stages.jiont.epochs=3"]).cells()


STEPS = "stages.joint.epochs=3, stages.joint.learning_rate=0.5"
HEAD_STAGE = "'stages.head={epochs: 1, learning_rate: 0.1}'"


def _stages(grid_file, old, new):
    """The stages of every combination after a change of the grid's text, by method and flip."""
    grid_file.write_text(grid_file.read_text().replace(old, new))
    return {cell.values: cell.recipe.stages for cell in Grid.load(grid_file, seeds=[0]).cells()}


def test_overrides_of_the_grid_do_not_bring_back_a_stage(grid_file):
    stages = _stages(grid_file, "seeds:", f"overrides: [{STEPS}, 'stages[joint].gamma=0.2']\nseeds:")
    assert stages["CE", "never"]["joint"].epochs == 3
    assert stages["CE", "never"]["joint"].gamma == 0.2
    assert stages["NCM", "never"] == {}


def test_overrides_of_an_axis_do_not_bring_back_a_stage(grid_file):
    stages = _stages(grid_file, "images.horizontal_flip=0", STEPS)
    assert [stages["CE", flip]["joint"].epochs for flip in ("never", "often")] == [3, 1]
    assert stages["NCM", "never"] == {}


def test_a_value_may_add_a_stage_which_the_grid_overrides(grid_file):
    old, new = "checkpoint: CE}", f"checkpoint: CE, overrides: [{HEAD_STAGE}]}}"
    grid_file.write_text("overrides: [stages.head.weight_decay=0.25]\n" + grid_file.read_text())
    stages = _stages(grid_file, old, new)
    assert list(stages["CE", "never"]) == ["joint"]
    assert list(stages["NCM", "never"]) == ["head"]
    head = stages["NCM", "never"]["head"]
    assert (head.learning_rate, head.weight_decay) == (0.1, 0.25)


def test_a_value_may_take_a_stage_out(grid_file):
    (grid_file.parent / "head.yaml").write_text(HEAD.replace("stages: {joint: null}", ""))
    old, new = "checkpoint: CE}", "checkpoint: CE, overrides: [stages.joint=null]}"
    stages = _stages(grid_file, old, new)
    assert list(stages["CE", "often"]) == ["joint"]
    assert stages["NCM", "often"] == {}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seeds:", "overrides: [stages.jiont.epochs=3]\nseeds:", "stages.jiont.epochs=3: no cell has that stage; the"),
        ("seeds:", f"overrides: [{HEAD_STAGE}]\nseeds:", "no cell has that stage.*give it whole to a value"),
        (
            "checkpoint: CE}",
            "checkpoint: CE, overrides: [stages.joint.epochs=3]}",
            r"stages.joint.epochs=3: no cell of axes.method.NCM has that stage; the stages are \[\]",
        ),
        ("horizontal_flip=0", "horizontal_flip=0, stages.jiont=null", "jiont=null: no cell of axes.flip.never has"),
        ("checkpoint: CE}", "overrides: ['stages.head={epochs: 1}']}", "no value for 'stages.head.learning_rate'"),
    ],
)
def test_overrides_of_a_stage_that_come_to_nothing_are_named(grid_file, old, new, message):
    with pytest.raises(ValueError, match=message):
        _stages(grid_file, old, new)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.config.classification_loss=focall", "Cell Focal .*, never, seed 0: .*classification_loss: Unknown"),
        ("stages.joint.loss=focall", "stages.joint.loss: Unknown classification loss 'focall'; expected one of"),
        ("model.config.head=cosin", r"model.config: .*'head' expected one of \('linear', 'cosine'"),
    ],
)
def test_a_wrong_cell_is_named_before_the_first_one_runs(grid_file, override, message):
    grid_file.write_text(grid_file.read_text().replace("model.config.classification_loss=focal", override))
    cells = Grid.load(grid_file).cells()
    with pytest.raises(ValueError, match=message):
        next(run_grid(cells))
    assert not cells[0].folder.exists()


@pytest.fixture(scope="module")
def moved_grid(colour_data, tmp_path_factory) -> Path:
    """The file of a grid whose cells CE and NCM without flips ran for seed 0, in "out", and are now in "moved"."""
    folder = tmp_path_factory.mktemp("grid")
    file = write_grid(folder, colour_data)
    list(run_grid(Grid.load(file).cells(["flip=never", "method=CE", "method=NCM", "seed=0"])))
    (folder / "out").rename(folder / "moved")
    return file


def test_runs_of_other_settings_are_not_reported(moved_grid):
    only, folder = ["flip=never", "method=CE", "seed=0"], moved_grid.parent / "moved"
    assert [cell.is_finished for cell in Grid.load(moved_grid, output_dir=folder).cells(only)] == [True]
    other = Grid.load(moved_grid, ["images.size=40"], output_dir=folder)
    assert [cell.is_finished for cell in other.cells(only)] == [False]


def test_a_grid_may_move(moved_grid):
    moved = Grid.load(moved_grid, output_dir=moved_grid.parent / "moved")
    assert [cell.is_finished for cell in moved.cells(["flip=never", "seed=0"])] == [True, False, True]


def test_mean_and_deviation_in_percent():
    assert mean_and_deviation([0.4, 0.5]) == "45.0 ± 7.1"
    assert mean_and_deviation([0.4]) == "40.0"
    assert mean_and_deviation([0.01, 0.03], "+") == "+2.0 ± 1.4"
    assert mean_and_deviation([None]) == "-"
