from __future__ import annotations

import numpy as np
import pytest
import torch

from xmodal_lt.analysis.feature_spaces import embed_spaces, feature_spaces, plot_feature_spaces
from xmodal_lt.registry import get_method


SIZES = {"shared_size": 8, "semantic_size": 6, "transfer_hidden_size": 7, "word_embedding_size": 4}
SETTINGS = {
    "cmltnet": {"vocab_size": 12, "top_k": 3, **SIZES},
    "cprfl": {"problem_type": "single_label_classification", "hidden_size": 8, "num_heads": 2, "head_size": 6},
    "crif": {"vocab_size": 12, **SIZES},
    "lt_classifier": {},
    "vl_ltr": {"num_anchors": 4, "embed_size": 6},
}
SPACES = {
    "cmltnet": ["visual", "semantic", "aligned", "aligned words", "inferred", "fused"],
    "cprfl": ["visual"],
    "crif": ["visual", "semantic", "aligned", "aligned words", "inferred", "fused"],
    "lt_classifier": ["visual"],
    "vl_ltr": ["visual", "aligned"],
}
CLASSES = {0: ("rice $x", "head"), 7: ("whale", "tail")}
LABELS = np.repeat([0, 7], 10)


def build(model_type, **settings):
    torch.manual_seed(0)
    method = get_method(model_type)
    config = method.config_class()(backbone="test_resnet", num_labels=3, **SETTINGS[model_type], **settings)
    return method.classifier_class()(config).eval()


def batch(size=2):
    generator = torch.Generator().manual_seed(size)
    words = torch.randint(2, 12, (size, 4), generator=generator)
    return {
        "pixel_values": torch.randn(size, 3, 64, 64, generator=generator),
        "input_ids": words,
        "attention_mask": torch.ones_like(words),
        "labels": torch.zeros(size, dtype=torch.long),
    }


@pytest.mark.parametrize("model_type", SPACES)
def test_every_method_gives_the_spaces_that_it_has(model_type):
    model, batches = build(model_type), [batch(3), batch(2)]
    spaces = feature_spaces(model, batches)
    assert list(spaces) == SPACES[model_type]
    assert {features.shape[0] for features in spaces.values()} == {5}
    assert {features.ndim for features in spaces.values()} == {2}


@pytest.mark.parametrize(
    ("model_type", "fields"),
    [
        ("cmltnet", "features word_features image_embeds word_embeds inferred_embeds fused_embeds"),
        ("crif", "features semantic_features content_embeds semantic_content inferred_embeds fused_embeds"),
    ],
)
def test_the_spaces_are_those_of_the_papers(model_type, fields):
    model, sample = build(model_type), batch(3)
    outputs = model.base_model(**{name: sample[name] for name in ("pixel_values", "input_ids", "attention_mask")})
    for (space, features), field in zip(feature_spaces(model, [sample]).items(), fields.split(), strict=True):
        assert features == pytest.approx(outputs[field].detach().numpy(), abs=1e-5), space


@pytest.mark.parametrize("model_type", ["cmltnet", "crif"])
def test_without_words_or_an_encoder_of_them_their_spaces_are_left_out(model_type):
    expected = ["visual", "aligned", "inferred", "fused"]
    images = {"pixel_values": batch()["pixel_values"]}
    assert list(feature_spaces(build(model_type), [images])) == expected
    assert list(feature_spaces(build(model_type, word_encoder=None), [batch()])) == expected


def test_videos_and_privileged_features_have_spaces_too():
    video = {"backbone": "features:gru", "backbone_kwargs": {"input_size": 5, "hidden_size": 8}}
    torch.manual_seed(0)
    method = get_method("crif")
    settings = {**SETTINGS["crif"], **video, "vocab_size": None, "word_encoder": None, "privileged_encoder": "gru"}
    settings["privileged_encoder_kwargs"] = {"input_size": 4, "hidden_size": 6}
    model = method.classifier_class()(method.config_class()(num_labels=3, **settings)).eval()
    sample = {
        "features": torch.randn(2, 3, 5),
        "feature_mask": torch.tensor([[1, 1, 1], [1, 0, 0]]),
        "privileged_features": torch.randn(2, 2, 4),
        "privileged_mask": torch.ones(2, 2, dtype=torch.long),
    }
    assert list(feature_spaces(model, [sample])) == SPACES["crif"]


