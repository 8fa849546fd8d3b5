import json
import resource
import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch
from transformers import AutoModelForImageClassification, AutoProcessor, TrainerCallback

from xmodal_lt.training import CheckpointError, LongTailTrainer, NonFiniteError, Recipe, run_recipe
from xmodal_lt.training.evaluate_checkpoint import evaluate_checkpoint
from xmodal_lt.training.output_folder import OutputFolder
from xmodal_lt.training.run import _Run


pytestmark = pytest.mark.usefixtures("blank_figures")


@pytest.fixture(scope="module")
def finished(colour_data, tmp_path_factory):
    """A finished three-stage run, and its recipe."""
    stage = {"epochs": 2, "learning_rate": 1e-3, "batch_size": 16, "milestones": [1]}
    sizes = {"shared_size": 16, "semantic_size": 8, "word_embedding_size": 8, "transfer_hidden_size": 8}
    recipe = Recipe.from_dict(
        {
            "model": {"type": "cmltnet", "config": {"backbone": "test_resnet", "top_k": 2, **sizes}},
            "dataset": {"path": str(colour_data), "head_threshold": 20, "tail_threshold": 10},
            "images": {"size": 32},
            "stages": {name: dict(stage) for name in ("align", "infer", "fuse")},
            "logging_steps": 1,
            "output_dir": str(tmp_path_factory.mktemp("runs") / "finished"),
        }
    )
    return recipe, run_recipe(recipe)


def _weights(folder):
    return AutoModelForImageClassification.from_pretrained(folder).state_dict()


def _assert_equal_weights(first, second):
    first, second = _weights(first), _weights(second)
    assert first.keys() == second.keys()
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


def _final_loss(results, stage):
    history = json.loads((results.output_dir / "history.json").read_text())
    return [entry["loss"] for entry in history[stage] if "loss" in entry]


def test_output_folder_is_complete(finished):
    _, results = finished
    names = {path.name for path in results.output_dir.iterdir()}
    assert names >= {
        "checkpoints",
        "config.json",
        "figures",
        "history.json",
        "model.safetensors",
        "per_class_test.csv",
        "per_class_validation.csv",
        "processor_config.json",
        "recipe.yaml",
        "results.json",
        "tokenizer.json",
    }
    assert (results.output_dir / "figures" / "training_curves.png").stat().st_size > 0
    assert not list(results.output_dir.rglob("checkpoint-*"))


def test_results_hold_groups_branches_and_provenance(finished):
    recipe, results = finished
    values = json.loads((results.output_dir / "results.json").read_text())
    assert values == results.values
    test = values["splits"]["test"]
    assert [test["groups"][group]["num_classes"] for group in ("all", "head", "medium", "tail")] == [4, 1, 1, 2]
    assert test["groups"]["tail"]["num_train"] == 12
    assert set(values["branches"]["test"]) == {"aligned", "inferred", "fused"}
    fused = values["branches"]["test"]["fused"]
    assert fused["groups"] == test["groups"]
    assert values["seed"] == recipe.seed
    assert values["dataset"]["rows"] == {"train": 48, "validation": 20, "test": 20}
    assert set(values["versions"]) >= {"python", "torch", "transformers", "xmodal-lt"}


def test_per_class_csv_has_every_class(finished):
    _, results = finished
    table = pd.read_csv(results.output_dir / "per_class_test.csv")
    assert sorted(table["class"]) == ["blue", "green", "red", "violet"]
    assert table.set_index("class")["train_count"].to_dict() == {"red": 24, "green": 12, "blue": 8, "violet": 4}


def test_table_names_the_groups(finished):
    _, results = finished
    *groups, overall = results.table().splitlines()[1:]
    assert [line.split()[0] for line in groups] == ["all", "head", "medium", "tail"]
    assert overall.startswith("top-1 ")


