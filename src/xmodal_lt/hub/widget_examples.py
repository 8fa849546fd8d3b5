"""Example pictures of a card: test pictures of a frequent, a medium and a rare class, and what the model says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets

from xmodal_lt.atomic_file import atomic_path
from xmodal_lt.data import decode_image
from xmodal_lt.metrics.groups import GROUPS
from xmodal_lt.prediction import Predictor
from xmodal_lt.training.evaluate_checkpoint import load_data_of_run


__all__ = ["WidgetExample", "widget_examples"]

FOLDER = "figures/widget"


@dataclass(frozen=True)
class WidgetExample:
    """
    A picture and its prediction.

    Args:
        file (`str`):
            Path of the picture, from the folder of the card.
        image_id (`str`):
            What the data set calls it.
        group (`str`):
            `"head"`, `"medium"` or `"tail"`.
        labels (`tuple[str, ...]`):
            Its true classes.
        predictions (`tuple[dict, ...]`):
            `label` and `score` of the best classes.
    """

    file: str
    image_id: str
    group: str
    labels: tuple[str, ...]
    predictions: tuple[dict[str, Any], ...]

    def entry(self) -> dict[str, Any]:
        """What the Hub reads."""
        title = f"{', '.join(self.labels)} ({self.group})"
        return {"src": self.file, "example_title": title, "output": list(self.predictions)}


def widget_examples(folder: Path, results: Mapping[str, Any]) -> list[WidgetExample]:
    """
    Write example pictures of a run into its folder, and predict their classes.

    The rule is fixed, whatever the model says: of each group the first test picture of the class with the most
    training samples that has one.

    Args:
        folder (`pathlib.Path`):
            Of the run, with its recipe.
        results (`Mapping[str, Any]`):
            Of its test split.

    Returns:
        `list[WidgetExample]`: One for each group that has a picture.

    Raises:
        ValueError, OSError, ImportError: If the data cannot be loaded.
    """
    rows = load_data_of_run(str(folder), as_table=True).splits["test"]
    chosen = _chosen_rows(rows, results)
    files = {group: folder / FOLDER / f"{group}.png" for group in chosen}
    for group, index in chosen.items():
        with atomic_path(files[group]) as unfinished:
            decode_image(rows[index]["image"]).save(unfinished, format="PNG")
    if not files:
        return []
    predicted = Predictor.from_pretrained(str(folder)).predict_files(files.values())
    names = [row["class"] for row in results["per_class"]]
    return [
        WidgetExample(
            file=f"{FOLDER}/{group}.png",
            image_id=str(rows[index]["image_id"]),
            group=group,
            labels=tuple(names[label] for label in _labels(rows[index])),
            predictions=tuple(prediction["predictions"]),
        )
        for (group, index), prediction in zip(chosen.items(), predicted, strict=True)
    ]


def _chosen_rows(rows: datasets.Dataset, results: Mapping[str, Any]) -> dict[str, int]:
    """A row for each group; no row twice, as one with several labels may belong to several groups."""
    labels = rows.select_columns("labels" if "labels" in rows.column_names else "label")
    first: dict[int, list[int]] = {}  # rows of each class
    for index, row in enumerate(labels):
        for label in _labels(row):
            first.setdefault(label, []).append(index)
    chosen: dict[str, int] = {}
    for group in GROUPS:
        members = [row for row in results["per_class"] if row["group"] == group and row["id"] in first]
        for row in sorted(members, key=lambda row: -row["train_count"]):
            found = next((index for index in first[row["id"]] if index not in chosen.values()), None)
            if found is not None:
                chosen[group] = found
                break
    return chosen


def _labels(row: Mapping[str, Any]) -> list[int]:
    return row["labels"] if "labels" in row else [row["label"]]
