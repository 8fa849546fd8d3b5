from __future__ import annotations

import json
import locale
import os
import re
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
from xmodal_lt.cli import main
from xmodal_lt.cli_push import push
from xmodal_lt.hub.card import write_card
from xmodal_lt.hub.publish import push_to_hub
from xmodal_lt.hub.sending import check_ref
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


def test_places_of_this_machine_stay_here(staged, finished, cmltnet_run, shapes):
    assert str(shapes) in (finished / "recipe.yaml").read_text()
    recipe = yaml.safe_load((staged / "recipe.yaml").read_text())
    assert recipe["dataset"]["path"] == shapes.name
    assert recipe["output_dir"] == "cmltnet"
    for name in EXPECTED:
        content = (staged / name).read_bytes()
        for place in (shapes.parent, finished, cmltnet_run, Path.cwd(), Path.home()):
            assert not re.search(rb"(?<![\w.~/-])" + re.escape(str(place).encode()) + rb"(?![\w-])", content), name


def test_places_are_taken_out_of_every_json_file(run, shapes):
    file = run / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"name_or_path": "/srv/alice/words"}))
    staged = run.with_name("staged")
    staged.mkdir()
    stage_model(run, staged, "org/model")
    assert json.loads((staged / "tokenizer_config.json").read_text())["name_or_path"] == "words"


@pytest.mark.parametrize("place", ["/home/alice/secret-project", "{home}/notes", "{run}", "{cwd}/x"])
def test_a_card_that_names_a_folder_of_the_user(run, place):
    place = place.format(home=Path.home(), run=run, cwd=Path.cwd())
    (run / "README.md").write_text(f"{CARD}See {place}\n")
    refuse(run, r"README\.md, line 5, holds what looks like a path of this machine")


def test_a_card_is_written_if_there_is_none(run):
    (run / "README.md").unlink()
    assert push_to_hub(run, "org/model", dry_run=True).files["README.md"] > 500
    assert not (run / "README.md").exists()


def test_code_goes_along(run):
    plain = push_to_hub(run, "org/model", dry_run=True).files
    with_code = push_to_hub(run, "org/model", dry_run=True, with_code=True).files
    assert {"modeling_cmltnet.py", "configuration_cmltnet.py"} <= with_code.keys() - plain.keys()


def test_a_dry_run_lists_sizes_and_sends_nothing(run):
    # The suite has no network: a request would be an error.
    planned = push_to_hub(run, "org/model", dry_run=True)
    assert planned.files.keys() == EXPECTED
    assert planned.files["README.md"] == len(CARD)
    assert planned.commit is None and planned.url.endswith("/org/model")


def test_a_card_that_the_command_wrote_is_written_anew_for_the_repository(run):
    write_card(run)
    staged = run.with_name("staged")
    staged.mkdir()
    stage_model(run, staged, "org/name", with_code=True)
    card = (staged / "README.md").read_text(encoding="utf-8")
    assert '"org/name"' in card and f'from_pretrained("{run.name}")' not in card
    assert "trust_remote_code=True" in card
    assert ".card.json" not in files_of(staged)


def test_a_card_of_ones_own_is_sent_as_it_is(staged):
    assert (staged / "README.md").read_text() == CARD


