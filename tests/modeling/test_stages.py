"""Stages of every method; a new one comes in through the registry and the shared fixtures."""

import copy

import pytest
import torch


INPUT_IDS = torch.tensor([[2, 3, 0], [1, 11, 4], [5, 5, 0], [7, 9, 2]])
NO_WORDS = INPUT_IDS.clamp(max=1)  # [PAD] and [UNK] alone
WORD_PARTS = {
    "cmltnet": ("alignment", "word_classification", "words", "transfer"),
    "crif": ("similarity", "alignment", "reconstruction", "semantic_classification"),
}
IMAGE_PARTS = ("aligned_classification", "inferred_classification", "fused_classification")
WORD_METHODS = pytest.mark.parametrize("model_type", WORD_PARTS)
WORD_ENCODERS = pytest.mark.parametrize(
    ("model_type", "word_encoder"),
    [
        *(("cmltnet", kind) for kind in ("fnn", "bag", "gru")),
        *(("crif", kind) for kind in ("fnn", "bag", "gru", "lstm")),
    ],
)


@pytest.fixture
def model(staged, make_model):
    """The model of `staged`, in that stage and in training mode."""
    model_type, stage = staged
    # timm starts each residual branch at zero, and then no gradient reaches its other weights.
    model = make_model(model_type, backbone_kwargs={"zero_init_last": False})
    model.set_stage(stage)
    return model.train()


def _is_trained(model, name: str) -> bool:
    """Whether a parameter, buffer or submodule of that dotted name belongs to what the active stage trains."""
    return any(name == path or name.startswith(f"{path}.") for path in model.stage.trains)


def _trained_parameters(model) -> set[str]:
    return {name for name, _ in model.named_parameters() if _is_trained(model, name)}


def test_stage_is_found_by_its_name(model, staged):
    assert model.stage.name == staged[1]


def test_exactly_the_stage_requires_gradients(model):
    learning = {name for name, parameter in model.named_parameters() if parameter.requires_grad}

    assert learning == _trained_parameters(model)
    assert learning


def test_gradients_reach_exactly_what_the_stage_trains(model, make_batch):
    model(**make_batch(model)).loss.backward()

    reached = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert reached == _trained_parameters(model)


def test_a_step_changes_exactly_what_the_stage_trains(model, make_batch):
    before = copy.deepcopy(model.state_dict())
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.1)

    model(**make_batch(model)).loss.backward()
    optimizer.step()

    # Buffers too: batch-norm statistics move where the encoder trains, and only there.
    changed = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed == {name for name in before if _is_trained(model, name)}


def test_frozen_modules_stay_in_eval_mode(model):
    model.eval().train()  # as the Trainer does after an evaluation

    leaves = {name: module for name, module in model.named_modules() if not list(module.children())}
    assert {name for name, module in leaves.items() if module.training} == {
        name for name in leaves if _is_trained(model, name)
    }


def test_eval_reaches_every_module(model):
    model.eval()

    assert not any(module.training for module in model.modules())


def test_loss_is_the_weighted_sum_of_the_stages_parts(model, make_batch):
    outputs = model(**make_batch(model))

    weights = model.stage.loss_weights
    expected = sum(weight * outputs.loss_parts[name] for name, weight in weights.items())
    torch.testing.assert_close(outputs.loss, expected)


def test_evaluation_needs_images_and_labels_alone(model, make_batch):
    batch = make_batch(model)

    with torch.no_grad():
        outputs = model.eval()(pixel_values=batch["pixel_values"], labels=batch["labels"])

    weights = model.stage.loss_weights
    expected = sum(weights.get(name, 0.0) * part for name, part in outputs.loss_parts.items())
    torch.testing.assert_close(outputs.loss, expected)


def test_prediction_needs_images_alone(model, make_batch):
    with torch.no_grad():
        outputs = model.eval()(pixel_values=make_batch(model)["pixel_values"])

    assert outputs.loss is None
    assert outputs.logits.isfinite().all()


def test_a_stage_replaces_the_one_before(model):
    for name in model.stages:
        model.set_stage(name)

    assert model.stage.name == list(model.stages)[-1]
    learning = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert learning == _trained_parameters(model)


