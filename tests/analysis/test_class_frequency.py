from __future__ import annotations

import numpy as np
import pytest

from xmodal_lt.analysis import plot_class_frequency, save_figure
from xmodal_lt.data import ClassStats


@pytest.fixture
def animals() -> ClassStats:
    return ClassStats(
        counts=np.array([9, 500, 60, 120, 0]), num_samples=689, class_names=["owl", "cat", "cow", "dog", "$x$"]
    )


def curve(fig) -> list[float]:
    (stairs,) = fig.axes[0].patches[-1:]
    return stairs.get_data().values.tolist()


def test_classes_are_sorted_on_a_logarithmic_scale(animals):
    fig = plot_class_frequency(animals)
    assert fig.axes[0].get_yscale() == "log"
    assert curve(fig)[:4] == [500, 120, 60, 9]
    names = [tick.get_text() for tick in fig.axes[0].get_xticklabels()]
    assert names == ["cat (500)", "dog (120)", "cow (60)", "owl (9)", "$x$ (0)"]


def test_the_legend_counts_the_classes_of_each_group(animals):
    (legend,) = plot_class_frequency(animals).legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "head: 2 classes",
        "medium: 1 class",
        "tail: 2 classes",
    ]


def test_thresholds_are_marked(animals):
    fig = plot_class_frequency(animals)
    assert [line.get_ydata()[0] for line in fig.axes[0].lines] == [100, 20]


def test_names_are_no_formulas(animals, tmp_path):
    save_figure(plot_class_frequency(animals, title="$unfinished"), tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 0


def test_thousands_of_classes_are_drawn(tmp_path):
    stats = ClassStats(counts=np.arange(8142) + 1, num_samples=1)
    assert len(curve(plot_class_frequency(stats))) == 8142
