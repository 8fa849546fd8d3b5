"""The configs of `accelerate launch`: accelerate itself reads them, and a recipe runs under the one that a CPU can."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils import DistributedType
from safetensors.torch import load_file

from xmodal_lt.training import Recipe


CONFIGS = Path(__file__).parents[1] / "configs" / "accelerate"
FILES = sorted(CONFIGS.glob("*.yaml"))

# As train.py; tells in how many processes.
SCRIPT = """
import sys

from accelerate import PartialState

from xmodal_lt.cli import main

try:
    main(["train", *sys.argv[1:]])
finally:
    print("processes:", PartialState().num_processes)
"""


# Accelerate shares models out on accelerators alone; PyTorch does on CPUs too.
FSDP_ON_CPU = """
import accelerate
import accelerate.state
from accelerate.utils import DistributedType

init, gather = accelerate.state.AcceleratorState.__init__, accelerate.Accelerator.get_state_dict


def with_fsdp(self, *args, fsdp_plugin=None, **options):
    init(self, *args, fsdp_plugin=fsdp_plugin, **options)
    if fsdp_plugin is not None:
        self.fsdp_plugin = fsdp_plugin


def counted(self, model, unwrap=True):
    print("shared out:", any(hasattr(weight, "full_tensor") for weight in model.parameters()), flush=True)
    return gather(self, model, unwrap)


accelerate.state.AcceleratorState.__init__ = with_fsdp
accelerate.Accelerator.get_state_dict = counted
accelerate.Accelerator.is_fsdp2 = property(lambda self: True)
accelerate.Accelerator.distributed_type = property(lambda self: DistributedType.FSDP)
"""


def launched(file: Path, *options: str) -> Any:
    """What the launcher makes of a config and of options."""
    arguments = launch_command_parser().parse_args(["--config_file", str(file), *options, "train.py", "recipe.yaml"])
    return _validate_launch_command(arguments)[0]


def test_there_is_one_for_each_way():
    types = {file.stem: load_config_from_file(str(file)).distributed_type for file in FILES}
    assert types == {
        "ddp": DistributedType.MULTI_GPU,
        "deepspeed_zero2": DistributedType.DEEPSPEED,
        "fsdp": DistributedType.FSDP,
        "multi_node": DistributedType.MULTI_GPU,
    }


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_launcher_knows_every_key(file):
    known = vars(launch_command_parser().parse_args(["train.py"]))
    config = load_config_from_file(str(file))  # refuses unknown ones outside of these two
    assert set(config.fsdp_config) | set(config.deepspeed_config) <= set(known)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_launcher_takes_it_and_leaves_precision_to_the_recipe(file):
    arguments = launched(file)
    assert arguments.mixed_precision == "no" and arguments.num_processes > 1
    assert (arguments.multi_gpu, arguments.use_deepspeed, arguments.use_fsdp) == (
        file.stem in ("ddp", "multi_node"),
        file.stem == "deepspeed_zero2",
        file.stem == "fsdp",
    )


def test_options_prevail():
    assert launched(CONFIGS / "ddp.yaml", "--num_processes", "4").num_processes == 4
    machine = launched(CONFIGS / "multi_node.yaml", "--machine_rank", "1", "--main_process_ip", "node0")
    assert (machine.num_machines, machine.machine_rank, machine.main_process_ip) == (2, 1, "node0")


def test_deepspeed_and_fsdp_do_as_they_say():
    assert launched(CONFIGS / "deepspeed_zero2.yaml").zero_stage == 2
    sharded = launched(CONFIGS / "fsdp.yaml")
    assert int(sharded.fsdp_version) == 2 and sharded.fsdp_state_dict_type == "FULL_STATE_DICT"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_command_at_its_top_names_it_and_a_recipe_that_exists(file):
    comment = "".join(line for line in file.read_text().splitlines(keepends=True) if line.startswith("#"))
    assert f"--config_file configs/accelerate/{file.name}" in comment
    (recipe,) = re.findall(r"train\.py (recipes/\S+)", comment)
    assert (CONFIGS.parents[1] / recipe).is_file()


def run_in_two_processes(config: str, script: str, recipe: Recipe, folder: Path) -> subprocess.CompletedProcess[str]:
    recipe.channels_last = False  # which FSDP does without
    for stage in recipe.stages.values():
        stage.optimizer = "sgd"  # Adam makes steps of rounding errors
    (folder / "recipe.yaml").write_text(recipe.to_yaml())
    (folder / "script.py").write_text(script)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = str(listener.getsockname()[1])
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(CONFIGS / config)]
    command = [*launch, "--main_process_port", port, str(folder / "script.py"), str(folder / "recipe.yaml")]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=400)


@pytest.fixture(scope="module")
def ddp_run(shapes_recipe, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ddp")
    done = run_in_two_processes("ddp.yaml", SCRIPT, shapes_recipe("cmltnet", folder / "run"), folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("processes: 2") == 2
    return folder / "run"


@pytest.mark.slow
def test_a_recipe_runs_in_two_processes(ddp_run):
    assert json.loads((ddp_run / "results.json").read_text())["splits"]["test"]["num_samples"] == 9


@pytest.mark.slow
def test_a_model_in_shares_learns_the_same(ddp_run, shapes_recipe, tmp_path):
    recipe = shapes_recipe("cmltnet", tmp_path / "run")

    done = run_in_two_processes("fsdp.yaml", FSDP_ON_CPU + SCRIPT, recipe, tmp_path)

    assert done.returncode == 0, done.stderr
    assert done.stdout.count("shared out: True") >= 2
    one, other = (load_file(folder / "model.safetensors") for folder in (ddp_run, tmp_path / "run"))
    for name, tensor in one.items():
        torch.testing.assert_close(other[name], tensor, rtol=1e-3, atol=1e-4)
    scores = [json.loads((folder / "results.json").read_text())["splits"] for folder in (ddp_run, tmp_path / "run")]
    assert scores[0]["test"]["accuracy"] == pytest.approx(scores[1]["test"]["accuracy"])
