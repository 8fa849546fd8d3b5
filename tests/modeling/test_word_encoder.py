import pytest
import torch
from crif_reference import linear, lstm_states

from xmodal_lt.modeling.word_encoder import WORD_ENCODERS, build_word_encoder, known_words, multi_hot_words


NUM_WORDS, NUM_SPECIAL = 6, 2  # ids 2 to 7 are words
PAD, UNK = 0, 1
EXACT = {"rtol": 1e-12, "atol": 1e-14}


def _ids(*samples: list[int]) -> torch.Tensor:
    """A batch of ids, padded to the longest."""
    length = max(map(len, samples))
    return torch.tensor([sample + [PAD] * (length - len(sample)) for sample in samples])


def _encode(encoder: torch.nn.Module, input_ids: torch.Tensor) -> torch.Tensor:
    return encoder(input_ids, known_words(input_ids, None, NUM_SPECIAL))


@pytest.fixture(params=WORD_ENCODERS)
def encoder(request):
    return _make_encoder(request.param)


def _make_encoder(kind: str) -> torch.nn.Module:
    torch.manual_seed(0)
    return build_word_encoder(kind, NUM_WORDS, 4, 5, output_size=3, num_special=NUM_SPECIAL).double()


def test_known_words_are_neither_special_nor_masked():
    input_ids = torch.tensor([[PAD, UNK, 2, 7]])
    attention_mask = torch.tensor([[1, 1, 1, 0]])

    assert known_words(input_ids, attention_mask, NUM_SPECIAL).tolist() == [[False, False, True, False]]


def test_known_words_need_no_mask():
    assert known_words(torch.tensor([[PAD, UNK, 2, 7]]), None, NUM_SPECIAL).tolist() == [[False, False, True, True]]


def test_multi_hot_marks_exactly_the_known_words():
    input_ids = torch.tensor([[2, 7, 7, UNK], [PAD, UNK, 3, 5], [PAD, PAD, PAD, PAD]])
    known = known_words(input_ids, torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0], [0, 0, 0, 0]]), NUM_SPECIAL)

    multi_hot = multi_hot_words(input_ids, known, NUM_WORDS, NUM_SPECIAL)

    assert multi_hot.tolist() == [[1, 0, 0, 0, 0, 1], [0, 1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]]


def test_multi_hot_refuses_ids_beyond_the_vocabulary():
    with pytest.raises(RuntimeError, match="index 7 is out of bounds"):
        multi_hot_words(torch.tensor([[8]]), torch.tensor([[True]]), NUM_WORDS, NUM_SPECIAL)


def test_output_has_the_wanted_width(encoder):
    assert _encode(encoder, _ids([2, 3], [4])).shape == (2, 3)


@pytest.mark.parametrize("padding", [1, 5])
def test_padding_changes_nothing(encoder, padding):
    input_ids = _ids([2, 3, 7], [5])
    padded = torch.nn.functional.pad(input_ids, (0, padding), value=PAD)

    torch.testing.assert_close(_encode(encoder, padded), _encode(encoder, input_ids), **EXACT)


def test_masked_tokens_change_nothing(encoder):
    input_ids = _ids([2, 3, 7], [5, 4, 6])
    known = known_words(input_ids, torch.tensor([[1, 1, 0], [1, 0, 0]]), NUM_SPECIAL)

    torch.testing.assert_close(encoder(input_ids, known), _encode(encoder, _ids([2, 3], [5])), **EXACT)


@pytest.mark.parametrize("special", [PAD, UNK])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_special_tokens_change_nothing_wherever_they_are(encoder, special, place):
    words = [3, 6]
    with_special = [*words[:place], special, *words[place:]]

    torch.testing.assert_close(_encode(encoder, _ids(with_special)), _encode(encoder, _ids(words)), **EXACT)


def test_a_sample_does_not_depend_on_the_others(encoder):
    samples = [[2], [3, 4, 5], [], [7, 6]]

    together = _encode(encoder, _ids(*samples))

    for row, sample in zip(together, samples, strict=True):
        if sample:
            torch.testing.assert_close(row, _encode(encoder, _ids(sample))[0], **EXACT)


