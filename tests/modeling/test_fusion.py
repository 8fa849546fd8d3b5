import pytest
import torch

from xmodal_lt.modeling.fusion import FUSIONS, fuse, fused_size


FIRST = torch.tensor([[1.0, -2.0, 3.0]])
SECOND = torch.tensor([[0.5, 4.0, -1.0]])


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("add", [[1.5, 2.0, 2.0]]),
        ("concat", [[1.0, -2.0, 3.0, 0.5, 4.0, -1.0]]),
        ("multiply", [[0.5, -8.0, -3.0]]),
        ("max", [[1.0, 4.0, 3.0]]),
        ("min", [[0.5, -2.0, -1.0]]),
    ],
)
def test_fuses(mode, expected):
    assert fuse(FIRST, SECOND, mode=mode).tolist() == expected


@pytest.mark.parametrize("mode", FUSIONS)
@pytest.mark.parametrize("features", [(FIRST, SECOND), (FIRST, SECOND, FIRST)], ids=len)
def test_size_is_that_of_the_output(mode, features):
    assert fused_size(3, mode, len(features)) == fuse(*features, mode=mode).shape[-1]


def test_fuses_three_branches():
    assert fuse(FIRST, SECOND, torch.tensor([[9.0, -9.0, 0.0]]), mode="max").tolist() == [[9.0, 4.0, 3.0]]


def test_names_an_unknown_mode():
    with pytest.raises(ValueError, match="Unknown fusion 'mul'; expected one of concat, add, multiply, max, min"):
        fuse(FIRST, SECOND, mode="mul")
