import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForImageClassification

from xmodal_lt import ImageClassifier, ImageClassifierConfig
from xmodal_lt.training import Recipe, run_recipe
from xmodal_lt.training.rebalancing import Features, check_rebalancing, rebalance
from xmodal_lt.training.recipe import RebalanceRecipe


pytestmark = pytest.mark.usefixtures("blank_figures")


@pytest.fixture
def model():
    torch.manual_seed(0)
    config = ImageClassifierConfig(backbone="test_resnet", num_labels=3, class_counts=[60, 30, 10])
    return ImageClassifier(config).eval()


def _features(model, seed=0):
    """Features of which the model itself says the class, but that it calls class 2 too rarely."""
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(300, model.get_vision_encoder().hidden_size, generator=generator)
    with torch.no_grad():
        labels = model(features=features).logits.argmax(-1)
        model.classifier.bias[2] -= 1.5
    return Features(features, labels)


def _accuracy(model, data):
    with torch.no_grad():
        return (model(features=data.features).logits.argmax(-1) == data.labels).float().mean().item()


def test_tau_normalisation_takes_the_norms_and_drops_the_bias(model):
    report = rebalance(RebalanceRecipe("tau_norm", tau=1.0), model, lambda split: pytest.fail("asks for features"))
    assert report == {"method": "tau_norm", "tau": 1.0}
    torch.testing.assert_close(model.classifier.weight.norm(dim=1), torch.ones(3))
    assert model.classifier.bias.tolist() == [0, 0, 0]


def test_logit_adjustment_takes_the_log_priors_out(model):
    features = torch.randn(5, model.get_vision_encoder().hidden_size)
    before = model(features=features).logits
    rebalance(RebalanceRecipe("logit_adjustment", tau=2.0), model, lambda split: pytest.fail("asks for features"))
    expected = before - 2.0 * torch.tensor([0.6, 0.3, 0.1]).log()
    torch.testing.assert_close(model(features=features).logits, expected)


def test_tau_is_the_best_on_validation(model):
    data = _features(model)
    before = _accuracy(model, data)
    taus = [0.0, 0.5, 1.0]
    report = rebalance(RebalanceRecipe("logit_adjustment", taus=taus), model, {"validation": data}.__getitem__)
    scores = report["validation_macro_accuracy"]
    assert list(scores) == ["0.0", "0.5", "1.0"]
    assert scores[str(report["tau"])] == max(scores.values())
    assert report["tau"] > 0  # what was taken from the bias of the rarest class is given back
    assert _accuracy(model, data) > before


def test_the_smallest_of_equally_good_taus_is_taken(model):
    data = Features(torch.zeros(3, model.get_vision_encoder().hidden_size), torch.tensor([0, 1, 2]))
    recipe = RebalanceRecipe("tau_norm", taus=[1.0, 0.5, 2.0])
    assert rebalance(recipe, model, {"validation": data}.__getitem__)["tau"] == 0.5


def test_nearest_mean_is_fitted_on_the_training_features(model):
    generator = torch.Generator().manual_seed(0)
    centres = 5 * torch.randn(3, model.get_vision_encoder().hidden_size, generator=generator)
    labels = torch.arange(30) % 3
    data = Features(centres[labels] + torch.randn(30, centres.shape[1], generator=generator), labels)
    rebalance(RebalanceRecipe("nearest_mean"), model, {"train": data}.__getitem__)
    assert model.config.head == "nearest_mean"
    assert _accuracy(model, data) == 1.0


@pytest.mark.parametrize(
    ("method", "changes", "message"),
    [
        ("tau_norm", {"head": "cosine"}, "changes a linear head; the model has head='cosine'"),
        ("logit_adjustment", {"class_scales": True}, "without class scales"),
        ("nearest_mean", {"class_scales": True}, "without class scales"),
        ("nearest_mean", {"problem_type": "multi_label_classification"}, "is for single-label problems"),
    ],
)
def test_a_model_that_does_not_fit_is_named(method, changes, message):
    model = ImageClassifier(ImageClassifierConfig(backbone="test_resnet", num_labels=3, **changes))
    with pytest.raises(ValueError, match=message):
        check_rebalancing(RebalanceRecipe(method), model, has_validation=True)


