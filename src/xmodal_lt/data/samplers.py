"""Samplers by name, for recipes."""

from __future__ import annotations

import inspect
from typing import Any

from .class_aware_sampler import ClassAwareSampler
from .class_members import Labels
from .class_sampler import ClassSampler
from .dual_sampler import DualSampler, bbn_mixing_weight
from .frequency_samplers import EffectiveNumberSampler, ReversedSampler, SquareRootSampler
from .messages import did_you_mean


__all__ = [
    "SAMPLERS",
    "ClassAwareSampler",
    "DualSampler",
    "EffectiveNumberSampler",
    "ReversedSampler",
    "SquareRootSampler",
    "bbn_mixing_weight",
    "build_sampler",
]

# Those that draw single rows, as a recipe's `sampler` must; `DualSampler` draws pairs.
SAMPLERS: dict[str, type[Any]] = {
    "class_aware": ClassAwareSampler,
    "effective_number": EffectiveNumberSampler,
    "reversed": ReversedSampler,
    "square_root": SquareRootSampler,
}


def build_sampler(name: str, labels: Labels, seed: int = 0, **kwargs: Any) -> ClassSampler:
    """
    Make the sampler that a recipe names.

    Args:
        name (`str`):
            A key of `SAMPLERS`: `"class_aware"`, `"effective_number"`, `"reversed"` or `"square_root"`.
        labels (`Sequence[int]`, `np.ndarray` or `Sequence[Sequence[int]]`):
            Labels of the training split; several a sample for `"class_aware"` alone.
        seed (`int`, *optional*, defaults to 0):
            From 0.
        **kwargs:
            Further arguments: `beta` of `"effective_number"`, `samples_per_class` and `reduce` of `"class_aware"`.

    Returns:
        `torch.utils.data.Sampler`: With `set_epoch`.

    Raises:
        ValueError: If the name, an argument or a label is not one that it can take.
        TypeError: If the labels are not whole numbers.

    Example:

    ```python
    >>> from xmodal_lt.data import build_sampler

    >>> sampler = build_sampler("class_aware", [0, 0, 0, 1], samples_per_class=1)
    >>> len(sampler)
    6
    ```
    """
    if name not in SAMPLERS:
        raise ValueError(f"unknown sampler {name!r}.{did_you_mean(name, SAMPLERS)} Known names are {sorted(SAMPLERS)}")
    known = [key for key in inspect.signature(SAMPLERS[name]).parameters if key not in ("labels", "seed")]
    unknown = [key for key in kwargs if key not in known]
    if unknown:
        raise ValueError(f"sampler {name!r} takes no {unknown}; its arguments are {known}")
    return SAMPLERS[name](labels, seed=seed, **kwargs)
