"""Prediction for files of images, or of videos' features, with a saved model: classes, and the words it infers."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, TextIO

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError
from torch import Tensor
from transformers import (
    AutoFeatureExtractor,
    AutoImageProcessor,
    AutoModelForImageClassification,
    AutoTokenizer,
    PreTrainedTokenizerBase,
)
from transformers.image_processing_utils import BaseImageProcessor
from transformers.utils import logging

from xmodal_lt.data import FeatureSource, decode_image, read_features
from xmodal_lt.data.feature_files import FEATURE_FORMATS, HDF5_FORMATS, parse_reference
from xmodal_lt.hub_cache import check_downloaded_model
from xmodal_lt.metrics.report import check_threshold
from xmodal_lt.modeling.modeling_long_tail import LongTailPreTrainedModel
from xmodal_lt.processing import XModalFeatureExtractor
from xmodal_lt.registry import METHODS


logger = logging.get_logger(__name__)


@dataclass
class Predictor:
    """A saved model and what prepares its images.

    Args:
        model (`LongTailPreTrainedModel`): in eval mode.
        image_processor (`BaseImageProcessor` or `XModalFeatureExtractor`):
            Makes `pixel_values` of images, or `features` and `feature_mask` of videos.
        tokenizer (`PreTrainedTokenizerBase`, *optional*): names the inferred words, for methods that infer them.

    Example:

    ```python
    >>> from xmodal_lt.prediction import Predictor

    >>> predictor = Predictor.from_pretrained("outputs/cmltnet_emoji_lt")  # doctest: +SKIP
    >>> for row in predictor.predict_files(["photos"], top_k=3, num_words=5):  # doctest: +SKIP
    ...     print(row["image"], row["predictions"][0]["label"])
    ```
    """

    model: LongTailPreTrainedModel
    image_processor: BaseImageProcessor | XModalFeatureExtractor
    tokenizer: PreTrainedTokenizerBase | None = None

    @classmethod
    def from_pretrained(cls, name: str, device: str | torch.device | None = None) -> Predictor:
        """Loads a folder or a Hub model, `org/name` or `org/name@revision`.

        Args:
            name (`str`): where the model is.
            device (`str` or `torch.device`, *optional*): the accelerator when there is one, else the CPU.

        Raises:
            OSError: when there is no such model, or its files are damaged.
            ValueError:
                when it is no image classifier, the device cannot be used, or a revision is asked of a folder.
        """
        device = _usable_device(device)
        if not Path(name).exists() and Path(name).parent != Path() and Path(name).parent.is_dir():
            raise FileNotFoundError(f"There is no folder {name}. Give the folder of a finished run, or a Hub id.")
        repo, options = split_revision(name)
        with _explaining_failed_load(name):
            try:
                model, image_processor, tokenizer = _load(repo, options)
            finally:  # a damaged download is the reason, if there is one, whatever failed, or what nobody would notice
                if not Path(repo).exists():
                    check_downloaded_model(repo, **options)
        return cls(model.to(device), image_processor, tokenizer)

    @torch.inference_mode()
    def predict(
        self, images: Sequence[Any], top_k: int | None = None, num_words: int = 0, threshold: float | None = None
    ) -> list[dict[str, Any]]:
        """Predicts one batch.

        Args:
            images (`Sequence[PIL.Image.Image]`, or of arrays `[T, D]` for a model of videos): at least one.
            top_k (`int`, *optional*):
                Classes to name, best first; 5, or with a threshold all that reach it, when absent.
            num_words (`int`, *optional*, defaults to 0): inferred words to name, best first.
            threshold (`float`, *optional*):
                For multi-label models: only the classes whose probability reaches it, which may be none.

        Returns:
            `list[dict]`: for each image `predictions`, a list of `label` and `score` (softmax, or sigmoid for
            multi-label models), and with `num_words` also `words`, a list of `word` and `score` (sigmoid, or softmax
            for models that were trained with one on words).

        Raises:
            ValueError: when words are asked of a model that infers none, or no class at all; for a threshold that is
                no probability, or with a single-label model.
        """
        self._check_request(top_k, num_words, threshold)
        inputs = self.image_processor(list(images), return_tensors="pt")
        outputs = self.model(**inputs.to(self.model.device))
        scores = outputs.logits.float().sigmoid() if self._is_multi_label else outputs.logits.float().softmax(-1)
        labels = self.model.config.id2label
        rows = [
            {"predictions": [entry for entry in row if threshold is None or entry["score"] >= threshold]}
            for row in _best(scores, self._classes_to_name(top_k, threshold), "label", labels.__getitem__)
        ]
        if num_words:
            for row, words in zip(rows, self._words(outputs, num_words), strict=True):
                row["words"] = words
        return rows

    def _classes_to_name(self, top_k: int | None, threshold: float | None) -> int:
        return top_k or (5 if threshold is None else self.model.config.num_labels)

    @property
    def _is_multi_label(self) -> bool:
        return self.model.config.problem_type == "multi_label_classification"

    def _check_request(self, top_k: int | None, num_words: int, threshold: float | None) -> None:
        if top_k is not None and top_k < 1:
            raise ValueError(f"top_k={top_k} must be at least 1.")
        if num_words and self.tokenizer is None:
            raise ValueError(
                f"{num_words} words are wanted, but a model of type {self.model.config.model_type!r} infers none; ask "
                "for 0 words."
            )
        if threshold is None:
            return
        if not self._is_multi_label:
            raise ValueError(
                f"threshold={threshold} is for multi-label models, but this one is single-label and has one class for "
                "every image; leave it out."
            )
        check_threshold(threshold, str(self.model.config.problem_type))

    def _words(self, outputs: Any, num_words: int) -> list[list[dict[str, Any]]]:
        assert self.tokenizer is not None  # see _check_request
        config = self.model.config
        names, logits = self.tokenizer.convert_ids_to_tokens, outputs.word_logits.float()
        scores = logits.softmax(-1) if getattr(config, "word_loss", None) == "cross_entropy" else logits.sigmoid()
        return _best(scores, num_words, "word", lambda index: names(index + config.num_special_tokens))

    def predict_files(
        self,
        paths: Iterable[str | Path],
        top_k: int | None = None,
        num_words: int = 0,
        batch_size: int = 32,
        bad_images: Literal["error", "skip"] = "error",
        threshold: float | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Predicts image files, batch by batch; for a model of videos, files of features.

        Args:
            paths (`Iterable[str | Path]`):
                Files, or folders that are searched for images or, in `.npy` and HDF5 files, features;
                `<file>.h5::<name>` is one video of an HDF5 file.
            top_k (`int`, *optional*): classes to name, as in [`Predictor.predict`].
            num_words (`int`, *optional*, defaults to 0): inferred words to name.
            batch_size (`int`, *optional*, defaults to 32): images at a time.
            bad_images (`str`, *optional*, defaults to `"error"`): or `"skip"`, to warn and go on.
            threshold (`float`, *optional*): for multi-label models, as in [`Predictor.predict`].

        Returns:
            `Iterator[dict]`: for each image `image`, its path, and what [`Predictor.predict`] gives.

        Raises:
            FileNotFoundError: for a path that does not exist, or when there is no image at all.
            ValueError: as [`Predictor.predict`], for a `batch_size` below 1 and, while iterating, for an unreadable
                image, unless they are skipped.
        """
        self._check_request(top_k, num_words, threshold)
        batches = self.read_files(paths, batch_size, bad_images)
        predict = partial(self.predict, top_k=top_k, num_words=num_words, threshold=threshold)
        return self._predict_batches(batches, predict)

    def read_files(
        self, paths: Iterable[str | Path], batch_size: int = 32, bad_images: Literal["error", "skip"] = "error"
    ) -> Iterator[list[tuple[Path, Any]]]:
        """Reads image files, batch by batch; for a model of videos, files of features.

        Args:
            paths (`Iterable[str | Path]`): as for [`Predictor.predict_files`].
            batch_size (`int`, *optional*, defaults to 32): images at a time.
            bad_images (`str`, *optional*, defaults to `"error"`): or `"skip"`, to warn and go on.

        Returns:
            `Iterator[list[tuple[Path, Any]]]`: batches of one or more paths with their image `PIL.Image.Image`, or
            features `[T, D]`.

        Raises:
            FileNotFoundError, ValueError: as [`Predictor.predict_files`].
        """
        if batch_size < 1:
            raise ValueError(f"batch_size={batch_size} must be at least 1.")
        kind = _VIDEOS if _takes_features(self.model) else _IMAGES
        files = _find(paths, kind)
        parts = (files[start : start + batch_size] for start in range(0, len(files), batch_size))
        batches = (list(_read(part, self._reader(kind), kind.name, bad_images)) for part in parts)
        return filter(None, batches)  # all of a batch may be skipped

    def _reader(self, kind: _Kind) -> Callable[[Path], Any]:
        """Reads a file; of features those that the model can take, so that an error names the file."""
        if kind is _IMAGES:
            return kind.read

        def read(path: Path) -> np.ndarray:
            features = kind.read(path)
            self.image_processor([features])
            return features

        return read

    def _predict_batches(
        self,
        batches: Iterable[list[tuple[Path, Any]]],
        predict: Callable[[Sequence[Any]], list[dict[str, Any]]],
    ) -> Iterator[dict[str, Any]]:
        for batch in batches:
            rows = predict([image for _, image in batch])
            for (path, _), row in zip(batch, rows, strict=True):
                yield {"image": str(path), **row}


