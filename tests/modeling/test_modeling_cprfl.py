"""CPRFL against the recorded reference and its equations, and what it does with few, many and unseen classes."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from cprfl_reference import asymmetric_sum, cprfl_logits
from torch import Tensor, nn
from transformers import AutoModelForImageClassification

from xmodal_lt import CPRFLConfig, CPRFLForImageClassification


# The reference's names of its modules, and ours; its queries, keys and values are one matrix.
NAMES = {
    "fc.0": "cprfl.projection",
    "label_emb.0": "cprfl.prompts.network.0",
    "label_emb.3": "cprfl.prompts.network.3",
    "attention.layers.0.0.norm": "cprfl.interaction.attention_norm",
    "attention.layers.0.0.fn.to_out.0": "cprfl.interaction.output",
    "attention.layers.0.1.norm": "cprfl.interaction.mlp_norm",
    "attention.layers.0.1.fn.net.0": "cprfl.interaction.mlp.0",
    "attention.layers.0.1.fn.net.3": "cprfl.interaction.mlp.3",
}


class GivenFeatures(nn.Module):
    """In place of a backbone: images are the local features themselves, as a map."""

    local_size = 6

    def local_features(self, images):
        return images.flatten(2).transpose(1, 2)


@pytest.fixture
def record(golden):
    return golden("cprfl_pi_vsi")


@pytest.fixture
def reference_model(record):
    params, weights = record["params"], record["inputs"]["weights"]
    config = CPRFLConfig(
        backbone="test_resnet",
        num_labels=5,
        semantic_size=7,
        hidden_size=params["feature_d"],
        expansion=params["expand"],
        num_heads=params["heads"],
        head_size=params["dim_head"],
        mlp_size=params["mlp_dim"],
    )
    model = CPRFLForImageClassification(config)
    model.cprfl.vision_encoder = GivenFeatures()
    model.cprfl.projection = nn.Linear(6, params["feature_d"])
    state = {
        f"{ours}.{kind}": torch.tensor(weights[f"{theirs}.{kind}"], dtype=torch.float64)
        for theirs, ours in NAMES.items()
        for kind in ("weight", "bias")
    }
    to_qkv = torch.tensor(weights["attention.layers.0.0.fn.to_qkv.weight"], dtype=torch.float64)
    for name, rows in zip(("query", "key", "value"), to_qkv.chunk(3), strict=True):
        state[f"cprfl.interaction.{name}.weight"] = rows
    state["cprfl.prompts.class_semantics"] = torch.tensor(record["inputs"]["text_embeddings"], dtype=torch.float64)
    model = model.double().eval()
    model.load_state_dict(state)
    return model


def test_prompts_scores_and_gradients_are_those_of_the_released_code(record, reference_model):
    feature_map = torch.tensor(record["inputs"]["feature_map"], dtype=torch.float64, requires_grad=True)
    expected = {name: torch.tensor(value, dtype=torch.float64) for name, value in record["outputs"].items()}

    logits = reference_model(pixel_values=feature_map).logits
    logits.sum().backward()

    network = reference_model.cprfl.prompts.network
    tolerance = record["tolerance"]
    for value, name in (
        (network(reference_model.cprfl.prompts.class_semantics), "prompts"),
        (logits, "scores"),
        (network[0].weight.grad, "grad_PI_fc1_weight"),
        (network[3].weight.grad, "grad_PI_fc2_weight"),
        (feature_map.grad, "grad_feature_map"),
    ):
        torch.testing.assert_close(value, expected[name], **tolerance)


DOUBLE = {"rtol": 1e-9, "atol": 1e-12}
SINGLE_LABEL, MULTI_LABEL = "single_label_classification", "multi_label_classification"
LABELS = torch.tensor([[1.0, 0, 1], [0, 0, 0], [0, 1, 1], [1, 1, 1]])
VARIANTS = {"code": {"variant": "code"}, "paper": {"variant": "paper", "head_size": None}}
NETWORKS = ("mlp", "linear", "none")
every_variant = pytest.mark.parametrize("variant", VARIANTS)
every_network = pytest.mark.parametrize("network", NETWORKS)


@pytest.fixture
def make_multilabel(make_model):
    """Makes a multi-label CPRFL, by default with a small backbone."""

    def make(variant: str = "code", **settings: Any) -> Any:
        return make_model("cprfl", **{"problem_type": MULTI_LABEL} | VARIANTS[variant] | settings)

    return make


@pytest.fixture
def make_double(make_multilabel):
    """Makes it in float64 without a backbone, with norms and biases that do not stand where they start."""

    def make(variant: str = "code", **settings: Any) -> Any:
        model = make_multilabel(variant, **settings)
        model.cprfl.vision_encoder = GivenFeatures()
        model.cprfl.projection = nn.Linear(6, model.config.hidden_size)
        for parameter in model.double().parameters():
            nn.init.normal_(parameter, std=0.5)
        return model

    return make


def _feature_maps(batch_size: int = 4, height: int = 2, width: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(batch_size, 6, height, width, generator=generator, dtype=torch.float64)


def _expected_logits(model: Any, maps: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Of the equations, and the weights that their gradient reaches."""
    state = {name.removeprefix("cprfl."): tensor.detach().clone() for name, tensor in model.state_dict().items()}
    weights = {name: tensor.requires_grad_("class_semantics" not in name) for name, tensor in state.items()}
    rows = torch.stack([image.reshape(6, -1).T for image in maps])
    return cprfl_logits(model.config, weights, rows), weights


