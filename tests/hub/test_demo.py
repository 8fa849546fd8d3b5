from __future__ import annotations

import io
import json
import shutil
from importlib.metadata import version

import numpy as np
import pytest
import typer
from huggingface_hub import SpaceCard
from PIL import Image
from typer.testing import CliRunner

from xmodal_lt.cli_demo import demo as demo_command
from xmodal_lt.hub import demo as demo_module
from xmodal_lt.hub.demo import Demo, class_marks
from xmodal_lt.hub.space import write_space
from xmodal_lt.prediction import Predictor


pytest.importorskip("pytorch_grad_cam")
pytest.importorskip("gradio_client")  # which gradio brings, and which is quick to import


@pytest.fixture(scope="module")
def demo(cmltnet_run, shapes) -> Demo:
    return Demo.from_pretrained(str(cmltnet_run), str(shapes), "cpu")


@pytest.fixture(scope="module")
def square(shapes) -> bytes:
    return (shapes / "train" / "square-3.png").read_bytes()


def named(caption: str) -> str:
    """Without what is said of a map that is all zero, as those of hardly trained models may be."""
    return caption.removesuffix(": no evidence")


def test_a_picture_gets_classes_with_their_groups_and_words(demo, cmltnet_run, square):
    sight = demo.look(square)
    image = Image.open(io.BytesIO(square))
    (row,) = Predictor.from_pretrained(str(cmltnet_run), "cpu").predict([image], 5, 8)
    marks = {"circle": "head, 12 in training", "square": "medium, 8 in training", "triangle": "tail, 4 in training"}
    assert sight.classes == {
        f"{entry['label']} ({marks[entry['label']]})": entry["score"] for entry in row["predictions"]
    }
    assert sight.words == {entry["word"]: entry["score"] for entry in row["words"]}
    assert sight.best == row["predictions"][0]["label"]


def test_each_branch_has_a_map_on_what_the_model_sees(demo, square):
    maps = demo.look(square).maps
    assert [named(caption) for _, caption in maps] == ["what the model sees", "visual", "cross-modal", "fused"]
    assert {picture.size for picture, _ in maps} == {(32, 32)}
    seen = np.asarray(maps[0][0], dtype=int)
    assert np.abs(seen - np.asarray(Image.open(io.BytesIO(square)).resize((32, 32)), dtype=int)).mean() < 10


def test_the_most_similar_training_picture_is_the_picture_itself(demo, square, shapes):
    similar = demo.look(square).similar
    assert len(similar) == 6
    picture, caption = similar[0]
    assert caption == "square"
    assert np.array_equal(np.asarray(picture.convert("RGB")), np.asarray(Image.open(io.BytesIO(square))))


def test_a_model_without_words_branches_and_index_shows_the_rest(baseline_run, square):
    sight = Demo.from_pretrained(str(baseline_run)).look(square)
    assert (len(sight.classes), sight.words, sight.similar) == (3, {}, [])
    assert [named(caption) for _, caption in sight.maps] == ["what the model sees", "model"]


@pytest.mark.parametrize("picture", [b"", b"<svg onload='x'/>"])
def test_what_is_no_picture_is_refused_in_words(demo, picture):
    with pytest.raises(
        ValueError, match=r"cannot be read: it is no image, or in none of the formats PNG, .*TIFF\. Give"
    ):
        demo.look(picture)


def test_formats_whose_decoders_are_not_trusted_are_not_even_tried(demo, monkeypatch):
    stream = io.BytesIO()
    Image.new("RGB", (8, 8)).save(stream, "EPS")
    started = []
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", lambda *arguments, **options: started.append(arguments))
    with pytest.raises(ValueError, match="The picture cannot be read: it is no image, or in none of the formats"):
        demo.look(stream.getvalue())
    assert not started


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_the_usual_formats_are_read(demo, kind):
    stream = io.BytesIO()
    Image.new("RGB", (32, 32), "red").save(stream, kind)
    assert demo.look(stream.getvalue()).classes


@pytest.mark.parametrize("error", [KeyError("lut"), RuntimeError("decoder failed"), AssertionError()])
def test_whatever_a_decoder_raises_is_told_in_words(demo, square, monkeypatch, error):
    def fail(image):
        raise error

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", fail)
    with pytest.raises(
        ValueError, match=r"The picture cannot be read: .*(lut|decoder failed|AssertionError).*\. Give"
    ):
        demo.look(square)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_picture_of_too_many_pixels_is_refused(demo):
    stream = io.BytesIO()
    Image.new("1", (10_000, 9_000)).save(stream, "PNG")
    with pytest.raises(ValueError, match="cannot be read: it has 10000 x 9000 pixels, more than the 89,478,485"):
        demo.look(stream.getvalue())


