"""What the demo tells of one picture: classes, inferred words, attention maps and similar training pictures."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from transformers.utils import cached_file, logging

from xmodal_lt.analysis.attention_maps import NO_EVIDENCE, attention_maps, branch_title, images_as_seen, overlay
from xmodal_lt.data import decode_image
from xmodal_lt.metrics.groups import frequency_groups
from xmodal_lt.modeling.modeling_long_tail import LongTailPreTrainedModel
from xmodal_lt.prediction import Predictor, split_revision
from xmodal_lt.training.output_folder import RESULTS

from .card_subject import read_results
from .picture_index import PictureIndex


__all__ = ["MAX_BYTES", "Demo", "Sight", "class_marks"]

logger = logging.get_logger(__name__)

MAX_BYTES = 10 * 1024**2
# Others have decoders that start programs, as EPS does, or that hardly anyone looks after.
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
_NUM_CLASSES, _NUM_WORDS, _NUM_SIMILAR = 5, 8, 6


@dataclass(frozen=True)
class Sight:
    """
    What a model sees in a picture.

    Args:
        classes (`dict[str, float]`):
            Probability of the best classes, the best first, by name with the mark of the frequency group.
        words (`dict[str, float]`, *optional*):
            That of the words that the model infers; none, for models that infer none.
        best (`str`, *optional*):
            The class that the maps are for.
        maps (`list[tuple[PIL.Image.Image, str]]`, *optional*):
            The picture as the model sees it and, laid over it, the map of each branch, with their names.
        similar (`list[tuple[PIL.Image.Image, str]]`, *optional*):
            Training pictures and their classes, the most similar first, if there is an index.
    """

    classes: dict[str, float]
    words: dict[str, float] = field(default_factory=dict)
    best: str = ""
    maps: list[tuple[Image.Image, str]] = field(default_factory=list)
    similar: list[tuple[Image.Image, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Demo:
    """
    A model to show pictures to. Make one with [`Demo.from_pretrained`].

    Args:
        predictor ([`Predictor`]):
            The model.
        marks (`dict[str, str]`):
            What stands behind the name of each class, see [`class_marks`].
        draws_maps (`bool`):
            Whether its backbone has attention maps.
        index ([`PictureIndex`], *optional*):
            Of training pictures.

    Example:

    ```python
    >>> from pathlib import Path
    >>> from xmodal_lt.hub.demo import Demo

    >>> demo = Demo.from_pretrained("outputs/cmltnet_emoji_lt")  # doctest: +SKIP
    >>> demo.look(Path("photo.jpg").read_bytes()).classes  # doctest: +SKIP
    {'bird (head, 130 in training)': 0.93, ...}
    ```
    """

    predictor: Predictor
    marks: dict[str, str]
    draws_maps: bool
    index: PictureIndex | None = None

    @classmethod
    def from_pretrained(cls, model: str, index: str | None = None, device: str | torch.device | None = None) -> Demo:
        """
        Load a model and, if it is asked for, an index of training pictures.

        Args:
            model (`str`):
                Folder of a run, or a Hub id, `org/name` or `org/name@revision`.
            index (`str`, *optional*):
                Name or path of the data set whose training pictures similar ones are taken from.
            device (`str` or `torch.device`, *optional*):
                The accelerator when there is one, else the CPU.

        Returns:
            [`Demo`]

        Raises:
            ImportError: If grad-cam is not installed.
            OSError: If there is no such model.
            ValueError: If it is of videos, or of another package; and as `load_lt` for the index.
        """
        predictor = Predictor.from_pretrained(model, device)
        if not isinstance(predictor.model, LongTailPreTrainedModel):
            raise ValueError(f"{model!r} holds a {type(predictor.model).__name__}, which is no model of this package.")
        if predictor.model.get_vision_encoder().takes_features:
            raise ValueError(f"{model!r} takes videos as features, which cannot be dropped; give a model of images.")
        found = None if index is None else PictureIndex.build(predictor, model, index)
        return cls(predictor, class_marks(model, predictor.model.config), _draws_maps(predictor), found)

    def look(self, picture: bytes) -> Sight:
        """
        Show the model a picture.

        Args:
            picture (`bytes`):
                An image file.

        Returns:
            [`Sight`]

        Raises:
            ValueError: If it is too large, or no image. The message is for who gave it.
        """
        image = _decode(picture)
        predictor, num_words = self.predictor, 0 if self.predictor.tokenizer is None else _NUM_WORDS
        (row,) = predictor.predict([image], _NUM_CLASSES, num_words)
        image_processor: Any = predictor.image_processor
        pixel_values = image_processor([image], return_tensors="pt")["pixel_values"]
        best = row["predictions"][0]["label"]
        return Sight(
            classes={self._marked(entry["label"]): entry["score"] for entry in row["predictions"]},
            words={entry["word"]: entry["score"] for entry in row.get("words", ())},
            best=best,
            maps=self._maps(pixel_values, best) if self.draws_maps else [],
            similar=self._similar(pixel_values),
        )

    def _marked(self, name: str) -> str:
        return f"{name} ({self.marks[name]})" if name in self.marks else name

    def _maps(self, pixel_values: torch.Tensor, best: str) -> list[tuple[Image.Image, str]]:
        label = self.predictor.model.config.label2id[best]
        maps = attention_maps(self.predictor.model, pixel_values, [label])
        (seen,) = images_as_seen(pixel_values, self.predictor.image_processor)
        drawn = [(overlay(seen, of_branch[0]), _caption(name, of_branch)) for name, of_branch in maps.items()]
        return [(seen, "what the model sees"), *drawn]

    def _similar(self, pixel_values: torch.Tensor) -> list[tuple[Image.Image, str]]:
        if self.index is None:
            return []
        return self.index.most_similar(self.predictor.model, pixel_values, _NUM_SIMILAR)


def class_marks(model: str, config: Any) -> dict[str, str]:
    """
    Find the frequency group and the training samples of each class.

    Args:
        model (`str`):
            Folder of a run, or a Hub id; its `results.json` has the groups by the thresholds of the data set.
        config (`LongTailConfig`):
            Of the model; without results, its `class_counts` are grouped by the usual thresholds, 100 and 20.

    Returns:
        `dict[str, str]`: By name of the class, such as `"tail, 12 in training"`; empty where neither is known.

    Raises:
        ValueError: If `results.json` is damaged.
    """
    repo, options = split_revision(model)
    # No error where there is none, or no connection to look.
    tolerant = {f"_raise_exceptions_for_{what}": False for what in ("missing_entries", "connection_errors")}
    file = cached_file(repo, RESULTS, **options, **tolerant)
    if file is not None:
        rows = _rows_of_classes(Path(file))
        if rows:
            return rows
    if config.class_counts is None:
        return {}
    groups = frequency_groups(config.class_counts).tolist()
    return {
        config.id2label[index]: f"{group}, {count} in training"
        for index, (group, count) in enumerate(zip(groups, config.class_counts, strict=True))
    }


def _rows_of_classes(file: Path) -> dict[str, str]:
    splits = read_results(file.parent)["splits"]
    try:
        rows = next(iter(splits.values()))["per_class"] if splits else ()
        return {row["class"]: f"{row['group']}, {row['train_count']} in training" for row in rows}
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(
            f"{file} has no list per_class of each class, its group and its train_count ({error!r}); restore it from "
            "a copy, or run the recipe again."
        ) from error


def _caption(name: str, of_branch: np.ndarray) -> str:
    return branch_title(name) if of_branch[0].any() else f"{branch_title(name)}: {NO_EVIDENCE}"


def _draws_maps(predictor: Predictor) -> bool:
    """Whether there are maps of a blank picture; which also makes the first real one fast."""
    image_processor: Any = predictor.image_processor
    blank = image_processor([Image.new("RGB", (32, 32))], return_tensors="pt")["pixel_values"]
    try:
        attention_maps(predictor.model, blank)
    except ValueError as error:
        logger.warning(f"The demo goes without attention maps: {error}.")
        return False
    return True


def _decode(picture: bytes) -> Image.Image:
    if len(picture) > MAX_BYTES:
        raise ValueError(
            f"The picture has {len(picture):,} bytes, more than the {MAX_BYTES:,} that are taken; give a smaller one."
        )
    try:
        with Image.open(io.BytesIO(picture), formats=_FORMATS) as image:
            most = Image.MAX_IMAGE_PIXELS
            if most is not None and image.width * image.height > most:
                raise ValueError(
                    f"it has {image.width} x {image.height} pixels, more than the {most:,} that are taken"
                )
            image.load()  # the file closes here
            return decode_image(image)
    except UnidentifiedImageError as error:  # whose message names an object in memory
        reason = f"it is no image, or in none of the formats {', '.join(_FORMATS)}"
        raise ValueError(f"The picture cannot be read: {reason}. Give another one.") from error
    except Exception as error:  # of any kind, by what is wrong in a file and who decodes it
        reason = str(error.__cause__ or error).rstrip(".") or type(error).__name__
        raise ValueError(f"The picture cannot be read: {reason}. Give another one.") from error
