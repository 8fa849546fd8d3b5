from pathlib import Path

import pytest
import timm
import torch
import typer
from typer.testing import CliRunner, Result

from xmodal_lt.cli_export import export


def _run(*arguments: object) -> Result:
    app = typer.Typer()
    app.command()(export)
    return CliRunner().invoke(app, list(map(str, arguments)))


def test_timm_writes_the_folder(baseline_run: Path, tmp_path: Path):
    result = _run(baseline_run, "--format", "timm", "--output", tmp_path)
    assert result.exit_code == 0 and f"The files are in {tmp_path}" in result.output
    model = timm.create_model(f"local-dir:{tmp_path}", pretrained=True)
    assert model.pretrained_cfg["input_size"] == (3, 32, 32)
    assert model.pretrained_cfg["label_names"] == ["circle", "square", "triangle"]


def test_remote_code_writes_model_processor_and_code(cmltnet_run: Path, tmp_path: Path):
    assert _run(cmltnet_run, "--format", "remote-code", "--output", tmp_path).exit_code == 0
    files = {file.name for file in tmp_path.iterdir()}
    assert {"config.json", "model.safetensors", "processor_config.json", "tokenizer.json"} <= files
    assert "modeling_cmltnet.py" in files


def test_onnx_is_the_default(video_run: Path, tmp_path: Path):
    pytest.importorskip("onnxscript")
    assert _run(video_run, "--output", tmp_path).exit_code == 0
    assert [file.name for file in tmp_path.iterdir()] == ["model.onnx"]


@pytest.mark.slow
def test_program_and_int8(cmltnet_run: Path, tmp_path: Path):
    assert _run(cmltnet_run, "--format", "program", "--output", tmp_path).exit_code == 0
    logits, word_logits = torch.export.load(tmp_path / "model.pt2").module()(torch.zeros(2, 3, 32, 32))
    assert logits.shape == (2, 3) and len(word_logits) == 2
    result = _run(cmltnet_run, "--format", "int8", "--split", "validation", "--output", tmp_path)
    assert result.exit_code == 0 and "agreement" in result.output


def test_an_unknown_format_and_no_model_are_errors(tmp_path: Path):
    assert _run(tmp_path, "--format", "tflite", "--output", tmp_path).exit_code == 2
    result = _run(tmp_path / "none", "--output", tmp_path)
    assert isinstance(result.exception, OSError) and "There is no folder" in str(result.exception)


def test_a_whole_folder_needs_one_of_its_own(cmltnet_run: Path, tmp_path: Path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").touch()
    for format in ("timm", "remote-code"):
        error = _run(cmltnet_run, "--format", format, "--output", tmp_path / "other").exception
        assert f"is not empty, and {format} is a whole folder" in str(error)
    error = _run(cmltnet_run, "--output", tmp_path / "other" / "config.json").exception
    assert "is a file; give a folder" in str(error)
