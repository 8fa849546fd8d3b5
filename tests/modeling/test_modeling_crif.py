"""CRIF on images and words against its equations, written again in `crif_reference` as loops over numbers."""

import pytest
import torch
from crif_reference import crif_reference


DOUBLE = {"rtol": 1e-7, "atol": 1e-12}
SINGLE_LABEL, MULTI_LABEL = PROBLEM_TYPES = ("single_label_classification", "multi_label_classification")
DECODERS = ("fnn", "lstm")
PARTS = (
    "similarity",
    "alignment",
    "reconstruction",
    "semantic_classification",
    "aligned_classification",
    "inferred_classification",
    "fused_classification",
)
STAGES = ("align", "infer", "fuse", "joint")
WEIGHTS = {
    "similarity_weight": 0.7,
    "alignment_weight": 1.9,
    "semantic_weight": 1.3,
    "content_weight": 0.4,
    "inferred_classification_weight": 2.1,
    "inference_weight": 0.6,
    "fusion_weight": 0.8,
}
STRATEGIES = ("none", "align", "clip")
FUNCTIONS = (
    {"alignment_function": "l2"},
    {"alignment_function": "kl"},
    {"alignment_function": "coral"},
    {"alignment_function": "coral", "coral_mode": "literal"},
    {"alignment_function": "centroid"},
)
# Ids 2 to 11 are words, 0 is [PAD] and 1 is [UNK].
INPUT_IDS = torch.tensor([[2, 3, 0], [1, 11, 4], [5, 5, 0], [7, 9, 2]])
WORDS = [{0, 1}, {9, 2}, {3}, {5, 7, 0}]


def _name(settings: dict) -> str:
    return "-".join(f"{name}={value}" for name, value in settings.items())


@pytest.fixture
def make_double(make_model):
    """Makes a CRIF in float64 whose loss weights all differ."""

    def make(**settings):
        return make_model("crif", seed=2, **WEIGHTS | settings).double()

    return make


