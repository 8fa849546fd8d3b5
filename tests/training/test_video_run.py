"""Runs on videos, given as sequences of features, with words or privileged features."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoFeatureExtractor, AutoModelForImageClassification, AutoTokenizer

from xmodal_lt.data import load_lt
from xmodal_lt.prediction import Predictor
from xmodal_lt.processing import XModalFeatureExtractor, num_words
from xmodal_lt.training import Recipe, run_recipe
from xmodal_lt.training.evaluate_checkpoint import evaluate_checkpoint
from xmodal_lt.training.output_folder import OutputFolder
from xmodal_lt.training.recipe import ModelRecipe
from xmodal_lt.training.run import _Run


pytestmark = pytest.mark.usefixtures("blank_figures")

VILT = {
    "backbone": "features:vilt",
    "backbone_kwargs": {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_steps": 12,
    },
}
PRIVILEGED = {"privileged_encoder": "gru", "privileged_encoder_kwargs": {"hidden_size": 12}}
WHOLE_RUN = {
    "checkpoints",
    "config.json",
    "figures",
    "history.json",
    "model.safetensors",
    "per_class_test.csv",
    "per_class_validation.csv",
    "preprocessor_config.json",
    "recipe.yaml",
    "results.json",
}


def results_of(folder: Path) -> dict:
    return json.loads((folder / "results.json").read_text())


def config_of(folder: Path):
    return AutoModelForImageClassification.from_pretrained(folder).config


def losses_of(folder: Path, stage: str) -> list[float]:
    history = json.loads((folder / "history.json").read_text())[stage]
    return [entry["loss"] for entry in history if "loss" in entry]


def encoder_of(folder: Path) -> dict[str, torch.Tensor]:
    weights = load_file(folder / "model.safetensors")
    return {name.split("vision_encoder.")[1]: tensor for name, tensor in weights.items() if "vision_encoder." in name}


def prepared(recipe: Recipe) -> _Run:
    """The run of a recipe as it is before it starts."""
    return _Run(recipe, OutputFolder(recipe.output_dir))


def rewrite(folder: Path, split: str, **columns) -> None:
    """Sets columns of every row of a split; `None` takes them out."""
    file = folder / f"{split}.jsonl"
    rows = [{**json.loads(line), **columns} for line in file.read_text().splitlines()]
    kept = [{name: value for name, value in row.items() if value is not None} for row in rows]
    file.write_text("\n".join(map(json.dumps, kept)))


@pytest.fixture(scope="module")
def privileged_videos(write_videos, tmp_path_factory) -> Path:
    """The videos with privileged features; read it, write nothing into it."""
    return write_videos(tmp_path_factory.mktemp("data") / "privileged", privileged=True)


@pytest.fixture
def videos_to_change(write_videos, tmp_path) -> Path:
    return write_videos(tmp_path / "videos", privileged=True)


@pytest.fixture(scope="module")
def privileged_recipe(video_recipe, privileged_videos):
    """Makes recipes of CRIF with privileged features in place of words."""

    def make(output_dir: Path, path: Path = privileged_videos, **changes):
        config = PRIVILEGED | changes.pop("config", {})
        return video_recipe("crif", output_dir, config, dataset={"path": str(path)}, **changes)

    return make


@pytest.fixture(scope="module")
def privileged_run(privileged_recipe, tmp_path_factory) -> Path:
    """Output folder of a finished run. Read it, write nothing into it."""
    recipe = privileged_recipe(tmp_path_factory.mktemp("runs") / "run", config={"privileged_fusions": True})
    return run_recipe(recipe).output_dir


@pytest.fixture(scope="module")
def video_baseline(video_recipe, tmp_path_factory) -> Path:
    """Output folder of a finished run. Read it, write nothing into it."""
    folder = tmp_path_factory.mktemp("runs") / "baseline"
    return run_recipe(video_recipe("lt_classifier", folder, stage={"epochs": 3})).output_dir


# --- what is learned


def test_a_classifier_finds_what_shows_the_class(video_baseline):
    assert results_of(video_baseline)["splits"]["test"]["accuracy"] > 0.95


def test_crif_with_words_finds_what_shows_the_class(video_run):
    results = results_of(video_run)
    assert results["splits"]["test"]["accuracy"] > 0.95
    assert results["branches"]["test"]["inferred"]["accuracy"] > 0.95


def test_crif_with_a_vilt_finds_what_shows_the_class(video_recipe, tmp_path):
    results = run_recipe(video_recipe("crif", tmp_path / "run", VILT, stage={"epochs": 3})).values
    assert results["splits"]["test"]["accuracy"] > 0.95
    assert AutoFeatureExtractor.from_pretrained(tmp_path / "run").max_steps == 12


# --- what the run knows from the data, and what it refuses


def test_widths_of_features_come_from_the_data(video_run, privileged_run):
    assert config_of(video_run).backbone_kwargs == {"input_size": 8, "hidden_size": 16}
    config = config_of(privileged_run)
    assert config.privileged_encoder_kwargs == {"input_size": 4, "hidden_size": 12}
    assert config.semantic_size == 12
    assert (config.vocab_size, config.word_encoder) == (None, None)


@pytest.mark.parametrize("kwargs", [None, {}])
def test_the_width_is_all_that_an_encoder_needs(video_recipe, tmp_path, kwargs):
    model = prepared(video_recipe("lt_classifier", tmp_path / "run", {"backbone_kwargs": kwargs})).model
    assert model.config.backbone_kwargs == {"input_size": 8}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"backbone": "test_resnet", "backbone_kwargs": None},
            "The data holds videos as sequences of features, but the backbone 'test_resnet' takes images; set model",
        ),
        (PRIVILEGED, r"privileged_encoder=gru learns from privileged features, but the data has no such column"),
        ({"backbone": "features:lstm"}, "Unknown feature encoder 'lstm'; expected one of gru, vilt"),
        ({"backbone_kwargs": {"hiden_size": 16}}, r"The feature encoder 'gru' does not take .*hiden_size"),
    ],
)
def test_models_that_do_not_fit_videos_are_refused(video_recipe, tmp_path, config, message):
    with pytest.raises(ValueError, match=message):
        run_recipe(video_recipe("crif", tmp_path / "run", config))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"backbone": "features:gru"},
            "The backbone 'features:gru' takes videos as sequences of features, but the data holds images; set model",
        ),
        ({"backbone": "test_resnet", **PRIVILEGED}, "model.config.privileged_encoder is for videos; leave it out"),
    ],
)
def test_models_of_videos_are_refused_for_images(shapes_recipe, tmp_path, config, message):
    recipe = shapes_recipe("crif", tmp_path / "run")
    recipe.model.config |= config
    with pytest.raises(ValueError, match=message):
        run_recipe(recipe)
    assert not (tmp_path / "run").exists()


def test_videos_without_words_are_for_models_that_need_none(video_recipe, videos_to_change, tmp_path):
    for split in ("train", "validation", "test"):
        rewrite(videos_to_change, split, words=None)
    dataset = {"path": str(videos_to_change)}
    with pytest.raises(ValueError, match=r"no words column.*lt_classifier"):
        run_recipe(video_recipe("crif", tmp_path / "words", dataset=dataset))
    assert prepared(video_recipe("crif", tmp_path / "run", PRIVILEGED, dataset=dataset)).tokenizer is None


# --- privileged features


@pytest.mark.parametrize("first", [0, 5])
def test_training_videos_without_privileged_features_are_named(privileged_recipe, videos_to_change, tmp_path, first):
    file = videos_to_change / "train.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    for row in rows[first : first + 2]:
        del row["privileged_features"]
    file.write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(ValueError, match=rf"2 of 80 training samples have no privileged features: 'train/{first}'"):
        prepared(privileged_recipe(tmp_path / "run", path=videos_to_change))


def test_privileged_features_go_through_all_stages(privileged_run):
    results = results_of(privileged_run)
    assert set(results["branches"]["test"]) == {"aligned", "inferred", "fused"}
    history = json.loads((privileged_run / "history.json").read_text())
    assert list(history) == ["align", "infer", "fuse"]
    logged = {name for entry in history["infer"] for name in entry}
    assert {"loss_reconstruction", "loss_alignment", "loss_semantic_classification"} <= logged


def test_a_resumed_run_with_privileged_features_has_the_same_results(privileged_run, privileged_recipe, tmp_path):
    folder = Path(shutil.copytree(privileged_run, tmp_path / "run"))
    for file in ("results.json", "model.safetensors"):
        (folder / file).unlink()
    shutil.rmtree(folder / "checkpoints" / "fuse")
    shutil.rmtree(folder / "cache")
    resumed = run_recipe(privileged_recipe(folder, config={"privileged_fusions": True}, resume=True)).values
    whole = results_of(privileged_run)
    for key in ("splits", "branches", "privileged_branches"):
        assert resumed[key] == whole[key]
    first, second = (load_file(run / "model.safetensors") for run in (folder, privileged_run))
    assert first.keys() == second.keys()
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


def test_a_stage_with_a_frozen_encoder_learns_the_same_from_cached_features(privileged_recipe, tmp_path):
    folders = {cache: tmp_path / str(cache) for cache in (True, False)}
    for cache, folder in folders.items():
        run_recipe(privileged_recipe(folder, stages=("infer",), stage={"cache_features": cache}))
    assert losses_of(folders[True], "infer") == pytest.approx(losses_of(folders[False], "infer"), rel=1e-5)
    assert results_of(folders[True])["branches"] == results_of(folders[False])["branches"]
    assert {cache: any(folder.glob("cache/*.npy")) for cache, folder in folders.items()} == {True: True, False: False}


def test_privileged_features_are_not_read_for_a_model_without_them(video_recipe, videos_to_change, tmp_path):
    shutil.rmtree(videos_to_change / "sound")
    dataset = {"path": str(videos_to_change)}
    results = run_recipe(video_recipe("crif", tmp_path / "run", stages=("align",), dataset=dataset))
    assert results.values["splits"]["test"]["num_samples"] == 24
    assert AutoFeatureExtractor.from_pretrained(results.output_dir).privileged_size is None


@pytest.mark.parametrize("privileged", [{}, PRIVILEGED])
def test_splits_to_evaluate_on_need_no_column_of_privileged_features(
    video_recipe, privileged_videos, tmp_path, privileged
):
    data = load_lt(privileged_videos)
    data["test"] = data["test"].remove_columns("privileged_features")
    data.save_to_disk(tmp_path / "saved")
    saved = {"path": str(tmp_path / "saved"), "kwargs": {"file_dir": str(privileged_videos)}}
    recipe = video_recipe("crif", tmp_path / "run", privileged, dataset=saved)
    columns = prepared(recipe).data.splits.column_names
    assert ("privileged_features" in columns["train"]) == bool(privileged)


# --- branches that read what is privileged


PRIVILEGED_BRANCHES = ["semantic", "visual_semantic", "semantic_inferred", "visual_semantic_inferred"]


def test_branches_with_true_words_are_scored_for_the_splits_that_have_words(video_run):
    results = results_of(video_run)["privileged_branches"]
    assert {split: list(branches) for split, branches in results.items()} == {
        "validation": PRIVILEGED_BRANCHES,
        "test": PRIVILEGED_BRANCHES,
    }
    for branch in PRIVILEGED_BRANCHES:
        scores = results["test"][branch]
        assert scores["num_samples"] == 24
        assert scores["accuracy"] > 0.95  # the name of the class is among the words
        assert "per_class" not in scores


def test_models_without_such_branches_have_no_scores_of_them(video_baseline):
    assert "privileged_branches" not in results_of(video_baseline)


def test_a_split_without_words_has_no_scores_of_true_words(video_recipe, videos_to_change, tmp_path):
    rewrite(videos_to_change, "test", words=None)
    dataset = {"path": str(videos_to_change)}
    recipe = video_recipe("crif", tmp_path / "run", {"privileged_fusions": True}, ("fuse",), dataset=dataset)
    results = run_recipe(recipe).values
    assert list(results["splits"]) == ["validation", "test"]
    assert list(results["privileged_branches"]) == ["validation"]


# --- what is left of a run


def test_the_folder_of_a_run_with_words(video_run):
    names = {path.name for path in video_run.iterdir()}
    assert names >= {*WHOLE_RUN, "tokenizer.json"}
    assert "processor_config.json" not in names
    extractor = AutoFeatureExtractor.from_pretrained(video_run)
    assert isinstance(extractor, XModalFeatureExtractor)
    assert (extractor.feature_size, extractor.privileged_size, extractor.max_steps) == (8, None, None)
    assert num_words(AutoTokenizer.from_pretrained(video_run)) == 6


def test_the_folder_of_a_run_without_words(privileged_run):
    names = {path.name for path in privileged_run.iterdir()}
    assert names >= WHOLE_RUN
    assert not any("tokenizer" in name for name in names)
    extractor = AutoFeatureExtractor.from_pretrained(privileged_run)
    assert (extractor.feature_size, extractor.privileged_size) == (8, 4)


@pytest.mark.parametrize("run", ["video_run", "privileged_run"])
@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_saved_run_scores_as_at_its_end(request, tmp_path, run, split):
    folder = request.getfixturevalue(run)
    results, _ = evaluate_checkpoint(str(folder), split=split, output=tmp_path)
    assert results == results_of(folder)["splits"][split]


def test_a_saved_run_scores_on_other_videos(video_run, privileged_videos, tmp_path):
    results, _ = evaluate_checkpoint(str(video_run), str(privileged_videos), output=tmp_path)
    assert results["num_samples"] == 24
    assert [entry["train_count"] for entry in results["per_class"]] == [24, 40, 16]


@pytest.mark.parametrize("run", ["video_run", "privileged_run"])
def test_the_predictor_gives_the_predictions_that_were_scored(request, videos, privileged_videos, run):
    data = load_lt(videos if run == "video_run" else privileged_videos)["test"]
    folder = request.getfixturevalue(run)
    rows = Predictor.from_pretrained(str(folder), "cpu").predict_files([row["path"] for row in data["features"]], 1)
    names = data.features["label"].names
    right = [
        row["predictions"][0]["label"] == names[label] for row, label in zip(list(rows), data["label"], strict=True)
    ]
    assert sum(right) / len(right) == pytest.approx(results_of(folder)["splits"]["test"]["accuracy"])


def test_no_words_can_be_asked_of_a_model_without_words(privileged_run, tmp_path):
    predictor = Predictor.from_pretrained(str(privileged_run), "cpu")
    with pytest.raises(ValueError, match="1 words are wanted, but a model of type 'crif' infers none"):
        predictor.predict_files([tmp_path / "video.npy"], num_words=1)


# --- starting from a run


def test_a_run_starts_from_the_encoder_of_another(video_run, video_recipe, tmp_path):
    recipe = video_recipe("lt_classifier", tmp_path / "run", stages=("head",))
    recipe.model.pretrained = str(video_run)
    run_recipe(recipe)
    before, after = encoder_of(video_run), encoder_of(tmp_path / "run")
    assert before.keys() == after.keys()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


def test_an_encoder_of_another_width_is_refused(video_run, video_recipe, tmp_path):
    recipe = video_recipe("lt_classifier", tmp_path / "run", {"backbone_kwargs": {"hidden_size": 8}})
    recipe.model.pretrained = str(video_run)
    with pytest.raises(ValueError, match="do not fit backbone 'features:gru'"):
        run_recipe(recipe)


def test_the_fingerprint_names_the_run_it_starts_from_and_not_its_path(
    video_run, video_baseline, video_recipe, tmp_path
):
    def fingerprint(pretrained: Path | str) -> str:
        recipe = video_recipe("lt_classifier", Path("out"))
        recipe.model.pretrained = str(pretrained)
        return recipe.fingerprint()

    moved = tmp_path / "elsewhere"
    moved.symlink_to(video_run)
    assert fingerprint(moved) == fingerprint(video_run)
    assert len({fingerprint(start) for start in (video_run, video_baseline, "hub", "nowhere")}) == 4


@pytest.mark.parametrize("run", ["video_run", "privileged_run"])
@pytest.mark.parametrize("keeps_config", [False, True])
def test_training_goes_on_from_a_run(request, video_recipe, privileged_recipe, tmp_path, run, keeps_config):
    """With the config of the recipe that made the run or, as its fields are the checkpoint's, without."""
    folder = request.getfixturevalue(run)
    output = tmp_path / "run"
    recipe = privileged_recipe(output) if run == "privileged_run" else video_recipe("crif", output)
    recipe.model.config = recipe.model.config if keeps_config else {}
    recipe.model.checkpoint = str(folder)
    model = prepared(recipe).model
    assert model.config.backbone_kwargs == config_of(folder).backbone_kwargs
    saved = load_file(folder / "model.safetensors")
    assert all(torch.equal(tensor, saved[name]) for name, tensor in model.state_dict().items())


