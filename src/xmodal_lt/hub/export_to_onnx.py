"""Export to ONNX, a graph that other runtimes and languages read."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from xmodal_lt.atomic_file import atomic_path
from xmodal_lt.modeling.feature_encoder import GRUFeatureEncoder

from .exportable import Exportable, check_export, export_metadata


__all__ = ["ONNX_FILE", "OPSET", "export_onnx", "onnx_predictor", "require_onnx"]

ONNX_FILE = "model.onnx"
OPSET = 20


def export_onnx(
    model: Any,
    folder: str | Path,
    image_processor: Any | None = None,
    tokenizer: PreTrainedTokenizerBase | None = None,
) -> Path:
    """
    Write a model as `model.onnx`, one file of opset 20, and check it with onnxruntime.

    Its input is `pixel_values` `[batch, 3, H, W]` or, of videos, `features` `[batch, steps, D]` and `feature_mask`
    `[batch, steps]` (int64); batch and steps are free, the image size is fixed. Its outputs are `logits`
    `[batch, C]` and, of methods that infer words, `word_logits` `[batch, W]`. Metadata of the file: see
    `export_metadata`.

    Args:
        model ([`LongTailPreTrainedModel`]):
            A classifier, which stays as it is; what only training needs is left out.
        folder (`str` or `Path`):
            Where the file goes; made if it is missing.
        image_processor (`BaseImageProcessor` or `XModalFeatureExtractor`, *optional*):
            Its settings are kept in the metadata, and the image size is what it gives.
        tokenizer (`PreTrainedTokenizerBase`, *optional*):
            The words of the word logits are kept in the metadata.

    Returns:
        `Path`: The file.

    Raises:
        ValueError: If the model cannot be exported, or the export gives other numbers than the model: by more than
            1e-4 on random inputs, in batches of 1 and 3. Nothing is written then.
        ImportError: If onnx, onnxscript or onnxruntime are not installed.

    Example:

    ```python
    >>> from xmodal_lt.hub import export_onnx
    >>> from xmodal_lt.prediction import Predictor

    >>> one = Predictor.from_pretrained("outputs/cmltnet_emoji_lt")  # doctest: +SKIP
    >>> export_onnx(one.model, "outputs/onnx", one.image_processor, one.tokenizer)  # doctest: +SKIP
    PosixPath('outputs/onnx/model.onnx')
    ```
    """
    require_onnx()
    import onnx

    exportable = Exportable.from_model(model, image_processor)
    proto = _to_onnx(exportable)
    for part in (proto.graph, *proto.functions):
        _clear_notes(part)
    proto.ClearField("doc_string")
    onnx.helper.set_model_props(proto, export_metadata(model, image_processor, tokenizer))
    content = proto.SerializeToString()
    check_export(exportable, onnx_predictor(content), "ONNX file")
    path = Path(folder) / ONNX_FILE
    with atomic_path(path) as unfinished:
        unfinished.write_bytes(content)
    return path


def require_onnx() -> None:
    """Raises an `ImportError` that names the extra when a package is missing."""
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ImportError(f'{error}; ONNX needs its packages: pip install "xmodal-lt[onnx]"') from error


def onnx_predictor(source: str | bytes, threads: int = 0) -> Callable[..., list[Any]]:
    """An ONNX file, or its content, as a function from tensors in the order of its inputs to arrays of its outputs; on
    the CPU, with as many threads as there are cores unless told."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    return lambda *inputs: session.run(
        None, {name: tensor.numpy() for name, tensor in zip(names, inputs, strict=True)}
    )


def _to_onnx(exportable: Exportable) -> Any:
    settings: dict[str, Any] = {
        "input_names": list(exportable.inputs),
        "output_names": list(exportable.outputs),
        "opset_version": OPSET,
        "verbose": False,
    }
    if any(isinstance(module, GRUFeatureEncoder) for module in exportable.module.modules()):
        return _trace(exportable, settings)
    graph = exportable.export()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # two inputs with the axes of one name
        program = torch.onnx.export(graph, dynamo=True, dynamic_shapes=exportable.axes, **settings)
    assert program is not None
    return program.model_proto


def _clear_notes(part: Any) -> None:
    """Takes out what the exporter notes of each node and value, such as the lines of source files it comes from."""
    noted = [part, *part.node, *part.value_info]
    for values in ("input", "output", "initializer"):
        noted += [value for value in getattr(part, values, ()) if not isinstance(value, str)]
    for one in noted:
        one.ClearField("doc_string")
        one.ClearField("metadata_props")
    for attribute in (attribute for node in part.node for attribute in node.attribute):
        for graph in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs):
            _clear_notes(graph)


def _trace(exportable: Exportable, settings: dict[str, Any]) -> Any:
    """By the older exporter: `torch.export` writes out every step of a GRU, for one number of steps."""
    import onnx

    axes = exportable.axes | {name: {0: "batch"} for name in exportable.outputs}
    inputs = exportable.random_inputs(1)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # it is old, and warns of the checks of shapes that it leaves out
        file = Path(folder) / ONNX_FILE
        torch.onnx.export(exportable.module, inputs, file, dynamo=False, dynamic_axes=axes, **settings)
        return onnx.load(file)
