"""Reading the annotation files of MSR-VTT."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .fingerprint import fingerprint_of_files
from .image_places import Layout
from .json_file import JsonFile
from .source_files import SourceFile


__all__ = ["CATEGORIES", "HOMEPAGE", "LAYOUT", "MsrVttFiles", "MsrVttVideo"]

HOMEPAGE = (
    "https://www.microsoft.com/en-us/research/publication/"
    "msr-vtt-a-large-video-description-dataset-for-bridging-video-and-language/"
)
# By number, as in the category.txt that comes with the files.
CATEGORIES = (
    "music",
    "people",
    "gaming",
    "sports/actions",
    "news/events/politics",
    "education",
    "tv shows",
    "movie/comedy",
    "animation",
    "vehicles/autos",
    "howto",
    "travel",
    "science/technology",
    "animals/pets",
    "kids/family",
    "documentary",
    "food/drink",
    "cooking",
    "beauty/fashion",
    "advertisement",
)

_FILES = ("train_val_videodatainfo.json", "test_videodatainfo.json")
LAYOUT = Layout(tuple(SourceFile((name,), f"{name} from {HOMEPAGE}") for name in _FILES))
_SPLITS = {"train": "train", "validate": "validation", "test": "test"}


@dataclass(frozen=True)
class MsrVttVideo:
    """
    One clip with its sentences.

    Args:
        video_id (`str`):
            Its id, `"video0"`.
        category (`str`):
            One of `CATEGORIES`.
        split (`str`):
            Official split: `"train"`, `"validation"` or `"test"`.
        captions (`list[str]`):
            Sentences that describe it.
    """

    video_id: str
    category: str
    split: str
    captions: list[str] = field(default_factory=list)


class MsrVttFiles:
    """
    The annotation files of MSR-VTT as published.

    Args:
        data_dir (`pathlib.Path`):
            Folder with `train_val_videodatainfo.json` and `test_videodatainfo.json`.

    Raises:
        FileNotFoundError: If a file is not there.
    """

    def __init__(self, data_dir: Path) -> None:
        self._files = [JsonFile(data_dir / name, HOMEPAGE) for name in _FILES]

    @property
    def fingerprint(self) -> str:
        """Changes when a file is replaced."""
        return fingerprint_of_files(file.path for file in self._files)

    @property
    def class_names(self) -> list[str]:
        """Names of the classes, by id."""
        return list(CATEGORIES)

    def read_videos(self) -> list[MsrVttVideo]:
        """
        Read all clips, in the order of the files.

        Returns:
            `list[MsrVttVideo]`

        Raises:
            ValueError: If a file cannot be read, lacks a field, has a video twice, or has an unknown category, split
                or video.
        """
        videos: dict[str, MsrVttVideo] = {}
        for file in self._files:
            content = file.read()
            for number, entry in enumerate(file.field(content, "videos", list, "the file")):
                video = _read_video(file, entry, f"video {number}")
                if video.video_id in videos:
                    raise file.unexpected(f"each video once, but {video.video_id!r} is there again as video {number}")
                videos[video.video_id] = video
            for number, entry in enumerate(file.field(content, "sentences", list, "the file")):
                where = f"sentence {number}"
                video_id = file.field(entry, "video_id", str, where)
                if video_id not in videos:
                    raise file.unexpected(f"{where} to be of a video of the file, got {video_id!r}")
                videos[video_id].captions.append(file.field(entry, "caption", str, where))
        return list(videos.values())


def _read_video(file: JsonFile, entry: Any, where: str) -> MsrVttVideo:
    video_id = file.field(entry, "video_id", str, where)
    category = file.field(entry, "category", int, where)
    split = file.field(entry, "split", str, where)
    if not 0 <= category < len(CATEGORIES):
        raise file.unexpected(f"'category' of {where} to be from 0 to {len(CATEGORIES) - 1}, got {category}")
    if split not in _SPLITS:
        raise file.unexpected(f"'split' of {where} to be one of {list(_SPLITS)}, got {split!r}")
    return MsrVttVideo(video_id, CATEGORIES[category], _SPLITS[split])
