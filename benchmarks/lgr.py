"""The language-guided head over its plain form, which makes the keys of all sentences and the gathered sentences G of
all images: time and peak memory (beyond the sentences' embeddings) of a training step and of a prediction, as ratios.

OMP_NUM_THREADS=1 python benchmarks/lgr.py --output benchmarks/results/lgr.json
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import torch
import torch.nn.functional as F
import typer
from pairs import ratio
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from xmodal_lt.modeling.class_sentences import ClassSentences
from xmodal_lt.modeling.language_guided_head import LanguageGuidedHead


BATCH, CLASSES, SENTENCES, SIZE = 64, 1000, 64, 512  # ImageNet-LT, ViT-B/16
LIMITS = {"time": 0.7, "memory": 0.25}


class PlainHead(LanguageGuidedHead):
    """The same text branch as eq. 5 to 7 write it."""

    def sentence_cosines(self, image_embeds: Tensor, sentences: ClassSentences) -> Tensor:
        attention = self.attention
        queries = attention.query(attention.query_norm(image_embeds))
        keys = self.keys(sentences)
        scores = torch.einsum("bd,cmd->bcm", queries, keys) / SIZE**0.5
        weights = scores.masked_fill(~sentences.valid, -torch.inf).softmax(-1)
        gathered = torch.einsum("bcm,cmd->bcd", weights, sentences.embeds)
        return torch.einsum("bd,bcd->bc", F.normalize(image_embeds, dim=-1), F.normalize(gathered, dim=-1))

    def keys(self, sentences: ClassSentences) -> Tensor:
        """Learnt, and so made anew in every step; a prediction could keep them, and here does."""
        if not torch.is_grad_enabled() and hasattr(self, "kept_keys"):
            return self.kept_keys
        return self.attention.key(self.attention.key_norm(sentences.embeds))


def peak_bytes(function: Callable[[], object]) -> int:
    """The most that is allocated at once while `function` runs, beyond what was before."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        function()
    events = [event for event in profiled.profiler.kineto_results.events() if event.name() == "[memory]"]
    allocated = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        allocated += event.nbytes()
        peak = max(peak, allocated)
    return peak


def training_step(head: LanguageGuidedHead, images: Tensor, sentences: ClassSentences) -> Callable[[], None]:
    """A function that runs the text branch forward and backward."""

    def run() -> None:
        head.zero_grad()
        head.sentence_cosines(images, sentences).sum().backward()

    return run


def prediction(head: LanguageGuidedHead, images: Tensor, sentences: ClassSentences) -> Callable[[], None]:
    """A function that runs the text branch forward."""

    def run() -> None:
        with torch.no_grad():
            head.sentence_cosines(images, sentences)

    return run


def main(
    output: Annotated[Path, typer.Option(help="JSON file for the ratios.")] = Path("lgr.json"),
    pairs: Annotated[int, typer.Option(help="Timed pairs.")] = 5,
) -> None:
    """Measure the ratios and print them beside their limits."""
    torch.manual_seed(0)
    sentences = ClassSentences(CLASSES, SENTENCES, SIZE)
    sentences.set(torch.randn(CLASSES, SENTENCES, SIZE), torch.randint(1, SENTENCES + 1, (CLASSES,)))
    lean, plain = LanguageGuidedHead(SIZE, CLASSES), PlainHead(SIZE, CLASSES)
    plain.load_state_dict(lean.state_dict())
    images = torch.randn(BATCH, SIZE, requires_grad=True)
    torch.testing.assert_close(
        lean.sentence_cosines(images, sentences), plain.sentence_cosines(images, sentences), atol=1e-5, rtol=1e-5
    )
    with torch.no_grad():
        plain.kept_keys = plain.keys(sentences)
    results = {}
    for name, make in (("training step", training_step), ("prediction", prediction)):
        functions = make(lean, images, sentences), make(plain, images, sentences)
        first, second = map(peak_bytes, functions)
        results[name] = {"time": ratio(*functions, pairs), "memory": first / second, "limits": LIMITS}
        typer.echo(f"{name}: time {results[name]['time']}, memory {first / second:.3f}; at most {LIMITS}")
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    typer.run(main)
