"""CMLTNet against its equations, written again below as plain loops over float64 numbers."""

import math
from typing import Any

import pytest
import torch

from xmodal_lt.modeling.configuration_cmltnet import CMLTNetConfig


DOUBLE = {"rtol": 1e-7, "atol": 1e-12}
PROBLEM_TYPES = ("single_label_classification", "multi_label_classification")
BRANCHES = ("aligned", "inferred", "fused")
PARTS = ("alignment", "word_classification", "words", "transfer", *(f"{branch}_classification" for branch in BRANCHES))
WEIGHTS = {
    "alignment_weight": 0.7,
    "implicit_weight": 1.3,
    "implicit_word_weight": 0.4,
    "transfer_weight": 2.1,
    "inference_weight": 0.6,
}
# Ids 2 to 11 are words, 0 is [PAD] and 1 is [UNK].
INPUT_IDS = torch.tensor([[2, 3, 0], [1, 11, 4], [5, 5, 0], [7, 9, 2]])
WORDS = [{0, 1}, {9, 2}, {3}, {5, 7, 0}]

Rows = list[list[float]]


def _linear(rows: Rows, weights: dict[str, Any], name: str) -> Rows:
    lines = list(zip(weights[f"{name}.weight"], weights[f"{name}.bias"], strict=True))
    return [[sum(w * x for w, x in zip(line, row, strict=True)) + b for line, b in lines] for row in rows]


def _leaky(rows: Rows, slope: float = 0.01) -> Rows:
    return [[x if x > 0 else slope * x for x in row] for row in rows]


def _relu(rows: Rows) -> Rows:
    return _leaky(rows, slope=0.0)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _log_softmax(row: list[float]) -> list[float]:
    total = math.log(sum(math.exp(x) for x in row))
    return [x - total for x in row]


def _bce(rows: Rows, targets: Rows) -> float:
    """Mean over all elements."""
    pairs = [pair for row, target in zip(rows, targets, strict=True) for pair in zip(row, target, strict=True)]
    return _mean([math.log(1 + math.exp(-x)) * y + math.log(1 + math.exp(x)) * (1 - y) for x, y in pairs])


def _cls(rows: Rows, labels: list[Any]) -> float:
    """L_cls: cross-entropy of class ids, binary cross-entropy of multi-hot rows."""
    if isinstance(labels[0], list):
        return _bce(rows, labels)
    return _mean([-_log_softmax(row)[label] for row, label in zip(rows, labels, strict=True)])


def _kl(targets: Rows, predictions: Rows) -> list[float]:
    """KL divergence of each sample."""
    divergences = []
    for target, prediction in zip(targets, predictions, strict=True):
        pairs = zip(_log_softmax(target), _log_softmax(prediction), strict=True)
        divergences.append(sum(math.exp(p) * (p - q) for p, q in pairs))
    return divergences


def _fuse(first: Rows, second: Rows, mode: str) -> Rows:
    rows = zip(first, second, strict=True)
    if mode == "concat":
        return [a + b for a, b in rows]
    operation = {"add": lambda x, y: x + y, "max": max, "min": min}[mode]
    return [[operation(x, y) for x, y in zip(a, b, strict=True)] for a, b in rows]


def _embed_words(word_logits: Rows, weights: dict[str, Any], config: CMLTNetConfig) -> Rows:
    """Eq. 6."""
    fused = []
    for row in word_logits:
        top = sorted(range(len(row)), key=lambda word: -row[word])[: config.top_k]
        embeddings = [weights["cmltnet.word_embedding.weight"][word] for word in top]
        if config.word_fusion == "mean":
            fused.append([_mean(list(column)) for column in zip(*embeddings, strict=True)])
        else:
            fused += _linear(
                [[x for embedding in embeddings for x in embedding]], weights, "cmltnet.word_fusion.linear"
            )
    return fused