def test_a_head_can_be_rebalanced(video_baseline, video_recipe, tmp_path):
    recipe = video_recipe("lt_classifier", tmp_path / "run", rebalance={"method": "nearest_mean"})
    recipe.model = ModelRecipe(type="lt_classifier", checkpoint=str(video_baseline))
    recipe.stages = {}
    assert run_recipe(recipe).values["splits"]["test"]["accuracy"] > 0.95


def test_the_cache_is_not_read_for_features_that_were_extracted_anew(video_recipe, videos_to_change, tmp_path):
    recipe = video_recipe("lt_classifier", tmp_path / "run", dataset={"path": str(videos_to_change)})
    keys = {prepared(recipe)._data_key("train", views=0) for _ in range(2)}
    for file in (videos_to_change / "clips").iterdir():
        np.save(file, -np.load(file))
    assert prepared(recipe)._data_key("train", views=0) not in keys
    assert len(keys) == 1


def test_a_source_of_privileged_features_is_for_registered_data_sets(video_recipe, tmp_path):
    recipe = video_recipe("lt_classifier", tmp_path / "run")
    recipe.dataset.kwargs["privileged_features"] = "speech"
    with pytest.raises(ValueError, match=r"your own have a column of that name\. Set dataset\.kwargs\.privil"):
        run_recipe(recipe)
