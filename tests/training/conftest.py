"""A small data set with words, a recipe for it, and runs of that recipe."""

import colorsys
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from xmodal_lt.training import Recipe


COUNTS = {"red": 24, "green": 12, "blue": 8, "violet": 4}


def _image(hue: float, rng: np.random.Generator) -> Image.Image:
    colour = np.array(colorsys.hsv_to_rgb(hue, 0.8, 0.9)) * 255
    noise = rng.normal(0, 40, (40, 40, 3))
    return Image.fromarray((colour + noise).clip(0, 255).astype(np.uint8))


@pytest.fixture(scope="session")
def colour_data(tmp_path_factory) -> Path:
    """An image folder of four colours, long-tailed in train, with words."""
    root = tmp_path_factory.mktemp("colours")
    rng = np.random.default_rng(0)
    for split in ("train", "validation", "test"):
        folder = root / split
        folder.mkdir()
        rows = []
        for index, (name, count) in enumerate(COUNTS.items()):
            for number in range(count if split == "train" else 5):
                file = f"{name}-{number}.png"
                _image(index / len(COUNTS), rng).save(folder / file)
                words = [name, f"shade {number % 3}", "flat"]
                rows.append({"file_name": file, "words": words, "label": name})
        (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return root


@pytest.fixture
def make_recipe(colour_data, tmp_path):
    """Makes recipes on the colours: a tiny CMLTNet by default, changed by nested keyword arguments."""

    def make(**changes) -> Recipe:
        stage = {"epochs": 2, "learning_rate": 1e-3, "batch_size": 16, "milestones": [1]}
        sizes = {"shared_size": 16, "semantic_size": 8, "word_embedding_size": 8, "transfer_hidden_size": 8}
        values = {
            "model": {"type": "cmltnet", "config": {"backbone": "test_resnet", "top_k": 2, **sizes}},
            "dataset": {"path": str(colour_data)},
            "images": {"size": 32},
            "stages": {name: dict(stage) for name in ("align", "infer", "fuse")},
            "logging_steps": 1,
            "output_dir": str(tmp_path / "run"),
        }
        return Recipe.from_dict(values | changes)

    return make


@pytest.fixture
def baseline_settings() -> dict:
    """Changes that make the recipe the plain baseline."""
    stage = {"epochs": 2, "learning_rate": 1e-3, "batch_size": 16, "milestones": [1]}
    return {"model": {"type": "lt_classifier", "config": {"backbone": "test_resnet"}}, "stages": {"joint": stage}}


@pytest.fixture
def multi_label_data(colour_data, tmp_path):
    """The colours with a second label, "warm", on red and violet."""
    folder = tmp_path / "multi_label"
    shutil.copytree(colour_data, folder)
    for file in folder.rglob("metadata.jsonl"):
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        for row in rows:
            name = row.pop("label")
            row["labels"] = [name, "warm"] if name in ("red", "violet") else [name]
        file.write_text("\n".join(map(json.dumps, rows)))
    return folder
