from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image
from transformers import AutoProcessor

from xmodal_lt import CMLTNetForImageClassification, ImageClassifier, ImageClassifierConfig, __version__
from xmodal_lt.cli import main
from xmodal_lt.prediction import Predictor
from xmodal_lt.processing import XModalLTImageProcessor


ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Outcome:
    status: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The last line on stderr, without the progress bar that may stand before it."""
        assert "Traceback" not in self.err
        _, name, message = self.err.splitlines()[-1].rpartition("xmodal-lt: ")
        assert name, self.err
        return message


@pytest.fixture
def xmodal_lt(capsys) -> Callable[..., Outcome]:
    """Runs the command line in this process."""

    def run(*arguments: object) -> Outcome:
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main([str(argument) for argument in arguments])
        assert isinstance(end.value.code, int)
        return Outcome(end.value.code, *capsys.readouterr())

    return run


@pytest.fixture
def recipe_file(shapes_recipe, blank_figures, tmp_path) -> Path:
    """The baseline's recipe, with its output in `tmp_path / "run"`."""
    file = tmp_path / "recipe.yaml"
    file.write_text(shapes_recipe("lt_classifier", tmp_path / "run").to_yaml())
    return file


@pytest.fixture
def bad_image(tmp_path) -> Path:
    file = tmp_path / "bad.png"
    file.write_bytes(b"no image")
    return file


def json_lines(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


# --- the command itself


COMMANDS = "train grid evaluate predict curves retrieve push push-metric export figures demo card datasets"


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS.split())])
def test_every_help_shows_an_example(xmodal_lt, command):
    outcome = xmodal_lt(*command, "--help")
    assert outcome.status == 0
    text = " ".join(outcome.out.split())
    assert f"Example: xmodal-lt {' '.join(command) or 'train'} " in text
    for recipe in re.findall(r"recipes/\S+\.yaml", text):
        assert (ROOT / recipe).is_file()


def test_version(xmodal_lt):
    outcome = xmodal_lt("--version")
    assert (outcome.status, outcome.out) == (0, f"xmodal-lt {__version__}\n")


