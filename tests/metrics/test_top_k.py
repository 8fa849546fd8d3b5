import numpy as np
import pytest

from xmodal_lt.metrics import top_k_indices


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_equals_a_stable_sort_also_where_scores_are_equal(dtype):
    scores = np.random.default_rng(0).integers(-3, 4, size=(50, 12)).astype(dtype)
    for k in (1, 5, 12):
        assert np.array_equal(top_k_indices(scores, k), np.argsort(-scores, axis=1, kind="stable")[:, :k])


def test_scores_are_not_changed():
    scores = np.arange(6.0).reshape(2, 3)
    top_k_indices(scores, k=3)
    assert np.array_equal(scores, np.arange(6.0).reshape(2, 3))
