import inspect
from typing import Any

import pytest

from xmodal_lt import losses


def _parameters(name: str) -> dict:
    parameters = inspect.signature(getattr(losses, name)).parameters.values()
    return {p.name: None if p.default is p.empty else p.default for p in parameters}


COUNTS = {"class_counts": None}
LABELS = {"logits": None, "target": None}
MULTI_HOT = {"logits": None, "targets": None}
EMBEDS = {"image_embeds": None, "word_embeds": None}
PAIRS = {"image_embeds": None, "text_embeds": None}
MEAN = {"reduction": "mean"}
ASYMMETRIC = {"gamma_neg": 4.0, "gamma_pos": 0.0, "clip": 0.05, "detach_focus": True, **MEAN}
FOCAL = {"focal_gamma": 2.0, "focal_balance": 2.0}
SIGNATURES: dict[str, dict[str, Any]] = {
    "asymmetric_loss": {**MULTI_HOT, **ASYMMETRIC},
    "asymmetric_single_label_loss": {**LABELS, "gamma_neg": 4.0, "gamma_pos": 0.0, "label_smoothing": 0.1, **MEAN},
    "attention_decorrelation_loss": {"attention": None},
    "centroid_alignment_loss": {**EMBEDS, "labels": None, "word_labels": None, "pooled": False},
    "class_balanced_focal_loss": {**LABELS, **COUNTS, "beta": 0.9999, "gamma": 2.0, **MEAN},
    "class_balanced_multilabel_loss": {
        **MULTI_HOT,
        **COUNTS,
        "beta": 0.9,
        "mode": "by_class",
        **FOCAL,
        "num_samples": None,
        "kappa": 0.0,
        "lam": 1.0,
        **MEAN,
    },
    "class_balanced_softmax_loss": {**LABELS, **COUNTS, "beta": 0.9999, **MEAN},
    "class_balanced_weights": {**COUNTS, "beta": None},
    "class_contrastive_loss": {
        **PAIRS,
        "labels": None,
        "logit_scale": None,
        "label_smoothing": 0.1,
        "variant": "code",
    },
    "contrastive_distillation_loss": {
        **PAIRS,
        "teacher_image_embeds": None,
        "teacher_text_embeds": None,
        "logit_scale": None,
        "teacher_logit_scale": None,
        "variant": "code",
    },
    "cross_modal_focal_loss": {
        "logits_a": None,
        "logits_b": None,
        "target": None,
        "gamma": 3.0,
        "alpha": 1.0,
        "focus_positives": True,
        "detach_other": False,
        **MEAN,
    },
    "deep_coral_loss": {**EMBEDS, "mode": "coral"},
    "discriminative_centroid_loss": {
        "features": None,
        "target": None,
        "centroids": None,
        "margin": 10.0,
        "repel_weight": 0.01,
    },
    "distribution_balanced_loss": {
        **MULTI_HOT,
        **COUNTS,
        "num_samples": None,
        "rebalance": True,
        "alpha": 0.1,
        "beta": 10.0,
        "mu": 0.2,
        "kappa": 0.05,
        "lam": 2.0,
        **FOCAL,
        **MEAN,
    },
    "focal_cross_entropy": {**LABELS, "gamma": None, "weight": None, **MEAN, "detach_focus": False},
    "inverse_frequency_weights": {**COUNTS, "power": 1.0},
    "kl_alignment_loss": {
        **EMBEDS,
        "reduction": "batchmean",
        "direction": "word_to_image",
        "detach_words": True,
    },
    "l2_alignment_loss": {**EMBEDS, "normalize": False, **MEAN},
    "lade_loss": {**LABELS, **COUNTS, "alpha": 0.1, "lam": 0.1},
    "ldam_loss": {
        "cosine": None,
        "target": None,
        **COUNTS,
        "max_margin": 0.5,
        "scale": 30.0,
        "weight": None,
        **MEAN,
    },
    "logit_adjusted_cross_entropy": {**LABELS, **COUNTS, "tau": 1.0, "weight": None, **MEAN},
    "multi_grained_focal_loss": {**MULTI_HOT, **COUNTS, **ASYMMETRIC},
    "multilabel_focal_loss": {**MULTI_HOT, "gamma": 2.0, "alpha": 2.0, **MEAN, "detach_focus": False},
    "multilabel_ldam_loss": {**MULTI_HOT, **COUNTS, "max_margin": 0.5, "scale": 1.0, "weight": None, **MEAN},
    "multilabel_soft_margin_loss": {**MULTI_HOT, **MEAN},
    "reweighted_multilabel_loss": {**MULTI_HOT, **COUNTS, "num_samples": None, "power": 0.5, **MEAN},
}


@pytest.mark.parametrize("name", losses.__all__)
def test_public_signatures_stay(name):
    assert list(_parameters(name).items()) == list(SIGNATURES[name].items())  # the order too
