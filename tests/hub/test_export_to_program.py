import json
from pathlib import Path

import pytest
import torch
from export_models import (
    GRU,
    NAMES,
    VILT,
    image_processor,
    make_model,
    places_in,
    predict,
    random_images,
    random_videos,
    tokenizer,
)

from xmodal_lt.hub.export_to_program import export_program
from xmodal_lt.registry import METHODS


MODELS = [
    pytest.param(method.model_type, marks=[] if method.model_type == "cmltnet" else pytest.mark.slow)
    for method in METHODS
]


@pytest.mark.parametrize("model_type", MODELS)
def test_a_model_of_every_method_is_a_program_that_predicts_the_same(model_type: str, tmp_path: Path):
    model = make_model(model_type)
    model.set_stage(next(iter(model.stages)))
    file = export_program(model, tmp_path, image_processor(), tokenizer(model))

    extra_files = {"metadata.json": ""}
    program = torch.export.load(file, extra_files=extra_files).module()
    assert list(tmp_path.iterdir()) == [file] and not places_in(file)
    assert json.loads(json.loads(extra_files["metadata.json"])["labels"]) == list(NAMES)
    for count in (1, 5):
        images = random_images(count)
        torch.testing.assert_close(list(program(images)), predict(model, pixel_values=images), rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_videos_of_a_vilt_may_have_any_number_of_steps_up_to_its_longest(tmp_path: Path):
    model = make_model("crif", **VILT)
    program = torch.export.load(export_program(model, tmp_path)).module()
    for count, steps in ((1, 3), (4, 12)):
        videos = random_videos(count, steps)
        torch.testing.assert_close(list(program(*videos.values())), predict(model, **videos), rtol=1e-5, atol=1e-5)


def test_a_gru_is_refused_with_another_way(tmp_path: Path):
    with pytest.raises(ValueError, match=r"cannot hold a GRU.*Export to ONNX"):
        export_program(make_model("crif", **GRU), tmp_path)
    assert not list(tmp_path.iterdir())