def test_different_words_give_different_features(encoder):
    first, second = _encode(encoder, _ids([2, 3], [2, 4]))

    assert not torch.allclose(first, second)


@pytest.mark.parametrize("kind", ["fnn", "bag"])
def test_order_changes_nothing(kind):
    encoder = _make_encoder(kind)

    torch.testing.assert_close(_encode(encoder, _ids([7, 2, 5])), _encode(encoder, _ids([2, 5, 7])), **EXACT)


@pytest.mark.parametrize("kind", ["gru", "lstm"])
def test_recurrent_encoders_read_the_order(kind):
    encoder = _make_encoder(kind)

    assert not torch.allclose(_encode(encoder, _ids([7, 2, 5])), _encode(encoder, _ids([2, 5, 7])))


@pytest.mark.parametrize("empty", [[], [UNK], [PAD, UNK]])
def test_a_sample_without_words_gives_finite_features(encoder, empty):
    assert _encode(encoder, _ids([2, 3], empty)).isfinite().all()


@pytest.mark.parametrize("empty", [[], [UNK], [PAD, UNK]])
def test_a_sample_without_words_gives_finite_gradients(encoder, empty):
    _encode(encoder, _ids([2, 3], empty)).square().sum().backward()

    assert all(parameter.grad.isfinite().all() for parameter in encoder.parameters())


def test_every_weight_gets_a_gradient(encoder):
    _encode(encoder, _ids([2, 3, 4], [5, 6, 7])).square().sum().backward()

    assert all(parameter.grad is not None for parameter in encoder.parameters())


def test_fnn_maps_the_multi_hot_words():
    encoder = _make_encoder("fnn")
    first, _, second = encoder.layers
    multi_hot = torch.tensor([[0, 1, 0, 0, 1, 0]], dtype=torch.float64)

    expected = (multi_hot @ first.weight.T + first.bias).clamp(min=0) @ second.weight.T + second.bias

    torch.testing.assert_close(_encode(encoder, _ids([6, 3])), expected, **EXACT)


def test_bag_maps_the_mean_of_the_embeddings():
    encoder = _make_encoder("bag")
    mean = (encoder.embedding.weight[3] + encoder.embedding.weight[6]) / 2

    expected = encoder.projection.weight @ mean + encoder.projection.bias

    torch.testing.assert_close(_encode(encoder, _ids([3, UNK, 6]))[0], expected, **EXACT)


def test_gru_attends_to_its_states():
    encoder = _make_encoder("gru")
    states = encoder.gru(encoder.embedding(torch.tensor([[3, 6, 2]])))[0][0]  # [3, H], without packing
    weights = encoder.attention(states).softmax(dim=0)
    foci = torch.cat([weights[:, focus] @ states for focus in range(encoder.num_foci)])

    expected = encoder.projection.weight @ foci + encoder.projection.bias

    torch.testing.assert_close(_encode(encoder, _ids([3, 6, 2], [4]))[0], expected, **EXACT)


def test_lstm_maps_its_last_state():
    encoder = _make_encoder("lstm")
    weights = {f"encoder.{name}": tensor.tolist() for name, tensor in encoder.state_dict().items()}
    embeddings = [weights["encoder.embedding.weight"][word] for word in (3, 6, 2)]

    expected = linear(lstm_states(embeddings, weights, "encoder.lstm")[-1:], weights, "encoder.projection")

    encoded = _encode(encoder, _ids([3, UNK, 6, 2], [4]))[:1]
    torch.testing.assert_close(encoded, torch.tensor(expected, dtype=torch.float64), **EXACT)


def test_works_in_bfloat16(encoder):
    encoder.to(torch.bfloat16)

    features = _encode(encoder, _ids([2, 3], [5]))

    assert features.dtype == torch.bfloat16
    assert features.isfinite().all()


def test_names_an_unknown_kind():
    with pytest.raises(ValueError, match="Unknown word encoder 'bert'; expected one of fnn, bag, gru, lstm"):
        build_word_encoder("bert", NUM_WORDS, 4, 5, 3, NUM_SPECIAL)
