"""CRIF's equations as plain loops over float64 numbers, written from the paper: what the model is held against."""

import math
from collections.abc import Iterable
from typing import Any

from xmodal_lt.modeling.configuration_crif import CRIFConfig


Row = list[float]
Rows = list[Row]
FUSED = {  # table V: V+I is the model's own, the others read true semantic features
    "fused": ("visual", "inferred"),
    "visual_semantic": ("visual", "semantic"),
    "semantic_inferred": ("semantic", "inferred"),
    "visual_semantic_inferred": ("visual", "semantic", "inferred"),
}


def mean(values: Iterable[float]) -> float:
    values = list(values)
    return sum(values) / len(values)


def affine(row: Row, weight: Rows, bias: Row) -> Row:
    return [sum(w * x for w, x in zip(line, row, strict=True)) + b for line, b in zip(weight, bias, strict=True)]


def linear(rows: Rows, weights: dict[str, Any], name: str) -> Rows:
    return [affine(row, weights[f"{name}.weight"], weights[f"{name}.bias"]) for row in rows]


def relu(rows: Rows) -> Rows:
    return [[max(x, 0.0) for x in row] for row in rows]


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def log_softmax(row: Row) -> Row:
    total = math.log(sum(math.exp(x) for x in row))
    return [x - total for x in row]


def squared_distance(first: Row, second: Row) -> float:
    return sum((x - y) ** 2 for x, y in zip(first, second, strict=True))


def bce(logits: Rows, targets: Rows, pos_weight: float = 1.0) -> float:
    """Binary cross-entropy, mean over all elements."""
    pairs = [pair for row, target in zip(logits, targets, strict=True) for pair in zip(row, target, strict=True)]
    return mean(-pos_weight * y * math.log(sigmoid(x)) - (1 - y) * math.log(sigmoid(-x)) for x, y in pairs)


def classification(logits: Rows, labels: list[Any], pos_weight: float = 1.0) -> float:
    """Eq. 19: cross-entropy of class ids, binary cross-entropy of multi-hot rows."""
    if isinstance(labels[0], list):
        return bce(logits, labels, pos_weight)
    return mean(-log_softmax(row)[label] for row, label in zip(logits, labels, strict=True))


def similarity(images: Rows, words: Rows, normalize: bool) -> float:
    """Eq. 13, mean over the samples."""
    if normalize:
        images, words = ([[x / math.hypot(*row) for x in row] for row in rows] for rows in (images, words))
    return mean(math.sqrt(squared_distance(x, t)) for x, t in zip(images, words, strict=True))


def covariance(rows: Rows) -> Rows:
    means, dimensions = [mean(column) for column in zip(*rows, strict=True)], range(len(rows[0]))
    return [
        [sum((row[i] - means[i]) * (row[j] - means[j]) for row in rows) / (len(rows) - 1) for j in dimensions]
        for i in dimensions
    ]


def kl(images: Rows, words: Rows) -> float:
    """KL(words || images) of their softmaxes, mean over the samples."""
    pairs = [(log_softmax(t), log_softmax(x)) for x, t in zip(images, words, strict=True)]
    return mean(sum(math.exp(p) * (p - q) for p, q in zip(*pair, strict=True)) for pair in pairs)


def centroid(images: Rows, words: Rows, labels: list[Any]) -> float:
    """Squared distances of the class centroids, summed over the classes in the batch."""
    if not isinstance(labels[0], list):
        labels = [[float(label == number) for number in range(max(labels) + 1)] for label in labels]
    total = 0.0
    for of_class in zip(*labels, strict=True):
        if any(of_class):
            centroids = [
                [
                    mean(column)
                    for column in zip(*(row for row, y in zip(rows, of_class, strict=True) if y), strict=True)
                ]
                for rows in (images, words)
            ]
            total += squared_distance(*centroids)
    return total


def alignment(config: CRIFConfig, images: Rows, words: Rows, labels: list[Any]) -> float:
    """L_align: eq. 10 and the other functions of table V."""
    width = len(images[0])
    if config.alignment_function == "l2":
        return similarity(images, words, normalize=False)
    if config.alignment_function == "kl":
        return kl(images, words)
    if config.alignment_function == "centroid":
        return centroid(images, words, labels)
    if config.coral_mode == "coral":
        images, words = covariance(images), covariance(words)
    return sum(squared_distance(x, t) for x, t in zip(images, words, strict=True)) / (4 * width**2)


def lstm_states(rows: Rows, weights: dict[str, Any], name: str) -> Rows:
    """Of a cell that reads one row a step. PyTorch has its gates as input, forget, cell and output."""
    size = len(weights[f"{name}.weight_hh_l0"][0])
    hidden, cell, states = [0.0] * size, [0.0] * size, []
    for row in rows:
        read = affine(row, weights[f"{name}.weight_ih_l0"], weights[f"{name}.bias_ih_l0"])
        kept = affine(hidden, weights[f"{name}.weight_hh_l0"], weights[f"{name}.bias_hh_l0"])
        gates = [x + h for x, h in zip(read, kept, strict=True)]
        i, f, g, o = (gates[gate * size : (gate + 1) * size] for gate in range(4))
        cell = [sigmoid(f[k]) * cell[k] + sigmoid(i[k]) * math.tanh(g[k]) for k in range(size)]
        hidden = [sigmoid(o[k]) * math.tanh(cell[k]) for k in range(size)]
        states.append(hidden)
    return states


