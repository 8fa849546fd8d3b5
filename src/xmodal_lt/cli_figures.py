"""The command `xmodal-lt figures`. Heavy imports wait until it runs, so that `--help` is quick."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer


__all__ = ["figures"]


def figures(
    model: Annotated[str, typer.Argument(help="Folder of a run, or a Hub id: org/name or org/name@revision.")],
    dataset: Annotated[str | None, typer.Option(help="Data set name or path; the run's own by default.")] = None,
    split: Annotated[str, typer.Option(help="Split to take the samples from.")] = "test",
    classes: Annotated[
        list[str] | None,
        typer.Option(
            help="Name of a class to show; may be repeated. Two of each frequency group by default.",
            show_default=False,
        ),
    ] = None,
    kind: Annotated[
        Literal["tsne", "attention", "all"],
        typer.Option(help="Feature spaces by t-SNE, attention maps by Grad-CAM, or both."),
    ] = "all",
    output: Annotated[
        Path | None,
        typer.Option(help="Folder; by default figures/ in the model's own.", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the t-SNE.")] = 0,
    batch_size: Annotated[int, typer.Option(help="Samples at a time.", min=1)] = 64,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, ...; an accelerator if there is one.")] = None,
) -> None:
    """Draw what a saved model sees: its feature spaces, and where its branches look for a class."""
    from xmodal_lt.analysis.figure_files import save_figure
    from xmodal_lt.checkpoint_figures import FIGURES, figures_of_checkpoint

    if output is None and not Path(model).is_dir():
        raise ValueError(f"{model!r} is no local folder; if it is a Hub id, give --output, a folder for the figures.")
    folder = output or Path(model) / "figures"
    drawn = figures_of_checkpoint(
        model,
        dataset,
        split,
        classes or (),
        FIGURES if kind == "all" else (kind,),
        seed=seed,
        batch_size=batch_size,
        device=device,
    )
    for name, figure in drawn.items():
        file = folder / f"{name}_{split}.png"
        save_figure(figure, file)
        typer.echo(f"The figure is {file}")