def _reference(config: CMLTNetConfig, weights: dict[str, Any], features: Rows, labels: list[Any]) -> dict[str, float]:
    """The loss parts of CMLTNet with the `"fnn"` word encoder on `WORDS`, and as `"loss"` their sum in eq. 11."""
    multi_hot = [[float(word in words) for word in range(config.num_words)] for words in WORDS]
    hidden = _relu(_linear(multi_hot, weights, "cmltnet.word_encoder.layers.0"))
    f_s = _linear(hidden, weights, "cmltnet.word_encoder.layers.2")
    f_va = _relu(_linear(features, weights, "cmltnet.visual_projection.0"))
    f_sa = _relu(_linear(f_s, weights, "cmltnet.word_projection.0"))
    f_vs = _leaky(_linear(features, weights, "cmltnet.transfer.0"))
    f_vs = _leaky(_linear(f_vs, weights, "cmltnet.transfer.2"))
    word_logits = _linear(f_vs, weights, "cmltnet.word_predictor")
    e_s = _embed_words(word_logits, weights, config)
    phi_va = _leaky(_linear(f_va, weights, "cmltnet.visual_phi.0"))
    phi_es = _leaky(_linear(e_s, weights, "cmltnet.semantic_phi.0"))
    f_aug = _fuse(phi_va, phi_es, config.fusion)

    kl = _kl(f_sa, f_va) if config.alignment_direction == "word_to_image" else _kl(f_va, f_sa)
    divisor = {"sum": 1, "batchmean": len(kl), "mean": len(kl) * config.shared_size}[config.alignment_reduction]
    squares = [(x - y) ** 2 for a, b in zip(f_vs, f_s, strict=True) for x, y in zip(a, b, strict=True)]
    parts = {
        "alignment": sum(kl) / divisor,  # eq. 2
        "aligned_classification": _cls(_linear(f_va, weights, "shared_classifier"), labels),  # eq. 3, first half
        "word_classification": _cls(_linear(f_sa, weights, "shared_classifier"), labels),  # eq. 3, second half
        "words": _bce(word_logits, multi_hot),  # eq. 5
        "transfer": _mean(squares),  # eq. 5
        "inferred_classification": _cls(_linear(e_s, weights, "inferred_classifier"), labels),  # eq. 7
        "fused_classification": _cls(_linear(f_aug, weights, "fused_classifier"), labels),  # eq. 10
    }
    gamma_imp, gamma_imp_word = config.implicit_weight, config.implicit_word_weight
    implicit = gamma_imp * parts["aligned_classification"] + gamma_imp_word * parts["word_classification"]
    transfer = parts["words"] + config.transfer_weight * parts["transfer"]
    inference = transfer + parts["inferred_classification"]
    aligned = config.alignment_weight * parts["alignment"]
    return parts | {"loss": implicit + aligned + config.inference_weight * inference + parts["fused_classification"]}


@pytest.fixture
def make_double(make_model):
    """Makes a CMLTNet in float64 whose loss weights all differ."""

    def make(**settings):
        return make_model("cmltnet", **WEIGHTS | settings).double()

    return make