def split_revision(name: str) -> tuple[str, dict[str, str]]:
    """Name and options that `from_pretrained` takes for a folder or a Hub model, `org/name` or `org/name@revision`.

    Raises:
        ValueError: for a revision of a folder, as it has none.
    """
    repo, _, revision = name.partition("@") if not Path(name).exists() else (name, "", "")
    if revision and Path(repo).is_dir():
        raise ValueError(
            f"There is no folder {name}, and the folder {repo} has no revisions. Give the folder alone; for a model "
            "of that name on the Hub, start from another folder."
        )
    return repo, {"revision": revision} if revision else {}


def _load(repo: str, options: dict[str, str]) -> tuple[Any, Any, PreTrainedTokenizerBase | None]:
    model = AutoModelForImageClassification.from_pretrained(repo, **options).eval()
    if hasattr(model, "reparameterize"):
        model.reparameterize()
    auto_class = AutoFeatureExtractor if _takes_features(model) else AutoImageProcessor
    image_processor = auto_class.from_pretrained(repo, **options)
    infers_words = getattr(model.config, "vocab_size", None) is not None
    tokenizer = AutoTokenizer.from_pretrained(repo, **options) if infers_words else None
    return model, image_processor, tokenizer


@contextmanager
def _explaining_failed_load(name: str) -> Iterator[None]:
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise OSError(
            f"Cannot load the model {name!r}: {str(error).rstrip('.')}. Give the folder of a finished run, or a "
            "Hub id (org/name or org/name@revision)."
        ) from error
    except ValueError as error:  # of the Auto classes, who go on to list every model that there is
        known = ", ".join(method.model_type for method in METHODS)
        raise ValueError(
            f"{name!r} is no image classifier that can be loaded here: {str(error).splitlines()[0].rstrip('.:')}. "
            f"Give a model of this package (of type {known}), or an image classifier of transformers."
        ) from error


