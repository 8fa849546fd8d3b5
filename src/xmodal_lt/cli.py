"""The command line `xmodal-lt`. Heavy imports wait until a command runs, so that `--help` is quick."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from xmodal_lt import __version__
from xmodal_lt.cli_card import card_app
from xmodal_lt.cli_datasets import datasets_app
from xmodal_lt.cli_demo import demo
from xmodal_lt.cli_export import export
from xmodal_lt.cli_figures import figures
from xmodal_lt.cli_push import push
from xmodal_lt.cli_push_metric import push_metric


__all__ = ["app", "main"]

app = typer.Typer(
    help="Cross-modal long-tailed image classification: words while you train, images alone when you predict.",
    epilog="Example: xmodal-lt train recipes/cmltnet_emoji_lt.yaml",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.add_typer(datasets_app, name="datasets")
app.add_typer(card_app)

MODEL_HELP = "Folder of a run, or a Hub id: org/name or org/name@revision."


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"xmodal-lt {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Options that come before a command."""


@app.command(epilog="Example: xmodal-lt train recipes/cmltnet_emoji_lt.yaml stages.align.epochs=2 seed=1")
def train(
    recipe: Annotated[Path, typer.Argument(help="Recipe, a YAML file.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Dotted overrides, key=value.", show_default=False)
    ] = None,
) -> None:
    """Train and evaluate the model of a recipe; under `accelerate launch` use train.py, which does the same."""
    from accelerate import PartialState

    from xmodal_lt.training import CheckpointError, NonFiniteError, Recipe, run_recipe

    loaded = Recipe.load(recipe, overrides or ())
    if loaded.push_to_hub is not None:
        from xmodal_lt.hub.sending import check_may_push

        check_may_push(loaded.push_to_hub, private=True)
    try:
        results = run_recipe(loaded)
    except (CheckpointError, NonFiniteError) as error:
        # Not bad input: the run itself failed, and its last checkpoint is whole.
        _echo_error(error)
        raise typer.Exit(1) from error
    if PartialState().is_main_process:
        for split in results.values["splits"]:
            typer.echo(f"\n{split}\n{results.table(split)}")
        typer.echo(f"\nModel, results.json and figures are in {results.output_dir}")
        if loaded.push_to_hub is not None:
            from xmodal_lt.hub import push_to_hub

            typer.echo(f"It is at {push_to_hub(results.output_dir, loaded.push_to_hub, private=True).url}")


@app.command(epilog="Example: xmodal-lt grid recipes/grids/long_tail_methods_emoji_lt.yaml --only method=CE")
def grid(
    grid_file: Annotated[Path, typer.Argument(metavar="GRID", help="Grid, a YAML file.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Dotted overrides of every cell, key=value.", show_default=False)
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="axis=value, or seed=0: only these cells; may be repeated.")
    ] = None,
    seed: Annotated[list[int] | None, typer.Option(help="Seeds in place of the grid's own; may be repeated.")] = None,
    output_dir: Annotated[Path | None, typer.Option(help="Folder in place of the grid's own.")] = None,
    split: Annotated[Literal["validation", "test"], typer.Option(help="Split of the table.")] = "test",
    train: Annotated[bool, typer.Option(help="Run what is not finished, or only report.")] = True,
) -> None:
    """Run the recipes of a grid, skipping what is finished, and print one table of them all."""
    from accelerate import PartialState

    from xmodal_lt.training import Grid, grid_table, run_grid
    from xmodal_lt.training.grid_table import write_table

    loaded = Grid.load(grid_file, overrides or (), seed, output_dir)
    everything, cells = loaded.cells(), loaded.cells(only or ())
    table_of = partial(grid_table, axes=list(loaded.axes), split=split, columns=loaded.columns)
    table_of(everything)  # a finished run without the split or a column fails now, and a new one as soon as it ends
    failed = []
    for cell, error in run_grid(cells) if train else ():
        if error is None:
            table_of([cell])
        else:
            failed.append((cell, error))
    if PartialState().is_main_process:
        table = table_of(everything)
        if not seed:  # the file is for the grid as it is written
            write_table(table, Path(loaded.output_dir) / f"table_{split}.md")
        typer.echo(f"\n{split}\n{table}")
        for cell, error in failed:
            typer.echo(f"failed: {cell}: {error}", err=True)
        open_cells = [cell for cell in cells if not cell.is_finished]
        if open_cells:
            typer.echo(f"{len(open_cells)} of {len(cells)} runs are not finished: {'; '.join(map(str, open_cells))}")
    if failed:
        raise typer.Exit(1)


