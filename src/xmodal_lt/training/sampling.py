"""What of a training sample is drawn at random, so that a resumed run repeats it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from xmodal_lt.data import ClassCorpus, decode_image


class Sampling:
    """Augmented images and sentences that depend on the seed, the epoch and the row alone.

    So they are the same with any number of workers or processes, and after a resume in the middle of an epoch.

    Args:
        transform (`Callable[[PIL.Image.Image], Tensor]`, *optional*):
            From an image to float `[3, H, W]`; images stay as they are when absent.
        seed (`int`, *optional*, defaults to 0): of all that is drawn.
        corpus (`ClassCorpus`, *optional*): of which each sample of a class gets a sentence, another one each epoch.
    """

    def __init__(
        self,
        transform: Callable[[Image.Image], Tensor] | None = None,
        seed: int = 0,
        corpus: ClassCorpus | None = None,
    ):
        self.transform = transform
        self.seed = seed
        self.corpus = corpus
        # Shared memory: workers that outlive an epoch see the next one's number.
        self._epoch = torch.zeros(1, dtype=torch.int64).share_memory_()

    @property
    def epoch(self) -> int:
        """The epoch that is drawn for."""
        return int(self._epoch)

    def set_epoch(self, epoch: int) -> None:
        """Sets the epoch that is drawn for."""
        self._epoch[0] = epoch

    def visual(self, index: int, image: Any, name: str) -> dict[str, Any]:
        """The augmented `pixel_values` of a row's image, or the plain `image` without a transform."""
        decoded = decode_image(image, name)
        if self.transform is None:
            return {"image": decoded}
        with _seeded(self._seed_of(index)):
            return {"pixel_values": self.transform(decoded)}

    def sentence(self, index: int, label: Any) -> dict[str, str]:
        """The `sentence` of a row, with a corpus."""
        return {} if self.corpus is None else {"sentence": self.corpus.pick(label, self._seed_of(index))}

    def _seed_of(self, index: int) -> int:
        prime = 1_000_003
        return ((self.seed * prime + self.epoch) * prime + index) % 2**63


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Torch's CPU generator at `seed` inside, and as it was afterwards.

    `torch.random.fork_rng` and `torch.manual_seed` do this for every device, which costs more than the augmentation.
    """
    state = torch.get_rng_state()
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(state)


__all__ = ["Sampling"]
