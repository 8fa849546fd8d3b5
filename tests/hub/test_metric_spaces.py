"""Metrics as Spaces: written, loaded without network, and pushed by the real client to a Hub on 127.0.0.1."""

from __future__ import annotations

import json
import socket
import subprocess
import sys

import evaluate
import pytest
import yaml
from hub_server import HubServer

from xmodal_lt import __version__
from xmodal_lt.hub.metric_spaces import write_metric_space


NAMES = ["lt_map", "multilabel_f1", "precision_recall_at_k", "shot_accuracy", "top_k_accuracy"]

# Pushes twice, loads the metric from its Space, and tries what must be refused.
CLIENT = """
import json

import evaluate
from huggingface_hub import HfApi

from xmodal_lt.hub.metric_spaces import push_metric_space

first, second = push_metric_space("shot_accuracy", "org", private=True), push_metric_space("shot_accuracy", "org")
push_metric_space("lt_map", "org", private=False)
metric = evaluate.load("org/lt_map")
api = HfApi()
api.create_repo("org/multilabel_f1", repo_type="space", space_sdk="gradio")
api.upload_file(path_or_fileobj=b"", path_in_repo="game.py", repo_id="org/multilabel_f1", repo_type="space")
errors = {}
for name, owner, token in (("multilabel_f1", "org", None), ("lt_map", "nobody", None), ("lt_map", "org", "hf_none")):
    try:
        push_metric_space(name, owner, token=token)
    except (OSError, ValueError) as error:
        errors[f"{owner}/{name} {token}"] = f"{type(error).__name__}: {error}"
result = metric.compute(predictions=[[2.0, -1.0], [-0.3, 0.2]], references=[[1, 0], [1, 1]], class_counts=[120, 7])
print(json.dumps({"urls": [first, second], "map": result["map"], "errors": errors}))
"""


@pytest.fixture
def no_network(monkeypatch):
    def refuse(self, address):
        raise AssertionError(f"connected to {address}")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.mark.parametrize("name", NAMES)
def test_written_folder_is_a_space_that_evaluate_loads_without_network(name, tmp_path, evaluate_cache, no_network):
    folder = write_metric_space(name, tmp_path)

    assert {path.name for path in folder.iterdir()} == {f"{name}.py", "app.py", "requirements.txt", "README.md"}
    card = yaml.safe_load((folder / "README.md").read_text(encoding="utf-8").split("---\n")[1])
    assert card["sdk"] == "gradio" and card["app_file"] == "app.py" and {"evaluate", "metric"} <= set(card["tags"])
    assert (folder / "requirements.txt").read_text() == f"xmodal-lt>={__version__}\n"
    assert evaluate.load(str(folder)).name == name


def test_written_again_it_is_renewed(tmp_path):
    folder = write_metric_space("lt_map", tmp_path)
    (folder / "lt_map.py").write_text("old")

    assert write_metric_space("lt_map", tmp_path) == folder
    assert "LTMap" in (folder / "lt_map.py").read_text()


def test_unknown_metric_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"one of lt_map, .*; got 'accuracy'"):
        write_metric_space("accuracy", tmp_path)


@pytest.fixture(scope="module")
def pushed(tmp_path_factory):
    """What the client says, and the Spaces of the Hub."""
    with HubServer().running() as server:
        environment = server.environment(tmp_path_factory.mktemp("cache"))
        done = subprocess.run(
            [sys.executable, "-c", CLIENT], env=environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1]), server.repositories


@pytest.mark.slow
def test_a_space_has_the_metrics_name_and_its_files(pushed):
    said, repositories = pushed
    assert [url.split("/", 3)[3] for url in said["urls"]] == ["spaces/org/shot_accuracy"] * 2
    space = repositories["space", "org/shot_accuracy"]
    assert space.private and not repositories["space", "org/lt_map"].private
    assert {"shot_accuracy.py", "app.py", "requirements.txt", "README.md"} <= set(space.at("main").files)


@pytest.mark.slow
def test_evaluate_loads_it_from_the_hub(pushed):
    assert pushed[0]["map"] == 1.0


@pytest.mark.slow
def test_what_is_no_metric_is_left_alone(pushed):
    said, repositories = pushed
    assert said["errors"]["org/multilabel_f1 None"].startswith("ValueError: The Space org/multilabel_f1 is there")
    assert "game.py" in repositories["space", "org/multilabel_f1"].at("main").files


@pytest.mark.slow
def test_refusals_are_explained(pushed):
    errors = pushed[0]["errors"]
    assert "You may not write to nobody/lt_map" in errors["nobody/lt_map None"]
    assert "You are not logged in" in errors["org/lt_map hf_none"]
