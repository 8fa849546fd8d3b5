import numpy as np
import pytest
import torch
from PIL import Image

from xmodal_lt.processing import XModalCollator, XModalFeatureExtractor, build_train_transform


@pytest.fixture
def samples(smooth_image):
    return [
        {"image": smooth_image(20, 30), "words": ["red", "car"], "label": 2},
        {"image": smooth_image(30, 20, seed=1).convert("RGBA"), "words": None, "label": 0},
    ]


@pytest.fixture
def extractor():
    return XModalFeatureExtractor(feature_size=3, privileged_size=2)


@pytest.fixture
def video_samples():
    return [
        {"features": np.full((steps, 3), steps, np.float32), "words": words, "label": label}
        for steps, words, label in ((2, ["red", "car"], 2), (4, None, 0))
    ]


def test_batch_has_the_standard_names_and_types(processor, samples):
    batch = XModalCollator(processor)(samples)
    assert {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in batch.items()} == {
        "pixel_values": ((2, 3, 32, 32), torch.float32),
        "input_ids": ((2, 2), torch.long),
        "attention_mask": ((2, 2), torch.long),
        "labels": ((2,), torch.long),
    }
    assert type(batch) is dict


def test_values_are_those_of_the_processor(processor, samples):
    batch = XModalCollator(processor)(samples)
    expected = processor(images=[s["image"] for s in samples], words=[["red", "car"], []], return_tensors="pt")
    for name, tensor in expected.items():
        torch.testing.assert_close(batch[name], tensor, rtol=0, atol=0)
    assert batch["labels"].tolist() == [2, 0]


def test_image_processor_alone_leaves_words_out(processor, samples):
    assert set(XModalCollator(processor.image_processor)(samples)) == {"pixel_values", "labels"}


def test_samples_without_words_and_labels(processor, samples):
    assert set(XModalCollator(processor)([{"image": sample["image"]} for sample in samples])) == {"pixel_values"}


def test_transform_takes_the_place_of_the_image_processor(processor, samples):
    batch = XModalCollator(processor, transform=lambda image: torch.full((3, 4, 4), float(image.width)))(samples)
    assert batch["pixel_values"][:, 0, 0, 0].tolist() == [20.0, 30.0]


def test_train_transform_fits(processor, samples):
    collator = XModalCollator(processor, transform=build_train_transform(processor.image_processor))
    assert collator(samples)["pixel_values"].shape == (2, 3, 32, 32)


def test_cached_features_take_the_place_of_images(processor):
    samples = [{"features": np.full(5, row, dtype=np.float16), "words": ["red"], "label": row} for row in range(2)]
    batch = XModalCollator(processor)(samples)
    assert set(batch) == {"features", "input_ids", "attention_mask", "labels"}
    assert batch["features"].dtype == torch.float32
    assert batch["features"].tolist() == [[0.0] * 5, [1.0] * 5]


def test_pixel_values_that_the_data_set_made_are_stacked(processor):
    samples = [{"pixel_values": torch.full((3, 4, 4), float(row)), "label": row} for row in range(2)]
    batch = XModalCollator(processor)(samples)
    torch.testing.assert_close(batch["pixel_values"], torch.stack([sample["pixel_values"] for sample in samples]))
    assert batch["labels"].tolist() == [0, 1]


def test_sequences_are_padded_with_a_mask(extractor, video_samples):
    batch = XModalCollator(extractor)(video_samples)
    assert set(batch) == {"features", "feature_mask", "labels"}
    assert batch["features"][:, :, 0].tolist() == [[2, 2, 0, 0], [4, 4, 4, 4]]
    assert batch["feature_mask"].tolist() == [[1, 1, 0, 0], [1, 1, 1, 1]]
    assert batch["labels"].tolist() == [2, 0]
    assert type(batch) is dict


def test_words_beside_a_feature_extractor_need_a_tokenizer(extractor, tokenizer, processor, video_samples):
    assert set(XModalCollator(extractor)(video_samples)) == {"features", "feature_mask", "labels"}
    batch = XModalCollator(extractor, tokenizer=tokenizer)(video_samples)
    expected = processor(words=[["red", "car"], []], return_tensors="pt")
    for name, tensor in expected.items():
        torch.testing.assert_close(batch[name], tensor, rtol=0, atol=0)


def test_cached_features_of_videos_are_stacked(extractor, tokenizer):
    samples = [{"features": np.full(5, row, np.float32), "words": ["red"], "label": row} for row in range(2)]
    batch = XModalCollator(extractor, tokenizer=tokenizer)(samples)
    assert set(batch) == {"features", "input_ids", "attention_mask", "labels"}
    assert batch["features"].tolist() == [[0.0] * 5, [1.0] * 5]


@pytest.mark.parametrize("features", [np.zeros((3, 3)), np.zeros(5)])
def test_privileged_features_are_padded_beside_videos_and_beside_cached_features(extractor, features):
    samples = [{"features": features, "privileged_features": np.ones((steps, 2)), "label": 0} for steps in (1, 3)]
    batch = XModalCollator(extractor)(samples)
    assert batch["privileged_features"][:, :, 0].tolist() == [[1, 0, 0], [1, 1, 1]]
    assert batch["privileged_mask"].tolist() == [[1, 0, 0], [1, 1, 1]]
    assert ("feature_mask" in batch) == (features.ndim == 2)


