"""Alignment losses against recorded values and against their formulas, written again as loops over numbers."""

import math
import re
import warnings
from functools import partial

import pytest
import torch
from crif_reference import Rows, covariance, squared_distance

from xmodal_lt.modeling.alignment_losses import (
    CORAL_MODES,
    KL_DIRECTIONS,
    KL_REDUCTIONS,
    centroid_alignment_loss,
    deep_coral_loss,
    kl_alignment_loss,
    l2_alignment_loss,
)


DOUBLE = {"rtol": 1e-7, "atol": 1e-12}
RECORDED = {"rtol": 1e-8, "atol": 1e-10}  # as the files of the recorded values state it
KL_OUTPUTS = {
    ("mean", "word_to_image"): "kl_official_elementwise_mean",
    ("batchmean", "word_to_image"): "kl_batchmean",
    ("batchmean", "image_to_word"): "kl_reverse_batchmean",
}
CORAL_OUTPUTS = {"coral": "coral", "literal": "crif_eq10_literal"}
CLASS_IDS = torch.tensor([2, 0, 2, 5])
MULTI_HOT = torch.tensor([[1.0, 0, 1], [0, 1, 1], [1, 0, 1], [0, 0, 0]])


def _of(labels, **arguments):
    """The centroid loss of the first rows of `labels`, as a function of images and words."""
    return lambda images, words: centroid_alignment_loss(images, words, labels[: len(images)], **arguments)


# Every loss as a function of images and words `[B, D]`.
LOSSES = {
    "kl": partial(kl_alignment_loss, detach_words=False),
    "kl, image to word": partial(kl_alignment_loss, detach_words=False, direction="image_to_word"),
    "l2": l2_alignment_loss,
    "l2, normalised": partial(l2_alignment_loss, normalize=True),
    "coral": deep_coral_loss,
    "coral, literal": partial(deep_coral_loss, mode="literal"),
    "centroid": _of(CLASS_IDS),
    "centroid, pooled": _of(CLASS_IDS, pooled=True),
    "centroid, multi-hot": _of(MULTI_HOT),
    "centroid, multi-hot, pooled": _of(MULTI_HOT, pooled=True),
}
each_loss = pytest.mark.parametrize("loss_of", LOSSES.values(), ids=LOSSES)


def _tensor(rows, requires_grad: bool = False) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float64, requires_grad=requires_grad)


@pytest.fixture
def kl_record(golden):
    return golden("kl_alignment")


@pytest.fixture
def embeds(kl_record):
    """Image and word features of the record, float64 `[4, 6]`, both with gradients."""
    return [_tensor(kl_record["inputs"][name], requires_grad=True) for name in ("visual", "semantic")]


def _plain_kl(target: list[float], predicted: list[float]) -> list[float]:
    """KL(softmax(target) || softmax(predicted)) of one sample, by elements."""
    p, q = ([math.exp(x) / sum(map(math.exp, row)) for x in row] for row in (target, predicted))
    return [a * math.log(a / b) for a, b in zip(p, q, strict=True)]


def _plain_distances(images: Rows, words: Rows) -> list[float]:
    return [math.sqrt(squared_distance(x, t)) for x, t in zip(images, words, strict=True)]


class TestEveryLoss:
    @each_loss
    def test_gradients_equal_finite_differences(self, loss_of, embeds):
        assert torch.autograd.gradcheck(loss_of, embeds)

    @each_loss
    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
    def test_is_computed_in_float32_at_least(self, loss_of, embeds, dtype):
        # The inputs are rounded first, so that only the arithmetic differs: float32's, some 1e-7 a step.
        narrow = [tensor.detach().to(dtype) for tensor in embeds]

        loss = loss_of(*narrow)

        assert loss.dtype == torch.float32
        torch.testing.assert_close(
            loss.double(), loss_of(*(tensor.double() for tensor in narrow)), rtol=1e-5, atol=1e-7
        )

    @each_loss
    def test_autocast_does_not_narrow_the_arithmetic(self, loss_of, embeds):
        single = [tensor.detach().float() for tensor in embeds]

        with torch.autocast("cpu", torch.bfloat16):
            loss = loss_of(*single)

        assert torch.equal(loss, loss_of(*single))

    @each_loss
    def test_leaves_its_inputs_as_they_are(self, loss_of, embeds):
        before = [tensor.detach().clone() for tensor in (*embeds, CLASS_IDS, MULTI_HOT)]

        loss_of(*embeds).backward()

        assert all(map(torch.equal, (*embeds, CLASS_IDS, MULTI_HOT), before))

    @each_loss
    # float16 ends at 65504, and so do gradients with respect to it.
    @pytest.mark.parametrize(
        ("dtype", "size"), [(torch.float32, 1e4), (torch.float32, 1e7), (torch.bfloat16, 1e4), (torch.float16, 1e3)]
    )
    def test_is_finite_for_extreme_features(self, loss_of, dtype, size):
        signs = torch.tensor([[1, 0, -1], [-1, 1, 0], [1, 1, 1], [0, -1, 1]])
        images, words = ((size * sign * signs).to(dtype).requires_grad_() for sign in (1, -1))

        loss = loss_of(images, words)
        loss.backward()

        assert loss.isfinite()
        assert images.grad.isfinite().all()
        assert words.grad.isfinite().all()

    @each_loss
    def test_equal_features_have_neither_loss_nor_gradient(self, loss_of, embeds):
        images, words = (embeds[0].detach().clone().requires_grad_() for _ in range(2))

        loss = loss_of(images, words)
        loss.backward()

        assert loss.item() == 0
        torch.testing.assert_close(images.grad, torch.zeros(4, 6, dtype=torch.float64), **DOUBLE)
        torch.testing.assert_close(words.grad, torch.zeros(4, 6, dtype=torch.float64), **DOUBLE)

    @each_loss
    def test_features_of_zero_have_a_finite_gradient(self, loss_of, embeds):
        images = torch.zeros(4, 6, dtype=torch.float64, requires_grad=True)

        loss_of(images, embeds[1]).backward()

        assert images.grad.isfinite().all()

    @each_loss
    def test_a_batch_of_one_is_finite(self, loss_of, embeds):
        images, words = (tensor[:1].detach().requires_grad_() for tensor in embeds)

        loss = loss_of(images, words)
        loss.backward()

        assert loss.isfinite()
        assert images.grad.isfinite().all()

    @each_loss
    def test_names_shapes_that_differ(self, loss_of):
        with pytest.raises(ValueError, match=r"\(2, 3\)(,| and) \(2, 4\)"):
            loss_of(torch.zeros(2, 3), torch.zeros(2, 4))


