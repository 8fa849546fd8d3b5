"""How many training samples each class has: the numbers that long-tailed losses, samplers and metrics need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import datasets
import numpy as np
import numpy.typing as npt

from xmodal_lt.metrics.groups import Boundaries, frequency_groups

from .label_arrays import check_class_ids, is_single_label, multi_hot
from .messages import some_of
from .table import arrow_column, column_values, item_feature


__all__ = ["ClassStats"]


@dataclass(frozen=True, eq=False)
class ClassStats:
    """
    Statistics of the classes of a training split.

    Make one with [`ClassStats.from_dataset`] or [`ClassStats.from_labels`].

    Args:
        counts (`np.ndarray`):
            Training samples of each class, integer, shape [C].
        num_samples (`int`):
            Training samples. Fewer than the sum of `counts` where a sample has several labels.
        class_names (`Sequence[str]`, *optional*, defaults to the class ids):
            Name of each class.
        head_threshold (`int`, *optional*, defaults to 100):
            Upper threshold of the frequency groups.
        tail_threshold (`int`, *optional*, defaults to 20):
            Lower threshold of the frequency groups.
        boundaries (`str`, *optional*, defaults to `"decoupling"`):
            The group of a class that is exactly at a threshold: `"decoupling"`, `"vl_ltr"` or `"multilabel"`, see
            [`~xmodal_lt.metrics.frequency_groups`].
        cooccurrence (`np.ndarray`, *optional*):
            For multi-label sets: samples that have both classes, integer, shape [C, C], `counts` on the diagonal.

    Raises:
        ValueError: If shapes do not fit together, or the thresholds or boundaries are invalid.

    Example:

    ```python
    >>> from xmodal_lt.data import ClassStats

    >>> stats = ClassStats.from_labels([0, 0, 0, 1], class_names=["cat", "dog"], head=2, tail=1)
    >>> stats.counts.tolist(), stats.groups.tolist(), stats.imbalance_ratio
    ([3, 1], ['head', 'medium'], 3.0)
    ```
    """

    counts: np.ndarray
    num_samples: int
    class_names: Sequence[str] = ()
    head_threshold: int = 100
    tail_threshold: int = 20
    boundaries: Boundaries = "decoupling"
    cooccurrence: np.ndarray | None = None

    def __post_init__(self) -> None:
        set_field = object.__setattr__  # the way to complete a frozen dataclass
        set_field(self, "counts", _read_only(self.counts))
        set_field(self, "class_names", tuple(self.class_names) or tuple(map(str, range(len(self.counts)))))
        if len(self.class_names) != len(self.counts):
            raise ValueError(
                f"expected one name per class, got {len(self.class_names)} for {len(self.counts)} classes"
            )
        if self.cooccurrence is not None:
            set_field(self, "cooccurrence", _read_only(self.cooccurrence))
            if not np.array_equal(self.cooccurrence.diagonal(), self.counts):
                raise ValueError("cooccurrence must have shape [C, C] and the counts on its diagonal")
        _ = self.groups  # fails now, not in the first evaluation, if a threshold is wrong

    @classmethod
    def from_labels(
        cls,
        labels: Sequence[int] | Sequence[Sequence[int]] | np.ndarray,
        num_classes: int | None = None,
        class_names: Sequence[str] | None = None,
        head: int = 100,
        tail: int = 20,
        boundaries: Boundaries = "decoupling",
    ) -> ClassStats:
        """
        Count labels.

        Args:
            labels (`array_like` or `list[list[int]]`):
                Class ids, shape [N]; or, for multi-label sets, an array of zeros and ones, shape [N, C], or a list
                with the class ids of each sample.
            num_classes (`int`, *optional*):
                Classes, C. Taken from `class_names`, the width of the array or else the largest id.
            class_names (`Sequence[str]`, *optional*):
                Name of each class.
            head (`int`, *optional*, defaults to 100):
                Upper threshold of the frequency groups.
            tail (`int`, *optional*, defaults to 20):
                Lower threshold of the frequency groups.
            boundaries (`str`, *optional*, defaults to `"decoupling"`):
                The group of a class that is exactly at a threshold.

        Returns:
            [`ClassStats`]: Without `cooccurrence` if every sample has one label.

        Raises:
            ValueError: If there are no labels, one is out of range, or an array is not of zeros and ones.
            TypeError: If the labels are not whole numbers.
        """
        if num_classes is None and class_names is not None:
            num_classes = len(class_names)
        if len(labels) == 0:
            raise ValueError("cannot count classes: there are no labels")
        cooccurrence = None
        if is_single_label(labels):
            ids = np.asarray(labels)
            check_class_ids(ids, np.arange(len(ids)), num_classes)
            counts = np.bincount(ids, minlength=num_classes or 0)
        else:
            labels_of_samples = multi_hot(labels, num_classes)
            cooccurrence = (labels_of_samples.T @ labels_of_samples).toarray()
            counts = cooccurrence.diagonal()
        return cls(
            counts=counts,
            num_samples=len(labels),
            class_names=class_names or (),
            head_threshold=head,
            tail_threshold=tail,
            boundaries=boundaries,
            cooccurrence=cooccurrence,
        )

    @classmethod
    def from_dataset(
        cls,
        dataset: datasets.Dataset,
        label_column: str | None = None,
        head: int = 100,
        tail: int = 20,
        boundaries: Boundaries = "decoupling",
    ) -> ClassStats:
        """
        Count the classes of a training split. Only its label column is read; no image is decoded.

        Args:
            dataset (`datasets.Dataset`):
                The training split.
            label_column (`str`, *optional*, defaults to `"label"` or `"labels"`, whichever there is):
                A column of `ClassLabel` or of lists of `ClassLabel`.
            head (`int`, *optional*, defaults to 100):
                Upper threshold of the frequency groups.
            tail (`int`, *optional*, defaults to 20):
                Lower threshold of the frequency groups.
            boundaries (`str`, *optional*, defaults to `"decoupling"`):
                The group of a class that is exactly at a threshold.

        Returns:
            [`ClassStats`]

        Raises:
            TypeError: If `dataset` is not one split, or the column does not hold `ClassLabel`.
            ValueError: If the column is not there, or a sample has no label.
        """
        if not isinstance(dataset, datasets.Dataset):
            raise TypeError(
                f"expected the training split as datasets.Dataset, got {type(dataset).__name__}. "
                'From a DatasetDict pass `dataset["train"]`'
            )
        names = [label_column] if label_column else ["label", "labels"]
        column = next((name for name in names if name in dataset.column_names), None)
        if column is None:
            raise ValueError(
                f"the data set has no column {' or '.join(map(repr, names))}; its columns are {dataset.column_names}. "
                "Name the one with the labels as `label_column`"
            )
        feature = dataset.features[column]
        label = item_feature(feature)
        if not isinstance(label, datasets.ClassLabel):
            raise TypeError(
                f"column {column!r} must hold ClassLabel or lists of ClassLabel, got {feature}. Load the data with "
                f"`load_lt(..., label_column={column!r})`, which numbers the classes"
            )
        labels: Any = column_values(dataset, column) if label is not feature else _class_ids(dataset, column)
        return cls.from_labels(labels, class_names=label.names, head=head, tail=tail, boundaries=boundaries)

    @property
    def num_classes(self) -> int:
        """Number of classes, C."""
        return len(self.counts)

    @cached_property
    def groups(self) -> np.ndarray:
        """`"head"`, `"medium"` or `"tail"` for each class, shape [C]."""
        return _read_only(frequency_groups(self.counts, self.head_threshold, self.tail_threshold, self.boundaries))

    @property
    def imbalance_ratio(self) -> float:
        """Largest count over the smallest; infinite if a class is empty."""
        smallest = self.counts.min()
        return float(self.counts.max() / smallest) if smallest else float("inf")

    @property
    def priors(self) -> np.ndarray:
        """Share of the training samples that have each class, shape [C], from 0 to 1."""
        return self.counts / self.num_samples

    def require_all(self) -> ClassStats:
        """
        Check that every class has a training sample, as many losses and samplers divide by the count.

        Returns:
            [`ClassStats`]: Itself.

        Raises:
            ValueError: If a class is empty.
        """
        empty = [name for name, count in zip(self.class_names, self.counts, strict=True) if count == 0]
        if empty:
            raise ValueError(
                f"{len(empty)} of {self.num_classes} classes have no training sample: {some_of(empty)}. Add samples, "
                "or remove these classes from the label names and their samples from the other splits"
            )
        return self

    def to_dict(self) -> dict[str, Any]:
        """
        Write as plain types.

        Returns:
            `dict[str, Any]`: What JSON can hold and [`ClassStats.from_dict`] reads.
        """
        return {
            "counts": self.counts.tolist(),
            "num_samples": self.num_samples,
            "class_names": list(self.class_names),
            "head_threshold": self.head_threshold,
            "tail_threshold": self.tail_threshold,
            "boundaries": self.boundaries,
            "cooccurrence": None if self.cooccurrence is None else self.cooccurrence.tolist(),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ClassStats:
        """
        Read what [`ClassStats.to_dict`] wrote.

        Args:
            values (`dict[str, Any]`):
                The plain types.

        Returns:
            [`ClassStats`]
        """
        return cls(**values)


def _class_ids(dataset: datasets.Dataset, column: str) -> np.ndarray:
    ids = arrow_column(dataset, column)
    if ids.null_count:
        row = ids.is_null().index(True).as_py()
        raise ValueError(f"row {row} has no label in column {column!r}. Drop such rows first")
    return ids.to_numpy()


def _read_only(values: npt.ArrayLike) -> np.ndarray:
    array = np.array(values)
    array.setflags(write=False)
    return array
