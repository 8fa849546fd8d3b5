"""Which overrides of a grid are for which cell: those of a stage are for the cells that have it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


_NULLS = ("", "~", "null", "Null", "NULL")  # of YAML


@dataclass(frozen=True)
class Override:
    """A dotted override of a grid.

    Args:
        text (`str`): `key.subkey=value`, as on the command line.
        axis_value (`str`, *optional*): the value of an axis that gives it, for messages; absent if every cell has it.
    """

    text: str
    axis_value: str | None = None

    @property
    def stage(self) -> str | None:
        """The stage that it changes, adds or takes out."""
        keys = self._keys
        return keys[1] if keys[:1] == ["stages"] and len(keys) > 1 else None

    @property
    def adds_stage(self) -> bool:
        """Whether it gives a stage whole, `stages.head={...}`, which only a value of an axis may."""
        return self.axis_value is not None and self._is_whole_stage and not self.removes_stage

    @property
    def removes_stage(self) -> bool:
        """Whether it takes a stage out, `stages.head=null`."""
        return self._is_whole_stage and self.text.partition("=")[2].strip() in _NULLS

    @property
    def _is_whole_stage(self) -> bool:
        return self.stage is not None and len(self._keys) == 2

    @property
    def _keys(self) -> list[str]:
        return [key for key in re.split(r"[.\[\]]", self.text.partition("=")[0]) if key]


def fitting_overrides(stages: Iterable[str], overrides: Sequence[Override]) -> tuple[list[Override], set[str]]:
    """The overrides that are for a cell.

    Args:
        stages (`Iterable[str]`): those of its recipe.
        overrides (`Sequence[Override]`): all that are given, in order.

    Returns:
        `tuple[list[Override], set[str]]`: those that are for it, in order, and the stages that it has with them.
    """
    present, removing = set(stages), []
    for override in overrides:
        if override.stage is None:
            continue
        if override.adds_stage:
            present.add(override.stage)
        elif override.removes_stage and override.stage in present:
            present.remove(override.stage)
            removing.append(override)

    def fits(override: Override) -> bool:
        if override.removes_stage:
            return override in removing
        return override.stage is None or override.stage in present

    return [override for override in overrides if fits(override)], present


def check_stage_overrides(cells: Iterable[tuple[Iterable[str], Sequence[Override]]]) -> None:
    """Checks that no override of a stage comes to nothing.

    Args:
        cells (`Iterable[tuple[Iterable[str], Sequence[Override]]]`): the arguments of `fitting_overrides` for each.

    Raises:
        ValueError: for an override of a stage that none of the cells has to which it is given.
    """
    used: set[Override] = set()
    stages_of: dict[Override, set[str]] = defaultdict(set)
    for stages, overrides in cells:
        fitting, present = fitting_overrides(stages, overrides)
        used.update(fitting)
        for override in overrides:
            stages_of[override] |= present
    for override, known in stages_of.items():
        if override not in used:
            of_value = f"of {override.axis_value} " if override.axis_value else ""
            raise ValueError(
                f"{override.text}: no cell {of_value}has that stage; the stages are {sorted(known)}. Correct its "
                "name, or leave the override out. To add a stage, give it whole to a value of an axis: "
                f"'stages.{override.stage}={{epochs: 1, learning_rate: 0.001}}'."
            )


__all__ = ["Override", "check_stage_overrides", "fitting_overrides"]
