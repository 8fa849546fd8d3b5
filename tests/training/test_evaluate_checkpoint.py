import csv
import json
import shutil
from pathlib import Path

import datasets
import pytest
import torch
from embedding import embedded
from PIL import Image, ImageChops

from xmodal_lt import CMLTNetForImageClassification, ImageClassifier, ImageClassifierConfig
from xmodal_lt.metrics import multilabel_f1
from xmodal_lt.processing import XModalLTImageProcessor
from xmodal_lt.training.evaluate_checkpoint import evaluate_checkpoint


@pytest.fixture
def run_copy(cmltnet_run, tmp_path) -> Path:
    """A finished run to write into."""
    return Path(shutil.copytree(cmltnet_run, tmp_path / "copy"))


@pytest.fixture(scope="module")
def multi_label_data(shapes, tmp_path_factory) -> Path:
    """The shapes with lists of labels: circles are squares too."""
    several = Path(shutil.copytree(shapes, tmp_path_factory.mktemp("data") / "several"))
    for file in several.rglob("metadata.jsonl"):
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        for row in rows:
            label = row.pop("label")
            row["labels"] = ["circle", "square"] if label == "circle" else [label]
        file.write_text("\n".join(map(json.dumps, rows)))
    return several


@pytest.fixture(scope="module")
def multi_label_model(tmp_path_factory) -> str:
    """A model of the shapes that was never trained."""
    folder = tmp_path_factory.mktemp("models") / "multi"
    torch.manual_seed(0)
    names = dict(enumerate(("circle", "square", "triangle")))
    config = ImageClassifierConfig(backbone="test_resnet", id2label=names, problem_type="multi_label_classification")
    ImageClassifier(config).save_pretrained(folder)
    XModalLTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return str(folder)


def figure(folder: Path, name: str) -> Image.Image:
    return Image.open(folder / "figures" / name).convert("RGB")


def groups_of(results: dict) -> list[int]:
    return [results["groups"][name]["num_classes"] for name in ("all", "head", "medium", "tail")]


@pytest.mark.usefixtures("blank_figures")
@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_run_scores_as_at_its_end(cmltnet_run, tmp_path, split):
    results, folder = evaluate_checkpoint(str(cmltnet_run), split=split, output=tmp_path)
    assert folder == tmp_path
    assert results == json.loads((cmltnet_run / "results.json").read_text())["splits"][split]


@pytest.mark.usefixtures("blank_figures")
def test_the_training_split_can_be_scored(cmltnet_run, tmp_path):
    results, _ = evaluate_checkpoint(str(cmltnet_run), split="train", output=tmp_path)
    assert [row["test_count"] for row in results["per_class"]] == [12, 8, 4]


@pytest.mark.usefixtures("blank_figures")
def test_files_go_to_the_models_folder(run_copy):
    results, folder = evaluate_checkpoint(str(run_copy), split="validation")
    assert folder == run_copy
    assert json.loads((run_copy / "evaluation_validation.json").read_text()) == results
    with (run_copy / "per_class_validation.csv").open(newline="") as stream:
        assert [row["class"] for row in csv.DictReader(stream)] == ["circle", "square", "triangle"]


@pytest.mark.usefixtures("blank_figures")
def test_scores_do_not_depend_on_the_batch_size(cmltnet_run, tmp_path):
    one, _ = evaluate_checkpoint(str(cmltnet_run), output=tmp_path, batch_size=1)
    all_at_once, _ = evaluate_checkpoint(str(cmltnet_run), output=tmp_path, batch_size=64)
    assert one == all_at_once


def test_a_baseline_adds_the_figure_of_gains(cmltnet_run, baseline_run, tmp_path):
    evaluate_checkpoint(str(cmltnet_run), baseline=baseline_run, output=tmp_path)
    assert Image.open(tmp_path / "figures" / "per_class_gain_test.png").width > 100


@pytest.mark.parametrize("split", ["validation", "test"])
def test_the_figure_of_classes_is_that_of_the_run(cmltnet_run, tmp_path, split):
    evaluate_checkpoint(str(cmltnet_run), split=split, output=tmp_path)
    name = f"per_class_{split}.png"
    assert ImageChops.difference(figure(tmp_path, name), figure(cmltnet_run, name)).getbbox() is None


