import numpy as np
import pytest
import torch
from PIL import Image

from xmodal_lt.analysis import plot_retrieval, retrieve_images


RNG = np.random.default_rng(0)
TEXTS, IMAGES = RNG.normal(size=(3, 8)), RNG.normal(size=(20, 8))


def slow_cosines(texts, images):
    return np.array(
        [[sum(a * b) / (sum(a * a) ** 0.5 * sum(b * b) ** 0.5) for b in images] for a in texts],
    )


@pytest.mark.parametrize(
    ("convert", "tolerance"),
    [
        (lambda array: array, 1e-12),
        (lambda array: array.astype(np.float32), 1e-6),
        (lambda array: torch.tensor(array, requires_grad=True), 1e-12),
        (lambda array: torch.tensor(array, dtype=torch.float32), 1e-6),
    ],
)
def test_the_images_are_those_of_the_greatest_cosines(convert, tolerance):
    scores, indices = retrieve_images(convert(5 * TEXTS), convert(0.01 * IMAGES), k=6)
    expected = slow_cosines(TEXTS, IMAGES)
    assert indices.tolist() == np.argsort(-expected, axis=1)[:, :6].tolist()
    assert np.abs(scores - -np.sort(-expected, axis=1)[:, :6]).max() < tolerance


def test_half_precision_is_widened_before_the_cosines():
    texts, images = torch.tensor(TEXTS).bfloat16(), torch.tensor(IMAGES).bfloat16()
    scores, indices = retrieve_images(texts, images, k=4)
    expected = slow_cosines(texts.double().numpy(), images.double().numpy())
    assert scores == pytest.approx(np.take_along_axis(expected, indices, 1), abs=1e-6)
    assert scores == pytest.approx(-np.sort(-expected, axis=1)[:, :4], abs=1e-6)


@pytest.mark.parametrize("length", [1e-30, 1e25])
def test_lengths_out_of_the_range_of_float32_squared_count_for_nothing(length):
    texts, images = TEXTS.astype(np.float32), IMAGES.astype(np.float32)
    scaled = images.copy()
    scaled[3] *= np.float32(length)
    scores, indices = retrieve_images(texts, images, k=20)
    of_scaled, indices_of_scaled = retrieve_images(texts, scaled, k=20)
    assert np.array_equal(indices, indices_of_scaled)
    assert of_scaled == pytest.approx(scores, abs=1e-5)


def test_equal_images_come_in_their_order_and_all_of_them_if_there_are_fewer():
    scores, indices = retrieve_images([[1, 0]], [[0, 1], [2, 0], [3, 0]], k=5)
    assert indices.tolist() == [[1, 2, 0]]
    assert scores.tolist() == [[1, 1, 0]]


@pytest.mark.parametrize(
    ("texts", "images", "k", "message"),
    [
        ([[1.0, 0.0]], [[1.0, 0.0, 0.0]], 1, "of one width, as they are of one space; got 2 and 3"),
        ([1.0, 0.0], [[1.0, 0.0]], 1, r"text_embeds must be numbers of shape \[rows, D\].* got shape \(2,\)"),
        ([[1.0]], np.empty((0, 1)), 1, r"image_embeds must be numbers of shape .* got shape \(0, 1\)"),
        ([[1.0]], [[1.0], [np.nan], [np.inf]], 1, "image_embeds must be finite .* 2 of 3 are not; the first is row 1"),
        ([[1.0], [0.0]], [[1.0]], 1, "none of them all zeros, which 1 of 2 are not; the first is row 1"),
        ([[1.0]], [[1.0]], 0, "k=0 must be 1 or more"),
    ],
)
def test_embeddings_that_cannot_be_compared_are_refused(texts, images, k, message):
    with pytest.raises(ValueError, match=message):
        retrieve_images(texts, images, k)


PHRASES = ["a spotted animal", "a stick $x"]
RED, BLUE, GREEN = (
    Image.new("RGB", (12 + 4 * index, 16), color) for index, color in enumerate(("red", "blue", "lime"))
)
FOUND = {"VL-LTR": [[RED, BLUE], [GREEN, RED]], "CLIP": [[BLUE, GREEN], [RED, GREEN]]}
SCORES = {"VL-LTR": [[0.31, 0.2], [0.4, 0.3]], "CLIP": [[0.25, 0.1], [0.5, 0.45]]}


def test_each_phrase_has_a_row_for_each_model():
    fig = plot_retrieval(PHRASES, FOUND, SCORES, title="Concepts")
    fig.draw_without_rendering()
    assert fig.get_suptitle() == "Concepts"
    assert [part.get_suptitle() for part in fig.subfigs] == PHRASES
    for place, part in enumerate(fig.subfigs):
        rows = np.array(part.axes).reshape(2, 2)
        assert [row[0].get_ylabel() for row in rows] == list(FOUND)
        for row, name in zip(rows, FOUND, strict=True):
            for ax, image, score in zip(row, FOUND[name][place], SCORES[name][place], strict=True):
                assert np.array_equal(ax.images[0].get_array(), np.asarray(image))
                assert ax.get_xlabel() == f"{score:.2f}"


def test_a_model_that_found_fewer_images_leaves_room():
    fig = plot_retrieval(PHRASES[:1], {"many": [[RED, BLUE, GREEN]], "one": [[RED]]})
    drawn = [len(ax.images) for ax in fig.subfigs[0].axes]
    assert drawn == [1, 1, 1, 1, 0, 0]
    assert {ax.get_xlabel() for ax in fig.subfigs[0].axes} == {""}


@pytest.mark.parametrize(
    ("phrases", "images", "scores", "message"),
    [
        ([], {"CLIP": []}, None, "expected phrases and the images of a model; got 0 and 1 models"),
        (PHRASES, {}, None, "got 2 and 0 models"),
        (PHRASES, {"CLIP": [[RED]]}, None, r"equally many images of 'CLIP', .* for each of 2 phrases; got \[1\]"),
        (PHRASES, {"CLIP": [[RED], [RED, BLUE]]}, None, r"got \[1, 2\]"),
        (PHRASES, {"CLIP": [[], []]}, None, r"got \[0, 0\]"),
        (PHRASES, FOUND, {"VL-LTR": SCORES["VL-LTR"]}, r"image of 'CLIP', of shape \(2, 2\); got \(0,\)"),
        (PHRASES, FOUND, {**SCORES, "VL-LTR": [[0.1], [0.2]]}, r"image of 'VL-LTR', .*; got \(2, 1\)"),
    ],
)
def test_figures_without_an_image_and_score_for_every_place_are_refused(phrases, images, scores, message):
    with pytest.raises(ValueError, match=message):
        plot_retrieval(phrases, images, scores)