@pytest.mark.parametrize("column", ["features", "privileged_features"])
def test_sequences_with_an_image_processor_are_refused(processor, samples, column):
    rows = [sample | {column: np.zeros((2, 3))} for sample in samples]
    for given, name in ((processor, "XModalProcessor"), (processor.image_processor, "XModalLTImageProcessor")):
        with pytest.raises(
            ValueError, match=rf"features as '{column}', which need an XModalFeatureEx.*, not a {name}"
        ):
            XModalCollator(given)(rows)


def test_images_with_a_feature_extractor_are_refused(extractor, samples):
    with pytest.raises(ValueError, match="The samples hold images, but the processor is an XModalFeatureExtractor"):
        XModalCollator(extractor)(samples)


def test_multi_label_gives_multi_hot_rows(processor, samples):
    collator = XModalCollator(processor, problem_type="multi_label_classification", num_labels=4)
    rows = [sample | {"labels": ids} for sample, ids in zip(samples, ([1, 3], []), strict=True)]
    labels = collator(rows)["labels"]
    assert labels.dtype == torch.float32
    assert labels.tolist() == [[0, 1, 0, 1], [0, 0, 0, 0]]


def test_columns_can_be_named(processor, samples):
    rows = [{"picture": s["image"], "tags": ["car"], "food": s["label"]} for s in samples]
    collator = XModalCollator(processor, image_column="picture", words_column="tags", label_column="food")
    batch = collator(rows)
    assert batch["input_ids"].tolist() == [[3], [3]]
    assert batch["labels"].tolist() == [2, 0]


@pytest.mark.parametrize("label", [-1, 3])
def test_class_id_out_of_range_is_refused(processor, samples, label):
    with pytest.raises(ValueError, match=f"Class id {label} is not in"):
        XModalCollator(processor, num_labels=3)([samples[0] | {"label": label}])


@pytest.mark.parametrize("label", [[1, 2], 1.5, "cat"])
def test_single_label_must_be_an_integer(processor, samples, label):
    with pytest.raises(TypeError, match="must be an integer"):
        XModalCollator(processor)([samples[0] | {"label": label}])


def test_multi_label_must_be_a_list(processor, samples):
    collator = XModalCollator(processor, problem_type="multi_label_classification", num_labels=4)
    with pytest.raises(TypeError, match="needs a list of class ids, got 3"):
        collator([samples[0] | {"labels": 3}])


def test_multi_label_needs_the_number_of_classes(processor):
    with pytest.raises(ValueError, match="set `num_labels`"):
        XModalCollator(processor, problem_type="multi_label_classification")


def test_unknown_problem_type_is_refused(processor):
    with pytest.raises(ValueError, match="got 'regression'"):
        XModalCollator(processor, problem_type="regression")


@pytest.mark.parametrize(("missing", "position"), [("image", 0), ("label", 1), ("words", 1)])
def test_missing_column_is_named(processor, samples, missing, position):
    del samples[position][missing]
    with pytest.raises(ValueError, match=f"Sample {position} of the batch has no column '{missing}'"):
        XModalCollator(processor)(samples)


def test_missing_image_is_refused(processor):
    with pytest.raises(ValueError, match="no image"):
        XModalCollator(processor)([{"image": None}])


def test_features_of_unequal_shape_are_refused(processor):
    with pytest.raises(ValueError, match="must be of one shape"):
        XModalCollator(processor)([{"features": np.zeros(2)}, {"features": np.zeros(3)}])


@pytest.mark.parametrize("column", ["features", "privileged_features"])
def test_missing_sequences_are_named(extractor, video_samples, column):
    rows = [sample | {"privileged_features": np.zeros((1, 2))} for sample in video_samples]
    del rows[1][column]
    with pytest.raises(ValueError, match=f"Sample 1 of the batch has no column '{column}'"):
        XModalCollator(extractor)(rows)


@pytest.mark.parametrize("first", [np.zeros((2, 3)), np.zeros(3)])
def test_videos_and_cached_features_in_one_batch_are_refused(extractor, first):
    second = np.zeros(3) if first.ndim == 2 else np.zeros((2, 3))
    with pytest.raises(ValueError, match=r"must be (\[T, 3\] with T of at least 1, got \[3\]|of one shape)"):
        XModalCollator(extractor)([{"features": first}, {"features": second}])


def test_batches_load_in_worker_processes(processor):
    rows = [{"image": Image.new("RGB", (9, 9)), "words": ["red"], "label": 1}] * 4
    collator = XModalCollator(processor, transform=build_train_transform(processor.image_processor))
    loader = torch.utils.data.DataLoader(rows, batch_size=2, collate_fn=collator, num_workers=1)
    assert [batch["labels"].tolist() for batch in loader] == [[1, 1], [1, 1]]
