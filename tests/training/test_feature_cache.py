import resource

import numpy as np
import pytest
import torch

from xmodal_lt.data import load_lt
from xmodal_lt.modeling.configuration_lt_classifier import ImageClassifierConfig
from xmodal_lt.modeling.modeling_lt_classifier import ImageClassifier
from xmodal_lt.processing import XModalCollator, XModalLTImageProcessor, build_train_transform
from xmodal_lt.training import CheckpointError
from xmodal_lt.training.feature_cache import cached_features
from xmodal_lt.training.training_data import TrainingData


@pytest.fixture(scope="module")
def rows(colour_data):
    return load_lt(colour_data)["train"]


@pytest.fixture
def model():
    torch.manual_seed(0)
    return ImageClassifier(ImageClassifierConfig(backbone="test_resnet", num_labels=4))


@pytest.fixture
def image_processor():
    return XModalLTImageProcessor(size={"height": 32, "width": 32})


def _cache(model, data, image_processor, folder, **kwargs):
    return cached_features(model, data, XModalCollator(image_processor), folder, "key", **kwargs)


def test_cache_holds_the_encoders_features(model, rows, image_processor, tmp_path):
    features = _cache(model, TrainingData(rows), image_processor, tmp_path, batch_size=7)
    images = [TrainingData(rows)[index]["image"] for index in range(len(rows))]
    with torch.no_grad():
        expected = model.eval().get_vision_encoder()(image_processor(images, return_tensors="pt")["pixel_values"])
    assert isinstance(features, np.memmap)
    np.testing.assert_allclose(features[0], expected, atol=1e-5)


def test_views_are_those_of_the_epochs(model, rows, image_processor, tmp_path):
    data = TrainingData(rows, build_train_transform(image_processor), seed=1)
    features = _cache(model, data, image_processor, tmp_path, views=2)
    assert features.shape[:2] == (2, len(rows))
    data.set_epoch(1)
    with torch.no_grad():
        expected = model.eval().get_vision_encoder()(data[3]["pixel_values"][None])
    np.testing.assert_allclose(features[1, 3], expected[0], atol=1e-5)


def test_cache_is_reused_until_a_weight_changes(model, rows, image_processor, tmp_path):
    _cache(model, TrainingData(rows), image_processor, tmp_path)
    (first,) = tmp_path.iterdir()
    written = first.stat().st_mtime_ns
    _cache(model, TrainingData(rows), image_processor, tmp_path)
    assert [file.stat().st_mtime_ns for file in tmp_path.iterdir()] == [written]
    with torch.no_grad():
        next(model.get_vision_encoder().parameters())[0] += 1
    _cache(model, TrainingData(rows), image_processor, tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_batch_norm_statistics_do_not_move(model, rows, image_processor, tmp_path):
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    _cache(model.train(), TrainingData(rows), image_processor, tmp_path)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert model.get_vision_encoder().training


def test_interrupted_cache_leaves_no_file(model, rows, tmp_path):
    def broken(samples):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached_features(model, TrainingData(rows), broken, tmp_path, "key")
    assert list(tmp_path.iterdir()) == []


def test_full_disk_is_reported_and_leaves_no_file(model, rows, image_processor, tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, before[1]))
    try:
        with pytest.raises(CheckpointError, match="free some disk space"):
            _cache(model, TrainingData(rows), image_processor, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []
