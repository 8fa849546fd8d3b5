"""What a prediction costs over the bare timm backbone, and `import xmodal_lt` over `import transformers`, as ratios.

CMLTNet at 224 pixels on the CPU, one image and 32: the model itself, `pipeline` (from images, over timm's transform
and backbone on the same images), and its exports to ONNX, in float32 and in 8 bits.

OMP_NUM_THREADS=1 python benchmarks/inference.py --output benchmarks/results/inference.json
"""

import json
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import timm
import torch
import typer
from pairs import ratio
from PIL import Image
from timm.data import create_transform, resolve_model_data_config
from transformers import pipeline
from transformers.utils import logging

from xmodal_lt import CMLTNetConfig, CMLTNetForImageClassification
from xmodal_lt.hub.export_int8 import quantize_onnx
from xmodal_lt.hub.export_to_onnx import export_onnx, onnx_predictor
from xmodal_lt.processing import image_processor_from_timm


BACKBONES = ("resnet18", "vit_tiny_patch16_224")
CALLS = {1: 8, 32: 1}  # by batch size: how often each is called in a timed pair, as one short call is mostly noise
NUM_LABELS = 81
PACKAGES = ("xmodal-lt", "torch", "timm", "transformers", "onnx", "onnxscript", "onnxruntime")
BOTH, ALONE = "import transformers, xmodal_lt", "import transformers"


def imports(pairs: int) -> dict[str, float]:
    """In fresh interpreters. Of this package alone it is less, as it waits for what it needs."""

    def run(code: str) -> None:
        subprocess.run([sys.executable, "-c", code], check=True)

    return ratio(partial(run, BOTH), partial(run, ALONE), pairs)


def latencies(backbone: str, pairs: int, folder: Path) -> dict[str, dict[str, float]]:
    """Ratios by way of prediction and batch size."""
    config = CMLTNetConfig(backbone=backbone, vocab_size=1002, num_labels=NUM_LABELS)
    model = CMLTNetForImageClassification(config).eval()
    bare = timm.create_model(backbone, pretrained=False, num_classes=NUM_LABELS).eval()
    data_config = resolve_model_data_config(bare)
    processor = image_processor_from_timm(data_config)
    transform: Any = create_transform(**data_config)
    classify = pipeline("image-classification", model=model, image_processor=processor, device="cpu")
    exports = write_exports(model, processor, folder)
    results = {}
    for batch, calls in CALLS.items():
        images = photos(batch)
        pixels = processor(images, return_tensors="pt")["pixel_values"]
        first, *_ = exports["onnx float32"](pixels)
        with torch.inference_mode():
            np.testing.assert_allclose(first, model(pixel_values=pixels).logits.numpy(), rtol=1e-3, atol=1e-3)
            compared: dict[str, Callable[[], object]] = {
                "model": partial(model, pixel_values=pixels),
                **{name: partial(predict, pixels) for name, predict in exports.items()},
            }
            plain = partial(bare, pixels)
            for name, predict in compared.items():
                results[f"{name}, batch {batch}"] = ratio(repeated(predict, calls), repeated(plain, calls), pairs)
            results[f"pipeline, batch {batch}"] = ratio(
                repeated(partial(classify, images, batch_size=batch), calls),
                repeated(lambda images=images: bare(torch.stack([transform(image) for image in images])), calls),
                pairs,
            )
    return results


def write_exports(model: Any, processor: Any, folder: Path) -> dict[str, Callable[..., list[Any]]]:
    """The model in float32 and in 8 bits, as functions, by what they are called in the results."""
    files = {"onnx float32": export_onnx(model, folder, processor)}
    for name, convolutions in (("onnx int8 linear", False), ("onnx int8", True)):
        files[name] = folder / f"{name}.onnx"
        quantize_onnx(files["onnx float32"], files[name], convolutions)
    return {name: onnx_predictor(str(file), torch.get_num_threads()) for name, file in files.items()}


def repeated(function: Callable[[], object], calls: int) -> Callable[[], None]:
    """A function that calls `function` so often."""

    def run() -> None:
        for _ in range(calls):
            function()

    return run


def photos(count: int) -> list[Image.Image]:
    """Images of noise, 320 by 240 pixels."""
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 255, (240, 320, 3), dtype=np.uint8)) for _ in range(count)]


def versions() -> dict[str, str]:
    """Of what is timed; ratios differ between versions."""
    packages = {name: version(name) for name in PACKAGES}
    return {"python": platform.python_version(), **packages}


def main(
    output: Annotated[Path, typer.Option(help="JSON file for the ratios.")] = Path("inference.json"),
    pairs: Annotated[int, typer.Option(help="Timed pairs of each comparison.")] = 7,
) -> None:
    """Measure the ratios and print them."""
    logging.set_verbosity_error()
    torch.manual_seed(0)
    results = {"import": {"with xmodal_lt over transformers alone": imports(pairs)}}
    for backbone in BACKBONES:
        with tempfile.TemporaryDirectory() as folder:
            results[backbone] = latencies(backbone, pairs, Path(folder))
    for group, ratios in results.items():
        for name, values in ratios.items():
            typer.echo(f"{group}: {name}: {values['median']:.2f} ({values['min']:.2f} to {values['max']:.2f})")
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps({"versions": versions(), **results}, indent=2) + "\n")


if __name__ == "__main__":
    typer.run(main)
