"""Forward and backward time of the losses over that of binary cross-entropy, and of cross-entropy, as ratios.

OMP_NUM_THREADS=1 python benchmarks/losses.py --output benchmarks/results/losses.json
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

from xmodal_lt import losses


SAMPLES, CLASSES = 4096, 80  # the classes of COCO-LT
TRAINING_SAMPLES = 1909
STEPS = 20  # of one timing, so that it is long beside the noise
FINE_SAMPLES, FINE_CLASSES = 128, 8142  # the classes of iNaturalist 2018


def multilabel_losses(counts: list[int]) -> dict[str, tuple[Callable[[Tensor, Tensor], Tensor], float]]:
    """Name -> loss of logits and targets, and the limit of its ratio."""
    known = {"class_counts": counts, "num_samples": TRAINING_SAMPLES}
    return {
        "multilabel_soft_margin_loss": (losses.multilabel_soft_margin_loss, 2.0),
        "reweighted_multilabel_loss": (lambda x, y: losses.reweighted_multilabel_loss(x, y, **known), 2.0),
        "multilabel_ldam_loss": (lambda x, y: losses.multilabel_ldam_loss(x, y, counts), 2.0),
        "multilabel_focal_loss": (losses.multilabel_focal_loss, 2.0),
        "class_balanced_multilabel_loss": (lambda x, y: losses.class_balanced_multilabel_loss(x, y, counts), 2.0),
        "asymmetric_loss": (losses.asymmetric_loss, 2.5),
        "multi_grained_focal_loss": (lambda x, y: losses.multi_grained_focal_loss(x, y, counts), 2.5),
        "distribution_balanced_loss": (lambda x, y: losses.distribution_balanced_loss(x, y, **known), 2.5),
    }


def steps(loss: Callable[[Tensor, Tensor], Tensor], logits: Tensor, targets: Tensor) -> Callable[[], None]:
    """A function that runs forward and backward `STEPS` times."""

    def run() -> None:
        for _ in range(STEPS):
            logits.grad = None
            loss(logits, targets).backward()

    return run


def multilabel(pairs: int) -> dict[str, dict[str, float]]:
    """Each multi-label loss over the mean of `F.binary_cross_entropy_with_logits`, 4,096 samples of 80 classes."""
    logits = (2 * torch.randn(SAMPLES, CLASSES) - 2).requires_grad_()
    targets = (torch.rand(SAMPLES, CLASSES) < 0.04).float()  # 3 of 80, as in COCO
    counts = torch.randint(1, 1200, (CLASSES,)).tolist()
    reference = steps(F.binary_cross_entropy_with_logits, logits, targets)
    return {
        name: {**ratio(steps(loss, logits, targets), reference, pairs), "limit": limit}
        for name, (loss, limit) in multilabel_losses(counts).items()
    }


def counts_of_many_classes(pairs: int) -> dict[str, float]:
    """Balanced softmax, with a list of 8,142 counts, over `F.cross_entropy`, 128 samples."""
    logits = torch.randn(FINE_SAMPLES, FINE_CLASSES, requires_grad=True)
    target = torch.randint(0, FINE_CLASSES, (FINE_SAMPLES,))
    counts = torch.randint(1, 1000, (FINE_CLASSES,)).tolist()
    adjusted = steps(lambda x, y: losses.logit_adjusted_cross_entropy(x, y, counts), logits, target)
    return {**ratio(adjusted, steps(F.cross_entropy, logits, target), pairs), "limit": 2.0}


def main(
    output: Annotated[Path, typer.Option(help="JSON file for the ratios.")] = Path("losses.json"),
    pairs: Annotated[int, typer.Option(help="Timed pairs of each comparison.")] = 25,
) -> None:
    """Measure the ratios and print them beside their limits."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    # The C library keeps the memory of tensors that it has seen as large once, as those of any model; before that it
    # returns and fetches it again in each step, which takes longer than the arithmetic.
    torch.empty(1 << 24, dtype=torch.uint8)
    results = {**multilabel(pairs), "logit_adjusted_cross_entropy, 8142 classes": counts_of_many_classes(pairs)}
    typer.echo("| loss | median | min | max | limit |\n| --- | --- | --- | --- | --- |")
    for name, values in results.items():
        typer.echo(f"| {name} | " + " | ".join(f"{value:.2f}" for value in values.values()) + " |")
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    typer.run(main)