def test_saved_model_predicts_from_images_alone(finished, colour_data):
    _, results = finished
    processor = AutoProcessor.from_pretrained(results.output_dir)
    model = AutoModelForImageClassification.from_pretrained(results.output_dir).eval()
    image = next((colour_data / "test").glob("*.png"))
    logits = model(**processor(images=str(image), return_tensors="pt")).logits
    assert logits.shape == (1, 4)
    assert model.config.id2label == {0: "blue", 1: "green", 2: "red", 3: "violet"}
    assert model.config.class_counts == [8, 12, 24, 4]


def test_finished_run_is_not_run_again(finished):
    recipe, results = finished
    recipe.resume = True
    written = (results.output_dir / "model.safetensors").stat().st_mtime_ns
    assert run_recipe(recipe).values == results.values
    assert (results.output_dir / "model.safetensors").stat().st_mtime_ns == written


def test_resume_between_stages_gives_the_same_weights(finished, make_recipe):
    recipe, results = finished
    resumed = make_recipe(
        dataset={"path": recipe.dataset.path, "head_threshold": 20, "tail_threshold": 10}, resume=True
    )
    folder = Path(resumed.output_dir)
    shutil.copytree(results.output_dir, folder)
    for file in ("results.json", "model.safetensors"):
        (folder / file).unlink()
    for stage in ("infer", "fuse"):
        shutil.rmtree(folder / "checkpoints" / stage)
    shutil.rmtree(folder / "cache")
    run_recipe(resumed)
    _assert_equal_weights(folder, results.output_dir)


def test_cached_stages_equal_uncached_ones_without_augmentation(make_recipe, tmp_path):
    stage = {"epochs": 2, "learning_rate": 1e-3, "batch_size": 16, "milestones": [1]}
    losses, cached_files = [], []
    for cache in (True, False):
        stages = {name: {**stage, "cache_features": cache} for name in ("infer", "fuse")}
        recipe = make_recipe(
            stages=stages, images={"size": 32, "horizontal_flip": 0.0}, output_dir=str(tmp_path / f"{cache}")
        )
        results = run_recipe(recipe)
        losses.append([*_final_loss(results, "infer"), *_final_loss(results, "fuse")])
        cached_files.append(list(results.output_dir.glob("cache/*.npy")))
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert len(cached_files[0]) == 3  # train, validation and test; the fuse stage reuses the infer stage's
    assert cached_files[1] == []


def test_one_stage_training_moves_every_branch(make_recipe):
    stage = {"epochs": 1, "learning_rate": 1e-3, "batch_size": 16}
    results = run_recipe(make_recipe(stages={"joint": stage}))
    assert set(results.values["branches"]["test"]) == {"aligned", "inferred", "fused"}


def test_a_stage_may_have_a_loss_and_a_sampler_of_its_own(make_recipe, baseline_settings):
    sampling = {"sampler": "class_aware", "sampler_kwargs": {"samples_per_class": 2}}
    baseline_settings["stages"]["joint"] |= {"loss": "logit_adjusted", "loss_kwargs": {"tau": 0.5}, **sampling}
    results = run_recipe(make_recipe(**baseline_settings, seed=3))
    steps = json.loads((results.output_dir / "history.json").read_text())["joint"][-1]["step"]
    assert steps == 2 * 24 * 4 / 16  # epochs x largest class x classes / batch size
    assert (results.output_dir / "preprocessor_config.json").is_file()
    config = AutoModelForImageClassification.from_pretrained(results.output_dir).config
    assert config.classification_loss is None  # the stage's loss is not the model's


SAMPLINGS = {
    "class_aware": {"samples_per_class": 2, "reduce": 2},
    "effective_number": {},
    "reversed": {},
    "square_root": {},
}


