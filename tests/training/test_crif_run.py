"""Runs of CRIF on images with words."""

import json
import math

import numpy as np
import pytest
import torch
from transformers import AutoModelForImageClassification, AutoProcessor

from xmodal_lt.data import ClassStats, load_lt
from xmodal_lt.processing import XModalCollator
from xmodal_lt.training import run_recipe
from xmodal_lt.training.evaluation import branch_scores, evaluate_privileged, evaluation_trainer
from xmodal_lt.training.training_data import privileged_evaluation_data


pytestmark = pytest.mark.usefixtures("blank_figures")

SIZES = {"shared_size": 32, "semantic_size": 16, "word_hidden_size": 16, "transfer_hidden_size": 16}
PRIVILEGED_BRANCHES = ["semantic", "visual_semantic", "semantic_inferred", "visual_semantic_inferred"]


def test_three_stages_with_several_labels_an_image(make_recipe, multi_label_data):
    loss = {"classification_loss": "bce", "classification_loss_kwargs": {"pos_weight": 20.0}}
    config = {"backbone": "test_resnet", "decoder_steps": 3, **SIZES, **loss}
    stage = {"epochs": 1, "learning_rate": 1e-2, "batch_size": 16, "scheduler": "constant"}
    stages = {name: dict(stage) for name in ("align", "infer", "fuse")}
    model = {"type": "crif", "config": config}
    results = run_recipe(make_recipe(model=model, stages=stages, dataset={"path": str(multi_label_data)}))
    test = results.values["splits"]["test"]
    assert test["problem_type"] == "multi_label_classification"
    assert {"map", "precision_at_1", "cf1", "of1"} <= set(test)
    assert results.values["branches"]["test"]["fused"]["map"] == test["map"]
    history = json.loads((results.output_dir / "history.json").read_text())
    assert list(history) == ["align", "infer", "fuse"]
    model = AutoModelForImageClassification.from_pretrained(results.output_dir)
    loss = model.classification_loss()(torch.zeros(1, 5), torch.ones(1, 5))
    assert float(loss) == pytest.approx(20 * math.log(2))


@pytest.fixture
def trainer(crif_run, tmp_path):
    """What predicts with the model of the run."""
    model = AutoModelForImageClassification.from_pretrained(crif_run).eval()
    collator = XModalCollator(AutoProcessor.from_pretrained(crif_run))
    return evaluation_trainer(model, collator, tmp_path, batch_size=4, num_workers=0, use_cpu=True)


@torch.no_grad()
def test_scores_of_branches_that_read_true_words_have_the_names_of_these(trainer, shapes):
    rows = load_lt(shapes)["test"]
    scores, references = branch_scores(trainer, privileged_evaluation_data(rows), trainer.model.privileged_branches)
    batch = trainer.data_collator([{"image": row["image"], "words": row["words"]} for row in rows])
    outputs = trainer.model(**batch)
    assert list(scores) == ["logits", *PRIVILEGED_BRANCHES]
    for branch in PRIVILEGED_BRANCHES:
        np.testing.assert_allclose(scores[branch], outputs[f"{branch}_logits"], atol=1e-5)
    assert references.tolist() == rows["label"][:]


def test_results_hold_the_scores_of_branches_that_read_true_words(crif_run, trainer, shapes):
    data = load_lt(shapes)
    stats = ClassStats.from_dataset(data["train"], head=10, tail=5)
    splits = {name: privileged_evaluation_data(data[name]) for name in ("validation", "test")}
    scores = evaluate_privileged(trainer, splits, stats, "single_label_classification")
    assert json.loads((crif_run / "results.json").read_text())["privileged_branches"] == scores


def test_the_folder_of_a_run_on_images_has_one_processor(crif_run):
    names = {path.name for path in crif_run.iterdir()}
    assert {"processor_config.json", "tokenizer.json"} <= names
    assert "preprocessor_config.json" not in names
