"""The language-guided head against recorded values, and against its equations with G built in full."""

import math

import pytest
import torch
from torch.testing import assert_close

from xmodal_lt.modeling.class_sentences import ClassSentences
from xmodal_lt.modeling.language_guided_head import COMBINATIONS, LanguageGuidedHead, combine_branches


CLASSES, SENTENCES, WIDTH, BATCH = 4, 5, 6, 3
COUNTS = (5, 1, 3, 4)
SCALE = math.log(14)


def _tensor(values) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _class_sentences(texts, counts, dtype=torch.float64) -> ClassSentences:
    sentences = ClassSentences(*texts.shape).to(dtype)
    sentences.set(texts, torch.as_tensor(counts))
    return sentences


@pytest.fixture
def texts():
    return (
        torch.randn(CLASSES, SENTENCES, WIDTH, generator=torch.Generator().manual_seed(1), dtype=torch.float64) + 0.3
    )


@pytest.fixture
def embeds():
    generator = torch.Generator().manual_seed(2)
    return (2 * torch.randn(BATCH, WIDTH, generator=generator, dtype=torch.float64)).requires_grad_()


def _trained_head(**settings) -> LanguageGuidedHead:
    """A head in float64 whose parameters have all left their initial values."""
    head = LanguageGuidedHead(WIDTH, CLASSES, **settings).double()
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter += 0.5 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return head


def _layer_norm(rows, weight, bias=0.0):
    centred = rows - rows.mean(-1, keepdim=True)
    return weight * centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt() + bias


def _plain_logits(head, embeds, texts, counts, scale, detach_norm=False):
    """Eq. 4 to 7, a class at a time."""
    attention = head.attention
    query = _layer_norm(embeds, attention.query_norm.weight, attention.query_norm.bias)
    query = query @ attention.query.weight.T
    cosines = []
    for own, count in zip(texts, counts, strict=True):
        values = own[:count]
        keys = _layer_norm(values, attention.key_norm.weight) @ attention.key.weight.T
        gathered = (query @ keys.T / WIDTH**0.5).softmax(-1) @ values  # [B, D]
        lengths = gathered.norm(dim=-1)
        products = (embeds * gathered).sum(-1) / embeds.norm(dim=-1)
        cosines.append(products / (lengths.detach() if detach_norm else lengths))
    first, second = head.visual[0], head.visual[2]
    visual = (embeds @ first.weight.T + first.bias).clamp_min(0) @ second.weight.T + second.bias
    return visual, scale.exp() * torch.stack(cosines, dim=1)


def _gradients(logits, head, embeds, scale):
    """Of a sum of both branches in which every logit counts differently."""
    weights = torch.linspace(-1, 2, 2 * BATCH * CLASSES, dtype=torch.float64).to(logits[0].dtype).view(2, BATCH, -1)
    loss = (torch.stack(logits) * weights).sum()
    return torch.autograd.grad(loss, [embeds, scale, *head.parameters()])


def test_agrees_with_recorded_values(golden):
    recorded = golden("vlltr_lgr")
    inputs, outputs = recorded["inputs"], recorded["outputs"]
    weights = {name: _tensor(values) for name, values in inputs["weights"].items()}
    texts = _tensor(inputs["text_embeddings"])
    counts = torch.tensor(inputs["num_sentences"]).clamp_max(texts.shape[1])
    sentences = _class_sentences(texts, counts)
    head = LanguageGuidedHead(texts.shape[2], len(texts)).double()
    names = {"norm1q": "query_norm", "norm1k": "key_norm", "wq": "query", "wk": "key"}
    for name, values in weights.items():
        part, key, kind = name.split(".")
        if (key, kind) != ("norm1k", "bias"):  # of all keys alike, so that it does not count
            module = head.visual[int(key)] if part == "visual_fc" else head.attention.get_submodule(names[key])
            getattr(module, kind).data.copy_(values)
    embeds = _tensor(inputs["image_embedding"]).requires_grad_()

    visual, text = head(embeds, sentences, _tensor(inputs["logit_scale_param"]))
    (gradient,) = torch.autograd.grad(visual.sum() + text.sum(), embeds)

    close = {"rtol": 1e-8, "atol": 1e-10}  # as the file states it
    assert_close((~sentences.valid).long(), torch.tensor(outputs["padding_mask"]))
    assert_close(visual, _tensor(outputs["logits_visual"]), **close)
    assert_close(text, _tensor(outputs["logits_text"]), **close)
    assert_close(gradient, _tensor(outputs["grad_sum_wrt_image"]), **close)
    combined = combine_branches(visual, text, "weighted", 0.2)
    assert_close(combined.exp(), _tensor(outputs["ensemble_imagenetlt"]), **close)


