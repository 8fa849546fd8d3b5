"""Reading the annotation files of ActivityNet Captions and the labels of ActivityNet."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from .fingerprint import fingerprint_of_files
from .image_places import Layout
from .json_file import JsonFile
from .source_files import SourceFile


__all__ = ["HOMEPAGE", "LAYOUT", "ActivityNetFiles", "Caption", "LabelledVideo", "Segment", "spelling_in"]

HOMEPAGE = "https://cs.stanford.edu/people/ranjaykrishna/densevid/"

_LABELS_HOMEPAGE = "http://activity-net.org/download.html"
_LABELS = "activity_net.v1-3.min.json"
_CAPTIONS = {"train": ("train.json",), "test": ("val_1.json", "val_2.json")}
LAYOUT = Layout(
    (
        *(SourceFile((name,), f"{name} from {HOMEPAGE}") for names in _CAPTIONS.values() for name in names),
        SourceFile((_LABELS,), f"{_LABELS} from {_LABELS_HOMEPAGE}"),
    )
)
_PREFIX = "v_"


@dataclass(frozen=True)
class Segment:
    """
    A part of a video that shows a class.

    Args:
        start (`float`):
            Seconds from the start of the video.
        end (`float`):
            Seconds, at least `start`.
        label (`str`):
            Name of the class.
    """

    start: float
    end: float
    label: str


@dataclass(frozen=True)
class LabelledVideo:
    """
    What the label file holds of a video.

    Args:
        duration (`float`):
            Seconds, above 0.
        segments (`list[Segment]`):
            Its labelled parts; none in the testing subset.
    """

    duration: float
    segments: list[Segment]


@dataclass(frozen=True)
class Caption:
    """
    A sentence and the part of the video that it describes.

    Args:
        start (`float`):
            Seconds from the start of the video.
        end (`float`):
            Seconds, at least `start`.
        sentence (`str`):
            The sentence.
    """

    start: float
    end: float
    sentence: str


class ActivityNetFiles:
    """
    The annotation files as published.

    Args:
        data_dir (`pathlib.Path`):
            Folder with `train.json`, `val_1.json` and `val_2.json` of ActivityNet Captions, and
            `activity_net.v1-3.min.json` of ActivityNet.

    Raises:
        FileNotFoundError: If a file is not there.
    """

    def __init__(self, data_dir: Path) -> None:
        self.labels_file = JsonFile(data_dir / _LABELS, _LABELS_HOMEPAGE)
        self._captions = {
            split: [JsonFile(data_dir / name, HOMEPAGE) for name in names] for split, names in _CAPTIONS.items()
        }

    @property
    def fingerprint(self) -> str:
        """Changes when a file is replaced."""
        files = [self.labels_file, *(file for files in self._captions.values() for file in files)]
        return fingerprint_of_files(file.path for file in files)

    @property
    def class_names(self) -> list[str]:
        """
        Names of the classes, sorted; an id is a place in the list.

        Raises:
            ValueError: As for `videos`.
        """
        return sorted({segment.label for video in self.videos.values() for segment in video.segments})

    @cached_property
    def videos(self) -> dict[str, LabelledVideo]:
        """
        The labelled videos, by their id in the label file, which has no `v_` before it.

        Raises:
            ValueError: If the file cannot be read or holds something else.
        """
        file = self.labels_file
        database = file.field(file.read(), "database", dict, "the file")
        return {video_id: _read_labelled(file, entry, f"video {video_id!r}") for video_id, entry in database.items()}

    def read_captions(self) -> dict[str, dict[str, list[Caption]]]:
        """
        Read the captions.

        Returns:
            `dict[str, dict[str, list[Caption]]]`: By split, `"train"` and `"test"`, and video, in the order of the
            files. The two files of `"test"` are of the same videos, whose captions are put together.

        Raises:
            ValueError: If a file cannot be read or holds something else, or a video is in both splits.
        """
        splits: dict[str, dict[str, list[Caption]]] = {}
        for split, files in self._captions.items():
            captions: dict[str, list[Caption]] = {}
            for file in files:
                for video_id, entry in file.read().items():
                    if split != "train" and video_id in splits["train"]:
                        raise file.unexpected(f"no video of train.json, got {video_id!r}")
                    captions.setdefault(video_id, []).extend(_read_captions(file, entry, f"video {video_id!r}"))
            splits[split] = captions
        return splits


def spelling_in(known: Container[str], video_id: str) -> str | None:
    """
    Find an ActivityNet video under its id with or without `v_` before it: the published files differ in that.

    Args:
        known (`Container[str]`):
            Ids as some file writes them.
        video_id (`str`):
            Id as another file writes it. As it is comes first: a plain id may itself start with `v_`.

    Returns:
        `str` or `None`: The one of `known` that is meant.
    """
    spellings = (video_id, _PREFIX + video_id, video_id.removeprefix(_PREFIX))
    return next((spelling for spelling in spellings if spelling in known), None)


def _read_labelled(file: JsonFile, entry: Any, where: str) -> LabelledVideo:
    duration = file.field(entry, "duration", float, where)
    if not duration > 0:
        raise file.unexpected(f"'duration' of {where} to be above 0, got {duration}")
    segments = []
    for number, annotation in enumerate(file.field(entry, "annotations", list, where)):
        part = f"annotation {number} of {where}"
        start, end = _read_span(file, file.field(annotation, "segment", list, part), f"'segment' of {part}")
        segments.append(Segment(start, end, file.field(annotation, "label", str, part)))
    return LabelledVideo(duration, segments)


def _read_captions(file: JsonFile, entry: Any, where: str) -> list[Caption]:
    sentences = file.field(entry, "sentences", list, where)
    spans = file.field(entry, "timestamps", list, where)
    if len(sentences) != len(spans):
        raise file.unexpected(f"as many sentences as timestamps for {where}, got {len(sentences)} and {len(spans)}")
    return [
        Caption(
            *_read_span(file, span, f"timestamp {number} of {where}"),
            file.check(sentence, str, f"sentence {number} of {where}"),
        )
        for number, (span, sentence) in enumerate(zip(spans, sentences, strict=True))
    ]


def _read_span(file: JsonFile, span: Any, where: str) -> tuple[float, float]:
    if not isinstance(span, list) or len(span) != 2:
        raise file.unexpected(f"{where} to be start and end in seconds, got {span!r:.100}")
    # Some of the published pairs are the wrong way round.
    start, end = sorted(file.check(second, float, where) for second in span)
    return start, end
