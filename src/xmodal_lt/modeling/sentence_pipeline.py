"""How a sentence-transformers model pools and cuts off sentences, read from its files without that library."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers.utils import cached_file


POOLINGS = ("mean", "cls", "max")
# As files of older versions say it; the newest write "pooling_mode": "mean".
_FLAGS = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}


@dataclass(frozen=True)
class SentencePipeline:
    """What follows the transformer of a sentence-transformers model.

    Args:
        subfolder (`str`): where the transformer's own files are, within the model; often "".
        pooling (`str`): one of `POOLINGS`.
        normalize (`bool`): whether embeddings are made unit vectors.
        max_tokens (`int`, *optional*): the longest sentence, with special tokens; `None` where the tokenizer says it.
        lower_case (`bool`): whether sentences are lower-cased before the tokenizer sees them.
    """

    subfolder: str
    pooling: str
    normalize: bool
    max_tokens: int | None
    lower_case: bool


def read_sentence_pipeline(source: str) -> SentencePipeline:
    """Reads the pipeline of a sentence-transformers model.

    Args:
        source (`str`): its model id or its folder.

    Raises:
        FileNotFoundError: when there is no such model.
        ValueError: for another kind of model, or modules or a pooling that are not supported.
    """
    if Path(source).is_dir() and not Path(source, "modules.json").is_file():
        raise ValueError(
            f"{source!r} has no modules.json, so it is no sentence-transformers model; save it with that library, or "
            "write 'clip:<folder>' for a CLIP."
        )
    try:
        modules = _read_json(source, "modules.json")
    except OSError as error:
        raise FileNotFoundError(
            f"No sentence encoder {source!r}: it is neither the folder of a sentence-transformers model nor a model "
            f"id that the Hub gives. {error}"
        ) from error
    kinds = [module["type"].rpartition(".")[-1] for module in modules]
    if kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        raise ValueError(
            f"{source!r} is made of {' + '.join(kinds)}; supported are Transformer + Pooling, with or without "
            "Normalize."
        )
    subfolder = modules[0]["path"]
    settings = _read_json(source, str(Path(subfolder, "sentence_bert_config.json")), required=False) or {}
    return SentencePipeline(
        subfolder=subfolder,
        pooling=_read_pooling(source, modules[1]["path"]),
        normalize=len(kinds) == 3,
        max_tokens=settings.get("max_seq_length"),
        lower_case=bool(settings.get("do_lower_case")),
    )


def _read_pooling(source: str, folder: str) -> str:
    settings = _read_json(source, f"{folder}/config.json")
    modes = settings.get("pooling_mode") or [mode for flag, mode in _FLAGS.items() if settings.get(flag)]
    modes = [modes] if isinstance(modes, str) else modes
    if len(modes) != 1 or modes[0] not in POOLINGS:
        raise ValueError(
            f"{source!r} pools by {' and '.join(modes) or 'nothing'}, as its {folder}/config.json says; supported is "
            f"one of {', '.join(POOLINGS)}."
        )
    return modes[0]


def _read_json(source: str, name: str, required: bool = True) -> Any:
    """Content of a file of a model, or `None` when the model has no such file and it is not required."""
    path = cached_file(source, name, _raise_exceptions_for_missing_entries=required)
    return None if path is None else json.loads(Path(path).read_text(encoding="utf-8"))


__all__ = ["POOLINGS", "SentencePipeline", "read_sentence_pipeline"]
