import numpy as np
import pytest
from matplotlib.colors import to_hex
from PIL import Image

from xmodal_lt.analysis import panel_samples, plot_predictions, save_figure
from xmodal_lt.metrics import classification_results


COUNTS = [300, 50, 4, 9]
NAMES = ["person", "dog", "cow $1", "bus"]
TARGETS = np.array([[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [1, 0, 1, 0], [0, 1, 0, 1]])
LOGITS = np.array(
    [[2.0, -1.0, 0.0, -3.0], [1.0, 3.0, 0.0, -3.0], [1.0, 0.5, 0.0, -3.0], [3.0, 2.0, 1.0, -3.0], [0.0, 1.0, 2.0, 3.0]]
)
LABELS = [0, 0, 1, 2, 0]
IMAGES = [Image.new("RGB", (30 + 10 * index, 40), "green") for index in range(5)]


def results_of(logits, references, counts=COUNTS, names=NAMES):
    multi_label = np.ndim(references) == 2
    problem_type = "multi_label_classification" if multi_label else "single_label_classification"
    return classification_results(logits, references, counts, problem_type=problem_type, class_names=names)


RESULTS = results_of(LOGITS, TARGETS)


def draw(scores=None, images=IMAGES, references=TARGETS, results=RESULTS, **options):
    return plot_predictions(images, references, scores or {"CPRFL": LOGITS}, results, **options)


def bar_axes(fig):
    return [ax for ax in fig.axes if ax.patches]


def texts(ax):
    return [text.get_text() for text in ax.texts]


# --- which samples


def test_samples_are_taken_class_by_class_from_the_rarest_up():
    # cow (4): 3; bus (9): 4; dog (50): 1; person (300): 0, the first that was not taken; then the one without labels.
    assert panel_samples(TARGETS, RESULTS, count=8) == [3, 4, 1, 0, 2]
    assert panel_samples(TARGETS, RESULTS, count=2) == [3, 4]


def test_samples_of_a_single_label_problem_start_over_with_the_rarest_class():
    results = results_of(np.zeros((6, 3)), [0, 1, 0, 1, 2, 0], COUNTS[:3], NAMES[:3])
    assert panel_samples([0, 1, 0, 1, 2, 0], results, count=5) == [4, 1, 0, 3, 2]


def test_samples_do_not_depend_on_the_scores():
    assert panel_samples(TARGETS, results_of(-LOGITS, TARGETS), 3) == panel_samples(TARGETS, RESULTS, 3)


def test_no_samples_are_refused():
    with pytest.raises(ValueError, match="count=0 must be 1 or more"):
        panel_samples(TARGETS, RESULTS, count=0)


# --- the figure


def test_bars_are_the_three_best_classes_with_their_sigmoids_in_percent():
    ax = bar_axes(draw())[1]
    probabilities = 1 / (1 + np.exp(-LOGITS[1]))
    assert texts(ax) == [
        "\N{CHECK MARK} dog (medium)",
        f"{100 * probabilities[1]:.1f}",
        "\N{CHECK MARK} person (head)",
        f"{100 * probabilities[0]:.1f}",
        "\N{BALLOT X} cow $1 (tail)",
        "50.0",
    ]
    assert [bar.get_width() for bar in ax.patches] == pytest.approx(100 * np.sort(probabilities)[:0:-1])
    places = [ax.transData.transform((0, bar.get_y()))[1] for bar in ax.patches]
    assert places == sorted(places, reverse=True)  # the best on top


def test_bars_of_a_single_label_problem_are_softmax_probabilities():
    ax = bar_axes(draw(references=LABELS, results=results_of(LOGITS, LABELS)))[2]
    probabilities = np.exp(LOGITS[2]) / np.exp(LOGITS[2]).sum()
    assert [bar.get_width() for bar in ax.patches] == pytest.approx(100 * probabilities[:3])
    assert [text[0] for text in texts(ax)[::2]] == ["\N{BALLOT X}", "\N{CHECK MARK}", "\N{BALLOT X}"]


def test_right_and_wrong_differ_in_colour_and_hatch_as_the_legend_says():
    fig = draw()
    right, _, wrong = bar_axes(fig)[1].patches
    assert to_hex(right.get_edgecolor()) != to_hex(wrong.get_edgecolor())
    assert not right.get_hatch() and wrong.get_hatch()
    (legend,) = fig.legends
    assert [patch.get_hatch() for patch in legend.get_patches()] == [right.get_hatch(), wrong.get_hatch()]
    assert [text.get_text()[2:] for text in legend.get_texts()] == ["correct", "incorrect"]


def test_true_labels_stand_over_each_image():
    titles = [ax.get_title() for ax in draw().axes if ax.images]
    assert titles == ["GT: {person}", "GT: {person, dog}", "GT: {}", "GT: {person, cow $1}", "GT: {dog, bus}"]


def test_many_true_labels_are_cut():
    names = [f"a class of name {index}" for index in range(40)]
    logits, targets = np.zeros((1, 40)), np.ones((1, 40))
    results = results_of(logits, targets, range(1, 41), names)
    (title,) = [ax.get_title() for ax in draw({"x": logits}, IMAGES[:1], targets, results).axes if ax.images]
    assert title.startswith("GT: {a class of name 0, ") and title.endswith("\N{HORIZONTAL ELLIPSIS}}")
    assert title.count("\n") == 2


def test_a_baseline_stands_beside_the_model():
    fig = draw({"CPRFL": LOGITS, "ResNet": -LOGITS})
    first = [ax for ax in fig.axes if ax.images or ax.patches][:3]
    assert [ax.get_title() for ax in first] == ["GT: {person}", "CPRFL", "ResNet"]
    assert texts(first[1])[0] == "\N{CHECK MARK} person (head)"
    assert texts(first[2])[0] == "\N{BALLOT X} bus (tail)"
    assert first[0].get_position().x0 < first[1].get_position().x0 < first[2].get_position().x0


@pytest.mark.parametrize("num_models", [1, 2, 3])
def test_every_image_has_a_column_of_bars_for_each_model(num_models):
    fig = draw({f"model {number}": LOGITS for number in range(num_models)})
    assert len([ax for ax in fig.axes if ax.images]) == 5
    assert len(bar_axes(fig)) == 5 * num_models


def test_two_classes_have_two_bars():
    results = results_of(LOGITS[:, :2], TARGETS[:, :2], COUNTS[:2], NAMES[:2])
    fig = draw({"x": LOGITS[:, :2]}, references=TARGETS[:, :2], results=results)
    assert [len(ax.patches) for ax in bar_axes(fig)] == [2] * 5


def test_scores_far_from_zero_do_not_overflow():
    fig = draw({"x": np.array([[-2000.0, 2000.0, 0.0, -1.0]])}, IMAGES[:1], TARGETS[:1], RESULTS)
    assert [bar.get_width() for bar in bar_axes(fig)[0].patches] == pytest.approx([100, 50, 100 / (1 + np.e)])


def test_figure_is_written_with_dollars_in_names(tmp_path):
    save_figure(draw(title="Rare classes"), tmp_path / "predictions.png")
    assert Image.open(tmp_path / "predictions.png").width > 800


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": IMAGES[:2]}, "got 2 images, 5 references and the scores of 1 models"),
        ({"scores": {"x": LOGITS[:2]}}, r"shape \(5, 4\), .*; got \(2, 4\)"),
        ({"scores": {"x": LOGITS * np.nan}}, "scores must be finite"),
        ({"references": TARGETS[:, :3]}, r"labels of shape \[N, 4\].* got shape \(5, 3\)"),
        ({"references": LABELS}, r"labels of shape \[N, 4\].* got shape \(5,\)"),
        ({"results": {"map": 1}}, r"what classification_results returns; got the keys \['map'\]"),
        ({"top_k": 0}, r"k must lie in 1\.\.4"),
    ],
)
def test_bad_input_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        draw(**changes)


def test_no_model_is_refused():
    with pytest.raises(ValueError, match="scores of 0 models"):
        plot_predictions(IMAGES, TARGETS, {}, RESULTS)
