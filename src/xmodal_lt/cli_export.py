"""The command `xmodal-lt export`. Heavy imports wait until it runs, so that `--help` is quick."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer


if TYPE_CHECKING:
    from xmodal_lt.prediction import Predictor


__all__ = ["export"]

Format = Literal["onnx", "program", "timm", "int8", "remote-code"]


def export(
    model: Annotated[str, typer.Argument(help="Folder of a run, or a Hub id: org/name or org/name@revision.")],
    output: Annotated[Path, typer.Option(help="Folder for the files.")],
    format: Annotated[
        Format,
        typer.Option(
            help="onnx; program, of torch.export; timm, for the plain classifier; int8, ONNX in 8 bits with a report "
            "of its accuracy; or remote-code, a folder that transformers loads with trust_remote_code=True."
        ),
    ] = "onnx",
    dataset: Annotated[
        str | None, typer.Option(help="For int8: data set name or path; the run's own by default.")
    ] = None,
    split: Annotated[str, typer.Option(help="For int8: split on which accuracy is compared.")] = "test",
) -> None:
    """Write a model in a form that works without this package; each is checked against the model."""
    _check_output(output, format)
    if format == "int8":
        from xmodal_lt.hub.export_int8 import quantize_report, report_table

        typer.echo(report_table(quantize_report(model, output, dataset, split)))
    else:
        _export(model, output, format)
    typer.echo(f"The files are in {output}")


def _check_output(output: Path, format: Format) -> None:
    """The formats that are whole folders need one of their own; the others add or replace a file."""
    if output.exists() and not output.is_dir():
        raise ValueError(f"--output {output} is a file; give a folder.")
    if format in ("timm", "remote-code") and output.is_dir() and any(output.iterdir()):
        raise ValueError(f"--output {output} is not empty, and {format} is a whole folder; give a new one.")


def _export(model: str, output: Path, format: Format) -> None:
    from xmodal_lt.prediction import Predictor, split_revision

    predictor = Predictor.from_pretrained(model, "cpu")
    if format == "timm":
        from xmodal_lt.hub.export_to_timm import export_timm

        # Again: timm builds backbones such as RepVGG with the branches that prediction merges.
        repo, options = split_revision(model)
        export_timm(type(predictor.model).from_pretrained(repo, **options), output, predictor.image_processor)
    elif format == "remote-code":
        from xmodal_lt.hub.remote_code import export_remote_code

        _save(predictor, output)
        export_remote_code(output)
    else:
        from xmodal_lt.hub.export_to_onnx import export_onnx
        from xmodal_lt.hub.export_to_program import export_program

        exporter = export_onnx if format == "onnx" else export_program
        exporter(predictor.model, output, predictor.image_processor, predictor.tokenizer)


def _save(predictor: Predictor, output: Path) -> None:
    """The model for prediction, with what prepares its inputs."""
    from xmodal_lt.processing import XModalFeatureExtractor, XModalProcessor

    predictor.model.save_pretrained(output, for_inference=True)
    processor, tokenizer = predictor.image_processor, predictor.tokenizer
    if tokenizer is not None and not isinstance(processor, XModalFeatureExtractor):
        XModalProcessor(processor, tokenizer).save_pretrained(output)
        return
    processor.save_pretrained(output)
    if tokenizer is not None:
        tokenizer.save_pretrained(output)