@pytest.fixture
def features():
    return torch.randn(4, 96, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def _labels(problem_type: str = SINGLE_LABEL) -> torch.Tensor:
    if problem_type == SINGLE_LABEL:
        return torch.tensor([0, 1, 2, 1])
    return torch.tensor([[1.0, 0, 1], [0, 0, 0], [0, 1, 1], [1, 1, 1]])


def _expected(model, features: torch.Tensor, labels: torch.Tensor) -> dict[str, float]:
    weights = {name: tensor.tolist() for name, tensor in model.state_dict().items() if "vision_encoder" not in name}
    return crif_reference(model.config, weights, features.tolist(), labels.tolist(), WORDS)[1]


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("word_decoder", DECODERS)
@pytest.mark.parametrize("problem_type", PROBLEM_TYPES)
def test_loss_part_equals_its_equation(problem_type, word_decoder, part, make_double, features):
    model, labels = make_double(problem_type=problem_type, word_decoder=word_decoder), _labels(problem_type)

    parts = model(features=features, input_ids=INPUT_IDS, labels=labels).loss_parts

    assert parts.keys() == set(PARTS)
    assert parts[part].item() == pytest.approx(_expected(model, features, labels)[part], rel=1e-9)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("word_decoder", DECODERS)
@pytest.mark.parametrize("problem_type", PROBLEM_TYPES)
def test_loss_of_a_stage_equals_its_equation(problem_type, word_decoder, stage, make_double, features):
    model, labels = make_double(problem_type=problem_type, word_decoder=word_decoder), _labels(problem_type)
    model.set_stage(stage)

    loss = model(features=features, input_ids=INPUT_IDS, labels=labels).loss

    assert loss.item() == pytest.approx(_expected(model, features, labels)[stage], rel=1e-9)


@pytest.mark.parametrize("stage", [None, "head"])
def test_loss_equals_equation_22_by_default_and_on_a_frozen_encoder(stage, make_double, features):
    model = make_double()
    model.set_stage(stage)

    loss = model(features=features, input_ids=INPUT_IDS, labels=_labels()).loss

    assert loss.item() == pytest.approx(_expected(model, features, _labels())["joint"], rel=1e-9)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("problem_type", PROBLEM_TYPES)
@pytest.mark.parametrize("function", FUNCTIONS, ids=_name)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_alignments_of_table_5_equal_the_equations(strategy, function, problem_type, stage, make_double, features):
    model = make_double(problem_type=problem_type, alignment_strategy=strategy, **function)
    labels = _labels(problem_type)
    model.set_stage(stage)

    outputs = model(features=features, input_ids=INPUT_IDS, labels=labels)

    expected = _expected(model, features, labels)
    assert outputs.loss.item() == pytest.approx(expected[stage], rel=1e-9)
    assert outputs.loss_parts["alignment"].item() == pytest.approx(expected["alignment"], rel=1e-9)


@pytest.mark.parametrize("word_decoder", DECODERS)
@pytest.mark.parametrize(
    "settings",
    [
        {"fusion": "concat"},
        {"fusion": "add"},
        {"fusion": "multiply"},
        {"fusion": "max"},
        {"fusion": "min"},
        {"fusion_size": None},
        {"clip_size": None},
        {"clip_size": 1},
        {"clip_size": 8},
        {"word_loss": "bce"},
        {"word_loss": "cross_entropy"},
        {"normalize_similarity": True},
        {"detach_words": True},
        {"decoder_steps": 1},
        dict.fromkeys(WEIGHTS, 0),
        dict.fromkeys(WEIGHTS, 1),
    ],
    ids=_name,
)
def test_options_equal_the_equations(settings, word_decoder, make_double, features):
    model = make_double(word_decoder=word_decoder, **settings)

    outputs = model(features=features, input_ids=INPUT_IDS, labels=_labels())

    expected = _expected(model, features, _labels())
    assert outputs.loss.item() == pytest.approx(expected["joint"], rel=1e-9)
    actual = {part: loss.item() for part, loss in outputs.loss_parts.items()}
    assert actual == pytest.approx({part: expected[part] for part in PARTS}, rel=1e-9)


def test_positive_labels_may_weigh_more(make_double, features):
    """As the paper has it on NUS-WIDE, with weights from 20 to 150."""
    settings = {"classification_loss": "bce", "classification_loss_kwargs": {"pos_weight": 20.0}}
    model, labels = make_double(problem_type=MULTI_LABEL, **settings), _labels(MULTI_LABEL)

    outputs = model(features=features, input_ids=INPUT_IDS, labels=labels)

    expected = _expected(model, features, labels)
    actual = {part: loss.item() for part, loss in outputs.loss_parts.items()}
    assert actual == pytest.approx({part: expected[part] for part in PARTS}, rel=1e-9)
    assert outputs.loss.item() == pytest.approx(expected["joint"], rel=1e-9)


@pytest.mark.parametrize(
    "settings",
    [
        *({"problem_type": kind, "word_decoder": decoder} for kind in PROBLEM_TYPES for decoder in DECODERS),
        *FUNCTIONS,
        {"normalize_similarity": True, "word_loss": "cross_entropy", "fusion": "multiply"},
    ],
    ids=_name,
)
def test_gradients_equal_finite_differences_of_the_equations(settings, make_double, features):
    model, labels = make_double(**settings), _labels(settings.get("problem_type", SINGLE_LABEL))
    model(features=features, input_ids=INPUT_IDS, labels=labels).loss.backward()

    step = 1e-5
    for name, parameter in model.named_parameters():
        if "vision_encoder" in name:
            continue
        steepest = parameter.grad.abs().argmax().item()
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                parameter.view(-1)[steepest] += sign * step
                values.append(_expected(model, features, labels)["joint"])
                parameter.view(-1)[steepest] -= sign * step
        slope = (values[0] - values[1]) / (2 * step)
        assert slope != 0, name
        assert parameter.grad.view(-1)[steepest].item() == pytest.approx(slope, rel=1e-5, abs=1e-8), name


@pytest.mark.parametrize("function", FUNCTIONS, ids=_name)
@pytest.mark.parametrize("part", ["similarity", "alignment"])
@pytest.mark.parametrize("detach_words", [True, False])
def test_detached_words_are_fixed_targets(detach_words, part, function, make_double, features):
    model = make_double(detach_words=detach_words, **function)

    model(features=features, input_ids=INPUT_IDS, labels=_labels()).loss_parts[part].backward()

    semantic = (model.crif.semantic_encoder, model.crif.semantic_projection)
    reached = {p.grad is not None for module in semantic for p in module.parameters()}
    assert reached == {not detach_words}
    assert model.crif.visual_projection.weight.grad.any()


@pytest.mark.parametrize("word_encoder", ["bag", "gru", "lstm"])
def test_other_word_encoders_stand_in_for_the_fnn(word_encoder, make_double, features):
    """Without the ReLU that the paper puts behind both layers of its FNN."""
    model = make_double(word_encoder=word_encoder)
    known = INPUT_IDS >= 2

    outputs = model.crif(features=features, input_ids=INPUT_IDS)

    expected = model.crif.semantic_encoder(INPUT_IDS, known)
    torch.testing.assert_close(outputs.semantic_features, expected, **DOUBLE)
    assert (outputs.semantic_features < 0).any()


def test_masked_words_are_ignored(make_double, features):
    model = make_double()
    longer = torch.cat([INPUT_IDS, torch.full((4, 1), 8)], dim=1)
    attention_mask = torch.tensor([[1, 1, 1, 0]] * 4)

    loss = model(features=features, input_ids=longer, attention_mask=attention_mask, labels=_labels()).loss

    torch.testing.assert_close(loss, model(features=features, input_ids=INPUT_IDS, labels=_labels()).loss, **DOUBLE)


@pytest.mark.parametrize("function", [{}, {"alignment_function": "centroid"}], ids=["coral", "centroid"])
@pytest.mark.parametrize("problem_type", PROBLEM_TYPES)
def test_alignment_leaves_out_samples_without_words(problem_type, function, make_double, features):
    model, labels = make_double(problem_type=problem_type, **function), _labels(problem_type)
    input_ids = INPUT_IDS.clone()
    input_ids[1] = 1  # [UNK]
    kept = torch.tensor([0, 2, 3])

    parts = model(features=features, input_ids=input_ids, labels=labels).loss_parts

    expected = model(features=features[kept], input_ids=INPUT_IDS[kept], labels=labels[kept]).loss_parts
    torch.testing.assert_close(parts["alignment"], expected["alignment"], **DOUBLE)


@pytest.mark.parametrize("word_encoder", ["fnn", "bag", "gru", "lstm"])
@pytest.mark.parametrize("word_decoder", DECODERS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("input_ids", [INPUT_IDS, INPUT_IDS.clamp(max=1)], ids=["words", "no words"])
def test_half_precision_gives_finite_float32_losses(
    input_ids, dtype, word_decoder, word_encoder, make_model, features
):
    model = make_model("crif", word_encoder=word_encoder, word_decoder=word_decoder).to(dtype)

    outputs = model(features=features, input_ids=input_ids, labels=_labels())
    outputs.loss.backward()

    assert {loss.dtype for loss in (outputs.loss, *outputs.loss_parts.values())} == {torch.float32}
    assert outputs.loss.isfinite()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


def test_bfloat16_loss_is_near_the_float32_one(make_model, features):
    model = make_model("crif")
    wide = model(features=features, input_ids=INPUT_IDS, labels=_labels()).loss

    narrow = model.to(torch.bfloat16)(features=features, input_ids=INPUT_IDS, labels=_labels()).loss

    # bfloat16 has 8 significant bits, 0.4 % a rounding, and some ten layers follow one another.
    torch.testing.assert_close(narrow, wide, rtol=0.03, atol=0.0)


def test_sums_over_a_batch_without_words_do_not_overflow(make_model):
    model = make_model("crif").half()
    torch.nn.init.constant_(model.crif.decoder.word_predictor.bias, 60_000)  # 40 such logits exceed float16

    loss = model(features=torch.zeros(4, 96), input_ids=INPUT_IDS * 0, labels=_labels()).loss

    assert loss.isfinite()