class TestKL:
    @pytest.mark.parametrize(("reduction", "direction"), KL_OUTPUTS)
    def test_equals_the_recorded_reference(self, kl_record, embeds, reduction, direction):
        loss = kl_alignment_loss(*embeds, reduction=reduction, direction=direction)

        expected = _tensor(kl_record["outputs"][KL_OUTPUTS[reduction, direction]])
        torch.testing.assert_close(loss, expected, **DOUBLE)

    def test_image_gradient_equals_the_recorded_reference(self, kl_record, embeds):
        kl_alignment_loss(*embeds, reduction="mean").backward()

        torch.testing.assert_close(embeds[0].grad, _tensor(kl_record["outputs"]["grad_wrt_visual"]), **DOUBLE)

    @pytest.mark.parametrize("direction", KL_DIRECTIONS)
    def test_unreduced_loss_equals_a_loop(self, kl_record, embeds, direction):
        loss = kl_alignment_loss(*embeds, reduction="none", direction=direction)

        pairs = zip(kl_record["inputs"]["semantic"], kl_record["inputs"]["visual"], strict=True)
        rows = [_plain_kl(*(pair if direction == "word_to_image" else reversed(pair))) for pair in pairs]
        torch.testing.assert_close(loss, _tensor(rows), **DOUBLE)

    @pytest.mark.parametrize("direction", KL_DIRECTIONS)
    @pytest.mark.parametrize(("reduction", "divisor"), [("sum", 1), ("batchmean", 4), ("mean", 24)])
    def test_reductions_divide_the_sum(self, embeds, reduction, divisor, direction):
        elements = kl_alignment_loss(*embeds, reduction="none", direction=direction)

        loss = kl_alignment_loss(*embeds, reduction=reduction, direction=direction)

        torch.testing.assert_close(loss, elements.sum() / divisor, **DOUBLE)

    @pytest.mark.parametrize("direction", KL_DIRECTIONS)
    @pytest.mark.parametrize("reduction", KL_REDUCTIONS)
    def test_gradients_equal_finite_differences(self, embeds, reduction, direction):
        def loss(image_embeds, word_embeds):
            return kl_alignment_loss(image_embeds, word_embeds, reduction, direction, detach_words=False)

        assert torch.autograd.gradcheck(loss, embeds)

    @pytest.mark.parametrize("direction", KL_DIRECTIONS)
    def test_detached_words_get_no_gradient(self, embeds, direction):
        image_embeds, word_embeds = embeds

        kl_alignment_loss(image_embeds, word_embeds, direction=direction).backward()

        assert word_embeds.grad is None
        assert image_embeds.grad.abs().sum() > 0

    @pytest.mark.parametrize("reduction", KL_REDUCTIONS)
    def test_no_reduction_warns(self, embeds, reduction):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            kl_alignment_loss(*embeds, reduction=reduction)

    @pytest.mark.parametrize("argument", ["reduction", "direction"])
    def test_names_an_unknown_option(self, embeds, argument):
        with pytest.raises(ValueError, match=f"Unknown {argument} 'median'; expected one of"):
            kl_alignment_loss(*embeds, **{argument: "median"})


