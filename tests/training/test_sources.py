"""Names that may be folders or ids on the Hub."""

from __future__ import annotations

import pytest

from xmodal_lt.training.recipe import DatasetRecipe, ModelRecipe
from xmodal_lt.training.sources import dataset_source, hub_models


@pytest.fixture(autouse=True)
def _folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("data/mine", "outputs/x", "weights/clip"):
        (tmp_path / name).mkdir(parents=True)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"name": "emoji-lt"}, "registered"),
        ({"path": "org/data"}, "hub"),
        ({"path": "data/mine"}, "local"),
        ({"path": "/data/mine"}, "local"),
        ({"path": "../org/data"}, "local"),
    ],
)
def test_source_of_the_data(settings, expected):
    assert dataset_source(DatasetRecipe(**settings)) == expected


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"checkpoint": "org/base"}, ["org/base"]),
        ({"checkpoint": "outputs/x"}, []),
        ({"config": {"backbone": "hf:org/vit", "semantics": "clip:org/clip"}}, ["org/vit", "org/clip"]),
        ({"config": {"backbone": "hf:weights/clip", "text_backbone": "clip:weights/clip"}}, []),
        ({"config": {"backbone": "resnet50.tv_in1k", "semantics": "glove:org/vectors"}}, []),
    ],
)
def test_models_on_the_hub(settings, expected):
    assert hub_models(ModelRecipe(type="cprfl", **settings)) == expected
