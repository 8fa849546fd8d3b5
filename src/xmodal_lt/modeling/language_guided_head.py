"""The language-guided recognition head (LGR): classes by an image's embedding, and by the sentences that fit it."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .class_sentences import ClassSentences
from .loss_tools import widen


COMBINATIONS = ("weighted", "sum", "logits")


class LanguageGuidedHead(nn.Module):
    r"""Scores classes by an MLP on the image's embedding E, and by the cosine of E with the gathered sentences of each
    class, \\(G_c = \sum_m a_m X_{cm}\\) with attention weights a of E on the class's sentences X.

    G, which is `[B, C, D]`, is never made. With a, the cosine is

    \\(\cos(E, G_c) = \sum_m a_m (\hat E \cdot X_{cm}) / \sqrt{a^\top (X_c X_c^\top) a}\\),

    and neither are the keys: their projection is applied to the query in place of the sentences, and so is their layer
    norm, but for a factor of the products. A bias of the keys would be the same for all sentences of a class, which
    the softmax takes out, so they have none.

    Args:
        embed_size (`int`): width D of the embeddings.
        num_classes (`int`): C.
        mlp_ratio (`int`, *optional*, defaults to 4): width inside the MLP, in units of D.
        detach_norm (`bool`, *optional*, defaults to `False`):
            Whether no gradient flows through the length of G, as the released code has it on iNaturalist.

    Source:
        Tian et al. 2022 (VL-LTR), eq. 4 to 7; the layer sizes and the start from identity are those of its code.

    Example:

    ```python
    >>> import torch
    >>> from xmodal_lt.modeling.class_sentences import ClassSentences
    >>> from xmodal_lt.modeling.language_guided_head import LanguageGuidedHead
    >>> sentences = ClassSentences(num_classes=3, num_sentences=2, embed_size=4)
    >>> sentences.set(torch.randn(3, 2, 4), torch.tensor([2, 1, 2]))
    >>> head = LanguageGuidedHead(embed_size=4, num_classes=3)
    >>> visual, text = head(torch.randn(5, 4), sentences, logit_scale=torch.tensor(0.0))
    >>> visual.shape, text.shape
    (torch.Size([5, 3]), torch.Size([5, 3]))

    ```
    """

    def __init__(self, embed_size: int, num_classes: int, mlp_ratio: int = 4, detach_norm: bool = False):
        super().__init__()
        self.detach_norm = detach_norm
        self.attention = _FoldedAttention(embed_size)
        hidden_size = mlp_ratio * embed_size
        self.visual = nn.Sequential(
            _NormalLinear(embed_size, hidden_size), nn.ReLU(), _NormalLinear(hidden_size, num_classes)
        )

    def forward(self, image_embeds: Tensor, sentences: ClassSentences, logit_scale: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of both branches.

        Args:
            image_embeds (`Tensor`): `[B, D]`, not normalised.
            sentences ([`ClassSentences`]): those of the classes.
            logit_scale (`Tensor`): the logarithm of the factor of the cosines, 0-d.

        Returns:
            `tuple[Tensor, Tensor]`: visual and text logits, each `[B, C]`.
        """
        # In float32 at least: lengths of sums overflow in half precision, and factors of 100 magnify its rounding.
        with torch.autocast(image_embeds.device.type, enabled=False):
            cosines = self.sentence_cosines(image_embeds, sentences)
            text = (widen(logit_scale).exp() * cosines).to(self.attention.query.weight.dtype)
        return self.visual(image_embeds), text

    def sentence_cosines(self, image_embeds: Tensor, sentences: ClassSentences) -> Tensor:
        """The cosines of the embeddings with the gathered sentences of each class, `[B, C]`, float32 or wider."""
        embeds = widen(image_embeds)
        texts = sentences.embeds.to(embeds.dtype)
        scores = (texts @ self.attention(embeds).T) * sentences.scales.to(embeds.dtype)[..., None]  # [C, M, B]
        # Only a class without any sentence, as of a new model, is not masked.
        masked = ~sentences.valid & (sentences.counts > 0)[:, None]
        weights = scores.masked_fill(masked[..., None], -torch.inf).softmax(dim=1)
        lengths = _lengths(weights, sentences.gram.to(embeds.dtype))
        if self.detach_norm:
            lengths = lengths.detach()
        similarities = texts @ F.normalize(embeds, dim=-1).T
        return ((weights * similarities).sum(dim=1) / lengths).T


