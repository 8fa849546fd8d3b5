import inspect

import pytest

from xmodal_lt import losses


def _parameters(name: str) -> dict:
    parameters = inspect.signature(getattr(losses, name)).parameters.values()
    return {p.name: None if p.default is p.empty else p.default for p in parameters}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "kl_alignment_loss",
            {
                "image_embeds": None,
                "word_embeds": None,
                "reduction": "batchmean",
                "direction": "word_to_image",
                "detach_words": True,
            },
        ),
        (
            "logit_adjusted_cross_entropy",
            {
                "logits": None,
                "target": None,
                "class_counts": None,
                "tau": 1.0,
                "weight": None,
                "reduction": "mean",
            },
        ),
    ],
)
def test_public_signatures_stay(name, expected):
    assert _parameters(name) == expected
