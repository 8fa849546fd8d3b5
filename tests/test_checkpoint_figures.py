from __future__ import annotations

import json
import re
import shutil
from functools import partial

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from xmodal_lt import ImageClassifier, ImageClassifierConfig
from xmodal_lt.analysis.attention_maps import attention_maps, overlay
from xmodal_lt.checkpoint_figures import figures_of_checkpoint
from xmodal_lt.cli_figures import figures as figures_command
from xmodal_lt.prediction import Predictor
from xmodal_lt.processing import XModalLTImageProcessor


pytest.importorskip("pytorch_grad_cam")
pytest.importorskip("sklearn")


def offsets(figure):
    return [np.asarray(part.get_offsets()) for ax in figure.axes for part in ax.collections]


def test_feature_spaces_of_a_run_on_its_own_data(cmltnet_run):
    figure = figures_of_checkpoint(str(cmltnet_run), kinds=["tsne"])["tsne"]
    assert [ax.get_title() for ax in figure.axes] == ["visual", "semantic", "aligned", "inferred", "fused"]
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ["circle (head)", "triangle (tail)", "words of circle", "words of triangle"]
    assert {len(points) for points in offsets(figure)} == {3}
    again = figures_of_checkpoint(str(cmltnet_run), kinds=["tsne"])["tsne"]
    assert all(map(np.array_equal, offsets(figure), offsets(again)))


def test_attention_maps_are_for_the_classes_that_are_asked_for(crif_run, shapes):
    figure = figures_of_checkpoint(str(crif_run), split="validation", classes=["square"], kinds=["attention"])[
        "attention"
    ]
    assert [ax.get_title() for ax in figure.axes] == ["image", "visual", "cross-modal", "fused"]
    assert figure.axes[0].get_ylabel() == "square (medium)"
    predictor = Predictor.from_pretrained(str(crif_run), "cpu")
    picture = Image.open(shapes / "validation" / "square-0.png")
    pixel_values = predictor.image_processor(picture, return_tensors="pt")["pixel_values"]
    expected = attention_maps(predictor.model, pixel_values, classes=[1])["fused"][0]
    seen = Image.fromarray(figure.axes[0].images[0].get_array())
    assert np.array_equal(figure.axes[3].images[0].get_array(), np.asarray(overlay(seen, expected)))


def test_by_default_each_group_shows_its_classes(baseline_run):
    drawn = figures_of_checkpoint(str(baseline_run))
    assert list(drawn) == ["tsne", "attention"]
    rows = [ax.get_ylabel() for ax in drawn["attention"].axes if ax.get_ylabel()]
    assert rows == ["circle (head)", "square (medium)", "triangle (tail)"]
    assert [ax.get_title() for ax in drawn["tsne"].axes] == ["visual"]


def test_videos_have_feature_spaces_and_no_attention_maps(video_run):
    figure = figures_of_checkpoint(str(video_run), kinds=["tsne"])["tsne"]
    assert [ax.get_title() for ax in figure.axes] == ["visual", "semantic", "aligned", "inferred", "fused"]
    with pytest.raises(ValueError, match="attention maps are of images, and the data holds videos"):
        figures_of_checkpoint(str(video_run))


def test_of_several_labels_a_sample_counts_for_the_one_class_that_is_shown(shapes, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(shapes, data)
    for file in data.rglob("metadata.jsonl"):
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        for row in rows:
            name = row.pop("label")
            row["labels"] = [name, "angular"] if name != "circle" else [name]
        file.write_text("\n".join(map(json.dumps, rows)))
    names = ["angular", "circle", "square", "triangle"]
    settings = {"id2label": dict(enumerate(names)), "problem_type": "multi_label_classification"}
    folder = tmp_path / "model"
    ImageClassifier(ImageClassifierConfig(backbone="test_resnet", **settings)).save_pretrained(folder)
    XModalLTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    draw = partial(figures_of_checkpoint, str(folder), str(data), kinds=["tsne"])
    shown = draw(classes=["circle", "angular"])["tsne"]
    assert [len(points) for points in offsets(shown)] == [3, 6]
    with pytest.raises(ValueError, match=r"the split 'test' has no sample of .*square.*; choose others"):
        draw(classes=["square", "angular", "circle"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": ["hexagon"]}, "the data has no class 'hexagon'; its classes are .*circle"),
        ({"split": "nowhere"}, "has no split 'nowhere'"),
        ({"kinds": ["umap"]}, "there is no figure 'umap'; expected one of tsne, attention"),
    ],
)
def test_what_cannot_be_drawn_is_refused(baseline_run, options, message):
    with pytest.raises(ValueError, match=message):
        figures_of_checkpoint(str(baseline_run), **options)


def test_the_command_writes_files_and_says_where(baseline_run, tmp_path):
    app = typer.Typer()
    app.command()(figures_command)
    options = ["--kind", "attention", "--classes", "circle", "--output", str(tmp_path / "out")]
    result = CliRunner().invoke(app, [str(baseline_run), *options])
    assert result.exit_code == 0, result.exception
    assert result.stdout == f"The figure is {tmp_path / 'out' / 'attention_test.png'}\n"
    with Image.open(tmp_path / "out" / "attention_test.png") as image:
        assert image.width > 100
    refused = CliRunner().invoke(app, ["org/name"])
    assert re.search("give --output, a folder for the figures", str(refused.exception))
