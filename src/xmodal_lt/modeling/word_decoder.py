"""Decoders from transferred image features to semantic features and words (D_t^r in CRIF, eq. 14)."""

from torch import Tensor, nn


class FNNDecoder(nn.Module):
    """Two linear layers, each with ReLU.

    Args:
        input_size (`int`): width of the transferred features.
        hidden_size (`int`): width between the layers.
        output_size (`int`): width of the semantic features t_r.
        num_words (`int` or `None`): words to predict from t_r, by a linear layer; `None` for none.
    """

    def __init__(self, input_size: int, hidden_size: int, output_size: int, num_words: int | None):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(input_size, hidden_size), nn.ReLU(), nn.Linear(hidden_size, output_size), nn.ReLU()
        )
        self.word_predictor = nn.Linear(output_size, num_words) if num_words is not None else None

    def forward(self, transferred: Tensor) -> tuple[Tensor, Tensor | None]:
        """Semantic features t_r `[B, output_size]` and word logits `[B, W]` of features `[B, input_size]`."""
        decoded = self.layers(transferred)
        return decoded, self.word_predictor(decoded) if self.word_predictor is not None else None


class LSTMDecoder(nn.Module):
    """An LSTM of a fixed number of steps, one for each word that an image may have, fed with the same features.

    Words have no order, so no step stands for a certain one: a word is as probable as in the step that knows it best,
    and t_r is made of the mean of the states.

    Args:
        input_size (`int`): width of the transferred features.
        hidden_size (`int`): width of the state.
        output_size (`int`): width of the semantic features t_r.
        num_words (`int` or `None`): words to predict in each step; `None` for none.
        steps (`int`): number of steps.
    """

    def __init__(self, input_size: int, hidden_size: int, output_size: int, num_words: int | None, steps: int):
        super().__init__()
        self.steps = steps
        self.lstm = nn.LSTM(input_size, hidden_size, batch_first=True)
        self.projection = nn.Linear(hidden_size, output_size)
        self.word_predictor = nn.Linear(hidden_size, num_words) if num_words is not None else None

    def forward(self, transferred: Tensor) -> tuple[Tensor, Tensor | None]:
        """Semantic features t_r `[B, output_size]` and word logits `[B, W]` of features `[B, input_size]`."""
        states, _ = self.lstm(transferred[:, None].expand(-1, self.steps, -1))
        decoded = self.projection(states.mean(dim=1))
        return decoded, self.word_predictor(states).amax(dim=1) if self.word_predictor is not None else None


def build_decoder(
    kind: str, input_size: int, hidden_size: int, output_size: int, num_words: int | None, steps: int
) -> nn.Module:
    """Makes a decoder: a module that maps features `[B, input_size]` to (t_r, word logits or `None`).

    Args:
        kind (`str`): `"fnn"` or `"lstm"`.
        input_size (`int`): width of its input.
        hidden_size (`int`): width of the hidden layer (`"fnn"`) or state (`"lstm"`).
        output_size (`int`): width of t_r.
        num_words (`int` or `None`): words to predict; `None` for semantic features without words.
        steps (`int`): steps of `"lstm"`.

    Raises:
        ValueError: for an unknown kind.
    """
    if kind == "fnn":
        return FNNDecoder(input_size, hidden_size, output_size, num_words)
    if kind == "lstm":
        return LSTMDecoder(input_size, hidden_size, output_size, num_words, steps)
    raise ValueError(f"Unknown decoder {kind!r}; expected one of fnn, lstm.")


__all__ = ["FNNDecoder", "LSTMDecoder", "build_decoder"]
