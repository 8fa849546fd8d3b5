"""CRIF's fusions with true semantic features (table V), and videos with privileged features in place of words."""

import pytest
import torch
from crif_reference import FUSED, crif_reference
from transformers import AutoModelForImageClassification

from xmodal_lt.modeling.configuration_crif import CRIFConfig


DOUBLE = {"rtol": 1e-7, "atol": 1e-12}
FUSIONS = ("concat", "add", "multiply", "max", "min")
PRIVILEGED_FUSIONS = ("visual_semantic", "semantic_inferred", "visual_semantic_inferred")
BRANCHES = ("aligned", "inferred", "fused")
STAGES = ("align", "infer", "fuse", "joint")
DECODERS = pytest.mark.parametrize("word_decoder", ["fnn", "lstm"])
ENCODERS = pytest.mark.parametrize("kind", ["gru", "vilt"])
VILT = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8, "max_steps": 6}
# Of features of width 5.
ENCODER_ARGUMENTS = {"gru": {"input_size": 5, "hidden_size": 6}, "vilt": {"input_size": 5, **VILT}}
WEIGHTS = {
    "similarity_weight": 0.7,
    "alignment_weight": 1.9,
    "semantic_weight": 1.3,
    "content_weight": 0.4,
    "inferred_classification_weight": 2.1,
    "inference_weight": 0.6,
    "fusion_weight": 0.8,
}
LABELS = torch.tensor([0, 1, 2, 1])
INPUT_IDS = torch.tensor([[2, 3, 0], [1, 11, 4], [5, 5, 0], [7, 9, 2]])
WORDS = [{0, 1}, {9, 2}, {3}, {5, 7, 0}]
MASK = torch.tensor([[1, 1, 1], [1, 0, 0], [1, 1, 0], [1, 1, 1]])


def _randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture
def features():
    return _randn(4, 96)


@pytest.fixture
def privileged(features):
    """A batch of cached image features with sequences of privileged features."""
    return {
        "features": features,
        "privileged_features": _randn(4, 3, 5, seed=1),
        "privileged_mask": MASK,
        "labels": LABELS,
    }


@pytest.fixture
def make_fused(make_model):
    """Makes a CRIF on words with the privileged fusions, in float64."""

    def make(**settings):
        return make_model("crif", seed=2, privileged_fusions=True, **WEIGHTS | settings).double()

    return make


@pytest.fixture
def make_privileged(make_model):
    """Makes a CRIF on privileged features, in float64; `kind` is that of their encoder."""

    def make(kind, **settings):
        encoder = {"privileged_encoder": kind, "privileged_encoder_kwargs": ENCODER_ARGUMENTS[kind]}
        return make_model("crif", seed=2, **encoder, **WEIGHTS | settings).double()

    return make


def _weights(model) -> dict:
    return {name: tensor.tolist() for name, tensor in model.state_dict().items() if "vision_encoder" not in name}


def _expected_privileged(model, batch) -> tuple[dict, dict]:
    """Logits and losses of the equations, from what the model's own encoder makes of the privileged features."""
    encoder = model.crif.semantic_encoder
    semantics = encoder(batch["privileged_features"], batch["privileged_mask"]).tolist()
    features, labels = batch["features"].tolist(), batch["labels"].tolist()
    return crif_reference(model.config, _weights(model), features, labels, semantics=semantics)


