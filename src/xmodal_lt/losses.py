"""The loss functions of this package."""

from xmodal_lt.modeling.alignment_losses import (
    centroid_alignment_loss,
    deep_coral_loss,
    kl_alignment_loss,
    l2_alignment_loss,
)
from xmodal_lt.modeling.asymmetric_losses import asymmetric_loss, multi_grained_focal_loss
from xmodal_lt.modeling.class_balanced_losses import (
    class_balanced_focal_loss,
    class_balanced_multilabel_loss,
    class_balanced_softmax_loss,
)
from xmodal_lt.modeling.class_reweighting import class_balanced_weights, inverse_frequency_weights
from xmodal_lt.modeling.contrastive_losses import class_contrastive_loss, contrastive_distillation_loss
from xmodal_lt.modeling.cross_modal_focal_loss import cross_modal_focal_loss
from xmodal_lt.modeling.distribution_balanced_loss import distribution_balanced_loss
from xmodal_lt.modeling.feature_losses import attention_decorrelation_loss, discriminative_centroid_loss
from xmodal_lt.modeling.lade_loss import lade_loss
from xmodal_lt.modeling.multilabel_losses import (
    multilabel_focal_loss,
    multilabel_ldam_loss,
    multilabel_soft_margin_loss,
    reweighted_multilabel_loss,
)
from xmodal_lt.modeling.single_label_losses import (
    asymmetric_single_label_loss,
    focal_cross_entropy,
    ldam_loss,
    logit_adjusted_cross_entropy,
)


__all__ = [
    "asymmetric_loss",
    "asymmetric_single_label_loss",
    "attention_decorrelation_loss",
    "centroid_alignment_loss",
    "class_balanced_focal_loss",
    "class_balanced_multilabel_loss",
    "class_balanced_softmax_loss",
    "class_balanced_weights",
    "class_contrastive_loss",
    "contrastive_distillation_loss",
    "cross_modal_focal_loss",
    "deep_coral_loss",
    "discriminative_centroid_loss",
    "distribution_balanced_loss",
    "focal_cross_entropy",
    "inverse_frequency_weights",
    "kl_alignment_loss",
    "l2_alignment_loss",
    "lade_loss",
    "ldam_loss",
    "logit_adjusted_cross_entropy",
    "multi_grained_focal_loss",
    "multilabel_focal_loss",
    "multilabel_ldam_loss",
    "multilabel_soft_margin_loss",
    "reweighted_multilabel_loss",
]
