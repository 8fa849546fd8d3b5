"""Put the source of a saved model beside its weights, for where this package is not installed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from transformers.dynamic_module_utils import get_relative_import_files
from transformers.utils import (
    CONFIG_NAME,
    IMAGE_PROCESSOR_NAME,
    PROCESSOR_NAME,
    SAFE_WEIGHTS_INDEX_NAME,
    SAFE_WEIGHTS_NAME,
)

from xmodal_lt import __version__
from xmodal_lt.atomic_file import atomic_path
from xmodal_lt.data.json_file import JsonFile
from xmodal_lt.registry import get_method


__all__ = ["export_remote_code"]

_PACKAGE = Path(__file__).parents[1]
_FOLDERS = (_PACKAGE / "modeling", _PACKAGE / "processing")  # no two of whose files have one name
_HEADER = "# Part of xmodal-lt {version} (xmodal_lt/{path}), under the Apache License 2.0.\n"
_HEADER_START = "# Part of xmodal-lt "

_IMAGE_PROCESSORS = {
    "torchvision": "image_processing_xmodal_lt.XModalLTImageProcessor",
    "pil": "image_processing_pil_xmodal_lt.XModalLTImageProcessorPil",
}
# By the class that saved settings name: what they must say for it to be found.
_AUTO_MAPS: dict[str, dict[str, Any]] = {
    "XModalLTImageProcessor": {"AutoImageProcessor": _IMAGE_PROCESSORS},
    "XModalLTImageProcessorPil": {"AutoImageProcessor": _IMAGE_PROCESSORS},
    "XModalFeatureExtractor": {"AutoFeatureExtractor": "feature_extraction_xmodal_lt.XModalFeatureExtractor"},
    "XModalProcessor": {"AutoProcessor": "processing_xmodal_lt.XModalProcessor"},
}


def export_remote_code(folder: str | os.PathLike[str]) -> list[Path]:
    """
    Put the source files that a saved model needs into its folder, and name their classes in its JSON files.

    Then transformers' Auto classes and `pipeline` load the folder, or a repository of the Hub with its files, by
    `trust_remote_code=True` where this package is not installed; timm, torch, torchvision and transformers must be.
    Where it is installed and imported, its own classes are used, with or without that argument, and the files are not
    read. Exporting again renews the files. After an error the model's own files are as they were.

    Args:
        folder (`str` or `os.PathLike`):
            Where a model was saved, with its processor and tokenizer if it has any.

    Returns:
        `list[pathlib.Path]`: The source files, sorted.

    Raises:
        FileNotFoundError: If the folder holds no saved model.
        FileExistsError: If a source file would replace a file of somebody else.
        ValueError: If the model is not of this package, or a JSON file cannot be read.

    Example:

    ```python
    >>> from transformers import AutoModel
    >>> from xmodal_lt.hub import export_remote_code

    >>> files = export_remote_code("outputs/cmltnet_emoji_lt")  # doctest: +SKIP
    >>> model = AutoModel.from_pretrained("outputs/cmltnet_emoji_lt", trust_remote_code=True)  # doctest: +SKIP
    ```
    """
    root = Path(folder)
    settings = _read_settings(root)
    config, *processors = settings.values()
    parts = [(config, _model_auto_map(root, config))]
    for content in processors:
        parts.extend(_processing_parts(content))
    for part, auto_map in parts:
        part["auto_map"] = {**part.get("auto_map", {}), **auto_map}
    sources = {root / source.name: source for source in _needed_sources(auto_map for _, auto_map in parts)}
    for path in sources:
        _check_replaceable(path)
    # The first to be entered gets its name last: no file names a class before its source is there.
    with ExitStack() as stack:
        for path, content in settings.items():
            text = json.dumps(content, indent=2, sort_keys=True) + "\n"
            stack.enter_context(atomic_path(path)).write_text(text, encoding="utf-8")
        for path, source in sources.items():
            stack.enter_context(atomic_path(path)).write_text(_with_header(source), encoding="utf-8")
    return sorted(sources)


def _read_settings(root: Path) -> dict[Path, dict[str, Any]]:
    """The JSON files of a model, first, and of its processor."""
    weights = (root / name for name in (SAFE_WEIGHTS_NAME, SAFE_WEIGHTS_INDEX_NAME))
    if not (root / CONFIG_NAME).is_file() or not any(path.is_file() for path in weights):
        raise FileNotFoundError(
            f"{root} holds no saved model: expected {CONFIG_NAME} and {SAFE_WEIGHTS_NAME}, which `save_pretrained` "
            "writes. Give the output folder of a finished run."
        )
    paths = [root / name for name in (CONFIG_NAME, PROCESSOR_NAME, IMAGE_PROCESSOR_NAME)]
    return {path: JsonFile(path, "where the model was saved").read() for path in paths if path.is_file()}


def _model_auto_map(root: Path, config: dict[str, Any]) -> dict[str, str]:
    try:
        method = get_method(config.get("model_type", ""))
    except ValueError as error:
        raise ValueError(f"{root / CONFIG_NAME} is not of a model of this package. {error}") from error
    configuration, modeling = (name.rpartition(".")[2] for name in (method.config_module, method.modeling_module))
    return {
        "AutoConfig": f"{configuration}.{method.config}",
        "AutoModel": f"{modeling}.{method.model}",
        "AutoModelForImageClassification": f"{modeling}.{method.classifier}",
    }


def _processing_parts(settings: dict[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Those settings of a processor, and of the processors in it, that name a class of this package: with its map."""
    kinds = ("image_processor_type", "feature_extractor_type", "processor_class")
    auto_map = {auto: name for kind in kinds for auto, name in _AUTO_MAPS.get(settings.get(kind, ""), {}).items()}
    if auto_map:
        yield settings, auto_map
    for value in settings.values():
        if isinstance(value, dict):
            yield from _processing_parts(value)


def _needed_sources(auto_maps: Iterable[dict[str, Any]]) -> list[Path]:
    """The files of the classes in auto maps, and the siblings that these import."""
    values = [value for auto_map in auto_maps for value in auto_map.values()]
    names = [name for value in values for name in (value.values() if isinstance(value, dict) else [value])]
    modules = {name.partition(".")[0] for name in names}
    places = [folder / f"{module}.py" for module in modules for folder in _FOLDERS]
    files = [path for path in places if path.is_file()]
    return sorted({*files, *(Path(needed) for path in files for needed in get_relative_import_files(path))})


def _check_replaceable(path: Path) -> None:
    if path.is_file() and not path.read_text(encoding="utf-8").startswith(_HEADER_START):
        raise FileExistsError(f"{path} is not a file of this package, which needs the name; rename or remove it.")


def _with_header(source: Path) -> str:
    path = source.relative_to(_PACKAGE).as_posix()
    return _HEADER.format(version=__version__, path=path) + source.read_text(encoding="utf-8")