class TestPrivilegedFusions:
    @DECODERS
    @pytest.mark.parametrize("fusion", FUSIONS)
    def test_logits_equal_their_equation(self, fusion, word_decoder, make_fused, features):
        model = make_fused(fusion=fusion, word_decoder=word_decoder)

        outputs = model(features=features, input_ids=INPUT_IDS)

        logits, _ = crif_reference(model.config, _weights(model), features.tolist(), LABELS.tolist(), WORDS)
        assert logits.keys() == {"aligned", "inferred", "semantic", *FUSED}
        for branch, expected in logits.items():
            expected = torch.tensor(expected, dtype=torch.float64)
            torch.testing.assert_close(outputs[f"{branch}_logits"], expected, **DOUBLE)

    @pytest.mark.parametrize("stage", STAGES)
    @pytest.mark.parametrize("fusion", FUSIONS)
    def test_losses_equal_their_equations(self, fusion, stage, make_fused, features):
        model = make_fused(fusion=fusion)
        model.set_stage(stage)

        outputs = model(features=features, input_ids=INPUT_IDS, labels=LABELS)

        _, losses = crif_reference(model.config, _weights(model), features.tolist(), LABELS.tolist(), WORDS)
        assert outputs.loss.item() == pytest.approx(losses[stage], rel=1e-9)
        for branch in PRIVILEGED_FUSIONS:
            part = f"{branch}_classification"
            assert outputs.loss_parts[part].item() == pytest.approx(losses[part], rel=1e-9)

    def test_are_absent_without_words(self, make_fused, features):
        outputs = make_fused().eval()(features=features, labels=LABELS)

        for branch in PRIVILEGED_FUSIONS:
            assert f"{branch}_logits" not in outputs
            assert f"{branch}_classification" not in outputs.loss_parts

    def test_are_absent_by_default(self, make_model, features):
        outputs = make_model("crif")(features=features, input_ids=INPUT_IDS, labels=LABELS)

        assert not any(f"{branch}_logits" in outputs for branch in PRIVILEGED_FUSIONS)
        assert outputs.loss_parts.keys().isdisjoint(f"{branch}_classification" for branch in PRIVILEGED_FUSIONS)

    def test_model_names_the_branches_that_read_true_words(self, make_fused, make_model):
        assert make_fused().privileged_branches == ("semantic", *PRIVILEGED_FUSIONS)
        assert make_model("crif").privileged_branches == ()

    @pytest.mark.parametrize("stage", ["fuse", "joint"])
    def test_their_losses_reach_every_weight_of_theirs(self, stage, make_fused, features):
        model = make_fused()
        model.set_stage(stage)

        model(features=features, input_ids=INPUT_IDS, labels=LABELS).loss.backward()

        assert all(parameter.grad.any() for parameter in model.privileged_heads.parameters())

    def test_a_batch_without_words_reaches_the_same_weights(self, make_fused, features):
        reached = []
        for input_ids in (INPUT_IDS, INPUT_IDS.clamp(max=1)):  # [PAD] and [UNK] alone
            model = make_fused()
            model(features=features, input_ids=input_ids, labels=LABELS).loss.backward()
            reached.append({name for name, p in model.named_parameters() if p.grad is not None})

        assert reached[0] == reached[1]

    def test_inference_checkpoint_does_without_them(self, make_fused, features, tmp_path):
        model = make_fused().eval()
        model.save_pretrained(tmp_path, for_inference=True)
        reloaded = AutoModelForImageClassification.from_pretrained(tmp_path).eval()

        assert {name.split(".")[0] for name in reloaded.state_dict()} == {
            "crif",
            "visual_classifier",
            "inferred_classifier",
            "fused_classifier",
        }
        torch.testing.assert_close(reloaded(features=features).logits, model(features=features).logits, **DOUBLE)