@app.command(epilog="Example: xmodal-lt evaluate outputs/cmltnet_emoji_lt --baseline outputs/baseline_emoji_lt")
def evaluate(
    model: Annotated[str, typer.Argument(help=MODEL_HELP)],
    dataset: Annotated[str | None, typer.Option(help="Data set name or path; the run's own by default.")] = None,
    split: Annotated[str, typer.Option(help="Split to evaluate.")] = "test",
    baseline: Annotated[
        Path | None,
        typer.Option(help="Folder of another run: draws the gain of each class over it, and its bars in panels."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder for the results; the model's own folder by default.")
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Images at a time.", min=1)] = 64,
    threshold: Annotated[
        float, typer.Option(help="Probability from which a multi-label model predicts a class.")
    ] = 0.5,
    panels: Annotated[
        int, typer.Option(help="Images to draw with their best classes, of rare classes first.", min=0)
    ] = 0,
) -> None:
    """Score a saved model on a split: all, head, medium and tail classes, class by class."""
    from xmodal_lt.metrics import overall_scores, results_table
    from xmodal_lt.training.evaluate_checkpoint import evaluate_checkpoint

    results, folder = evaluate_checkpoint(
        model, dataset, split, baseline, output, batch_size, threshold=threshold, panels=panels
    )
    typer.echo(f"{results_table(results)}\n{overall_scores(results)}")
    typer.echo(f"\nResults are in {folder}")
    if baseline is not None:
        typer.echo(f"The gain of each class over {baseline} is {folder / 'figures' / f'per_class_gain_{split}.png'}")


@app.command(epilog="Example: xmodal-lt curves outputs/vl_ltr_emoji_lt outputs/vl_ltr_emoji_lt_from_scratch")
def curves(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of finished runs.")],
    stage: Annotated[
        str | None, typer.Option(help="Stage to compare; the last that all runs have by default.", show_default=False)
    ] = None,
    output: Annotated[Path, typer.Option(help="File ending in .png, .svg or .pdf.")] = Path("curves.png"),
) -> None:
    """Draw the training and validation loss of runs over the epochs of a stage."""
    from xmodal_lt.analysis import plot_loss_curves, save_figure
    from xmodal_lt.training.histories import read_histories

    save_figure(plot_loss_curves(read_histories(runs), stage=stage), output)
    typer.echo(f"The figure is {output}")


@app.command(epilog='Example: xmodal-lt retrieve "a spotted animal" "a stick" --model outputs/vl_ltr_emoji_lt')
def retrieve(
    phrases: Annotated[list[str], typer.Argument(metavar="PHRASE...", help="What to look for.")],
    model: Annotated[str, typer.Option(help=f"{MODEL_HELP} Of VL-LTR, with its text encoder.")],
    images: Annotated[
        list[Path] | None,
        typer.Option(help="Image file, or a folder of them, in place of a data set; may be repeated."),
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="Data set name or path; the run's own by default.")] = None,
    split: Annotated[str | None, typer.Option(help="Split to search; test by default.", show_default=False)] = None,
    top_k: Annotated[int, typer.Option(help="Images to find for each phrase.", min=1)] = 5,
    baseline: Annotated[str | None, typer.Option(help="Another such model, to compare with.")] = None,
    output: Annotated[Path, typer.Option(help="Figure, ending in .png, .svg or .pdf.")] = Path("retrieval.png"),
    batch_size: Annotated[int, typer.Option(help="Images at a time.", min=1)] = 64,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, ...; an accelerator if there is one.")] = None,
    skip_bad_images: Annotated[
        bool, typer.Option("--skip-bad-images", help="Warn about unreadable images and go on.")
    ] = False,
) -> None:
    """Find the images that are most similar to phrases: JSON lines on the screen, and a figure."""
    from xmodal_lt.analysis import save_figure
    from xmodal_lt.analysis.figure_files import check_figure_path
    from xmodal_lt.retrieval import retrieve as find_images

    check_figure_path(output)  # before all images are read
    found = find_images(
        model,
        phrases,
        images,
        dataset=dataset,
        split=split,
        top_k=top_k,
        baseline=baseline,
        batch_size=batch_size,
        device=device,
        bad_images="skip" if skip_bad_images else "error",
    )
    for row in found.rows():
        typer.echo(json.dumps(row, ensure_ascii=False))
    save_figure(found.plot(), output)
    typer.echo(f"The figure is {output}", err=True)


@app.command(epilog="Example: xmodal-lt predict photos/ cat.png --model outputs/cmltnet_emoji_lt --words 5")
def predict(
    images: Annotated[
        list[Path],
        typer.Argument(help="Image files, or folders of them; for models of videos, .npy and HDF5 files."),
    ],
    model: Annotated[str, typer.Option(help=MODEL_HELP)],
    top_k: Annotated[
        int | None,
        typer.Option(help="Classes to name for each image; 5, or with --threshold all that reach it.", min=1),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(help="For multi-label models: only classes whose probability reaches it.", show_default=False),
    ] = None,
    words: Annotated[int, typer.Option(help="Inferred words to name, for models that infer words.", min=0)] = 0,
    output: Annotated[
        Path | None, typer.Option(help="File ending in .jsonl or .csv; JSON lines on the screen by default.")
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Images at a time.", min=1)] = 32,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, ...; an accelerator if there is one.")] = None,
    skip_bad_images: Annotated[
        bool, typer.Option("--skip-bad-images", help="Warn about unreadable images and go on.")
    ] = False,
) -> None:
    """Predict classes, and the words behind them, from images alone."""
    from xmodal_lt.atomic_file import atomic_path
    from xmodal_lt.prediction import Predictor, write_predictions

    if output is not None and output.suffix not in (".jsonl", ".csv"):
        raise ValueError(f"--output {output} must end in .jsonl or .csv.")
    predictor = Predictor.from_pretrained(model, device)
    bad_images: Literal["error", "skip"] = "skip" if skip_bad_images else "error"
    rows = predictor.predict_files(images, top_k, words, batch_size, bad_images, threshold)
    if output is None:
        write_predictions(rows, sys.stdout)
        return
    with atomic_path(output) as unfinished, unfinished.open("w", newline="", encoding="utf-8") as stream:
        write_predictions(rows, stream, as_csv=output.suffix == ".csv")