def test_a_run_from_a_checkpoint_that_is_gone(run):
    (run / "README.md").unlink()
    recipe = yaml.safe_load((run / "recipe.yaml").read_text())
    recipe["model"]["checkpoint"] = "outputs/gone"
    (run / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    assert push_to_hub(run, "org/model", dry_run=True).files["README.md"] > 500


def test_the_encoding_of_the_system_does_not_matter(run):
    recipe = yaml.safe_load((run / "recipe.yaml").read_text())
    recipe["output_dir"] = "/srv/größe"
    (run / "recipe.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    config = json.loads((run / "config.json").read_text())
    config["id2label"]["0"] = "größe"
    (run / "config.json").write_text(json.dumps(config, ensure_ascii=False), encoding="utf-8")
    staged = run.with_name("staged")
    staged.mkdir()
    before = locale.setlocale(locale.LC_CTYPE)
    locale.setlocale(locale.LC_CTYPE, "C")
    try:
        stage_model(run, staged, "org/model")
    finally:
        locale.setlocale(locale.LC_CTYPE, before)
    assert "größe" in (staged / "recipe.yaml").read_text(encoding="utf-8")
    assert json.loads((staged / "config.json").read_text(encoding="utf-8"))["id2label"]["0"] == "größe"


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
    for content in ('{"model_type": "bert"}', "[]"):
        (run / "config.json").write_text(content)
        refuse(run, r"config\.json is no config of a model of this package")
    (run / "config.json").write_text("{")
    refuse(run, rf"Cannot read {re.escape(str(run / 'config.json'))}")


def test_a_model_without_its_classifier(run):
    model = CMLTNetForImageClassification.from_pretrained(run)
    model.base_model.save_pretrained(run)
    refuse(run, "lacks weights of a classifier")


def test_a_secret_in_the_recipe_stops_the_push(run):
    recipe = yaml.safe_load((run / "recipe.yaml").read_text())
    recipe["cache_dir"] = "hf_" + "aB3" * 12
    (run / "recipe.yaml").write_text(yaml.safe_dump(recipe))
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


@pytest.mark.parametrize("name", ["", "a b", "a..b", "-a", "a/", ".a", "a.lock", "a~1", "a:b", "refs/heads/a", "a\n"])
@pytest.mark.parametrize("option", ["revision", "tag"])
def test_branches_and_tags_that_git_does_not_have(tmp_path, option, name):
    with pytest.raises(ValueError, match=f"{option}=.* can be no name in git"):
        push_to_hub(tmp_path, "org/model", dry_run=True, **{option: name})


@pytest.mark.parametrize("name", ["v1.0", "more/words", "a-b_c@d", "a.b"])
def test_branches_and_tags_that_git_has(name):
    check_ref("tag", name)


@pytest.mark.parametrize("content", ["[1, 2]", "{", '{"no": "splits"}'])
def test_results_that_cannot_be_read(run, content):
    (run / "results.json").write_text(content)
    refuse(run, re.escape(str(run / "results.json")))


def test_other_files_that_cannot_be_read(run):
    (run / "history.json").write_text('{"joint": [')
    refuse(run, rf"Cannot read {re.escape(str(run / 'history.json'))}")


# Figures that show images of the data set


PICTURES = ("figures/attention_test.png", "figures/predictions_test.png", "figures/widget/head.png")


@pytest.fixture
def drawn(run) -> Path:
    for name in PICTURES:
        (run / name).parent.mkdir(exist_ok=True)
        (run / name).write_bytes(b"\0")
    return run


def test_images_of_data_without_an_open_licence_stay_here(drawn, caplog):
    files = push_to_hub(drawn, "org/model", dry_run=True).files
    assert files.keys() == EXPECTED
    assert all(f"{name} stays here" in caplog.text for name in PICTURES)


def test_images_go_along_where_the_user_says_so(drawn):
    files = push_to_hub(drawn, "org/model", dry_run=True, with_pictures=True).files
    assert files.keys() == {*EXPECTED, *PICTURES}


@pytest.mark.parametrize(("name", "open_licence"), [("emoji-lt", True), ("voc-lt", False)])
def test_images_go_along_where_the_licence_of_the_data_lets_them(drawn, name, open_licence):
    recipe = yaml.safe_load((drawn / "recipe.yaml").read_text())
    recipe["dataset"] = {"name": name}
    (drawn / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    files = push_to_hub(drawn, "org/model", dry_run=True).files
    assert (files.keys() == {*EXPECTED, *PICTURES}) == open_licence


def test_a_card_that_shows_an_image_that_stays_here(drawn):
    (drawn / "README.md").write_text(f"{CARD}![](figures/widget/head.png)\n")
    refuse(drawn, r"README\.md shows figures/widget/head\.png, but the licence of the data set")


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
    others = {".gitattributes", "LICENSE", "figures/by_hand.png", "per_class_by_hand.csv"}
    assert set(changed["files"]) == EXPECTED - {"figures/training_curves.png"} | others


def test_a_push_over_the_work_of_others_is_told(done):
    (warning,) = done["pushes"]["warned"]
    assert warning.startswith("org/model was last changed by another commit than ours, ")
    assert "'README.md'" in warning and "is replaced" in warning
    assert done["pushes"]["same again"] == []


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
    assert overloaded["left"] == 0  # every failure that was ordered has happened
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
        ("server's tag", "Invalid reference name: 'x y'"),
        ("server's branch", "Invalid reference name: 'a..b'"),
    ],
)
def test_refusals_say_what_to_do(done, case, message):
    assert message in done["refusals"][case]


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("mine", "none"),
        ("new", "none"),
        ("public", "ValueError: Everyone can see tester/public"),
        ("bert", "ValueError: The name tester/bert is taken"),
        ("no such owner", "OSError: You may not write to nobody/model"),
        ("read only", "OSError: You may not write to org/model: the name belongs to somebody else, or your token may"),
        ("token", "OSError: You are not logged in to http://127.0.0.1"),
        ("name", "ValueError: 'model' is no name of a repository"),
    ],
)
def test_what_would_be_refused_is_known_before_training(done, case, message):
    assert done["before training"][case].startswith(message)


def test_a_data_set_of_the_same_name_is_told_and_left_alone(hub, done):
    assert done["namesakes"] == ["org/twin is a data set; the model gets a repository of its own with this name."]
    assert len(hub.repositories["dataset", "org/twin"].commits) == 1
    assert "model.safetensors" in hub.repositories["model", "org/twin"].files


def test_damaged_downloads_are_refused(done):
    downloads = done["downloads"]
    assert "Consistency check failed" in downloads["short"]
    for name in ("model.safetensors", "tokenizer.json"):
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


def test_a_repository_cannot_be_private_and_public(run):
    app = typer.Typer()
    app.command()(push)
    with pytest.raises(ValueError, match="Give --private or --public, not both"):
        app([str(run), "org/model", "--dry-run", "--private", "--public"], standalone_mode=False)


def test_who_may_not_push_is_told_before_training(shapes_recipe, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no token"))
    file = tmp_path / "recipe.yaml"
    file.write_text(shapes_recipe("lt_classifier", tmp_path / "run").to_yaml())
    with pytest.raises(SystemExit, match="2"):
        main(["train", str(file), "push_to_hub=org/model"])
    assert "You are not logged in" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


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