def combine_branches(visual: Tensor, text: Tensor, combination: str, visual_weight: float) -> Tensor:
    r"""One prediction of the two branches, as logits.

    Args:
        visual (`Tensor`): logits x1 `[B, C]` of the visual branch.
        text (`Tensor`): logits x2 `[B, C]` of the text branch.
        combination (`str`):
            - `"weighted"`: \\(\alpha\,\mathrm{softmax}(x_1) + (1 - \alpha)\,\mathrm{softmax}(x_2)\\), by which the
              released code counts the accuracy over all classes;
            - `"sum"`: the sum of the probabilities, \\(P^I + P^T\\) (eq. 7), which is `"weighted"` with a half;
            - `"logits"`: \\(x_1 + x_2\\), by which the code counts the accuracy of many, medium and few-shot classes.
        visual_weight (`float`): alpha of `"weighted"`, in [0, 1].

    Returns:
        `Tensor`: `[B, C]`; of the first two the logarithm of the probabilities, which sum to 1.

    Raises:
        ValueError: for another combination.
    """
    if combination not in COMBINATIONS:
        raise ValueError(f"Unknown combination {combination!r}; expected one of {', '.join(COMBINATIONS)}.")
    if combination == "logits":
        return visual + text
    share = visual_weight if combination == "weighted" else 0.5
    parts = [
        widen(logits).log_softmax(-1) + (math.log(weight) if weight else -math.inf)
        for logits, weight in ((visual, share), (text, 1 - share))
    ]
    return torch.logaddexp(*parts).to(text.dtype)


class _FoldedAttention(nn.Module):
    """Queries of images, with all that makes keys of sentences but the scale of each sentence's embedding."""

    def __init__(self, embed_size: int):
        super().__init__()
        self.query_norm = nn.LayerNorm(embed_size)
        self.key_norm = nn.LayerNorm(embed_size, bias=False)
        self.query = _IdentityLinear(embed_size, embed_size, bias=False)
        self.key = _IdentityLinear(embed_size, embed_size, bias=False)

    def forward(self, embeds: Tensor) -> Tensor:
        """What a sentence's embedding, brought to unit variance, is multiplied with to give its score, `[B, D]`."""
        norm = self.query_norm
        normed = F.layer_norm(embeds, embeds.shape[-1:], widen(norm.weight), widen(norm.bias), norm.eps)
        queries = normed @ widen(self.query.weight).T @ widen(self.key.weight)
        queries = queries * widen(self.key_norm.weight) / embeds.shape[-1] ** 0.5
        return queries - queries.mean(-1, keepdim=True)  # in place of the mean of each sentence's embedding


class _IdentityLinear(nn.Linear):
    def reset_parameters(self) -> None:
        nn.init.eye_(self.weight)


class _NormalLinear(nn.Linear):
    def reset_parameters(self) -> None:
        nn.init.trunc_normal_(self.weight, std=0.02)
        nn.init.zeros_(self.bias)


def _lengths(weights: Tensor, gram: Tensor) -> Tensor:
    """The lengths of weighted sums of a class's sentences, `[C, B]`, of weights `[C, M, B]`."""
    squares = (weights * (gram @ weights)).sum(dim=1)
    # As `F.normalize`; where the sum is 0, so is its gradient.
    return squares.clamp_min(1e-24).sqrt()


__all__ = ["COMBINATIONS", "LanguageGuidedHead", "combine_branches"]
