"""ActivityNet Captions: untrimmed videos with sentences for their parts, classified by the activity they show."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from . import activitynet_files
from .activitynet_files import HOMEPAGE, ActivityNetFiles, Caption, LabelledVideo, spelling_in
from .captions import caption_words
from .feature_source import FeatureSource
from .messages import check_choice, some_of
from .video_builder import VideoBuilder, VideoConfig, VideoRow


__all__ = ["ActivityNetCaptions", "ActivityNetCaptionsConfig"]


@dataclass
class ActivityNetCaptionsConfig(VideoConfig):
    """
    Options of ActivityNet Captions.

    Args:
        version (`datasets.Version`, *optional*, defaults to `1.0.0`):
            Version of the data; also part of the cache's path.
        missing_features (`str`, *optional*, defaults to `"error"`):
            Videos without features, and training videos without privileged features: `"error"`, or `"skip"` to leave
            them out, with a warning when the data is built.
        level (`str`, *optional*, defaults to `"video"`):
            What a row is: a whole `"video"`, or a `"clip"`, one of the labelled parts of a video.

    Raises:
        ValueError: If an option is not one of those.
    """

    level: Literal["video", "clip"] = "video"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("level", self.level, ("video", "clip"))


class ActivityNetCaptions(VideoBuilder):
    """
    Builder of ActivityNet Captions with the labels of ActivityNet, a single-label set of videos that are given as
    features extracted by the user.

    Columns: `features` and, if that source is given, `privileged_features` (references that [`read_features`] takes),
    `words` (those of the captions, without function words), `label` (one of 200 activities), `image_id`, and
    `video_id`, which the clips of a video share. With `level="video"` a row is a video with the words of all its
    captions; its id is that of the captions, `"v_abc"`, and its label the one of its labelled parts, or if these have
    several, the one with the longest time in all. With `level="clip"` a row is a labelled part, `"v_abc/0"`,
    `"v_abc/1"` and so on in the order of the label file: its features are the rows of the array for its share of the
    duration, at least one, and its words those of the captions that overlap it in time, of which there may be none.
    Splits: `train`, and `test` from the official validation videos, which have been captioned twice: both count.

    Args:
        data_dir (`str` or `pathlib.Path`):
            Folder with `train.json`, `val_1.json`, `val_2.json` and `activity_net.v1-3.min.json`.
        features (`str` or `pathlib.Path`, *optional*, defaults to `features` or `features.h5` in `data_dir`):
            Folder with an array `<video id>.npy` of shape [T, D] for each video, whose rows are evenly spread over its
            duration; or HDF5 file with a data set of that shape for each video id, or with a group for each that holds
            one. Ids may have `v_` before them or not.
        privileged_features (`str` or `pathlib.Path`, *optional*):
            A second source of the same kind, of sound for instance, which only training videos must have.
        **kwargs:
            The other options of [`ActivityNetCaptionsConfig`], and `cache_dir`.

    Raises:
        FileNotFoundError: If a file is not there.
        ImportError: If there is an HDF5 file and h5py is not installed.
        ValueError: If a file is not as published, a captioned video has no label, features are missing or (for clips)
            unreadable, or an option is out of its range.

    Example:

    ```python
    >>> from xmodal_lt.data import load_lt

    >>> videos = load_lt("activitynet-captions", data_dir="activitynet", features="c3d.h5")  # doctest: +SKIP
    >>> videos["train"].num_rows  # doctest: +SKIP
    10009
    ```
    """

    BUILDER_CONFIG_CLASS = ActivityNetCaptionsConfig
    config: ActivityNetCaptionsConfig

    LAYOUT = activitynet_files.LAYOUT
    _FILES = ActivityNetFiles
    _CODE = (__file__, activitynet_files.__file__)
    _HOMEPAGE = HOMEPAGE
    _DESCRIPTION = "Untrimmed videos or their labelled parts as extracted features, words of captions, 200 activities."
    _ACCESS = (
        "ActivityNet Captions is made from its annotation files and from features that you extracted or downloaded: "
        f"get train.json, val_1.json and val_2.json from {HOMEPAGE} and activity_net.v1-3.min.json from "
        "http://activity-net.org/download.html, and pass their folder as `data_dir`"
    )

    def _feature_id(self, video_id: str, source: FeatureSource) -> str | None:
        return spelling_in(source.ids, video_id)

    def _read_rows(self) -> dict[str, list[VideoRow]]:
        make = _clip_rows if self.config.level == "clip" else _video_rows
        rows = {}
        for split, captions in self._files.read_captions().items():
            videos = self._labels_of(list(captions), split)
            rows[split] = [
                row for video_id in captions for row in make(video_id, videos[video_id], captions[video_id])
            ]
        return rows

    def _labels_of(self, video_ids: list[str], split: str) -> dict[str, LabelledVideo]:
        known, labelled = self._files.videos, {}
        for video_id in video_ids:
            spelling = spelling_in(known, video_id)
            if spelling is not None and known[spelling].segments:
                labelled[video_id] = known[spelling]
        unlabelled = [video_id for video_id in video_ids if video_id not in labelled]
        if unlabelled:
            raise ValueError(
                f"{len(unlabelled)} of {len(video_ids)} captioned videos of split {split!r} have no label in "
                f"{self._files.labels_file.path}: {some_of(unlabelled, limit=5)}. Take these files of one release"
            )
        return labelled


def _video_rows(video_id: str, video: LabelledVideo, captions: list[Caption]) -> Iterator[VideoRow]:
    times: dict[str, float] = defaultdict(float)
    for segment in video.segments:
        times[segment.label] += segment.end - segment.start
    label = max(times, key=lambda name: times[name])
    yield VideoRow(video_id, video_id, caption_words(caption.sentence for caption in captions), label)


def _clip_rows(video_id: str, video: LabelledVideo, captions: list[Caption]) -> Iterator[VideoRow]:
    for number, segment in enumerate(video.segments):
        words = caption_words(
            caption.sentence for caption in captions if caption.start < segment.end and segment.start < caption.end
        )
        span = (segment.start / video.duration, segment.end / video.duration)
        yield VideoRow(f"{video_id}/{number}", video_id, words, segment.label, span)
