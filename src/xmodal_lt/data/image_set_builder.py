"""What builders of published image sets share: images that stay in their files, and no reuse of stale data."""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, combinations
from pathlib import Path
from typing import Any, ClassVar, Protocol

import datasets

from . import image_places, json_file, source_files, text_file
from .fingerprint import build_hash
from .image_places import Layout
from .messages import some_of
from .source_files import MissingFile


__all__ = ["ImageSetBuilder", "ImageSetConfig", "ImageSetFiles"]

_VERSION = datasets.Version("1.0.0")
_MOST_CHUNKS = 256


@dataclass
class ImageSetConfig(datasets.BuilderConfig):
    """
    Options that every such data set has.

    Args:
        version (`datasets.Version`, *optional*, defaults to `1.0.0`):
            Version of the data; also part of the cache's path.
    """

    version: datasets.Version | str | None = _VERSION


class ImageSetFiles(Protocol):
    """The files that a data set is made from."""

    @property
    def fingerprint(self) -> str:
        """Changes when the rows do."""

    def read_rows(self) -> dict[str, list[Any]]:
        """The rows of each split, each with an `image_id`, the `path` of its image, and what else a subclass needs."""


class ImageSetBuilder(datasets.GeneratorBasedBuilder):
    """
    Base of builders of image sets that are published as lists of images. A subclass says what is between the columns
    `image` and `image_id`.

    The data set holds the paths of the images, which are read when they are used.

    Args:
        data_dir (`str` or `pathlib.Path`):
            Folder with the lists and the images.
        **kwargs:
            Options of the builder's config, and `cache_dir`.

    Raises:
        FileNotFoundError: If a file is not there.
        ValueError: If a file is not as published, or an option is not as expected.
    """

    BUILDER_CONFIG_CLASS = ImageSetConfig
    config: ImageSetConfig

    # What the data set is made from.
    LAYOUT: ClassVar[Layout]
    # Source files that the rows depend on, beside those of this class: of the kind of set, and of the set itself.
    _KIND_CODE: ClassVar[tuple[str, ...]]
    _CODE: ClassVar[tuple[str, ...]]
    _HOMEPAGE: ClassVar[str]
    _DESCRIPTION: ClassVar[str]
    # What to get, said where no `data_dir` is given.
    _ACCESS: ClassVar[str]

    def __init__(self, *args: Any, data_dir: str | Path | None = None, **kwargs: Any) -> None:
        if data_dir is None or not Path(data_dir).expanduser().is_dir():
            absent = "" if data_dir is None else f"There is no folder {data_dir}. "
            raise FileNotFoundError(f"{absent}{self._ACCESS}")
        # `datasets` makes the config once more, but needs the hash for it, and the options choose what is hashed.
        options = {field.name for field in dataclasses.fields(self.BUILDER_CONFIG_CLASS)} & set(kwargs)
        config = self.BUILDER_CONFIG_CLASS(**{option: kwargs[option] for option in options})
        self._files = self._open(Path(data_dir).expanduser(), config)
        # Without it `datasets` would reuse what an earlier version of this code or of the files had written.
        kwargs.setdefault("hash", self._source_hash())
        super().__init__(*args, data_dir=str(data_dir), **kwargs)
        if self.info.features is None:  # not built yet; else they are in the cache, and no list is read for them
            self.info.features = self._features()

    @classmethod
    def missing_files(cls, data_dir: Path | None, **options: Any) -> list[MissingFile]:
        """What is not there of what the data set is made from."""
        return cls.LAYOUT.missing(data_dir)

    @abstractmethod
    def _open(self, data_dir: Path, config: Any) -> ImageSetFiles:
        """Find the files of the data set."""

    @abstractmethod
    def _columns(self) -> dict[str, Any]:
        """Names and types of the columns between `image` and `image_id`."""

    @abstractmethod
    def _values(self, row: Any) -> dict[str, Any]:
        """What a row has in those columns."""

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo(description=self._DESCRIPTION, homepage=self._HOMEPAGE)

    def _features(self) -> datasets.Features:
        return datasets.Features({"image": datasets.Image(), **self._columns(), "image_id": datasets.Value("string")})

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:
        splits = self._files.read_rows()
        _raise_for_shared(splits)
        return [
            datasets.SplitGenerator(name=split, gen_kwargs={"chunks": _chunks(rows)}) for split, rows in splits.items()
        ]

    def _generate_examples(self, chunks: list[list[Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
        for row in chain.from_iterable(chunks):
            yield row.image_id, {"image": str(row.path), **self._values(row), "image_id": row.image_id}

    def _source_hash(self) -> str:
        modules = (str(module.__file__) for module in (image_places, json_file, source_files, text_file))
        return build_hash((__file__, *modules, *self._KIND_CODE, *self._CODE), self._files.fingerprint)


def _chunks(rows: list[Any]) -> list[list[Any]]:
    """Rows as `datasets` shares them out to processes and to the parts of a stream: a few hundred lists of them."""
    size = max(1, -(-len(rows) // _MOST_CHUNKS))
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def _raise_for_shared(splits: dict[str, list[Any]]) -> None:
    ids = {name: {row.image_id for row in rows} for name, rows in splits.items()}
    for first, second in combinations(splits, 2):
        shared = [row.image_id for row in splits[second] if row.image_id in ids[first]]
        if shared:
            raise ValueError(
                f"{len(shared)} images are in split {first!r} and in split {second!r}: {some_of(shared, limit=5)}. "
                "Check which list is which"
            )
