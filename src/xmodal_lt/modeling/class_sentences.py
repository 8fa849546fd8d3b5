"""The sentences of each class as constants of a model: their embeddings, and what the language-guided head needs of
them."""

import torch
from torch import Tensor, nn

from .loss_tools import widen


_EPSILON = 1e-5  # of the layer norm of the keys, as in PyTorch


class ClassSentences(nn.Module):
    """Embeddings of at most M sentences of each of C classes, as buffers that a checkpoint keeps.

    Beside them, constants that spare the language-guided head work at each step: the inner products of the sentences
    of a class, and the factor that brings an embedding to unit variance, as a layer norm does.

    Args:
        num_classes (`int`): C.
        num_sentences (`int`): M.
        embed_size (`int`): width D of an embedding.
    """

    embeds: Tensor  # [C, M, D], zeros where a class has fewer sentences
    counts: Tensor  # [C], how many of them are sentences
    gram: Tensor  # [C, M, M]
    scales: Tensor  # [C, M], one over the standard deviation

    def __init__(self, num_classes: int, num_sentences: int, embed_size: int):
        super().__init__()
        self.register_buffer("embeds", torch.empty(num_classes, num_sentences, embed_size))
        self.register_buffer("counts", torch.empty(num_classes, dtype=torch.long))
        self.register_buffer("gram", torch.empty(num_classes, num_sentences, num_sentences))
        self.register_buffer("scales", torch.empty(num_classes, num_sentences))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Forgets the sentences: every class then has the cosine 0 with every image."""
        for buffer in self.buffers():
            nn.init.zeros_(buffer)

    @torch.no_grad()
    def set(self, embeds: Tensor, counts: Tensor) -> None:
        """Sets the sentences, in place.

        Args:
            embeds (`Tensor`): `[C, M, D]`, not normalised; what stands behind a class's sentences is ignored.
            counts (`Tensor`): sentences of each class, integers `[C]`, from 1 to M.

        Raises:
            ValueError: for other shapes, or a class without a sentence.
        """
        if embeds.shape != self.embeds.shape or counts.shape != self.counts.shape:
            raise ValueError(
                f"Expected embeddings {list(self.embeds.shape)} and counts {list(self.counts.shape)}, got "
                f"{list(embeds.shape)} and {list(counts.shape)}."
            )
        most = embeds.shape[1]
        if not ((counts >= 1) & (counts <= most)).all():
            wrong = ((counts < 1) | (counts > most)).nonzero().flatten().tolist()
            raise ValueError(f"Each class needs 1 to {most} sentences; classes {wrong[:10]} have other numbers.")
        self.counts.copy_(counts)
        embeds = widen(embeds).to(self.embeds.device).masked_fill(~self.valid[..., None], 0)
        self.embeds.copy_(embeds)
        self.gram.copy_(embeds @ embeds.transpose(1, 2))
        self.scales.copy_((embeds.var(-1, correction=0) + _EPSILON).rsqrt())

    @property
    def valid(self) -> Tensor:
        """Which places hold sentences, bool `[C, M]`."""
        return torch.arange(self.embeds.shape[1], device=self.counts.device) < self.counts[:, None]


__all__ = ["ClassSentences"]
