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
        ("max", [[1.0, 4.0, 3.0]]),
        ("min", [[0.5, -2.0, -1.0]]),
    ],
)
def test_fuses(mode, expected):
    assert fuse(FIRST, SECOND, mode).tolist() == expected


@pytest.mark.parametrize("mode", FUSIONS)
def test_size_is_that_of_the_output(mode):
    assert fused_size(3, mode) == fuse(FIRST, SECOND, mode).shape[-1]


def test_names_an_unknown_mode():
    with pytest.raises(ValueError, match="Unknown fusion 'mul'; expected one of add, concat, max, min"):
        fuse(FIRST, SECOND, "mul")
