"""What CRIF gives: logits, features and their widths; and steps of training with any backbone."""

import pytest
import torch


DOUBLE = {"rtol": 1e-7, "atol": 1e-12}
SINGLE_LABEL, MULTI_LABEL = "single_label_classification", "multi_label_classification"
BRANCHES = ("aligned", "inferred", "fused")
INPUT_IDS = torch.tensor([[2, 3, 0], [1, 11, 4], [5, 5, 0], [7, 9, 2]])
LABELS = torch.tensor([0, 1, 2, 1])
STEP_BACKBONES = {
    # timm starts each residual branch at zero, and then no gradient reaches its other weights.
    "resnet": {"backbone": "test_resnet", "backbone_kwargs": {"zero_init_last": False}},
    "vit": {"backbone": "test_vit", "backbone_kwargs": {"img_size": 64}},
    "repvgg": {"backbone": "repvgg_a0", "backbone_kwargs": {"width_factor": 0.125}},
    "swin": {
        "backbone": "swin_tiny_patch4_window7_224",
        "backbone_kwargs": {"img_size": 64, "window_size": 4, "depths": (1, 1, 1, 1), "embed_dim": 24},
    },
}


@pytest.fixture
def make_double(make_model):
    """Makes a CRIF in float64."""

    def make(**settings):
        return make_model("crif", **settings).double()

    return make


@pytest.fixture
def features():
    return torch.randn(4, 96, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_images_and_their_cached_features_give_the_same_logits(make_model, make_batch):
    model = make_model("crif").eval()
    pixel_values = make_batch(model)["pixel_values"]

    with torch.no_grad():
        cached = model(features=model.get_vision_encoder()(pixel_values)).logits
        torch.testing.assert_close(model(pixel_values=pixel_values).logits, cached)


@pytest.mark.parametrize("word_decoder", ["fnn", "lstm"])
def test_words_do_not_change_the_logits(word_decoder, make_double, features):
    model = make_double(word_decoder=word_decoder)

    with_words, without = model(features=features, input_ids=INPUT_IDS), model(features=features)

    for branch in BRANCHES:
        assert torch.equal(with_words[f"{branch}_logits"], without[f"{branch}_logits"])
    assert torch.equal(with_words.logits, without.logits)


def test_semantic_logits_need_words(make_double, features):
    model = make_double()

    assert model(features=features, input_ids=INPUT_IDS).semantic_logits.shape == (4, 3)
    assert model(features=features).semantic_logits is None


@pytest.mark.parametrize("readout", BRANCHES)
def test_readout_picks_the_logits(readout, make_double, features):
    outputs = make_double(readout=readout)(features=features)

    assert torch.equal(outputs.logits, outputs[f"{readout}_logits"])


@pytest.mark.parametrize(
    ("readout", "embeds"), [("aligned", "content_embeds"), ("inferred", "inferred_embeds"), ("fused", "fused_embeds")]
)
def test_pooler_output_is_what_the_readout_classifies(readout, embeds, make_double, features):
    model = make_double(readout=readout)
    heads = {
        "aligned": model.visual_classifier,
        "inferred": model.inferred_classifier,
        "fused": model.fused_classifier,
    }

    outputs = model.crif(features=features)

    assert torch.equal(outputs.pooler_output, outputs[embeds])
    torch.testing.assert_close(heads[readout](outputs.pooler_output), model(features=features).logits, **DOUBLE)


@pytest.mark.parametrize(
    ("settings", "width"),
    [
        ({}, 3),  # 3/8 of 8
        ({"clip_size": 5}, 5),
        ({"shared_size": 2, "clip_size": None}, 1),  # never 0
        ({"alignment_strategy": "align", "clip_size": 5}, 8),
        ({"alignment_strategy": "none"}, 8),
    ],
    ids=str,
)
def test_content_is_the_first_dimensions_of_the_shared_space(settings, width, make_double, features):
    model = make_double(**settings)

    outputs = model.crif(features=features, input_ids=INPUT_IDS)

    assert torch.equal(outputs.content_embeds, outputs.image_embeds[:, :width])
    assert torch.equal(outputs.semantic_content, outputs.semantic_embeds[:, :width])


def test_fused_features_are_as_wide_as_content_by_default(make_double, features):
    assert make_double(fusion_size=None).crif(features=features).fused_embeds.shape == (4, 3)


def test_output_widths(make_double, features):
    outputs = make_double().crif(features=features, input_ids=INPUT_IDS)

    assert {name: tuple(tensor.shape) for name, tensor in outputs.items()} == {
        "pooler_output": (4, 9),
        "features": (4, 96),
        "image_embeds": (4, 8),
        "content_embeds": (4, 3),
        "inferred_embeds": (4, 6),
        "fused_embeds": (4, 9),
        "word_logits": (4, 10),
        "semantic_features": (4, 6),
        "semantic_embeds": (4, 8),
        "semantic_content": (4, 3),
    }


def test_evaluation_gathers_the_logits_alone(make_double, features):
    """As the Trainer does it, which leaves out what the config says."""
    model = make_double(privileged_fusions=True)

    outputs = model(features=features, input_ids=INPUT_IDS, labels=LABELS)

    assert set(outputs) - set(model.config.keys_to_ignore_at_inference) == {"loss", "logits"}


@pytest.mark.parametrize("stage", ["align", "infer", "fuse"])
@pytest.mark.parametrize("backbone", STEP_BACKBONES)
def test_every_backbone_takes_a_step_in_every_stage(backbone, stage, make_model, make_batch):
    model = make_model("crif", **STEP_BACKBONES[backbone])
    model.set_stage(stage)
    model.train()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)  # no decay, so that a gradient alone moves a weight
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}

    loss = model(**make_batch(model)).loss
    loss.backward()
    optimizer.step()

    assert loss.isfinite()
    # Statistics of batch norms too: they move where the encoder trains, and only there.
    moved = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert moved == {name for name in before if any(name.startswith(f"{path}.") for path in model.stage.trains)}