@pytest.mark.parametrize("sampler", SAMPLINGS)
def test_resume_within_an_epoch_goes_on_in_the_samplers_stream(make_recipe, baseline_settings, tmp_path, sampler):
    sampling = {"sampler": sampler, "sampler_kwargs": SAMPLINGS[sampler], "batch_size": 8}  # six steps an epoch
    baseline_settings["stages"]["joint"] |= sampling
    recipe = make_recipe(**baseline_settings, save_steps=9, output_dir=str(tmp_path / "whole"))

    class Keep(TrainerCallback):
        """Keeps the checkpoint in the middle of the second epoch."""

        def on_save(self, args, state, control, **kwargs):
            if state.global_step == 9:
                shutil.copytree(Path(args.output_dir) / "checkpoint-9", tmp_path / "kept")

    with pytest.MonkeyPatch.context() as patch:
        original = LongTailTrainer.__init__
        patch.setattr(LongTailTrainer, "__init__", lambda self, **kwargs: original(self, callbacks=[Keep()], **kwargs))
        run_recipe(recipe)
    resumed = make_recipe(**baseline_settings, save_steps=9, output_dir=str(tmp_path / "resumed"), resume=True)
    shutil.copytree(tmp_path / "kept", tmp_path / "resumed" / "checkpoints" / "joint" / "checkpoint-9")
    run_recipe(resumed)
    _assert_equal_weights(tmp_path / "whole", tmp_path / "resumed")


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ({"loss": "focal", "loss_kwargs": {"gamma": -1}}, "gamma"),
        ({"loss": "cross_entropy", "loss_kwargs": {"label_smoothing": 2}}, "'cross_entropy' does not take"),
        (
            {"loss": "logit_adjusted", "loss_kwargs": {"class_counts": [1]}},
            r"\['class_counts'\], which the model knows",
        ),
        ({"sampler": "class_aware", "sampler_kwargs": {"labels": [1]}}, "which the run knows; leave them out"),
    ],
)
def test_wrong_arguments_are_found_before_the_folder_is_taken(
    make_recipe, baseline_settings, tmp_path, stage, message
):
    baseline_settings["stages"]["joint"] |= stage
    with pytest.raises(ValueError, match=message):
        run_recipe(make_recipe(**baseline_settings))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("checkpoint", "message"), [("nowhere/at_all", "train it first"), ("{empty}", "no config.json; finish it first")]
)
def test_missing_checkpoint_is_named(make_recipe, tmp_path, checkpoint, message):
    (tmp_path / "empty").mkdir()
    checkpoint = checkpoint.format(empty=tmp_path / "empty")
    stages = {"head": {"epochs": 1, "learning_rate": 1e-3}}
    with pytest.raises(ValueError, match=message):
        run_recipe(make_recipe(model={"type": "lt_classifier", "checkpoint": checkpoint}, stages=stages))


def test_best_epoch_can_be_kept(make_recipe, baseline_settings):
    baseline_settings["stages"]["joint"] |= {"keep": "best", "epochs": 3}
    results = run_recipe(make_recipe(**baseline_settings))
    history = json.loads((results.output_dir / "history.json").read_text())["joint"]
    best = max(entry["eval_macro_accuracy"] for entry in history if "eval_macro_accuracy" in entry)
    assert results.values["splits"]["validation"]["macro_accuracy"] == pytest.approx(best)


def test_training_goes_on_from_a_checkpoint(finished, make_recipe):
    _, results = finished
    stage = {"epochs": 1, "learning_rate": 1e-9, "batch_size": 16}
    again = run_recipe(
        make_recipe(model={"type": "cmltnet", "checkpoint": str(results.output_dir)}, stages={"fuse": stage})
    )
    old, new = _weights(results.output_dir), _weights(again.output_dir)
    torch.testing.assert_close(new, old, rtol=0, atol=1e-6)


def test_bf16_run_is_finite(make_recipe):
    results = run_recipe(make_recipe(bf16=True))
    assert all(torch.isfinite(tensor).all() for tensor in _weights(results.output_dir).values())


