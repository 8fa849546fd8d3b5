"""Making a split long-tailed: how many samples each class keeps, and which."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Any, Literal

import datasets
import numpy as np
import numpy.typing as npt

from .messages import some_of
from .table import column_values, item_feature


__all__ = ["Profile", "check_profile", "long_tailed_counts", "long_tailed_rows", "make_long_tailed"]

logger = logging.getLogger(__name__)

Profile = Literal["exponential", "step", "pareto"]

# Shape of the Pareto density that VOC-LT and COCO-LT were cut to, and where its support is cut off.
_PARETO_SHAPE = 6
_PARETO_QUANTILE = 0.99


def long_tailed_counts(
    num_classes: int, max_count: int, imbalance_ratio: float, profile: Profile = "exponential"
) -> list[int]:
    """
    Samples of each class in a long-tailed set, most frequent class first.

    With n_max = `max_count`, R = `imbalance_ratio`, C = `num_classes` and the rank r from 0 to C - 1:

    - `"exponential"`: n_max · R^(-r / (C - 1)), as in CIFAR-LT.
    - `"step"`: n_max for the first ⌊C / 2⌋ classes, n_max / R for the others.
    - `"pareto"`: n_min + (n_max - n_min) · x_r^(-7), with n_min = n_max / R and x_r in equal steps from 1 to
      100^(1/6), the 0.99 quantile of the Pareto distribution of shape 6. The least frequent class has a few more than
      n_min.

    Counts are rounded down, but not below 1.

    Args:
        num_classes (`int`):
            Classes, C, at least 1.
        max_count (`int`):
            Samples of the most frequent class, at least 1.
        imbalance_ratio (`float`):
            Samples of the most frequent class over those of the least frequent, at least 1.
        profile (`str`, *optional*, defaults to `"exponential"`):
            How the counts fall: `"exponential"`, `"step"` or `"pareto"`.

    Returns:
        `list[int]`: C counts that never rise.

    Raises:
        ValueError: If a number is out of its range or the profile is unknown.

    Source:
        Exponential and step: Cao et al., "Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss"
        (2019). Pareto: Wu et al., "Distribution-Balanced Loss for Multi-Label Classification in Long-Tailed Datasets"
        (2020), with whose code it gives the same reference counts for VOC-LT and COCO-LT.

    Example:

    ```python
    >>> from xmodal_lt.data import long_tailed_counts

    >>> long_tailed_counts(num_classes=5, max_count=500, imbalance_ratio=100)
    [500, 158, 50, 15, 5]
    >>> long_tailed_counts(num_classes=5, max_count=500, imbalance_ratio=100, profile="step")
    [500, 500, 5, 5, 5]
    ```
    """
    if num_classes < 1 or max_count < 1:
        raise ValueError(f"num_classes and max_count must be at least 1, got {num_classes} and {max_count}")
    check_profile(imbalance_ratio, profile)
    shares = _PROFILES[profile](num_classes, imbalance_ratio)
    # A whole number may come out a hair below itself, and must not be rounded down from there.
    return np.maximum(np.floor(max_count * shares + 1e-9), 1).astype(int).tolist()


def _exponential(num_classes: int, ratio: float) -> np.ndarray:
    return ratio ** -np.linspace(0, 1, num_classes)


def _step(num_classes: int, ratio: float) -> np.ndarray:
    return np.where(np.arange(num_classes) < max(num_classes // 2, 1), 1, 1 / ratio)


def _pareto(num_classes: int, ratio: float) -> np.ndarray:
    density = np.linspace(1, (1 - _PARETO_QUANTILE) ** (-1 / _PARETO_SHAPE), num_classes) ** -(_PARETO_SHAPE + 1)
    return 1 / ratio + (1 - 1 / ratio) * density


# name -> (C, ratio) -> count of each class as a share of the largest, shape [C]
_PROFILES: dict[str, Callable[[int, float], np.ndarray]] = {
    "exponential": _exponential,
    "step": _step,
    "pareto": _pareto,
}


def check_profile(imbalance_ratio: float, profile: str) -> None:
    """
    Check the options of a long-tailed subset before anything is read.

    Args:
        imbalance_ratio (`float`):
            Samples of the most frequent class over those of the least frequent.
        profile (`str`):
            How the counts fall.

    Raises:
        ValueError: If the ratio is not a number of at least 1, or the profile is unknown.
    """
    if not (math.isfinite(imbalance_ratio) and imbalance_ratio >= 1):
        raise ValueError(
            f"imbalance_ratio is the largest count over the smallest, so a number of at least 1; got {imbalance_ratio}"
        )
    if profile not in _PROFILES:
        raise ValueError(f"profile must be one of {list(_PROFILES)}, got {profile!r}")


def long_tailed_rows(
    labels: npt.ArrayLike, imbalance_ratio: float, profile: Profile = "exponential", seed: int = 0
) -> np.ndarray:
    """
    Choose the rows of a long-tailed subset.

    Classes are ranked by their samples, ties by class id; a class without samples takes no rank. The largest keeps all
    of its samples, the others a random choice of as many as [`long_tailed_counts`] asks for. Where a class has fewer,
    all of them stay, and a warning counts such classes. Which samples a class keeps first depends on the seed and the
    class alone, so more imbalanced subsets are parts of less imbalanced ones.

    Args:
        labels (`array_like`):
            Class ids, whole numbers from 0, shape [N].
        imbalance_ratio (`float`):
            Samples of the most frequent class over those of the least frequent, at least 1.
        profile (`str`, *optional*, defaults to `"exponential"`):
            How the counts fall: `"exponential"`, `"step"` or `"pareto"`.
        seed (`int`, *optional*, defaults to 0):
            Chooses the samples, from 0.

    Returns:
        `np.ndarray`: Rising row numbers, int64, shape [M].

    Raises:
        ValueError: If there are no labels, one is negative, or an option is out of its range.
    """
    ids = np.asarray(labels)
    if ids.ndim != 1 or ids.size == 0 or ids.min() < 0:
        raise ValueError(
            f"expected one class id of at least 0 for each sample, got shape {ids.shape}"
            + (f" with {ids.min()} as the smallest. Drop samples without a label first" if ids.size else "")
        )
    class_ids, classes, available = np.unique(ids, return_inverse=True, return_counts=True)
    ranked = np.argsort(-available, kind="stable")
    wanted = long_tailed_counts(len(ranked), int(available.max()), imbalance_ratio, profile)
    # Grouped by class, so that the rows of each class are a slice.
    members = np.split(np.argsort(classes, kind="stable"), np.cumsum(available)[:-1])
    kept, short = [], []
    for index, count in zip(ranked, wanted, strict=True):
        class_id = int(class_ids[index])
        kept.append(np.random.default_rng([seed, class_id]).permutation(members[index])[:count])
        if available[index] < count:
            short.append(str(class_id))
    if short:
        logger.warning(
            "%d of %d classes have fewer samples than the %s profile asks for, and keep them all: %s",
            len(short),
            len(ranked),
            profile,
            some_of(short),
        )
    return np.sort(np.concatenate(kept))


def make_long_tailed(
    dataset: datasets.Dataset,
    label_column: str,
    imbalance_ratio: float,
    profile: Profile = "exponential",
    seed: int = 0,
) -> datasets.Dataset:
    """
    Cut a training split down to a long-tailed one. Only its label column is read; no image is decoded.

    The largest class keeps all its samples. The choice of rows is that of [`long_tailed_rows`].

    Args:
        dataset (`datasets.Dataset`):
            The training split, for instance `load_lt(...)["train"]`.
        label_column (`str`):
            A column of `ClassLabel` or of whole numbers, one a sample.
        imbalance_ratio (`float`):
            Samples of the most frequent class over those of the least frequent, at least 1.
        profile (`str`, *optional*, defaults to `"exponential"`):
            How the counts fall: `"exponential"`, `"step"` or `"pareto"`, see [`long_tailed_counts`].
        seed (`int`, *optional*, defaults to 0):
            Chooses the samples, from 0.

    Returns:
        `datasets.Dataset`: A part of the rows, in their order, with the same columns and label names.

    Raises:
        TypeError: If `dataset` is not one split, or the column holds something else, such as several labels a sample.
        ValueError: If the column is not there, a sample has no label, or an option is out of its range.

    Example:

    ```python
    >>> from collections import Counter

    >>> import datasets
    >>> from xmodal_lt.data import make_long_tailed

    >>> balanced = datasets.Dataset.from_dict({"label": [0, 1, 2] * 100})
    >>> Counter(make_long_tailed(balanced, "label", imbalance_ratio=25)["label"])
    Counter({0: 100, 1: 20, 2: 4})
    ```
    """
    labels = _read_class_ids(dataset, label_column)
    return dataset.select(long_tailed_rows(labels, imbalance_ratio, profile, seed))


def _read_class_ids(dataset: Any, column: str) -> list[int]:
    if not isinstance(dataset, datasets.Dataset):
        raise TypeError(
            f"expected the training split as datasets.Dataset, got {type(dataset).__name__}. "
            'From a DatasetDict pass `dataset["train"]`'
        )
    if column not in dataset.column_names:
        raise ValueError(f"the data set has no column {column!r}; its columns are {dataset.column_names}")
    feature = dataset.features[column]
    if item_feature(feature) is not feature:
        raise TypeError(
            f"column {column!r} holds several labels a sample, so no choice of rows gives every class its count. "
            "make_long_tailed takes one label a sample"
        )
    if not (isinstance(feature, (datasets.ClassLabel, datasets.Value)) and "int" in feature.dtype):
        raise TypeError(
            f"column {column!r} must hold ClassLabel or whole numbers, got {feature}. Load the data with "
            f"`load_lt(..., label_column={column!r})`, which numbers the classes"
        )
    labels = column_values(dataset, column)
    unlabelled = next((row for row, label in enumerate(labels) if label is None or label < 0), None)
    if unlabelled is not None:
        raise ValueError(f"row {unlabelled} has no label in column {column!r}. Drop such rows first")
    return labels
