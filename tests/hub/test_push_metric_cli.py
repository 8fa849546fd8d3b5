from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from xmodal_lt.cli_push_metric import push_metric
from xmodal_lt.hub import metric_spaces


@pytest.fixture(autouse=True)
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """What would go to the Hub."""
    calls: list[tuple] = []

    def push(name: str, owner: str, *, private: bool | None = None) -> str:
        calls.append((name, owner, private))
        return f"https://huggingface.co/spaces/{owner}/{name}"

    monkeypatch.setattr(metric_spaces, "push_metric_space", push)
    return calls


def _run(*arguments: object) -> Result:
    app = typer.Typer()
    app.command()(push_metric)
    return CliRunner().invoke(app, list(map(str, arguments)))


@pytest.mark.parametrize("owner", [[], ["org"]])
def test_with_a_folder_the_space_is_only_written(owner: list[str], tmp_path: Path, sent: list[tuple]):
    result = _run("lt_map", *owner, "--output", tmp_path)
    assert result.exit_code == 0 and f"The Space is {tmp_path / 'lt_map'}" in result.output
    assert (tmp_path / "lt_map" / "lt_map.py").is_file() and not sent


@pytest.mark.parametrize(("options", "private"), [([], None), (["--private"], True), (["--public"], False)])
def test_it_is_sent_to_the_owner(options: list[str], private: bool | None, sent: list[tuple]):
    result = _run("lt_map", "org", *options)
    assert result.exit_code == 0 and "https://huggingface.co/spaces/org/lt_map" in result.output
    assert sent == [("lt_map", "org", private)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lt_map"], "Name the OWNER"),
        (["accuracy", "--output", "spaces"], "one of lt_map, .*; got 'accuracy'"),
        (["lt_map", "--output", "spaces", "--private"], "leave them out with --output"),
    ],
)
def test_what_cannot_be_done_is_refused(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: list[tuple]
):
    monkeypatch.chdir(tmp_path)
    result = _run(*arguments)
    assert isinstance(result.exception, ValueError)
    with pytest.raises(ValueError, match=message):
        raise result.exception
    assert not sent and not list(tmp_path.iterdir())
