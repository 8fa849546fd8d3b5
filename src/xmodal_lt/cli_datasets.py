"""The commands `xmodal-lt datasets ...`. Heavy imports wait until a command runs, so that `--help` is quick."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer


if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from xmodal_lt.data import DatasetReport


__all__ = ["datasets_app"]

GROUP_COLUMNS = ("head", "medium", "tail")
NAME_HELP = "Registered name (see `xmodal-lt datasets`), local folder or file, or Hub id org/name."
DATA_DIR_HELP = "Folder of the original files, for a registered name; a folder inside the data set, for others."
OPTION_HELP = "key=value for the data set, such as words_column=tags or imbalance_ratio=50; may be repeated."
# Names that arguments of functions have, and how to give them.
GIVEN = {"name_or_path": "NAME", "data_dir": "--data-dir", "num_proc": "--num-proc"}
GIVEN_TO_CHECK = {**GIVEN, "head": "--head", "tail": "--tail", "read_inputs": "--images or --no-images"}
GIVEN_TO_CONVERT = {
    **GIVEN,
    "output": "--output",
    "shard_size": "--shard-size",
    "push_to_hub": "--push-to-hub",
    "public": "--public",
}

datasets_app = typer.Typer(
    help="List the data sets that have a name, with the files that each is made from, and look into them.",
    epilog="Example: xmodal-lt datasets --data-dir data",
)


@datasets_app.callback(invoke_without_command=True)
def _list(
    context: typer.Context,
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Tells which files are missing: of each data set in DIR/<name>, or else in DIR itself."),
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help="Name of a data set; may be repeated.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on the screen in place of a table.")] = False,
) -> None:
    """List the data sets that have a name; with a command, look into one of them."""
    if context.invoked_subcommand is not None:
        if data_dir is not None or only or as_json:
            raise typer.BadParameter(f"give options behind the command: datasets {context.invoked_subcommand} ...")
        return
    from xmodal_lt.data.dataset_list import describe_datasets

    described = describe_datasets(only or (), data_dir)
    if as_json:
        typer.echo(json.dumps(described, indent=1, ensure_ascii=False))
    else:
        _print(_list_table(described), *map(_notes, described))


@datasets_app.command(epilog="Example: xmodal-lt datasets check voc-lt --data-dir data/voc-lt --option captions=false")
def check(
    name: Annotated[str, typer.Argument(help=NAME_HELP)],
    data_dir: Annotated[Path | None, typer.Option(help=DATA_DIR_HELP)] = None,
    option: Annotated[list[str] | None, typer.Option(help=OPTION_HELP)] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the report: new, empty or that of an earlier one; NAME_check by default.",
            show_default=False,
        ),
    ] = None,
    images: Annotated[bool, typer.Option(help="Read every image, or all features of videos.")] = True,
    num_proc: Annotated[
        int | None, typer.Option(help="Processes that build the data set and read images.", min=1)
    ] = None,
    head: Annotated[
        int | None, typer.Option(help="Upper threshold of head classes; the data set's own, or 100.", min=1)
    ] = None,
    tail: Annotated[
        int | None, typer.Option(help="Lower threshold of tail classes; the data set's own, or 20.", min=0)
    ] = None,
) -> None:
    """
    Compare a data set with what is published about it, and write a page about its classes, words and images.

    Status 1: files are missing, numbers differ or images cannot be read.

    Pictures in two splits, or several times in train, are reported with status 0: published data sets have them too.

    Pictures are the same if their pixels are: resized copies are not found.
    """
    from xmodal_lt.data import check_dataset, list_datasets

    options = read_options(option, GIVEN_TO_CHECK)
    registered = name in list_datasets()
    if registered:
        _require_files(name, data_dir, options)
    from xmodal_lt.analysis.dataset_page import report_folder, write_dataset_report

    with report_folder(_report_place(name, registered, data_dir, output)) as folder:
        try:
            report = check_dataset(
                name, data_dir, read_inputs=images, num_proc=num_proc, head=head, tail=tail, **options
            )
        except FileNotFoundError as error:
            if not registered:
                raise
            typer.echo(f"xmodal-lt: {error}", err=True)
            raise typer.Exit(1) from error
        write_dataset_report(report, folder)
    _print(_comparison_table(report))
    for title, lines in (("To know", report.findings), ("Not as expected", report.problems)):
        for line in lines:
            typer.echo(f"{title}: {line}")
    typer.echo(f"The report is {folder / 'index.html'}")
    if report.problems:
        raise typer.Exit(1)


def _require_files(name: str, data_dir: Path | None, options: Mapping[str, Any]) -> None:
    """End with status 1 and all that is missing."""
    from xmodal_lt.data import missing_files

    if data_dir is not None and not data_dir.expanduser().is_dir():
        raise FileNotFoundError(f"there is no folder {data_dir} with the files of {name}")
    missing = [asdict(one) for one in missing_files(name, data_dir, **options) if not one.optional]
    if missing:
        where = "without --data-dir" if data_dir is None else f"in {data_dir}"
        typer.echo(f"Missing for {name} {where}:\n{_where_to_get(missing)}", err=True)
        raise typer.Exit(1)


def _where_to_get(missing: Iterable[Mapping[str, Any]]) -> str:
    return "\n".join(f"- {one['names']}: get {one['published']}" for one in missing)


def _report_place(name: str, registered: bool, data_dir: Path | None, output: Path | None) -> Path:
    """Outside one's own data, of which the report's files would become a part."""
    path = Path(name).expanduser()
    is_own = not registered and path.exists()
    if output is not None:
        if is_own and output.expanduser().resolve().is_relative_to(path.resolve()):
            raise ValueError(f"the report would be a part of the data in {path}: name an --output elsewhere")
        return output.expanduser()
    folder = Path(f"{path.resolve().name if is_own else name.replace('/', '-')}_check")
    data = path if is_own else data_dir if registered else None
    if data is not None and Path.cwd().resolve().is_relative_to(data.expanduser().resolve()):
        return data.expanduser().resolve().parent / folder
    return folder


def read_options(options: list[str] | None, given: Mapping[str, str]) -> dict[str, Any]:
    """
    Read `--option key=value` as recipes read their overrides: values in YAML, dots for nesting.

    Args:
        options (`list[str]`, *optional*):
            What was given.
        given (`Mapping[str, str]`):
            Names that are no keys, and how the command line has what they mean.

    Returns:
        `dict[str, Any]`: Arguments for [`load_lt`].

    Raises:
        ValueError: If one does not read key=value, its key is one of `given`, or its value is no YAML.
    """
    from omegaconf import OmegaConf
    from yaml import YAMLError

    wrong = [text for text in options or () if "=" not in text]
    if wrong:
        raise ValueError(f"--option must read key=value, got {wrong}; for example words_column=tags.")
    try:
        values: Any = OmegaConf.to_container(OmegaConf.from_dotlist(list(options or ())))
    except YAMLError as error:
        raise ValueError(f"--option {options} has a value that is no YAML: {error}.") from error
    for key in values:
        if key in given:
            raise ValueError(f"--option {key}=... is no option of the data set: give {given[key]}.")
    return {str(key): value for key, value in values.items()}


@datasets_app.command(
    epilog="Example: xmodal-lt datasets convert voc-lt --data-dir data/voc-lt --output voc-lt-parquet"
)
def convert(
    name: Annotated[str, typer.Argument(help=NAME_HELP)],
    output: Annotated[Path, typer.Option(help="New folder, or that of an earlier run, which then goes on.")],
    data_dir: Annotated[Path | None, typer.Option(help=DATA_DIR_HELP)] = None,
    option: Annotated[list[str] | None, typer.Option(help=OPTION_HELP)] = None,
    shard_size: Annotated[str, typer.Option(help="Bytes in a parquet file, about: 500MB, 1GB, ...")] = "500MB",
    num_proc: Annotated[
        int | None, typer.Option(help="Processes that build the data set, and files to write at a time.", min=1)
    ] = None,
    push_to_hub: Annotated[
        str | None, typer.Option(metavar="ORG/NAME", help="Upload the folder to this data set on the Hub.")
    ] = None,
    public: Annotated[bool, typer.Option("--public", help="Let everyone see it there.")] = False,
) -> None:
    """Write a data set as parquet files with the images inside (beside npy files, of videos) and a card; upload it."""
    from xmodal_lt.data import convert_dataset
    from xmodal_lt.data.messages import counted

    converted = convert_dataset(
        name,
        output,
        data_dir=data_dir,
        shard_size=shard_size,
        num_proc=num_proc,
        push_to_hub=push_to_hub,
        public=public,
        **read_options(option, GIVEN_TO_CONVERT),
    )
    if not converted.num_written:
        files = counted(converted.num_shards, "parquet file is", "parquet files are")
        typer.echo(f"Nothing left to write: {files} there.")
    rows = ", ".join(f"{split} {counted(count, 'row', 'rows')}" for split, count in converted.num_rows.items())
    typer.echo(f"{converted.folder}: {rows}")
    if converted.url is not None:
        typer.echo(f"It is at {converted.url}")


def _print(*parts: Table | Text) -> None:
    """On a terminal as wide as that is, and elsewhere with 100 columns."""
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else 100, highlight=False)
    for part in parts:
        console.print(part)


def _table(*columns: str, numbers: tuple[str, ...]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    return table


def _list_table(described: list[dict[str, Any]]) -> Table:
    from rich.text import Text

    columns = ("classes", "train", "validation", "test")
    table = _table("data set", *columns, *GROUP_COLUMNS, numbers=columns)
    for one in described:
        facts = {
            quantity: f"{'≥ ' if fact['at_least'] else ''}{fact['value']:,}" for quantity, fact in one["facts"].items()
        }
        groups = [": ".join(filter(None, (one["groups"][group], facts.get(group)))) for group in GROUP_COLUMNS]
        # As text, in which brackets are no markup.
        table.add_row(*map(Text, (one["name"], *(facts.get(column, "-") for column in columns), *groups)))
    return table


def _notes(described: dict[str, Any]) -> Text:
    from rich.text import Text

    note = Text.assemble((described["name"], "bold"), f": {described['access']}. Home page: {described['homepage']}\n")
    if "missing" in described:
        needed = [one for one in described["missing"] if not one["optional"]]
        optional = [one for one in described["missing"] if one["optional"]]
        note.append(f"Missing:\n{_where_to_get(needed)}\n" if needed else "Nothing that it needs is missing.\n")
        if optional:
            note.append(f"Missing, but not needed:\n{_where_to_get(optional)}\n")
    return note


def _comparison_table(report: DatasetReport) -> Table:
    from rich.text import Text

    numbers = ("expected", "found")
    table = _table("number of", *numbers, "", "source of the expected number", numbers=numbers)
    for one in report.comparisons:
        expected = f"{'≥ ' if one.at_least else ''}{_number(one.expected)}"
        table.add_row(*map(Text, (one.title, expected, _number(one.found), one.verdict, one.source)))
    return table


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value == int(value) else f"{value:,.2f}"
