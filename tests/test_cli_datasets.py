from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import datasets
import pytest
from PIL import Image

from xmodal_lt.cli import main
from xmodal_lt.data import list_datasets


@pytest.fixture(autouse=True)
def _own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the cache nor the working folder of the user is touched."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run(capsys) -> Callable[..., tuple[int, str, str]]:
    """Runs `xmodal-lt datasets ...` in this process; gives status, what is on the screen, and errors."""

    def run(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main(["datasets", *map(str, arguments)])
        assert isinstance(end.value.code, int)
        return end.value.code, *capsys.readouterr()

    return run


@pytest.fixture
def photos(tmp_path) -> Path:
    folder = tmp_path / "photos" / "train"
    folder.mkdir(parents=True)
    rows = [{"file_name": f"{number}.png", "animal": ("cat", "owl")[number % 2]} for number in range(4)]
    for number, row in enumerate(rows):
        Image.new("RGB", (4, 4), (number, 0, 0)).save(folder / row["file_name"])
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder.parent


# --- list


def test_every_data_set_has_one_row_and_its_notes(run):
    status, out, _ = run()
    lines = out.splitlines()
    assert status == 0 and max(map(len, lines)) <= 100
    for name in list_datasets():
        assert sum(line.split()[:1] == [name] for line in lines) == 1
        assert sum(line.startswith(f"{name}: ") for line in lines) == 1
    assert "voc-lt 20 1,142 - 4,952 >= 100: 6 20 to 99: 6 < 20: 8" in " ".join(out.split())
    assert "Missing" not in out
    assert "activitynet-captions 200 10,009 - ≥ 4,917" in " ".join(out.split())


def test_missing_files_are_listed_of_the_data_sets_that_are_asked_for(run, tmp_path):
    (tmp_path / "places-lt" / "train").mkdir(parents=True)
    _, out, _ = run("--data-dir", tmp_path, "--only", "places-lt", "--only", "emoji-lt")
    text = " ".join(out.split())
    lists = "get it from https://github.com/zhmiao/OpenLongTailRecognition-OLTR"
    assert f"Missing: - Places_LT_train.txt: {lists} - Places_LT_test.txt: {lists} Missing, but not" in text
    assert f"Missing, but not needed: - Places_LT_val.txt: {lists} - labels.txt: get it from" in text
    assert "Nothing that it needs is missing." in text and "voc-lt" not in text


def test_the_list_as_json(run, tmp_path):
    _, out, _ = run("--json", "--data-dir", tmp_path)
    described = {one["name"]: one for one in json.loads(out)}
    assert sorted(described) == list_datasets()
    assert described["msr-vtt"]["facts"]["test"]["value"] == 2990
    assert described["emoji-lt"]["missing"] == []


def test_options_of_the_list_before_a_command_are_refused(run):
    status, _, err = run("--json", "check", "emoji-lt")
    assert status == 2 and "datasets check" in err


# --- check


def test_a_data_set_that_is_as_it_should_be(run, photos, tmp_path):
    status, out, _ = run("check", photos, "--option", "label_column=animal")
    assert status == 0
    assert "samples of train - 4" in " ".join(out.split())
    assert (tmp_path / "photos_check" / "index.html").is_file()
    report = json.loads((tmp_path / "photos_check" / "report.json").read_text())
    assert report["options"] == {"label_column": "animal"} and report["audit"]["num_read"] == 4


@pytest.mark.parametrize(("flag", "status"), [("--images", 1), ("--no-images", 0)])
def test_an_unreadable_image_ends_with_status_1(run, photos, tmp_path, flag, status):
    (photos / "train" / "0.png").write_text("no image")
    found, out, _ = run("check", photos, "--option", "label_column=animal", "--output", tmp_path / "out", flag)
    assert found == status
    assert ("Not as expected: 1 image or array of features cannot be read" in out) == (status == 1)
    assert (tmp_path / "out" / "report.json").is_file()


def test_the_report_is_beside_the_data_if_these_are_in_the_current_folder(run, photos, tmp_path, monkeypatch):
    for folder in (photos, photos / "train"):
        monkeypatch.chdir(folder)
        before = sorted(photos.rglob("*"))
        status, out, _ = run("check", photos, "--option", "label_column=animal")
        assert status == 0 and f"The report is {tmp_path / 'photos_check' / 'index.html'}" in out
        assert sorted(photos.rglob("*")) == before


def test_the_report_is_named_by_the_folder_and_not_by_how_it_is_written(run, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(photos / "train")
    assert run("check", "..", "--option", "label_column=animal")[0] == 0
    assert (tmp_path / "photos_check" / "index.html").is_file()


@pytest.mark.parametrize(("name", "folder"), [("org_a/birds", "org_a-birds_check"), ("emoji-lt", "emoji-lt_check")])
def test_a_folder_of_something_else_is_left_alone(run, tmp_path, name, folder):
    (tmp_path / folder).mkdir()
    (tmp_path / folder / "thesis.txt").write_text("mine")
    status, _, err = run("check", name)
    assert status == 2 and f"{folder} holds 'thesis.txt' and is no earlier report: name another folder" in err
    assert not (tmp_path / "cache").exists()


def test_where_the_report_cannot_be_is_said_before_images_are_read(run, photos, tmp_path):
    (tmp_path / "out").write_text("mine")
    options = ("check", photos, "--option", "label_column=animal", "--output")
    status, _, err = run(*options, tmp_path / "out")
    assert status == 2 and "out is a file: name a folder for the report" in err
    status, _, err = run(*options, photos / "report")
    assert status == 2 and "the report would be a part of the data" in err
    assert not (tmp_path / "cache").exists() and not (photos / "report").exists()


def test_a_check_that_fails_leaves_no_folder(run, photos, tmp_path):
    assert run("check", photos)[0] == 2
    assert not (tmp_path / "photos_check").exists()


def test_thresholds_of_groups(run, photos):
    _, out, _ = run("check", photos, "--option", "label_column=animal", "--head", 1, "--tail", 0)
    assert "head classes - 2" in " ".join(out.split())


def test_missing_files_end_with_status_1_and_are_all_named(run, tmp_path):
    (tmp_path / "data").mkdir()
    status, _, err = run("check", "msr-vtt", "--data-dir", tmp_path / "data")
    assert status == 1
    for name in ("train_val_videodatainfo.json", "test_videodatainfo.json", "features or features.h5"):
        assert f"- {name}: get " in err


def test_missing_images_end_with_status_1(run, tmp_path):
    for year, split in (("2012", "train"), ("2007", "test")):
        folder = f"VOCdevkit/VOC{year}/JPEGImages"
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / f"voc_lt_{split}.txt").write_text(f"{folder}/000001.jpg 3")
    status, _, err = run("check", "voc-lt", "--data-dir", tmp_path)
    assert status == 1 and "images of split 'train' are not in" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["voclt"], "Did you mean 'voc-lt'?"),
        (["./nowhere"], "no file or folder"),
        (["voc-lt", "--data-dir", "nowhere"], "no folder nowhere"),
        (["emoji-lt", "--option", "styles"], "--option must read key=value"),
        (["emoji-lt", "--option", "styles=[oil]"], "styles must be one or more of"),
    ],
)
def test_bad_input_ends_with_status_2(run, arguments, message):
    status, _, err = run("check", *arguments)
    assert status == 2 and message in err


