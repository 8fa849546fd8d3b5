import json

import pytest
from matplotlib.colors import to_hex

from xmodal_lt.analysis import plot_loss_curves
from xmodal_lt.cli import main
from xmodal_lt.training.histories import read_histories


def history(*losses, validated=True):
    """A log of one stage: pairs of training and validation loss, epoch by epoch."""
    entries = []
    for epoch, (training, validation) in enumerate(losses, start=1):
        entries.append({"loss": training, "grad_norm": 1.0, "epoch": float(epoch), "step": epoch})
        if validated:
            entries.append({"eval_loss": validation, "eval_accuracy": 0.5, "epoch": float(epoch), "step": epoch})
    return [*entries, {"train_loss": 9.0, "epoch": float(len(losses))}]


FULL = {"pretrain": history((8, 9)), "finetune": history((2, 3), (1, 2))}
SCRATCH = {"pretrain": history((7, 7)), "finetune": history((2.5, 3), (0.5, 4))}
FINETUNED = {"finetune": history((2.2, 3.1))}


def curves(fig):
    """Colour, line style and points of every curve."""
    lines = fig.axes[0].lines
    return [(to_hex(line.get_color()), line.get_linestyle(), line.get_xydata().tolist()) for line in lines]


def legend(fig):
    handles = fig.axes[0].get_legend()
    return [
        (text.get_text(), to_hex(line.get_color()), line.get_linestyle())
        for text, line in zip(handles.get_texts(), handles.get_lines(), strict=True)
    ]


def test_a_run_has_a_colour_and_validation_is_dashed():
    fig = plot_loss_curves({"full": FULL, "w/o CLIP": SCRATCH})
    (full, solid, training), (same, dashed, validation), *of_scratch = curves(fig)
    assert (training, validation) == ([[1, 2], [2, 1]], [[1, 3], [2, 2]])
    assert (solid, dashed, same) == ("-", "--", full)
    scratch = of_scratch[0][0]
    assert of_scratch == [(scratch, "-", [[1, 2.5], [2, 0.5]]), (scratch, "--", [[1, 3], [2, 4]])]
    names, (_, *training_key), (_, *validation_key) = legend(fig)[:-2], *legend(fig)[-2:]
    assert names == [("full", full, "-"), ("w/o CLIP", scratch, "-")]
    assert scratch != full
    assert (training_key[1], validation_key[1]) == ("-", "--")
    assert training_key[0] == validation_key[0] not in (full, scratch)


@pytest.mark.parametrize(
    ("runs", "stage", "first_loss"),
    [
        ({"full": FULL, "tuned": FINETUNED}, None, 2),
        ({"full": FULL, "half": {"pretrain": FULL["pretrain"]}}, None, 8),
        ({"full": FULL, "scratch": SCRATCH}, "pretrain", 8),
        ({"full": FULL, "one stage": FULL["finetune"]}, "pretrain", 8),
        ({"one stage": FULL["finetune"]}, None, 2),
    ],
)
def test_the_stage_is_the_last_in_common_unless_it_is_named(runs, stage, first_loss):
    assert curves(plot_loss_curves(runs, stage=stage))[0][2][0] == [1, first_loss]


def test_the_stage_is_the_title_unless_there_is_another():
    assert plot_loss_curves({"a": FULL}).axes[0].get_title() == "stage finetune"
    assert plot_loss_curves({"a": FULL}, title="ImageNet-LT").axes[0].get_title() == "ImageNet-LT"


def test_runs_without_validation_have_no_key_for_it():
    fig = plot_loss_curves({"cost $x$": history((2, 0), validated=False)})
    assert [entry[0] for entry in legend(fig)] == ["cost $x$", "training"]
    fig.draw_without_rendering()


@pytest.mark.parametrize(
    ("runs", "stage", "message"),
    [
        ({}, None, "expected 1 to 7 runs, as many as there are colours; got 0"),
        ({str(index): FULL for index in range(8)}, None, "got 8"),
        ({"full": FULL, "a": {"joint": []}, "b": {}}, None, "full: pretrain, finetune; a: joint; b: none"),
        ({"full": FULL, "tuned": FINETUNED}, "pretrain", "the stage 'pretrain'; those without have tuned: finetune"),
        ({"full": FULL, "cut": {"finetune": []}}, None, "run 'cut' logged no loss in the stage"),
    ],
)
def test_runs_that_cannot_be_compared_are_refused(runs, stage, message):
    with pytest.raises(ValueError, match=message):
        plot_loss_curves(runs, stage=stage)


@pytest.fixture
def write_run(tmp_path):
    def write(name, content=FULL):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        (folder / "history.json").write_text(content if isinstance(content, str) else json.dumps(content))
        return folder

    return write


def test_histories_have_the_shortest_names_that_tell_runs_apart(write_run):
    assert read_histories([write_run("full"), write_run("scratch", SCRATCH)]) == {"full": FULL, "scratch": SCRATCH}
    seeds = [write_run(f"{name}/seed{seed}") for name, seed in (("a", 0), ("a", 1), ("b", 0))]
    assert list(read_histories(seeds)) == ["a/seed0", "a/seed1", "b/seed0"]


def test_the_command_draws_the_runs(write_run, tmp_path, capsys):
    output = tmp_path / "figures" / "curves.svg"
    with pytest.raises(SystemExit, match="0"):
        main(["curves", str(write_run("full")), str(write_run("tuned", FINETUNED)), "--output", str(output)])
    assert capsys.readouterr().out == f"The figure is {output}\n"
    assert output.read_text().startswith("<?xml")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{empty}"], "There is no {empty}/history.json; give the folder of a finished run."),
        (["{full}", "{full}/../full"], "The run {full} is given 2 times"),
        (["{broken}"], "Cannot read {broken}/history.json"),
        (["{full}", "--stage", "fuse"], "the stage 'fuse'; those without have full: pretrain, finetune"),
        (["{full}", "--output", "curves.txt"], "a figure is written as .png, .svg, .pdf; got 'curves.txt'"),
    ],
)
def test_the_command_ends_bad_input_with_a_line(write_run, tmp_path, capsys, arguments, message):
    paths = {"full": write_run("full"), "broken": write_run("broken", '{"joint": ['), "empty": tmp_path}
    with pytest.raises(SystemExit, match="2"):
        main(["curves", *(argument.format(**paths) for argument in arguments)])
    assert message.format(**paths) in capsys.readouterr().err


def test_the_commands_of_figures_show_an_example(capsys):
    for command in ("curves", "retrieve"):
        with pytest.raises(SystemExit, match="0"):
            main([command, "--help"])
        assert f"Example: xmodal-lt {command} " in " ".join(capsys.readouterr().out.split())
