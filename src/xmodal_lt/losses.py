"""The loss functions of this package."""

from xmodal_lt.modeling.alignment_losses import kl_alignment_loss
from xmodal_lt.modeling.single_label_losses import logit_adjusted_cross_entropy


__all__ = ["kl_alignment_loss", "logit_adjusted_cross_entropy"]
