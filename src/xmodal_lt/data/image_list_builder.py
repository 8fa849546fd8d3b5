"""What builders of published multi-label image sets share: images that stay in their files, with lists of labels."""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import datasets

from . import captions, image_list, image_places, json_file, labelled_images, text_file
from .fingerprint import build_hash
from .labelled_images import ImageRow, LabelledImages


__all__ = ["ImageListBuilder", "ImageListConfig"]

_VERSION = datasets.Version("1.0.0")


@dataclass
class ImageListConfig(datasets.BuilderConfig):
    """
    Options that every such data set has.

    Args:
        version (`datasets.Version`, *optional*, defaults to `1.0.0`):
            Version of the data; also part of the cache's path.
        captions (`bool`, *optional*):
            Whether training images have the words of their captions. By default they have if the file of captions is
            there; with `True` it must be there, and with `False` it is ignored.

    Raises:
        ValueError: If an option is not one of those.
    """

    version: datasets.Version | str | None = _VERSION
    captions: bool | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.captions is not None and not isinstance(self.captions, bool):
            raise ValueError(f"captions must be True, False or None, got {self.captions!r}")


class ImageListBuilder(datasets.GeneratorBasedBuilder):
    """
    Base of builders of multi-label image sets that are published as lists.

    Columns: `image`, `words` if there are captions (empty outside train), `labels`, and `image_id`, the name of the
    image's file without its ending. The data set holds the paths of the images, which are read when they are used.

    Args:
        data_dir (`str` or `pathlib.Path`):
            Folder with the lists and the images.
        **kwargs:
            Options of the builder's config, and `cache_dir`.

    Raises:
        FileNotFoundError: If a file is not there.
        ValueError: If a file is not as published, or an option is not as expected.
    """

    BUILDER_CONFIG_CLASS = ImageListConfig
    config: ImageListConfig

    # Names of the classes, by id.
    _CLASS_NAMES: ClassVar[tuple[str, ...]]
    # Source files that the rows depend on, beside those that all builders share.
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

    @abstractmethod
    def _open(self, data_dir: Path, config: Any) -> LabelledImages:
        """Find the files of the data set."""

    def _info(self) -> datasets.DatasetInfo:
        words = {} if self._files.captions is None else {"words": datasets.List(datasets.Value("string"))}
        return datasets.DatasetInfo(
            description=self._DESCRIPTION,
            homepage=self._HOMEPAGE,
            features=datasets.Features(
                {
                    "image": datasets.Image(),
                    **words,
                    "labels": datasets.List(datasets.ClassLabel(names=list(self._CLASS_NAMES))),
                    "image_id": datasets.Value("string"),
                }
            ),
        )

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:
        return [
            datasets.SplitGenerator(name=split, gen_kwargs={"rows": rows})
            for split, rows in self._files.read_rows().items()
        ]

    def _generate_examples(self, rows: list[ImageRow]) -> Iterator[tuple[str, dict[str, Any]]]:
        # A list is what `datasets` shares out to several processes.
        for row in rows:
            words = {} if self._files.captions is None else {"words": row.words}
            example = {"image": str(row.path), **words, "labels": row.labels, "image_id": row.image_id}
            yield row.image_id, example

    def _source_hash(self) -> str:
        modules = (captions, image_list, image_places, json_file, labelled_images, text_file)
        code = (__file__, *(str(module.__file__) for module in modules), *self._CODE)
        return build_hash(code, self._files.fingerprint)
