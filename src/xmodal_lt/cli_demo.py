"""The command `xmodal-lt demo`. Heavy imports wait until it runs, so that `--help` is quick."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


__all__ = ["demo"]

_HOST = "127.0.0.1"  # this machine alone


def demo(
    model: Annotated[str, typer.Argument(help="Folder of a run, or a Hub id: org/name or org/name@revision.")],
    host: Annotated[
        str | None, typer.Option(help="Address to listen at; 0.0.0.0 lets others in.", show_default=_HOST)
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="The first free one from 7860 by default.", min=1, max=65535, show_default=False)
    ] = None,
    index: Annotated[
        str | None,
        typer.Option(help="Data set name or path: shows its training pictures that are similar.", show_default=False),
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, ...; an accelerator if there is one.")] = None,
    space: Annotated[
        Path | None,
        typer.Option(
            help="New folder for a Space of the Hub, which is written instead; without the options of serving.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Open a page in the browser where pictures can be dropped: classes, words, attention maps, similar pictures."""
    if space is not None:
        served = {"--host": host, "--port": port, "--index": index, "--device": device}
        if given := [name for name, value in served.items() if value is not None]:
            raise ValueError(f"{', '.join(given)} cannot go with --space, whose page the Hub serves; leave it out.")
        from xmodal_lt.hub.space import write_space

        typer.echo(f"The Space is {write_space(space, model)}")
        return
    from xmodal_lt.hub.demo_app import launch_demo

    launch_demo(model, index=index, host=host or _HOST, port=port, device=device)
