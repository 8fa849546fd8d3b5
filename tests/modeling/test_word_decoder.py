"""Decoders to semantic features and words, against their formulas written again as loops over numbers."""

import pytest
import torch
from crif_reference import linear, lstm_states, mean, relu

from xmodal_lt.modeling.word_decoder import build_decoder


EXACT = {"rtol": 1e-12, "atol": 1e-14}
KINDS = ("fnn", "lstm")
each_kind = pytest.mark.parametrize("kind", KINDS)


def _make_decoder(kind: str, num_words: int | None = 6, steps: int = 4) -> torch.nn.Module:
    torch.manual_seed(0)
    return build_decoder(kind, input_size=5, hidden_size=4, output_size=3, num_words=num_words, steps=steps).double()


def _weights(decoder: torch.nn.Module) -> dict:
    return {f"decoder.{name}": tensor.tolist() for name, tensor in decoder.state_dict().items()}


def _tensor(rows: list[list[float]]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float64)


@pytest.fixture
def transferred() -> torch.Tensor:
    return torch.randn(2, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_fnn_is_two_layers_with_relu_and_predicts_words_from_its_output(transferred):
    decoder = _make_decoder("fnn")

    decoded, word_logits = decoder(transferred)

    weights = _weights(decoder)
    hidden = relu(linear(transferred.tolist(), weights, "decoder.layers.0"))
    expected = relu(linear(hidden, weights, "decoder.layers.2"))
    torch.testing.assert_close(decoded, _tensor(expected), **EXACT)
    torch.testing.assert_close(word_logits, _tensor(linear(expected, weights, "decoder.word_predictor")), **EXACT)


@pytest.mark.parametrize("steps", [1, 4])
def test_lstm_decodes_the_mean_of_its_states(transferred, steps):
    decoder = _make_decoder("lstm", steps=steps)

    decoded, _ = decoder(transferred)

    weights = _weights(decoder)
    states = [lstm_states([row] * steps, weights, "decoder.lstm") for row in transferred.tolist()]
    means = [[mean(column) for column in zip(*of_sample, strict=True)] for of_sample in states]
    torch.testing.assert_close(decoded, _tensor(linear(means, weights, "decoder.projection")), **EXACT)


@pytest.mark.parametrize("steps", [1, 4])
def test_lstm_gives_a_word_the_logit_of_its_best_step(transferred, steps):
    decoder = _make_decoder("lstm", steps=steps)

    _, word_logits = decoder(transferred)

    weights = _weights(decoder)
    expected = []
    for row in transferred.tolist():
        by_step = linear(lstm_states([row] * steps, weights, "decoder.lstm"), weights, "decoder.word_predictor")
        expected.append([max(column) for column in zip(*by_step, strict=True)])
    torch.testing.assert_close(word_logits, _tensor(expected), **EXACT)


@each_kind
def test_widths(kind, transferred):
    decoded, word_logits = _make_decoder(kind)(transferred)

    assert decoded.shape == (2, 3)
    assert word_logits.shape == (2, 6)


@each_kind
def test_predicts_no_words_where_there_are_none(kind, transferred):
    decoder = _make_decoder(kind, num_words=None)

    decoded, word_logits = decoder(transferred)

    assert decoded.shape == (2, 3)
    assert word_logits is None
    assert not any("word_predictor" in name for name in decoder.state_dict())


@each_kind
def test_a_sample_does_not_depend_on_the_others(kind, transferred):
    decoder = _make_decoder(kind)

    together, alone = decoder(transferred), [decoder(row[None]) for row in transferred]

    for number, output in enumerate(together):
        torch.testing.assert_close(output, torch.cat([row[number] for row in alone]), **EXACT)


@each_kind
def test_every_weight_gets_a_gradient(kind, transferred):
    decoder = _make_decoder(kind)

    sum(output.square().sum() for output in decoder(transferred)).backward()

    assert all(parameter.grad.any() for parameter in decoder.parameters())


@each_kind
def test_gradients_equal_finite_differences(kind, transferred):
    assert torch.autograd.gradcheck(_make_decoder(kind), transferred.requires_grad_())


@each_kind
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_finite(kind, dtype, transferred):
    outputs = _make_decoder(kind).to(dtype)(transferred.to(dtype))

    assert {output.dtype for output in outputs} == {dtype}
    assert all(output.isfinite().all() for output in outputs)


def test_names_an_unknown_kind():
    with pytest.raises(ValueError, match="Unknown decoder 'gru'; expected one of fnn, lstm"):
        _make_decoder("gru")
