"""What tests of several folders share: recorded reference values, and runs on a tiny data set of coloured shapes."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datasets
import pytest
from PIL import Image, ImageDraw

from xmodal_lt.training import Recipe, run_recipe


TRAIN_COUNTS = {"circle": 12, "square": 8, "triangle": 4}
COLOURS = {"circle": "red", "square": "blue", "triangle": "green"}
WIDTHS = ("shared_size", "semantic_size", "word_embedding_size", "word_hidden_size", "transfer_hidden_size")
MODELS: dict[str, dict[str, Any]] = {
    "cmltnet": {"top_k": 2, **dict.fromkeys(WIDTHS, 8)},
    "lt_classifier": {},
}
STAGES = {"cmltnet": ("align", "infer", "fuse"), "lt_classifier": ("joint",)}


@pytest.fixture(scope="session")
def golden() -> Callable[[str], dict[str, Any]]:
    """Loader of recorded inputs and outputs of the reference implementations, by name."""

    def load(name: str) -> dict[str, Any]:
        return json.loads((Path(__file__).parent / "golden" / f"{name}.json").read_text())

    return load


@pytest.fixture(scope="session", autouse=True)
def _dataset_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Files that tests load must not fill, nor come from, the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("datasets"))
        yield


@pytest.fixture(scope="session")
def evaluate_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """`evaluate` imports a copy of each module from its cache; tests must not fill the user's, nor read it."""
    import evaluate

    cache = tmp_path_factory.mktemp("evaluate")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate.config, "HF_MODULES_CACHE", cache / "modules")
        patch.setattr(evaluate.config, "HF_METRICS_CACHE", cache / "metrics")
        patch.setattr(sys, "path", sys.path.copy())
        yield
    for name in [name for name in sys.modules if name.split(".")[0] == "evaluate_modules"]:
        del sys.modules[name]


def _draw_shape(name: str, offset: int) -> Image.Image:
    """A shape on white, its place depending on `offset`."""
    image = Image.new("RGB", (40, 40), "white")
    pen, low, high = ImageDraw.Draw(image), 4 + offset, 24 + offset
    if name == "circle":
        pen.ellipse((low, low, high, high), COLOURS[name])
    elif name == "square":
        pen.rectangle((low, low, high, high), COLOURS[name])
    else:
        pen.polygon([(low, high), (high, high), ((low + high) // 2, low)], COLOURS[name])
    return image


def _write_shapes(root: Path, classes: tuple[str, ...] = tuple(TRAIN_COUNTS)) -> Path:
    """An image folder with splits train (12, 8 and 4 images), validation and test (3 each)."""
    for split in ("train", "validation", "test"):
        folder = root / split
        folder.mkdir(parents=True)
        rows = []
        for name in classes:
            for number in range(TRAIN_COUNTS[name] if split == "train" else 3):
                file = f"{name}-{number}.png"
                _draw_shape(name, number).save(folder / file)
                rows.append({"file_name": file, "label": name, "words": [COLOURS[name], name, f"size {number % 2}"]})
        (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return root


@pytest.fixture(scope="session")
def write_shapes() -> Callable[..., Path]:
    """Writes the data set to a folder, `write_shapes(root, classes)`."""
    return _write_shapes


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data set; read it, write nothing into it."""
    return _write_shapes(tmp_path_factory.mktemp("data") / "shapes")


@pytest.fixture(scope="session")
def shapes_recipe(shapes: Path) -> Callable[[str, Path], Recipe]:
    """Makes the recipe of one epoch a stage, for a `model_type` and an output folder."""

    def make(model_type: str, output_dir: Path) -> Recipe:
        stage = {"epochs": 1, "learning_rate": 1e-3, "batch_size": 8}
        return Recipe.from_dict(
            {
                "model": {"type": model_type, "config": {"backbone": "test_resnet", **MODELS[model_type]}},
                "dataset": {"path": str(shapes), "head_threshold": 10, "tail_threshold": 5},
                "images": {"size": 32},
                "stages": {name: dict(stage) for name in STAGES[model_type]},
                "output_dir": str(output_dir),
            }
        )

    return make


@pytest.fixture(scope="session")
def cmltnet_run(shapes_recipe: Callable[[str, Path], Recipe], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Output folder of a finished run. Read it, write nothing into it."""
    return run_recipe(shapes_recipe("cmltnet", tmp_path_factory.mktemp("runs") / "cmltnet")).output_dir


@pytest.fixture(scope="session")
def baseline_run(shapes_recipe: Callable[[str, Path], Recipe], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Output folder of a finished run. Read it, write nothing into it."""
    return run_recipe(shapes_recipe("lt_classifier", tmp_path_factory.mktemp("runs") / "baseline")).output_dir
