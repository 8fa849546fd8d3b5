"""How long `lt_map` takes beside a loop of scikit-learn's `average_precision_score` over the classes, as ratios.

OMP_NUM_THREADS=1 python benchmarks/metrics.py --output benchmarks/results/metrics.json
"""

import json
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from pairs import ratio
from sklearn.metrics import average_precision_score

from xmodal_lt.metrics import lt_map


NUM_SAMPLES, NUM_CLASSES = 81_636, 81  # NUS-WIDE's test split


def _long_tailed_data() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores that lean towards the targets, targets that thin out from class to class, and training samples."""
    rng = np.random.default_rng(0)
    frequencies = np.geomspace(0.3, 0.001, NUM_CLASSES)
    targets = (rng.random((NUM_SAMPLES, NUM_CLASSES)) < frequencies).astype(np.float32)
    scores = (rng.normal(size=targets.shape) + 2 * targets).astype(np.float32)
    return scores, targets, (frequencies * 125_449).astype(np.int64)


def over_scikit_learn(scores: np.ndarray, targets: np.ndarray, counts: np.ndarray, pairs: int) -> dict[str, float]:
    """`lt_map` over the loop; both must give the same average precisions."""

    def ours() -> np.ndarray:
        return lt_map(scores, targets, counts, head=5000, tail=2000, boundaries="decoupling")["ap"]

    def loop() -> list[float]:
        return [average_precision_score(targets[:, label], scores[:, label]) for label in range(NUM_CLASSES)]

    np.testing.assert_allclose(ours(), loop(), rtol=1e-12)
    return ratio(ours, loop, pairs)


def main(
    output: Annotated[Path, typer.Option(help="JSON file for the ratios.")] = Path("metrics.json"),
    pairs: Annotated[int, typer.Option(help="Timed pairs of each comparison.")] = 9,
) -> None:
    """Measure the ratios and print them as a table; each should be at most 1."""
    scores, targets, counts = _long_tailed_data()
    variants = {
        "continuous": scores,
        "half precision, widened": scores.astype(np.float16).astype(np.float32),
        "rounded to 2 decimals": scores.round(2),
        "rounded to 1 decimal": scores.round(1),
    }
    results = {name: over_scikit_learn(variant, targets, counts, pairs) for name, variant in variants.items()}
    typer.echo(f"`lt_map` over scikit-learn's loop, {NUM_SAMPLES:,} samples, {NUM_CLASSES} classes, float32 scores\n")
    typer.echo("| scores | median | min | max |\n| --- | --- | --- | --- |")
    for name, values in results.items():
        typer.echo(f"| {name} | {values['median']:.3f} | {values['min']:.3f} | {values['max']:.3f} |")
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    typer.run(main)
