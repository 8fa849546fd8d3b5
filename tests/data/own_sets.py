"""A user's own data set, seven images to train on and three to test, in each of the formats that can be loaded."""

from __future__ import annotations

import csv
import io
import json
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from PIL import Image


COUNTS = {"train": 7, "test": 3}
ROWS_OF_SHARDS = {"train": ((0, 4), (4, 7)), "test": ((0, 3),)}
FIRST_SHADE = {"train": 0, "test": 100}
LABELS = ("cat", "dog")
WITH_PATHS = datasets.Features(
    {"image": datasets.Image(), "words": datasets.List(datasets.Value("string")), "label": datasets.Value("string")}
)


def png(shade: int) -> bytes:
    """An image that tells its number."""
    file = io.BytesIO()
    Image.new("RGB", (4, 4), (shade, 0, 0)).save(file, "PNG")
    return file.getvalue()


def shade_of(image: Any) -> int:
    """The number of an image, decoded or as it is stored."""
    return _decoded(image).getpixel((0, 0))[0]


def comparable(row: dict[str, Any]) -> dict[str, Any]:
    """A row with the pixels of its image, decoded or not, which can be compared."""
    return {**row, "image": np.asarray(_decoded(row["image"])).tolist()}


def _decoded(image: Any) -> Image.Image:
    if not isinstance(image, dict):
        return image
    return Image.open(image["path"] if image["bytes"] is None else io.BytesIO(image["bytes"]))


def rows_of(split: str) -> list[dict[str, Any]]:
    """Its rows, without images: every third one is a dog."""
    return [{"words": ["fur", f"{split} {row}"], "label": LABELS[row % 3 == 1]} for row in range(COUNTS[split])]


def image_of(split: str, row: int) -> bytes:
    return png(FIRST_SHADE[split] + row)


def _write_images(root: Path) -> None:
    for split, count in COUNTS.items():
        (root / split).mkdir(parents=True)
        for row in range(count):
            (root / split / f"{row}.png").write_bytes(image_of(split, row))


