"""MSR-VTT: short clips of web videos with twenty sentences each, classified by category."""

from __future__ import annotations

from dataclasses import dataclass

from . import msr_vtt_files
from .captions import caption_words
from .msr_vtt_files import HOMEPAGE, MsrVttFiles
from .video_builder import VideoBuilder, VideoConfig, VideoRow


__all__ = ["MsrVtt", "MsrVttConfig"]


@dataclass
class MsrVttConfig(VideoConfig):
    """
    Options of MSR-VTT.

    Args:
        version (`datasets.Version`, *optional*, defaults to `1.0.0`):
            Version of the data; also part of the cache's path.
        missing_features (`str`, *optional*, defaults to `"error"`):
            Clips without features, and training clips without privileged features: `"error"`, or `"skip"` to leave
            them out, with a warning when the data is built.
        validation_in_train (`bool`, *optional*, defaults to `False`):
            Whether the official validation clips are for training, so that train has 7,010 clips instead of 6,513, and
            there is no validation split.

    Raises:
        ValueError: If an option is not one of those.
    """

    validation_in_train: bool = False


class MsrVtt(VideoBuilder):
    """
    Builder of MSR-VTT, a single-label set of clips that are given as features extracted by the user.

    Columns: `features` and, if that source is given, `privileged_features` (references that [`read_features`] takes),
    `words` (those of the clip's sentences, without function words), `label` (one of 20 categories), `image_id` and
    `video_id` (the clip's id, `"video0"`). Each row is a clip of 10 to 30 seconds of a longer video: the data set has
    no others. Splits: `train`, `validation` and `test`, the official ones.

    Args:
        data_dir (`str` or `pathlib.Path`):
            Folder with `train_val_videodatainfo.json` and `test_videodatainfo.json`.
        features (`str` or `pathlib.Path`, *optional*, defaults to `features` or `features.h5` in `data_dir`):
            Folder with an array `<video id>.npy` of shape [T, D] for each clip, or HDF5 file with a data set of that
            shape for each video id.
        privileged_features (`str` or `pathlib.Path`, *optional*):
            A second source of the same kind, of text or speech for instance, which only training clips must have.
        **kwargs:
            The other options of [`MsrVttConfig`], and `cache_dir`.

    Raises:
        FileNotFoundError: If a file is not there.
        ImportError: If there is an HDF5 file and h5py is not installed.
        ValueError: If a file is not as published, features are missing, or an option is out of its range.

    Example:

    ```python
    >>> from xmodal_lt.data import load_lt

    >>> videos = load_lt("msr-vtt", data_dir="msr_vtt", features="msr_vtt/s3d.h5")  # doctest: +SKIP
    >>> videos["train"].num_rows  # doctest: +SKIP
    6513
    ```
    """

    BUILDER_CONFIG_CLASS = MsrVttConfig
    config: MsrVttConfig

    LAYOUT = msr_vtt_files.LAYOUT
    _FILES = MsrVttFiles
    _CODE = (__file__, msr_vtt_files.__file__)
    _HOMEPAGE = HOMEPAGE
    _DESCRIPTION = "Clips of web videos as extracted features, the words of their captions, and 20 categories."
    _ACCESS = (
        f"MSR-VTT is made from its annotation files and from features that you extracted: get "
        f"train_val_videodatainfo.json and test_videodatainfo.json ({HOMEPAGE} or a mirror) and pass their folder as "
        "`data_dir`"
    )

    def _read_rows(self) -> dict[str, list[VideoRow]]:
        rows: dict[str, list[VideoRow]] = {"train": [], "validation": [], "test": []}
        for video in self._files.read_videos():
            split = "train" if video.split == "validation" and self.config.validation_in_train else video.split
            row = VideoRow(video.video_id, video.video_id, caption_words(video.captions), video.category)
            rows[split].append(row)
        return rows