def _gradients(model: Any, part: str = "") -> dict[str, Tensor]:
    return {
        name: torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        for name, parameter in model.named_parameters()
        if part in name
    }


@pytest.mark.parametrize("side", [1, 2], ids=["one place", "four places"])
@pytest.mark.parametrize("num_labels", [1, 3, 9])
@every_network
@pytest.mark.parametrize("residual", [False, True], ids=["plain", "residual"])
@every_variant
def test_logits_equal_the_equations(variant, residual, network, num_labels, side, make_double):
    model = make_double(variant, residual=residual, prompt_network=network, num_labels=num_labels)
    maps = _feature_maps(batch_size=2, height=side, width=side)
    torch.testing.assert_close(model(pixel_values=maps).logits, _expected_logits(model, maps)[0], **DOUBLE)


@every_network
@pytest.mark.parametrize("detach_path", [None, "interaction", "direct"])
@every_variant
def test_loss_and_gradients_equal_the_equations(variant, detach_path, network, make_double):
    model, maps = make_double(variant, detach_path=detach_path, prompt_network=network), _feature_maps()
    logits, weights = _expected_logits(model, maps)
    expected = asymmetric_sum(logits, LABELS.double()) / (1 if variant == "paper" else LABELS.numel())
    expected.backward()

    outputs = model(pixel_values=maps, labels=LABELS)
    outputs.loss.backward()

    torch.testing.assert_close(outputs.loss, expected, **DOUBLE)
    assert outputs.loss_parts.keys() == {"classification"}
    for name, gradient in _gradients(model).items():
        torch.testing.assert_close(gradient, weights[name.removeprefix("cprfl.")].grad, **DOUBLE, msg=name)


class TestDualPath:
    """Figure 2: gradients reach the prompts through the interaction, and from the scores."""

    def _prompt_gradients(self, model: Any) -> dict[str, Tensor]:
        model(pixel_values=_feature_maps(), labels=LABELS).loss.backward()
        return _gradients(model, "prompts.network")

    @every_network
    @every_variant
    def test_gradient_is_the_sum_of_both_paths(self, variant, network, make_double):
        both, direct, interaction = (
            self._prompt_gradients(make_double(variant, prompt_network=network, detach_path=detached))
            for detached in (None, "interaction", "direct")
        )
        for name, gradient in both.items():
            torch.testing.assert_close(gradient, direct[name] + interaction[name], **DOUBLE)
            assert direct[name].any()
            assert interaction[name].any()

    @pytest.mark.parametrize("detach_path", ["interaction", "direct"])
    def test_cut_paths_leave_values_and_what_else_learns(self, detach_path, make_double):
        cut, whole = make_double(detach_path=detach_path), make_double()
        losses = [model(pixel_values=_feature_maps(), labels=LABELS).loss for model in (cut, whole)]
        for loss in losses:
            loss.backward()
        assert torch.equal(*losses)
        for part in ("interaction", "projection"):
            gradients = _gradients(cut, part)
            assert all(gradient.any() for gradient in gradients.values())
            torch.testing.assert_close(gradients, _gradients(whole, part), **DOUBLE)


