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


HEADS = [
    {"head": head, "class_scales": class_scales}
    for head in ("linear", "cosine", "nearest_mean")
    for class_scales in (False, True)
]


def _perturb(model):
    """Weights that differ from their initial values."""
    torch.manual_seed(1)
    for tensor in model.state_dict().values():
        if tensor.is_floating_point():
            tensor.add_(0.1 * torch.rand_like(tensor))


@pytest.mark.parametrize("for_inference", [False, True])
@pytest.mark.parametrize("head", HEADS, ids=str)
def test_every_head_predicts_the_same_after_saving(make_model, batch, tmp_path, head, for_inference):
    model = make_model("lt_classifier", **head).eval()
    _perturb(model)
    model.save_pretrained(tmp_path, for_inference=for_inference)
    loaded = type(model).from_pretrained(tmp_path).eval()
    logits = [each(pixel_values=batch["pixel_values"]).logits for each in (model, loaded)]
    torch.testing.assert_close(*logits, rtol=1e-5, atol=1e-5)


def test_a_linear_head_takes_the_class_scales_in_for_inference(make_model, tmp_path):
    make_model("lt_classifier").save_pretrained(tmp_path, for_inference=True)
    loaded = type(make_model("lt_classifier")).from_pretrained(tmp_path)
    assert not loaded.config.class_scales
    assert not any("class_scales" in name for name in loaded.state_dict())


def test_stage_lws_trains_the_class_scales_alone(make_model):
    model = make_model("lt_classifier")
    model.set_stage("lws")
    assert [name for name, p in model.named_parameters() if p.requires_grad] == ["class_scales.weight"]


def test_stage_lws_needs_class_scales(make_model):
    with pytest.raises(ValueError, match=r"trains \['class_scales'\], which this model lacks.*config"):
        make_model("lt_classifier", class_scales=False).set_stage("lws")


def test_ldam_has_the_scale_of_the_cosine_head(make_model, batch):
    settings = {"classification_loss": "ldam", "class_counts": [16, 16, 1]}
    model = make_model("lt_classifier", head="cosine", cosine_scale=10.0, **settings)
    outputs = model(**batch)
    margins = torch.tensor([0.25, 0.25, 0.5])  # n^-1/4, at most one half
    shifted = outputs.logits - 10.0 * F.one_hot(batch["labels"], 3) * margins
    torch.testing.assert_close(outputs.loss, F.cross_entropy(shifted, batch["labels"]))


def test_ldam_needs_a_cosine_head(make_model):
    with pytest.raises(ValueError, match=r"'ldam' is a loss of cosines.*head='cosine'"):
        make_model("lt_classifier", classification_loss="ldam", class_counts=[3, 2, 1])


def test_cosine_scale_must_be_positive(make_model):
    with pytest.raises(ValueError, match="`cosine_scale` must be above 0, got 0"):
        make_model("lt_classifier", head="cosine", cosine_scale=0)


def test_replaced_head_is_in_the_config_and_in_saved_models(make_model, batch, tmp_path):
    model = make_model("lt_classifier").eval()
    model.replace_head("nearest_mean")
    assert model.config.head == "nearest_mean"
    model.save_pretrained(tmp_path)
    logits = type(model).from_pretrained(tmp_path).eval()(**batch).logits
    assert torch.equal(logits, logits[:, :1].expand(4, 3))  # no means fitted: all classes alike


def test_reset_draws_anew_what_the_stage_trains_and_nothing_else(make_model):
    model = make_model("lt_classifier")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.set_stage("head")
    model.reset_trained()
    changed = [name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])]
    assert changed == ["classifier.weight", "classifier.bias"]


def _trained_repvgg(make_model):
    """Batch norms whose statistics and weights are not those of a new model."""
    model = make_model("lt_classifier", backbone="repvgg_a0")
    model.train()(pixel_values=torch.randn(8, 3, 64, 64))
    _perturb(model)
    return model.eval()


def test_repvgg_is_merged_for_inference(make_model, batch, tmp_path):
    model = _trained_repvgg(make_model)
    model.save_pretrained(tmp_path, for_inference=True)
    loaded = type(model).from_pretrained(tmp_path).eval()
    assert any(isinstance(module, torch.nn.BatchNorm2d) for module in model.modules())
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in loaded.backbone.vision_encoder.modules())
    logits = [each(pixel_values=batch["pixel_values"]).logits for each in (model, loaded)]
    torch.testing.assert_close(*logits, rtol=1e-4, atol=1e-4)


def test_reparameterized_model_saves_and_loads_as_such(make_model, batch, tmp_path):
    model = _trained_repvgg(make_model)
    expected = model(pixel_values=batch["pixel_values"]).logits
    model.reparameterize()
    model.save_pretrained(tmp_path)
    loaded = type(model).from_pretrained(tmp_path).eval()
    assert loaded.config.reparameterized
    torch.testing.assert_close(loaded(pixel_values=batch["pixel_values"]).logits, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("backbone", ["fastvit_t8", "mobileone_s0"])
def test_merging_twice_is_merging_once(make_model, tmp_path, backbone):
    model = make_model("lt_classifier", backbone=backbone).eval()
    images = torch.randn(2, 3, 64, 64)
    expected = model(pixel_values=images).logits
    model.save_pretrained(tmp_path, for_inference=True)
    loaded = type(model).from_pretrained(tmp_path).eval()
    loaded.reparameterize()
    loaded.save_pretrained(tmp_path / "again", for_inference=True)
    again = type(model).from_pretrained(tmp_path / "again").eval()
    torch.testing.assert_close(again(pixel_values=images).logits, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("backbone", ["test_resnet", "test_vit"])
def test_a_backbone_without_branches_is_not_called_merged(make_model, tmp_path, backbone):
    model = make_model("lt_classifier", backbone=backbone)
    assert not model.get_vision_encoder().can_be_reparameterized()
    model.save_pretrained(tmp_path, for_inference=True)
    assert not type(model).from_pretrained(tmp_path).config.reparameterized


@pytest.mark.parametrize("stage", ["joint", "head"])
def test_class_means_are_not_trained(make_model, stage):
    with pytest.raises(ValueError, match=rf"Stage '{stage}' cannot train a head of class means.*nearest_mean"):
        make_model("lt_classifier", head="nearest_mean").set_stage(stage)


@pytest.mark.parametrize("head", ["cosine", "nearest_mean"])
def test_lengths_do_not_overflow_in_half_precision(make_model, head):
    model = make_model("lt_classifier", head=head).half()
    _perturb(model)
    features = torch.zeros(2, model.get_vision_encoder().hidden_size, dtype=torch.float16)
    features[1] = 6e4
    logits = model.classifier(features)
    assert logits.isfinite().all()
    assert logits[1].abs().sum() > 0
