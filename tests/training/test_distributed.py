"""Two processes give the batches, losses and scores of one; started as `accelerate launch` starts them."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_clip import save_tiny_clip
from transformers import CLIPImageProcessor


pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def _train(recipe: Path, output: Path, processes: int) -> dict:
    launch = [sys.executable, "-m", "accelerate.commands.launch"]
    if processes > 1:  # `--cpu --num_processes 2` would run one process
        launch += ["--multi_gpu", "--num_processes", str(processes), "--main_process_port", str(_free_port())]
    else:
        launch += ["--cpu", "--num_processes", "1"]
    command = [*launch, str(ROOT / "train.py"), str(recipe), f"output_dir={output}"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run(command, check=True, capture_output=True, env=environment, timeout=400)
    return json.loads((output / "results.json").read_text())


@pytest.fixture(scope="module")
def runs(colour_data, tmp_path_factory):
    """Output folders and results of the same recipe in one process and in two."""
    folder = tmp_path_factory.mktemp("distributed")
    recipe = folder / "recipe.yaml"
    stage = "epochs: 2, learning_rate: 0.01, batch_size: 8, optimizer: sgd, scheduler: constant"
    sampled = f"{stage}, sampler: class_aware, sampler_kwargs: {{samples_per_class: 2, reduce: 2}}"
    sizes = "shared_size: 16, semantic_size: 8, word_embedding_size: 8, transfer_hidden_size: 8, top_k: 2"
    # vit has no batch norm, whose statistics would be those of half a batch on each of two ranks.
    recipe.write_text(
        f"""
model: {{type: cmltnet, config: {{backbone: test_vit, backbone_kwargs: {{img_size: 32}}, {sizes}}}}}
dataset: {{path: "{colour_data}"}}
images: {{size: 32}}
stages: {{align: {{{stage}}}, infer: {{{sampled}}}}}
logging_steps: 1
output_dir: unset
"""
    )
    return {n: (folder / str(n), _train(recipe, folder / str(n), n)) for n in (1, 2)}


def _logged(folder: Path, stage: str, key: str) -> list[float]:
    history = json.loads((folder / "history.json").read_text())[stage]
    return [entry[key] for entry in history if key in entry]


@pytest.mark.parametrize("stage", ["align", "infer"])
def test_global_batches_are_the_same(runs, stage):
    one, two = (_logged(runs[n][0], stage, "loss") for n in (1, 2))
    assert len(one) == 12  # 48 images, or draws of the sampler, in batches of 8 over all processes, two epochs
    assert two == pytest.approx(one, rel=1e-3)


def test_loss_parts_are_means_over_the_processes(runs):
    one, two = (_logged(runs[n][0], "align", "loss_alignment") for n in (1, 2))
    assert two == pytest.approx(one, rel=1e-3)


def test_weights_agree(runs):
    one, two = (load_file(runs[n][0] / "model.safetensors") for n in (1, 2))
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=1e-3, atol=1e-4)


def test_every_sample_is_evaluated_once(runs):
    for _, results in runs.values():
        assert results["splits"]["test"]["num_samples"] == 20
        assert results["splits"]["test"]["groups"]["all"]["num_test"] == 20
    assert runs[1][1]["splits"]["test"]["accuracy"] == pytest.approx(
        runs[2][1]["splits"]["test"]["accuracy"], abs=0.051
    )


@pytest.fixture(scope="module")
def contrastive_runs(colour_data, tmp_path_factory):
    """Output folders of VL-LTR in one process and in two, in pieces of three images and sentences."""
    folder = tmp_path_factory.mktemp("contrastive")
    save_tiny_clip(folder / "clip")
    CLIPImageProcessor().save_pretrained(folder / "clip")
    recipe = folder / "recipe.yaml"
    stage = "epochs: 2, learning_rate: 0.1, batch_size: 16, optimizer: sgd, scheduler: constant"
    clip = folder / "clip"
    recipe.write_text(
        f"""
model:
  type: vl_ltr
  config: {{backbone: "hf:{clip}", text_backbone: "clip:{clip}", num_anchors: 3, temperature: 0.1}}
  pretrained: "{clip}"
dataset: {{path: "{colour_data}"}}
images: {{size: 32}}
corpus: {{source: train, templates: ["a {{}}."]}}
stages: {{pretrain: {{{stage}, chunk_size: 3, sampler: square_root}}, finetune: {{{stage}}}}}
logging_steps: 1
output_dir: unset
"""
    )
    for processes in (1, 2):
        _train(recipe, folder / str(processes), processes)
    return [folder / str(processes) for processes in (1, 2)]


def test_contrastive_losses_are_those_of_the_whole_batch(contrastive_runs):
    for stage, keys in (("pretrain", ("loss", "loss_contrastive", "loss_distillation")), ("finetune", ("loss",))):
        for key in keys:
            one, two = (_logged(folder, stage, key) for folder in contrastive_runs)
            assert len(one) == 6
            assert two == pytest.approx(one, rel=1e-3), (stage, key)


def test_processes_agree_on_sentences_and_weights(contrastive_runs):
    one, two = (json.loads((folder / "anchors.json").read_text()) for folder in contrastive_runs)
    assert [[row["text"] for row in entry["sentences"]] for entry in one] == [
        [row["text"] for row in entry["sentences"]] for entry in two
    ]
    one, two = (load_file(folder / "model.safetensors") for folder in contrastive_runs)
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=1e-3, atol=1e-3)


# Trains, then resumes from the middle of the second epoch; the exit status says whether the weights are the same.
RESUME = """
import sys
from pathlib import Path

import torch

from xmodal_lt import ImageClassifier, ImageClassifierConfig
from xmodal_lt.data import ClassAwareSampler
from xmodal_lt.training import LongTailTrainer, LongTailTrainingArguments

LABELS = [0] * 12 + [1] * 4


class Rows(torch.utils.data.Dataset):
    def __init__(self, width):
        self.features = torch.randn(16, width, generator=torch.Generator().manual_seed(0))

    def __len__(self):
        return 16

    def __getitem__(self, index):
        return {"features": self.features[index], "labels": LABELS[index]}


def train(folder, **options):
    torch.manual_seed(0)
    model = ImageClassifier(ImageClassifierConfig(backbone="test_resnet", num_labels=2))
    model.set_stage("head")
    args = LongTailTrainingArguments(
        output_dir=folder, per_device_train_batch_size=2, learning_rate=0.1, num_train_epochs=2, save_strategy="steps",
        save_steps=9, report_to="none", use_cpu=True, disable_tqdm=True,
    )  # 24 draws an epoch, four a step
    data = Rows(model.get_vision_encoder().hidden_size)
    trainer = LongTailTrainer(model=model, args=args, train_dataset=data, sampler=lambda _: ClassAwareSampler(LABELS))
    trainer.train(**options)
    assert trainer.args.world_size == 2
    return model.classifier.weight.detach()


folder = Path(sys.argv[1])
whole = train(str(folder / "whole"))
resumed = train(str(folder / "resumed"), resume_from_checkpoint=str(folder / "whole" / "checkpoint-9"))
sys.exit(not torch.equal(whole, resumed))
"""


def test_resume_within_an_epoch_goes_on_in_the_samplers_stream_on_every_rank(tmp_path):
    script = tmp_path / "resume.py"
    script.write_text(RESUME)
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port"]
    command = [*launch, str(_free_port()), str(script), str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, timeout=200)
