"""Grids: one base recipe, and the changes of each cell, run one after another and reported in one table."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from omegaconf import MISSING, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from transformers.utils import logging
from yaml import YAMLError

from .early_checks import check_recipe
from .failures import CheckpointError, NonFiniteError
from .grid_overrides import Override, check_stage_overrides, fitting_overrides
from .output_folder import RESULTS
from .recipe import RUN_MARKER, Recipe, stage_names
from .run import run_recipe


logger = logging.get_logger(__name__)


@dataclass
class GridValue:
    """One value of an axis: what it changes in the recipe."""

    recipe: str | None = None  # in place of the grid's base, relative to the grid's file
    checkpoint: str | None = None  # value of this axis whose finished model it starts from
    overrides: list[str] = field(default_factory=list)  # as on the command line


@dataclass(frozen=True)
class Cell:
    """One run of a grid.

    Args:
        values (`tuple[str, ...]`): its value on each axis.
        seed (`int`): of the run.
        recipe ([`Recipe`]): what is run, in a folder of its own.
        start (`Path`, *optional*): the folder of the cell that it starts from.
    """

    values: tuple[str, ...]
    seed: int
    recipe: Recipe
    start: Path | None = None

    @property
    def folder(self) -> Path:
        return Path(self.recipe.output_dir)

    @property
    def is_finished(self) -> bool:
        """Whether this recipe, and no other, has been run to its end in the folder."""
        marker = self.folder / RUN_MARKER
        if not marker.is_file() or not (self.folder / RESULTS).is_file():
            return False
        return json.loads(marker.read_text())["fingerprint"] == self.recipe.fingerprint()

    def __str__(self) -> str:
        return f"{', '.join(self.values)}, seed {self.seed}"


@dataclass
class Grid:
    """A base recipe and the axes along which it varies; every combination is run with every seed.

    Load one with [`Grid.load`].
    """

    base: str = MISSING  # relative to the grid's file
    axes: dict[str, dict[str, GridValue]] = field(default_factory=dict)
    seeds: list[int] = field(default_factory=lambda: [0])
    overrides: list[str] = field(default_factory=list)  # of every cell; those of a stage, of the cells that have it
    output_dir: str = MISSING
    columns: dict[str, str] = field(default_factory=dict)  # of the table, see `grid_table`; those of groups when empty
    file: str = ""  # where it was read from
    command_line: list[str] = field(default_factory=list)  # overrides that come last

    @classmethod
    def load(
        cls,
        path: str | Path,
        overrides: Sequence[str] = (),
        seeds: Sequence[int] | None = None,
        output_dir: str | Path | None = None,
    ) -> Grid:
        """Reads a YAML grid.

        Args:
            path (`str` or `Path`): the file.
            overrides (`Sequence[str]`, *optional*): dotted overrides of every cell, which prevail over the grid's own.
            seeds (`Sequence[int]`, *optional*): in place of the grid's own.
            output_dir (`str` or `Path`, *optional*): in place of the grid's own.

        Returns:
            [`Grid`].

        Raises:
            FileNotFoundError: when there is no such file.
            ValueError: for an unknown key, a value of the wrong type or a missing one.
        """
        if not Path(path).is_file():
            raise FileNotFoundError(f"No grid at {str(path)!r}; the package's own are in the folder `recipes/grids/`.")
        try:
            grid = cast(Grid, OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(cls), OmegaConf.load(path))))
        except (OmegaConfBaseException, TypeError, YAMLError) as error:
            raise ValueError(f"{path} is no grid: {str(error).splitlines()[0]}") from error
        grid.file = str(path)
        grid.command_line = list(overrides)
        grid.seeds = list(dict.fromkeys(seeds or grid.seeds))
        grid.output_dir = grid.output_dir if output_dir is None else str(output_dir)
        grid.validate()
        return grid

    def validate(self) -> None:
        """Raises a `ValueError` for axes that make no grid."""
        if not self.axes or not all(self.axes.values()):
            raise ValueError(f"{self.file} needs `axes:`, each with at least one value.")
        if not self.seeds:
            raise ValueError(f"{self.file} needs at least one seed in `seeds:`.")
        for axis, values in self.axes.items():
            self._validate_axis(axis, values)
        self._validate_overrides()

    def _validate_axis(self, axis: str, values: dict[str, GridValue]) -> None:
        names = list(values)
        if axis == "seed":
            raise ValueError(
                "axes.seed has the name by which --only picks the grid's seeds; list seeds in `seeds:`, or rename the "
                "axis."
            )
        if len({_folder_name(name) for name in names}) < len(names):
            raise ValueError(f"Two values of axes.{axis} have the same folder name; rename one of {names}.")
        for name, value in values.items():
            if value.checkpoint is not None and value.checkpoint not in names[: names.index(name)]:
                raise ValueError(
                    f"axes.{axis}.{name} starts from {value.checkpoint!r}, which is no value before it; the axis "
                    f"has {names}."
                )

    def _validate_overrides(self) -> None:
        of_values = [text for axis in self.axes.values() for value in axis.values() for text in value.overrides]
        keys = {override.partition("=")[0] for override in [*self.overrides, *self.command_line, *of_values]}
        for key in ("seed", "output_dir"):
            if key in keys:
                raise ValueError(f"{key}= cannot be overridden in a grid, which sets it for each cell.")
        if "stages" in keys:
            raise ValueError(
                "stages= cannot be overridden as a whole in a grid, as cells may have different stages; give "
                "stages.<name>= or stages.<name>.<key>=."
            )

    def cells(self, only: Sequence[str] = ()) -> list[Cell]:
        """The runs of the grid, seed by seed, in the order of the axes' values.

        Args:
            only (`Sequence[str]`, *optional*):
                `axis=value` strings: of an axis that is named, only these values. `seed` is an axis too.

        Raises:
            ValueError: for an unknown axis or value, an override of a stage that no cell has, or when a cell's recipe
                is not valid.
        """
        wanted = self._wanted(only)
        combinations = list(itertools.product(*self.axes.values()))
        changes = [self._changes(self.seeds[0], values) for values in combinations]
        check_stage_overrides((stage_names(file), overrides) for file, overrides in changes)
        axes = list(self.axes)
        return [
            cell
            for cell in [self._cell(seed, values) for seed in self.seeds for values in combinations]
            if str(cell.seed) in wanted["seed"]
            and all(value in wanted[axis] for axis, value in zip(axes, cell.values, strict=True))
        ]

    def _wanted(self, only: Sequence[str]) -> dict[str, list[str]]:
        all_values = {"seed": [str(seed) for seed in self.seeds], **{axis: list(v) for axis, v in self.axes.items()}}
        chosen: dict[str, list[str]] = {}
        for choice in only:
            axis, _, value = choice.partition("=")
            if axis not in all_values:
                raise ValueError(f"--only {choice}: there is no axis {axis!r}; the axes are {list(all_values)}.")
            if value not in all_values[axis]:
                raise ValueError(f"--only {choice}: {axis} has no value {value!r}, only {all_values[axis]}.")
            chosen.setdefault(axis, []).append(value)
        return all_values | chosen

    def _cell(self, seed: int, values: Sequence[str]) -> Cell:
        file, overrides = self._changes(seed, values)
        fitting, _ = fitting_overrides(stage_names(file), overrides)
        try:
            recipe = Recipe.load(file, [override.text for override in fitting])
        except ValueError as error:
            raise ValueError(f"Cell {', '.join(values)} of {self.file}: {error}") from error
        return Cell(tuple(values), seed, recipe, self._start(seed, values))

    def _changes(self, seed: int, values: Sequence[str]) -> tuple[Path, list[Override]]:
        """The recipe that a combination runs, and everything that is overridden in it, in order."""
        recipe, overrides = self.base, [Override(text) for text in self.overrides]
        for axis, name in zip(self.axes, values, strict=True):
            value = self.axes[axis][name]
            recipe = value.recipe or recipe
            overrides += [Override(text, f"axes.{axis}.{name}") for text in value.overrides]
        start = self._start(seed, values)
        own = [] if start is None else [f"model.checkpoint={start}"]
        own += [f"seed={seed}", f"output_dir={self._folder(seed, values)}", "resume=true"]
        return Path(self.file).parent / recipe, [*overrides, *map(Override, [*own, *self.command_line])]

    def _start(self, seed: int, values: Sequence[str]) -> Path | None:
        """The folder of the cell that a combination starts from."""
        start = None
        for position, (axis, name) in enumerate(zip(self.axes, values, strict=True)):
            checkpoint = self.axes[axis][name].checkpoint
            if checkpoint is not None:
                start = self._folder(seed, [*values[:position], checkpoint, *values[position + 1 :]])
        return start

    def _folder(self, seed: int, values: Sequence[str]) -> Path:
        return Path(self.output_dir, *map(_folder_name, values), f"seed{seed}")


def _folder_name(value: str) -> str:
    return re.sub(r"[^\w.+-]+", "_", value)


def run_grid(cells: Sequence[Cell]) -> Iterator[tuple[Cell, Exception | None]]:
    """Runs the cells in order; those that are finished are left as they are, interrupted ones go on.

    Args:
        cells (`Sequence[Cell]`): from [`Grid.cells`].

    Returns:
        `Iterator[tuple[Cell, Exception | None]]`: each cell when it has ended, with the error of a run that diverged
        or could not be saved, or whose start is not finished, which does not stop the others.

    Raises:
        ValueError: for a config or a loss that is wrong in any of the cells, before the first one runs; for other bad
            input, see [`run_recipe`].
    """
    _check(cells)
    for number, cell in enumerate(cells, 1):
        logger.warning(f"{number} of {len(cells)}: {cell}")
        if cell.start is not None and not (cell.start / RESULTS).is_file():
            yield cell, ValueError(f"it starts from the run in {cell.start}, which is not finished")
            continue
        try:
            run_recipe(cell.recipe)
        except ValueError as error:
            raise ValueError(f"Cell {cell}: {error}") from error
        except (CheckpointError, NonFiniteError) as error:
            logger.error(f"{cell} failed: {error}")
            yield cell, error
        else:
            yield cell, None


def _check(cells: Sequence[Cell]) -> None:
    """What would else be found when a cell's turn comes, hours later."""
    for cell in cells:
        if not cell.is_finished:
            try:
                check_recipe(cell.recipe)
            except ValueError as error:
                raise ValueError(f"Cell {cell}: {error}") from error


__all__ = ["Cell", "Grid", "GridValue", "run_grid"]
