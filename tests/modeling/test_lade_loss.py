import math

import pytest
import torch

from xmodal_lt.modeling.lade_loss import lade_loss
from xmodal_lt.modeling.single_label_losses import logit_adjusted_cross_entropy


DOUBLE = {"rtol": 1e-7, "atol": 1e-12}
COUNTS = [60, 25, 10, 5]


@pytest.fixture
def batch():
    """Logits (float64 `[6, 4]`) and target of a batch without class 2."""
    logits = torch.randn(6, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return logits, torch.tensor([0, 0, 1, 3, 0, 1])


def _regularizer(logits, target, lam):
    total = 0.0
    for c, count in enumerate(COUNTS):
        prior = count / sum(COUNTS)
        own = [row[c] for row, y in zip(logits.tolist(), target.tolist(), strict=True) if y == c]
        mean = sum(math.exp(row[c]) * (1 / len(COUNTS)) / prior for row in logits.tolist()) / len(logits)
        bound = (sum(own) / len(own) if own else 0) - math.log(mean) - lam * math.log(mean) ** 2
        total -= prior * bound
    return total


@pytest.mark.parametrize(("alpha", "lam"), [(0.1, 0.1), (0.5, 0.0), (1.0, 2.0)])
def test_equals_a_loop(batch, alpha, lam):
    loss = lade_loss(*batch, COUNTS, alpha=alpha, lam=lam)

    expected = logit_adjusted_cross_entropy(*batch, COUNTS) + alpha * _regularizer(*batch, lam)
    torch.testing.assert_close(loss, expected, **DOUBLE)


def test_without_regularizer_it_is_balanced_softmax(batch):
    loss = lade_loss(*batch, COUNTS, alpha=0.0)

    torch.testing.assert_close(loss, logit_adjusted_cross_entropy(*batch, COUNTS), **DOUBLE)