def image_folder(root: Path) -> Path:
    _write_images(root)
    for split in COUNTS:
        rows = [{"file_name": f"{number}.png", **row} for number, row in enumerate(rows_of(split))]
        (root / split / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return root


def image_folder_with_csv(root: Path) -> Path:
    _write_images(root)
    for split in COUNTS:
        rows = [(f"{number}.png", ",".join(row["words"]), row["label"]) for number, row in enumerate(rows_of(split))]
        _write_csv(root / split / "metadata.csv", ("file_name", "words", "label"), rows)
    return root


def class_folders(root: Path) -> Path:
    for split in COUNTS:
        for number, row in enumerate(rows_of(split)):
            (root / split / row["label"]).mkdir(parents=True, exist_ok=True)
            (root / split / row["label"] / f"{number}.png").write_bytes(image_of(split, number))
    return root


def _parquet(
    root: Path,
    image: Any,
    image_type: Any,
    label: Callable[[dict[str, Any]], Any],
    label_type: Any,
    name: str = "label",
) -> Path:
    """Parquet shards of two rows in each row group."""
    types = {"image": image_type, "words": datasets.List(datasets.Value("string")), name: label_type}
    root.mkdir(parents=True)
    for split, shards in ROWS_OF_SHARDS.items():
        rows = [
            {"image": image(image_of(split, number)), "words": row["words"], name: label(row)}
            for number, row in enumerate(rows_of(split))
        ]
        for number, (start, stop) in enumerate(shards):
            part = datasets.Dataset.from_list(rows[start:stop], features=datasets.Features(types))
            part.to_parquet(root / f"{split}-{number:05d}-of-{len(shards):05d}.parquet", batch_size=2)
    return root


def _encoded(data: bytes) -> dict[str, Any]:
    return {"bytes": data, "path": None}


def parquet_shards(root: Path) -> Path:
    """With names as labels."""
    return _parquet(root, _encoded, datasets.Image(), lambda row: row["label"], datasets.Value("string"))


def parquet_of_class_labels(root: Path) -> Path:
    names = ["bird", "dog", "cat"]  # one without a sample, and in another order than that of the alphabet
    return _parquet(
        root, _encoded, datasets.Image(), lambda row: names.index(row["label"]), datasets.ClassLabel(names=names)
    )


def parquet_of_numbers(root: Path) -> Path:
    return _parquet(
        root, _encoded, datasets.Image(), lambda row: 10 if row["label"] == "dog" else 9, datasets.Value("int64")
    )


def parquet_of_several_labels(root: Path) -> Path:
    several = datasets.List(datasets.Value("string"))
    return _parquet(
        root, _encoded, datasets.Image(), lambda row: ["pet"] + ["dog"] * (row["label"] == "dog"), several, "labels"
    )


def parquet_of_bytes(root: Path) -> Path:
    """Images as bare bytes."""
    return _parquet(root, bytes, datasets.Value("binary"), lambda row: row["label"], datasets.Value("string"))


def _write_csv(path: Path, names: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([names, *rows])


def csv_file(root: Path) -> Path:
    """One file, all of it to train on, with paths that are seen from its folder, and one column more."""
    _write_images(root)
    rows = [
        (f"train/{number}.png", ",".join(row["words"]), row["label"], number)
        for number, row in enumerate(rows_of("train"))
    ]
    _write_csv(root / "rows.csv", ("image", "words", "label", "note"), rows)
    return root / "rows.csv"


def jsonl_file(root: Path) -> Path:
    """One file, all of it to train on, with paths of both kinds."""
    _write_images(root)
    rows = [
        {"image": f"train/{number}.png" if number % 2 else str(root / "train" / f"{number}.png"), **row}
        for number, row in enumerate(rows_of("train"))
    ]
    (root / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return root / "rows.jsonl"


def write_tar(path: Path, files: Iterable[tuple[str, bytes]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, data in files:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def sample_files(split: str, row: int, with_class: bool = True) -> list[tuple[str, bytes]]:
    """The files of one sample of a shard."""
    key, values = f"{split}{row:04d}", rows_of(split)[row]
    fields = {"words": values["words"], "note": row} | ({} if with_class else {"label": values["label"]})
    files = [(f"{key}.png", image_of(split, row)), (f"{key}.json", json.dumps(fields).encode())]
    return files + [(f"{key}.cls", str(LABELS.index(values["label"])).encode())] * with_class


def webdataset_shards(root: Path) -> Path:
    """The class in a file of its own."""
    for split, shards in ROWS_OF_SHARDS.items():
        for number, (start, stop) in enumerate(shards):
            files = [file for row in range(start, stop) for file in sample_files(split, row)]
            write_tar(root / f"{split}-{number:05d}.tar", files)
    return root


def tar_file(root: Path) -> Path:
    """One file, all of it to train on, the label in the json."""
    files = [file for row in range(COUNTS["train"]) for file in sample_files("train", row, with_class=False)]
    return write_tar(root / "pets.tar", files)


def saved_to_disk(root: Path) -> Path:
    """By `save_to_disk`, the images as files elsewhere."""
    folder = image_folder(root / "original")
    splits = {}
    for split in COUNTS:
        rows = [{"image": str(folder / split / f"{number}.png"), **row} for number, row in enumerate(rows_of(split))]
        splits[split] = datasets.Dataset.from_list(rows, features=WITH_PATHS)
    datasets.DatasetDict(splits).save_to_disk(str(root / "saved"))
    return root / "saved"


FORMATS: dict[str, Callable[[Path], Path]] = {
    maker.__name__: maker
    for maker in (
        image_folder,
        image_folder_with_csv,
        class_folders,
        parquet_shards,
        parquet_of_class_labels,
        parquet_of_numbers,
        parquet_of_several_labels,
        parquet_of_bytes,
        csv_file,
        jsonl_file,
        webdataset_shards,
        tar_file,
        saved_to_disk,
    )
}
