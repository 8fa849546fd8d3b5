"""A run that is killed with SIGKILL and resumed ends with the weights of a run that was left alone."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file


pytestmark = pytest.mark.slow

STAGES = ("align", "infer", "fuse")


@pytest.fixture(scope="module")
def recipe_file(colour_data, tmp_path_factory):
    """Three stages that save at every step, with augmentation, so that a kill falls in the middle of an epoch."""
    stage = "{epochs: 3, learning_rate: 0.001, batch_size: 8, milestones: [2]}"
    sizes = "shared_size: 16, semantic_size: 8, word_embedding_size: 8, transfer_hidden_size: 8, top_k: 2"
    path = tmp_path_factory.mktemp("recipes") / "recipe.yaml"
    path.write_text(
        f"""
model: {{type: cmltnet, config: {{backbone: test_resnet, {sizes}}}}}
dataset: {{path: "{colour_data}"}}
images: {{size: 32, crop_scale: [0.5, 1.0]}}
stages: {{{", ".join(f"{name}: {stage}" for name in STAGES)}}}
save_steps: 1
output_dir: unset
"""
    )
    return path


def _command(recipe_file: Path, output: Path) -> list[str]:
    return [sys.executable, "-m", "xmodal_lt", "train", str(recipe_file), f"output_dir={output}", "resume=true"]


@pytest.fixture(scope="module")
def undisturbed(recipe_file, tmp_path_factory):
    output = tmp_path_factory.mktemp("runs") / "undisturbed"
    subprocess.run(_command(recipe_file, output), check=True, capture_output=True)
    return load_file(output / "model.safetensors")


def _kill_in(stage: str, process: subprocess.Popen, output: Path) -> None:
    """Kills the process once the stage begins its eighth checkpoint: half written or not, in mid-epoch."""
    deadline = time.monotonic() + 120
    while not (output / "checkpoints" / stage / "checkpoint-8").exists():
        assert process.poll() is None, f"the run ended before stage {stage} could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.parametrize("stage", STAGES)
def test_killed_run_resumes_to_the_same_weights(recipe_file, undisturbed, tmp_path, stage):
    output = tmp_path / "run"
    process = subprocess.Popen(_command(recipe_file, output), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _kill_in(stage, process, output)
    assert not (output / "checkpoints" / stage / "final").exists()
    assert not (output / "results.json").exists()
    subprocess.run(_command(recipe_file, output), check=True, capture_output=True)
    resumed = load_file(output / "model.safetensors")
    assert resumed.keys() == undisturbed.keys()
    assert [name for name in resumed if not torch.equal(resumed[name], undisturbed[name])] == []