def test_checkpoint_without_word_encoder_refuses_words(make_double, features):
    model = make_double(word_encoder=None)

    with pytest.raises(ValueError, match="has no word encoder; leave out `input_ids`"):
        model(features=features, input_ids=INPUT_IDS)


@pytest.mark.parametrize("names", [(), ("pixel_values", "features")], ids=["neither", "both"])
def test_needs_either_images_or_features(names, make_double, features):
    inputs = {"pixel_values": torch.zeros(4, 3, 32, 32), "features": features}

    with pytest.raises(ValueError, match="either `pixel_values` or cached `features`"):
        make_double()(**{name: inputs[name] for name in names})


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((4, 95), "have width 95, but backbone 'test_resnet' gives 96"),
        (
            (4, 5, 96),
            r"must be \[B, 96\], got \[4, 5, 96\]; videos \[B, T, D\] need a backbone such as 'features:gru'",
        ),
    ],
)
def test_names_features_of_another_encoder(shape, message, make_double):
    with pytest.raises(ValueError, match=message):
        make_double()(features=torch.zeros(shape))


@pytest.mark.parametrize(
    ("problem_type", "labels", "message"),
    [
        (SINGLE_LABEL, torch.zeros(4, 3), r"shape \[4, 3\], but single_label_classification .* expects \[B\]"),
        (MULTI_LABEL, torch.zeros(4), r"shape \[4\], but multi_label_classification .* expects \[B, 3\]"),
        (MULTI_LABEL, torch.zeros(4, 2), r"shape \[4, 2\], but multi_label_classification .* expects \[B, 3\]"),
    ],
)
def test_names_labels_of_another_shape(problem_type, labels, message, make_double, features):
    with pytest.raises(ValueError, match=message):
        make_double(problem_type=problem_type)(features=features, labels=labels)