def test_tensorboard_is_written_when_asked(make_recipe, baseline_settings):
    results = run_recipe(make_recipe(**baseline_settings, report_to=["tensorboard"]))
    assert list(results.output_dir.rglob("events.out.tfevents.*"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stages": {"alignment": {"epochs": 1, "learning_rate": 0.1}}}, "no stage 'alignment'.*align, infer, fuse"),
        (
            {"model": {"type": "lt_classifier", "config": {"backbone": "vit_tiny_patch16_224"}}},
            "no stage 'align'.*joint",
        ),
        ({"stages": {"joint": {"epochs": 1, "learning_rate": 0.1, "loss": "bce"}}}, "'bce' is for multi_label"),
        ({"images": {"rand_augment": [1]}}, "rand_augment=.1. must be two values"),
        ({"model": {"type": "cmlt"}}, "Unknown model type 'cmlt'.*cmltnet"),
        ({"model": {"type": "cmltnet", "config": {"backbon": "x"}}}, "no field 'backbon'.*'backbone'"),
        ({"model": {"type": "cmltnet", "config": {"backbone": "resnet_18"}}}, "no model 'resnet_18'"),
        (
            {"model": {"type": "cmltnet", "config": {"backbone": "test_resnet", "num_labels": 9}}},
            "num_labels=9, but the data set has 4",
        ),
        (
            {"model": {"type": "cmltnet", "config": {"backbone": "test_resnet", "vocab_size": 99}}},
            "vocab_size is 99.*10 entries",
        ),
        (
            {"model": {"type": "cmltnet", "config": {"backbone": "test_resnet", "fusion": "sum"}}},
            "model.config.*fusion.*add",
        ),
    ],
)
def test_bad_recipe_is_named(make_recipe, changes, message):
    with pytest.raises(ValueError, match=message):
        run_recipe(make_recipe(**changes))


def test_image_size_that_the_backbone_cannot_take_is_named(make_recipe, baseline_settings):
    baseline_settings["model"]["config"]["backbone"] = "vit_tiny_patch16_224"
    with pytest.raises(ValueError, match=r"images\.size=32 does not fit.*img_size=32"):
        run_recipe(make_recipe(**baseline_settings))


def test_unknown_sampler_is_named(make_recipe, baseline_settings):
    baseline_settings["stages"]["joint"]["sampler"] = "bogus"
    with pytest.raises(ValueError, match="unknown sampler 'bogus'"):
        run_recipe(make_recipe(**baseline_settings))


def test_folder_of_another_recipe_is_refused(finished, make_recipe):
    _, results = finished
    with pytest.raises(ValueError, match=r"run of another recipe.*overwrite=true"):
        run_recipe(make_recipe(output_dir=str(results.output_dir), seed=9, resume=True))
    assert (results.output_dir / "results.json").exists()


def test_failed_start_leaves_the_folder_free(make_recipe):
    with pytest.raises(ValueError, match="no field"):
        run_recipe(make_recipe(model={"type": "cmltnet", "config": {"backbon": "x"}}))
    run_recipe(make_recipe(stages={"joint": {"epochs": 1, "learning_rate": 1e-3}}))


def test_second_run_in_a_folder_needs_resume(finished):
    recipe, _ = finished
    recipe.resume = False
    with pytest.raises(ValueError, match="resume=true"):
        run_recipe(recipe)


def test_overwrite_starts_anew(carved, make_recipe, baseline_settings, tmp_path):
    shutil.copytree(carved.output_dir, tmp_path / "run")
    results = run_recipe(make_recipe(**baseline_settings, seed=5, overwrite=True))
    assert results.output_dir == tmp_path / "run"
    assert results.values["seed"] == 5
    history = json.loads((tmp_path / "run" / "history.json").read_text())["joint"]
    assert history[-1]["epoch"] == 2  # the run before had one epoch of the stage


def test_data_without_words_is_for_the_baseline_only(make_recipe, baseline_settings, colour_data, tmp_path):
    folder = tmp_path / "wordless"
    shutil.copytree(colour_data, folder)
    for file in folder.rglob("metadata.jsonl"):
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        file.write_text("\n".join(json.dumps({k: v for k, v in row.items() if k != "words"}) for row in rows))
    with pytest.raises(ValueError, match=r"no words column.*lt_classifier"):
        run_recipe(make_recipe(dataset={"path": str(folder)}))
    run_recipe(make_recipe(dataset={"path": str(folder)}, output_dir=str(tmp_path / "b"), **baseline_settings))