@pytest.fixture
def features():
    return torch.randn(4, 96, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def _labels(problem_type: str) -> torch.Tensor:
    if problem_type == "single_label_classification":
        return torch.tensor([0, 1, 2, 1])
    return torch.tensor([[1.0, 0, 1], [0, 0, 0], [0, 1, 1], [1, 1, 1]])


def _expected(model, features: torch.Tensor, labels: torch.Tensor) -> dict[str, float]:
    weights = {name: tensor.tolist() for name, tensor in model.state_dict().items() if "vision_encoder" not in name}
    return _reference(model.config, weights, features.tolist(), labels.tolist())


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("problem_type", PROBLEM_TYPES)
def test_loss_part_equals_its_equation(problem_type, part, make_double, features):
    model, labels = make_double(problem_type=problem_type), _labels(problem_type)

    parts = model(features=features, input_ids=INPUT_IDS, labels=labels).loss_parts

    assert parts.keys() == set(PARTS)
    assert parts[part].item() == pytest.approx(_expected(model, features, labels)[part], rel=1e-9)


@pytest.mark.parametrize("stage", [None, "joint"])
@pytest.mark.parametrize("problem_type", PROBLEM_TYPES)
def test_loss_equals_equation_11(problem_type, stage, make_double, features):
    model, labels = make_double(problem_type=problem_type), _labels(problem_type)
    model.set_stage(stage)

    loss = model(features=features, input_ids=INPUT_IDS, labels=labels).loss

    assert loss.item() == pytest.approx(_expected(model, features, labels)["loss"], rel=1e-9)


def test_word_half_of_the_implicit_loss_has_the_weight_of_the_other_by_default(make_double, features):
    default, explicit = make_double(implicit_word_weight=None), make_double(implicit_word_weight=1.3)
    batch = {"features": features, "input_ids": INPUT_IDS, "labels": _labels(PROBLEM_TYPES[0])}

    torch.testing.assert_close(default(**batch).loss, explicit(**batch).loss, **DOUBLE)


@pytest.mark.parametrize(
    "settings",
    [
        {"fusion": "add"},
        {"fusion": "concat"},
        {"fusion": "max"},
        {"fusion": "min"},
        {"fusion_size": None},
        {"word_fusion": "mean"},
        {"word_fusion": "linear"},
        {"top_k": 1},
        {"top_k": 10},
        {"alignment_direction": "image_to_word"},
        {"alignment_reduction": "mean"},
        {"alignment_reduction": "sum"},
    ],
    ids=lambda settings: "-".join(f"{name}={value}" for name, value in settings.items()),
)
def test_options_equal_the_equations(settings, make_double, features):
    model, labels = make_double(**settings), _labels(PROBLEM_TYPES[0])

    loss = model(features=features, input_ids=INPUT_IDS, labels=labels).loss

    assert loss.item() == pytest.approx(_expected(model, features, labels)["loss"], rel=1e-9)


@pytest.mark.parametrize("problem_type", PROBLEM_TYPES)
def test_gradients_equal_finite_differences_of_the_equations(problem_type, make_double, features):
    # A detached word target is no function of the weights any more, so words stay attached here.
    model, labels = make_double(problem_type=problem_type, detach_words=False), _labels(problem_type)
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
                values.append(_expected(model, features, labels)["loss"])
                parameter.view(-1)[steepest] -= sign * step
        slope = (values[0] - values[1]) / (2 * step)
        assert parameter.grad.view(-1)[steepest].item() == pytest.approx(slope, rel=1e-5, abs=1e-8), name


@pytest.mark.parametrize("part", ["alignment", "transfer"])
@pytest.mark.parametrize("detach_words", [True, False])
def test_detached_words_are_fixed_targets(part, detach_words, make_double, features):
    model = make_double(detach_words=detach_words)

    parts = model(features=features, input_ids=INPUT_IDS, labels=_labels(PROBLEM_TYPES[0])).loss_parts
    parts[part].backward()

    reached = any(parameter.grad is not None for parameter in model.cmltnet.word_encoder.parameters())
    assert reached is not detach_words


def test_masked_words_are_ignored(make_double, features):
    model, labels = make_double(), _labels(PROBLEM_TYPES[0])
    longer = torch.cat([INPUT_IDS, torch.full((4, 1), 8)], dim=1)
    attention_mask = torch.tensor([[1, 1, 1, 0]] * 4)

    loss = model(features=features, input_ids=longer, attention_mask=attention_mask, labels=labels).loss

    torch.testing.assert_close(loss, model(features=features, input_ids=INPUT_IDS, labels=labels).loss, **DOUBLE)


@pytest.mark.parametrize("word_encoder", ["fnn", "bag", "gru"])
@pytest.mark.parametrize("input_ids", [INPUT_IDS, INPUT_IDS.clamp(max=1)], ids=["words", "no words"])
def test_bfloat16_model_gives_finite_float32_losses(input_ids, word_encoder, make_model, features):
    model = make_model("cmltnet", word_encoder=word_encoder).to(torch.bfloat16)

    outputs = model(features=features, input_ids=input_ids, labels=_labels(PROBLEM_TYPES[0]))
    outputs.loss.backward()

    assert {loss.dtype for loss in (outputs.loss, *outputs.loss_parts.values())} == {torch.float32}
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


def test_bfloat16_loss_is_near_the_float32_one(make_model, features):
    model, labels = make_model("cmltnet"), _labels(PROBLEM_TYPES[0])
    wide = model(features=features, input_ids=INPUT_IDS, labels=labels).loss

    narrow = model.to(torch.bfloat16)(features=features, input_ids=INPUT_IDS, labels=labels).loss

    # bfloat16 has 8 significant bits, 0.4 % a rounding, and some ten layers follow one another.
    torch.testing.assert_close(narrow, wide, rtol=0.03, atol=0.0)


def test_sums_over_a_batch_without_words_do_not_overflow(make_model):
    model = make_model("cmltnet").half()
    torch.nn.init.constant_(model.cmltnet.word_predictor.bias, 60_000)  # 40 such logits exceed float16

    loss = model(features=torch.zeros(4, 96), input_ids=INPUT_IDS * 0, labels=_labels(PROBLEM_TYPES[0])).loss

    assert loss.isfinite()


def test_images_and_their_cached_features_give_the_same_logits(make_model, make_batch):
    model = make_model("cmltnet").eval()
    pixel_values = make_batch(model)["pixel_values"]

    with torch.no_grad():
        cached = model(features=model.get_vision_encoder()(pixel_values)).logits
        torch.testing.assert_close(model(pixel_values=pixel_values).logits, cached)


@pytest.mark.parametrize("readout", BRANCHES)
def test_readout_picks_the_logits(readout, make_double, features):
    outputs = make_double(readout=readout)(features=features)

    assert torch.equal(outputs.logits, outputs[f"{readout}_logits"])


@pytest.mark.parametrize(
    ("readout", "embeds"), [("aligned", "image_embeds"), ("inferred", "inferred_embeds"), ("fused", "fused_embeds")]
)
def test_pooler_output_is_what_the_readout_classifies(readout, embeds, make_double, features):
    model = make_double(readout=readout)
    heads = {
        "aligned": model.shared_classifier,
        "inferred": model.inferred_classifier,
        "fused": model.fused_classifier,
    }

    outputs = model.cmltnet(features=features)

    assert torch.equal(outputs.pooler_output, outputs[embeds])
    torch.testing.assert_close(heads[readout](outputs.pooler_output), model(features=features).logits, **DOUBLE)


def test_words_do_not_change_the_logits(make_double, features):
    model = make_double()

    with_words = model(features=features, input_ids=INPUT_IDS)

    assert torch.equal(with_words.logits, model(features=features).logits)


def test_predicted_words_are_token_ids_best_first(make_double, features):
    outputs = make_double(top_k=3).cmltnet(features=features)

    best = [sorted(range(10), key=lambda word: -row[word])[:3] for row in outputs.word_logits.tolist()]
    assert outputs.predicted_words.tolist() == [[word + 2 for word in row] for row in best]


def test_output_widths(make_double, features):
    outputs = make_double(fusion="concat").cmltnet(features=features, input_ids=INPUT_IDS)

    assert {name: tuple(tensor.shape) for name, tensor in outputs.items()} == {
        "pooler_output": (4, 18),
        "features": (4, 96),
        "image_embeds": (4, 8),
        "transferred_features": (4, 6),
        "word_logits": (4, 10),
        "predicted_words": (4, 3),
        "inferred_embeds": (4, 4),
        "fused_embeds": (4, 18),
        "word_features": (4, 6),
        "word_embeds": (4, 8),
    }


def test_checkpoint_without_word_encoder_refuses_words(make_double, features):
    model = make_double(word_encoder=None)

    with pytest.raises(ValueError, match="has no word encoder; leave out `input_ids`"):
        model(features=features, input_ids=INPUT_IDS)


@pytest.mark.parametrize("names", [(), ("pixel_values", "features")], ids=["neither", "both"])
def test_needs_either_images_or_features(names, make_double, features):
    inputs = {"pixel_values": torch.zeros(4, 3, 32, 32), "features": features}

    with pytest.raises(ValueError, match="either `pixel_values` or cached `features`"):
        make_double()(**{name: inputs[name] for name in names})


def test_names_features_of_another_encoder(make_double):
    with pytest.raises(ValueError, match="have width 95, but backbone 'test_resnet' gives 96"):
        make_double()(features=torch.zeros(4, 95))


@pytest.mark.parametrize(
    ("problem_type", "labels", "message"),
    [
        (PROBLEM_TYPES[0], torch.zeros(4, 3), r"shape \[4, 3\], but single_label_classification .* expects \[B\]"),
        (PROBLEM_TYPES[0], torch.tensor(1), r"shape \[\], but single_label_classification .* expects \[B\]"),
        (PROBLEM_TYPES[1], torch.zeros(4), r"shape \[4\], but multi_label_classification .* expects \[B, 3\]"),
        (PROBLEM_TYPES[1], torch.zeros(4, 2), r"shape \[4, 2\], but multi_label_classification .* expects \[B, 3\]"),
    ],
)
def test_names_labels_of_another_shape(problem_type, labels, message, make_double, features):
    with pytest.raises(ValueError, match=message):
        make_double(problem_type=problem_type)(features=features, labels=labels)


@pytest.mark.parametrize("top_k", [0, 11])
def test_names_a_top_k_out_of_bounds(top_k):
    with pytest.raises(ValueError, match=f"top_k={top_k} must lie between 1 and the number of words, 10"):
        CMLTNetConfig(vocab_size=12, top_k=top_k)


def test_names_a_vocabulary_without_words():
    with pytest.raises(ValueError, match="vocab_size=2 leaves no word beside 2 special tokens"):
        CMLTNetConfig(vocab_size=2)


@pytest.mark.parametrize("name", ["shared_size", "semantic_size", "fusion_size"])
def test_names_a_width_below_one(name):
    with pytest.raises(ValueError, match=f"{name}=0 must be at least 1"):
        CMLTNetConfig(**{name: 0})
