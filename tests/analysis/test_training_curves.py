import numpy as np
import pytest

from xmodal_lt.analysis import plot_training_curves


ALIGN = [
    {"loss": 2.0, "loss_align": 0.5, "grad_norm": 3.0, "learning_rate": 1e-3, "epoch": 1.0, "step": 10},
    {
        "eval_loss": 2.2,
        "eval_accuracy": 0.3,
        "eval_runtime": 1.5,
        "eval_steps_per_second": 9.0,
        "epoch": 1.0,
        "step": 10,
    },
    {"loss": 1.0, "loss_align": 0.2, "grad_norm": 2.0, "learning_rate": 1e-4, "epoch": 2.0, "step": 20},
    {
        "eval_loss": 1.4,
        "eval_accuracy": 0.5,
        "eval_macro_accuracy": 0.4,
        "eval_runtime": 1.5,
        "epoch": 2.0,
        "step": 20,
    },
    {"train_runtime": 60.0, "train_loss": 1.5, "total_flos": 1e9, "epoch": 2.0, "step": 20},
]
FUSE = [
    {"loss": 0.9, "epoch": 1.0, "step": 5},
    {"eval_accuracy": 0.6, "epoch": 1.0, "step": 5},
]


def points(ax):
    return [line.get_xydata().tolist() for line in ax.lines]


def legend_labels(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_panels_show_losses_loss_parts_and_metrics_over_epochs():
    losses, parts, metrics = plot_training_curves(ALIGN).axes
    assert points(losses) == [[[1, 2.0], [2, 1.0]], [[1, 2.2], [2, 1.4]]]
    assert points(parts) == [[[1, 0.5], [2, 0.2]]]
    assert points(metrics) == [[[1, 0.3], [2, 0.5]], [[2, 0.4]]]
    assert legend_labels(losses) == ["training", "evaluation"]
    assert legend_labels(parts) == ["loss_align"]
    assert legend_labels(metrics) == ["accuracy", "macro_accuracy"]
    assert {ax.get_xlabel() for ax in (losses, parts, metrics)} == {"epoch"}


def test_history_without_loss_parts_has_no_panel_for_them():
    assert [ax.get_ylabel() for ax in plot_training_curves(FUSE).axes] == ["loss", "evaluation metrics"]


def test_every_stage_has_a_column_of_its_own():
    fig = plot_training_curves({"align": ALIGN, "fuse": FUSE})
    axes = np.array(fig.axes).reshape(3, 2)
    assert [ax.get_title() for ax in axes[0]] == ["stage align", "stage fuse"]
    assert points(axes[0, 1]) == [[[1, 0.9]]]
    assert not axes[1, 1].axison and not axes[1, 1].lines
    assert points(axes[2, 1]) == [[[1, 0.6]]]


def test_a_curve_looks_the_same_in_every_stage():
    stages = {
        "first": [{"loss": 9.0, "loss_word": 1.0, "epoch": 1.0}],
        "second": [{"loss": 9.0, "loss_align": 2.0, "loss_word": 3.0, "epoch": 1.0}],
    }
    first, second = np.array(plot_training_curves(stages).axes).reshape(2, 2)[1]
    color_of = {line.get_ydata()[0]: line.get_color() for line in (*first.lines, *second.lines)}
    assert color_of[1.0] == color_of[3.0] != color_of[2.0]


def test_many_curves_do_not_share_a_look():
    entry = {f"eval_metric_{number}": number / 20 for number in range(20)} | {"epoch": 1.0}
    (ax,) = plot_training_curves([entry]).axes
    assert len({(line.get_color(), line.get_linestyle()) for line in ax.lines}) == 20


def test_metrics_can_be_chosen():
    *_, metrics = plot_training_curves(ALIGN, metrics=["macro_accuracy"]).axes
    assert legend_labels(metrics) == ["macro_accuracy"]


def test_stage_that_was_only_evaluated_is_scaled_to_its_own_epochs():
    only_evaluated = [{"eval_accuracy": 0.6, "epoch": 3.0}, {"eval_accuracy": 0.7, "epoch": 8.0}]
    fig = plot_training_curves({"align": ALIGN, "fuse": only_evaluated})
    fig.draw_without_rendering()
    left, right = fig.axes[-1].get_xlim()
    assert left <= 3 and right >= 8


@pytest.mark.parametrize("history", [[], {}, {"align": []}, [{"train_loss": 1.0, "epoch": 1.0}]])
def test_history_with_nothing_to_draw_is_refused(history):
    with pytest.raises(ValueError, match="holds no loss and no evaluation metric"):
        plot_training_curves(history)


def test_metric_that_was_not_logged_is_refused():
    with pytest.raises(ValueError, match=r"\['mAP'\] were not logged; there are \['accuracy', 'macro_accuracy'\]"):
        plot_training_curves(ALIGN, metrics=["accuracy", "mAP"])


def test_entry_without_an_epoch_is_refused():
    with pytest.raises(ValueError, match=r"needs its epoch.*'step': 10"):
        plot_training_curves([{"loss": 1.0, "step": 10}])
