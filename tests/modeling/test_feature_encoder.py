"""Encoders of sequences of features, alone and as the backbone of every method."""

import copy
import math

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForImageClassification, ViltConfig, ViltModel

from xmodal_lt.modeling.feature_encoder import FEATURE_ENCODERS, build_feature_encoder, check_sequences
from xmodal_lt.modeling.vision_encoder import VisionEncoder


EXACT = {"rtol": 1e-12, "atol": 1e-14}
VILT = {"num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 12}
ARGUMENTS = {
    "gru": {"input_size": 5, "hidden_size": 4},
    "vilt": {"input_size": 5, "hidden_size": 8, "max_steps": 7, **VILT},
}
LENGTHS = (4, 1, 3)
MASK = torch.tensor([[1, 1, 1, 1], [1, 0, 0, 0], [1, 1, 1, 0]])


def _make_encoder(kind: str, **arguments) -> torch.nn.Module:
    torch.manual_seed(0)
    return build_feature_encoder(kind, ARGUMENTS[kind] | arguments).double()


@pytest.fixture(params=FEATURE_ENCODERS)
def kind(request) -> str:
    return request.param


@pytest.fixture
def encoder(kind):
    return _make_encoder(kind)


@pytest.fixture
def features() -> Tensor:
    """`[3, 4, 5]`, of the lengths in `MASK`."""
    return torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.fixture
def make_video_model(kind, make_model):
    """Makes the classifier of a method on videos of features of width 5."""

    def make(model_type: str, **settings):
        return make_model(model_type, backbone=f"features:{kind}", backbone_kwargs=ARGUMENTS[kind], **settings)

    return make


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def _affine(weight: list[list[float]], bias: list[float], row: list[float]) -> list[float]:
    return [sum(w * x for w, x in zip(line, row, strict=True)) + b for line, b in zip(weight, bias, strict=True)]


def _gru_states(gru: torch.nn.GRU, layer: int, rows: list[list[float]]) -> list[list[float]]:
    """The states of one layer. PyTorch has its gates as reset, update and new."""
    names = ("weight_ih", "bias_ih", "weight_hh", "bias_hh")
    weight_ih, bias_ih, weight_hh, bias_hh = (getattr(gru, f"{name}_l{layer}").tolist() for name in names)
    size = gru.hidden_size
    state, states = [0.0] * size, []
    for row in rows:
        read, kept = _affine(weight_ih, bias_ih, row), _affine(weight_hh, bias_hh, state)
        reset = [_sigmoid(read[k] + kept[k]) for k in range(size)]
        update = [_sigmoid(read[size + k] + kept[size + k]) for k in range(size)]
        new = [math.tanh(read[2 * size + k] + reset[k] * kept[2 * size + k]) for k in range(size)]
        state = [(1 - update[k]) * new[k] + update[k] * state[k] for k in range(size)]
        states.append(state)
    return states


@pytest.mark.parametrize("num_layers", [1, 2])
def test_gru_gives_the_mean_of_the_states_of_its_last_layer(num_layers, features):
    encoder = _make_encoder("gru", num_layers=num_layers)

    encoded = encoder(features, MASK)

    expected = []
    for sample, length in zip(features.tolist(), LENGTHS, strict=True):
        states = sample[:length]
        for layer in range(num_layers):
            states = _gru_states(encoder.gru, layer, states)
        expected.append([sum(column) / length for column in zip(*states, strict=True)])
    torch.testing.assert_close(encoded, torch.tensor(expected, dtype=torch.float64), **EXACT)


def test_vilt_is_that_of_transformers(features):
    encoder = _make_encoder("vilt")
    vilt = ViltModel(ViltConfig(hidden_size=8, **VILT)).double().eval()
    for part in ("encoder", "layernorm", "pooler"):
        getattr(vilt, part).load_state_dict(getattr(encoder, part).state_dict())

    encoded = encoder(features, MASK)

    for row, sample, length in zip(encoded, features, LENGTHS, strict=True):  # alone, without padding or mask
        tokens = torch.cat([encoder.cls_token[0], encoder.projection(sample[:length])])
        tokens = tokens + encoder.position_embedding[0, : length + 1]
        expected = vilt.pooler(vilt.layernorm(vilt.encoder(tokens[None]).last_hidden_state))
        torch.testing.assert_close(row, expected[0], **EXACT)


def test_output_has_the_hidden_size(kind, encoder, features):
    assert encoder(features, MASK).shape == (3, encoder.hidden_size) == (3, ARGUMENTS[kind]["hidden_size"])


@pytest.mark.parametrize("garbage", [0.0, 1e4, -1e4])
def test_what_is_in_the_padding_changes_nothing(encoder, features, garbage):
    filled = torch.where(MASK[..., None].bool(), features, garbage)

    torch.testing.assert_close(encoder(filled, MASK), encoder(features, MASK), **EXACT)


@pytest.mark.parametrize("garbage", [0.0, 1e4])
@pytest.mark.parametrize("padding", [1, 3])
def test_longer_padding_changes_nothing(encoder, features, padding, garbage):
    longer = torch.nn.functional.pad(features, (0, 0, 0, padding), value=garbage)

    encoded = encoder(longer, torch.nn.functional.pad(MASK, (0, padding)))

    torch.testing.assert_close(encoded, encoder(features, MASK), **EXACT)


def test_a_sample_does_not_depend_on_the_others(encoder, features):
    together = encoder(features, MASK)

    for row, sample, length in zip(together, features, LENGTHS, strict=True):
        alone = encoder(sample[None, :length], torch.ones(1, length, dtype=torch.long))
        torch.testing.assert_close(row, alone[0], **EXACT)


def test_padding_gets_no_gradient(encoder, features):
    features.requires_grad_()

    encoder(features, MASK).square().sum().backward()

    assert not features.grad[MASK == 0].any()
    assert (features.grad[MASK == 1] != 0).all()


def test_every_weight_gets_a_gradient(encoder, features):
    encoder(features, MASK)[:, :3].sum().backward()

    assert all(parameter.grad is not None for parameter in encoder.parameters())


def test_reads_the_order_of_the_steps(encoder, features):
    everything = torch.ones_like(MASK)

    assert not torch.allclose(encoder(features.flip(1), everything), encoder(features, everything))


@pytest.mark.parametrize("dtype", [torch.bool, torch.int32, torch.float64])
def test_the_mask_may_have_any_dtype(encoder, features, dtype):
    assert torch.equal(encoder(features, MASK.to(dtype)), encoder(features, MASK))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_finite(encoder, features, dtype):
    encoded = encoder.to(dtype)(features.to(dtype), MASK)

    assert encoded.dtype == dtype
    assert encoded.isfinite().all()


def test_vilt_takes_as_many_steps_as_it_was_built_for():
    encoder = _make_encoder("vilt")

    assert encoder(torch.zeros(1, 7, 5).double(), torch.ones(1, 7)).isfinite().all()
    with pytest.raises(ValueError, match="8 steps, but the encoder was built for at most 7; set max_steps"):
        encoder(torch.zeros(1, 8, 5).double(), torch.ones(1, 8))


def test_vilt_draws_its_class_token_and_positions_small(make_model):
    arguments = {"input_size": 5, "hidden_size": 64, "max_steps": 255, **VILT}
    encoder = make_model("lt_classifier", backbone="features:vilt", backbone_kwargs=arguments).get_vision_encoder()

    # The standard error of a deviation of n draws is 1 / sqrt(2 n) of it: 0.6 % for 256 * 64, 9 % for 64.
    assert encoder.model.position_embedding.std().item() == pytest.approx(0.02, rel=0.03)
    assert encoder.model.cls_token.std().item() == pytest.approx(0.02, rel=0.4)


def test_vilt_draws_positions_anew_for_another_number_of_steps(make_model, tmp_path):
    arguments = {"input_size": 5, "hidden_size": 64, "max_steps": 3, **VILT}
    model = make_model("lt_classifier", backbone="features:vilt", backbone_kwargs=arguments)
    model.save_pretrained(tmp_path)

    longer = AutoModelForImageClassification.from_pretrained(
        tmp_path, backbone_kwargs=arguments | {"max_steps": 255}, ignore_mismatched_sizes=True
    )

    weights, old = longer.get_vision_encoder().model.state_dict(), model.get_vision_encoder().model.state_dict()
    assert weights["position_embedding"].std().item() == pytest.approx(0.02, rel=0.03)
    assert all(torch.equal(weights[name], tensor) for name, tensor in old.items() if name != "position_embedding")


def test_names_an_unknown_kind():
    with pytest.raises(ValueError, match="Unknown feature encoder 'lstm'; expected one of gru, vilt"):
        VisionEncoder("features:lstm", {"input_size": 5})


@pytest.mark.parametrize("arguments", [None, {"hidden_size": 4}])
def test_names_a_missing_width(kind, arguments):
    with pytest.raises(ValueError, match=f"'{kind}' needs `input_size`, the width of the pre-extracted features"):
        VisionEncoder(f"features:{kind}", arguments)


def test_names_an_unknown_argument(kind):
    with pytest.raises(ValueError, match=f"feature encoder '{kind}' does not take .*depth"):
        build_feature_encoder(kind, ARGUMENTS[kind] | {"depth": 2})


@pytest.mark.parametrize("shape", [(3, 4, 6), (3, 5), (3, 4, 5, 1)])
def test_names_features_of_another_shape(shape):
    with pytest.raises(ValueError, match=r"`videos` must be \[B, T, 5\] with T of at least 1, got \[3, "):
        check_sequences(torch.zeros(shape), None, 5, "videos")


@pytest.mark.parametrize("shape", [(3, 5), (4, 4), (3, 4, 1), (4,)])
def test_names_a_mask_of_another_shape(shape, features):
    with pytest.raises(ValueError, match=r"mask of `videos` must be \[3, 4\], 1 for steps and 0 for padding, got"):
        check_sequences(features, torch.ones(shape), 5, "videos")


def test_an_absent_mask_shows_every_step(encoder, features):
    mask = check_sequences(features, None, 5, "videos")

    assert torch.equal(encoder(features, mask), encoder(features, torch.ones(3, 4, dtype=torch.long)))


class TestAsBackbone:
    @pytest.fixture
    def model(self, video_method, make_video_model):
        return make_video_model(video_method.model_type).eval()

    @pytest.mark.filterwarnings("error")
    @pytest.mark.parametrize("for_inference", [False, True])
    @torch.no_grad()
    def test_reloaded_model_gives_the_same_logits(
        self, for_inference, model, features, tmp_path, transformers_warnings
    ):
        model.save_pretrained(tmp_path, for_inference=for_inference)
        reloaded = AutoModelForImageClassification.from_pretrained(tmp_path).eval()

        # Copies, because weights in a mapped file lie at addresses for which kernels may sum in another order.
        logits, expected = (
            copy.deepcopy(one)(features=features, feature_mask=MASK).logits for one in (reloaded, model)
        )
        assert torch.equal(logits, expected)
        assert transformers_warnings == []

    @torch.no_grad()
    def test_videos_and_their_cached_features_give_the_same_logits(self, model, features):
        cached = model.get_vision_encoder()(features.float(), MASK)

        logits = model(features=features, feature_mask=MASK).logits

        assert torch.equal(model(features=cached).logits, logits)

    @torch.no_grad()
    def test_the_mask_counts(self, model, features):
        filled = torch.where(MASK[..., None].bool(), features, 9.0)

        logits = model(features=filled, feature_mask=MASK).logits

        torch.testing.assert_close(logits, model(features=features, feature_mask=MASK).logits)
        assert not torch.allclose(model(features=filled).logits, model(features=features).logits)

    def test_images_are_named(self, kind, model):
        with pytest.raises(
            ValueError, match=rf"'features:{kind}' takes videos as `features` \[B, T, D\], and no `pixe"
        ):
            model(pixel_values=torch.zeros(3, 3, 32, 32))

    def test_features_of_another_width_are_named(self, model, features):
        with pytest.raises(ValueError, match=r"`features` must be \[B, T, 5\] with T of at least 1, got \[3, 4, 4\]"):
            model(features=features[..., :4], feature_mask=MASK)

    def test_one_video_without_a_batch_is_named(self, kind, model, features):
        with pytest.raises(ValueError, match=r"`feature_mask` belongs to videos .* as a batch of one"):
            model(features=features[0], feature_mask=MASK[:1])

    def test_cached_features_of_another_width_are_named(self, kind, model):
        width = ARGUMENTS[kind]["hidden_size"]
        with pytest.raises(ValueError, match=f"have width 3, but backbone 'features:{kind}' gives {width}"):
            model(features=torch.zeros(3, 3))

    def test_a_mask_of_another_shape_is_named(self, model, features):
        with pytest.raises(ValueError, match=r"mask of `features` must be \[3, 4\]"):
            model(features=features, feature_mask=MASK[:, :3])

    def test_gradient_checkpointing_is_refused(self, model):
        with pytest.raises(ValueError, match="does not support activation checkpointing"):
            model.activation_checkpointing_enable()