def test_half_a_picture_and_too_large_a_file_are_refused(demo, square, monkeypatch):
    with pytest.raises(ValueError, match="The picture cannot be read: "):
        demo.look(square[: len(square) // 2])
    monkeypatch.setattr(demo_module, "MAX_BYTES", 100)
    with pytest.raises(ValueError, match="bytes, more than the 100 that are taken"):
        demo.look(square)


def test_marks_come_from_the_results_else_from_the_counts_of_the_config(cmltnet_run, tmp_path):
    config = Predictor.from_pretrained(str(cmltnet_run), "cpu").model.config
    assert class_marks(str(cmltnet_run), config)["circle"] == "head, 12 in training"
    assert class_marks(str(tmp_path), config)["circle"] == "tail, 12 in training"  # by the usual thresholds
    config.class_counts = None
    assert class_marks(str(tmp_path), config) == {}


def test_marks_of_results_without_splits_come_from_the_config(cmltnet_run, tmp_path):
    config = Predictor.from_pretrained(str(cmltnet_run), "cpu").model.config
    (tmp_path / "results.json").write_text('{"splits": {}}')
    assert class_marks(str(tmp_path), config)["circle"] == "tail, 12 in training"


@pytest.mark.parametrize("content", ["[1, 2]", "{", "{}", '{"splits": [3]}', '{"splits": {"test": {}}}'])
def test_damaged_results_are_named(cmltnet_run, tmp_path, content):
    config = Predictor.from_pretrained(str(cmltnet_run), "cpu").model.config
    (tmp_path / "results.json").write_text(content)
    with pytest.raises(ValueError, match=r"results\.json.*run"):
        class_marks(str(tmp_path), config)


def test_maps_without_evidence_are_marked(demo, square, monkeypatch):
    empty = {"aligned": np.zeros((1, 32, 32)), "fused": np.ones((1, 32, 32))}
    monkeypatch.setattr(demo_module, "attention_maps", lambda *arguments: empty)
    assert [name for _, name in demo.look(square).maps][1:] == ["visual: no evidence", "fused"]


@pytest.mark.parametrize(
    "option", [["--port", "7861"], ["--host", "0.0.0.0"], ["--index", "emoji-lt"], ["--device", "cpu"]]
)
def test_options_of_serving_are_refused_with_a_space(option, tmp_path):
    app = typer.Typer()
    app.command()(demo_command)
    result = CliRunner().invoke(app, ["org/name", "--space", str(tmp_path / "space"), *option])
    assert isinstance(result.exception, ValueError) and f"{option[0]} cannot go with --space" in str(result.exception)
    assert not (tmp_path / "space").exists()


def test_models_that_take_no_pictures_are_refused(video_run):
    with pytest.raises(ValueError, match="takes videos as features, which cannot be dropped"):
        Demo.from_pretrained(str(video_run))


def test_a_space_of_a_model_on_the_hub_names_it(tmp_path):
    folder = write_space(tmp_path / "space", "org/name@v1.0")
    assert sorted(file.name for file in folder.iterdir()) == ["README.md", "app.py", "requirements.txt"]
    card = SpaceCard.load(folder / "README.md").data
    assert (card.sdk, card.sdk_version, card.app_file, card.models) == (
        "gradio",
        version("gradio"),
        "app.py",
        ["org/name"],
    )
    assert card.python_version == "3.11"  # text: the number 3.10 would be 3.1
    assert "launch_demo('org/name@v1.0')" in (folder / "app.py").read_text()
    compile((folder / "app.py").read_text(), "app.py", "exec")
    assert (folder / "requirements.txt").read_text().startswith("xmodal-lt[demo]==")
    with pytest.raises(ValueError, match="is not empty; give a new folder"):
        write_space(folder, "org/name")


def test_a_space_of_a_local_run_holds_the_model(cmltnet_run, tmp_path, square):
    run = tmp_path / "my run"
    shutil.copytree(cmltnet_run, run, ignore=shutil.ignore_patterns("checkpoints", "cache"))
    (run / "README.md").write_text("# A card\n")
    folder = write_space(tmp_path / "space", str(run), requirement="xmodal-lt[demo] @ git+https://example.org/x")
    assert (folder / "requirements.txt").read_text() == "xmodal-lt[demo] @ git+https://example.org/x\n"
    assert "with_name('model')" in (folder / "app.py").read_text()
    assert "models" not in SpaceCard.load(folder / "README.md").data.to_dict()
    own, staged = (Demo.from_pretrained(str(place), device="cpu").look(square) for place in (run, folder / "model"))
    assert staged.classes == pytest.approx(own.classes, abs=1e-5)
    assert json.loads((folder / "model" / "config.json").read_text())["word_encoder"] is None


@pytest.mark.parametrize("model", ["no such folder", "a/b/c"])
def test_a_space_of_nothing_is_refused(model, tmp_path):
    with pytest.raises(ValueError, match=r"is no folder, and no Hub id such as org/name"):
        write_space(tmp_path / "space", model)
    assert not (tmp_path / "space").exists()