def test_no_samples_are_refused():
    with pytest.raises(ValueError, match="there are no samples"):
        feature_spaces(build("lt_classifier"), [])


def clusters(distance):
    noise = np.random.default_rng(0).normal(size=(20, 6))
    return noise + distance * (LABELS == 7)[:, None]


def test_classes_that_are_apart_stay_apart_and_the_seed_fixes_the_points():
    pytest.importorskip("sklearn")
    spaces = {"visual": clusters(30)}
    points = embed_spaces(spaces, seed=1)["visual"]
    assert points.shape == (20, 2)
    centres = np.array([points[label == LABELS].mean(axis=0) for label in (0, 7)])
    nearest = np.linalg.norm(points[:, None] - centres, axis=-1).argmin(axis=1)
    assert nearest.tolist() == (LABELS == 7).tolist()
    assert np.array_equal(embed_spaces(spaces, seed=1)["visual"], points)


def test_images_and_words_of_the_aligned_space_are_embedded_together():
    pytest.importorskip("sklearn")
    aligned = clusters(30)
    points = embed_spaces({"aligned": aligned, "aligned words": aligned + 1e-3})
    assert np.abs(points["aligned"] - points["aligned words"]).max() < np.ptp(points["aligned"]) / 4


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (np.zeros((3, 2)), "the visual space needs at least four samples.*; got 3 samples with 0"),
        (np.full((5, 2), np.nan), "got 5 samples with 10 values that are not"),
    ],
)
def test_features_that_cannot_be_embedded_are_refused(features, message):
    pytest.importorskip("sklearn")
    with pytest.raises(ValueError, match=message):
        embed_spaces({"visual": features})


def test_each_space_has_a_panel_with_a_marker_for_each_class():
    points = {space: np.random.default_rng(0).normal(size=(20, 2)) for space in ("visual", "aligned", "aligned words")}
    fig = plot_feature_spaces(points, LABELS, CLASSES, title="Spaces")
    fig.draw_without_rendering()
    visual, aligned = fig.axes
    assert [ax.get_title() for ax in fig.axes] == ["visual", "aligned"]
    assert np.array_equal(visual.collections[1].get_offsets(), points["visual"][10:])
    assert len(aligned.collections) == 4  # the words have markers of their own
    (legend,) = fig.legends
    names = ["rice $x (head)", "whale (tail)", "words of rice $x", "words of whale"]
    assert [text.get_text() for text in legend.get_texts()] == names
    assert len({str(handle.get_paths()) for handle in visual.collections}) == 2


@pytest.mark.parametrize("count", [10, 11, 40])
def test_no_two_classes_have_the_same_colour(count):
    classes = {label: (f"class {label}", "head") for label in range(count)}
    points = np.random.default_rng(0).normal(size=(count, 2))
    fig = plot_feature_spaces({"visual": points}, np.arange(count), classes)
    colours = {tuple(drawn.get_facecolor()[0]) for drawn in fig.axes[0].collections}
    assert len(colours) == count


@pytest.mark.parametrize(
    ("points", "classes", "message"),
    [
        ({}, CLASSES, r"got \{\} and the classes \[0, 7\]"),
        ({"visual": np.zeros((3, 2))}, CLASSES, r"expected points of shape \[20, 2\].*; got \{'visual': \(3, 2\)\}"),
        ({"visual": np.zeros((20, 2))}, {0: ("rice", "head")}, r"a name for each of the classes \[0, 7\]"),
    ],
)
def test_points_that_do_not_fit_the_labels_are_refused(points, classes, message):
    with pytest.raises(ValueError, match=message):
        plot_feature_spaces(points, LABELS, classes)
