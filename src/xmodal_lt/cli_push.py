"""The command `xmodal-lt push`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


__all__ = ["push"]


def push(
    folder: Annotated[Path, typer.Argument(help="Folder of a finished run, or of a saved model.")],
    repo_id: Annotated[str, typer.Argument(metavar="ORG/NAME", help="Repository; made if it is not there.")],
    private: Annotated[
        bool, typer.Option("--private", help="A new repository is seen by its owners alone; else as they have chosen.")
    ] = False,
    public: Annotated[bool, typer.Option("--public", help="A new repository is seen by everyone.")] = False,
    revision: Annotated[
        str | None, typer.Option(help="Branch, made if it is not there; main by default.", show_default=False)
    ] = None,
    tag: Annotated[str | None, typer.Option(help="New name for this state, such as v1.0.", show_default=False)] = None,
    with_code: Annotated[
        bool, typer.Option("--with-code", help="Send the model's source too, to be loaded without this package.")
    ] = False,
    with_pictures: Annotated[
        bool,
        typer.Option(
            "--with-pictures", help="Send figures that show test images even where their licence is not an open one."
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List what would be sent, and send nothing; needs no network.")
    ] = False,
    message: Annotated[str | None, typer.Option(help="Title of the commit.", show_default=False)] = None,
) -> None:
    """Publish a trained model on the Hub, with its card, results and figures, in one commit.

    Replaces the files of the same names, also an edited card, and deletes what only the last push has sent.
    """
    from xmodal_lt.hub.publish import push_to_hub

    if private and public:
        raise ValueError("Give --private or --public, not both.")
    published = push_to_hub(
        folder,
        repo_id,
        private=private or (False if public else None),
        revision=revision,
        tag=tag,
        with_code=with_code,
        with_pictures=with_pictures,
        dry_run=dry_run,
        commit_message=message,
    )
    for name, size in published.files.items():
        typer.echo(f"{size:>14,}  {name}")
    total = f"{len(published.files)} files, {sum(published.files.values()):,} bytes"
    if published.commit is None:
        seen_by = "private" if private else "public" if public else "as private as its owner's other new ones"
        where = f"branch {revision or 'main'}{f', tag {tag}' if tag else ''}; if it is new, {seen_by}"
        typer.echo(f"{total}: nothing was sent. They would go to {published.url} ({where})")
    else:
        typer.echo(f"{total} are at {published.url}, commit {published.commit}")