@pytest.fixture(scope="module")
def without_validation(colour_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "unvalidated"
    return Path(shutil.copytree(colour_data, folder, ignore=shutil.ignore_patterns("validation")))


@pytest.fixture(scope="module")
def carved(without_validation, tmp_path_factory):
    """The results of a run whose validation images are taken from the training split."""
    groups = {"head_threshold": 20, "tail_threshold": 10}
    recipe = Recipe.from_dict(
        {
            "model": {"type": "lt_classifier", "config": {"backbone": "test_resnet"}},
            "dataset": {"path": str(without_validation), "validation_fraction": 0.25, **groups},
            "images": {"size": 32},
            "stages": {"joint": {"epochs": 1, "learning_rate": 1e-3, "batch_size": 16}},
            "output_dir": str(tmp_path_factory.mktemp("runs") / "carved"),
        }
    )
    return run_recipe(recipe)


def test_groups_are_those_of_the_whole_training_split(carved, tmp_path):
    results = carved.values
    assert results["dataset"]["rows"]["validation"] == 6 + 3 + 2 + 1
    assert results["splits"]["test"]["groups"]["head"]["num_classes"] == 1  # red: 24, of which 18 train
    assert [entry["train_count"] for entry in results["splits"]["test"]["per_class"]] == [8, 12, 24, 4]
    evaluated, _ = evaluate_checkpoint(str(carved.output_dir), output=tmp_path)
    assert evaluated == results["splits"]["test"]


def test_losses_count_the_rows_that_are_trained_on(carved, without_validation, make_recipe, tmp_path):
    stages = {"head": {"epochs": 1, "learning_rate": 1e-3}}
    model = {"type": "lt_classifier", "checkpoint": str(carved.output_dir)}
    dataset = {"path": str(without_validation), "validation_fraction": 0.5}
    run_recipe(make_recipe(model=model, dataset=dataset, stages=stages, output_dir=str(tmp_path / "head")))
    for folder, counts in ((carved.output_dir, [6, 9, 18, 3]), (tmp_path / "head", [4, 6, 12, 2])):
        config = AutoModelForImageClassification.from_pretrained(folder).config
        assert (config.class_counts, config.num_samples) == (counts, sum(counts))


def test_run_without_validation(make_recipe, baseline_settings, without_validation):
    dataset = {"path": str(without_validation), "validation_fraction": 0.0}
    assert list(run_recipe(make_recipe(dataset=dataset, **baseline_settings)).values["splits"]) == ["test"]
    baseline_settings["stages"]["joint"]["keep"] = "best"
    with pytest.raises(ValueError, match="keep=best"):
        run_recipe(make_recipe(dataset=dataset, **baseline_settings, overwrite=True))


def test_multi_label_run(make_recipe, multi_label_data):
    results = run_recipe(make_recipe(dataset={"path": str(multi_label_data)}))
    test = results.values["splits"]["test"]
    assert test["problem_type"] == "multi_label_classification"
    assert {"map", "precision_at_1", "cf1", "of1"} <= set(test)
    assert [entry["train_count"] for entry in test["per_class"]] == [8, 12, 24, 4, 28]
    config = AutoModelForImageClassification.from_pretrained(results.output_dir).config
    assert config.problem_type == "multi_label_classification"
    assert config.num_labels == 5


def test_training_that_diverged_can_be_resumed(make_recipe, baseline_settings):
    stages = {"joint": {**baseline_settings["stages"]["joint"], "epochs": 2, "optimizer": "sgd"}}
    recipe = make_recipe(model=baseline_settings["model"], stages=stages)
    run = _Run(recipe, OutputFolder(recipe.output_dir))
    rows = run.data.splits["train"]
    run.model.register_forward_hook(_nan_after(steps=len(rows) // 16 + 1))
    with pytest.raises(NonFiniteError):
        run.execute()
    recipe.resume = True
    run_recipe(recipe)
    assert all(torch.isfinite(tensor).all() for tensor in _weights(recipe.output_dir).values())


def _nan_after(steps):
    seen = []

    def hook(module, arguments, outputs):
        seen.append(module.training)
        if sum(seen) > steps:
            outputs["loss"] = outputs["loss"] * float("nan")
        return outputs

    return hook


def test_full_disk_at_the_end_of_a_stage_keeps_the_checkpoint(make_recipe, baseline_settings, tmp_path):
    recipe = make_recipe(**baseline_settings)
    run = _Run(recipe, OutputFolder(recipe.output_dir))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(CheckpointError, match="free some disk space"):
            run.folder.finish_stage("joint", run.model, [])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not run.folder.finished_stage("joint").exists()


def test_changed_data_cannot_be_resumed(make_recipe, baseline_settings, colour_data, tmp_path):
    folder = tmp_path / "changing"
    shutil.copytree(colour_data, folder)
    run_recipe(make_recipe(dataset={"path": str(folder)}, **baseline_settings))
    (tmp_path / "run" / "results.json").unlink()
    metadata = folder / "train" / "metadata.jsonl"
    metadata.write_text(metadata.read_text().replace('"label": "violet"', '"label": "blue"', 1))
    with pytest.raises(ValueError, match=r"data of the run .* have changed"):
        run_recipe(make_recipe(dataset={"path": str(folder)}, **baseline_settings, resume=True))


def test_overwrite_leaves_the_files_of_others(carved, make_recipe, baseline_settings, tmp_path):
    shutil.copytree(carved.output_dir, tmp_path / "run")
    (tmp_path / "run" / "notes.txt").write_text("mine")
    run_recipe(make_recipe(**baseline_settings, seed=1, overwrite=True))
    assert (tmp_path / "run" / "notes.txt").read_text() == "mine"


def test_checkpoint_of_other_classes_is_refused(finished, make_recipe, colour_data, tmp_path):
    _, results = finished
    folder = tmp_path / "renamed"
    shutil.copytree(colour_data, folder)
    for file in folder.rglob("metadata.jsonl"):
        file.write_text(file.read_text().replace('"label": "blue"', '"label": "zinc"'))
    stages = {"fuse": {"epochs": 1, "learning_rate": 1e-3}}
    checkpoint = {"type": "cmltnet", "checkpoint": str(results.output_dir)}
    with pytest.raises(ValueError, match="same order"):
        run_recipe(make_recipe(model=checkpoint, dataset={"path": str(folder)}, stages=stages))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"backbone": "test_vit"},
            r"'test_resnet', the recipe 'test_vit'; leave model\.config\.backbone out .* model\.config\.backbone=null",
        ),
        ({"shared_size": 4}, r"do not fit a model with \{'shared_size': 4\}"),
        ({"top": 4}, r"model.config has no field 'top'.*top_k"),
        ({"top_k": "many"}, r"model.config: .*top_k"),
    ],
)
def test_config_that_does_not_fit_the_checkpoint_is_refused(finished, make_recipe, config, message):
    _, results = finished
    model = {"type": "cmltnet", "checkpoint": str(results.output_dir), "config": config}
    with pytest.raises(ValueError, match=message):
        run_recipe(make_recipe(model=model, stages={"fuse": {"epochs": 1, "learning_rate": 1e-3}}))