class TestLoss:
    @every_variant
    @pytest.mark.parametrize("gammas", [{}, {"gamma_pos": 1.0, "gamma_neg": 2.0, "clip": 0.2}])
    def test_of_several_labels_is_asymmetric(self, variant, gammas, make_double):
        model = make_double(variant, classification_loss_kwargs=gammas)
        outputs = model(pixel_values=_feature_maps(), labels=LABELS)
        renamed = {"margin" if name == "clip" else name: value for name, value in gammas.items()}
        expected = asymmetric_sum(outputs.logits, LABELS.double(), **renamed)
        torch.testing.assert_close(outputs.loss, expected / (1 if variant == "paper" else 12), **DOUBLE)

    @every_variant
    def test_by_name(self, variant, make_double):
        model = make_double(variant, classification_loss="bce")
        outputs = model(pixel_values=_feature_maps(), labels=LABELS)
        reduction = "sum" if variant == "paper" else "mean"
        expected = F.binary_cross_entropy_with_logits(outputs.logits, LABELS.double(), reduction=reduction)
        torch.testing.assert_close(outputs.loss, expected, **DOUBLE)

    @every_variant
    def test_of_one_label_is_cross_entropy(self, variant, make_double):
        model, labels = make_double(variant, problem_type=SINGLE_LABEL), torch.tensor([0, 2, 1, 2])
        outputs = model(pixel_values=_feature_maps(), labels=labels)
        reduction = "sum" if variant == "paper" else "mean"
        torch.testing.assert_close(
            outputs.loss, F.cross_entropy(outputs.logits, labels, reduction=reduction), **DOUBLE
        )

    def test_takes_integer_labels(self, make_double):
        model, maps = make_double(), _feature_maps()
        loss = model(pixel_values=maps, labels=LABELS.long()).loss
        assert torch.equal(loss, model(pixel_values=maps, labels=LABELS).loss)

    @pytest.mark.parametrize(
        ("problem_type", "shape"), [(MULTI_LABEL, [4]), (MULTI_LABEL, [4, 2]), (SINGLE_LABEL, [4, 3])]
    )
    def test_names_labels_of_another_shape(self, problem_type, shape, make_double):
        labels = torch.zeros(shape, dtype=torch.long)
        with pytest.raises(ValueError, match=rf"{problem_type} with 3 labels expects \[B"):
            make_double(problem_type=problem_type)(pixel_values=_feature_maps(), labels=labels)


def _train_once(model: Any, images: Tensor, labels: Tensor) -> Tensor:
    """Logits in evaluation after a training step whose loss and gradients were finite."""
    optimizer = torch.optim.SGD(model.train().parameters(), lr=0.01)
    loss = model(pixel_values=images, labels=labels).loss
    loss.backward()
    assert loss.isfinite()
    assert all(gradient.isfinite().all() for gradient in _gradients(model).values())
    optimizer.step()
    with torch.no_grad():
        return model.eval()(pixel_values=images).logits


class TestBatches:
    @pytest.mark.parametrize("network", ["mlp", "none"])
    @pytest.mark.parametrize(
        "labels",
        [
            torch.tensor([[1.0, 0, 1], [1, 0, 0]]),
            torch.tensor([[1.0, 1, 1], [0, 0, 0]]),
            torch.zeros(2, 3),
            torch.ones(2, 3),
            torch.tensor([[0.0, 1, 0]]),
            torch.zeros(1, 3),
        ],
        ids=["class without sample", "image without label", "no label", "all labels", "one image", "one without"],
    )
    @every_variant
    def test_train_and_predict(self, variant, labels, network, make_multilabel):
        images = torch.randn(len(labels), 3, 64, 64, generator=torch.Generator().manual_seed(0))
        logits = _train_once(make_multilabel(variant, prompt_network=network), images, labels)
        assert logits.shape == labels.shape
        assert logits.isfinite().all()

    @pytest.mark.parametrize("num_labels", [1, 80, 8000])
    def test_of_any_number_of_classes(self, num_labels, make_double, monkeypatch):
        monkeypatch.setattr("xmodal_lt.modeling.visual_semantic_interaction._MOST_SCORES", 2**22)
        sizes = {"hidden_size": 4, "num_heads": 1, "head_size": 4, "mlp_size": 4}
        model = make_double(num_labels=num_labels, **sizes).float()
        labels = torch.zeros(2, num_labels)
        labels[0, -1] = 1
        logits = _train_once(model, _feature_maps(2).float(), labels)
        assert logits.shape == (2, num_labels)
        assert logits.isfinite().all()

    def test_samples_do_not_see_each_other(self, make_double):
        model, maps = make_double().eval(), _feature_maps()
        expected = torch.cat([model(pixel_values=image[None]).logits for image in maps])
        torch.testing.assert_close(model(pixel_values=maps).logits, expected, **DOUBLE)


