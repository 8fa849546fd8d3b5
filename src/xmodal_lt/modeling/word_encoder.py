"""Encoders of description words, the privileged modality (rho_s in CMLTNet, E_t in CRIF)."""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence


def known_words(input_ids: Tensor, attention_mask: Tensor | None, num_special_tokens: int) -> Tensor:
    """Marks the tokens that are words of the vocabulary, and neither padding nor unknown.

    Args:
        input_ids (`Tensor`): token ids, long `[B, L]`; the ids below `num_special_tokens` are special.
        attention_mask (`Tensor` or `None`): 1 for tokens, 0 for padding, `[B, L]`.
        num_special_tokens (`int`): number of special tokens at the start of the vocabulary.

    Returns:
        `Tensor`: bool `[B, L]`.
    """
    known = input_ids >= num_special_tokens
    return known if attention_mask is None else known & attention_mask.bool()


def multi_hot_words(input_ids: Tensor, known: Tensor, num_words: int, num_special_tokens: int) -> Tensor:
    """The multi-hot S of the papers: which words of the vocabulary describe each image.

    Args:
        input_ids (`Tensor`): token ids, long `[B, L]`.
        known (`Tensor`): bool `[B, L]`, from [`known_words`].
        num_words (`int`): vocabulary size W without special tokens.
        num_special_tokens (`int`): number of special tokens at the start of the vocabulary.

    Returns:
        `Tensor`: float32 `[B, W]` of zeros and ones.
    """
    # A spare first column takes what is not a word; an id beyond the vocabulary finds no column and fails.
    columns = torch.where(known, input_ids - num_special_tokens + 1, 0)
    multi_hot = torch.zeros(input_ids.shape[0], num_words + 1, device=input_ids.device)
    return multi_hot.scatter_(1, columns, 1.0)[:, 1:]


class FNNWordEncoder(nn.Module):
    """Linear, ReLU, Linear on the multi-hot words."""

    def __init__(self, num_words: int, embedding_size: int, hidden_size: int, output_size: int, num_special: int):
        super().__init__()
        self.num_words, self.num_special = num_words, num_special
        self.layers = nn.Sequential(nn.Linear(num_words, hidden_size), nn.ReLU(), nn.Linear(hidden_size, output_size))

    def forward(self, input_ids: Tensor, known: Tensor) -> Tensor:
        words = multi_hot_words(input_ids, known, self.num_words, self.num_special)
        return self.layers(words.to(next(self.parameters()).dtype))


class BagWordEncoder(nn.Module):
    """Mean of word embeddings, then a linear map."""

    def __init__(self, num_words: int, embedding_size: int, hidden_size: int, output_size: int, num_special: int):
        super().__init__()
        self.embedding = nn.Embedding(num_words + num_special, embedding_size, padding_idx=0)
        self.projection = nn.Linear(embedding_size, output_size)

    def forward(self, input_ids: Tensor, known: Tensor) -> Tensor:
        mask = known.unsqueeze(-1).to(self.embedding.weight.dtype)
        total = (self.embedding(input_ids) * mask).sum(dim=1)
        return self.projection(total / mask.sum(dim=1).clamp(min=1))


class GRUWordEncoder(nn.Module):
    """Embeddings, a GRU over the words, and attention with several foci whose read-outs are joined by a linear map.

    Source:
        The word branch of ATNet as its paper describes it (Meng et al. 2019), with attention weights normalised
        over the words so that padding has no effect.
    """

    num_foci = 5

    def __init__(self, num_words: int, embedding_size: int, hidden_size: int, output_size: int, num_special: int):
        super().__init__()
        self.embedding = nn.Embedding(num_words + num_special, embedding_size, padding_idx=0)
        self.gru = nn.GRU(embedding_size, hidden_size, batch_first=True)
        self.attention = nn.Sequential(
            nn.Linear(hidden_size, hidden_size), nn.LeakyReLU(), nn.Linear(hidden_size, self.num_foci)
        )
        self.projection = nn.Linear(self.num_foci * hidden_size, output_size)

    def forward(self, input_ids: Tensor, known: Tensor) -> Tensor:
        input_ids, known = _known_first(input_ids, known)
        packed = _packed(self.embedding(input_ids), known)
        states, _ = pad_packed_sequence(self.gru(packed)[0], batch_first=True, total_length=input_ids.shape[1])
        # A sample without words would have no finite score; it attends to its padding and is masked by the caller.
        visible = (known | ~known.any(dim=1, keepdim=True)).unsqueeze(-1)
        weights = self.attention(states).masked_fill(~visible, float("-inf")).softmax(dim=1)
        return self.projection(torch.einsum("blf,blh->bfh", weights, states).flatten(1))


class LSTMWordEncoder(nn.Module):
    """Embeddings and an LSTM over the words, whose last state is brought to the output width by a linear map."""

    def __init__(self, num_words: int, embedding_size: int, hidden_size: int, output_size: int, num_special: int):
        super().__init__()
        self.embedding = nn.Embedding(num_words + num_special, embedding_size, padding_idx=0)
        self.lstm = nn.LSTM(embedding_size, hidden_size, batch_first=True)
        self.projection = nn.Linear(hidden_size, output_size)

    def forward(self, input_ids: Tensor, known: Tensor) -> Tensor:
        input_ids, known = _known_first(input_ids, known)
        _, (last, _) = self.lstm(_packed(self.embedding(input_ids), known))
        return self.projection(last[-1])


def _packed(embeddings: Tensor, known: Tensor) -> PackedSequence:
    """The known words alone; the padding of a sample without words stands for it, and is masked by the caller."""
    lengths = known.sum(dim=1).clamp(min=1).cpu()
    return pack_padded_sequence(embeddings, lengths, batch_first=True, enforce_sorted=False)


def _known_first(input_ids: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """Moves the known words to the front, in their order, as packed sequences need it."""
    order = torch.argsort((~known).to(torch.int8), dim=1, stable=True)
    return input_ids.gather(1, order), known.gather(1, order)


WORD_ENCODERS: dict[str, type[nn.Module]] = {
    "fnn": FNNWordEncoder,
    "bag": BagWordEncoder,
    "gru": GRUWordEncoder,
    "lstm": LSTMWordEncoder,
}


def build_word_encoder(
    kind: str, num_words: int, embedding_size: int, hidden_size: int, output_size: int, num_special: int
) -> nn.Module:
    """Makes a word encoder: a module that maps (`input_ids`, `known`), both `[B, L]`, to F_s, `[B, output_size]`.

    Args:
        kind (`str`): `"fnn"` (on the multi-hot words), `"bag"` (mean of embeddings), `"gru"` or `"lstm"`.
        num_words (`int`): vocabulary size W without special tokens.
        embedding_size (`int`): width of the word embeddings (all but `"fnn"`).
        hidden_size (`int`): width of the hidden layer (`"fnn"`) or state (`"gru"`, `"lstm"`).
        output_size (`int`): width of F_s.
        num_special (`int`): number of special tokens at the start of the vocabulary.

    Raises:
        ValueError: for an unknown kind.
    """
    if kind not in WORD_ENCODERS:
        raise ValueError(f"Unknown word encoder {kind!r}; expected one of {', '.join(WORD_ENCODERS)}.")
    return WORD_ENCODERS[kind](num_words, embedding_size, hidden_size, output_size, num_special)


__all__ = ["WORD_ENCODERS", "build_word_encoder", "known_words", "multi_hot_words"]
