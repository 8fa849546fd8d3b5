"""Runs whose images are streamed from parquet files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from embedding import write_parquet
from safetensors.torch import load_file
from transformers import TrainerCallback

from xmodal_lt.data import load_lt
from xmodal_lt.training import LongTailTrainer, Recipe, run_recipe
from xmodal_lt.training.data_fingerprint import fingerprint_of_rows
from xmodal_lt.training.evaluate_checkpoint import evaluate_checkpoint, load_data_of_run
from xmodal_lt.training.output_folder import OutputFolder
from xmodal_lt.training.recipe import DatasetRecipe
from xmodal_lt.training.run import _Run
from xmodal_lt.training.setup import load_data


pytestmark = pytest.mark.usefixtures("blank_figures")

SIZES = {"shared_size": 16, "semantic_size": 8, "word_embedding_size": 8, "transfer_hidden_size": 8}
MODELS = {
    "cmltnet": {"backbone": "test_resnet", "top_k": 2, **SIZES},
    "lt_classifier": {"backbone": "test_resnet"},
}
STAGE = {"epochs": 2, "learning_rate": 1e-3, "batch_size": 16, "milestones": [1]}


@pytest.fixture(scope="module")
def parquet(colour_data, tmp_path_factory) -> Path:
    """The colours in files of three row groups."""
    return write_parquet(load_lt(colour_data), tmp_path_factory.mktemp("parquet"), files=2, rows=10)


@pytest.fixture(scope="module")
def recipe_of(parquet) -> Callable[..., Recipe]:
    """Makes recipes on the parquet files, streamed unless `dataset` says otherwise."""

    def make(model: str, stages: dict[str, Any], output: Path, dataset: dict[str, Any] | None = None, **changes: Any):
        values = {
            "model": {"type": model, "config": MODELS[model]},
            "dataset": {"path": str(parquet), "streaming": True, "shuffle_buffer": 8, **(dataset or {})},
            "images": {"size": 32},
            "stages": stages,
            "logging_steps": 1,
            "output_dir": str(output),
        }
        return Recipe.from_dict(values | changes)

    return make


@pytest.fixture(scope="module")
def finished(recipe_of, tmp_path_factory):
    """A run of a model with words, whose first stage trains on images and whose second one on cached features."""
    stage = {**STAGE, "epochs": 1}
    folder = tmp_path_factory.mktemp("runs") / "streamed"
    return run_recipe(recipe_of("cmltnet", {"align": stage, "infer": stage}, folder))


def assert_equal_weights(first: Path, second: Path) -> None:
    one, two = (load_file(folder / "model.safetensors") for folder in (first, second))
    assert one.keys() == two.keys()
    assert [name for name in one if not torch.equal(one[name], two[name])] == []


def test_results_are_complete(finished, parquet):
    values = json.loads((finished.output_dir / "results.json").read_text())
    assert {split: results["num_samples"] for split, results in values["splits"].items()} == {
        "validation": 20,
        "test": 20,
    }
    assert values["dataset"]["name"] == str(parquet)
    assert values["dataset"]["rows"] == {"train": 48, "validation": 20, "test": 20}
    assert [row["train_count"] for row in values["splits"]["test"]["per_class"]] == [8, 12, 24, 4]
    history = json.loads((finished.output_dir / "history.json").read_text())
    assert {stage: max(entry["step"] for entry in entries) for stage, entries in history.items()} == {
        "align": 3,
        "infer": 3,
    }


@pytest.mark.parametrize("split", ["test", "train"])
def test_scores_are_those_of_the_table(finished, tmp_path, split):
    streamed, _ = evaluate_checkpoint(str(finished.output_dir), split=split, output=tmp_path)
    copy = Path(shutil.copytree(finished.output_dir, tmp_path / "copy"))
    recipe = (copy / "recipe.yaml").read_text()
    assert "streaming: true" in recipe
    (copy / "recipe.yaml").write_text(recipe.replace("streaming: true", "streaming: false"))
    stored, _ = evaluate_checkpoint(str(copy), split=split, output=tmp_path)
    assert streamed == stored
    if split == "test":
        assert streamed == finished.values["splits"]["test"]


def test_panels_need_no_other_recipe(finished, tmp_path):
    results, folder = evaluate_checkpoint(str(finished.output_dir), output=tmp_path, panels=2)
    assert results == finished.values["splits"]["test"]
    assert (folder / "figures" / "predictions_test.png").is_file()


def test_single_rows_are_had_as_a_table(finished):
    """For retrieval and panels."""
    data = load_data_of_run(str(finished.output_dir), as_table=True)
    assert data.streams is None
    assert data.splits["test"][3]["image"].size == (40, 40)


@pytest.mark.parametrize("stage", [{}, {"views": 2, "sampler": "class_aware"}])
def test_a_stage_on_cached_features_is_that_of_the_table(recipe_of, tmp_path, stage):
    caches = []
    for streaming in (True, False):
        folder = tmp_path / f"{streaming}"
        run_recipe(recipe_of("cmltnet", {"infer": {**STAGE, **stage}}, folder, {"streaming": streaming}))
        files = [np.load(file) for file in (folder / "cache").glob("*.npy")]
        caches.append(sorted(files, key=lambda array: (array.shape, array.sum())))
    assert len(caches[0]) == 3
    for streamed, stored in zip(*caches, strict=True):
        np.testing.assert_array_equal(streamed, stored)
    assert_equal_weights(tmp_path / "True", tmp_path / "False")


class Keep(TrainerCallback):
    """Keeps the checkpoint in the middle of the second epoch."""

    def __init__(self, folder: Path):
        self.folder = folder

    def on_save(self, args, state, control, **kwargs):
        if state.global_step == 9:
            shutil.copytree(Path(args.output_dir) / "checkpoint-9", self.folder)


def test_resume_within_an_epoch_goes_on_where_the_stream_was(recipe_of, tmp_path):
    stages = {"joint": {**STAGE, "batch_size": 8}}  # six steps an epoch
    options = {"save_steps": 9, "num_workers": 2}
    with pytest.MonkeyPatch.context() as patch:
        original, keep = LongTailTrainer.__init__, Keep(tmp_path / "kept")
        patch.setattr(LongTailTrainer, "__init__", lambda self, **kwargs: original(self, callbacks=[keep], **kwargs))
        run_recipe(recipe_of("lt_classifier", stages, tmp_path / "whole", **options))
    shutil.copytree(tmp_path / "kept", tmp_path / "resumed" / "checkpoints" / "joint" / "checkpoint-9")
    run_recipe(recipe_of("lt_classifier", stages, tmp_path / "resumed", resume=True, **options))
    assert_equal_weights(tmp_path / "whole", tmp_path / "resumed")


def test_a_trainer_reads_every_row_once_in_each_epoch_in_other_orders(recipe_of, tmp_path):
    recipe = recipe_of("lt_classifier", {"joint": {**STAGE, "batch_size": 10}}, tmp_path / "run")
    run = _Run(recipe, OutputFolder(recipe.output_dir))
    train, _ = run._stage_data(recipe.stages["joint"])
    arguments = run._arguments("joint", recipe.stages["joint"])
    arguments.eval_strategy = arguments.save_strategy = "no"
    seen: list[int] = []

    def counting(samples: list[dict[str, Any]]) -> Any:
        seen.extend(sample.pop("number") for sample in samples)
        return run.collator(samples)

    sample = train.sample
    train.sample = lambda index, row: {**sample(index, row), "number": index}
    LongTailTrainer(model=run.model, args=arguments, train_dataset=train, data_collator=counting).train()
    first, second = seen[:48], seen[48:]
    assert sorted(first) == sorted(second) == list(range(48))
    assert list(range(48)) != first != second


def test_a_run_with_several_labels(recipe_of, parquet, tmp_path):
    for file in parquet.iterdir():
        part = load_lt(file)["train"]
        names = part.features["label"].names
        several = [[names[label], "flat"] for label in part["label"]]
        part.remove_columns("label").add_column("labels", several).to_parquet(tmp_path / "several" / file.name)
    recipe = recipe_of("lt_classifier", {"joint": STAGE}, tmp_path / "run", {"path": str(tmp_path / "several")})
    results = run_recipe(recipe).values["splits"]["test"]
    assert results["num_samples"] == 20
    assert results["groups"]["all"]["num_classes"] == 5


def test_the_data_is_the_same_to_a_resumed_run_streamed_or_not(parquet):
    streamed, stored = (
        load_data(DatasetRecipe(path=str(parquet), streaming=streaming), 0) for streaming in (True, False)
    )
    assert fingerprint_of_rows(streamed.splits) == fingerprint_of_rows(stored.splits)
    assert streamed.stats.counts.tolist() == stored.stats.counts.tolist()
    assert streamed.has_words
    assert not streamed.has_videos


def test_samplers_are_for_tables(recipe_of, tmp_path):
    stages = {"joint": {**STAGE, "sampler": "class_aware"}}
    with pytest.raises(
        ValueError, match=r"stages\.joint\.sampler=class_aware draws single rows, and a stream is read"
    ):
        run_recipe(recipe_of("lt_classifier", stages, tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_no_validation_split_is_taken_out_of_a_stream(recipe_of, parquet, tmp_path):
    shutil.copytree(parquet, tmp_path / "data", ignore=shutil.ignore_patterns("validation*"))
    stages, dataset = {"joint": {**STAGE, "epochs": 1}}, {"path": str(tmp_path / "data")}
    with pytest.raises(ValueError, match=r"none can be taken out of a stream; set dataset\.validation_fraction=0"):
        run_recipe(recipe_of("lt_classifier", stages, tmp_path / "run", dataset))
    results = run_recipe(recipe_of("lt_classifier", stages, tmp_path / "run", {**dataset, "validation_fraction": 0}))
    assert list(results.values["splits"]) == ["test"]


def test_videos_are_not_streamed(recipe_of, videos, tmp_path):
    with pytest.raises(ValueError, match="is of videos, whose features are read one by one from their files"):
        run_recipe(recipe_of("lt_classifier", {"joint": STAGE}, tmp_path / "run", {"path": str(videos)}))
