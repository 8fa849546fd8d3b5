import math
import warnings

import pytest
import torch

from xmodal_lt.modeling.alignment_losses import KL_DIRECTIONS, KL_REDUCTIONS, kl_alignment_loss


DOUBLE = {"rtol": 1e-7, "atol": 1e-12}
OUTPUTS = {
    ("mean", "word_to_image"): "kl_official_elementwise_mean",
    ("batchmean", "word_to_image"): "kl_batchmean",
    ("batchmean", "image_to_word"): "kl_reverse_batchmean",
}


@pytest.fixture
def record(golden):
    return golden("kl_alignment")


@pytest.fixture
def embeds(record):
    """Image and word features of the record, float64 `[4, 6]`, both with gradients."""
    names = ("visual", "semantic")
    return [torch.tensor(record["inputs"][name], dtype=torch.float64, requires_grad=True) for name in names]


def _plain_kl(target: list[float], predicted: list[float]) -> list[float]:
    """KL(softmax(target) || softmax(predicted)) of one sample, by elements."""
    p, q = ([math.exp(x) / sum(map(math.exp, row)) for x in row] for row in (target, predicted))
    return [a * math.log(a / b) for a, b in zip(p, q, strict=True)]


@pytest.mark.parametrize(("reduction", "direction"), OUTPUTS)
def test_equals_the_recorded_reference(record, embeds, reduction, direction):
    loss = kl_alignment_loss(*embeds, reduction=reduction, direction=direction)

    expected = torch.tensor(record["outputs"][OUTPUTS[reduction, direction]], dtype=torch.float64)
    torch.testing.assert_close(loss, expected, **DOUBLE)


def test_image_gradient_equals_the_recorded_reference(record, embeds):
    kl_alignment_loss(*embeds, reduction="mean").backward()

    expected = torch.tensor(record["outputs"]["grad_wrt_visual"], dtype=torch.float64)
    torch.testing.assert_close(embeds[0].grad, expected, **DOUBLE)


@pytest.mark.parametrize("direction", KL_DIRECTIONS)
def test_unreduced_loss_equals_a_loop(record, embeds, direction):
    loss = kl_alignment_loss(*embeds, reduction="none", direction=direction)

    pairs = zip(record["inputs"]["semantic"], record["inputs"]["visual"], strict=True)
    rows = [_plain_kl(*(pair if direction == "word_to_image" else reversed(pair))) for pair in pairs]
    torch.testing.assert_close(loss, torch.tensor(rows, dtype=torch.float64), **DOUBLE)


@pytest.mark.parametrize("direction", KL_DIRECTIONS)
@pytest.mark.parametrize(("reduction", "divisor"), [("sum", 1), ("batchmean", 4), ("mean", 24)])
def test_reductions_divide_the_sum(embeds, reduction, divisor, direction):
    elements = kl_alignment_loss(*embeds, reduction="none", direction=direction)

    loss = kl_alignment_loss(*embeds, reduction=reduction, direction=direction)

    torch.testing.assert_close(loss, elements.sum() / divisor, **DOUBLE)


@pytest.mark.parametrize("direction", KL_DIRECTIONS)
@pytest.mark.parametrize("reduction", KL_REDUCTIONS)
def test_gradients_equal_finite_differences(embeds, reduction, direction):
    def loss(image_embeds, word_embeds):
        return kl_alignment_loss(image_embeds, word_embeds, reduction, direction, detach_words=False)

    assert torch.autograd.gradcheck(loss, embeds)


@pytest.mark.parametrize("direction", KL_DIRECTIONS)
def test_detached_words_get_no_gradient(embeds, direction):
    image_embeds, word_embeds = embeds

    kl_alignment_loss(image_embeds, word_embeds, direction=direction).backward()

    assert word_embeds.grad is None
    assert image_embeds.grad.abs().sum() > 0


@pytest.mark.parametrize("reduction", KL_REDUCTIONS)
def test_no_reduction_warns(embeds, reduction):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kl_alignment_loss(*embeds, reduction=reduction)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_is_computed_in_float32_at_least(embeds, dtype):
    # The inputs are rounded first, so that only the arithmetic differs: float32's, some 1e-7 a step.
    narrow = [tensor.detach().to(dtype) for tensor in embeds]

    loss = kl_alignment_loss(*narrow)

    expected = kl_alignment_loss(*(tensor.double() for tensor in narrow))
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=1e-7)


def test_leaves_its_inputs_as_they_are(embeds):
    before = [tensor.detach().clone() for tensor in embeds]

    kl_alignment_loss(*embeds).backward()

    assert all(torch.equal(tensor, copy) for tensor, copy in zip(embeds, before, strict=True))


def test_is_finite_for_extreme_features():
    image_embeds = torch.tensor([[1e4, 0.0, -1e4]], requires_grad=True)

    loss = kl_alignment_loss(image_embeds, torch.tensor([[-1e4, 0.0, 1e4]]))
    loss.backward()

    assert loss.isfinite()
    assert image_embeds.grad.isfinite().all()


@pytest.mark.parametrize("argument", ["reduction", "direction"])
def test_names_an_unknown_option(embeds, argument):
    with pytest.raises(ValueError, match=f"Unknown {argument} 'median'; expected one of"):
        kl_alignment_loss(*embeds, **{argument: "median"})


def test_names_shapes_that_differ():
    with pytest.raises(ValueError, match=r"\(2, 3\) and \(2, 4\); project both to the same space"):
        kl_alignment_loss(torch.zeros(2, 3), torch.zeros(2, 4))
