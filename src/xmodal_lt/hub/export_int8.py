"""ONNX models in 8 bits, and what that costs: dynamic quantisation, which needs no calibration data."""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from xmodal_lt.atomic_file import atomic_path
from xmodal_lt.metrics import results_table
from xmodal_lt.metrics.report import THRESHOLD
from xmodal_lt.prediction import Predictor
from xmodal_lt.processing import XModalCollator
from xmodal_lt.training.evaluate_checkpoint import load_data_of_run, rows_of_split, training_stats
from xmodal_lt.training.evaluation import evaluate_scores
from xmodal_lt.training.output_folder import write_text
from xmodal_lt.training.training_data import evaluation_data

from .card_subject import public_name
from .export_to_onnx import export_onnx, onnx_predictor, require_onnx


__all__ = ["quantize_onnx", "quantize_report"]

FLOAT = "float32"
VARIANTS = {"int8 linear": False, "int8": True}  # by whether convolutions are quantised too
_PAIRS = 20  # of timed predictions


def quantize_report(
    model: str, folder: str | Path, dataset: str | None = None, split: str = "test", batch_size: int = 64
) -> dict[str, Any]:
    """
    Write a model in 8 bits, and measure what is lost and gained.

    The folder gets `model.onnx` (float32), `model.int8_linear.onnx` (linear layers in 8 bits), `model.int8.onnx`
    (convolutions too, but for grouped ones), `quantization.json` and the same as a table, `quantization.txt`.

    Args:
        model (`str`):
            Folder of a run, or a Hub id.
        folder (`str` or `Path`):
            Where the files go; made if it is missing.
        dataset (`str`, *optional*):
            Data set name or path; the one in the run's `recipe.yaml` when absent.
        split (`str`, *optional*, defaults to `"test"`):
            The split on which the models are compared.
        batch_size (`int`, *optional*, defaults to 64):
            Images at a time.

    Returns:
        `dict`: `model`, of an absolute path its last part; `split`, `num_samples` and `variants`: for `float32`,
        `int8 linear` and `int8` the `file`, its `bytes` and its `results` on the split, see `classification_results`,
        without those of single classes. Those in 8 bits also have, over float32:

        - `size_ratio`;
        - `latency_ratio`, of one image and one thread of this machine's CPU: `median`, `min` and `max` of 20 pairs;
        - `agreement`, the share of images with the same best class or, multi-label, of decisions at a probability of
          0.5.

    Raises:
        ValueError: When the data has no such split or other classes than the model; as [`export_onnx`].
        ImportError: If onnx, onnxscript or onnxruntime are not installed.

    Example:

    ```python
    >>> from xmodal_lt.hub.export_int8 import quantize_report

    >>> report = quantize_report("outputs/cmltnet_emoji_lt", "outputs/int8")  # doctest: +SKIP
    >>> report["variants"]["int8"]["agreement"]  # doctest: +SKIP
    0.98
    ```
    """
    require_onnx()
    predictor = Predictor.from_pretrained(model, "cpu")
    config: Any = predictor.model.config
    data = load_data_of_run(model, dataset, as_table=True)
    rows = rows_of_split(data, split)
    stats = training_stats(Path(model), config, data)
    files = _write_variants(predictor, Path(folder))
    models = {name: onnx_predictor(str(file)) for name, file in files.items()}
    scores, references, sample = _scores(models, _batches(predictor, rows, batch_size))
    variants: dict[str, dict[str, Any]] = {}
    for name, file in files.items():
        results = evaluate_scores(scores[name], references, stats, config.problem_type)
        results.pop("per_class")
        variants[name] = {"file": file.name, "bytes": file.stat().st_size, "results": results}
        if name != FLOAT:
            variants[name]["size_ratio"] = variants[name]["bytes"] / variants[FLOAT]["bytes"]
            variants[name]["agreement"] = _agreement(scores[name], scores[FLOAT], config.problem_type)
            variants[name]["latency_ratio"] = _latency_ratio(file, files[FLOAT], sample)
    report = {"model": public_name(model), "split": split, "num_samples": len(references), "variants": variants}
    write_text(Path(folder) / "quantization.json", json.dumps(report, indent=2))
    write_text(Path(folder) / "quantization.txt", report_table(report) + "\n")
    return report