def _takes_features(model: Any) -> bool:
    """Whether a model is of videos; classifiers of transformers itself are of images."""
    return isinstance(model, LongTailPreTrainedModel) and model.get_vision_encoder().takes_features


def _usable_device(name: str | torch.device | None) -> torch.device:
    if name is None:
        return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:  # PyTorch raises either
        reason = str(error).splitlines()[0].rstrip(".")
        raise ValueError(f"Device {str(name)!r} cannot be used: {reason}. Give 'cpu', or none.") from error


def _best(scores: Tensor, count: int, key: str, name_of: Any) -> list[list[dict[str, Any]]]:
    values, indices = scores.topk(min(count, scores.shape[-1]), dim=-1)
    return [
        [{key: name_of(index), "score": value} for index, value in zip(row_indices, row_values, strict=True)]
        for row_indices, row_values in zip(indices.tolist(), values.tolist(), strict=True)
    ]


@dataclass(frozen=True)
class _Kind:
    """What is predicted: how files of it are called, found and read."""

    name: str
    suffixes: frozenset[str]
    examples: str
    read: Callable[[Path], Any]


def _read_features(path: Path) -> np.ndarray:
    return read_features(parse_reference(str(path)))


_IMAGES = _Kind(
    name="image",
    # not .pdf, which Pillow only writes
    suffixes=frozenset(suffix for suffix, name in Image.registered_extensions().items() if name in Image.OPEN),
    examples="files such as .jpg or .png",
    read=decode_image,
)
_VIDEOS = _Kind(
    name="file of features",
    suffixes=frozenset(FEATURE_FORMATS),
    examples="files such as video7.npy or videos.h5",
    read=_read_features,
)