@pytest.mark.parametrize("loss", ["asymmetric", "distribution_balanced", "multilabel_focal"])
@pytest.mark.parametrize(
    ("variant", "dtype"),
    # Without norms the scores of attention leave the range of float16.
    [("code", torch.bfloat16), ("code", torch.float16), ("paper", torch.bfloat16)],
)
def test_extreme_logits_give_finite_loss_and_gradients_under_autocast(variant, dtype, loss, make_multilabel):
    counts = {"class_counts": [9, 4, 1], "num_samples": 12}
    model = make_multilabel(variant, classification_loss=loss, **counts).train()
    with torch.no_grad():
        for parameter in model.cprfl.prompts.network[-1].parameters():
            parameter.mul_(1e4)
    images = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))

    with torch.autocast("cpu", dtype):
        outputs = model(pixel_values=images, labels=LABELS)
    outputs.loss.backward()

    assert outputs.logits.abs().max() > 1000
    assert outputs.loss.isfinite()
    assert all(gradient.isfinite().all() for gradient in _gradients(model).values())


def test_scores_under_autocast_are_summed_in_float32(make_double):
    model = make_double().float()
    with torch.autocast("cpu", torch.bfloat16):
        logits, outputs = model(pixel_values=_feature_maps().float()).logits, model.cprfl(_feature_maps().float())
    assert outputs.category_embeds.dtype == outputs.prompts.dtype == torch.bfloat16
    expected = (outputs.category_embeds.double() * outputs.prompts.double()).sum(dim=-1)
    torch.testing.assert_close(logits, expected.float())


class TestNewLabels:
    """`from_pretrained(num_labels=..., ignore_mismatched_sizes=True)`."""

    @every_network
    @every_variant
    def test_keep_what_is_not_of_the_classes(self, variant, network, make_multilabel, tmp_path):
        model = make_multilabel(variant, prompt_network=network)
        model.save_pretrained(tmp_path)
        torch.manual_seed(5)

        reloaded = AutoModelForImageClassification.from_pretrained(
            tmp_path, num_labels=5, ignore_mismatched_sizes=True
        )

        state = reloaded.state_dict()
        of_classes = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, state[name])}
        expected = "network.weight" if network == "none" else "class_semantics"
        assert of_classes == {f"cprfl.prompts.{expected}"}
        (name,) = of_classes
        assert state[name].shape == (5, 8 if network == "none" else 5)
        deviation = 8**-0.5 if network == "none" else 1  # as of a new model
        assert state[name].std().item() == pytest.approx(deviation, rel=0.5)

    def test_give_finite_scores_and_train(self, make_multilabel, tmp_path):
        make_multilabel().save_pretrained(tmp_path)
        reloaded = AutoModelForImageClassification.from_pretrained(
            tmp_path, num_labels=5, ignore_mismatched_sizes=True
        )
        images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
        logits = _train_once(reloaded, images, torch.eye(5)[:2])
        assert logits.shape == (2, 5)
        assert logits.isfinite().all()


def test_features_are_those_that_are_classified(make_double):
    model, maps = make_double(), _feature_maps()
    outputs = model.cprfl(pixel_values=maps)
    assert outputs.local_features.shape == (4, 6, 8)
    assert outputs.prompts.shape == (3, 8)
    assert outputs.pooler_output.shape == outputs.category_embeds.shape == (4, 3, 8)
    scores = (outputs.category_embeds * outputs.prompts).sum(dim=-1)
    torch.testing.assert_close(model(pixel_values=maps).logits, scores, **DOUBLE)


def test_stage_of_recipes_trains_everything(make_multilabel):
    model = make_multilabel()
    model.set_stage("joint")
    assert [name for name, parameter in model.named_parameters() if not parameter.requires_grad] == []