def test_no_stage_trains_everything_again(model):
    assert model.set_stage(None) is None

    assert model.stage is None
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert all(module.training for module in model.modules())


def test_set_stage_keeps_evaluation_mode(model):
    model.eval()

    model.set_stage(next(iter(model.stages)))
    model.set_stage(None)

    assert not any(module.training for module in model.modules())


def test_a_stage_is_no_part_of_weights_and_config(staged, make_model):
    model_type, stage = staged
    model = make_model(model_type)
    config, weights = model.config.to_dict(), copy.deepcopy(model.state_dict())

    model.set_stage(stage)

    assert model.config.to_dict() == config
    assert all(torch.equal(tensor, weights[name]) for name, tensor in model.state_dict().items())


def test_names_an_unknown_stage(method, make_model):
    model = make_model(method.model_type)

    last = list(model.stages)[-1]
    with pytest.raises(ValueError, match=rf"{method.classifier} has no stage 'warmup'; its stages are .*'{last}'"):
        model.set_stage("warmup")
    assert model.stage is None


def test_base_models_have_no_stages(method, make_model):
    base_model = make_model(method.model_type).base_model

    with pytest.raises(ValueError, match=rf"{method.model} has no stage 'joint'; its stages are \[\]"):
        base_model.set_stage("joint")


@WORD_METHODS
def test_joint_stage_trains_every_weight(model_type, make_model):
    model = make_model(model_type)

    model.set_stage("joint")

    assert all(parameter.requires_grad for parameter in model.parameters())


def test_head_stage_of_crif_trains_all_but_the_vision_encoder(make_model):
    model = make_model("crif")

    model.set_stage("head")

    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    assert frozen == {name for name, _ in model.named_parameters() if name.startswith("crif.vision_encoder.")}


def test_head_stage_trains_the_classifier_alone(make_model):
    model = make_model("lt_classifier")

    model.set_stage("head")

    learning = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert learning == {"classifier.weight", "classifier.bias"}


@pytest.mark.parametrize("stage", ["align", "joint"])
@pytest.mark.parametrize(
    ("model_type", "encoder"), [("cmltnet", "cmltnet.word_encoder"), ("crif", "crif.semantic_encoder")]
)
def test_names_the_modules_that_an_inference_checkpoint_lacks(model_type, encoder, stage, make_model):
    model = make_model(model_type, word_encoder=None)

    with pytest.raises(ValueError, match=rf"Stage '{stage}' trains \['{encoder}', .* which this model lacks"):
        model.set_stage(stage)


@WORD_METHODS
@pytest.mark.parametrize("stage", ["align", "infer", "joint"])
def test_names_the_words_that_training_lacks(stage, model_type, make_model, make_batch):
    model = make_model(model_type)
    model.set_stage(stage)
    batch = make_batch(model)

    with pytest.raises(ValueError, match=f"Stage '{stage}' needs the loss parts .*no `input_ids`. Pass the words"):
        model(pixel_values=batch["pixel_values"], labels=batch["labels"])


@WORD_METHODS
def test_fuse_trains_without_words(model_type, make_model, make_batch):
    model = make_model(model_type)
    model.set_stage("fuse")
    batch = make_batch(model)

    outputs = model(pixel_values=batch["pixel_values"], labels=batch["labels"])

    torch.testing.assert_close(outputs.loss, outputs.loss_parts["fused_classification"])


@pytest.mark.parametrize(
    ("model_type", "settings"),
    [
        ("cmltnet", {"alignment_weight": 0, "implicit_word_weight": 0}),
        ("crif", {"similarity_weight": 0, "semantic_weight": 0}),
        ("crif", {"alignment_strategy": "none", "semantic_weight": 0}),
    ],
)
def test_parts_of_weight_zero_need_no_words(model_type, settings, make_model, make_batch):
    model = make_model(model_type, **settings)
    model.set_stage("align")
    batch = make_batch(model)

    outputs = model(pixel_values=batch["pixel_values"], labels=batch["labels"])

    torch.testing.assert_close(outputs.loss, outputs.loss_parts["aligned_classification"])


