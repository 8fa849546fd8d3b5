"""Every recipe that the package ships fits the package's models; no data and no network."""

import dataclasses
from pathlib import Path

import pytest
import torch

from xmodal_lt.data import list_datasets
from xmodal_lt.registry import get_method
from xmodal_lt.training import Grid, Recipe
from xmodal_lt.training.checks import check_stages


FOLDER = Path(__file__).parents[1] / "recipes"
# A name that starts with an underscore is a part that others extend; grids have a format of their own.
RECIPES = [
    str(path.relative_to(FOLDER))
    for path in sorted(FOLDER.rglob("*.yaml"))
    if path.parent.name != "grids" and not path.name.startswith("_")
]
GRIDS = [str(path.relative_to(FOLDER)) for path in sorted((FOLDER / "grids").glob("*.yaml"))]
PAPER_RECIPES = [name for name in RECIPES if name.endswith(("_nus_wide.yaml", "_vireofood_172.yaml"))]
ANNOUNCED_DATASETS = {"nus-wide", "vireofood-172"}  # their builders come in another release


def build_config(recipe: Recipe):
    # What a run takes from its data.
    settings = {"num_labels": 3, "class_counts": [30, 20, 10], "num_samples": 50, **recipe.model.config}
    if recipe.dataset.name == "nus-wide":
        settings["problem_type"] = "multi_label_classification"
    if recipe.dataset.max_words is not None:
        settings["vocab_size"] = recipe.dataset.max_words + 2  # [PAD] and [UNK]
    return get_method(recipe.model.type).config_class()(**settings)


def build_model(recipe: Recipe):
    with torch.device("meta"):
        return get_method(recipe.model.type).classifier_class()(build_config(recipe))


def test_the_recipes_are_found():
    assert "cmltnet_emoji_lt.yaml" in RECIPES
    assert len(PAPER_RECIPES) == 4


@pytest.mark.parametrize("name", RECIPES)
def test_config_fields_are_those_of_the_method(name):
    recipe = Recipe.load(FOLDER / name)
    known = {field.name for field in dataclasses.fields(get_method(recipe.model.type).config_class())}
    assert set(recipe.model.config) <= known


@pytest.mark.parametrize("name", RECIPES)
def test_config_holds_the_values_of_the_recipe(name):
    recipe = Recipe.load(FOLDER / name)
    config = build_config(recipe)
    assert {key: getattr(config, key) for key in recipe.model.config} == recipe.model.config


@pytest.mark.parametrize("name", RECIPES)
def test_stages_are_those_of_the_model_in_its_order(name):
    recipe = Recipe.load(FOLDER / name)
    stages = list(build_model(recipe).stages)
    assert [stage for stage in stages if stage in recipe.stages] == list(recipe.stages)


@pytest.mark.parametrize("name", [name for name in RECIPES if "cmltnet" in name or name.startswith("ablations")])
def test_the_branch_that_is_read_is_the_one_trained_last(name):
    recipe = Recipe.load(FOLDER / name)
    model = build_model(recipe)
    assert model.stages[list(recipe.stages)[-1]].readout == model.config.readout


@pytest.mark.parametrize("name", RECIPES)
def test_dataset_is_registered_or_announced(name):
    assert Recipe.load(FOLDER / name).dataset.name in ANNOUNCED_DATASETS.union(list_datasets())


@pytest.mark.parametrize("name", RECIPES)
def test_milestones_lie_within_the_stage(name):
    for stage in Recipe.load(FOLDER / name).stages.values():
        assert stage.scheduler != "step" or max(stage.milestones) < stage.epochs


def test_no_two_recipes_share_an_output_folder():
    folders = [Recipe.load(FOLDER / name).output_dir for name in RECIPES]
    assert len(set(folders)) == len(folders)


def test_one_stage_training_has_the_schedule_of_the_first_stage():
    one_stage = Recipe.load(FOLDER / "ablations" / "emoji_lt_one_stage.yaml").stages["joint"]
    assert one_stage == Recipe.load(FOLDER / "cmltnet_emoji_lt.yaml").stages["align"]


@pytest.mark.parametrize("name", PAPER_RECIPES)
def test_hyper_parameters_are_those_of_the_paper(name):
    """Section 4.2.2; the grids for what the paper does not fix."""
    recipe = Recipe.load(FOLDER / name)
    for stage in recipe.stages.values():
        assert (stage.optimizer, stage.batch_size, stage.epochs) == ("adam", 64, 13)
        assert (stage.scheduler, stage.milestones, stage.gamma) == ("step", [3, 7, 11], 0.1)
        assert 5e-5 <= stage.learning_rate <= 5e-3
        assert stage.weight_decay in (1e-3, 5e-4, 2e-4, 1e-4)
    for weight in ("alignment_weight", "transfer_weight"):
        assert recipe.model.config.get(weight, 1.0) in (0.1, 0.2, 0.5, 1.0, 1.5, 2.0)


@pytest.mark.parametrize(
    ("name", "words", "head", "tail"), [("nus_wide", 1000, 5000, 2000), ("vireofood_172", 353, 500, 300)]
)
def test_words_and_groups_are_those_of_the_paper(name, words, head, tail):
    """Sections 4.1 and 4.2.1; the baseline is scored on the same groups."""
    assert Recipe.load(FOLDER / f"cmltnet_{name}.yaml").dataset.max_words == words
    for method in ("baseline", "cmltnet"):
        dataset = Recipe.load(FOLDER / f"{method}_{name}.yaml").dataset
        assert (dataset.head_threshold, dataset.tail_threshold) == (head, tail)


def labels_for(model) -> list:
    multi_label = model.config.problem_type == "multi_label_classification"
    return [[0]] * 30 + [[0, 1]] * 10 + [[2]] if multi_label else [0, 0, 1, 2]


@pytest.mark.parametrize("name", RECIPES)
def test_losses_samplers_and_rebalancings_fit_the_model(name):
    recipe = Recipe.load(FOLDER / name)
    model = build_model(recipe)
    check_stages(recipe, model, labels_for(model), has_validation=True)


def test_the_grids_are_found():
    assert len(GRIDS) == 4


@pytest.mark.parametrize("name", GRIDS)
def test_every_cell_of_a_grid_can_be_run(name):
    cells = Grid.load(FOLDER / name).cells()
    assert len({cell.folder for cell in cells}) == len(cells)
    models = {}
    for cell in cells:
        if cell.seed == cells[0].seed:
            # The heavy part of a model is its backbone, which the cells of a row share.
            key = str((cell.recipe.model.config, cell.recipe.dataset.name))
            models[key] = models.get(key) or build_model(cell.recipe)
            check_stages(cell.recipe, models[key], labels_for(models[key]), has_validation=True)


@pytest.mark.parametrize("name", ["nus_wide", "vireofood_172"])
def test_visual_baselines_are_those_of_the_paper(name):
    """CMLTNet, table 2."""
    axes = Grid.load(FOLDER / "grids" / f"visual_baselines_{name}.yaml").axes
    backbones = ["ResNet-18", "ResNet-50", "ResNet-101", "VGG19-bn", "WRN-50-2", "ViT-B/16", "RepVGG-A2"]
    assert list(axes["backbone"]) == backbones
    first = "BCE" if name == "nus_wide" else "CE"
    assert list(axes["method"]) == [first, "Focal", "CB-resample", "CB-reweight", "LDAM-DRW"]
