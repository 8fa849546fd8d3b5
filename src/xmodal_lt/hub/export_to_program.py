"""Export as a program of `torch.export`, which runs, compiles and deploys without this package."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from xmodal_lt.atomic_file import atomic_path
from xmodal_lt.modeling.feature_encoder import GRUFeatureEncoder

from .exportable import Exportable, check_export, export_metadata


__all__ = ["METADATA_FILE", "PROGRAM_FILE", "export_program"]

PROGRAM_FILE = "model.pt2"
METADATA_FILE = "metadata.json"


def export_program(
    model: Any,
    folder: str | Path,
    image_processor: Any | None = None,
    tokenizer: PreTrainedTokenizerBase | None = None,
) -> Path:
    """
    Write a model as `model.pt2`, and check it as it is read back.

    `torch.export.load(file).module()` takes a batch of any size, by position: `pixel_values` `[B, 3, H, W]` or, of
    videos, `features` `[B, T, D]` and `feature_mask` `[B, T]`. It gives a tuple: logits `[B, C]` and, of methods that
    infer words, word logits `[B, W]`. Inside is `metadata.json`, an extra file of `torch.export.load`; see
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
        ValueError: If the model cannot be exported, as with a GRU, or the program gives other numbers than the model:
            by more than 1e-4 on random inputs, in batches of 1 and 3. Nothing is written then.

    Example:

    ```python
    >>> import torch
    >>> from xmodal_lt.hub.export_to_program import export_program

    >>> file = export_program(model, "outputs/program")  # doctest: +SKIP
    >>> logits, *_ = torch.export.load(file).module()(pixel_values)  # doctest: +SKIP
    ```
    """
    exportable = Exportable.from_model(model, image_processor)
    if any(isinstance(module, GRUFeatureEncoder) for module in exportable.module.modules()):
        raise ValueError(
            "torch.export cannot hold a GRU over videos of any length: it writes out every step. Export to ONNX, or "
            "take the backbone features:vilt."
        )
    metadata = export_metadata(model, image_processor, tokenizer)
    buffer = io.BytesIO()
    torch.export.save(exportable.export(), buffer, extra_files={METADATA_FILE: json.dumps(metadata)})
    content = buffer.getvalue()
    program = torch.export.load(io.BytesIO(content)).module()
    with torch.no_grad():
        check_export(exportable, program, "program")
    path = Path(folder) / PROGRAM_FILE
    with atomic_path(path) as unfinished:
        unfinished.write_bytes(content)
    return path
