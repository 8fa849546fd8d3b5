"""The package's recipes of videos, on a few videos in the form of MSR-VTT's files."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from transformers import AutoFeatureExtractor, AutoModelForImageClassification

from xmodal_lt.training import Recipe, run_recipe
from xmodal_lt.training.evaluate_checkpoint import evaluate_checkpoint
from xmodal_lt.training.output_folder import OutputFolder
from xmodal_lt.training.run import _Run


pytestmark = pytest.mark.usefixtures("blank_figures")

RECIPES = Path(__file__).parents[2] / "recipes"
NUM_CLASSES = 20
SPLITS = ["train", "train", "validate", "test"]  # of the videos of each class


@pytest.fixture(scope="module")
def msr_vtt(tmp_path_factory) -> Path:
    """Both annotation files, S3D features of all videos and speech features of those in train."""
    folder = tmp_path_factory.mktemp("msr_vtt")
    rng = np.random.default_rng(0)
    for name in ("features", "speech_features"):
        (folder / name).mkdir()
    videos = [
        {"video_id": f"video{number}", "category": number % NUM_CLASSES, "split": SPLITS[number // NUM_CLASSES]}
        for number in range(NUM_CLASSES * len(SPLITS))
    ]
    for video in videos:
        np.save(folder / "features" / f"{video['video_id']}.npy", rng.standard_normal((rng.integers(3, 13), 8)))
        if video["split"] == "train":
            speech = rng.standard_normal((rng.integers(1, 4), 4))
            np.save(folder / "speech_features" / f"{video['video_id']}.npy", speech)
    for name, test in (("train_val_videodatainfo.json", False), ("test_videodatainfo.json", True)):
        own = [video for video in videos if (video["split"] == "test") == test]
        sentences = [
            {"video_id": video["video_id"], "caption": f"someone shows subject{video['category']}"} for video in own
        ]
        (folder / name).write_text(json.dumps({"videos": own, "sentences": sentences}))
    return folder


def load(name: str, folder: Path, output: Path, *overrides: str) -> Recipe:
    small = ["model.config.backbone_kwargs.hidden_size=8", f"dataset.data_dir={folder}", f"output_dir={output}"]
    return Recipe.load(RECIPES / f"{name}.yaml", [*small, *overrides])


def small_stages(*names: str) -> list[str]:
    return [f"stages.{name}.{change}" for name in names for change in ("epochs=1", "milestones=[]")]


def test_the_baseline(msr_vtt, tmp_path):
    results = run_recipe(load("baseline_msr_vtt", msr_vtt, tmp_path / "run", *small_stages("joint"))).values
    assert results["dataset"]["rows"] == {"train": 40, "validation": 20, "test": 20}
    assert results["splits"]["test"]["num_samples"] == 20
    assert AutoFeatureExtractor.from_pretrained(tmp_path / "run").feature_size == 8


def test_crif_with_speech_features_of_the_folder(msr_vtt, tmp_path):
    recipe = load(
        "crif_msr_vtt",
        msr_vtt,
        tmp_path / "run",
        "model.config.privileged_encoder_kwargs.hidden_size=8",
        "model.config.shared_size=16",
        *small_stages("align", "infer", "fuse"),
    )
    results = run_recipe(recipe).values
    assert set(results["branches"]["test"]) == {"aligned", "inferred", "fused"}
    config = AutoModelForImageClassification.from_pretrained(tmp_path / "run").config
    assert config.backbone_kwargs == {"input_size": 8, "hidden_size": 8}
    assert config.privileged_encoder_kwargs == {"input_size": 4, "hidden_size": 8}


def test_crif_with_the_words_of_captions(msr_vtt, tmp_path):
    recipe = load(
        "crif_msr_vtt",
        msr_vtt,
        tmp_path / "run",
        "model.config.privileged_encoder=null",
        "dataset.kwargs.privileged_features=null",
    )
    run = _Run(recipe, OutputFolder(recipe.output_dir))
    assert run.model.config.num_words == 1 + NUM_CLASSES  # "shows" and a subject of each class
    assert not run.data.has_privileged_features


def test_a_saved_run_is_scored_without_its_privileged_features(msr_vtt, tmp_path):
    folder = tmp_path / "msr_vtt"
    shutil.copytree(msr_vtt, folder)
    recipe = load(
        "crif_msr_vtt",
        folder,
        tmp_path / "run",
        "model.config.privileged_encoder_kwargs.hidden_size=8",
        "stages.infer=null",
        "stages.fuse=null",
        *small_stages("align"),
    )
    expected = run_recipe(recipe).values["splits"]["test"]
    shutil.rmtree(folder / "speech_features")

    for dataset in (None, "msr-vtt"):
        results, _ = evaluate_checkpoint(str(tmp_path / "run"), dataset)
        assert results == expected
