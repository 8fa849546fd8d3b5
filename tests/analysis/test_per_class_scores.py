import numpy as np
import pytest
from matplotlib.container import BarContainer

from xmodal_lt.analysis import plot_per_class_scores
from xmodal_lt.metrics import classification_results


COUNTS = [5, 300, 60, 120, 2, 40]
NAMES = ["elk", "cat", "owl", "dog", "$bat$", "yak"]


def multi_label_results(**options):
    rng = np.random.default_rng(0)
    targets = (rng.random((80, 6)) < 0.3).astype(int)
    targets[:, 3] = 0  # no test image has a dog
    scores = rng.normal(size=targets.shape) + targets
    return classification_results(
        scores, targets, COUNTS, problem_type="multi_label_classification", class_names=NAMES, **options
    )


def single_label_results():
    scores = np.eye(3)[[0, 0, 1, 0, 2]]
    return classification_results(
        scores, [0, 0, 1, 1, 2], [300, 50, 5], problem_type="single_label_classification", class_names=NAMES[:3]
    )


def heights(fig):
    containers = [group for group in fig.axes[0].containers if isinstance(group, BarContainer)]
    return [bar.get_height() for group in containers for bar in group]


def labels(fig):
    return [label.get_text() for label in fig.axes[0].get_xticklabels()]


def test_bars_are_the_average_precisions_from_the_most_frequent_class_to_the_rarest():
    results = multi_label_results()
    fig = plot_per_class_scores(results)
    assert labels(fig) == ["cat (300)", "owl (60)", "yak (40)", "elk (5)", "$bat$ (2)"]  # no dog
    assert heights(fig) == pytest.approx([100 * results["per_class"][index]["ap"] for index in (1, 2, 5, 0, 4)])
    assert fig.axes[0].get_ylabel() == "Average precision (%)"


def test_legend_tells_the_map_of_each_group():
    results = multi_label_results()
    (legend,) = plot_per_class_scores(results).legends
    assert [text.get_text() for text in legend.get_texts()] == [
        f"head: mean {100 * results['groups']['head']['map']:.1f} (1 class)",
        f"medium: mean {100 * results['groups']['medium']['map']:.1f} (2 classes)",
        f"tail: mean {100 * results['groups']['tail']['map']:.1f} (2 classes)",
    ]


def test_single_label_results_show_the_accuracy_of_each_class():
    fig = plot_per_class_scores(single_label_results())
    assert heights(fig) == [100, 50, 100]
    assert fig.axes[0].get_title() == "Accuracy of each class"


def test_axis_spans_all_rates_whatever_the_bars_are():
    assert plot_per_class_scores(single_label_results()).axes[0].get_ylim() == (0, 100)


def test_title_can_be_given():
    assert plot_per_class_scores(multi_label_results(), title="CPRFL").axes[0].get_title() == "CPRFL"


def test_results_without_test_samples_are_refused():
    results = classification_results([[0.1]], [[0]], [5], problem_type="multi_label_classification")
    with pytest.raises(ValueError, match="no class has test samples"):
        plot_per_class_scores(results)


def test_something_else_than_results_is_refused():
    with pytest.raises(ValueError, match=r"what classification_results returns; got the keys \['map'\]"):
        plot_per_class_scores({"map": 0.5})
