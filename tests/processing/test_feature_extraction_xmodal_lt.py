import json

import numpy as np
import pytest
import torch
from transformers import AutoFeatureExtractor

from xmodal_lt.processing import XModalFeatureExtractor
from xmodal_lt.registry import METHODS


def numbered(steps: int, width: int = 4, base: int = 0) -> np.ndarray:
    """An array [steps, width] whose step `s` is `base + s`, so that a row of a batch shows which step it is."""
    return np.repeat(np.arange(base, base + steps, dtype=np.float32)[:, None], width, axis=1)


@pytest.fixture
def extractor() -> XModalFeatureExtractor:
    return XModalFeatureExtractor(feature_size=4, privileged_size=2)


def test_sequences_of_different_lengths_are_padded_with_zeros(extractor):
    batch = extractor([numbered(3, base=1), numbered(1, base=9), numbered(2, base=5)], return_tensors="pt")
    assert batch["features"].shape == (3, 3, 4)
    assert batch["features"][:, :, 0].tolist() == [[1, 2, 3], [9, 0, 0], [5, 6, 0]]
    assert batch["feature_mask"].tolist() == [[1, 1, 1], [1, 0, 0], [1, 1, 0]]


def test_values_are_those_that_were_given(extractor):
    rows = [torch.randn(steps, 4, generator=torch.Generator().manual_seed(steps)) for steps in (5, 2)]
    batch = extractor([row.numpy() for row in rows], return_tensors="pt")
    for steps, given in zip(batch["features"], rows, strict=True):
        torch.testing.assert_close(steps[: len(given)], given, rtol=0, atol=0)


def test_types_are_float_and_whole_numbers(extractor):
    batch = extractor([numbered(2).astype(np.float16)], [numbered(2, 2).astype(np.int64)], return_tensors="pt")
    assert {name: tensor.dtype for name, tensor in batch.items()} == {
        "features": torch.float32,
        "feature_mask": torch.int64,
        "privileged_features": torch.float32,
        "privileged_mask": torch.int64,
    }


@pytest.mark.parametrize("as_input", [np.asarray, torch.as_tensor])
def test_one_sequence_is_a_batch_of_one(extractor, as_input):
    batch = extractor(as_input(numbered(3)), return_tensors="pt")
    assert batch["features"][:, :, 0].tolist() == [[0, 1, 2]]
    assert batch["feature_mask"].tolist() == [[1, 1, 1]]


@pytest.mark.parametrize("as_input", [np.asarray, torch.as_tensor, np.ndarray.tolist])
def test_sequences_may_be_arrays_tensors_or_lists(extractor, as_input):
    batch = extractor([as_input(numbered(2)), as_input(numbered(1))], return_tensors="pt")
    assert batch["features"][:, :, 0].tolist() == [[0, 1], [0, 0]]


def test_an_array_of_three_dimensions_is_a_batch(extractor):
    batch = extractor(np.stack([numbered(2), numbered(2, base=7)]), return_tensors="pt")
    assert batch["features"][:, :, 0].tolist() == [[0, 1], [7, 8]]


