"""What builders of video data sets share: videos given as extracted features, with words and a label."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, floor
from pathlib import Path
from typing import Any, ClassVar, Literal

import datasets

from . import captions, feature_files, feature_source, json_file
from .feature_files import FEATURES
from .feature_source import FeatureSource
from .fingerprint import build_hash
from .image_places import Layout
from .messages import check_choice, some_of
from .source_files import MissingFile, SourceFile


__all__ = ["VideoBuilder", "VideoConfig", "VideoRow"]

logger = logging.getLogger(__name__)

_VERSION = datasets.Version("1.0.0")
_FEATURES = SourceFile(
    ("features", "features.h5"),
    "features of the videos, in a folder `features` with a file `<video id>.npy` for each video or in an HDF5 file "
    "`features.h5` with a data set for each, or pass another place as `features`",
)


@dataclass
class VideoConfig(datasets.BuilderConfig):
    """
    Options that every video data set has.

    Args:
        version (`datasets.Version`, *optional*, defaults to `1.0.0`):
            Version of the data; also part of the cache's path.
        missing_features (`str`, *optional*, defaults to `"error"`):
            Videos without features, and training videos without privileged features: `"error"`, or `"skip"` to leave
            them out, with a warning when the data is built.

    Raises:
        ValueError: If an option is not one of those.
    """

    version: datasets.Version | str | None = _VERSION
    missing_features: Literal["error", "skip"] = "error"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("missing_features", self.missing_features, ("error", "skip"))


@dataclass(frozen=True)
class VideoRow:
    """
    What becomes a row of the data set.

    Args:
        image_id (`str`):
            Id of the row.
        video_id (`str`):
            Id of the video whose features it has.
        words (`list[str]`):
            Description words.
        label (`str`):
            Name of its class.
        span (`tuple[float, float]`, *optional*, defaults to the whole video):
            Start and end of its part of the video, as fractions of the duration.
    """

    image_id: str
    video_id: str
    words: list[str]
    label: str
    span: tuple[float, float] | None = None


class VideoBuilder(datasets.GeneratorBasedBuilder):
    """
    Base of builders of video data sets.

    Columns: `features`, `privileged_features` if that source is given (null where a video outside train has none),
    `words`, `label`, `image_id`, and `video_id`, which rows of one video share. The rows refer to features, which stay
    in their files.

    Args:
        data_dir (`str` or `pathlib.Path`):
            Folder with the annotation files.
        features (`str` or `pathlib.Path`, *optional*, defaults to `features` or `features.h5` in `data_dir`):
            Features of the videos, see [`FeatureSource`].
        privileged_features (`str` or `pathlib.Path`, *optional*):
            Features that are there in training alone, such as those of text or sound, kept in the same way.
        **kwargs:
            Options of the builder's config, and `cache_dir`.

    Raises:
        FileNotFoundError: If a file is not there.
        ImportError: If there is an HDF5 file and h5py is not installed.
        ValueError: If an option or file is not as expected, or features are missing.
    """

    BUILDER_CONFIG_CLASS = VideoConfig
    config: VideoConfig

    # The annotation files.
    LAYOUT: ClassVar[Layout]
    # Reads them: made from their folder, with the properties `fingerprint` and `class_names`.
    _FILES: ClassVar[type[Any]]
    # Source files that the rows depend on, beside those that all builders share.
    _CODE: ClassVar[tuple[str, ...]]
    _HOMEPAGE: ClassVar[str]
    _DESCRIPTION: ClassVar[str]
    # What to get, said where no `data_dir` is given.
    _ACCESS: ClassVar[str]

    def __init__(
        self,
        *args: Any,
        data_dir: str | Path | None = None,
        features: str | Path | None = None,
        privileged_features: str | Path | None = None,
        **kwargs: Any,
    ) -> None:
        if data_dir is None:
            raise FileNotFoundError(self._ACCESS)
        folder = Path(data_dir).expanduser()
        places = self._layout(features).open(folder)
        self._files: Any = self._FILES(folder)
        # `datasets` has an argument `features` of its own, so that the paths cannot be options of the config.
        self._sources = {"features": FeatureSource(features or places.require(_FEATURES))}
        if privileged_features is not None:
            self._sources["privileged_features"] = FeatureSource(privileged_features)
        # Without it `datasets` would reuse what an earlier version of this code or of the files had written.
        kwargs.setdefault("hash", self._source_hash())
        super().__init__(*args, data_dir=str(data_dir), **kwargs)

    @classmethod
    def missing_files(cls, data_dir: Path | None, **options: Any) -> list[MissingFile]:
        """What is not there of what the data set is made from."""
        return cls._layout(options.get("features")).missing(data_dir)

    @classmethod
    def _layout(cls, features: str | Path | None) -> Layout:
        """All files, given where the user has the features."""
        return cls.LAYOUT if features else Layout((*cls.LAYOUT.needs, _FEATURES))

    @abstractmethod
    def _read_rows(self) -> dict[str, list[VideoRow]]:
        """The rows of each split as annotated, whether there are features or not."""

    def _feature_id(self, video_id: str, source: FeatureSource) -> str | None:
        """What the source calls the video, `None` if it has none."""
        return video_id if video_id in source.ids else None

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo(
            description=self._DESCRIPTION,
            homepage=self._HOMEPAGE,
            features=datasets.Features(
                {
                    **dict.fromkeys(self._sources, FEATURES),
                    "words": datasets.List(datasets.Value("string")),
                    "label": datasets.ClassLabel(names=self._files.class_names),
                    "image_id": datasets.Value("string"),
                    "video_id": datasets.Value("string"),
                }
            ),
        )

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:
        return [
            datasets.SplitGenerator(name=split, gen_kwargs={"examples": self._examples(rows, split)})
            for split, rows in self._read_rows().items()
            if rows
        ]

    def _generate_examples(self, examples: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
        # A list is what `datasets` shares out to several processes.
        for example in examples:
            yield example["image_id"], example

    def _examples(self, rows: list[VideoRow], split: str) -> list[dict[str, Any]]:
        for column in self._sources:
            if column == "features" or split == "train":
                rows = self._with_features(rows, column, split)
        return [
            {
                **{column: self._reference(row, source) for column, source in self._sources.items()},
                "words": row.words,
                "label": row.label,
                "image_id": row.image_id,
                "video_id": row.video_id,
            }
            for row in rows
        ]

    def _with_features(self, rows: list[VideoRow], column: str, split: str) -> list[VideoRow]:
        """The rows whose video has features in that source; an error if others are not to be left out."""
        source = self._sources[column]
        videos = dict.fromkeys(row.video_id for row in rows)
        lacking = [video_id for video_id in videos if self._feature_id(video_id, source) is None]
        if not lacking:
            return rows
        message = (
            f"{len(lacking)} of {len(videos)} videos of split {split!r} have no {column} in {source.path}: "
            f"{some_of(lacking, limit=5)}"
        )
        if len(lacking) == len(videos):
            raise ValueError(f"{message}. It has features of {some_of(sorted(source.ids), limit=5) or 'no video'}")
        if self.config.missing_features == "error":
            raise ValueError(f'{message}. Add them, or pass `missing_features="skip"` to leave these videos out')
        logger.warning("Left out: %s", message)
        left_out = set(lacking)
        return [row for row in rows if row.video_id not in left_out]

    def _reference(self, row: VideoRow, source: FeatureSource) -> dict[str, Any] | None:
        feature_id = self._feature_id(row.video_id, source)
        if feature_id is None:
            return None
        if row.span is None:
            return source.reference(feature_id)
        return source.reference(feature_id, *_rows_of_span(row.span, source.length(feature_id)))

    def _source_hash(self) -> str:
        modules = (__file__, captions.__file__, feature_files.__file__, feature_source.__file__, json_file.__file__)
        sources = (f"{column}\n{source.path}\n{source.fingerprint}" for column, source in self._sources.items())
        return build_hash((*modules, *self._CODE), self._files.fingerprint, *sources)


def _rows_of_span(span: tuple[float, float], length: int) -> tuple[int, int]:
    """Rows [start, stop) that a part of the video touches, at least one."""
    # Rounded, as 0.07 * 100 is a little more than 7.
    low, high = (round(min(max(part, 0.0), 1.0) * length, 6) for part in span)
    start = min(floor(low), length - 1)
    return start, max(min(ceil(high), length), start + 1)
