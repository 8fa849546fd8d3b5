"""What the data pipeline costs: images a second over torchvision's, memory of streams, start of a large index.

python benchmarks/data.py --output benchmarks/results/data.json
"""

import io
import json
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import datasets
import numpy as np
import psutil
import torch
import typer
from datasets.table import embed_table_storage
from pairs import ratio
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder

from xmodal_lt.data import load_lt
from xmodal_lt.data.class_stats_cache import cached_class_stats
from xmodal_lt.data.loading import open_streams
from xmodal_lt.processing import (
    XModalCollator,
    XModalLTImageProcessor,
    XModalProcessor,
    build_train_transform,
    build_word_tokenizer,
)
from xmodal_lt.training.streamed_data import StreamedData
from xmodal_lt.training.training_data import TrainingData


WORKERS, BATCH = 2, 64
CLASSES = 20
# As iNaturalist 2018.
INDEX_ROWS, INDEX_CLASSES = 437_513, 8_142
START_LIMIT = 10.0  # seconds


def photograph(generator: np.random.Generator, height: int, width: int) -> bytes:
    """A JPEG of smooth colours and some noise, so that it is about as large as one of a camera at that size."""
    coarse = generator.integers(0, 256, (height // 16 + 1, width // 16 + 1, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC), dtype=np.int16)
    noisy = (smooth + generator.integers(-12, 13, smooth.shape)).clip(0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(noisy).save(file, "JPEG", quality=90)
    return file.getvalue()


def write_folder(folder: Path, images: int) -> None:
    """A folder for each class, for torchvision, and `metadata.jsonl` with words for `load_lt`."""
    generator = np.random.default_rng(0)
    rows = []
    for number in range(images):
        name = f"{number % CLASSES:02d}/{number}.jpg"
        path = folder / "train" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photograph(generator, 375, 500))
        words = [f"word {word}" for word in generator.integers(0, 200, 5)]
        rows.append({"file_name": name, "words": words, "label": f"{number % CLASSES:02d}"})
    (folder / "train" / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))


def write_shards(folder: Path, rows: int, rows_of_file: int = 10_000) -> None:
    """Parquet files of small images with words and labels."""
    generator = np.random.default_rng(0)
    images = [{"bytes": photograph(generator, 32, 32), "path": None} for _ in range(500)]
    label = datasets.ClassLabel(names=[str(number) for number in range(CLASSES)])
    words = datasets.List(datasets.Value("string"))
    features = datasets.Features({"image": datasets.Image(), "words": words, "label": label})
    folder.mkdir(parents=True)
    for start in range(0, rows, rows_of_file):
        numbers = range(start, min(start + rows_of_file, rows))
        columns = {
            "image": [images[number % len(images)] for number in numbers],
            "words": [[f"word {number % 997}", f"word {number % 89}"] for number in numbers],
            "label": [number % CLASSES for number in numbers],
        }
        table = datasets.Dataset.from_dict(columns, features=features)
        table.to_parquet(folder / f"train-{start:08d}.parquet", batch_size=500)


def write_inaturalist(folder: Path) -> None:
    """Annotations of the official form and size, and the folders of the images, which stay empty."""
    classes = np.arange(INDEX_CLASSES)
    for class_id in classes:
        (folder / "train_val2018" / "Plantae" / str(class_id)).mkdir(parents=True)
    weights = (classes + 1.0) ** -0.8
    more = np.random.default_rng(0).choice(INDEX_CLASSES, INDEX_ROWS - INDEX_CLASSES, p=weights / weights.sum())
    _write_annotations(folder / "train2018.json", [*classes.tolist(), *more.tolist()], 0)
    _write_annotations(folder / "val2018.json", np.repeat(classes, 3).tolist(), INDEX_ROWS)


def _write_annotations(path: Path, labels: list[int], first: int) -> None:
    numbers = range(first, first + len(labels))
    files = [f"train_val2018/Plantae/{label}/{n:032x}.jpg" for n, label in zip(numbers, labels, strict=True)]
    content = {
        "images": [{"id": n, "file_name": file} for n, file in zip(numbers, files, strict=True)],
        "annotations": [
            {"id": n, "image_id": n, "category_id": label} for n, label in zip(numbers, labels, strict=True)
        ],
    }
    path.write_text(json.dumps(content))


def throughput(folder: Path, pairs: int) -> dict[str, Any]:
    """Time of torchvision's epoch over that of ours, which is images a second of ours over its."""
    processor = XModalLTImageProcessor(size={"height": 224, "width": 224})
    transform = build_train_transform(processor, crop_scale=(0.2, 1.0), horizontal_flip=0.5)
    plain = DataLoader(ImageFolder(folder / "train", transform), BATCH, shuffle=True, num_workers=WORKERS)
    train = load_lt(folder)["train"]
    tokenizer = build_word_tokenizer(train)
    collator = XModalCollator(XModalProcessor(processor, tokenizer))
    table = DataLoader(TrainingData(train, transform), BATCH, shuffle=True, num_workers=WORKERS, collate_fn=collator)
    shards = folder.parent / "converted"
    inside = train.with_format("arrow").map(embed_table_storage, batched=True, batch_size=100).with_format(None)
    for shard in range(4):
        inside.shard(4, shard).to_parquet(shards / f"train-{shard}.parquet", batch_size=100)
    streamed = StreamedData(open_streams(shards)["train"], transform, shuffle_buffer=256)
    stream = DataLoader(streamed.share(BATCH), BATCH, num_workers=WORKERS, collate_fn=collator)
    return {
        "table": ratio(lambda: drain(plain), lambda: drain(table), pairs),
        "stream": ratio(lambda: drain(plain), lambda: drain(stream), pairs),
    }


def drain(loader: DataLoader) -> None:
    """Read an epoch."""
    for _ in loader:
        pass


@contextmanager
def own_cache(folder: Path):
    """Nothing of the user's cache is read or written."""
    before = datasets.config.HF_DATASETS_CACHE
    datasets.config.HF_DATASETS_CACHE = folder / "cache"
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        datasets.config.HF_DATASETS_CACHE = before


def peak_memory() -> int:
    """Most kilobytes that this process has held. `getrusage` also counts those of the process that started it."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0])


def _index_stream(folder: Path, cache: Path) -> int:
    """Peak memory of opening a stream for the first time, when its labels and words are read."""
    with own_cache(cache):
        open_streams(folder)
    return peak_memory()


def _read_stream(folder: Path, cache: Path) -> dict[str, int]:
    """Peak memory of a training epoch over a stream, of the process and of the larger of its workers."""
    with own_cache(cache):
        processor = XModalLTImageProcessor(size={"height": 32, "width": 32})
        train = open_streams(folder)["train"]
        cached_class_stats(train.annotations)
        tokenizer = build_word_tokenizer(train.annotations)
        data = StreamedData(train, build_train_transform(processor), shuffle_buffer=256)
        collator = XModalCollator(XModalProcessor(processor, tokenizer))
        loader = DataLoader(data.share(BATCH), BATCH, num_workers=WORKERS, collate_fn=collator)
        rows = sum(len(batch["labels"]) for batch in loader)
    worker = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return {"rows": rows, "process": peak_memory(), "worker": worker}


def memory_of_streams(folder: Path, sizes: tuple[int, int]) -> dict[str, Any]:
    """Peak memory with many rows over that with few: when the stream is opened first, and in an epoch."""
    peaks = []
    for rows in sizes:
        source = folder / f"rows-{rows}"
        write_shards(source, rows)
        index = in_new_process(_index_stream, source, folder)
        epoch = in_new_process(_read_stream, source, folder)
        assert epoch.pop("rows") == rows
        peaks.append({"index": index, **epoch})
    few, many = peaks
    return {"rows": list(sizes), **{name: many[name] / few[name] for name in few}}


def _start(folder: Path, cache: Path) -> dict[str, float]:
    """Time and memory from nothing loaded to a training split whose classes are counted."""
    with own_cache(cache):
        process = psutil.Process()
        before, start = process.memory_info().rss, time.perf_counter()
        train = load_lt("inaturalist-2018", data_dir=folder)["train"]
        stats = cached_class_stats(train)
        seconds = time.perf_counter() - start
        assert (len(train), stats.num_classes) == (INDEX_ROWS, INDEX_CLASSES)
        peak = peak_memory() * 1024
        start = time.perf_counter()
        json.loads((folder / "train2018.json").read_bytes())
        parse = time.perf_counter() - start
    return {"over_limit": seconds / START_LIMIT, "over_parsing_json": seconds / parse, "mb": (peak - before) / 2**20}


def start_of_index(folder: Path) -> dict[str, Any]:
    """A start of a set as large as iNaturalist 2018 that has been built before."""
    write_inaturalist(folder / "inaturalist")
    first = in_new_process(_start, folder / "inaturalist", folder)
    again = in_new_process(_start, folder / "inaturalist", folder)
    return {"rows": INDEX_ROWS, "classes": INDEX_CLASSES, "first_build": first, "later_start": again}


def in_new_process(function: Callable, *arguments: Any) -> Any:
    """The result of a function in a process of its own, whose peak of memory is of that function alone."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_not_daemonic, (function, arguments))


def _not_daemonic(function: Callable, arguments: tuple) -> Any:
    multiprocessing.current_process()._config["daemon"] = False  # so that it may have data loaders' workers
    return function(*arguments)


def main(
    output: Annotated[Path, typer.Option(help="JSON file for the ratios.")] = Path("data.json"),
    images: Annotated[int, typer.Option(help="Photographs of the throughput.")] = 1500,
    pairs: Annotated[int, typer.Option(help="Timed pairs of each comparison.")] = 7,
    rows: Annotated[int, typer.Option(help="Rows of the long stream.")] = 500_000,
) -> None:
    """Measure all three and print them."""
    torch.set_num_threads(1)
    results: dict[str, Any] = {"cpus": os.cpu_count()}
    with tempfile.TemporaryDirectory() as name, own_cache(Path(name)):
        folder = Path(name)
        write_folder(folder / "photographs", images)
        results["images_per_second_over_torchvision"] = throughput(folder / "photographs", pairs)
        results["start_of_index"] = start_of_index(folder)
        results["peak_memory_of_stream"] = memory_of_streams(folder, (10_000, rows))
    typer.echo(json.dumps(results, indent=2))
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    typer.run(main)