class TestL2:
    def test_unreduced_loss_equals_a_loop(self, kl_record, embeds):
        loss = l2_alignment_loss(*embeds, reduction="none")

        expected = _plain_distances(kl_record["inputs"]["visual"], kl_record["inputs"]["semantic"])
        torch.testing.assert_close(loss, _tensor(expected), **DOUBLE)

    def test_normalised_loss_equals_a_loop(self, kl_record, embeds):
        loss = l2_alignment_loss(*embeds, normalize=True, reduction="none")

        images, words = (
            [[x / math.hypot(*row) for x in row] for row in kl_record["inputs"][name]]
            for name in ("visual", "semantic")
        )
        torch.testing.assert_close(loss, _tensor(_plain_distances(images, words)), **DOUBLE)

    @pytest.mark.parametrize(("reduction", "divisor"), [("sum", 1), ("mean", 4)])
    def test_reductions_divide_the_sum(self, embeds, reduction, divisor):
        distances = l2_alignment_loss(*embeds, reduction="none")

        torch.testing.assert_close(
            l2_alignment_loss(*embeds, reduction=reduction), distances.sum() / divisor, **DOUBLE
        )

    def test_normalised_loss_does_not_depend_on_lengths(self, embeds):
        images, words = embeds

        loss = l2_alignment_loss(3 * images, 0.1 * words, normalize=True)

        torch.testing.assert_close(loss, l2_alignment_loss(images, words, normalize=True), **DOUBLE)

    def test_opposite_features_have_the_normalised_distance_2(self, embeds):
        loss = l2_alignment_loss(embeds[0], -5 * embeds[0], normalize=True)

        torch.testing.assert_close(loss, torch.tensor(2.0, dtype=torch.float64), **DOUBLE)

    def test_names_an_unknown_reduction(self, embeds):
        with pytest.raises(ValueError, match="Unknown reduction 'median'; expected one of mean, sum, none"):
            l2_alignment_loss(*embeds, reduction="median")


class TestDeepCoral:
    @pytest.fixture
    def record(self, golden):
        return golden("deep_coral")

    @pytest.fixture
    def embeds(self, record):
        """Source and target of the record, float64 `[6, 4]`, both with gradients."""
        return [_tensor(record["inputs"][name], requires_grad=True) for name in ("source", "target")]

    @pytest.mark.parametrize("mode", CORAL_MODES)
    def test_equals_the_recorded_reference(self, record, embeds, mode):
        expected = _tensor(record["outputs"][CORAL_OUTPUTS[mode]])

        torch.testing.assert_close(deep_coral_loss(*embeds, mode=mode), expected, **RECORDED)

    def test_gradient_equals_the_recorded_reference(self, record, embeds):
        deep_coral_loss(*embeds).backward()

        torch.testing.assert_close(embeds[0].grad, _tensor(record["outputs"]["grad_source"]), **RECORDED)

    def test_equals_a_loop(self, record, embeds):
        loss = deep_coral_loss(*embeds)

        covariances = [covariance(record["inputs"][name]) for name in ("source", "target")]
        squares = sum(squared_distance(*rows) for rows in zip(*covariances, strict=True))
        assert loss.item() == pytest.approx(squares / (4 * 4**2), rel=1e-12)

    def test_literal_mode_equals_a_loop(self, record, embeds):
        loss = deep_coral_loss(*embeds, mode="literal")

        squares = sum(map(squared_distance, record["inputs"]["source"], record["inputs"]["target"]))
        assert loss.item() == pytest.approx(squares / (4 * 4**2), rel=1e-12)

    def test_is_blind_to_the_mean(self, embeds):
        images, words = embeds

        torch.testing.assert_close(deep_coral_loss(images + 3, words - 1), deep_coral_loss(images, words), **DOUBLE)

    def test_words_need_not_be_as_many_as_images(self, record, embeds):
        loss = deep_coral_loss(embeds[0], embeds[1][:3])

        covariances = [
            covariance(record["inputs"]["source"]),
            covariance(record["inputs"]["target"][:3]),
        ]
        squares = sum(squared_distance(*rows) for rows in zip(*covariances, strict=True))
        assert loss.item() == pytest.approx(squares / (4 * 4**2), rel=1e-12)

    def test_a_single_sample_has_no_covariance(self, embeds):
        assert deep_coral_loss(embeds[0][:1], embeds[1][:1]).item() == 0

    def test_literal_mode_needs_as_many_words_as_images(self, embeds):
        with pytest.raises(ValueError, match=r"one shape, got \(6, 4\) and \(3, 4\)"):
            deep_coral_loss(embeds[0], embeds[1][:3], mode="literal")

    def test_names_an_unknown_mode(self, embeds):
        with pytest.raises(ValueError, match="Unknown mode 'mean'; expected one of coral, literal"):
            deep_coral_loss(*embeds, mode="mean")

    @pytest.mark.parametrize("mode", CORAL_MODES)
    @pytest.mark.parametrize("shape", [(3,), (3, 2, 2)], ids=len)
    def test_names_features_that_are_no_rows(self, shape, mode):
        with pytest.raises(ValueError, match=re.escape(str(shape))):
            deep_coral_loss(torch.zeros(shape), torch.zeros(shape), mode=mode)
