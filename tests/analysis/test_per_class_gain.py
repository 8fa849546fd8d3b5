import json

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.container import BarContainer

from xmodal_lt.analysis import plot_per_class_gain
from xmodal_lt.metrics import classification_results


COUNTS = [5, 300, 60, 120, 2, 40]
NAMES = ["elk", "cat", "owl", "dog", "bat", "yak"]
BY_FREQUENCY = ["cat (300)", "dog (120)", "owl (60)", "yak (40)", "elk (5)", "bat (2)"]


def results_with(accuracies, counts=COUNTS, names=NAMES, **options):
    """Results in which the class accuracies are these multiples of a tenth; `None`: no test sample."""
    tested = [label for label, accuracy in enumerate(accuracies) if accuracy is not None]
    references = np.repeat(tested, 10)
    right = np.concatenate([np.arange(10) < round(10 * accuracies[label]) for label in tested])
    predictions = np.where(right, references, (references + 1) % len(counts))
    return classification_results(
        np.eye(len(counts))[predictions],
        references,
        counts,
        problem_type="single_label_classification",
        class_names=names,
        **options,
    )


BASELINE = results_with([0.1, 0.9, 0.5, 0.8, 0.0, 0.6])
RESULTS = results_with([0.4, 0.9, 0.7, 0.7, 0.3, 0.6])


def bars(fig):
    return [bar for group in fig.axes[0].containers if isinstance(group, BarContainer) for bar in group]


def test_one_bar_a_class_from_the_most_frequent_to_the_rarest():
    fig = plot_per_class_gain(RESULTS, BASELINE)
    assert [bar.get_height() for bar in bars(fig)] == pytest.approx([0, -10, 20, 0, 30, 30])
    assert [bar.get_x() + bar.get_width() / 2 for bar in bars(fig)] == pytest.approx(range(6))
    assert [label.get_text() for label in fig.axes[0].get_xticklabels()] == BY_FREQUENCY


def test_background_of_each_group_spans_its_bars_in_its_colour():
    fig = plot_per_class_gain(RESULTS, BASELINE)
    shades = [patch for patch in fig.axes[0].patches if patch not in bars(fig)]
    assert [(shade.get_x(), shade.get_width()) for shade in shades] == [(-0.5, 2), (1.5, 2), (3.5, 2)]
    colors = [to_hex(shade.get_facecolor()) for shade in shades]
    assert len(set(colors)) == 3
    assert [to_hex(bar.get_facecolor()) for bar in bars(fig)] == list(np.repeat(colors, 2))


def test_legend_tells_the_mean_gain_of_each_group():
    (legend,) = plot_per_class_gain(RESULTS, BASELINE).legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "head: mean gain -5.0 (2 classes)",
        "medium: mean gain +10.0 (2 classes)",
        "tail: mean gain +30.0 (2 classes)",
    ]


def test_class_without_test_samples_is_left_out():
    without_dog = [0.4, 0.9, 0.7, None, 0.3, 0.6]
    fig = plot_per_class_gain(results_with(without_dog), results_with(without_dog))
    assert [label.get_text() for label in fig.axes[0].get_xticklabels()] == BY_FREQUENCY[:1] + BY_FREQUENCY[2:]
    assert len(bars(fig)) == 5


def test_group_without_classes_is_not_drawn():
    thresholds = {"head": 1000, "tail": 10}
    fig = plot_per_class_gain(results_with([0.5] * 6, **thresholds), results_with([0.5] * 6, **thresholds))
    labels = [text.get_text() for text in fig.legends[0].get_texts()]
    assert [label.split(":")[0] for label in labels] == ["medium", "tail"]


def test_many_classes_are_labelled_by_training_samples_instead_of_names():
    counts = list(range(1, 61))
    run = results_with([0.5] * 60, counts, [f"class {label}" for label in range(60)])
    fig = plot_per_class_gain(run, run)
    labels = [int(label.get_text()) for label in fig.axes[0].get_xticklabels()]
    assert len(bars(fig)) == 60
    assert labels[0] == 60 and labels[-1] == 1 and labels == sorted(labels, reverse=True)


def test_multi_label_results_show_gains_in_average_precision():
    targets = [[1, 0], [0, 1], [0, 1]]
    data = {"references": targets, "class_counts": [150, 8], "problem_type": "multi_label_classification"}
    baseline = classification_results([[0.1, 0.9], [0.5, 0.1], [0.2, 0.8]], **data)
    perfect = classification_results(targets, **data)
    fig = plot_per_class_gain(perfect, baseline)
    expected = [100 * (1 - row["ap"]) for row in baseline["per_class"]]
    assert [bar.get_height() for bar in bars(fig)] == pytest.approx(expected)
    assert "average precision" in fig.axes[0].get_ylabel()


def test_results_read_back_from_json_give_the_same_bars():
    stored = [json.loads(json.dumps(results)) for results in (RESULTS, BASELINE)]
    heights = [bar.get_height() for bar in bars(plot_per_class_gain(*stored))]
    assert heights == [bar.get_height() for bar in bars(plot_per_class_gain(RESULTS, BASELINE))]


def test_names_of_both_runs_are_in_the_title():
    fig = plot_per_class_gain(RESULTS, BASELINE, name="CMLTNet", baseline_name="ResNet-50")
    assert fig.axes[0].get_title() == "CMLTNet over ResNet-50, class by class"


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (results_with([0.5] * 6, head=50), "group of class 2 is 'medium' in one and 'head'"),
        (results_with([0.5] * 6, counts=[5, 301, 60, 120, 2, 40]), "train_count of class 1 is 300 in one and 301"),
        (results_with([0.5] * 6, names=[*NAMES[:5], "gnu"]), "class of class 5 is 'yak' in one and 'gnu'"),
        (results_with([0.5] * 5, COUNTS[:5], NAMES[:5]), "single_label_classification of 6 classes, .* of 5"),
        ({"accuracy": 0.5}, r"what classification_results returns; got the keys \['accuracy'\]"),
    ],
)
def test_results_of_other_data_are_refused(other, message):
    with pytest.raises(ValueError, match=message):
        plot_per_class_gain(RESULTS, other)


def test_results_without_a_class_in_common_are_refused():
    first = results_with([0.5, None, None, None, None, None])
    second = results_with([None, 0.5, None, None, None, None])
    with pytest.raises(ValueError, match="no class has test samples in both"):
        plot_per_class_gain(first, second)
