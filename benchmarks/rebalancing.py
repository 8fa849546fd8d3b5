"""Which losses, samplers and re-balancings of the classifier help the tail? Eleven methods on Emoji-LT, three seeds.

    python benchmarks/rebalancing.py outputs/long_tail_methods_emoji_lt

The runs are those of recipes/grids/long_tail_methods_emoji_lt.yaml, which `xmodal-lt grid` runs too; what is finished
is not run again. `--only method=CE --only seed=0` takes a part of them, so that two processes can share the work;
`--no-train` only reports. The table has mean and standard deviation over the seeds, and of the differences to plain
cross-entropy with the same seed.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from scipy.stats import spearmanr

from xmodal_lt import ImageClassifier
from xmodal_lt.training import Cell, Grid, grid_table, run_grid
from xmodal_lt.training.grid_table import write_table


GRID = Path(__file__).parents[1] / "recipes" / "grids" / "long_tail_methods_emoji_lt.yaml"
REFERENCE = "CE"


def norm_correlations(cells: Sequence[Cell]) -> list[float]:
    """Spearman's rank correlation of class counts and norms of class weights in each run with plain cross-entropy.

    Tau-normalisation takes out norms that grow with the counts.
    """
    correlations = []
    for cell in cells:
        if cell.values == (REFERENCE,) and cell.is_finished:
            model = ImageClassifier.from_pretrained(cell.folder)
            norms = model.classifier.weight.detach().norm(dim=1)
            correlations.append(spearmanr(model.config.class_counts, norms).statistic)
    return correlations


def main(
    folder: Annotated[Path, typer.Argument(help="Folder for the runs.")],
    only: Annotated[list[str] | None, typer.Option(help="axis=value: only these runs; may be repeated.")] = None,
    train: Annotated[bool, typer.Option(help="Run what is not finished, or only report.")] = True,
    split: Annotated[str, typer.Option(help="Split of the table.")] = "test",
    output: Annotated[Path, typer.Option(help="File for the table.")] = Path("benchmarks/results/rebalancing.md"),
) -> None:
    """Run the methods and print the table."""
    grid = Grid.load(GRID, [f"cache_dir={folder / 'cache'}"], output_dir=folder)
    if train:
        for cell, error in run_grid(grid.cells(only or ())):
            if error is not None:
                typer.echo(f"{cell} failed: {error}", err=True)
                raise typer.Exit(1)
    table = grid_table(grid.cells(), list(grid.axes), split, reference=(REFERENCE,))
    unfinished = [str(cell) for cell in grid.cells() if not cell.is_finished]
    if unfinished:
        typer.echo(f"{table}\n\nNot finished, so no file was written: {'; '.join(unfinished)}")
        return
    correlations = ", ".join(f"{value:.2f}" for value in norm_correlations(grid.cells()))
    write_table(f"{table}\n\nRank correlation of class counts and norms of class weights (CE): {correlations}", output)
    typer.echo(output.read_text())


if __name__ == "__main__":
    typer.run(main)
