"""Heads of the plain image classifier: what long-tailed losses and re-balancing put in place of a linear layer."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .loss_tools import widen


class CosineClassifier(nn.Linear):
    r"""Cosine of features and class weights, times a scale: the normalised classifier that LDAM needs.

    Args:
        in_features (`int`): width of the features, D.
        out_features (`int`): classes, C.
        scale (`float`, *optional*, defaults to 30.0): factor of the cosines.

    Source:
        Cao et al. 2019 (LDAM), section 3.1; the scale is that of its released code.
    """

    def __init__(self, in_features: int, out_features: int, scale: float = 30.0):
        self.scale = scale
        super().__init__(in_features, out_features, bias=False)

    def reset_parameters(self) -> None:
        """Random directions of length 1."""
        nn.init.normal_(self.weight, std=1 / math.sqrt(self.in_features))

    def forward(self, features: Tensor) -> Tensor:
        """Logits `[B, C]`, between `-scale` and `scale`, of features `[B, D]`."""
        return self.scale * F.linear(_unit(features), _unit(self.weight))


class NearestMeanClassifier(nn.Module):
    r"""Minus the squared distance to the mean of each class, of centred features of length 1 (NCM).

    Nothing in it learns by gradient: [`NearestMeanClassifier.fit`] takes the means from features.

    Args:
        in_features (`int`): width of the features, D.
        out_features (`int`): classes, C.

    Source:
        Kang et al. 2020 (decoupling), section 4.2; the features ("cl2n") are those of its released code.
    """

    def __init__(self, in_features: int, out_features: int):
        super().__init__()
        self.register_buffer("center", torch.empty(in_features))
        self.register_buffer("class_means", torch.empty(out_features, in_features))
        self.reset_parameters()

    center: Tensor
    class_means: Tensor

    def reset_parameters(self) -> None:
        """Zeros, which make every class equal."""
        nn.init.zeros_(self.center)
        nn.init.zeros_(self.class_means)

    @torch.no_grad()
    def fit(self, features: Tensor, target: Tensor) -> None:
        """Takes centre and class means from training data.

        Args:
            features (`Tensor`): `[N, D]`.
            target (`Tensor`): class ids, long `[N]`.

        Raises:
            ValueError: when a class has no sample.
        """
        counts = torch.bincount(target, minlength=len(self.class_means))
        if not counts.all():
            empty = (counts == 0).nonzero().flatten().tolist()
            raise ValueError(f"Classes {empty[:10]} have no training sample, so they have no mean; remove them.")
        self.center.copy_(features.mean(dim=0))
        sums = torch.zeros_like(self.class_means).index_add_(0, target, self._normalize(features))
        self.class_means.copy_(sums / counts[:, None])

    def forward(self, features: Tensor) -> Tensor:
        """Logits `[B, C]`, at most 0, of features `[B, D]`."""
        unit = self._normalize(features)
        squares = unit.square().sum(-1, keepdim=True) + self.class_means.square().sum(-1)
        return 2 * F.linear(unit, self.class_means) - squares

    def _normalize(self, features: Tensor) -> Tensor:
        return _unit(features - self.center)


def _unit(vectors: Tensor) -> Tensor:
    """Vectors of length 1; lengths are taken in float32, because squares overflow in half precision."""
    return F.normalize(widen(vectors), dim=-1).to(vectors.dtype)


class ClassScales(nn.Module):
    """One learnable factor for the logit of each class, 1 at first (LWS).

    Args:
        num_classes (`int`): C.

    Source:
        Kang et al. 2020 (decoupling), section 4.2, learnable weight scaling.
    """

    def __init__(self, num_classes: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_classes))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Ones, which change nothing."""
        nn.init.ones_(self.weight)

    def forward(self, logits: Tensor) -> Tensor:
        """Scaled logits `[B, C]`."""
        return logits * self.weight


def tau_normalized(weight: Tensor, tau: float) -> Tensor:
    r"""Classifier weights \\(w_c / \lVert w_c \rVert^\tau\\).

    Args:
        weight (`Tensor`): `[C, D]`.
        tau (`float`): strength, 0 or more: 0 changes nothing, 1 gives all classes the same norm.

    Returns:
        `Tensor`: `[C, D]`. The classifier's bias is to be dropped.

    Raises:
        ValueError: for a negative `tau`, or a weight of length 0.

    Source:
        Kang et al. 2020 (decoupling), eq. 3.
    """
    if tau < 0:
        raise ValueError(f"tau={tau} must be 0 or more.")
    norms = weight.norm(dim=1, keepdim=True)
    if (norms == 0).any():
        empty = (norms.flatten() == 0).nonzero().flatten().tolist()
        raise ValueError(f"The weights of classes {empty[:10]} have length 0 and cannot be normalised.")
    return weight / norms**tau


def build_head(kind: str, in_features: int, out_features: int, scale: float) -> nn.Module:
    """The head that a config names: `"linear"`, `"cosine"` or `"nearest_mean"`."""
    if kind == "cosine":
        return CosineClassifier(in_features, out_features, scale)
    return (NearestMeanClassifier if kind == "nearest_mean" else nn.Linear)(in_features, out_features)


__all__ = ["ClassScales", "CosineClassifier", "NearestMeanClassifier", "build_head", "tau_normalized"]
