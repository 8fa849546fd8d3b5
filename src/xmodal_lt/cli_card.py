"""The command `xmodal-lt card`. Heavy imports wait until it runs, so that `--help` is quick."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


__all__ = ["card_app"]

card_app = typer.Typer()


@card_app.command(epilog="Example: xmodal-lt card outputs/cmltnet_emoji_lt --baseline outputs/baseline_emoji_lt")
def card(
    folder: Annotated[
        Path | None, typer.Argument(help="Folder of a finished run, or of a saved model.", show_default=False)
    ] = None,
    baseline: Annotated[Path | None, typer.Option(help="Folder of another run on the same data.")] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="File, or with --all-recipes the folder; by default README.md in the run's folder."),
    ] = None,
    repo_id: Annotated[str | None, typer.Option(help="Id that the model has, or will have, on the Hub.")] = None,
    license: Annotated[
        str | None, typer.Option(help="Licence that you give the model, as the Hub names it: apache-2.0.")
    ] = None,
    examples: Annotated[
        bool | None,
        typer.Option(
            help="Put test pictures beside the card; by default where everyone may pass the data on.",
            show_default=False,
        ),
    ] = None,
    recipe: Annotated[Path | None, typer.Option(help="Recipe to write a card of that is not trained yet.")] = None,
    all_recipes: Annotated[
        Path | None, typer.Option(help="Folder of recipes, each of which gets such a card.")
    ] = None,
) -> None:
    """Write the model card of a run, from what the run left; or of recipes that are not trained yet."""
    from xmodal_lt.hub.card import write_card, write_recipe_card, write_recipe_cards

    if sum(one is not None for one in (folder, recipe, all_recipes)) != 1:
        raise ValueError("Give one of these: the folder of a run, --recipe, or --all-recipes.")
    if folder is not None:
        written = write_card(
            folder, baseline=baseline, output=output, repo_id=repo_id, license=license, examples=examples
        )
        typer.echo(f"The card is {written}")
        return
    of_runs = {"--baseline": baseline, "--repo-id": repo_id, "--license": license, "--examples": examples}
    if given := [name for name, value in of_runs.items() if value is not None]:
        raise ValueError(
            f"{', '.join(given)} goes with the folder of a run, which a recipe that is not trained lacks."
        )
    if output is None:
        raise ValueError("Give --output, where the card of the recipe goes.")
    if recipe is not None:
        typer.echo(f"The card is {write_recipe_card(recipe, output)}")
    elif all_recipes is not None:
        typer.echo(f"{len(write_recipe_cards(all_recipes, output))} cards are in {output}")
