"""What the samplers cost on a set as large as iNaturalist 2018, as ratios to torch's `RandomSampler`.

python benchmarks/samplers.py --output benchmarks/results/samplers.json
"""

import json
import tracemalloc
from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from pairs import ratio
from torch.utils.data import RandomSampler

from xmodal_lt.data import DualSampler
from xmodal_lt.data.samplers import SAMPLERS


NUM_SAMPLES = 500_000
NUM_CLASSES = 8_142


def long_tailed_labels() -> list[int]:
    """Class ids with counts that fall as 1 / rank^0.5, every class with a sample, in random order."""
    rng = np.random.default_rng(0)
    weights = np.arange(1, NUM_CLASSES + 1) ** -0.5
    more = rng.choice(NUM_CLASSES, NUM_SAMPLES - NUM_CLASSES, p=weights / weights.sum())
    return rng.permutation(np.concatenate([np.arange(NUM_CLASSES), more])).tolist()


def _draw(sampler: Iterable, count: int) -> None:
    deque(islice(sampler, count), maxlen=0)


def _peak_bytes(function: Callable[[], object]) -> int:
    tracemalloc.start()
    function()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def compare(sampler: Callable[[list[int]], Iterable], labels: list[int], pairs: int) -> dict[str, object]:
    """Start and first N draws over `RandomSampler`'s, and the peak of their memory over that of N int64."""

    def first(count: int) -> None:
        _draw(sampler(labels), count)

    def torch_first(count: int) -> None:
        _draw(RandomSampler(labels), count)

    fewer = labels[::5]
    return {
        "start": ratio(lambda: first(1), lambda: torch_first(1), pairs),
        "n_draws": ratio(lambda: first(NUM_SAMPLES), lambda: torch_first(NUM_SAMPLES), pairs),
        # Equal for both numbers of samples, where memory grows with N alone.
        "peak_memory": _peak_bytes(lambda: first(NUM_SAMPLES)) / (8 * NUM_SAMPLES),
        "peak_memory_of_a_fifth": _peak_bytes(lambda: _draw(sampler(fewer), len(fewer))) / (8 * len(fewer)),
    }


def main(
    output: Annotated[Path, typer.Option(help="JSON file for the ratios.")] = Path("samplers.json"),
    pairs: Annotated[int, typer.Option(help="Timed pairs of each comparison.")] = 9,
) -> None:
    """Measure the ratios for every sampler and print them."""
    labels = long_tailed_labels()
    results = {name: compare(sampler, labels, pairs) for name, sampler in {**SAMPLERS, "dual": DualSampler}.items()}
    for name, values in results.items():
        typer.echo(
            f"{name}: start {values['start']['median']:.2f}, N draws {values['n_draws']['median']:.2f}, "
            f"peak memory {values['peak_memory']:.2f} x N int64"
        )
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    typer.run(main)