def test_backbone_of_the_checkpoint_is_taken_where_the_recipe_says_null(finished, make_recipe):
    _, results = finished
    model = {"type": "cmltnet", "checkpoint": str(results.output_dir), "config": {"backbone": None}}
    run = run_recipe(make_recipe(model=model, stages={"fuse": {"epochs": 1, "learning_rate": 1e-3}}))
    assert AutoModelForImageClassification.from_pretrained(run.output_dir).config.backbone == "test_resnet"


def test_config_changes_that_of_the_checkpoint(finished, make_recipe):
    _, results = finished
    model = {"type": "cmltnet", "checkpoint": str(results.output_dir), "config": {"classification_loss": "focal"}}
    run = run_recipe(make_recipe(model=model, stages={"fuse": {"epochs": 1, "learning_rate": 1e-3}}))
    assert AutoModelForImageClassification.from_pretrained(run.output_dir).config.classification_loss == "focal"


@pytest.fixture(scope="module")
def cache_of_a_run(without_validation, tmp_path_factory):
    """The folder of features that a run of a baseline's head cached."""
    folder = tmp_path_factory.mktemp("runs")
    recipe = Recipe.from_dict(
        {
            "model": {"type": "lt_classifier", "config": {"backbone": "test_resnet"}},
            "dataset": {"path": str(without_validation)},
            "images": {"size": 32},
            "stages": {"head": {"epochs": 1, "learning_rate": 1e-3}},
            "logging_steps": 1,
            "output_dir": str(folder / "run"),
            "cache_dir": str(folder / "cache"),
        }
    )
    run_recipe(recipe)
    return folder / "cache"


