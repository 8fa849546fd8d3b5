from __future__ import annotations

from collections import Counter

import datasets
import pytest
import torch
from embedding import write_parquet
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from xmodal_lt.data import ClassCorpus, load_lt
from xmodal_lt.data.loading import open_streams
from xmodal_lt.training.streamed_data import StreamedData
from xmodal_lt.training.training_data import (
    CachedFeatureData,
    TrainingData,
    evaluation_data,
    privileged_evaluation_data,
    training_data,
)


# Of machines with fewer cores than the three workers of some tests.
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create 3 worker processes")

TRANSFORM = v2.Compose([v2.RandomResizedCrop(8), v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])


@pytest.fixture(scope="module")
def path(colour_data, tmp_path_factory):
    """The colours as parquet files of few rows, so that there are pieces to share out."""
    return write_parquet(load_lt(colour_data), tmp_path_factory.mktemp("parquet"), files=4, rows=5)


@pytest.fixture(scope="module")
def streams(path):
    return open_streams(path)


@pytest.fixture(scope="module")
def table(path):
    return load_lt(path)


@pytest.fixture
def data(streams):
    return StreamedData(streams["train"], TRANSFORM, seed=5, shuffle_buffer=6)


def loader(data: StreamedData, batch_size=4, processes=1, process=0, workers=0, drop_last=False) -> DataLoader:
    share = data.share(batch_size, processes, process, drop_last)
    return DataLoader(share, batch_size, collate_fn=list, num_workers=workers, drop_last=drop_last)


def key(sample: dict) -> bytes:
    """What tells the rows of the colours apart: their images, as no two have the same noise."""
    image = sample["image"] if "image" in sample else sample["pixel_values"]
    return image.tobytes() if "image" in sample else image.numpy().tobytes()


def keys_of(table: datasets.Dataset) -> list[bytes]:
    plain = TrainingData(table)
    return [key(plain[row]) for row in range(len(table))]


@pytest.mark.parametrize(("processes", "workers"), [(1, 0), (1, 3), (2, 0), (2, 2), (3, 1)])
@pytest.mark.parametrize("buffer", [None, 6])
def test_processes_and_workers_share_out_every_row_once(streams, table, processes, workers, buffer):
    data = StreamedData(streams["train"], shuffle_buffer=buffer)
    batches = [list(loader(data, 4, processes, process, workers)) for process in range(processes)]
    seen = [key(sample) for of_process in batches for batch in of_process for sample in batch]
    assert Counter(seen) == Counter(keys_of(table["train"]))
    assert len({len(of_process) for of_process in batches}) == 1


@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize(("batch_size", "drop_last"), [(5, False), (5, True), (40, False), (64, False)])
def test_a_loader_yields_as_many_batches_as_it_says_and_the_last_is_the_smaller(data, workers, batch_size, drop_last):
    batches = loader(data, batch_size, workers=workers, drop_last=drop_last)
    sizes = [len(batch) for batch in batches]
    assert len(batches) == len(sizes)
    whole, left = divmod(48, batch_size)
    assert sizes == [batch_size] * whole + ([left] if left and not drop_last else [])


def samples_in_order(data: StreamedData) -> list[dict]:
    return [sample for batch in loader(data.in_order()) for sample in batch]


def test_samples_are_those_of_the_table(streams, table):
    stream, rows = (training_data(of["train"], TRANSFORM, 5, None, 6) for of in (streams, table))
    for epoch in (0, 2):
        stream.set_epoch(epoch)
        rows.set_epoch(epoch)
        for index, sample in enumerate(samples_in_order(stream)):
            assert sample.keys() == rows[index].keys() == {"pixel_values", "label", "words"}
            assert torch.equal(sample["pixel_values"], rows[index]["pixel_values"])
            assert (sample["label"], sample["words"]) == (rows[index]["label"], rows[index]["words"])
    assert stream.labels == rows.labels
    assert len(stream) == len(rows)
    assert stream.annotations(7) == rows.annotations(7)


@pytest.mark.parametrize("workers", [0, 2])
def test_augmentation_is_the_same_in_any_order(data, table, workers):
    rows = TrainingData(table["train"], TRANSFORM, seed=5)
    data.set_epoch(1)
    rows.set_epoch(1)
    streamed = Counter(key(sample) for batch in loader(data, workers=workers) for sample in batch)
    assert streamed == Counter(key(rows[row]) for row in range(len(rows)))


