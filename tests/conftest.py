"""What tests of several folders share: recorded reference values, and runs on tiny data sets of coloured shapes and of
videos."""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image, ImageDraw

from xmodal_lt.training import Recipe, run_recipe


TRAIN_COUNTS = {"circle": 12, "square": 8, "triangle": 4}
COLOURS = {"circle": "red", "square": "blue", "triangle": "green"}
WIDTHS = ("shared_size", "semantic_size", "word_embedding_size", "word_hidden_size", "transfer_hidden_size")
MODELS: dict[str, dict[str, Any]] = {
    "cmltnet": {"top_k": 2, **dict.fromkeys(WIDTHS, 8)},
    "crif": {"decoder_steps": 3, "similarity_weight": 0.1, **dict.fromkeys(WIDTHS, 16), "shared_size": 32},
    "lt_classifier": {},
}
THREE_STAGES = ("align", "infer", "fuse")
STAGES = {"cmltnet": THREE_STAGES, "crif": THREE_STAGES, "lt_classifier": ("joint",)}
VIDEO_COUNTS = {"run": 40, "jump": 24, "swim": 16}
FEATURE_WIDTH, PRIVILEGED_WIDTH = 8, 4
GRU = {"backbone": "features:gru", "backbone_kwargs": {"hidden_size": 16}}  # their own width comes from the data


def pytest_configure() -> None:
    """Models as small as the tests' gain nothing from threads, and lose much where other work shares the cores."""
    torch.set_num_threads(1)


def pytest_collection_finish() -> None:
    """Takes what lives as long as the session does, modules and tests, out of the garbage collections that each stage
    of a run makes."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _offline() -> Iterator[None]:
    """A name that is not there is missed at once, not after several attempts to reach the Hub."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        yield


@pytest.fixture
def blank_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are made but not drawn, which takes half the time of a small run: for tests that look at none.

    Runs that several tests share draw theirs.
    """
    monkeypatch.setattr(Figure, "savefig", lambda figure, file, **options: Path(file).touch())


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


@pytest.fixture(scope="session")
def crif_run(shapes_recipe: Callable[[str, Path], Recipe], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Output folder of a finished run, with the fusions that read true words. Read it, write nothing into it."""
    recipe = shapes_recipe("crif", tmp_path_factory.mktemp("runs") / "crif")
    recipe.model.config["privileged_fusions"] = True
    return run_recipe(recipe).output_dir


def _write_array(root: Path, name: str, array: np.ndarray) -> str:
    (root / name).parent.mkdir(exist_ok=True)
    np.save(root / name, array.astype(np.float32))
    return name


def _write_videos(root: Path, privileged: bool = False) -> Path:
    """Splits train (40, 24 and 16 videos), validation (3 each) and test (8 each), a jsonl file beside npy files.

    Features are noise but for three of the 3 to 12 steps of a video, which show its class. So do, all along, the
    privileged features of 1 to 4 steps, if there are any.
    """
    root.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for split, count in (("train", None), ("validation", 3), ("test", 8)):
        rows = []
        for index, (name, train_count) in enumerate(VIDEO_COUNTS.items()):
            for number in range(count or train_count):
                steps = rng.normal(0, 0.3, (rng.integers(3, 13), FEATURE_WIDTH))
                steps[rng.permutation(len(steps))[:3], index] += 4
                file = f"{split}-{name}-{number}.npy"
                row = {"features": _write_array(root, f"clips/{file}", steps), "label": name}
                row["words"] = [name, f"take {number % 3}"]
                if privileged:
                    sound = rng.normal(index, 0.1, (rng.integers(1, 5), PRIVILEGED_WIDTH))
                    row["privileged_features"] = _write_array(root, f"sound/{file}", sound)
                rows.append(row)
        (root / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return root


@pytest.fixture(scope="session")
def write_videos() -> Callable[..., Path]:
    """Writes the data set of videos to a folder, `write_videos(root, privileged)`."""
    return _write_videos


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data set of videos, with words; read it, write nothing into it."""
    return _write_videos(tmp_path_factory.mktemp("data") / "videos")


@pytest.fixture(scope="session")
def video_recipe(videos: Path) -> Callable[..., Recipe]:
    """Makes the recipe of a `model_type` on videos: a small GRU and one epoch a stage, changed by keyword arguments:
    `config` fields of the model, keys of every `stage`, and whole keys of the recipe."""

    def make(
        model_type: str,
        output_dir: Path,
        config: dict[str, Any] | None = None,
        stages: tuple[str, ...] = (),
        stage: dict[str, Any] | None = None,
        **changes: Any,
    ) -> Recipe:
        every = {"epochs": 1, "learning_rate": 1e-2, "batch_size": 8, "scheduler": "constant", **(stage or {})}
        values = {
            "model": {"type": model_type, "config": {**GRU, **MODELS[model_type], **(config or {})}},
            "dataset": {"path": str(videos), "head_threshold": 30, "tail_threshold": 20},
            "stages": {name: dict(every) for name in stages or STAGES[model_type]},
            "logging_steps": 1,
            "output_dir": str(output_dir),
        }
        return Recipe.from_dict(values | changes)

    return make


@pytest.fixture(scope="session")
def video_run(video_recipe: Callable[..., Recipe], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Output folder of a finished run of CRIF on videos and words. Read it, write nothing into it."""
    config = {"word_loss": "cross_entropy", "privileged_fusions": True}
    folder = tmp_path_factory.mktemp("runs") / "video"
    return run_recipe(video_recipe("crif", folder, config, stage={"epochs": 3, "learning_rate": 2e-2})).output_dir
