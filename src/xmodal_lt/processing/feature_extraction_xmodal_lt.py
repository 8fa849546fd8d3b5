"""Sequences of pre-extracted features, such as videos, as padded tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch.nn.utils.rnn import pad_sequence
from transformers import BatchFeature, FeatureExtractionMixin


__all__ = ["XModalFeatureExtractor"]


class XModalFeatureExtractor(FeatureExtractionMixin):
    r"""
    Checks sequences of pre-extracted features, and pads them to one length: what an image processor is for images.

    Args:
        feature_size (`int`):
            Width D of the features, such as 1024 for S3D.
        privileged_size (`int`, *optional*):
            Width of the privileged features, for models that are trained with some.
        max_steps (`int`, *optional*):
            Longer sequences are thinned to so many steps, evenly spaced. As they are by default.
        privileged_max_steps (`int`, *optional*):
            The same for privileged features.

    Example:

    ```python
    >>> import numpy as np
    >>> from xmodal_lt.processing import XModalFeatureExtractor
    >>> extractor = XModalFeatureExtractor(feature_size=4)
    >>> batch = extractor([np.ones((3, 4)), np.ones((1, 4))], return_tensors="pt")
    >>> batch["features"].shape, batch["feature_mask"].tolist()
    (torch.Size([2, 3, 4]), [[1, 1, 1], [1, 0, 0]])

    ```
    """

    model_input_names = ["features", "feature_mask"]

    feature_size: int
    privileged_size: int | None
    max_steps: int | None
    privileged_max_steps: int | None

    def __init__(
        self,
        feature_size: int,
        privileged_size: int | None = None,
        max_steps: int | None = None,
        privileged_max_steps: int | None = None,
        **kwargs: Any,
    ) -> None:
        sizes = {
            "feature_size": feature_size,
            "privileged_size": privileged_size,
            "max_steps": max_steps,
            "privileged_max_steps": privileged_max_steps,
        }
        for name, value in sizes.items():
            if value is not None and value < 1:
                raise ValueError(f"`{name}` must be at least 1, got {value}.")
        super().__init__(**sizes, **kwargs)

    def __call__(
        self,
        features: ArrayLike | Sequence[ArrayLike] | None = None,
        privileged_features: ArrayLike | Sequence[ArrayLike] | None = None,
        return_tensors: str | None = None,
    ) -> BatchFeature:
        """
        Prepares a batch.

        Args:
            features (array_like or `Sequence`, *optional*):
                One sequence [T, D], or a list of sequences of any lengths.
            privileged_features (array_like or `Sequence`, *optional*):
                Those of the privileged modality, for training.
            return_tensors (`str`, *optional*):
                `"pt"` for tensors, `"np"` for arrays; `"np"` by default.

        Returns:
            `BatchFeature`: `features` float32 [B, T, D] and `feature_mask` [B, T], 1 for steps and 0 for padding;
            likewise `privileged_features` and `privileged_mask`, if given.

        Raises:
            ValueError: without any input, for sequences of another width or without a step, or values that are not
                finite.
        """
        if features is None and privileged_features is None:
            raise ValueError("Nothing to process: pass `features`.")
        data: dict[str, torch.Tensor] = {}
        if features is not None:
            rows = self._sequences(features, self.feature_size, self.max_steps, "features")
            data["features"], data["feature_mask"] = _padded(rows)
        if privileged_features is not None:
            if self.privileged_size is None:
                raise ValueError("`privileged_features` were given, but `privileged_size`, their width, is not set.")
            rows = self._sequences(
                privileged_features, self.privileged_size, self.privileged_max_steps, "privileged_features"
            )
            data["privileged_features"], data["privileged_mask"] = _padded(rows)
        if return_tensors != "pt":
            return BatchFeature({name: tensor.numpy() for name, tensor in data.items()})
        return BatchFeature(data)

    def _sequences(self, sequences: Any, width: int, max_steps: int | None, name: str) -> list[torch.Tensor]:
        rows = [sequences] if getattr(sequences, "ndim", None) == 2 else sequences
        if len(rows) == 0:
            raise ValueError(f"`{name}` is an empty list; pass at least one sequence.")
        return [_thinned(_checked(row, width, f"{name}[{position}]"), max_steps) for position, row in enumerate(rows)]


def _checked(row: Any, width: int, name: str) -> torch.Tensor:
    steps = torch.as_tensor(np.asarray(row, dtype=np.float32))
    if steps.ndim != 2 or steps.shape[1] != width or len(steps) == 0:
        raise ValueError(f"`{name}` must be [T, {width}] with T of at least 1, got {list(steps.shape)}.")
    if not steps.isfinite().all():
        raise ValueError(f"`{name}` has values that are not finite; extract these features anew.")
    return steps


def _thinned(steps: torch.Tensor, max_steps: int | None) -> torch.Tensor:
    if max_steps is None or len(steps) <= max_steps:
        return steps
    return steps[torch.linspace(0, len(steps) - 1, max_steps).round().long()]


def _padded(rows: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    mask = pad_sequence([torch.ones(len(row), dtype=torch.long) for row in rows], batch_first=True)
    return pad_sequence(rows, batch_first=True), mask