@pytest.fixture
def corpus(table):
    sentences = [[f"{name} {number}" for number in range(9)] for name in table["train"].features["label"].names]
    return ClassCorpus(table["train"].features["label"].names, sentences)


def test_sentences_are_those_of_the_table(streams, table, corpus):
    stream, rows = (training_data(of["train"], TRANSFORM, 5, corpus, 6) for of in (streams, table))
    chosen = {}
    for epoch in (0, 1):
        stream.set_epoch(epoch)
        rows.set_epoch(epoch)
        chosen[epoch] = [sample["sentence"] for sample in samples_in_order(stream)]
        assert chosen[epoch] == [rows[row]["sentence"] for row in range(len(rows))]
    assert chosen[0] != chosen[1]


def order(data: StreamedData, workers: int = 0) -> list[bytes]:
    plain = StreamedData(data.stream, seed=5, shuffle_buffer=data.shuffle_buffer)
    plain.set_epoch(data.epoch)
    return [key(sample) for batch in loader(plain, workers=workers) for sample in batch]


@pytest.mark.parametrize("workers", [0, 2])
def test_rows_come_in_another_order_in_each_epoch_and_in_the_same_one_again(data, table, workers):
    orders = []
    for epoch in (0, 1, 0):
        data.set_epoch(epoch)
        orders.append(order(data, workers))
    assert orders[0] == orders[2]
    assert orders[0] != orders[1]
    assert keys_of(table["train"]) not in orders


def test_rows_come_in_the_order_of_the_files_without_a_buffer(streams, table):
    assert order(evaluation_data(streams["train"])) == keys_of(table["train"])


def test_the_buffer_mixes_the_rows_of_a_piece(streams):
    """Not only the pieces come in another order."""
    orders = [order(StreamedData(streams["train"], seed=5, shuffle_buffer=size)) for size in (1, 48)]
    numbers = {name: number for number, name in enumerate(orders[0])}
    steps = [numbers[after] - numbers[before] for before, after in zip(orders[1], orders[1][1:], strict=False)]
    assert sum(step == 1 for step in steps) < 12


@pytest.mark.parametrize("workers", [0, 2])
def test_workers_that_live_on_see_the_next_epoch(data, table, workers):
    share = data.share(4)
    batches = DataLoader(share, 4, collate_fn=list, num_workers=workers, persistent_workers=workers > 0)
    rows = TrainingData(table["train"], TRANSFORM, seed=5)
    for epoch in (0, 1):
        share.set_epoch(epoch)
        rows.set_epoch(epoch)
        seen = Counter(key(sample) for batch in batches for sample in batch)
        assert seen == Counter(key(rows[row]) for row in range(len(rows)))


def test_evaluation_has_no_words_and_plain_images(streams, table):
    stream, rows = evaluation_data(streams["test"]), evaluation_data(table["test"])
    for index, sample in enumerate(samples_in_order(stream)):
        assert sorted(sample) == ["image", "label"]
        assert sample["image"].tobytes() == rows[index]["image"].tobytes()
        assert sample["label"] == rows[index]["label"]


def test_evaluation_with_words(streams):
    data = privileged_evaluation_data(streams["test"])
    assert {tuple(sorted(sample)) for sample in samples_in_order(data)} == {("image", "label", "words")}
    assert privileged_evaluation_data(streams["test"].remove_columns(["words"])) is None


def test_cached_features_come_with_words_and_labels(data, table):
    features = torch.arange(2 * 48).reshape(2, 48, 1).numpy()
    cached = CachedFeatureData(data, features)
    cached.set_epoch(1)
    assert cached[7]["features"].tolist() == [48 + 7]
    assert (cached[7]["words"], cached[7]["label"]) == (table["train"][7]["words"], table["train"][7]["label"])
    assert cached.labels == table["train"]["label"][:]


def test_an_image_that_cannot_be_read_is_named(tmp_path, write_shapes):
    folder = write_shapes(tmp_path / "shapes")
    data = StreamedData(open_streams(folder)["test"])
    (folder / "test" / "square-1.png").write_bytes(b"not an image")
    with pytest.raises(ValueError, match=r"Cannot read the image test/4 \(.*square-1\.png\)"):
        list(loader(data))
