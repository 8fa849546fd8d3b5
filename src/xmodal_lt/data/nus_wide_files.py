"""Finding and reading the files of NUS-WIDE: image lists, concepts, and tags of the official split."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from scipy import sparse

from .bit_table import BitTable, names_of_rows, ones_of_rows
from .class_images import PathFormat
from .fingerprint import fingerprint_of_files
from .image_folders import ImageFolders, MissingImages
from .image_places import Layout, require_files
from .name_list import read_names
from .source_files import SourceFile
from .text_file import TextFile
from .worded_image_builder import WordedRow


__all__ = ["HOMEPAGE", "LAYOUT", "NusWideFiles", "open_nus_wide"]

HOMEPAGE = "https://github.com/NExTplusplus/NUS-WIDE"

_LABELS_ZIP, _TAGS_ZIP = f"NUS-WIDE.zip ({HOMEPAGE})", f"NUS_WID_Tags.zip ({HOMEPAGE})"
_LISTS_ZIP = "ImageList.zip of the first release of NUS-WIDE"


def _in(folder: str, name: str, archive: str) -> SourceFile:
    return SourceFile((f"{folder}/{name}", name), f"{archive} and unpack it in `data_dir`")


_IMAGES = SourceFile(
    ("Flickr",),
    f"the images from their publisher ({HOMEPAGE}), on request, and lay them out as Flickr/<folder>/<image>.jpg",
)
_CONCEPTS = _in("ConceptsList", "Concepts81.txt", _LABELS_ZIP)
_LABELS = _in("Groundtruth", "TrainTestLabels", _LABELS_ZIP)
_TAGS = _in("NUS_WID_Tags", "TagList1k.txt", _TAGS_ZIP)
# By split: what the names of its files have in common, its list of images, and their tags.
_SOURCES = {
    split: (
        part,
        _in("ImageList", f"{part}Imagelist.txt", _LISTS_ZIP),
        _in("NUS_WID_Tags", f"{part}_Tags1k.dat", _TAGS_ZIP),
    )
    for split, part in (("train", "Train"), ("test", "Test"))
}
LAYOUT = Layout(
    (_IMAGES, _CONCEPTS, _LABELS, _TAGS, *(file for _, *files in _SOURCES.values() for file in files)),
    ("NUS-WIDE", "NUS_WIDE"),
)

# No folder starts with a dot, and there is neither a drive nor a root, so that no path leads out of `Flickr`.
_PATHS = PathFormat(r"(\w[\w .-]*)", "actor\\0001_2124494179.jpg")


@dataclass(frozen=True)
class _Split:
    """The list of a split, its tags, and what the names of its files of labels end in."""

    listed: TextFile
    tags: TextFile
    part: str


@dataclass(frozen=True)
class NusWideFiles:
    """
    The files of NUS-WIDE.

    Args:
        concepts ([`TextFile`]):
            Names of the concepts.
        tags ([`TextFile`]):
            Names of the tags.
        labels (`pathlib.Path`):
            Folder with a file for each concept and split.
        splits (`dict[str, _Split]`):
            The other files of each split.
        images ([`ImageFolders`]):
            The images.
        drop_concept_tags (`bool`):
            Whether tags that are names of concepts are left out of the words.
    """

    concepts: TextFile
    tags: TextFile
    labels: Path
    splits: dict[str, _Split]
    images: ImageFolders
    drop_concept_tags: bool

    @property
    def fingerprint(self) -> str:
        """Changes when a file that is read is replaced, or the images are in another folder."""
        files = [self.concepts.path, self.tags.path]
        for split in self.splits.values():
            files += [split.listed.path, split.tags.path, *(self.labels / name for name in self._label_files(split))]
        return "\n".join([self.images.fingerprint, fingerprint_of_files(files)])

    @property
    def class_names(self) -> list[str]:
        """
        Names by class id, for people to read.

        Raises:
            ValueError: If the file is not as published.
        """
        return [concept.replace("_", " ") for concept in self._concepts]

    def require_labels(self) -> None:
        """
        Check that there is a file of labels for each concept.

        Raises:
            FileNotFoundError: If some are not there.
        """
        names = [name for split in self.splits.values() for name in self._label_files(split)]
        require_files(self.labels, names, f"files of labels for {self.concepts.path.name}", _LABELS_ZIP)

    def read_rows(self) -> dict[str, list[WordedRow]]:
        """
        Read the rows of each split: the images of its list that have a concept and a tag.

        Returns:
            `dict[str, list[WordedRow]]`

        Raises:
            FileNotFoundError: If images are not there, and are not to be left out.
            ValueError: If a file is not as published.
        """
        tags = read_names(self.tags, r"(.+)", "nature")
        return {name: self._read_split(name, split, tags) for name, split in self.splits.items()}

    def _read_split(self, name: str, split: _Split, tags: list[str]) -> list[WordedRow]:
        paths = _read_paths(split.listed)
        labels = self._read_labels(split, len(paths))
        table = BitTable(split.tags, len(tags), f"one for each line of {self.tags.path.name}")
        words = table.read(len(paths), split.listed.path.name)
        # The published rule: of all tags, whichever of them become words.
        described = np.flatnonzero((np.diff(labels.indptr) > 0) & (np.diff(words.indptr) > 0))
        if not described.size:
            raise ValueError(
                f"no image of {split.listed.path} has a concept and a tag. Check that {split.tags.path} and the files "
                f"of labels in {self.labels} belong to it"
            )
        kept = described[self.images.present(name, [paths[row] for row in described])]
        columns = np.flatnonzero([not self._is_dropped(tag) for tag in tags])
        own_words = names_of_rows(words[kept][:, columns], [tags[column] for column in columns])
        return [
            WordedRow(paths[row].rpartition(".")[0], f"{self.images.root}/{paths[row]}", own, classes)
            for row, own, classes in zip(kept.tolist(), own_words, ones_of_rows(labels[kept]), strict=True)
        ]

    def _read_labels(self, split: _Split, rows: int) -> sparse.csr_array:
        files = (TextFile(self.labels / name, _LABELS_ZIP) for name in self._label_files(split))
        columns = [BitTable(file, 1, "").read(rows, split.listed.path.name) for file in files]
        return sparse.hstack(columns, format="csr")

    def _label_files(self, split: _Split) -> list[str]:
        return [f"Labels_{concept}_{split.part}.txt" for concept in self._concepts]

    def _is_dropped(self, tag: str) -> bool:
        return self.drop_concept_tags and _normalised(tag) in self._concept_keys

    @cached_property
    def _concept_keys(self) -> set[str]:
        return set(map(_normalised, self._concepts))

    @cached_property
    def _concepts(self) -> list[str]:
        return read_names(self.concepts, r"([\w-]+)", "airport", distinct=True)


def open_nus_wide(data_dir: Path, drop_concept_tags: bool, missing_images: MissingImages) -> NusWideFiles:
    """
    Find the files of NUS-WIDE.

    Args:
        data_dir (`pathlib.Path`):
            Folder that holds them.
        drop_concept_tags (`bool`):
            Whether tags that are names of concepts are left out of the words.
        missing_images (`str`):
            `"error"`, or `"skip"` to leave out images that are not there.

    Returns:
        [`NusWideFiles`]

    Raises:
        FileNotFoundError: If files are not there.
        ValueError: If the list of concepts is not as published.
    """
    places = LAYOUT.open(data_dir)
    splits = {
        name: _Split(TextFile(places.require(listed), _LISTS_ZIP), TextFile(places.require(tags), _TAGS_ZIP), part)
        for name, (part, listed, tags) in _SOURCES.items()
    }
    files = NusWideFiles(
        concepts=TextFile(places.require(_CONCEPTS), _LABELS_ZIP),
        tags=TextFile(places.require(_TAGS), _TAGS_ZIP),
        labels=places.require(_LABELS),
        splits=splits,
        images=ImageFolders(places.require(_IMAGES), missing_images, _IMAGES.published),
        drop_concept_tags=drop_concept_tags,
    )
    files.require_labels()
    return files


def _read_paths(file: TextFile) -> list[str]:
    """Paths of images, with `/` between folder and name."""
    paths: dict[str, None] = {}
    for number, line in file.lines():
        path = line.replace("\\", "/")
        if _PATHS.class_key(path) is None:
            raise file.unexpected(number, f"the path of an image such as '{_PATHS.example}', got {line!r:.100}")
        if path in paths:
            raise file.unexpected(number, f"each image once, but {line!r} is there again")
        paths[path] = None
    return list(paths)


def _normalised(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter not in "_- ")
