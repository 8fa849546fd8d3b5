"""What this package costs beside bare timm and PyTorch, and what its feature cache saves, as ratios.

python benchmarks/overhead.py --output benchmarks/results/overhead.json
"""

import json
import tempfile
from pathlib import Path
from typing import Annotated

import datasets
import numpy as np
import timm
import torch
import typer
from pairs import ratio
from PIL import Image
from torch.utils.data import DataLoader
from transformers.utils import logging

from xmodal_lt import CMLTNetConfig, CMLTNetForImageClassification, ImageClassifier, ImageClassifierConfig
from xmodal_lt.processing import (
    XModalCollator,
    XModalLTImageProcessor,
    XModalProcessor,
    build_train_transform,
    build_word_tokenizer,
)
from xmodal_lt.training import LongTailTrainer, LongTailTrainingArguments
from xmodal_lt.training.feature_cache import cached_features
from xmodal_lt.training.training_data import CachedFeatureData, TrainingData


def prediction(pairs: int) -> dict[str, float]:
    """CMLTNet over the bare timm backbone: ResNet-50, 224 pixels, batch 16."""
    config = CMLTNetConfig(backbone="resnet50", vocab_size=1002, num_labels=81)
    model = CMLTNetForImageClassification(config).eval()
    backbone = timm.create_model("resnet50", pretrained=False, num_classes=81).eval()
    images = torch.randn(16, 3, 224, 224)
    with torch.inference_mode():
        return ratio(lambda: model(pixel_values=images), lambda: backbone(images), pairs, warmup=2)


def _rows(count: int, size: int) -> datasets.Dataset:
    rng = np.random.default_rng(0)
    images = [Image.fromarray(rng.integers(0, 255, (size, size, 3), dtype=np.uint8)) for _ in range(count)]
    words = [[f"word {word}" for word in rng.choice(50, 4, replace=False)] for _ in range(count)]
    rows = datasets.Dataset.from_dict(
        {
            "image": images,
            "words": words,
            "label": [i % 10 for i in range(count)],
            "image_id": list(map(str, range(count))),
        }
    )
    return rows.cast_column("image", datasets.Image())


def _trainer(model, data, collator, folder: str, epochs: float = 1) -> LongTailTrainer:
    args = LongTailTrainingArguments(
        output_dir=folder,
        num_train_epochs=epochs,
        per_device_train_batch_size=16,
        learning_rate=1e-3,
        torch_optimizer="adam",
        max_grad_norm=0.0,
        remove_unused_columns=False,
        logging_nan_inf_filter=False,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=not torch.accelerator.is_available(),
    )
    return LongTailTrainer(model=model, args=args, train_dataset=data, data_collator=collator)


def training(pairs: int, folder: str) -> dict[str, float]:
    """An epoch of `ImageClassifier` under `LongTailTrainer` over a bare PyTorch loop with the same data and optimizer.

    ResNet-18, 128 pixels, batch 16, 20 steps.
    """
    rows = _rows(320, 128).remove_columns("words")
    image_processor = XModalLTImageProcessor(size={"height": 128, "width": 128})
    data = TrainingData(rows, build_train_transform(image_processor))
    collator = XModalCollator(image_processor)
    model = ImageClassifier(ImageClassifierConfig(backbone="resnet18", num_labels=10))
    trainer = _trainer(model, data, collator, folder)
    bare = timm.create_model("resnet18", pretrained=False, num_classes=10)
    optimizer = torch.optim.Adam(bare.parameters(), lr=1e-3)

    def bare_epoch() -> None:
        bare.train()
        for batch in DataLoader(data, 16, shuffle=True, collate_fn=collator):
            loss = torch.nn.functional.cross_entropy(bare(batch["pixel_values"]), batch["labels"])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return ratio(trainer.train, bare_epoch, pairs)


def caching(pairs: int, folder: str) -> dict[str, float]:
    """An uncached epoch of CMLTNet's `infer` stage over a cached one, ResNet-50, 224 pixels; losses must be equal."""
    rows = _rows(160, 224)
    processor = XModalProcessor(XModalLTImageProcessor(), build_word_tokenizer(rows))
    collator = XModalCollator(processor)
    data = TrainingData(rows)
    config = CMLTNetConfig(backbone="resnet50", vocab_size=len(processor.tokenizer), num_labels=10)
    model = CMLTNetForImageClassification(config)
    model.set_stage("infer")
    start = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    cached = CachedFeatureData(data, cached_features(model, data, collator, folder, "benchmark"))
    losses: dict[str, list[float]] = {}

    def epoch(name: str, rows_of_epoch) -> None:
        model.load_state_dict(start)
        trainer = _trainer(model, rows_of_epoch, collator, folder)
        trainer.train()
        losses[name] = [entry["train_loss"] for entry in trainer.state.log_history if "train_loss" in entry]

    result = ratio(lambda: epoch("uncached", data), lambda: epoch("cached", cached), pairs)
    np.testing.assert_allclose(losses["cached"], losses["uncached"], rtol=1e-5)
    return result


def main(
    output: Annotated[Path, typer.Option(help="JSON file for the ratios.")] = Path("overhead.json"),
    pairs: Annotated[int, typer.Option(help="Timed pairs of each comparison.")] = 9,
) -> None:
    """Measure the ratios and print them beside their limits."""
    logging.set_verbosity_error()
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        results = {
            "prediction: CMLTNet over bare backbone (limit 1.05)": prediction(pairs),
            "training: LongTailTrainer over bare loop (limit 1.10)": training(pairs, folder),
            "caching: uncached epoch over cached epoch (at least 10)": caching(pairs, folder),
        }
    for name, values in results.items():
        typer.echo(f"{name}: median {values['median']:.3f} ({values['min']:.3f} to {values['max']:.3f})")
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    typer.run(main)
