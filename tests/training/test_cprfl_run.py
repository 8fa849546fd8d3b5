"""Runs of CPRFL on images with several labels."""

import dataclasses
import json
import shutil

import pytest
import torch
from PIL import Image
from tiny_clip import save_tiny_clip
from transformers import AutoModelForImageClassification, pipeline

from xmodal_lt.modeling.class_semantics import encode_classes
from xmodal_lt.prediction import Predictor
from xmodal_lt.training import Recipe, run_recipe
from xmodal_lt.training.evaluate_checkpoint import evaluate_checkpoint


CONFIG = {"backbone": "test_resnet", "semantics": "glove", "hidden_size": 32, "num_heads": 2, "head_size": 16}
STAGES = {"joint": {"epochs": 1, "learning_rate": 1e-3, "batch_size": 8, "scheduler": "constant"}}
EPOCHS_TO_LEARN = 8


@pytest.fixture
def recipe(make_recipe, multi_label_data):
    """Makes recipes of CPRFL on the colours with two labels; keyword arguments are config fields."""

    def make(**config) -> Recipe:
        model = {"type": "cprfl", "config": {**CONFIG, **config}}
        dataset = {"path": str(multi_label_data), "missing_words": "keep"}
        return make_recipe(model=model, stages=STAGES, dataset=dataset)

    return make


@pytest.mark.usefixtures("blank_figures")
def test_a_run_learns_reports_and_predicts(recipe, multi_label_data, tmp_path):
    changed = recipe()
    changed.stages["joint"].epochs = EPOCHS_TO_LEARN
    results = run_recipe(changed)
    test = results.values["splits"]["test"]
    assert test["map"] > 0.8  # the colours differ plainly, but violet has four training images; at random about 0.3
    assert {"cf1", "of1", "cf1_top3", "of1_top3"} <= set(test)

    model = AutoModelForImageClassification.from_pretrained(results.output_dir)
    names = [model.config.id2label[index] for index in range(5)]
    torch.testing.assert_close(model.cprfl.prompts.class_semantics, encode_classes(names, "glove"))

    slim = tmp_path / "slim"
    model.save_pretrained(slim, for_inference=True)
    shutil.copy(results.output_dir / "preprocessor_config.json", slim)
    image = multi_label_data / "test" / "red-0.png"
    named = {row["label"]: row["score"] for row in pipeline("image-classification", model=str(slim))(str(image))}
    (row,) = Predictor.from_pretrained(str(slim)).predict([Image.open(image)], top_k=2, threshold=0.5)
    assert {entry["label"] for entry in row["predictions"]} == {"red", "warm"}
    assert named["red"] == pytest.approx(next(e["score"] for e in row["predictions"] if e["label"] == "red"), abs=1e-5)


def test_an_evaluation_of_a_run_gives_its_results(recipe):
    results = run_recipe(recipe(prompt_network="none", semantics="random"))
    again, folder = evaluate_checkpoint(str(results.output_dir), threshold=0.8, panels=2)
    assert again["map"] == pytest.approx(results.values["splits"]["test"]["map"], abs=1e-6)
    assert again["threshold"] == 0.8
    assert (folder / "figures" / "predictions_test.png").is_file()


@pytest.fixture
def clip(tmp_path):
    save_tiny_clip(tmp_path / "clip")
    return f"clip:{tmp_path / 'clip'}"


@pytest.mark.usefixtures("blank_figures")
@pytest.mark.parametrize("bf16", [False, True])
def test_results_of_a_trained_text_encoder_are_those_of_its_checkpoint(recipe, clip, bf16):
    made = dataclasses.replace(recipe(semantics=clip, clip_text="trained"), bf16=bf16)
    results = run_recipe(made)
    again, _ = evaluate_checkpoint(str(results.output_dir))
    tolerance = 0.05 if bf16 else 1e-6  # a run with bf16 also evaluates in it
    assert again["map"] == pytest.approx(results.values["splits"]["test"]["map"], abs=tolerance)

    model = AutoModelForImageClassification.from_pretrained(results.output_dir)
    kept = model.cprfl.prompts.class_semantics.clone()
    torch.testing.assert_close(model.cprfl.prompts.semantics(), kept)
    untrained = encode_classes([model.config.id2label[index] for index in range(5)], clip)
    assert not torch.allclose(kept, untrained, atol=1e-3)


@pytest.mark.usefixtures("blank_figures")
def test_other_semantics_than_those_of_the_checkpoint_are_refused(recipe, clip, tmp_path):
    folder = run_recipe(recipe(semantics=clip)).output_dir
    start = recipe(semantics="glove")
    start = dataclasses.replace(
        start, model=dataclasses.replace(start.model, checkpoint=str(folder)), output_dir=str(tmp_path / "second")
    )
    with pytest.raises(ValueError, match=r"weights go with .*'semantics': 'clip:.*model.config says .*'glove'"):
        run_recipe(start)


def test_a_backbone_without_a_single_map_stops_a_run_before_it_trains(recipe, multi_label_data):
    made = recipe(backbone="crossvit_tiny_240")
    made.images.size = 240
    with pytest.raises(ValueError, match="CrossVit has no single map of features"):
        run_recipe(made)
    assert not (multi_label_data.parent / "run").exists()


def test_class_names_without_vectors_stop_a_run_before_it_trains(recipe, multi_label_data):
    for file in multi_label_data.rglob("metadata.jsonl"):
        rows = [json.loads(line.replace('"violet"', '"qxzzv"')) for line in file.read_text().splitlines()]
        file.write_text("\n".join(map(json.dumps, rows)))
    changed = recipe()
    with pytest.raises(ValueError, match="qxzzv"):
        run_recipe(changed)
    assert not (multi_label_data.parent / "run" / "checkpoints").exists()


@pytest.mark.usefixtures("blank_figures")
def test_images_with_one_label_take_cross_entropy(make_recipe):
    model = {"type": "cprfl", "config": {**CONFIG, "semantics": "random"}}
    changed = make_recipe(model=model, stages=STAGES)
    changed.stages["joint"].epochs = EPOCHS_TO_LEARN
    results = run_recipe(changed)
    assert results.values["splits"]["test"]["accuracy"] > 0.8
