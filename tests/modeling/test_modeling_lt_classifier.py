import pytest
import torch
import torch.nn.functional as F


@pytest.fixture
def model(make_model):
    return make_model("lt_classifier").eval()


@pytest.fixture
def batch(model, make_batch):
    return make_batch(model)


def test_logits_are_a_linear_map_of_the_backbone_features(model, batch):
    features = model.get_vision_encoder()(batch["pixel_values"])
    expected = F.linear(features, model.classifier.weight, model.classifier.bias)
    assert torch.equal(model(pixel_values=batch["pixel_values"]).logits, expected)


def test_base_model_gives_the_backbone_features(model, batch):
    features = model.get_vision_encoder()(batch["pixel_values"])
    assert torch.equal(model.backbone(pixel_values=batch["pixel_values"]).pooler_output, features)


def test_images_and_their_cached_features_give_the_same_logits(model, batch):
    features = model.get_vision_encoder()(batch["pixel_values"])
    assert torch.equal(model(features=features).logits, model(pixel_values=batch["pixel_values"]).logits)


def test_loss_is_cross_entropy_by_default(model, batch):
    outputs = model(**batch)
    torch.testing.assert_close(outputs.loss, F.cross_entropy(outputs.logits, batch["labels"]))


def test_loss_of_multi_label_problems_is_binary_cross_entropy_by_default(make_model, make_batch):
    model = make_model("lt_classifier", problem_type="multi_label_classification")
    batch = make_batch(model)
    outputs = model(**batch)
    torch.testing.assert_close(outputs.loss, F.binary_cross_entropy_with_logits(outputs.logits, batch["labels"]))


def test_loss_takes_its_counts_and_arguments_from_the_config(make_model, batch):
    model = make_model(
        "lt_classifier",
        classification_loss="logit_adjusted",
        classification_loss_kwargs={"tau": 2.0},
        class_counts=[6, 3, 1],
    )
    outputs = model(**batch)
    shifted = outputs.logits + 2.0 * torch.tensor([0.6, 0.3, 0.1]).log()
    torch.testing.assert_close(outputs.loss, F.cross_entropy(shifted, batch["labels"]))


def test_loss_parts_hold_the_loss(model, batch):
    outputs = model(**batch)
    assert list(outputs.loss_parts) == ["classification"]
    assert torch.equal(outputs.loss_parts["classification"], outputs.loss)


@pytest.mark.parametrize("stage", ["joint", "head", None])
def test_dropout_acts_in_training(make_model, stage):
    model = make_model("lt_classifier", dropout=0.5)
    model.set_stage(stage)
    features = torch.ones(2, model.get_vision_encoder().hidden_size)
    first, second = (model.train()(features=features).logits for _ in range(2))
    assert not torch.equal(first, second)


def test_dropout_does_not_act_in_evaluation(make_model):
    model = make_model("lt_classifier", dropout=0.5)
    features = torch.ones(2, model.get_vision_encoder().hidden_size)
    first, second = (model.eval()(features=features).logits for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize("names", [[], ["pixel_values", "features"]], ids=["neither", "both"])
def test_needs_either_images_or_features(model, batch, names):
    inputs = {"pixel_values": batch["pixel_values"], "features": torch.zeros(4, 96)}
    with pytest.raises(ValueError, match="Pass either `pixel_values` or cached `features`, and not both"):
        model(**{name: inputs[name] for name in names})