@pytest.mark.usefixtures("blank_figures")
def test_threshold_decides_which_classes_a_multi_label_model_predicts(multi_label_model, multi_label_data, tmp_path):
    half, _ = evaluate_checkpoint(multi_label_model, str(multi_label_data), output=tmp_path)
    results, _ = evaluate_checkpoint(multi_label_model, str(multi_label_data), output=tmp_path, threshold=0.01)
    assert json.loads((tmp_path / "evaluation_test.json").read_text()) == results
    everything = multilabel_f1([[5.0, 5.0, 5.0]] * 9, [[1, 1, 0]] * 3 + [[0, 1, 0]] * 3 + [[0, 0, 1]] * 3)
    assert {name: results[name] for name in everything} == everything
    assert {name: results[f"{name}_top3"] for name in everything} == everything
    assert (half["threshold"], results["threshold"]) == (0.5, 0.01)
    assert half["of1"] != results["of1"]
    assert half["map"] == results["map"]


@pytest.mark.parametrize("threshold", [0.8, 1])
def test_a_threshold_that_does_not_fit_is_an_error_before_any_image_is_read(cmltnet_run, tmp_path, threshold):
    with pytest.raises(ValueError, match=r"threshold=0\.8 is for multi-label problems|between 0 and 1; got 1"):
        evaluate_checkpoint(str(cmltnet_run), output=tmp_path, threshold=threshold)
    assert not list(tmp_path.iterdir())


def test_a_split_without_labels_has_no_figure_of_classes(multi_label_model, shapes, tmp_path):
    features = datasets.Features({"image": datasets.Image(), "labels": datasets.List(datasets.Value("string"))})
    files = [str(shapes / "test" / f"{name}-0.png") for name in ("circle", "square", "triangle")]
    labels = {"train": [["circle"], ["square"], ["triangle"]], "test": [[], [], []]}
    for split, of_split in labels.items():
        rows = datasets.Dataset.from_dict({"image": files, "labels": of_split}, features)
        embedded(rows).to_parquet(tmp_path / "data" / f"{split}.parquet")
    results, _ = evaluate_checkpoint(multi_label_model, str(tmp_path / "data"), output=tmp_path, panels=2)
    assert (results["map"], results["num_samples"]) == (None, 3)
    assert [file.name for file in (tmp_path / "figures").iterdir()] == ["predictions_test.png"]


@pytest.fixture(scope="module")
def panels_alone(cmltnet_run, tmp_path_factory) -> Image.Image:
    folder = tmp_path_factory.mktemp("alone")
    evaluate_checkpoint(str(cmltnet_run), output=folder, panels=2)
    return figure(folder, "predictions_test.png")


def test_panels_show_the_baseline_beside_the_model(cmltnet_run, baseline_run, panels_alone, tmp_path):
    evaluate_checkpoint(str(cmltnet_run), output=tmp_path, panels=2, baseline=baseline_run)
    assert figure(tmp_path, "predictions_test.png").width > panels_alone.width > 800


def test_a_baseline_of_results_alone_leaves_the_panels_as_they_are(
    cmltnet_run, baseline_run, panels_alone, tmp_path, caplog
):
    results_alone = tmp_path / "results alone"
    results_alone.mkdir()
    shutil.copy(baseline_run / "results.json", results_alone)
    evaluate_checkpoint(str(cmltnet_run), output=tmp_path, panels=2, baseline=results_alone)
    assert "results alone' holds no model; the panels are without it" in caplog.text
    assert ImageChops.difference(panels_alone, figure(tmp_path, "predictions_test.png")).getbbox() is None


def test_panels_over_a_model_of_other_classes_are_an_error(cmltnet_run, baseline_run, multi_label_model, tmp_path):
    other = Path(shutil.copytree(multi_label_model, tmp_path / "other"))
    shutil.copy(baseline_run / "results.json", other)
    with pytest.raises(
        ValueError, match=r"baseline's model has 3 classes \(multi_label_.* the model 3 \(single_label_"
    ):
        evaluate_checkpoint(str(cmltnet_run), output=tmp_path / "out", panels=2, baseline=other)


def test_panels_of_videos_are_an_error(video_run, tmp_path):
    with pytest.raises(ValueError, match="8 panels of images are wanted, but the samples are videos"):
        evaluate_checkpoint(str(video_run), output=tmp_path, panels=8)


def test_fewer_panels_than_none_are_an_error(cmltnet_run, tmp_path):
    with pytest.raises(ValueError, match="panels=-1 must be at least 0"):
        evaluate_checkpoint(str(cmltnet_run), output=tmp_path, panels=-1)


@pytest.mark.usefixtures("blank_figures")
def test_other_data_is_scored_in_the_groups_of_the_run(cmltnet_run, baseline_run, shapes, tmp_path):
    moved = shutil.copytree(shapes, tmp_path / "moved")
    results, _ = evaluate_checkpoint(str(cmltnet_run), str(moved), baseline=baseline_run, output=tmp_path)
    assert groups_of(results) == [3, 1, 1, 1]


