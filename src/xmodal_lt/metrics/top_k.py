"""The k highest scores of each sample."""

from __future__ import annotations

import numpy as np


__all__ = ["top_k_indices"]


def top_k_indices(scores: np.ndarray, k: int) -> np.ndarray:
    """
    Classes of the k highest scores of each sample, the best first.

    Equal scores rank by class index, so that the first column is always `scores.argmax(axis=1)`.

    Args:
        scores (`np.ndarray`): Finite scores, shape [N, C].
        k (`int`): How many classes, from 1 to C.

    Returns:
        `np.ndarray`: Class indices of shape [N, k].

    Raises:
        ValueError: If `k` is below 1 or above C.

    Example:

    ```python
    >>> import numpy as np
    >>> from xmodal_lt.metrics import top_k_indices

    >>> top_k_indices(np.array([[0.1, 0.7, 0.2], [0.5, 0.5, 0.0]]), k=2).tolist()
    [[1, 2], [0, 1]]
    ```
    """
    num_samples, num_classes = scores.shape
    if not 1 <= k <= num_classes:
        raise ValueError(f"k must lie in 1..{num_classes}, the number of classes; got {k}")
    remaining = scores.astype(np.promote_types(scores.dtype, np.float32))  # a copy, to strike out what was taken
    taken = np.empty((num_samples, k), dtype=np.intp)
    # k passes of argmax beat a full sort for the few k in use, and unlike argpartition they settle ties.
    for place in range(k):
        taken[:, place] = remaining.argmax(axis=1)
        np.put_along_axis(remaining, taken[:, place, None], -np.inf, axis=1)
    return taken