def decode(config: CRIFConfig, weights: dict[str, Any], transferred: Rows) -> tuple[Rows, Rows | None]:
    """D_t^r of eq. 14: t_r, and word logits where the model predicts words."""
    has_words = "crif.decoder.word_predictor.weight" in weights
    if config.word_decoder == "fnn":
        decoded = relu(linear(transferred, weights, "crif.decoder.layers.0"))
        decoded = relu(linear(decoded, weights, "crif.decoder.layers.2"))
        return decoded, linear(decoded, weights, "crif.decoder.word_predictor") if has_words else None
    states = [lstm_states([row] * config.decoder_steps, weights, "crif.decoder.lstm") for row in transferred]
    means = [[mean(column) for column in zip(*of_sample, strict=True)] for of_sample in states]
    decoded = linear(means, weights, "crif.decoder.projection")
    if not has_words:
        return decoded, None
    by_step = [linear(of_sample, weights, "crif.decoder.word_predictor") for of_sample in states]
    return decoded, [[max(column) for column in zip(*of_sample, strict=True)] for of_sample in by_step]


def fuse(config: CRIFConfig, weights: dict[str, Any], name: str, embeds: list[Rows]) -> Rows:
    """Eq. 16, and with the other operators of eq. 17."""
    branches = [relu(linear(rows, weights, f"{name}.branches.{k}.0")) for k, rows in enumerate(embeds)]
    operation = {"add": sum, "multiply": math.prod, "max": max, "min": min}.get(config.fusion)
    joined = [
        [x for row in rows for x in row] if operation is None else [operation(xs) for xs in zip(*rows, strict=True)]
        for rows in zip(*branches, strict=True)
    ]
    return relu(linear(joined, weights, f"{name}.output.0"))


def reconstruction(config: CRIFConfig, word_logits: Rows, multi_hot: Rows) -> float:
    """Eq. 15 on words: binary cross-entropy, or cross-entropy as it is printed, to words in equal shares."""
    if config.word_loss == "bce":
        return bce(word_logits, multi_hot)
    samples = [(log_softmax(row), words) for row, words in zip(word_logits, multi_hot, strict=True)]
    return mean(-sum(q * y for q, y in zip(row, words, strict=True)) / sum(words) for row, words in samples)


def crif_reference(
    config: CRIFConfig,
    weights: dict[str, Any],
    features: Rows,
    labels: list[Any],
    words: list[set[int]] | None = None,
    semantics: Rows | None = None,
) -> tuple[dict[str, Rows], dict[str, float]]:
    """Logits by branch, and losses: the parts, and as `"align"`, `"infer"`, `"fuse"` and `"joint"` the stages' sums.

    Args:
        config: of the model, whose word encoder is `"fnn"` unless `semantics` are given.
        weights: the model's, as lists.
        features: x.
        labels: class ids, or multi-hot rows.
        words: of each sample, numbered without special tokens.
        semantics: t, where they are no words.
    """
    width = config.content_size
    x_a = linear(features, weights, "crif.visual_projection")  # eq. 6
    x_c = [row[:width] for row in x_a]  # eq. 8
    transferred = relu(linear(relu(linear(x_a, weights, "crif.transfer.0")), weights, "crif.transfer.2"))
    t_r, word_logits = decode(config, weights, transferred)  # eq. 14
    multi_hot = [[float(word in of_sample) for word in range(config.num_words)] for of_sample in words or []]
    if semantics is None:
        hidden = relu(linear(multi_hot, weights, "crif.semantic_encoder.layers.0"))
        semantics = relu(linear(hidden, weights, "crif.semantic_encoder.layers.2"))  # "the output of each layer"
    t_a = linear(semantics, weights, "crif.semantic_projection")  # eq. 7
    t_c = [row[:width] for row in t_a]  # eq. 9

    embeds = {"visual": x_c, "semantic": t_c, "inferred": t_r}
    logits = {
        "aligned": linear(x_c, weights, "visual_classifier"),
        "semantic": linear(t_c, weights, "semantic_classifier"),
        "inferred": linear(t_r, weights, "inferred_classifier"),
        "fused": linear(
            fuse(config, weights, "crif.fusion", [x_c, t_r]), weights, "fused_classifier"
        ),  # eq. 16 and 17
    }
    if config.privileged_fusions:
        for branch, inputs in list(FUSED.items())[1:]:
            head = f"privileged_heads.{branch}"
            fused = fuse(config, weights, f"{head}.fusion", [embeds[name] for name in inputs])
            logits[branch] = linear(fused, weights, f"{head}.classifier")

    pos_weight = (config.classification_loss_kwargs or {}).get("pos_weight", 1.0)
    losses = {f"{branch}_classification": classification(rows, labels, pos_weight) for branch, rows in logits.items()}
    losses |= {
        "similarity": similarity(x_a, t_a, config.normalize_similarity),
        "alignment": alignment(config, x_c, t_c, labels),
        "reconstruction": reconstruction(config, word_logits, multi_hot)
        if word_logits is not None
        else mean(squared_distance(*pair) / len(t_r[0]) for pair in zip(t_r, semantics, strict=True)),
    }
    return logits, losses | _stage_losses(config, losses)


def _stage_losses(config: CRIFConfig, parts: dict[str, float]) -> dict[str, float]:
    content = parts["aligned_classification"] + config.semantic_weight * parts["semantic_classification"]
    first = content  # eq. 20
    second = (
        parts["reconstruction"] + config.inferred_classification_weight * parts["inferred_classification"]
    )  # eq. 21
    if config.alignment_strategy != "none":
        first += config.similarity_weight * parts["similarity"]
        second += config.alignment_weight * parts["alignment"]
    mix = sum(parts.get(f"{branch}_classification", 0.0) for branch in FUSED)  # eq. 18
    return {
        "align": first,
        "infer": second + config.content_weight * content,
        "fuse": mix,
        "joint": first + config.inference_weight * second + config.fusion_weight * mix,  # eq. 22
    }