@pytest.mark.usefixtures("blank_figures")
def test_training_counts_are_those_of_the_model(cmltnet_run, shapes, tmp_path):
    fewer = shutil.copytree(shapes, tmp_path / "fewer")
    rows = (fewer / "train" / "metadata.jsonl").read_text().splitlines()
    (fewer / "train" / "metadata.jsonl").write_text("\n".join(row for row in rows if "-0.png" in row))
    results, _ = evaluate_checkpoint(str(cmltnet_run), str(fewer), output=tmp_path)
    assert [row["train_count"] for row in results["per_class"]] == [12, 8, 4]


@pytest.mark.usefixtures("blank_figures")
def test_a_model_without_a_recipe_is_scored_on_given_data(cmltnet_run, shapes, tmp_path):
    model = Path(shutil.copytree(cmltnet_run, tmp_path / "model"))
    (model / "recipe.yaml").unlink()
    results, _ = evaluate_checkpoint(str(model), str(shapes))
    assert results["num_samples"] == 9


@pytest.mark.usefixtures("blank_figures")
def test_a_checkpoint_for_inference_scores_the_same(cmltnet_run, run_copy):
    model = CMLTNetForImageClassification.from_pretrained(cmltnet_run)
    model.save_pretrained(run_copy, for_inference=True)
    results, _ = evaluate_checkpoint(str(run_copy))
    assert results == json.loads((cmltnet_run / "results.json").read_text())["splits"]["test"]


def test_a_missing_recipe_is_an_error(run_copy):
    (run_copy / "recipe.yaml").unlink()
    with pytest.raises(ValueError, match=r"has no recipe\.yaml that names its data; give --dataset"):
        evaluate_checkpoint(str(run_copy))


def test_a_missing_split_is_an_error(cmltnet_run, tmp_path):
    with pytest.raises(ValueError, match="no split 'dev'; its splits are train, validation, test"):
        evaluate_checkpoint(str(cmltnet_run), split="dev", output=tmp_path)


def test_other_classes_are_an_error(cmltnet_run, write_shapes, tmp_path):
    fewer = write_shapes(tmp_path / "fewer", ("circle", "square"))
    with pytest.raises(ValueError, match=r"3 classes and the data 2; .*differ in \['triangle'\]"):
        evaluate_checkpoint(str(cmltnet_run), str(fewer), output=tmp_path)


def test_data_with_several_labels_an_image_is_an_error(cmltnet_run, multi_label_data, tmp_path):
    with pytest.raises(ValueError, match="single_label_classification, but the data of type multi_label"):
        evaluate_checkpoint(str(cmltnet_run), str(multi_label_data), output=tmp_path)


def test_videos_are_an_error_for_a_model_of_images_and_images_for_one_of_videos(
    cmltnet_run, video_run, write_videos, write_shapes, tmp_path
):
    videos = write_videos(tmp_path / "videos")
    images = write_shapes(tmp_path / "images")
    names = {"run": "circle", "swim": "triangle", "jump": "square"}
    for file in (*videos.glob("*.jsonl"), *images.rglob("metadata.jsonl")):
        text = file.read_text()
        for video, image in names.items():
            old, new = (video, image) if file.parent == videos else (image, video)
            text = text.replace(f'"label": "{old}"', f'"label": "{new}"')
        file.write_text(text)
    with pytest.raises(ValueError, match="sequences of features as 'features', which need an XModalFeatureExtractor"):
        evaluate_checkpoint(str(cmltnet_run), str(videos), output=tmp_path)
    with pytest.raises(ValueError, match="The samples hold images, but the processor is an XModalFeatureExtractor"):
        evaluate_checkpoint(str(video_run), str(images), output=tmp_path)


def test_data_without_a_training_split_is_an_error(cmltnet_run, shapes, tmp_path):
    shutil.copytree(shapes / "test", tmp_path / "data" / "test")
    with pytest.raises(ValueError, match="train"):
        evaluate_checkpoint(str(cmltnet_run), str(tmp_path / "data"), output=tmp_path)


def test_a_model_that_is_no_folder_needs_an_output():
    with pytest.raises(ValueError, match="'org/model' is no local folder; if it is a Hub id, give --output"):
        evaluate_checkpoint("org/model")


def test_a_baseline_without_results_is_an_error_before_any_image_is_read(cmltnet_run, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"The baseline has no .*results\.json"):
        evaluate_checkpoint(str(cmltnet_run), baseline=tmp_path, output=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_baseline_without_the_split_is_an_error(cmltnet_run, baseline_run, tmp_path):
    with pytest.raises(ValueError, match="no split 'train', only validation, test"):
        evaluate_checkpoint(str(cmltnet_run), split="train", baseline=baseline_run, output=tmp_path)
