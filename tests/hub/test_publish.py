from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from hub_server import HubServer
from safetensors.torch import load_file

from xmodal_lt import CMLTNetForImageClassification
from xmodal_lt.cli_push import push
from xmodal_lt.hub.file_names import is_published
from xmodal_lt.hub.publish import push_to_hub
from xmodal_lt.hub.staging import stage_model
from xmodal_lt.prediction import Predictor


CARD = "---\nlicense: apache-2.0\n---\n# Shapes\n"
CLIENT = Path(__file__).with_name("hub_client.py")
EXPECTED = {
    "README.md",
    "config.json",
    "figures/per_class_test.png",
    "figures/per_class_validation.png",
    "figures/training_curves.png",
    "history.json",
    "model.safetensors",
    "per_class_test.csv",
    "per_class_validation.csv",
    "processor_config.json",
    "recipe.yaml",
    "results.json",
    "tokenizer.json",
    "tokenizer_config.json",
}


def files_of(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def finished(cmltnet_run, tmp_path_factory) -> Path:
    """A finished run with a card."""
    folder = tmp_path_factory.mktemp("published") / "run"
    shutil.copytree(cmltnet_run, folder)
    (folder / "README.md").write_text(CARD)
    return folder


@pytest.fixture(scope="module")
def staged(finished, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("staged") / "first"
    folder.mkdir()
    stage_model(finished, folder, "org/model")
    return folder


@pytest.fixture
def run(finished, tmp_path) -> Path:
    """A copy of the run to spoil."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


# What is sent


def test_what_belongs_on_the_hub_and_nothing_else(staged):
    assert files_of(staged) == EXPECTED


def test_the_model_is_the_one_for_inference(staged, finished):
    weights, all_weights = load_file(staged / "model.safetensors"), load_file(finished / "model.safetensors")
    dropped = {name.split(".")[0] for name in all_weights.keys() - weights.keys()}
    assert weights.keys() < all_weights.keys() and weights.keys()
    assert json.loads((staged / "config.json").read_text())["word_encoder"] is None, dropped
    assert CMLTNetForImageClassification.from_pretrained(staged).config.num_labels == 3


def test_staging_twice_gives_the_same_bytes(staged, finished, tmp_path):
    stage_model(finished, tmp_path, "org/model")
    for name in EXPECTED:
        assert (tmp_path / name).read_bytes() == (staged / name).read_bytes()


def test_places_of_this_machine_stay_here(staged, finished, shapes):
    assert str(shapes) in (finished / "recipe.yaml").read_text()
    recipe = yaml.safe_load((staged / "recipe.yaml").read_text())
    assert recipe["dataset"]["path"] == shapes.name
    assert recipe["output_dir"] == "cmltnet"
    for name in EXPECTED:
        assert str(shapes.parent).encode() not in (staged / name).read_bytes()


def test_a_card_is_written_if_there_is_none(run):
    (run / "README.md").unlink()
    assert push_to_hub(run, "org/model", dry_run=True).files["README.md"] > 500
    assert not (run / "README.md").exists()


def test_code_goes_along(run):
    plain = push_to_hub(run, "org/model", dry_run=True).files
    with_code = push_to_hub(run, "org/model", dry_run=True, with_code=True).files
    assert {"modeling_cmltnet.py", "configuration_cmltnet.py"} <= with_code.keys() - plain.keys()
    assert all(map(is_published, with_code)), "what a push sends, the next can take away"


def test_a_dry_run_lists_sizes_and_sends_nothing(run):
    # The suite has no network: a request would be an error.
    planned = push_to_hub(run, "org/model", dry_run=True)
    assert planned.files.keys() == EXPECTED
    assert planned.files["README.md"] == len(CARD)
    assert planned.commit is None and planned.url.endswith("/org/model")


@pytest.mark.parametrize("name", ["LICENSE", "onnx/model.onnx", "handler.py", ".gitattributes", "sub/config.json"])
def test_files_of_others_are_never_taken_away(name):
    assert not is_published(name)


# What is refused


def refuse(folder: Path, match: str) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=match):
        push_to_hub(folder, "org/model", dry_run=True)


def test_an_unfinished_run(run):
    stage = run / "checkpoints" / "fuse" / "final"
    stage.rename(stage.with_name("unfinished"))
    refuse(run, r"not finished: its stages \['fuse'\] left no model")
    (run / "results.json").unlink()
    refuse(run, r"not finished: it has no results\.json; resume it \(resume=true\)")


def test_a_finished_run_may_lack_its_checkpoints(run):
    shutil.rmtree(run / "checkpoints")
    assert push_to_hub(run, "org/model", dry_run=True).files


def test_folders_that_hold_no_model(run, tmp_path):
    (tmp_path / "photos").mkdir()
    refuse(tmp_path / "photos", r"is no finished run and no saved model: it has no config\.json")
    refuse(tmp_path / "nothing", "There is no folder")
    refuse(run / "checkpoints" / "fuse" / "final", "a model without its processor, as a single stage leaves it")
    for content in ('{"model_type": "bert"}', "[]", "{"):
        (run / "config.json").write_text(content)
        refuse(run, r"config\.json is no config of a model of this package")


def test_a_model_without_its_classifier(run):
    model = CMLTNetForImageClassification.from_pretrained(run)
    model.base_model.save_pretrained(run)
    refuse(run, "lacks weights of a classifier")


def test_a_secret_in_the_recipe_stops_the_push(run):
    with (run / "recipe.yaml").open("a") as recipe:
        recipe.write("note: hf_" + "aB3" * 12)
    refuse(run, r"recipe\.yaml, line \d+, holds what looks like a hugging face token")


def test_a_card_that_names_a_place_of_this_machine(run, shapes):
    (run / "README.md").write_text(f"{CARD}Data: {shapes}\n")
    refuse(run, r"README\.md, line 5, holds what looks like a path of this machine")


@pytest.mark.parametrize("name", ["figures/mine.png", "model.safetensors", "results.json"])
def test_links_out_of_the_folder(run, tmp_path, name):
    outside = tmp_path / "outside"
    if (run / name).exists():
        (run / name).rename(outside)
    else:
        outside.write_text("mine")
    (run / name).symlink_to(outside)
    refuse(run, rf"{Path(name).name} is a link out of the folder; put a copy")


def test_a_link_to_a_file_of_the_folder_is_its_content(run):
    (run / "figures" / "best.png").symlink_to(run / "figures" / "training_curves.png")
    files = push_to_hub(run, "org/model", dry_run=True).files
    assert files["figures/best.png"] == files["figures/training_curves.png"]


def test_a_file_that_is_too_large(run):
    with (run / "figures" / "film.webp").open("wb") as file:
        os.truncate(file.fileno(), 60_000_000)
    refuse(run, r"figures/film\.webp has 60 MB, more than a file beside the weights may have \(52 MB\)")


@pytest.mark.parametrize("repo_id", ["model", "datasets/org/model", "org/mo del", "https://huggingface.co/org/model"])
def test_names_that_are_none(run, repo_id):
    with pytest.raises(ValueError, match="it must read org/name"):
        push_to_hub(run, repo_id, dry_run=True)


# How it is sent: one process of the real client does everything, and the tests look at what came of it.


@pytest.fixture(scope="module")
def hub() -> Iterator[HubServer]:
    with HubServer().running() as server:
        yield server


def run_client(hub: HubServer, home: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess:
    """It reads where the Hub is when it is imported."""
    environment = {**hub.environment(home), **variables}
    return subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def done(hub, staged, tmp_path_factory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("client")
    shutil.copytree(staged, folder / "staged")
    client = run_client(hub, folder / "home", str(CLIENT), str(folder / "staged"))
    assert client.returncode == 0, client.stderr
    return json.loads(client.stdout.splitlines()[-1])


def test_a_push_is_one_commit(hub, done):
    first = done["pushes"]["first"]
    repository = hub.repositories["model", "org/model"]
    assert repository.private
    assert set(first["files"]) == {*EXPECTED, ".gitattributes"}
    assert first["uploads"] == 1  # the weights
    assert [commit.oid for commit in repository.commits[:2]][1] == first["commit"]


def test_the_files_arrive_as_they_were(hub, done, staged):
    first = hub.repositories["model", "org/model"].at(done["pushes"]["first"]["commit"])
    for name in EXPECTED:
        assert first.files[name] == (staged / name).read_bytes()


def test_a_push_without_changes_makes_no_commit(done):
    assert done["pushes"]["same"] == {"commit": done["pushes"]["first"]["commit"], "uploads": 0}


def test_a_second_push_sends_what_changed_and_takes_away_what_is_gone(done):
    changed = done["pushes"]["changed"]
    assert changed["uploads"] == 0
    assert set(changed["files"]) == {*EXPECTED, ".gitattributes", "LICENSE"} - {"figures/training_curves.png"}


def test_tags_name_the_states_that_were_pushed(done):
    pushes = done["pushes"]
    assert pushes["tagged"]["v1"]["commit"] == pushes["first"]["commit"]
    assert "figures/training_curves.png" in pushes["tagged"]["v1"]["files"]
    assert pushes["tagged"]["v2"]["commit"] == pushes["changed"]["commit"]


def test_a_branch_is_made_and_leaves_main_alone(done):
    pushes = done["pushes"]
    assert pushes["branch"]["uploads"] == 1
    assert pushes["branch"]["commit"] not in (pushes["main"]["commit"], pushes["changed"]["commit"])
    assert pushes["main"]["commit"] == pushes["changed"]["commit"]


def test_an_overloaded_hub_and_a_cut_upload_are_waited_for(hub, done):
    overloaded = done["failures"]["overloaded"]
    assert overloaded["uploads"] == 2  # the first was cut in the middle
    assert hub.repositories["model", "org/model"].tags["v3"] == overloaded["commit"]


def test_a_commit_whose_answer_is_lost_is_made_once(done):
    lost = done["failures"]["lost"]
    assert lost["commits"] == 1


def test_a_cut_connection_leaves_the_old_state_whole(done):
    failures = done["failures"]
    assert failures["cut"]["after"] == failures["cut"]["before"]
    assert "failed again and again" in failures["cut"]["error"]
    assert "no file of org/model was changed" in failures["cut"]["error"]
    assert failures["after"]["commit"] != failures["cut"]["before"]["commit"]  # once it works, the push does


def test_a_tag_that_fails_is_made_by_the_next_push(done):
    untagged, later = done["failures"]["untagged"], done["failures"]["tagged later"]
    assert f"was sent, commit {untagged['commit']} of org/model, but could not be tagged v4" in untagged["error"]
    assert later["commit"] == untagged["commit"]


def test_what_somebody_pushed_meanwhile_is_not_written_over(done):
    raced = done["failures"]["raced"]
    assert "was changed by somebody else meanwhile" in raced["error"]
    assert "faster.txt" in raced["files"]


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("token", "OSError: You are not logged in to http://127.0.0.1"),
        ("read only", "OSError: You may not write to org/model: the name belongs to somebody else, or your token"),
        ("somebody else's", "OSError: You may not write to tester/public"),
        ("no such owner", "OSError: You may not write to nobody/model"),
        ("public", "ValueError: Everyone can see tester/public"),
        ("bert", "ValueError: The name tester/bert is taken: it holds a model of type 'bert', not a model of this"),
        ("gguf", "ValueError: The name tester/gguf is taken: it holds files such as 'a.gguf' and no model"),
        ("tag", "ValueError: org/model has the tag v1 already, of commit"),
        ("revision", "ValueError: revision=v1 is a tag of org/model"),
        ("commit", "is a commit of org/model, which cannot be changed; name a branch"),
    ],
)
def test_refusals_say_what_to_do(done, case, message):
    assert message in done["refusals"][case]


def test_a_data_set_of_the_same_name_is_told_and_left_alone(hub, done):
    assert done["namesakes"] == ["org/twin is a data set; the model gets a repository of its own with this name."]
    assert len(hub.repositories["dataset", "org/twin"].commits) == 1
    assert "model.safetensors" in hub.repositories["model", "org/twin"].files


def test_damaged_downloads_are_refused(done):
    downloads = done["downloads"]
    assert "Consistency check failed" in downloads["short"]
    for name in ("model.safetensors", "README.md"):
        unnoticed, noticed = downloads[name]
        assert unnoticed == "none"  # by the client, which compares sizes
        assert f"the download of {name} was damaged" in noticed
    assert downloads["whole"] == "none"
    assert downloads["tagged"] == "# Another card\n"


# The command line, and what loads models


def test_the_command_lists_what_it_would_send(run, capsys):
    app = typer.Typer()
    app.command()(push)
    app([str(run), "org/model", "--dry-run"], standalone_mode=False)
    out = capsys.readouterr().out
    assert f"{len(CARD)}  README.md" in out
    assert f"{len(EXPECTED)} files" in out and "nothing was sent" in out


@pytest.mark.slow
def test_an_upload_that_never_succeeds_leaves_the_old_state_whole(staged, tmp_path):
    shutil.copytree(staged, tmp_path / "staged")
    with HubServer().running() as hub:
        client = run_client(hub, tmp_path / "home", str(CLIENT), str(tmp_path / "staged"), "cut")
    assert client.returncode == 0, client.stderr
    done = json.loads(client.stdout.splitlines()[-1])
    assert done["commit"] == done["before"]
    assert "failed again and again" in done["error"]
    # What the client itself tries five times we do not try five times more.
    assert sum(line.startswith("PUT") for line in hub.requests) == 1 + 6


@pytest.fixture(scope="module")
def pulled(cmltnet_run, baseline_run, shapes, tmp_path_factory) -> dict[str, Any]:
    """What the other client process came to, which loads torch."""
    home = tmp_path_factory.mktemp("pulled")
    arguments = (CLIENT.with_name("hub_models_client.py"), cmltnet_run, baseline_run, an_image(shapes))
    with HubServer().running() as hub:
        client = run_client(hub, home, *map(str, arguments))
    assert client.returncode == 0, client.stderr
    return json.loads(client.stdout.splitlines()[-1])


def an_image(shapes: Path) -> Path:
    return shapes / "test" / "circle-0.png"


def predictions(answer: dict[str, Any]) -> dict[str, float]:
    assert answer["status"] == 0, answer["error"]
    return {entry["label"]: entry["score"] for entry in json.loads(answer["out"])["predictions"]}


@pytest.mark.slow
def test_models_are_pulled_by_branch_and_tag(pulled, cmltnet_run, baseline_run, shapes):
    for names, folder in ((("v1", "words"), cmltnet_run), (("main",), baseline_run)):
        row = next(iter(Predictor.from_pretrained(str(folder), "cpu").predict_files([an_image(shapes)], top_k=3)))
        expected = {entry["label"]: entry["score"] for entry in row["predictions"]}
        for name in names:
            assert predictions(pulled[name]) == pytest.approx(expected, abs=1e-5)
    assert {entry["label"]: entry["score"] for entry in pulled["pipeline"]} == pytest.approx(
        predictions(pulled["v1"]), abs=1e-5
    )


@pytest.mark.slow
def test_the_auto_classes_find_what_was_pushed(pulled):
    assert pulled["model"] == "CMLTNetModel"
    assert pulled["processors"][1] == "XModalProcessor"
    assert pulled["inferred words"] == 2


@pytest.mark.slow
def test_a_model_of_another_method_leaves_nothing_of_the_one_before(pulled):
    assert "preprocessor_config.json" in pulled["files"]
    assert not {"tokenizer.json", "processor_config.json"} & set(pulled["files"])


@pytest.mark.slow
def test_predict_refuses_a_damaged_download_and_then_gets_it_anew(pulled):
    (message,) = pulled["damaged"]["error"]
    assert pulled["damaged"]["status"] == 2
    assert "Cannot load the model 'org/fresh': the download of model.safetensors was damaged" in message
    assert predictions(pulled["again"]) == pytest.approx(predictions(pulled["v1"]), abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("org/bert", "'org/bert' is no image classifier that can be loaded here"),
        ("org/other", "'org/other' is no image classifier that can be loaded here"),
        ("org/notes", "'org/notes' is no image classifier that can be loaded here: Unrecognized model in org/notes"),
        ("org/pictures", "Cannot load the model 'org/pictures': org/pictures is not a local folder"),
        ("org/nowhere", "Cannot load the model 'org/nowhere'"),
        ("org/shapes@v9", "Cannot load the model 'org/shapes@v9': v9 is not a valid git identifier"),
    ],
)
def test_a_repository_that_is_not_ours_is_named(pulled, name, message):
    answer = pulled["foreign"][name]
    assert answer["status"] == 2 and len(answer["error"]) == 1
    assert message in answer["error"][0]
    assert "Give" in answer["error"][0] and len(answer["error"][0]) < 700