def test_choosing_tau_needs_validation_data(model):
    with pytest.raises(ValueError, match=r"rebalance.tau is chosen on a validation split.*give rebalance.tau"):
        check_rebalancing(RebalanceRecipe("tau_norm"), model, has_validation=False)
    check_rebalancing(RebalanceRecipe("tau_norm", tau=1.0), model, has_validation=False)


@pytest.fixture(scope="module")
def trained(colour_data, tmp_path_factory) -> Recipe:
    """The recipe of a finished baseline."""
    recipe = Recipe.from_dict(
        {
            "model": {"type": "lt_classifier", "config": {"backbone": "test_resnet"}},
            "dataset": {"path": str(colour_data)},
            "images": {"size": 32},
            "stages": {"joint": {"epochs": 1, "learning_rate": 1e-3, "batch_size": 16, "milestones": []}},
            "output_dir": str(tmp_path_factory.mktemp("runs") / "trained"),
        }
    )
    run_recipe(recipe)
    return recipe


HEAD = {"epochs": 2, "learning_rate": 0.1, "optimizer": "sgd", "batch_size": 16, "milestones": []}
CLASS_AWARE = {"sampler": "class_aware", "sampler_kwargs": {"samples_per_class": 4}}
REBALANCINGS = {
    "crt": {"stages": {"head": {**HEAD, **CLASS_AWARE, "reset": True}}},
    "lws": {"model": {"config": {"class_scales": True}}, "stages": {"lws": {**HEAD, **CLASS_AWARE}}},
    "tau_norm": {"rebalance": {"method": "tau_norm", "tau": 1.0}},
    "nearest_mean": {"rebalance": {"method": "nearest_mean"}},
    "logit_adjustment": {"rebalance": {"method": "logit_adjustment", "taus": [0.5, 1.0]}},
}


def _recipe(trained, tmp_path, model=None, **changes):
    return Recipe.from_dict(
        {
            "model": {"type": "lt_classifier", "checkpoint": trained.output_dir, **(model or {})},
            "dataset": {"path": trained.dataset.path},
            "images": {"size": 32},
            "output_dir": str(tmp_path / "run"),
            **changes,
        }
    )


def _encoder_weights(folder):
    weights = AutoModelForImageClassification.from_pretrained(folder).state_dict()
    return {name: tensor for name, tensor in weights.items() if "vision_encoder" in name}


@pytest.mark.parametrize("name", REBALANCINGS)
def test_recipes_rebalance_a_checkpoint_and_leave_its_encoder(trained, tmp_path, name):
    results = run_recipe(_recipe(trained, tmp_path, **REBALANCINGS[name]))

    before, after = _encoder_weights(trained.output_dir), _encoder_weights(results.output_dir)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
    head = {"nearest_mean": "class_means"}.get(name, "weight")
    old, new = (AutoModelForImageClassification.from_pretrained(f) for f in (trained.output_dir, results.output_dir))
    if name == "lws":
        assert not torch.equal(new.class_scales.weight, torch.ones(4))
        assert torch.equal(old.classifier.weight, new.classifier.weight)
    elif name == "logit_adjustment":
        assert torch.equal(old.classifier.weight, new.classifier.weight)
        assert not torch.equal(old.classifier.bias, new.classifier.bias)
    else:
        assert not torch.equal(old.classifier.weight, getattr(new.classifier, head))


def test_results_say_how_the_head_was_rebalanced(trained, tmp_path):
    results = run_recipe(_recipe(trained, tmp_path, rebalance={"method": "tau_norm", "taus": [0.0, 1.0]}))
    written = json.loads((Path(results.output_dir) / "results.json").read_text())["rebalance"]
    assert written["method"] == "tau_norm"
    assert set(written["validation_macro_accuracy"]) == {"0.0", "1.0"}


def test_a_head_cannot_be_reset_with_its_encoder(trained, tmp_path):
    recipe = _recipe(trained, tmp_path, stages={"joint": {**HEAD, "reset": True}})
    with pytest.raises(ValueError, match=r"stages.joint.reset would draw the vision encoder's weights anew"):
        run_recipe(recipe)


def test_lws_needs_class_scales(trained, tmp_path):
    with pytest.raises(ValueError, match=r"trains \['class_scales'\], which this model lacks"):
        run_recipe(_recipe(trained, tmp_path, stages={"lws": dict(HEAD)}))