def test_the_package_runs_as_a_module():
    done = subprocess.run([sys.executable, "-m", "xmodal_lt", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"xmodal-lt {__version__}\n"


def test_train_script_is_the_train_command():
    done = subprocess.run([sys.executable, "train.py", "--help"], capture_output=True, text=True, check=True, cwd=ROOT)
    assert "Example: xmodal-lt train " in " ".join(done.stdout.split())


def test_help_does_not_wait_for_torch():
    code = """
import sys
from xmodal_lt.cli import main
try:
    main(["predict", "--help"])
finally:
    assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)


# --- train


def test_train_prints_the_tables_and_leaves_a_run(xmodal_lt, recipe_file, tmp_path):
    outcome = xmodal_lt("train", recipe_file, "seed=3")
    assert outcome.status == 0
    assert "\nvalidation\n" in outcome.out
    assert "\ntest\n" in outcome.out
    assert outcome.out.endswith(f"Model, results.json and figures are in {tmp_path / 'run'}\n")
    assert json.loads((tmp_path / "run" / "results.json").read_text())["seed"] == 3


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("sed=1", "unknown key 'sed'. Did you mean 'seed'?"),
        ("seed", "Overrides must read key=value, got ['seed']"),
        ("stages.jont.epochs=1", "has no value for 'stages.jont.learning_rate'"),
        ("model.type=cmlt", "Unknown model type 'cmlt'"),
        ("dataset.path=./nowhere", "there is no file or folder"),
        ("push_to_hub=my-model", "'my-model' is no name of a repository on the Hub: it must read org/name"),
    ],
)
def test_train_with_a_bad_override_ends_with_a_line(xmodal_lt, recipe_file, override, message):
    outcome = xmodal_lt("train", recipe_file, override)
    assert outcome.status == 2
    assert message in outcome.error


def test_train_without_its_recipe_ends_with_a_line(xmodal_lt):
    outcome = xmodal_lt("train", "nowhere.yaml")
    assert outcome.status == 2
    assert "No recipe at 'nowhere.yaml'" in outcome.error


def test_train_that_diverges_ends_with_a_line_and_another_status(xmodal_lt, recipe_file):
    outcome = xmodal_lt("train", recipe_file, "stages.joint.learning_rate=1e30")
    assert outcome.status == 1
    assert "Lower the learning rate" in outcome.error


# --- predict


def test_predict_writes_json_lines_to_the_screen(xmodal_lt, cmltnet_run, shapes):
    outcome = xmodal_lt("predict", shapes / "test", "--model", cmltnet_run, "--top-k", 2, "--words", 3)
    assert outcome.status == 0
    rows = json_lines(outcome.out)
    assert [row["image"] for row in rows] == sorted(str(file) for file in (shapes / "test").glob("*.png"))
    assert {(len(row["predictions"]), len(row["words"])) for row in rows} == {(2, 3)}


def test_predict_takes_files_and_folders(xmodal_lt, cmltnet_run, shapes, tmp_path):
    Image.new("RGB", (16, 16)).save(tmp_path / "black.jpg")
    outcome = xmodal_lt("predict", tmp_path / "black.jpg", shapes / "test", "--model", cmltnet_run)
    rows = json_lines(outcome.out)
    assert rows[0]["image"] == str(tmp_path / "black.jpg")
    assert len(rows) == 10


def test_predict_gives_the_same_for_every_batch_size(xmodal_lt, cmltnet_run, shapes):
    by_batch_size = {}
    for size in (1, 4, 32):
        rows = json_lines(xmodal_lt("predict", shapes / "test", "--model", cmltnet_run, "--batch-size", size).out)
        by_batch_size[size] = [(row["image"], [entry["label"] for entry in row["predictions"]]) for row in rows]
    assert by_batch_size[1] == by_batch_size[4] == by_batch_size[32]


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_predict_writes_a_file(xmodal_lt, cmltnet_run, shapes, tmp_path, suffix):
    output = tmp_path / "new folder" / f"predictions{suffix}"
    outcome = xmodal_lt("predict", shapes / "test", "--model", cmltnet_run, "--device", "cpu", "--output", output)
    assert (outcome.status, outcome.out) == (0, "")
    expected = list(Predictor.from_pretrained(str(cmltnet_run), "cpu").predict_files([shapes / "test"]))
    labels = [(row["image"], entry["label"]) for row in expected for entry in row["predictions"]]
    if suffix == ".csv":
        with output.open(newline="") as stream:
            assert [(row["image"], row["label"]) for row in csv.DictReader(stream)] == labels
    else:
        rows = json_lines(output.read_text())
        assert [(row["image"], entry["label"]) for row in rows for entry in row["predictions"]] == labels


def test_predict_works_from_a_checkpoint_for_inference(xmodal_lt, cmltnet_run, shapes, tmp_path):
    CMLTNetForImageClassification.from_pretrained(cmltnet_run).save_pretrained(tmp_path, for_inference=True)
    AutoProcessor.from_pretrained(cmltnet_run).save_pretrained(tmp_path)
    arguments = (shapes / "test", "--words", 2, "--model")
    assert xmodal_lt("predict", *arguments, tmp_path).out == xmodal_lt("predict", *arguments, cmltnet_run).out


@pytest.fixture(scope="module")
def multi_label_model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "multi"
    config = ImageClassifierConfig(backbone="test_resnet", num_labels=3, problem_type="multi_label_classification")
    ImageClassifier(config).save_pretrained(folder)
    XModalLTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


@pytest.mark.parametrize(("threshold", "num_classes"), [(0.001, 3), (0.999, 0)])
def test_predict_with_a_threshold_names_the_classes_that_reach_it(
    xmodal_lt, multi_label_model, shapes, threshold, num_classes
):
    outcome = xmodal_lt("predict", shapes / "test", "--model", multi_label_model, "--threshold", threshold)
    assert outcome.status == 0
    assert [len(row["predictions"]) for row in json_lines(outcome.out)] == [num_classes] * 9


def test_predict_with_a_threshold_loses_no_image_in_a_table(xmodal_lt, multi_label_model, shapes, tmp_path):
    output = tmp_path / "predictions.csv"
    xmodal_lt("predict", shapes / "test", "--model", multi_label_model, "--threshold", 0.999, "--output", output)
    with output.open(newline="") as stream:
        assert [row["image"] for row in csv.DictReader(stream)] == sorted(map(str, (shapes / "test").glob("*.png")))


def test_predict_can_skip_unreadable_images(xmodal_lt, cmltnet_run, shapes, bad_image):
    good = shapes / "test" / "circle-0.png"
    outcome = xmodal_lt("predict", bad_image, good, "--model", cmltnet_run, "--skip-bad-images")
    assert outcome.status == 0
    assert [row["image"] for row in json_lines(outcome.out)] == [str(good)]


def test_predict_stops_at_an_unreadable_image_and_leaves_no_file(xmodal_lt, cmltnet_run, shapes, bad_image, tmp_path):
    output = tmp_path / "predictions.jsonl"
    outcome = xmodal_lt("predict", shapes / "test", bad_image, "--model", cmltnet_run, "--output", output)
    assert outcome.status == 2
    assert f"Cannot read the image {bad_image}" in outcome.error
    assert list(tmp_path.iterdir()) == [bad_image]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.png"], "No image or folder at 'nowhere.png'."),
        (["{tmp_path}"], "There is no image in the given folders"),
        (["{image}", "--words", "2", "--model", "{baseline}"], "a model of type 'lt_classifier' infers none"),
        (["{image}", "--threshold", "0.5"], "threshold=0.5 is for multi-label models"),
        (["{image}", "--output", "table.txt"], "--output table.txt must end in .jsonl or .csv."),
        (["{image}", "--device", "cuda:77"], "Device 'cuda:77' cannot be used"),
        (["{image}", "--model", "./no/where/"], "Cannot load the model './no/where/'"),
    ],
)
def test_predict_with_bad_input_ends_with_a_line(
    xmodal_lt, cmltnet_run, baseline_run, shapes, tmp_path, arguments, message
):
    paths = {"tmp_path": tmp_path, "image": shapes / "test" / "circle-0.png", "baseline": baseline_run}
    outcome = xmodal_lt("predict", "--model", cmltnet_run, *(argument.format(**paths) for argument in arguments))
    assert (outcome.status, outcome.out) == (2, "")
    assert message in outcome.error


@pytest.mark.parametrize("option", [["--top-k", "0"], ["--batch-size", "0"], ["--words", "-1"]])
def test_predict_names_a_number_out_of_range(xmodal_lt, cmltnet_run, shapes, option):
    outcome = xmodal_lt("predict", shapes, "--model", cmltnet_run, *option)
    assert outcome.status == 2
    assert f"Invalid value for '{option[0]}'" in outcome.err


@pytest.fixture
def video_h5(videos, tmp_path) -> Path:
    path = tmp_path / "videos.h5"
    with h5py.File(path, "w") as file:
        file["dive"] = np.load(videos / "clips" / "test-swim-0.npy")
    return path


def test_predict_takes_files_of_features_and_folders_of_them(xmodal_lt, video_run, videos, video_h5):
    folder, name = videos / "clips", f"{video_h5}::dive"
    outcome = xmodal_lt("predict", video_h5, folder, "--model", video_run, "--top-k", 1, "--words", 2)
    assert outcome.status == 0
    rows = json_lines(outcome.out)
    files = sorted(str(file) for file in folder.glob("*.npy"))
    assert [row["image"] for row in rows] == [name, *files]
    assert {(len(row["predictions"]), len(row["words"])) for row in rows} == {(1, 2)}
    by_name = {row["image"]: row["predictions"][0]["label"] for row in rows}
    assert by_name[name] == by_name[str(folder / "test-swim-0.npy")] == "swim"


def test_predict_can_skip_unreadable_features(xmodal_lt, video_run, videos, tmp_path):
    (tmp_path / "bad.npy").write_bytes(b"no array")
    good = videos / "clips" / "test-run-0.npy"
    outcome = xmodal_lt("predict", tmp_path / "bad.npy", good, "--model", video_run, "--skip-bad-images")
    assert [row["image"] for row in json_lines(outcome.out)] == [str(good)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.npy"], "No file of features or folder at 'nowhere.npy'."),
        (["{shapes}"], "There is no file of features in the given folders"),
        (["{h5}::run"], "videos.h5::run: it has no data set 'run'"),
        (["{image}"], "Cannot read the file of features {image}"),
    ],
)
def test_predict_of_videos_with_bad_input_ends_with_a_line(xmodal_lt, video_run, video_h5, shapes, arguments, message):
    paths = {"h5": video_h5, "shapes": shapes, "image": shapes / "test" / "circle-0.png"}
    given = [argument.format(**paths) for argument in arguments]
    outcome = xmodal_lt("predict", *given, "--model", video_run)
    assert (outcome.status, outcome.out) == (2, "")
    assert message.format(**paths) in outcome.error


# --- grid


@pytest.fixture
def grid_file(recipe_file, tmp_path) -> Path:
    file = tmp_path / "grid.yaml"
    file.write_text(
        f"""
base: {recipe_file.name}
output_dir: {tmp_path / "grid"}
axes:
  loss:
    CE: {{}}
    focal: {{overrides: [model.config.classification_loss=focal]}}
"""
    )
    return file


def test_grid_trains_what_is_asked_and_prints_one_table(xmodal_lt, grid_file, tmp_path):
    first = xmodal_lt("grid", grid_file, "--only", "loss=focal")
    assert first.status == 0
    assert [line.split(" | ")[0] for line in first.out.splitlines() if line.startswith("| ")] == [
        "| loss",
        "| ---",
        "| focal",
    ]
    everything = xmodal_lt("grid", grid_file)
    rows = [line for line in everything.out.splitlines() if line.startswith("| ")]
    assert [row.split(" | ")[0] for row in rows] == ["| loss", "| ---", "| CE", "| focal"]
    assert (tmp_path / "grid" / "table_test.md").read_text().splitlines() == rows


def test_grid_can_report_without_training(xmodal_lt, grid_file, tmp_path):
    outcome = xmodal_lt("grid", grid_file, "--no-train", "--seed", 4)
    assert outcome.status == 0
    assert "No cell is finished." in outcome.out
    assert "2 of 2 runs are not finished: CE, seed 4; focal, seed 4" in outcome.out
    assert not (tmp_path / "grid" / "CE").exists()


def test_grid_names_bad_input(xmodal_lt, grid_file):
    outcome = xmodal_lt("grid", grid_file, "--only", "loss=hinge")
    assert outcome.status == 2
    assert "loss has no value 'hinge', only ['CE', 'focal']" in outcome.error


def test_grid_names_a_split_that_no_run_has_before_it_trains(xmodal_lt, grid_file, tmp_path):
    outcome = xmodal_lt("grid", grid_file, "--split", "tset")
    assert outcome.status == 2
    assert "Invalid value for '--split'" in outcome.err
    assert not (tmp_path / "grid").exists()


def test_grid_names_a_split_that_a_finished_run_lacks_before_it_trains(xmodal_lt, grid_file, shapes, tmp_path):
    data = shutil.copytree(shapes, tmp_path / "unvalidated", ignore=shutil.ignore_patterns("validation"))
    overrides = (f"dataset.path={data}", "dataset.validation_fraction=0", "logging_steps=1")
    assert xmodal_lt("grid", grid_file, *overrides, "--only", "loss=CE").status == 0
    outcome = xmodal_lt("grid", grid_file, *overrides, "--split", "validation")
    assert outcome.status == 2
    assert "has no scores of the split 'validation', only of test" in outcome.error
    assert not (tmp_path / "grid" / "focal").exists()


def test_grid_names_a_column_that_runs_lack_as_soon_as_one_has_ended(xmodal_lt, grid_file, tmp_path):
    grid_file.write_text(grid_file.read_text() + "columns: {V: aligned.accuracy}\n")
    outcome = xmodal_lt("grid", grid_file)
    assert outcome.status == 2
    assert "columns.V=aligned.accuracy: the run has no branch 'aligned', only []" in outcome.error
    assert (tmp_path / "grid" / "CE" / "seed0" / "results.json").exists()
    assert not (tmp_path / "grid" / "focal").exists()


# --- evaluate


def test_evaluate_repeats_the_results_of_the_run(xmodal_lt, cmltnet_run, tmp_path):
    outcome = xmodal_lt("evaluate", cmltnet_run, "--split", "validation", "--output", tmp_path)
    assert outcome.status == 0
    assert outcome.out.endswith(f"Results are in {tmp_path}\n")
    evaluation = json.loads((tmp_path / "evaluation_validation.json").read_text())
    assert evaluation == json.loads((cmltnet_run / "results.json").read_text())["splits"]["validation"]


def test_evaluate_repeats_the_results_of_a_run_on_videos(xmodal_lt, video_run, tmp_path):
    outcome = xmodal_lt("evaluate", video_run, "--output", tmp_path)
    assert outcome.status == 0
    evaluation = json.loads((tmp_path / "evaluation_test.json").read_text())
    assert evaluation == json.loads((video_run / "results.json").read_text())["splits"]["test"]


def test_evaluate_over_a_baseline_writes_figures_table_and_scores(xmodal_lt, cmltnet_run, baseline_run, tmp_path):
    options = ("--baseline", baseline_run, "--panels", 2, "--output", tmp_path, "--batch-size", 2)
    outcome = xmodal_lt("evaluate", cmltnet_run, *options)
    assert outcome.status == 0
    assert [line.split()[:4] for line in outcome.out.splitlines()[1:5]] == [
        ["all", "3", "24", "9"],
        ["head", "1", "12", "3"],
        ["medium", "1", "8", "3"],
        ["tail", "1", "4", "3"],
    ]
    figures = sorted(file.name for file in (tmp_path / "figures").iterdir())
    assert figures == ["per_class_gain_test.png", "per_class_test.png", "predictions_test.png"]
    with (tmp_path / "per_class_test.csv").open(newline="") as stream:
        assert [row["class"] for row in csv.DictReader(stream)] == ["circle", "square", "triangle"]
    assert json.loads((tmp_path / "evaluation_test.json").read_text())["num_samples"] == 9


def test_evaluate_on_data_with_other_classes_ends_with_a_line(xmodal_lt, cmltnet_run, write_shapes, tmp_path):
    fewer = write_shapes(tmp_path / "fewer", ("circle", "square"))
    outcome = xmodal_lt("evaluate", cmltnet_run, "--dataset", fewer, "--output", tmp_path)
    assert outcome.status == 2
    assert "The model has 3 classes and the data 2" in outcome.error
    assert "triangle" in outcome.error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{run}", "--split", "dev"], "The data has no split 'dev'; its splits are train, validation, test."),
        (["{run}", "--baseline", "{tmp_path}"], "The baseline has no "),
        (["{run}", "--threshold", "0.8"], "threshold=0.8 is for multi-label problems"),
        (["nowhere"], "'nowhere' is no local folder"),
        (["{tmp_path}"], "Unrecognized model"),
    ],
)
def test_evaluate_with_bad_input_ends_with_a_line(xmodal_lt, cmltnet_run, tmp_path, arguments, message):
    arguments = [argument.format(run=cmltnet_run, tmp_path=tmp_path) for argument in arguments]
    if arguments[0] == str(cmltnet_run):
        arguments += ["--output", str(tmp_path / "evaluation")]
    outcome = xmodal_lt("evaluate", *arguments)
    assert outcome.status == 2
    assert message in outcome.error