@pytest.mark.parametrize("detach_norm", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
def test_values_and_all_gradients_are_those_of_g_in_full(embeds, texts, detach_norm, dtype, tolerance):
    head, scale = _trained_head(detach_norm=detach_norm), _tensor(SCALE).requires_grad_()
    expected = _plain_logits(head, embeds, texts, COUNTS, scale, detach_norm)
    expected_gradients = _gradients(expected, head, embeds, scale)

    head, scale = head.to(dtype), scale.detach().to(dtype).requires_grad_()
    images = embeds.detach().to(dtype).requires_grad_()
    sentences = _class_sentences(texts, COUNTS, dtype)
    sentences.embeds[1, 1:] = 7.0  # padding, which must not count
    logits = head(images, sentences, scale)
    gradients = _gradients(logits, head, images, scale)

    names = ["embeds", "scale", *(name for name, _ in head.named_parameters())]
    for name, found, wanted in zip(
        ["visual", "text", *names], [*logits, *gradients], [*expected, *expected_gradients], strict=True
    ):
        assert found.dtype == dtype
        error = (found - wanted).abs().max() / wanted.abs().max()
        assert error < tolerance, f"{name}: {error}"


@pytest.mark.parametrize("size", [1e-2, 1e4])
def test_embeddings_may_be_long_or_short(embeds, texts, size):
    head = _trained_head()
    scale = _tensor(SCALE)
    _, expected = _plain_logits(head, size * embeds, size * texts, COUNTS, scale)
    sentences = _class_sentences((size * texts).float(), COUNTS, torch.float32)
    _, text = head.float()((size * embeds).float(), sentences, scale.float())
    assert_close(text.double(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 3e-2), (torch.float16, 4e-3)])
def test_half_precision_narrows_only_the_visual_branch(embeds, texts, dtype, tolerance):
    head = _trained_head().float()
    sentences = _class_sentences(texts.float(), COUNTS, torch.float32)
    scale, images = torch.tensor(math.log(100)), embeds.detach().float().requires_grad_()
    visual, text = head(images, sentences, scale)
    with torch.autocast("cpu", dtype):
        narrow_visual, same_text = head(images, sentences, scale)
    assert narrow_visual.dtype == dtype
    assert_close(same_text, text)
    assert_close(narrow_visual.float(), visual, rtol=tolerance, atol=tolerance * float(visual.detach().abs().max()))
    (gradient,) = torch.autograd.grad(narrow_visual.float().sum() + same_text.sum(), images)
    (expected,) = torch.autograd.grad(visual.sum() + text.sum(), images)
    assert_close(gradient, expected, rtol=tolerance, atol=tolerance * float(expected.abs().max()))


def test_embeddings_in_half_precision_whose_squares_overflow_give_the_same_cosines(embeds, texts):
    head = _trained_head().half()
    images, scale = (300 * embeds).detach().half().requires_grad_(), torch.tensor(SCALE).half()
    assert images.square().isinf().any()
    sentences = _class_sentences((300 * texts).float(), COUNTS, torch.float32)
    wide = LanguageGuidedHead(WIDTH, CLASSES).double()
    wide.load_state_dict(head.state_dict())
    _, expected = _plain_logits(wide, images.double(), (300 * texts).float().double(), COUNTS, scale.double())
    _, text = head(images, sentences, scale)
    assert text.dtype == torch.float16
    assert_close(text.double(), expected, rtol=2e-3, atol=1e-2)
    text.float().square().sum().backward()
    assert images.grad.isfinite().all()