class TestPrivilegedFeatures:
    @ENCODERS
    @DECODERS
    @pytest.mark.parametrize("stage", STAGES)
    def test_losses_equal_their_equations(self, stage, word_decoder, kind, make_privileged, privileged):
        model = make_privileged(kind, word_decoder=word_decoder)
        model.set_stage(stage)

        outputs = model(**privileged)

        _, losses = _expected_privileged(model, privileged)
        assert outputs.loss.item() == pytest.approx(losses[stage], rel=1e-9)
        parts = {part: loss.item() for part, loss in outputs.loss_parts.items()}
        assert parts == pytest.approx({part: losses[part] for part in parts}, rel=1e-9)
        assert {"similarity", "alignment", "reconstruction", "semantic_classification"} < parts.keys()

    @ENCODERS
    def test_fusions_read_them_too(self, kind, make_privileged, privileged):
        model = make_privileged(kind, privileged_fusions=True)

        outputs = model(**privileged)

        logits, losses = _expected_privileged(model, privileged)
        for branch in PRIVILEGED_FUSIONS:
            expected = torch.tensor(logits[branch], dtype=torch.float64)
            torch.testing.assert_close(outputs[f"{branch}_logits"], expected, **DOUBLE)
        assert outputs.loss.item() == pytest.approx(losses["joint"], rel=1e-9)

    @ENCODERS
    def test_there_are_no_words(self, kind, make_privileged, privileged):
        model = make_privileged(kind)

        assert model(**privileged).word_logits is None
        assert model.config.vocab_size is model.config.num_words is model.config.word_encoder is None

    @ENCODERS
    def test_semantic_features_have_the_width_of_the_encoder(self, kind, make_privileged, privileged):
        model = make_privileged(kind, semantic_size=77)

        outputs = model.crif(**{name: tensor for name, tensor in privileged.items() if name != "labels"})

        width = ENCODER_ARGUMENTS[kind]["hidden_size"]
        assert model.config.semantic_size == width
        assert outputs.semantic_features.shape == outputs.inferred_embeds.shape == (4, width)

    @ENCODERS
    def test_default_width_is_that_of_vilt(self, kind):
        config = CRIFConfig(privileged_encoder=kind, privileged_encoder_kwargs={"input_size": 5})

        assert config.semantic_size == 768

    @ENCODERS
    def test_they_do_not_change_the_logits(self, kind, make_privileged, privileged):
        model = make_privileged(kind)

        outputs, without = model(**privileged), model(features=privileged["features"])

        assert all(torch.equal(outputs[f"{branch}_logits"], without[f"{branch}_logits"]) for branch in BRANCHES)
        assert without.semantic_logits is None

    @ENCODERS
    def test_padding_of_them_does_not_change_the_loss(self, kind, make_privileged, privileged):
        model = make_privileged(kind)
        garbage = torch.full((4, 2, 5), 1e3, dtype=torch.float64)
        padded = privileged | {
            "privileged_features": torch.cat([privileged["privileged_features"], garbage], dim=1),
            "privileged_mask": torch.nn.functional.pad(MASK, (0, 2)),
        }

        torch.testing.assert_close(model(**padded).loss, model(**privileged).loss, **DOUBLE)

    @ENCODERS
    def test_reconstruction_leaves_its_target_as_it_is(self, kind, make_privileged, privileged):
        model = make_privileged(kind)

        model(**privileged).loss_parts["reconstruction"].backward()

        assert all(parameter.grad is None for parameter in model.crif.semantic_encoder.parameters())
        assert model.crif.decoder.projection.weight.grad.any()

    @ENCODERS
    @pytest.mark.parametrize("stage", STAGES)
    def test_gradients_reach_exactly_what_a_stage_trains(self, stage, kind, make_privileged, privileged, make_batch):
        model = make_privileged(kind, backbone_kwargs={"zero_init_last": False})  # else blocks timm's inner weights
        model.set_stage(stage)
        images = make_batch(model)["pixel_values"]

        model.train()(pixel_values=images, **{k: v for k, v in privileged.items() if k != "features"}).loss.backward()

        trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
        assert {name for name, p in model.named_parameters() if p.grad is not None and p.grad.any()} == trained

    @ENCODERS
    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
    def test_half_precision_gives_finite_float32_losses(self, dtype, kind, make_privileged, privileged):
        model = make_privileged(kind).to(dtype)

        outputs = model(**privileged)
        outputs.loss.backward()

        assert {loss.dtype for loss in (outputs.loss, *outputs.loss_parts.values())} == {torch.float32}
        assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)

    @ENCODERS
    def test_reloaded_model_gives_the_same_loss(self, kind, make_privileged, privileged, tmp_path):
        model = make_privileged(kind).eval()
        model.save_pretrained(tmp_path)
        reloaded = AutoModelForImageClassification.from_pretrained(tmp_path).eval()

        torch.testing.assert_close(reloaded(**privileged).loss, model(**privileged).loss, **DOUBLE)

    @ENCODERS
    def test_inference_checkpoint_does_without_them(self, kind, make_privileged, privileged, tmp_path):
        model = make_privileged(kind, privileged_fusions=True).eval()
        model.save_pretrained(tmp_path, for_inference=True)
        reloaded = AutoModelForImageClassification.from_pretrained(tmp_path).eval()

        left_out = {".".join(name.split(".")[:2]) for name in model.state_dict().keys() - reloaded.state_dict().keys()}
        assert left_out == {
            "crif.semantic_encoder",
            "crif.semantic_projection",
            "semantic_classifier.weight",
            "semantic_classifier.bias",
            *(f"privileged_heads.{branch}" for branch in PRIVILEGED_FUSIONS),
        }
        features = privileged["features"]
        torch.testing.assert_close(reloaded(features=features).logits, model(features=features).logits, **DOUBLE)
        with pytest.raises(ValueError, match="no encoder of privileged features; leave out `privileged_features`"):
            reloaded(**privileged)

    @ENCODERS
    def test_names_words_given_in_their_place(self, kind, make_privileged, features):
        with pytest.raises(ValueError, match="learns from `privileged_features` and has no word encoder; leave out"):
            make_privileged(kind)(features=features, input_ids=INPUT_IDS)

    def test_names_them_where_a_model_learns_from_words(self, make_model, privileged):
        with pytest.raises(ValueError, match="no encoder of privileged features; leave out `privileged_features`"):
            make_model("crif").double()(**privileged)

    @ENCODERS
    @pytest.mark.parametrize("shape", [(4, 3, 6), (4, 5)], ids=["width", "no sequences"])
    def test_names_another_shape(self, shape, kind, make_privileged, features):
        with pytest.raises(
            ValueError, match=r"`privileged_features` must be \[B, T, 5\] with T of at least 1, got \[4, "
        ):
            make_privileged(kind)(features=features, privileged_features=torch.zeros(shape))

    @ENCODERS
    def test_names_a_mask_of_another_shape(self, kind, make_privileged, privileged):
        with pytest.raises(ValueError, match=r"mask of `privileged_features` must be \[4, 3\].* got \[4, 2\]"):
            make_privileged(kind)(**privileged | {"privileged_mask": MASK[:, :2]})

    def test_names_those_that_training_lacks(self, make_privileged, features):
        model = make_privileged("gru").train()

        with pytest.raises(ValueError, match=r"needs the loss parts .*`privileged_features`"):
            model(features=features, labels=LABELS)

    def test_names_a_missing_width(self, make_model):
        with pytest.raises(ValueError, match="'gru' needs `input_size`, the width of the pre-extracted features"):
            make_model("crif", privileged_encoder="gru")