@pytest.mark.parametrize(
    ("changes", "added"),
    [({}, 0), ({"images": {"size": 40}}, 3), ({"dataset": {"validation_fraction": 0.5}}, 2)],  # the test images stay
)
def test_cache_is_not_shared_by_other_rows_or_image_settings(
    cache_of_a_run, make_recipe, baseline_settings, without_validation, tmp_path, changes, added
):
    cache = shutil.copytree(cache_of_a_run, tmp_path / "cache")
    dataset = {"path": str(without_validation), **changes.get("dataset", {})}
    settings = {"images": {"size": 32}} | {key: value for key, value in changes.items() if key != "dataset"}
    stages = {"head": {"epochs": 1, "learning_rate": 1e-3}}
    model = baseline_settings["model"]
    run_recipe(make_recipe(model=model, stages=stages, dataset=dataset, cache_dir=str(cache), **settings))
    cached = [len(list(folder.glob("*.npy"))) for folder in (cache_of_a_run, cache)]
    assert cached == [3, 3 + added]  # train, validation and test


def test_checkpoint_of_another_method_is_refused(finished, make_recipe):
    _, results = finished
    stages = {"joint": {"epochs": 1, "learning_rate": 1e-3}}
    model = {"type": "lt_classifier", "checkpoint": str(results.output_dir)}
    with pytest.raises(ValueError, match=r"holds a model of type 'cmltnet'.*model\.type=lt_classifier"):
        run_recipe(make_recipe(model=model, stages=stages))


@pytest.mark.parametrize("start", [".", "checkpoints/align/final"])
@pytest.mark.parametrize(
    ("images", "message"),
    [
        ({"size": 40}, r"with size={'height': 32, .* with size={'height': 40, 'width': 40}; set images.size"),
        ({"size": 32, "mean": [0.1, 0.5, 0.5]}, r"with mean=\[0\.5, .* with mean=\[0\.1, 0\.5, 0\.5\]; set"),
        ({"size": 32, "std": [0.1, 0.5, 0.5]}, r"with std=\[0\.5, .* with std=\[0\.1, 0\.5, 0\.5\]; set"),
    ],
)
def test_images_unlike_those_of_the_checkpoint_are_refused(finished, make_recipe, start, images, message):
    _, results = finished
    model = {"type": "cmltnet", "checkpoint": str(results.output_dir / start)}
    with pytest.raises(ValueError, match=message):
        run_recipe(make_recipe(model=model, images=images, stages={"fuse": {"epochs": 1, "learning_rate": 1e-3}}))


def test_resampling_unlike_that_of_the_checkpoint_is_refused(finished, make_recipe, tmp_path):
    _, results = finished
    folder = tmp_path / "resampled"
    shutil.copytree(results.output_dir, folder)
    processor = AutoProcessor.from_pretrained(folder)
    processor.image_processor.resample = 0
    processor.save_pretrained(folder)
    model = {"type": "cmltnet", "checkpoint": str(folder)}
    with pytest.raises(ValueError, match="with resample=0, and this recipe"):
        run_recipe(make_recipe(model=model, stages={"fuse": {"epochs": 1, "learning_rate": 1e-3}}))


def test_checkpoint_that_says_nothing_of_its_images_is_taken(finished, make_recipe, tmp_path):
    _, results = finished
    folder = tmp_path / "alone"
    shutil.copytree(results.output_dir / "checkpoints" / "fuse" / "final", folder)
    model = {"type": "cmltnet", "checkpoint": str(folder)}
    run_recipe(make_recipe(model=model, stages={"fuse": {"epochs": 1, "learning_rate": 1e-3}}))