def test_a_new_head_attends_by_the_normalised_embeddings_themselves(embeds, texts):
    torch.manual_seed(0)
    head = LanguageGuidedHead(WIDTH, CLASSES, mlp_ratio=3).double()
    _, text = head(embeds, _class_sentences(texts, COUNTS), _tensor(0.0))
    for class_id, count in enumerate(COUNTS):
        own = texts[class_id, :count]
        weights = (_layer_norm(embeds, 1.0) @ _layer_norm(own, 1.0).T / WIDTH**0.5).softmax(-1)
        assert_close(text[:, class_id], torch.cosine_similarity(embeds, weights @ own, dim=-1))
    first, second = head.visual[0], head.visual[2]
    assert (first.out_features, second.in_features) == (3 * WIDTH, 3 * WIDTH)
    weights = torch.cat([first.weight.flatten(), second.weight.flatten()])
    assert 0.015 < weights.std() < 0.025
    assert not any(layer.bias.any() for layer in (first, second))


def test_a_class_without_sentences_is_neutral_and_learns_nothing(embeds):
    head = _trained_head()
    sentences = ClassSentences(CLASSES, SENTENCES, WIDTH).double()
    visual, text = head(embeds, sentences, _tensor(SCALE))
    assert torch.equal(text, torch.zeros_like(text))
    combine_branches(visual, text, "weighted", 0.2).square().sum().backward()
    for parameter in (embeds, *head.parameters()):
        assert parameter.grad.isfinite().all()
    assert not head.attention.query.weight.grad.any()


# Where the branches disagree: the visual one is sure of class 0, the other one nearly as sure of class 1.
VISUAL, TEXT = _tensor([[4.0, 0.0, 1.0]]), _tensor([[1.0, 3.5, 3.0]])


def test_the_sum_is_the_papers_and_weighted_is_its_average():
    visual, text = VISUAL.softmax(-1), TEXT.softmax(-1)
    total = combine_branches(VISUAL, TEXT, "sum", 0.2)
    assert_close(total.exp(), (visual + text) / 2)
    assert torch.equal(total.argsort(), (visual + text).argsort())
    assert_close(combine_branches(VISUAL, TEXT, "weighted", 0.2).exp(), 0.2 * visual + 0.8 * text)
    assert_close(combine_branches(VISUAL, TEXT, "logits", 0.2), _tensor([[5.0, 3.5, 4.0]]))


@pytest.mark.parametrize(("weight", "alone"), [(0, TEXT), (1, VISUAL), (1.0, VISUAL)])
def test_a_branch_may_count_alone(weight, alone):
    visual, text = VISUAL.clone().requires_grad_(), TEXT.clone().requires_grad_()
    combined = combine_branches(visual, text, "weighted", weight)
    assert_close(combined, alone.log_softmax(-1))
    combined[0, 0].backward()
    for logits, other in ((visual, TEXT), (text, VISUAL)):
        assert logits.grad.isfinite().all()
        assert logits.grad.any() == (alone is not other)


@pytest.mark.parametrize("combination", COMBINATIONS)
def test_sure_branches_stay_finite_in_any_dtype(combination):
    visual = torch.tensor([[300.0, -300.0, 0.0]], dtype=torch.float16, requires_grad=True)
    combined = combine_branches(visual, -visual, combination, 0.2)
    assert combined.dtype == torch.float16
    combined.sum().backward()
    assert combined.isfinite().all()
    assert visual.grad.isfinite().all()


def test_unknown_combination_is_named():
    with pytest.raises(ValueError, match="'mean'; expected one of weighted, sum, logits"):
        combine_branches(VISUAL, TEXT, "mean", 0.5)
