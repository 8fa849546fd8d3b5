"""Finding and reading the files of VireoFood-172: image lists, dishes, and ingredients."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from scipy import sparse

from .bit_table import BitTable, line_blocks, names_of_rows
from .class_images import PathFormat
from .fingerprint import fingerprint_of_files
from .image_folders import ImageFolders, MissingImages
from .image_places import Layout
from .messages import some_of
from .name_list import read_names
from .source_files import SourceFile
from .text_file import TextFile
from .worded_image_builder import WordedRow


__all__ = ["HOMEPAGE", "LAYOUT", "VireoFoodFiles", "open_vireofood"]

HOMEPAGE = "https://fvl.fudan.edu.cn/dataset/vireofood172/list.htm"

_ARCHIVE = f"VireoFood-172 by the form at {HOMEPAGE}"


def _in(name: str, optional: bool = False) -> SourceFile:
    return SourceFile((f"SplitAndIngreLabel/{name}", name), f"{_ARCHIVE} and unpack it in `data_dir`", optional)


_IMAGES = SourceFile(("ready_chinese_food",), f"{_ARCHIVE} and unpack it in `data_dir`")
_LISTS = {
    "train": _in("TR.txt"),
    "validation": _in("VAL.txt", optional=True),
    "test": _in("TE.txt"),
}
_DISHES, _INGREDIENTS, _TABLE = _in("FoodList.txt"), _in("IngredientList.txt"), _in("IngreLabel.txt")
LAYOUT = Layout((_IMAGES, *_LISTS.values(), _DISHES, _INGREDIENTS, _TABLE), ("VireoFood172", "vireo172"))

# The folder is the number of the dish, from 1. Lists may leave out the first `/`.
_PATHS = PathFormat(r"/?([1-9]\d{0,3})", "/3/1_2.jpg")
# Loaders of published code cut off a `;` after a name.
_NAME = r"(.*[^\s;])[\s;]*"


@dataclass(frozen=True)
class VireoFoodFiles:
    """
    The files of VireoFood-172.

    Args:
        dishes ([`TextFile`]):
            Names of the classes.
        ingredients ([`TextFile`]):
            Names of the ingredients.
        table ([`TextFile`]):
            Ingredients of each image.
        lists (`dict[str, TextFile]`):
            The images of each split.
        images ([`ImageFolders`]):
            The images.
    """

    dishes: TextFile
    ingredients: TextFile
    table: TextFile
    lists: dict[str, TextFile]
    images: ImageFolders

    @property
    def fingerprint(self) -> str:
        """Changes when a file that is read is replaced, or the images are in another folder."""
        files = [self.dishes, self.ingredients, self.table, *self.lists.values()]
        return "\n".join([self.images.fingerprint, fingerprint_of_files(file.path for file in files)])

    @cached_property
    def class_names(self) -> list[str]:
        """
        Names by class id; one that several dishes have is followed by the number of the dish.

        Raises:
            ValueError: If the file is not as published.
        """
        names = read_names(self.dishes, _NAME, "Braised Pork")
        times = Counter(names)
        return [f"{name} ({dish})" if times[name] > 1 else name for dish, name in enumerate(names, start=1)]

    def read_rows(self) -> dict[str, list[WordedRow]]:
        """
        Read the rows of each split.

        Returns:
            `dict[str, list[WordedRow]]`

        Raises:
            FileNotFoundError: If images are not there, and are not to be left out.
            ValueError: If a file is not as published.
        """
        names = read_names(self.ingredients, _NAME, "Minced green onion")
        row_of, table = _IngredientTable(self.table, len(names), self.ingredients.path.name).read()
        rows = {}
        for split, file in self.lists.items():
            paths = self._read_list(file, row_of)
            found = [paths[row] for row in self.images.present(split, paths)]
            ingredients = names_of_rows(table[[row_of[path] for path in found]], names)
            rows[split] = [self._row(path, words) for path, words in zip(found, ingredients, strict=True)]
        return rows

    def _read_list(self, file: TextFile, row_of: dict[str, int]) -> list[str]:
        paths: dict[str, None] = {}
        for number, line in file.lines():
            path, dish = line.removeprefix("/"), _PATHS.class_key(line)
            if dish is None:
                raise file.unexpected(number, f"the path of an image such as {_PATHS.example!r}, got {line!r:.100}")
            if int(dish) > len(self.class_names):
                dishes = f"{len(self.class_names)}, the dishes of {self.dishes.path.name}"
                raise file.unexpected(number, f"a folder from 1 to {dishes}, got {line!r}")
            if path in paths:
                raise file.unexpected(number, f"each image once, but {line!r} is there again")
            paths[path] = None
        unknown = [path for path in paths if path not in row_of]
        if unknown:
            raise ValueError(
                f"{len(unknown)} of {len(paths)} images of {file.path} are not in {self.table.path}: "
                f"{some_of(unknown, limit=5)}. Check that the files belong together"
            )
        return list(paths)

    def _row(self, path: str, words: list[str]) -> WordedRow:
        folder = path.partition("/")[0]
        return WordedRow(path.rpartition(".")[0], f"{self.images.root}/{path}", words, int(folder) - 1)


def open_vireofood(data_dir: Path, validation: bool | None, missing_images: MissingImages) -> VireoFoodFiles:
    """
    Find the files of VireoFood-172.

    Args:
        data_dir (`pathlib.Path`):
            Folder that holds them.
        validation (`bool`, *optional*):
            Whether there is a validation split; by default if its list is there.
        missing_images (`str`):
            `"error"`, or `"skip"` to leave out images that are not there.

    Returns:
        [`VireoFoodFiles`]

    Raises:
        FileNotFoundError: If files are not there.
    """
    places = LAYOUT.open(data_dir)
    found = {
        split: places.find_wanted(file, validation) if file.optional else places.require(file)
        for split, file in _LISTS.items()
    }
    return VireoFoodFiles(
        dishes=TextFile(places.require(_DISHES), _ARCHIVE),
        ingredients=TextFile(places.require(_INGREDIENTS), _ARCHIVE),
        table=TextFile(places.require(_TABLE), _ARCHIVE),
        lists={split: TextFile(path, _ARCHIVE) for split, path in found.items() if path is not None},
        images=ImageFolders(places.require(_IMAGES), missing_images, _IMAGES.published),
    )


class _IngredientTable:
    """Lines `path value value ...`, where the values are 1 and -1, or 1 and 0."""

    def __init__(self, file: TextFile, width: int, names: str) -> None:
        self._file = file
        self._bits = BitTable(file, width, f"one for each line of {names}")

    def read(self) -> tuple[dict[str, int], sparse.csr_array]:
        """The row of each image by its path, and the zeros and ones of all rows."""
        row_of: dict[str, int] = {}
        zero, blocks = None, []
        for number, block in line_blocks(self._file.path):
            lines = [line.strip().partition(b" ") for line in block.split(b"\n")[:-1]]
            self._add_paths(row_of, number, [path for path, _, _ in lines])
            rows = [values for _, _, values in lines]
            zero = self._zero(number, rows, zero)
            blocks.append(self._bits.parse(number, b"\n".join([*rows, b""]), zero or b"0"))
        if not row_of:
            raise self._file.unexpected(1, f"lines such as '{_PATHS.example} 1 -1 ...', got none")
        return row_of, sparse.vstack(blocks, format="csr")

    def _add_paths(self, row_of: dict[str, int], first: int, paths: list[bytes]) -> None:
        for number, encoded in enumerate(paths, start=first):
            path = encoded.decode(errors="replace")
            if _PATHS.class_key(path) is None:
                raise self._file.unexpected(
                    number, f"the path of an image such as {_PATHS.example!r} and its ingredients, got {path!r:.100}"
                )
            if row_of.setdefault(path.removeprefix("/"), len(row_of)) != number - 1:
                raise self._file.unexpected(number, f"each image once, but {path!r} is there again")

    def _zero(self, first: int, rows: list[bytes], before: bytes | None) -> bytes | None:
        """How the file says that an ingredient is not there, `None` as long as it does not."""
        text = b"\n".join(rows)
        found = [zero for zero in (b"-1", b"0") if zero in text]
        zeros = [before, *found] if before else found
        other = next((zero for zero in found if zero != zeros[0]), None)
        if other is not None:
            number = next(number for number, row in enumerate(rows, start=first) if other in row)
            raise self._file.unexpected(
                number,
                f"1 for each ingredient that is there and {zeros[0].decode()} for each other one, as on other lines, "
                f"got {other.decode()}",
            )
        return zeros[0] if zeros else None
