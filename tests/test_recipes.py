"""Every recipe that the package ships fits the package's models; no data and no network."""

import dataclasses
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from xmodal_lt.data import dataset_spec, list_datasets
from xmodal_lt.metrics import classification_results
from xmodal_lt.modeling.crif_stages import PRIVILEGED_FUSIONS
from xmodal_lt.registry import get_method
from xmodal_lt.training import Grid, Recipe
from xmodal_lt.training.checks import check_stages, encoder_is_frozen
from xmodal_lt.training.grid import Cell
from xmodal_lt.training.grid_table import column_scores


FOLDER = Path(__file__).parents[1] / "recipes"
# A name that starts with an underscore is a part that others extend; grids have a format of their own.
RECIPES = [
    str(path.relative_to(FOLDER))
    for path in sorted(FOLDER.rglob("*.yaml"))
    if path.parent.name != "grids" and not path.name.startswith("_")
]
GRIDS = [str(path.relative_to(FOLDER)) for path in sorted((FOLDER / "grids").glob("*.yaml"))]
# Of CMLTNet's paper with its baselines, and of CRIF's, which has baselines of its own on videos.
PAPER_RECIPES = [
    f"{method}_{name}.yaml" for method in ("baseline", "cmltnet") for name in ("nus_wide", "vireofood_172")
]
CRIF_IMAGE_RECIPES = ["crif_nus_wide.yaml", "crif_vireofood_172.yaml"]
CRIF_VIDEO_RECIPES = [
    f"{method}_{name}.yaml" for method in ("baseline", "crif") for name in ("msr_vtt", "activitynet_captions")
]
# Widths of S3D features, and of those that are privileged: of speech to text, and of VGGish (CRIF, section IV-C1).
FEATURE_WIDTHS = {"msr-vtt": (1024, 768), "activitynet-captions": (1024, 128)}

# The text encoder of CLIP's ViT-B/16, in few layers.
CLIP_TEXT = {"hidden_size": 512, "num_attention_heads": 8, "num_hidden_layers": 1, "projection_dim": 512}


@cache
def cells_of(grid: str) -> list[Cell]:
    """The cells with the grid's first seed; read them, change nothing."""
    cells = Grid.load(FOLDER / grid).cells()
    return [cell for cell in cells if cell.seed == cells[0].seed]


def build_config(recipe: Recipe):
    # What a run takes from its data.
    settings = {"num_labels": 3, "class_counts": [30, 20, 10], "num_samples": 50, **recipe.model.config}
    settings["problem_type"] = problem_type_of(recipe)
    if recipe.model.type == "cprfl":  # of which nothing is read
        settings["semantic_size"] = CLIP_TEXT["projection_dim"]
        if settings.get("clip_text", "cached") != "cached":
            settings["clip_text_config"] = CLIP_TEXT
    if recipe.model.type == "vl_ltr":
        settings["text_backbone_config"] = text_backbone_of(settings["text_backbone"])
    if recipe.dataset.max_words is not None:
        settings["vocab_size"] = recipe.dataset.max_words + 2  # [PAD] and [UNK]
    if recipe.dataset.name in FEATURE_WIDTHS:
        width, privileged_width = FEATURE_WIDTHS[recipe.dataset.name]
        settings["backbone_kwargs"] = {"input_size": width, **settings["backbone_kwargs"]}
        if settings.get("privileged_encoder") is not None:
            given = settings["privileged_encoder_kwargs"]
            settings["privileged_encoder_kwargs"] = {"input_size": privileged_width, **given}
    return get_method(recipe.model.type).config_class()(**settings)


def text_backbone_of(name: str) -> dict:
    """In few layers, as `CLIP_TEXT`."""
    kind, sizes = name.partition(":")[0], {"hidden_size": 384, "num_attention_heads": 12, "num_hidden_layers": 1}
    config = {**CLIP_TEXT, "max_position_embeddings": 77} if kind == "clip" else {"model_type": "bert", **sizes}
    pooling = None if kind == "clip" else "mean"
    return {"kind": kind, "config": config, "pooling": pooling, "normalize": kind != "clip", "max_tokens": 77}


def problem_type_of(recipe: Recipe) -> str:
    return dataset_spec(recipe.dataset.name).problem_type


def build_model(recipe: Recipe):
    with torch.device("meta"):
        return get_method(recipe.model.type).classifier_class()(build_config(recipe))


def test_the_recipes_are_found():
    assert {"cmltnet_emoji_lt.yaml", "crif_emoji_lt.yaml"} <= set(RECIPES)
    assert {*PAPER_RECIPES, *CRIF_IMAGE_RECIPES, *CRIF_VIDEO_RECIPES} <= set(RECIPES)


