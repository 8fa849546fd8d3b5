"""The command `xmodal-lt push-metric`. Heavy imports wait until it runs, so that `--help` is quick."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


__all__ = ["push_metric"]


def push_metric(
    name: Annotated[str, typer.Argument(help="Metric, such as lt_map or shot_accuracy; a wrong one lists them all.")],
    owner: Annotated[
        str | None,
        typer.Argument(help="User or organisation on the Hub; not needed with --output.", show_default=False),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="Folder in which the Space's folder is only written; needs no network.", show_default=False),
    ] = None,
    private: Annotated[
        bool | None,
        typer.Option(
            "--private/--public", help="Who may see a new Space; as its owner has chosen.", show_default=False
        ),
    ] = None,
) -> None:
    """Publish a metric as a Space of the Hub, OWNER/NAME, from which evaluate.load loads it."""
    from xmodal_lt.hub.metric_spaces import push_metric_space, write_metric_space

    if output is not None:
        if private is not None:
            raise ValueError("--private and --public are for what is sent; leave them out with --output.")
        typer.echo(f"The Space is {write_metric_space(name, output)}")
    elif owner is None:
        raise ValueError("Name the OWNER on the Hub whose Space the metric is to be, or give --output, a folder.")
    else:
        typer.echo(f"The Space is {push_metric_space(name, owner, private=private)}")