def test_privileged_features_have_a_length_and_a_mask_of_their_own(extractor):
    batch = extractor(
        [numbered(1), numbered(2)], privileged_features=[numbered(3, 2), numbered(1, 2, base=4)], return_tensors="pt"
    )
    assert batch["feature_mask"].tolist() == [[1, 0], [1, 1]]
    assert batch["privileged_features"].shape == (2, 3, 2)
    assert batch["privileged_features"][:, :, 1].tolist() == [[0, 1, 2], [4, 0, 0]]
    assert batch["privileged_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]


def test_privileged_features_alone(extractor):
    assert set(extractor(privileged_features=[numbered(3, 2)])) == {"privileged_features", "privileged_mask"}


@pytest.mark.parametrize(
    ("steps", "max_steps", "kept"),
    [
        (9, 5, [0, 2, 4, 6, 8]),
        (10, 4, [0, 3, 6, 9]),
        (5, 4, [0, 1, 3, 4]),
        (7, 2, [0, 6]),
        (7, 1, [0]),
        (4, 4, [0, 1, 2, 3]),
        (3, 4, [0, 1, 2]),
    ],
)
def test_longer_sequences_are_thinned_evenly_from_the_first_step_to_the_last(steps, max_steps, kept):
    batch = XModalFeatureExtractor(4, max_steps=max_steps)([numbered(steps)])
    assert batch["features"][0, :, 0].tolist() == kept


def test_no_step_is_kept_twice():
    for steps in range(2, 60):
        kept = XModalFeatureExtractor(1, max_steps=steps - 1)([numbered(steps, 1)])["features"].flatten()
        assert len(set(kept.tolist())) == steps - 1


def test_thinning_is_for_each_modality_and_before_padding():
    extractor = XModalFeatureExtractor(4, privileged_size=2, max_steps=3, privileged_max_steps=2)
    batch = extractor([numbered(5), numbered(1)], [numbered(4, 2), numbered(1, 2)])
    assert batch["features"][:, :, 0].tolist() == [[0, 2, 4], [0, 0, 0]]
    assert batch["feature_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert batch["privileged_features"][:, :, 0].tolist() == [[0, 3], [0, 0]]


@pytest.mark.parametrize("options", [{}, {"return_tensors": "np"}])
def test_arrays_of_numpy_by_default(extractor, options):
    rows = [numbered(2), numbered(1)]
    batch = extractor(rows, **options)
    assert all(isinstance(array, np.ndarray) for array in batch.values())
    for name, tensor in extractor(rows, return_tensors="pt").items():
        np.testing.assert_array_equal(batch[name], tensor.numpy())


def test_input_is_left_as_it_was(extractor):
    row = numbered(3)
    extractor(row, return_tensors="pt")["features"] += 1
    np.testing.assert_array_equal(row, numbered(3))


def test_model_input_names(extractor):
    assert extractor.model_input_names == list(extractor([numbered(1)]))


SETTINGS = {"feature_size": 4, "privileged_size": 2, "max_steps": 6, "privileged_max_steps": None}


def test_settings_are_saved(tmp_path):
    XModalFeatureExtractor(**SETTINGS).save_pretrained(tmp_path)
    loaded = XModalFeatureExtractor.from_pretrained(tmp_path)
    assert {name: getattr(loaded, name) for name in SETTINGS} == SETTINGS
    assert json.loads((tmp_path / "preprocessor_config.json").read_text())["feature_size"] == 4


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.model_type)
def test_auto_feature_extractor_opens_the_folder_of_a_model(tmp_path, method):
    method.config_class()().save_pretrained(tmp_path)
    XModalFeatureExtractor(**SETTINGS).save_pretrained(tmp_path)
    loaded = AutoFeatureExtractor.from_pretrained(tmp_path)
    assert type(loaded) is XModalFeatureExtractor
    assert {name: getattr(loaded, name) for name in SETTINGS} == SETTINGS


@pytest.mark.parametrize("name", list(SETTINGS))
def test_sizes_below_one_are_refused(name):
    with pytest.raises(ValueError, match=f"`{name}` must be at least 1, got 0"):
        XModalFeatureExtractor(**SETTINGS | {name: 0})


def test_a_call_without_inputs_is_refused(extractor):
    with pytest.raises(ValueError, match="Nothing to process: pass `features`"):
        extractor()


@pytest.mark.parametrize("empty", [[], np.zeros((0, 3, 4))])
def test_an_empty_batch_is_refused(extractor, empty):
    with pytest.raises(ValueError, match="`features` is an empty list"):
        extractor(empty)


@pytest.mark.parametrize(
    ("row", "shape"),
    [
        (np.zeros((3, 5)), r"\[3, 5\]"),
        (np.zeros((0, 4)), r"\[0, 4\]"),
        (np.zeros(4), r"\[4\]"),
        (np.zeros((2, 3, 4)), r"\[2, 3, 4\]"),
    ],
)
def test_sequences_of_another_shape_are_named(extractor, row, shape):
    with pytest.raises(ValueError, match=rf"`features\[1\]` must be \[T, 4\] with T of at least 1, got {shape}"):
        extractor([numbered(2), row])


def test_privileged_features_of_another_width_are_named(extractor):
    with pytest.raises(ValueError, match=r"`privileged_features\[0\]` must be \[T, 2\] .*, got \[3, 4\]"):
        extractor([numbered(3)], [numbered(3)])


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e39])  # the last is too large for float32
@pytest.mark.filterwarnings("ignore:overflow")
def test_values_that_are_not_finite_are_named(extractor, value):
    row = numbered(3).astype(np.float64)
    row[1, 2] = value
    with pytest.raises(ValueError, match=r"`features\[1\]` has values that are not finite; extract"):
        extractor([numbered(3), row])


def test_privileged_features_without_their_width_are_refused():
    with pytest.raises(ValueError, match="`privileged_size`, their width, is not set"):
        XModalFeatureExtractor(4)([numbered(3)], [numbered(3, 2)])