def _read(
    paths: Sequence[Path], read: Callable[[Path], Any], name: str, bad_images: str
) -> Iterator[tuple[Path, Any]]:
    for path in paths:
        try:
            image = read(path)
        except ValueError as error:
            message = f"Cannot read the {name} {path}: {error.__cause__ or error}."
            if bad_images != "skip":
                raise ValueError(f"{message} Take it out, or skip such files (--skip-bad-images).") from error
            logger.warning(f"{message} Skipped.")
            continue
        yield path, image


def _find(paths: Iterable[str | Path], kind: _Kind) -> list[Path]:
    """Files of that kind among `paths`, and below those of them that are folders, sorted within each folder."""
    files: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            below = sorted(path.rglob("*"))
            files.extend(file for file in below if file.suffix.lower() in kind.suffixes and file.is_file())
        elif path.exists() or (kind is _VIDEOS and Path(str(path).partition("::")[0]).exists()):  # a name in HDF5
            files.append(path)
        else:
            raise FileNotFoundError(f"No {kind.name} or folder at {str(path)!r}.")
    files = [video for file in files for video in _videos_of(file)] if kind is _VIDEOS else files
    if not files:
        raise FileNotFoundError(f"There is no {kind.name} in the given folders; expected {kind.examples}.")
    return files


def _videos_of(file: Path) -> list[Path]:
    """Every video of an HDF5 file by its name; a file of one video itself."""
    if file.suffix.lower() not in HDF5_FORMATS or "::" in str(file):
        return [file]
    source = FeatureSource(file)
    return [Path(f"{file}::{source.reference(video_id)['key']}") for video_id in sorted(source.ids)]


def write_predictions(rows: Iterable[dict[str, Any]], stream: TextIO, as_csv: bool = False) -> None:
    """Writes predictions as JSON lines, or as CSV with one line for each class and image, and one for an image without
    any class.

    Args:
        rows (`Iterable[dict]`): what [`Predictor.predict_files`] yields.
        stream (`TextIO`): where to.
        as_csv (`bool`, *optional*, defaults to `False`): columns `image`, `rank`, `label`, `score`, `words` (joined by
            `|`, when there are any); without a class, `rank`, `label` and `score` are empty.
    """
    if not as_csv:
        for row in rows:
            stream.write(json.dumps(row, ensure_ascii=False) + "\n")
        return
    writer = csv.writer(stream)
    writer.writerow(["image", "rank", "label", "score", "words"])
    for row in rows:
        words = "|".join(entry["word"] for entry in row.get("words", ()))
        for rank, entry in enumerate(row["predictions"], start=1):
            writer.writerow([row["image"], rank, entry["label"], f"{entry['score']:.6f}", words])
        if not row["predictions"]:
            writer.writerow([row["image"], "", "", "", words])


__all__ = ["Predictor", "split_revision", "write_predictions"]
