"""Cards of runs and of recipes: they say what the run left, and nothing else."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from hub_server import HubServer
from huggingface_hub import ModelCard, constants
from markdown_it import MarkdownIt
from PIL import Image
from transformers import AutoConfig
from typer.testing import CliRunner

from xmodal_lt.cli import main
from xmodal_lt.cli_card import card_app
from xmodal_lt.data import list_datasets
from xmodal_lt.hub import export_remote_code
from xmodal_lt.hub.card import rewrite_card, write_card, write_recipe_card, write_recipe_cards
from xmodal_lt.hub.card_metadata import base_models, card_metadata
from xmodal_lt.hub.card_subject import subject_of_recipe
from xmodal_lt.hub.method_texts import METHOD_TEXTS
from xmodal_lt.hub.paper_results import paper_results
from xmodal_lt.hub.staging import stage_model
from xmodal_lt.prediction import Predictor
from xmodal_lt.registry import METHODS
from xmodal_lt.training import Recipe, run_recipe
from xmodal_lt.training.recipe import ModelRecipe, RebalanceRecipe
from xmodal_lt.training.sources import hub_models


ROOT = Path(__file__).parent.parent.parent
MARKUP = ["a|b `c`", "<script>alert(1)</script>", "[x](http://y) *z* _w_ {{ 7 * 7 }}"]


@pytest.fixture
def copy_of(tmp_path):
    """Copies a shared run, to write into it: into `outputs/<name>`."""

    def copy(run: Path, name: str) -> Path:
        shutil.copytree(run, tmp_path / "outputs" / name, ignore=shutil.ignore_patterns("checkpoints", "cache"))
        return tmp_path / "outputs" / name

    return copy


@pytest.fixture(scope="module")
def multi_label_run(shapes_recipe, shapes, tmp_path_factory) -> Path:
    """A run of CPRFL on the shapes, where circles and squares are also "known". Read it, write nothing into it."""
    folder = tmp_path_factory.mktemp("multi_label")
    shutil.copytree(shapes, folder / "shapes")
    for file in folder.rglob("metadata.jsonl"):
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        for row in rows:
            name = row.pop("label")
            row["labels"] = [name] if name == "triangle" else [name, "known"]
        file.write_text("\n".join(map(json.dumps, rows)))
    recipe = shapes_recipe("lt_classifier", folder / "run")
    recipe.dataset.path = str(folder / "shapes")
    recipe.model.type = "cprfl"
    recipe.model.config |= {"hidden_size": 8, "num_heads": 2, "head_size": 4, "mlp_size": 8}
    return run_recipe(recipe).output_dir


def results_of(folder: Path, split: str = "test") -> dict[str, Any]:
    return json.loads((folder / "results.json").read_text())["splits"][split]


def change_results(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    values = json.loads((folder / "results.json").read_text())
    change(values)
    (folder / "results.json").write_text(json.dumps(values))


def model_index(file: Path) -> dict[str, float]:
    results = ModelCard.load(file).data.eval_results
    assert {result.dataset_split for result in results} == {"test"}
    return {result.metric_name: result.metric_value for result in results}


def tables(markdown: str) -> list[list[list[str]]]:
    """Cells of all tables as a reader sees them."""
    found: list[list[list[str]]] = []
    for token in MarkdownIt("commonmark").enable("table").parse(markdown.partition("\n---\n")[2]):
        if token.type == "table_open":
            found.append([])
        elif token.type == "tr_open":
            found[-1].append([])
        elif token.type == "inline" and found and token.level >= 4:
            shown = [one.content for one in token.children if one.type in ("text", "code_inline", "text_special")]
            found[-1][-1].append("".join(shown))
    return found


def row_of(markdown: str, label: str) -> list[str]:
    """The cells behind the first one, `label`, in whichever table it is first."""
    return next(row[1:] for rows in tables(markdown) for row in rows if row[0] == label)


def blocks(markdown: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", markdown, re.MULTILINE | re.DOTALL)


def run_examples(card: Path, monkeypatch, capsys) -> str:
    """Runs all code of a card, each block by itself, where the card's model is in a folder of its name; what it
    prints."""
    markdown = card.read_text(encoding="utf-8")
    monkeypatch.chdir(card.parent.parent)
    for block in blocks(markdown, "python"):
        exec(compile(block, card.name, "exec"), {"__name__": "card"})
    for line in "".join(blocks(markdown, "bash")).splitlines():
        program, *arguments = shlex.split(line)
        if program == "xmodal-lt":
            with pytest.raises(SystemExit, match="0"):
                main(arguments)
        else:
            assert (program, arguments) == ("pip", ["install", "xmodal-lt"])
    return capsys.readouterr().out


def check_on_hub(card: Path, monkeypatch) -> None:
    """Lets the client ask the Hub whether the metadata are valid."""
    with HubServer().running() as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        ModelCard.load(card).validate()


def test_metadata_are_those_of_the_run(cmltnet_run, copy_of, monkeypatch):
    folder = copy_of(cmltnet_run, "shapes_model")
    card = write_card(folder)
    assert card == folder / "README.md"
    data = ModelCard.load(card).data
    assert (data.pipeline_tag, data.library_name, data.license) == ("image-classification", "transformers", "unknown")
    assert {"xmodal-lt", "long-tailed", "cmltnet"} <= set(data.tags)
    assert data.metrics == ["accuracy"]
    assert data.base_model is None  # random weights
    assert data.datasets is None  # a folder of this machine
    assert data.model_name == "shapes_model"
    check_on_hub(card, monkeypatch)


def test_model_index_holds_the_results_of_the_test_split(cmltnet_run, copy_of):
    folder = copy_of(cmltnet_run, "run")
    results = results_of(folder)
    expected = {"top-1 accuracy": results["accuracy"], "macro accuracy": results["macro_accuracy"]}
    for group in ("head", "medium", "tail"):
        expected[f"accuracy of {group} classes"] = results["groups"][group]["micro"]
        expected[f"macro accuracy of {group} classes"] = results["groups"][group]["macro"]
    assert model_index(write_card(folder)) == expected  # no top-5 with three classes


def test_tables_show_the_results_of_every_split(cmltnet_run, copy_of):
    folder = copy_of(cmltnet_run, "run")
    markdown = write_card(folder).read_text()
    assert markdown.index("### test") < markdown.index("### validation")
    for split in ("test", "validation"):
        groups = results_of(folder, split)["groups"]
        part = "---\n\n---\n" + markdown.partition(f"### {split}")[2]
        assert row_of(part, "classes") == ["3", "1", "1", "1"]
        shown = row_of(part, "macro accuracy %, run")
        assert shown == [f"{100 * groups[name]['macro']:.1f}" for name in ("all", "head", "medium", "tail")]
    circle = row_of(markdown, "0")
    assert circle[:4] == ["circle", "head", "12", "3"]
    assert "head > 10, medium 5 to 10, tail < 5" in markdown.replace("\\", "")


def test_baseline_stands_beside_the_run(cmltnet_run, baseline_run, copy_of):
    folder = copy_of(cmltnet_run, "run")
    markdown = write_card(folder, baseline=baseline_run).read_text()
    own, other = results_of(folder)["accuracy"], results_of(baseline_run)["accuracy"]
    assert row_of(markdown, "accuracy %, baseline (baseline)")[0] == f"{100 * other:.1f}"
    assert row_of(markdown, "accuracy, gain in points")[0] == f"{100 * (own - other):+.1f}"
    assert "(figures/per_class_gain_test.png)" in markdown
    assert (folder / "figures" / "per_class_gain_test.png").stat().st_size > 0
    assert "per_class_gain" not in write_card(folder).read_text()  # of another card's baseline


def test_baseline_on_other_data_is_refused(cmltnet_run, multi_label_run, copy_of, tmp_path):
    folder = copy_of(cmltnet_run, "run")
    with pytest.raises(ValueError, match="different data"):
        write_card(folder, baseline=multi_label_run)
    with pytest.raises(FileNotFoundError, match=r"results\.json"):
        write_card(folder, baseline=tmp_path)
    assert not (folder / "README.md").exists()


def test_figures_of_the_run_are_shown(cmltnet_run, copy_of, tmp_path):
    folder = copy_of(cmltnet_run, "run")
    shown = re.findall(r"!\[[^]]*\]\(([^)]+)\)", write_card(folder).read_text())
    assert shown == ["figures/training_curves.png", "figures/per_class_test.png"]
    assert all((folder / file).is_file() for file in shown)
    elsewhere = write_card(folder, output=tmp_path / "card.md")
    assert "![" not in elsewhere.read_text()


def test_nothing_of_the_machine_is_told(cmltnet_run, copy_of):
    folder = copy_of(cmltnet_run, "run")
    markdown = write_card(folder).read_text()
    recipe = Recipe.load(folder / "recipe.yaml")
    for path in (recipe.dataset.path, recipe.output_dir, folder, Path.home()):
        assert str(path) not in markdown
    assert "called shapes" in markdown


def test_training_and_environment_are_those_of_the_run(cmltnet_run, copy_of):
    folder = copy_of(cmltnet_run, "run")
    markdown = write_card(folder).read_text()
    stages = next(rows for rows in tables(markdown) if rows[0][0] == "stage")
    assert [row[0] for row in stages[1:]] == ["align", "infer", "fuse"]
    history = json.loads((folder / "history.json").read_text())
    steps = [str(max(entry["step"] for entry in logs)) for logs in history.values()]
    assert [row[stages[0].index("steps")] for row in stages[1:]] == steps
    versions = json.loads((folder / "results.json").read_text())["versions"]
    for package, version in versions.items():
        assert row_of(markdown, package) == [version]


def test_examples_are_test_pictures_with_their_predictions(cmltnet_run, copy_of, shapes, monkeypatch):
    folder = copy_of(cmltnet_run, "run")
    card = write_card(folder, examples=True)
    predictor = Predictor.from_pretrained(str(folder))
    entries = ModelCard.load(card).data.widget
    titles = ["circle (head)", "square (medium)", "triangle (tail)"]
    assert [entry["example_title"] for entry in entries] == titles
    for entry, name in zip(entries, ("circle", "square", "triangle"), strict=True):
        (predicted,) = predictor.predict_files([folder / entry["src"]])
        assert entry["output"] == predicted["predictions"]
        original = Image.open(shapes / "test" / f"{name}-0.png").convert("RGB")
        assert np.array_equal(Image.open(folder / entry["src"]), original)
        assert f"({entry['src']})" in card.read_text()
    check_on_hub(card, monkeypatch)


def test_pictures_of_data_without_licence_stay_where_they_are(cmltnet_run, copy_of, tmp_path):
    folder = copy_of(cmltnet_run, "run")
    assert ModelCard.load(write_card(folder)).data.get("widget") is None
    assert not (folder / "figures" / "widget").exists()
    with pytest.raises(ValueError, match="not in the folder of the run"):
        write_card(folder, examples=True, output=tmp_path / "card.md")


def test_code_of_a_card_runs(cmltnet_run, copy_of, shapes, monkeypatch, capsys):
    folder = copy_of(cmltnet_run, "run")
    Image.open(shapes / "test" / "circle-0.png").save(folder.parent / "photo.jpg")
    out = run_examples(write_card(folder), monkeypatch, capsys).splitlines()
    assert out[0] in ("circle", "square", "triangle")
    assert len(json.loads(out[-1])["words"]) == 5
    assert json.loads(out[-1])["predictions"][0]["label"] == out[0]


def test_card_of_several_labels(multi_label_run, copy_of, shapes, monkeypatch, capsys):
    folder = copy_of(multi_label_run, "run")
    card = write_card(folder, examples=True)
    results, index = results_of(folder), model_index(card)
    assert index["mAP"] == results["map"]
    assert index["mAP of head classes"] == results["groups"]["head"]["map"]
    assert index["CF1"] == results["cf1"]
    assert ModelCard.load(card).data.metrics[0] == "mean_average_precision"
    sources = [entry["src"] for entry in ModelCard.load(card).data.widget]
    assert sources == [f"figures/widget/{group}.png" for group in ("head", "medium", "tail")]
    Image.open(shapes / "test" / "circle-0.png").save(folder.parent / "photo.jpg")
    out = run_examples(card, monkeypatch, capsys).splitlines()
    (row,) = Predictor.from_pretrained(str(folder)).predict_files([folder.parent / "photo.jpg"], threshold=0.5)
    assert set(yaml.safe_load(out[0])) == {entry["label"] for entry in row["predictions"]}


def test_card_of_videos(video_run, copy_of, videos, monkeypatch, capsys):
    folder = copy_of(video_run, "run")
    card = write_card(folder)
    data = ModelCard.load(card).data
    assert data.pipeline_tag == "video-classification"
    assert model_index(card)["top-1 accuracy"] == results_of(folder)["accuracy"]
    shutil.copy(next((videos / "clips").glob("test-run-*.npy")), folder.parent / "video.npy")
    out = run_examples(card, monkeypatch, capsys).splitlines()
    assert json.loads(out[-1])["predictions"][0]["label"] == out[0]
    with pytest.raises(ValueError, match="of videos"):
        write_card(folder, examples=True)


def test_card_of_a_checkpoint_alone(cmltnet_run, tmp_path, monkeypatch):
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("config.json", "model.safetensors"):
        shutil.copy(cmltnet_run / name, folder)
    card = write_card(folder)
    markdown = card.read_text()
    data = ModelCard.load(card).data
    assert data.eval_results is None
    assert "without results" in markdown
    assert "without a recipe" in markdown
    assert row_of(markdown, "1") == ["square"]
    assert not re.search(r"\d+\.\d+ %", markdown)
    check_on_hub(card, monkeypatch)


def test_names_with_markup_are_shown_as_they_are(cmltnet_run, copy_of):
    folder = copy_of(cmltnet_run, "a_[b](c)")
    config = AutoConfig.from_pretrained(folder)
    config.id2label = dict(enumerate(MARKUP))
    config.label2id = {name: index for index, name in enumerate(MARKUP)}
    config.save_pretrained(folder)
    values = json.loads((folder / "results.json").read_text())
    for results in values["splits"].values():
        for row, name in zip(results["per_class"], MARKUP, strict=True):
            row["class"] = name
    (folder / "results.json").write_text(json.dumps(values))
    card = write_card(folder, examples=False)
    markdown = card.read_text()
    for index, name in enumerate(MARKUP):
        assert row_of(markdown, str(index))[0] == name
    assert "<script>" not in MarkdownIt("commonmark").render(markdown).replace("&lt;", "")
    assert ModelCard.load(card).data.model_name == "a_[b](c)"


def test_licence_and_id_are_the_publishers(cmltnet_run, copy_of):
    folder = copy_of(cmltnet_run, "run")
    card = write_card(folder, repo_id="org/shapes", license="mit")
    assert ModelCard.load(card).data.license == "mit"
    assert ModelCard.load(card).data.model_name == "shapes"
    assert '.from_pretrained("org/shapes")' in card.read_text()
    assert "--model org/shapes" in card.read_text()


@pytest.mark.parametrize("name", ["cmltnet_run", "video_run"])
def test_code_for_those_without_the_package_runs(name, request, copy_of, shapes, videos, monkeypatch, capsys):
    folder = copy_of(request.getfixturevalue(name), "run")
    assert "trust_remote_code" not in write_card(folder).read_text()
    export_remote_code(folder)
    card = write_card(folder)
    block = next(text for text in blocks(card.read_text(), "python") if "trust_remote_code" in text)
    assert "import xmodal_lt" not in block
    calls = re.findall(r"(?:from_pretrained|pipeline)\(.*", block)
    assert len(calls) == (2 if name == "video_run" else 3)
    assert all("trust_remote_code=True" in call for call in calls)
    Image.open(shapes / "test" / "circle-0.png").save(folder.parent / "photo.jpg")
    monkeypatch.chdir(folder.parent)
    exec(compile(block, card.name, "exec"), {"__name__": "card"})
    out = capsys.readouterr().out
    assert name == "video_run" or yaml.safe_load(out)[0]["label"] in ("circle", "square", "triangle")


def staged_files(folder: Path, staged: Path) -> Path:
    """What a card for the Hub is made beside: the model with its source, and what is published of the run."""
    shutil.copytree(folder, staged, ignore=shutil.ignore_patterns("README.md", ".card.json"))
    export_remote_code(staged)
    return staged


def test_a_card_for_the_hub_has_all_that_the_runs_own_has(cmltnet_run, baseline_run, copy_of, tmp_path):
    folder = copy_of(cmltnet_run, "run")
    own = write_card(folder, baseline=baseline_run, license="mit", examples=True)
    before = own.read_text()
    staged = staged_files(folder, tmp_path / "staged")
    assert rewrite_card(folder, staged, "org/name")
    markdown = (staged / "README.md").read_text()
    code = "".join(blocks(markdown, "python") + blocks(markdown, "bash"))
    assert set(re.findall(r"(?:from_pretrained\(|model=|--model )\"?([\w/]+)", code)) == {"org/name"}
    assert code.count("trust_remote_code=True") == 3
    assert markdown.partition("\n# ")[2].startswith("name\n")
    for label in ("accuracy %, baseline (baseline)", "accuracy, gain in points"):
        assert row_of(markdown, label) == row_of(before, label)
    kept, new = ModelCard(before).data, ModelCard(markdown).data
    assert (new.license, new.widget) == ("mit", kept.widget)
    assert "(figures/per_class_gain_test.png)" in markdown
    assert own.read_text() == before
    assert not (staged / ".card.json").exists()


def test_scores_of_a_baseline_that_is_gone_stay_in_the_card(cmltnet_run, baseline_run, copy_of, tmp_path, monkeypatch):
    folder, baseline = copy_of(cmltnet_run, "run"), copy_of(baseline_run, "base")
    before = write_card(folder, baseline=baseline).read_text()
    shutil.rmtree(baseline)
    warnings: list[str] = []
    monkeypatch.setattr("xmodal_lt.hub.card.logger.warning", warnings.append)
    staged = staged_files(folder, tmp_path / "staged")
    assert rewrite_card(folder, staged, "org/name")
    markdown = (staged / "README.md").read_text()
    assert row_of(markdown, "accuracy %, base (baseline)") == row_of(before, "accuracy %, base (baseline)")
    assert len(warnings) == 1 and "results.json" in warnings[0]


def test_a_card_of_somebodys_own_is_left_alone(cmltnet_run, copy_of, tmp_path):
    folder = copy_of(cmltnet_run, "run")
    card = write_card(folder)
    card.write_text(card.read_text() + "\nBy me.\n")
    staged = staged_files(folder, tmp_path / "staged")
    assert not rewrite_card(folder, staged, "org/name")
    (folder / ".card.json").unlink()
    assert not rewrite_card(folder, staged, "org/name")
    assert not (staged / "README.md").exists()


def test_what_is_pushed_loads_from_where_it_is(cmltnet_run, copy_of, tmp_path):
    """`xmodal-lt card RUN`, then `xmodal-lt push RUN org/name --with-code`."""
    folder, staged = copy_of(cmltnet_run, "run"), tmp_path / "staged"
    write_card(folder)
    staged.mkdir()
    stage_model(folder, staged, "org/name", with_code=True)
    markdown = (staged / "README.md").read_text()
    assert 'from_pretrained("org/name", trust_remote_code=True)' in markdown
    assert '"run"' not in markdown
    assert "No baseline run was given" in markdown
    assert not (staged / ".card.json").exists()


def test_a_run_without_a_card_gets_one_for_the_hub(cmltnet_run, copy_of, tmp_path):
    folder = copy_of(cmltnet_run, "run")
    staged = staged_files(folder, tmp_path / "staged")
    assert rewrite_card(folder, staged, "org/name")
    assert 'from_pretrained("org/name")' in (staged / "README.md").read_text()
    assert not (folder / "README.md").exists()


def test_a_card_of_somebodys_own_with_scores_of_an_earlier_run_is_refused(cmltnet_run, copy_of, tmp_path):
    folder = copy_of(cmltnet_run, "run")
    card = write_card(folder)
    card.write_text(card.read_text() + "\nBy me.\n")
    change_results(folder, lambda values: values["splits"]["test"].update(accuracy=0.123))
    staged = staged_files(folder, tmp_path / "staged")
    with pytest.raises(ValueError, match=r"README\.md gives .* as top-1 accuracy, and results\.json 0\.1230"):
        rewrite_card(folder, staged, "org/name")
    text = card.read_text()
    index = text.index("name: top-1 accuracy")
    start = text.rindex("value: ", 0, index)
    card.write_text(text[:start] + "value: 0.12\n" + text[text.index("\n", start) + 1 :])  # as somebody rounds it
    assert not rewrite_card(folder, staged, "org/name")
    card.write_text("---\nmodel-index: [\n---\n")
    with pytest.raises(ValueError, match=r"metadata of .*README\.md cannot be read"):
        rewrite_card(folder, staged, "org/name")


@pytest.mark.parametrize(("path", "shown"), [("emoji-lt", True), ("shapes", False)])
def test_figures_with_pictures_are_shown_where_they_may_be_passed_on(path, shown, cmltnet_run, copy_of):
    folder = copy_of(cmltnet_run, "run")
    for name in ("attention", "predictions", "tsne"):
        (folder / "figures" / f"{name}_test.png").touch()
    recipe = Recipe.load(folder / "recipe.yaml")
    recipe.dataset.path = path
    (folder / "recipe.yaml").write_text(recipe.to_yaml())
    change_results(folder, lambda values: values["dataset"].update(source="registered" if shown else "local"))
    markdown = write_card(folder, examples=False).read_text()
    assert "(figures/tsne_test.png)" in markdown
    for text in ("(figures/attention_test.png)", "(figures/predictions_test.png)", "Twitter, Inc", "CC-BY-SA-4.0]("):
        assert (text in markdown) == shown


def test_folders_that_are_no_runs_are_refused(cmltnet_run, copy_of, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"config\.json"):
        write_card(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "vit"}')
    with pytest.raises(ValueError, match="'vit'"):
        write_card(tmp_path)
    folder = copy_of(cmltnet_run, "run")
    (folder / "results.json").write_text('{"splits": {')
    with pytest.raises(ValueError, match=r"results\.json"):
        write_card(folder)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"pretrained": "hub", "config": {"backbone": "resnet50.tv_in1k"}}, ["timm/resnet50.tv_in1k"]),
        ({"pretrained": "hub", "config": {"backbone": "hf:facebook/dinov2-small"}}, ["facebook/dinov2-small"]),
        ({"pretrained": "lite0", "config": {"backbone": "tf_efficientnet_lite0"}}, []),
        ({"config": {"backbone": "resnet50.tv_in1k"}}, []),
        ({"pretrained": "weights/rn50.pth", "config": {"backbone": "resnet50"}}, []),
        ({"checkpoint": "org/model"}, ["org/model"]),
        (
            {"pretrained": "hub", "config": {"backbone": "resnet50.tv_in1k", "semantics": "clip:openai/clip"}},
            ["timm/resnet50.tv_in1k", "openai/clip"],
        ),
        ({"config": {"backbone": "resnet50_clip", "text_backbone": "clip:weights/clip-rn50"}}, []),
    ],
)
def test_base_models_are_those_on_the_hub(settings, expected):
    recipe = ModelRecipe(type="cprfl", **settings)
    assert base_models(recipe, hub_models(recipe)) == expected


def test_folders_that_read_like_ids_are_no_ids(cmltnet_run, copy_of, tmp_path, monkeypatch):
    """Seen from another folder than the run was started in, where they are not there."""
    folder = copy_of(cmltnet_run, "run")
    assert json.loads((folder / "results.json").read_text())["dataset"]["source"] == "local"
    recipe = Recipe.load(folder / "recipe.yaml")
    recipe.dataset.path, recipe.model.checkpoint = "data/customers_private", "outputs/x"
    (folder / "recipe.yaml").write_text(recipe.to_yaml())
    monkeypatch.chdir(tmp_path)
    card = write_card(folder)
    assert ModelCard.load(card).data.datasets is None
    assert ModelCard.load(card).data.base_model is None
    assert not re.search(r"huggingface\.co/(datasets/data|outputs)|^  type: data/", card.read_text(), re.MULTILINE)
    assert row_of(card.read_text(), "1")[0] == "square"  # nobody asked for the checkpoint either
    change_results(folder, lambda values: values["dataset"].pop("source"))  # of a run before it was recorded
    assert ModelCard.load(write_card(folder)).data.datasets is None


def test_ids_that_the_run_found_are_linked(cmltnet_run, copy_of):
    folder = copy_of(cmltnet_run, "run")
    recipe = Recipe.load(folder / "recipe.yaml")
    recipe.dataset.path, recipe.model.checkpoint = "org/data", "org/base"
    (folder / "recipe.yaml").write_text(recipe.to_yaml())
    change_results(folder, lambda values: values["dataset"].update(source="hub"))
    change_results(folder, lambda values: values.update(hub_models=["org/base"]))
    card = write_card(folder)
    assert ModelCard.load(card).data.datasets == ["org/data"]
    assert ModelCard.load(card).data.base_model == ["org/base"]
    assert "(https://huggingface.co/datasets/org/data)" in card.read_text()


def test_licence_follows_the_data():
    """Drawings that everyone may pass on, and images that nobody may."""
    emoji, imagenet = (
        card_metadata(subject_of_recipe(ROOT / "recipes" / f"baseline_{name}.yaml"), None)
        for name in ("emoji_lt", "imagenet_lt")
    )
    assert (emoji.license, emoji.datasets) == ("apache-2.0", ["emoji-lt"])
    assert (imagenet.license, imagenet.license_name) == ("other", "imagenet-lt-terms")
    assert imagenet.license_link.startswith("https://")


def test_papers_numbers_are_marked_in_the_table_of_the_test_split(cmltnet_run, copy_of):
    folder = copy_of(cmltnet_run, "run")
    recipe = Recipe.load(folder / "recipe.yaml")
    recipe.dataset.name, recipe.dataset.path = "vireofood-172", None
    (folder / "recipe.yaml").write_text(recipe.to_yaml())
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"backbone": "resnet18"}))
    markdown = write_card(folder).read_text()
    label = "accuracy %, paper: CMLTNet, table 2, ResNet-18"
    assert row_of(markdown, label) == ["79.2", "78.5", "80.0", "78.1"]
    assert markdown.count("paper: CMLTNet") == 1
    assert model_index(folder / "README.md")["top-1 accuracy"] == results_of(folder)["accuracy"]


def test_change_of_the_trained_head_is_told(baseline_run, copy_of):
    folder = copy_of(baseline_run, "run")
    recipe = Recipe.load(folder / "recipe.yaml")
    recipe.rebalance = RebalanceRecipe(method="tau_norm")
    (folder / "recipe.yaml").write_text(recipe.to_yaml())
    values = json.loads((folder / "results.json").read_text())
    values["rebalance"] = {"method": "tau_norm", "tau": 0.7, "validation_macro_accuracy": {"0.7": 0.5}}
    (folder / "results.json").write_text(json.dumps(values))
    assert "`tau_norm`, tau 0.7\n" in write_card(folder).read_text()


def test_long_lists_of_classes_are_cut(cmltnet_run, copy_of, monkeypatch):
    monkeypatch.setattr("xmodal_lt.hub.card._MOST_CLASSES", 2)
    markdown = write_card(copy_of(cmltnet_run, "run")).read_text()
    assert "The first 2 of 3 classes" in markdown
    assert "| 1 | square |" in markdown
    assert "| 2 | triangle |" not in markdown


def test_papers_stand_beside_the_same_data_and_backbone_only():
    (row,) = paper_results("cmltnet", "nus-wide", "resnet50.tv_in1k")
    assert row.groups == {"all": 48.6, "head": 70.7, "medium": 54.8, "tail": 41.3}
    assert paper_results("cmltnet", "nus-wide", "resnet34") == []
    assert paper_results("cmltnet", "emoji-lt", "resnet50") == []
    assert paper_results("cmltnet", None, "resnet50") == []


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.model_type)
def test_every_stage_of_every_method_is_described(method):
    with torch.device("meta"):
        config = method.config_class()(backbone="test_resnet", num_labels=3)
        stages = method.classifier_class()(config).stages
    assert set(METHOD_TEXTS[method.model_type].stages) == set(stages)


def test_cards_of_the_recipes_are_up_to_date(tmp_path, monkeypatch):
    """Written by `xmodal-lt card --all-recipes recipes --output hub_cards`."""
    monkeypatch.chdir(ROOT)
    written = {file.name: file.read_text() for file in write_recipe_cards("recipes", tmp_path)}
    assert {f"{file.stem}.md" for file in Path("recipes").glob("*.yaml")} == set(written)
    kept = {file.name: file.read_text() for file in Path("hub_cards").glob("*.md")}
    assert {name for name in written if written[name] != kept.get(name)} == set()
    assert set(kept) >= set(written)


@pytest.mark.parametrize("name", ["cmltnet_nus_wide", "crif_msr_vtt", "vl_ltr_vit_places_lt", "ldam_drw_cifar100_lt"])
def test_card_of_a_recipe_has_no_result(name, tmp_path):
    card = write_recipe_card(ROOT / "recipes" / f"{name}.yaml", tmp_path / "card.md")
    markdown, data = card.read_text(), ModelCard.load(card).data
    assert "Not trained yet" in markdown
    assert str(ROOT) not in markdown
    assert (data.eval_results, data.get("widget")) == (None, None)
    assert data.datasets[0] in list_datasets()
    results = markdown.partition("## Results")[2].partition("## How to use")[0]
    rows = [row[0] for row in tables(f"---\n---\n{results}") for row in row[1:]]
    assert all(label.startswith("paper: ") for label in rows)


def test_recipe_on_own_data_has_no_card_before_it_is_trained(cmltnet_run, tmp_path):
    with pytest.raises(ValueError, match=r"dataset\.name"):
        write_recipe_card(cmltnet_run / "recipe.yaml", tmp_path / "card.md")


def test_command_line(cmltnet_run, copy_of, tmp_path, monkeypatch):
    folder = copy_of(cmltnet_run, "run")
    runner = CliRunner()
    done = runner.invoke(card_app, [str(folder), "--output", str(tmp_path / "a.md"), "--license", "mit"])
    assert done.exit_code == 0
    assert ModelCard.load(tmp_path / "a.md").data.license == "mit"
    monkeypatch.chdir(ROOT)
    runner.invoke(card_app, ["--recipe", "recipes/crif_msr_vtt.yaml", "--output", str(tmp_path / "b.md")])
    assert "Not trained yet" in (tmp_path / "b.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Give one of these"),
        (["run", "--recipe", "a.yaml"], "Give one of these"),
        (["--recipe", "a.yaml"], "--output"),
        (["--recipe", "a.yaml", "--output", "a.md", "--license", "mit"], "--license"),
        (["--all-recipes", "nowhere", "--output", "cards"], "no recipe"),
    ],
)
def test_wrong_command_lines_are_explained(arguments, message):
    error = CliRunner().invoke(card_app, arguments).exception
    assert isinstance(error, (ValueError, OSError))
    assert message in str(error)