def report_table(report: dict[str, Any]) -> str:
    """The report of [`quantize_report`] as text."""
    variants = report["variants"]
    lines = [results_table({name: variant["results"] for name, variant in variants.items()}), ""]
    for name, variant in variants.items():
        line = f"{name}: {variant['file']}, {variant['bytes'] / 2**20:.1f} MiB"
        if name != FLOAT:
            latency = variant["latency_ratio"]
            line += (
                f"; size x {variant['size_ratio']:.2f}, agreement {100 * variant['agreement']:.1f} %, latency of one "
                f"image x {latency['median']:.2f} ({latency['min']:.2f} to {latency['max']:.2f})"
            )
        lines.append(line)
    return "\n".join(lines)


def quantize_onnx(source: Path, target: Path, convolutions: bool) -> None:
    """
    Write an ONNX model with its linear layers in 8 bits; their inputs are brought to 8 bits at each prediction.

    Args:
        source (`Path`):
            The float model.
        target (`Path`):
            The new file.
        convolutions (`bool`):
            Whether convolutions are quantised too: smaller files, and mostly slower predictions. Grouped ones, which
            have few weights and lose most, are left.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as folder, atomic_path(target) as unfinished:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        quantize_dynamic(
            prepared,
            unfinished,
            op_types_to_quantize=["MatMul", "Conv"] if convolutions else ["MatMul"],
            nodes_to_exclude=_grouped_convolutions(onnx.load(prepared)),
            # Kernels of convolutions with signed weights are slow, or missing, on CPUs.
            weight_type=QuantType.QUInt8 if convolutions else QuantType.QInt8,
            per_channel=True,
        )


def _grouped_convolutions(model: Any) -> list[str]:
    def groups(node: Any) -> int:
        return next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)

    return [node.name for node in model.graph.node if node.op_type == "Conv" and groups(node) > 1]


def _write_variants(predictor: Predictor, folder: Path) -> dict[str, Path]:
    source = export_onnx(predictor.model, folder, predictor.image_processor, predictor.tokenizer)
    files = {FLOAT: source}
    for name, convolutions in VARIANTS.items():
        files[name] = source.with_suffix(f".{name.replace(' ', '_')}.onnx")
        quantize_onnx(source, files[name], convolutions)
    return files


def _batches(predictor: Predictor, rows: Any, batch_size: int) -> DataLoader:
    config: Any = predictor.model.config
    collator = XModalCollator(
        predictor.image_processor, problem_type=config.problem_type, num_labels=config.num_labels
    )
    return DataLoader(evaluation_data(rows), batch_size, collate_fn=collator)


def _scores(
    models: dict[str, Callable[..., list[Any]]], batches: DataLoader
) -> tuple[dict[str, np.ndarray], np.ndarray, Sequence[torch.Tensor]]:
    """Logits of every model, the references, and the inputs of one sample."""
    scores: dict[str, list[np.ndarray]] = {name: [] for name in models}
    references, sample = [], None
    for batch in batches:
        references.append(batch.pop("labels").numpy())
        inputs = tuple(batch[name] for name in ("pixel_values", "features", "feature_mask") if name in batch)
        sample = sample or tuple(tensor[:1] for tensor in inputs)
        for name, predict in models.items():
            scores[name].append(predict(*inputs)[0])
    assert sample is not None  # no split is empty
    return {name: np.concatenate(rows) for name, rows in scores.items()}, np.concatenate(references), sample


def _agreement(scores: np.ndarray, expected: np.ndarray, problem_type: str) -> float:
    if problem_type == "multi_label_classification":
        limit = np.log(THRESHOLD / (1 - THRESHOLD))
        return float(((scores >= limit) == (expected >= limit)).mean())
    return float((scores.argmax(-1) == expected.argmax(-1)).mean())


def _latency_ratio(first: Path, second: Path, inputs: Sequence[torch.Tensor]) -> dict[str, float]:
    """Time of `first` over that of `second`, in pairs, as the speed of a machine drifts."""
    # By one thread each: the threads of one session wait actively, and would slow down the other.
    models = [onnx_predictor(str(file), threads=1) for file in (first, second)]

    def seconds(predict: Callable[..., Any]) -> float:
        start = time.perf_counter()
        predict(*inputs)
        return time.perf_counter() - start

    ratios = [seconds(models[0]) / seconds(models[1]) for _ in range(1 + _PAIRS)][1:]  # the first is a warm-up
    return {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)}
