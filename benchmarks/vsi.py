"""CPRFL's interaction network over the plain transformer layer on image tokens and prompts: time of a training step,
and memory of its activations, as ratios.

OMP_NUM_THREADS=2 python benchmarks/vsi.py --output benchmarks/results/vsi.json
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

from xmodal_lt.modeling.visual_semantic_interaction import VisualSemanticInteraction


BATCH, TOKENS, CLASSES, SIZE = 16, 196, 80, 2048  # COCO-LT, ResNet-101 at 448 pixels
SETTINGS = {"num_heads": 8, "head_size": 512, "mlp_size": 2048, "dropout": 0.1}  # as released
LIMIT = 0.5  # of either ratio


class FullInteraction(VisualSemanticInteraction):
    """The same layer with queries, outputs and MLP for all of Z = (F, P), by PyTorch's fused attention."""

    def forward(self, image_tokens: Tensor, prompts: Tensor) -> Tensor:
        hidden = torch.cat([image_tokens, prompts.expand(len(image_tokens), -1, -1)], dim=1)
        normed = self.attention_norm(hidden)
        projections = (self.query, self.key, self.value)
        heads = (self._heads(projection(normed)).transpose(1, 2) for projection in projections)
        context = F.scaled_dot_product_attention(*heads, scale=self.scale).transpose(1, 2).flatten(2)
        hidden = self.dropout(self.output(context))
        return self.mlp(self.mlp_norm(hidden))[:, -len(prompts) :]


def activation_bytes(model: VisualSemanticInteraction, image_tokens: Tensor, prompts: Tensor) -> int:
    """What a forward pass keeps for the backward pass, beside the model's weights: each storage once."""
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage  # held, so that no address is used twice
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model(image_tokens, prompts)
    return sum(storage.nbytes() for storage in kept.values())


def step(model: VisualSemanticInteraction, image_tokens: Tensor, prompts: Tensor) -> Callable[[], None]:
    """A function that runs forward and backward."""

    def run() -> None:
        model.zero_grad()
        model(image_tokens, prompts).sum().backward()

    return run


def check(lean: VisualSemanticInteraction, full: FullInteraction, *inputs: Tensor) -> None:
    """Both give the same numbers, but for rounding."""
    torch.testing.assert_close(lean.eval()(*inputs), full.eval()(*inputs), atol=1e-4, rtol=1e-4)
    lean.train()
    full.train()


def main(
    output: Annotated[Path, typer.Option(help="JSON file for the ratios.")] = Path("vsi.json"),
    pairs: Annotated[int, typer.Option(help="Timed pairs.")] = 7,
) -> None:
    """Measure the ratios and print them beside their limits."""
    torch.manual_seed(0)
    lean, full = VisualSemanticInteraction(SIZE, **SETTINGS), FullInteraction(SIZE, **SETTINGS)
    full.load_state_dict(lean.state_dict())
    inputs = torch.randn(BATCH, TOKENS, SIZE, requires_grad=True), torch.randn(CLASSES, SIZE, requires_grad=True)
    check(lean, full, *inputs)
    results = {
        "time": {**ratio(step(lean, *inputs), step(full, *inputs), pairs), "limit": LIMIT},
        "activation memory": {
            "ratio": activation_bytes(lean, *inputs) / activation_bytes(full, *inputs),
            "limit": LIMIT,
        },
    }
    for name, values in results.items():
        typer.echo(f"{name}: " + ", ".join(f"{key} {value:.2f}" for key, value in values.items()))
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    typer.run(main)