@pytest.mark.parametrize(
    ("stage", "readout"),
    [("align", "aligned"), ("infer", "inferred"), ("fuse", "fused"), ("joint", "inferred"), (None, "inferred")],
)
@WORD_METHODS
def test_the_stage_picks_the_branch_that_is_read(stage, readout, model_type, make_model, make_batch):
    model = make_model(model_type, readout="inferred").eval()
    model.set_stage(stage)

    outputs = model(pixel_values=make_batch(model)["pixel_values"])

    assert torch.equal(outputs.logits, outputs[f"{readout}_logits"])


def _words_batch(input_ids, problem_type: str = "single_label_classification") -> dict:
    features = torch.randn(4, 96, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    single_label = problem_type == "single_label_classification"
    labels = (
        torch.tensor([0, 1, 2, 1]) if single_label else torch.tensor([[1.0, 0, 1], [0, 0, 0], [0, 1, 1], [1, 1, 1]])
    )
    return {"features": features, "input_ids": input_ids, "labels": labels}


@WORD_ENCODERS
@pytest.mark.parametrize("problem_type", ["single_label_classification", "multi_label_classification"])
def test_samples_without_words_do_not_count_in_word_losses(problem_type, word_encoder, model_type, make_model):
    model = make_model(model_type, problem_type=problem_type, word_encoder=word_encoder).double()
    described = torch.tensor([False, True, False, True])
    batch = _words_batch(torch.where(described[:, None], INPUT_IDS, NO_WORDS), problem_type)

    parts = model(**batch).loss_parts

    expected = model(**{name: tensor[described] for name, tensor in batch.items()}).loss_parts
    for part in WORD_PARTS[model_type]:
        torch.testing.assert_close(parts[part], expected[part], rtol=1e-10, atol=0.0)


@WORD_METHODS
def test_samples_without_words_count_in_image_losses(model_type, make_model):
    model = make_model(model_type).double()

    parts = model(**_words_batch(NO_WORDS)).loss_parts

    expected = model(**_words_batch(INPUT_IDS)).loss_parts
    for part in IMAGE_PARTS:
        torch.testing.assert_close(parts[part], expected[part], rtol=1e-10, atol=0.0)


@WORD_ENCODERS
def test_word_losses_of_a_batch_without_words_are_zero(word_encoder, model_type, make_model):
    model = make_model(model_type, word_encoder=word_encoder).double()

    parts = model(**_words_batch(NO_WORDS)).loss_parts

    assert {part: parts[part].item() for part in WORD_PARTS[model_type]} == dict.fromkeys(WORD_PARTS[model_type], 0.0)


@WORD_ENCODERS
@pytest.mark.parametrize("stage", ["align", "infer", "joint"])
def test_a_batch_without_words_reaches_the_same_weights(stage, word_encoder, model_type, make_model):
    """As distributed training needs it, where another rank has words."""
    model = make_model(model_type, word_encoder=word_encoder).double()
    model.set_stage(stage)

    assert _reached(model, NO_WORDS) == _reached(model, INPUT_IDS)


@pytest.mark.parametrize("stage", ["align", "infer", "joint"])
@pytest.mark.parametrize(
    "settings",
    [
        {"alignment_strategy": "none"},
        {"alignment_function": "centroid"},
        {"detach_words": True},
        {"detach_words": True, "semantic_weight": 0},
        {"alignment_strategy": "none", "semantic_weight": 0},
    ],
    ids=lambda settings: "-".join(f"{name}={value}" for name, value in settings.items()),
)
def test_a_batch_without_words_reaches_the_same_weights_of_crif_with_fewer_losses(settings, stage, make_model):
    model = make_model("crif", **settings).double()
    model.set_stage(stage)

    assert _reached(model, NO_WORDS) == _reached(model, INPUT_IDS)


def _reached(model, input_ids) -> set[str]:
    """The parameters that a backward pass reaches."""
    model.zero_grad()
    model(**_words_batch(input_ids)).loss.backward()
    return {name for name, parameter in model.named_parameters() if parameter.grad is not None}


@WORD_ENCODERS
def test_a_batch_without_words_gives_finite_gradients(word_encoder, model_type, make_model):
    model = make_model(model_type, word_encoder=word_encoder).double()

    model(**_words_batch(NO_WORDS)).loss.backward()

    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
