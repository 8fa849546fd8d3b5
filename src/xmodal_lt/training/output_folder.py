"""The folder of a run: what it was made from, what is finished in it, and how files get there whole."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from xmodal_lt.atomic_file import atomic_path
from xmodal_lt.card_record import delete_own_card
from xmodal_lt.modeling.modeling_long_tail import LongTailPreTrainedModel

from .failures import check_finite, reporting_failed_writes
from .recipe import RUN_MARKER, Recipe
from .trainer import last_whole_checkpoint


RESULTS = "results.json"  # in the folder of a finished run


class OutputFolder:
    """Paths of a run's files.

    Args:
        path (`str` or `Path`): the folder.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)

    @property
    def results(self) -> Path:
        """Scores of the finished run; written last."""
        return self.path / RESULTS

    @property
    def history(self) -> Path:
        """What the trainer logged, by stage."""
        return self.path / "history.json"

    def stage(self, name: str) -> Path:
        """The checkpoints of a stage."""
        return self.path / "checkpoints" / name

    def finished_stage(self, name: str) -> Path:
        """The model as a stage left it; there only once the stage is finished."""
        return self.stage(name) / "final"

    @property
    def marker(self) -> Path:
        """Names the recipe whose run this is."""
        return self.path / RUN_MARKER

    def check(self, recipe: Recipe) -> None:
        """Raises a `ValueError` when the folder holds another recipe's run, or this recipe's without `resume`."""
        if self.marker.exists() and not recipe.overwrite:
            found = json.loads(self.marker.read_text())["fingerprint"]
            if found != recipe.fingerprint():
                raise ValueError(
                    f"{self.path} holds a run of another recipe ({found}, this one is {recipe.fingerprint()}); choose "
                    "another output_dir, or set overwrite=true to delete it."
                )
            if not recipe.resume:
                raise ValueError(
                    f"{self.path} already holds a run of this recipe; set resume=true to continue it, or "
                    "overwrite=true to delete it."
                )

    def claim(self, recipe: Recipe, data: str) -> None:
        """Makes this the folder of the recipe's run on `data`; with `overwrite`, deletes the run that it held.

        Args:
            recipe (`Recipe`): what is run.
            data (`str`): a hash of the rows that it is run on.

        Raises:
            ValueError: when the folder's run was on other data.
        """
        if self.marker.exists() and recipe.overwrite:
            self._delete_run()
        elif self.marker.exists() and json.loads(self.marker.read_text())["data"] != data:
            raise ValueError(
                f"The data of the run in {self.path} have changed since it was started, so it cannot be resumed; "
                "choose another output_dir, or set overwrite=true to delete it."
            )
        with reporting_failed_writes(self.path):
            write_text(self.path / "recipe.yaml", recipe.to_yaml())
            write_text(self.marker, json.dumps({"fingerprint": recipe.fingerprint(), "data": data}))

    def _delete_run(self) -> None:
        """Removes what a run leaves, and no file that somebody else put there."""
        self.marker.unlink()
        delete_own_card(self.path)  # whose numbers are the deleted run's
        for folder in ("checkpoints", "cache", "figures"):
            shutil.rmtree(self.path / folder, ignore_errors=True)
        for pattern in ("*.json", "*.safetensors", "recipe.yaml", "per_class_*.csv"):
            for file in self.path.glob(pattern):
                file.unlink()

    def last_checkpoint(self, stage: str) -> str | None:
        """The newest whole checkpoint inside a stage."""
        return last_whole_checkpoint(self.stage(stage))

    def finish_stage(self, name: str, model: LongTailPreTrainedModel, history: list[dict[str, Any]]) -> None:
        """Keeps the model as the stage left it, in one step, and drops the stage's own checkpoints.

        Raises:
            NonFiniteError: when a weight is not finite.
            CheckpointError: when the model cannot be written.
        """
        unfinished = self.stage(name) / "unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        check_finite(model, f"at the end of stage {name!r}")
        with reporting_failed_writes(unfinished):
            model.save_pretrained(unfinished)
            write_text(unfinished / "history.json", json.dumps(history))
            unfinished.rename(self.finished_stage(name))
        for checkpoint in self.stage(name).glob("checkpoint-*"):
            shutil.rmtree(checkpoint)

    def stage_history(self, name: str) -> list[dict[str, Any]]:
        """What the trainer logged in a finished stage."""
        return json.loads((self.finished_stage(name) / "history.json").read_text())


def write_text(path: Path, text: str) -> None:
    """Writes a file so that it is either whole or as it was."""
    with atomic_path(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


__all__ = ["RESULTS", "OutputFolder", "write_text"]