@pytest.mark.parametrize("name", RECIPES)
def test_config_fields_are_those_of_the_method(name):
    recipe = Recipe.load(FOLDER / name)
    known = {field.name for field in dataclasses.fields(get_method(recipe.model.type).config_class())}
    assert set(recipe.model.config) <= known


@pytest.mark.parametrize("name", RECIPES)
def test_config_holds_the_values_of_the_recipe(name):
    recipe = Recipe.load(FOLDER / name)
    config = build_config(recipe)
    for key, value in recipe.model.config.items():
        found = getattr(config, key)
        # Widths of features come from the data, and stand beside what the recipe says.
        assert {name: found[name] for name in value} == value if isinstance(value, dict) else found == value


@pytest.mark.parametrize("name", RECIPES)
def test_stages_are_those_of_the_model_in_its_order(name):
    recipe = Recipe.load(FOLDER / name)
    stages = list(build_model(recipe).stages)
    assert [stage for stage in stages if stage in recipe.stages] == list(recipe.stages)


@pytest.mark.parametrize("name", [name for name in RECIPES if name.startswith(("ablations", "cmltnet", "crif"))])
def test_the_branch_that_is_read_is_the_one_trained_last(name):
    recipe = Recipe.load(FOLDER / name)
    model = build_model(recipe)
    assert model.stages[list(recipe.stages)[-1]].readout == model.config.readout


@pytest.mark.parametrize("name", RECIPES)
def test_dataset_is_registered(name):
    assert Recipe.load(FOLDER / name).dataset.name in list_datasets()


@pytest.mark.parametrize("name", RECIPES)
def test_milestones_lie_within_the_stage(name):
    for stage in Recipe.load(FOLDER / name).stages.values():
        assert stage.scheduler != "step" or max(stage.milestones) < stage.epochs


def test_no_two_recipes_share_an_output_folder():
    folders = [Recipe.load(FOLDER / name).output_dir for name in RECIPES]
    assert len(set(folders)) == len(folders)


@pytest.mark.parametrize(
    ("one_stage", "staged"),
    [("emoji_lt_one_stage", "cmltnet_emoji_lt"), ("crif_emoji_lt_end_to_end", "crif_emoji_lt")],
)
def test_one_stage_training_has_the_schedule_of_the_first_stage(one_stage, staged):
    stages = Recipe.load(FOLDER / "ablations" / f"{one_stage}.yaml").stages
    assert stages == {"joint": Recipe.load(FOLDER / f"{staged}.yaml").stages["align"]}


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


@pytest.mark.parametrize("name", CRIF_IMAGE_RECIPES)
def test_hyper_parameters_of_crif_on_images_are_those_of_its_paper(name):
    """Section IV-B2; the ranges for what the paper does not fix."""
    recipe = Recipe.load(FOLDER / name)
    assert list(recipe.stages) == ["align", "infer", "fuse"]
    for stage in recipe.stages.values():
        assert (stage.optimizer, stage.weight_decay, stage.batch_size, stage.epochs) == ("adam", 1e-3, 64, 13)
        assert (stage.scheduler, stage.milestones, stage.gamma) == ("step", [3, 7, 11], 0.1)
        assert 5e-5 <= stage.learning_rate <= 5e-3
    config = build_config(recipe)
    for weight in ("similarity_weight", "alignment_weight"):
        assert 0.1 <= getattr(config, weight) <= 2
    for weight in ("inference_weight", "fusion_weight"):
        assert getattr(config, weight) in (0.1, 0.2, 0.5, 1.0)


@pytest.mark.parametrize("name", CRIF_IMAGE_RECIPES)
def test_architecture_of_crif_on_images_is_that_of_its_paper(name):
    """Section IV-B1 and eq. 16."""
    config = build_config(Recipe.load(FOLDER / name))
    assert (config.word_encoder, config.word_decoder, config.word_hidden_size) == ("fnn", "lstm", 300)
    assert (config.alignment_strategy, config.alignment_function, config.fusion) == ("clip", "coral", "concat")
    assert config.backbone.startswith("resnet50")


@pytest.mark.parametrize(
    ("name", "words", "loss"), [("nus_wide", 1000, "bce"), ("vireofood_172", 353, "cross_entropy")]
)
def test_words_and_losses_of_crif_are_those_of_its_paper(name, words, loss):
    recipe = Recipe.load(FOLDER / f"crif_{name}.yaml")
    assert (recipe.dataset.max_words, recipe.model.config["classification_loss"]) == (words, loss)