@pytest.mark.parametrize(
    ("command", "option", "message"),
    [
        ("check", "num_proc=2", "give --num-proc"),
        ("check", "data_dir=train", "give --data-dir"),
        ("check", "head=10", "give --head"),
        ("check", "tail=10", "give --tail"),
        ("check", "name_or_path=x", "give NAME"),
        ("check", "read_inputs=false", "give --images or --no-images"),
        ("convert", "num_proc=2", "give --num-proc"),
        ("convert", "data_dir=train", "give --data-dir"),
        ("convert", "output=x", "give --output"),
        ("convert", "shard_size=1GB", "give --shard-size"),
        ("convert", "push_to_hub=org/name", "give --push-to-hub"),
        ("convert", "public=true", "give --public"),
        ("check", "streaming=true", "['streaming'] cannot be used here"),
        ("convert", "streaming=true", "['streaming'] cannot be used here"),
        ("check", "split=train", "['split'] cannot be used here"),
        ("convert", "split=train", "['split'] cannot be used here"),
    ],
)
def test_options_of_the_command_are_no_options_of_the_data_set(run, photos, tmp_path, command, option, message):
    output = ["--output", tmp_path / "out"]
    status, _, err = run(command, photos, *output, "--option", "label_column=animal", "--option", option)
    assert status == 2 and message in err
    assert not (tmp_path / "out").exists()


def test_rows_and_files_of_a_conversion_are_counted(run, photos, tmp_path):
    options = ("convert", photos, "--output", tmp_path / "out", "--option", "label_column=animal")
    assert f"{tmp_path / 'out'}: train 4 rows" in run(*options)[1]
    assert "Nothing left to write: 1 parquet file is there." in run(*options)[1]


def test_help_says_that_a_leak_leaves_the_status(run):
    assert "two splits, or several times in train, are reported with status 0" in " ".join(
        run("check", "--help")[1].split()
    )


@pytest.mark.parametrize("command", [[], ["check"], ["convert"]])
def test_every_help_shows_an_example(run, command):
    status, out, _ = run(*command, "--help")
    assert status == 0 and f"Example: xmodal-lt {' '.join(['datasets', *command])} " in " ".join(out.split())