@app.command(epilog="Example: xmodal-lt convert-clip RN50.pt weights/clip-rn50")
def convert_clip(
    file: Annotated[Path, typer.Argument(help="CLIP that OpenAI published, such as RN50.pt or ViT-B-16.pt.")],
    output: Annotated[Path, typer.Argument(help="New folder for the converted files.")],
    tokenizer: Annotated[
        str, typer.Option(help="Model id, or local folder, of a CLIP's tokenizer.")
    ] = "openai/clip-vit-base-patch16",
) -> None:
    """Write OpenAI's CLIP files as the text backbone and the weights of the backbone that recipes name."""
    from xmodal_lt.openai_clip import VISUAL_FILE, convert_openai_clip

    backbone, backbone_kwargs = convert_openai_clip(file, output, tokenizer)
    typer.echo(f"backbone: {backbone}")
    if backbone_kwargs:
        typer.echo(f"backbone_kwargs: {backbone_kwargs}")
    typer.echo(f"pretrained: {output / VISUAL_FILE}\ntext_backbone: clip:{output}")


app.command(epilog="Example: xmodal-lt push outputs/cmltnet_emoji_lt org/cmltnet-emoji-lt --private --tag v1.0")(push)
app.command(epilog="Example: xmodal-lt push-metric lt_map org")(push_metric)
app.command(epilog="Example: xmodal-lt export outputs/cmltnet_emoji_lt --format onnx --output exported")(export)
app.command(epilog="Example: xmodal-lt figures outputs/cmltnet_emoji_lt --kind tsne --classes bird --classes flag")(
    figures
)
app.command(epilog="Example: xmodal-lt demo outputs/cmltnet_emoji_lt --index emoji-lt")(demo)


def _echo_error(error: Exception) -> None:
    """One line, whatever the message looks like: those of transformers have several."""
    typer.echo(f"xmodal-lt: {' '.join(str(error).split())}", err=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line; errors of bad input end it with one line and status 2, without a traceback."""
    try:
        app(arguments)
    except (ValueError, TypeError, OSError, ImportError) as error:
        _echo_error(error)
        raise SystemExit(2) from error