def test_positives_weigh_as_in_crifs_paper():
    """Section IV-B2: 20 to 150, on NUS-WIDE alone."""
    arguments = Recipe.load(FOLDER / "crif_nus_wide.yaml").model.config["classification_loss_kwargs"]
    assert list(arguments) == ["pos_weight"]
    assert 20 <= arguments["pos_weight"] <= 150
    assert Recipe.load(FOLDER / "crif_vireofood_172.yaml").model.config["classification_loss_kwargs"] is None


@pytest.mark.parametrize("name", CRIF_VIDEO_RECIPES)
def test_hyper_parameters_on_videos_are_those_of_crifs_paper(name):
    """Section IV-C2; the ranges for what the paper does not fix."""
    recipe = Recipe.load(FOLDER / name)
    assert list(recipe.stages) == (["align", "infer", "fuse"] if name.startswith("crif") else ["joint"])
    for stage in recipe.stages.values():
        assert (stage.optimizer, stage.weight_decay, stage.epochs) == ("adam", 1e-3, 13)
        assert (stage.scheduler, stage.milestones, stage.gamma) == ("step", [3, 7, 11], 0.1)
        assert 1e-6 <= stage.learning_rate <= 1e-3
        assert stage.batch_size in (32, 64, 128, 256)
    config = build_config(recipe)
    assert (config.backbone, config.backbone_kwargs["hidden_size"]) == ("features:gru", 768)
    if name.startswith("crif"):
        assert (config.privileged_encoder, config.semantic_size, config.shared_size) == ("gru", 768, 768)
        assert (config.vocab_size, config.word_encoder) == (None, None)
        assert "privileged_features" in recipe.dataset.kwargs


def labels_for(model) -> list:
    multi_label = model.config.problem_type == "multi_label_classification"
    return [[0]] * 30 + [[0, 1]] * 10 + [[2]] if multi_label else [0, 0, 1, 2]


@pytest.mark.parametrize("name", RECIPES)
def test_losses_samplers_and_rebalancings_fit_the_model(name):
    recipe = Recipe.load(FOLDER / name)
    model = build_model(recipe)
    check_stages(recipe, model, labels_for(model), has_validation=True)


def test_the_grids_are_found():
    assert {"grids/crif_alignment_emoji_lt.yaml", "grids/long_tail_methods_emoji_lt.yaml"} <= set(GRIDS)


@pytest.mark.parametrize("name", GRIDS)
def test_every_cell_of_a_grid_can_be_run(name):
    cells = cells_of(name)
    assert len({cell.folder for cell in cells}) == len(cells)
    models = {}
    for cell in cells:
        # The heavy part of a model is its backbone, which the cells of a row share.
        key = str((cell.recipe.model.config, cell.recipe.dataset.name))
        models[key] = models.get(key) or build_model(cell.recipe)
        check_stages(cell.recipe, models[key], labels_for(models[key]), has_validation=True)


@pytest.mark.parametrize("name", GRIDS)
def test_columns_of_a_grid_are_scores_of_its_runs(name):
    grid, first = Grid.load(FOLDER / name), cells_of(name)[0].recipe
    problem_type = problem_type_of(first)
    rng = np.random.default_rng(0)
    labels = np.arange(12) % 6
    references = np.eye(6)[labels] if problem_type == "multi_label_classification" else labels
    counts = [900, 800, 50, 40, 3, 2]
    results = classification_results(rng.normal(size=(12, 6)), references, counts, problem_type=problem_type)
    model = build_model(first)
    named = {path.rpartition(".")[0] for path in grid.columns.values()} - {""}
    privileged = set(PRIVILEGED_FUSIONS) | {"semantic"} if first.model.config.get("privileged_fusions") else set()
    assert named <= {*getattr(model, "branches", ()), *privileged}
    values = {"splits": {"test": results}, "branches": {"test": dict.fromkeys(named, results)}}
    assert None not in column_scores(values, "test", grid.columns).values()


@pytest.mark.parametrize("name", ["nus_wide", "vireofood_172"])
def test_visual_baselines_are_those_of_the_paper(name):
    """CMLTNet, table 2."""
    axes = Grid.load(FOLDER / "grids" / f"visual_baselines_{name}.yaml").axes
    backbones = ["ResNet-18", "ResNet-50", "ResNet-101", "VGG19-bn", "WRN-50-2", "ViT-B/16", "RepVGG-A2"]
    assert list(axes["backbone"]) == backbones
    first = "BCE" if name == "nus_wide" else "CE"
    assert list(axes["method"]) == [first, "Focal", "CB-resample", "CB-reweight", "LDAM-DRW"]


ALIGNMENT_GRID = "grids/crif_alignment_emoji_lt.yaml"


def test_alignments_are_those_of_crifs_paper():
    """Table V: without alignment, and both strategies with each function."""
    functions = {"L2": "l2", "KL": "kl", "Deep CORAL": "coral", "SSAN": "centroid"}
    expected = {"none": ("none", None)}
    for strategy in ("align", "clip"):
        expected |= {f"{strategy}, {name}": (strategy, function) for name, function in functions.items()}
    configs = {cell.values[0]: cell.recipe.model.config for cell in cells_of(ALIGNMENT_GRID)}
    assert list(configs) == list(expected)
    for row, (strategy, function) in expected.items():
        assert (configs[row]["alignment_strategy"], configs[row].get("alignment_function")) == (strategy, function)


def test_features_and_fusions_are_those_of_crifs_paper():
    """Table V, by the branches that read them: V visual, S semantic, I inferred; all by top-1 accuracy."""
    grid, model = Grid.load(FOLDER / ALIGNMENT_GRID), build_model(cells_of(ALIGNMENT_GRID)[0].recipe)
    branches = {
        "V": "aligned",
        "S": "semantic",
        "I": "inferred",
        "V+S": "visual_semantic",
        "V+I": "fused",
        "S+I": "semantic_inferred",
        "V+S+I": "visual_semantic_inferred",
    }
    assert grid.columns == {column: f"{branch}.accuracy" for column, branch in branches.items()}
    assert list(grid.columns) == list(branches)
    assert set(branches.values()) == {*model.branches, *model.privileged_branches}


def test_the_alignment_grid_trains_on_features_that_its_cells_share():
    cells = cells_of(ALIGNMENT_GRID)
    assert len({cell.recipe.cache_dir for cell in cells}) == 1
    model = build_model(cells[0].recipe)
    for name, stage in cells[0].recipe.stages.items():
        model.set_stage(name)
        assert encoder_is_frozen(model)
        assert stage.cache_features


@pytest.mark.parametrize(("name", "learning_rate"), [("voc_lt", 5e-5), ("coco_lt", 1e-5)])
def test_hyper_parameters_of_cprfl_are_those_of_its_paper(name, learning_rate):
    """Section 4.1, and the released code where the paper is silent."""
    recipe = Recipe.load(FOLDER / f"cprfl_{name}.yaml")
    stage = recipe.stages["joint"]
    assert (stage.learning_rate, stage.weight_decay, stage.batch_size) == (learning_rate, 1e-4, 32)
    config = build_config(recipe)
    assert (config.expansion, config.hidden_size, config.num_heads, config.head_size) == (0.5, 2048, 8, 512)
    assert (config.residual, config.variant, config.prompt_network) == (False, "code", "mlp")
    assert config.classification_loss == "asymmetric"
    assert config.backbone.startswith("resnet101")
    assert Recipe.load(FOLDER / f"baseline_{name}.yaml").images == recipe.images


CPRFL_DATASETS = ["voc_lt", "coco_lt", "emoji_lt_multilabel"]


@pytest.mark.parametrize("name", CPRFL_DATASETS)
def test_losses_are_those_of_cprfls_table_2(name):
    losses = {
        cell.values[0]: cell.recipe.model.config["classification_loss"]
        for cell in cells_of(f"grids/cprfl_losses_{name}.yaml")
    }
    assert losses == {
        "BCE": "bce",
        "MSL": "multilabel_soft_margin",
        "CB Focal": "class_balanced_multilabel",
        "DB Focal": "distribution_balanced",
        "DB": "distribution_balanced",
        "ASL": "asymmetric",
    }


@pytest.mark.parametrize("name", CPRFL_DATASETS)
def test_components_are_those_of_cprfls_table_3(name):
    rows = {}
    for cell in cells_of(f"grids/cprfl_components_{name}.yaml"):
        config = cell.recipe.model.config
        network = config.get("prompt_network", "mlp") if cell.recipe.model.type == "cprfl" else None
        rows[cell.values[0]] = (network, config["classification_loss"])
    assert rows == {
        "Baseline": (None, "multilabel_focal"),
        "VSI": ("none", "multilabel_focal"),
        "VSI, PI": ("mlp", "multilabel_focal"),
        "VSI, PI, RW": ("mlp", "asymmetric"),
    }


def test_semantics_are_those_of_cprfls_figure_3():
    semantics = {
        cell.values[0]: cell.recipe.model.config["semantics"].partition(":")[0]
        for cell in cells_of("grids/cprfl_semantics_coco_lt.yaml")
    }
    assert semantics == {
        "Randn": "random",
        "Word2Vec": "word2vec",
        "GloVe": "glove",
        "CLIP-RN50": "clip",
        "CLIP-ViT16": "clip",
    }
