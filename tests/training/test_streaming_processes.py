"""Two processes that train and evaluate on a stream: each row once, and the same weights and scores."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from embedding import embedded

from xmodal_lt.data import load_lt


pytestmark = pytest.mark.slow

# Trains one epoch and evaluates, and writes down which rows each process read, its weights and the evaluation.
SCRIPT = """
import json
import os
import sys
from pathlib import Path

import torch

from xmodal_lt import ImageClassifier, ImageClassifierConfig
from xmodal_lt.data.loading import open_streams
from xmodal_lt.processing import XModalCollator, XModalLTImageProcessor
from xmodal_lt.training import LongTailTrainer, LongTailTrainingArguments
from xmodal_lt.training.evaluation import branch_scores
from xmodal_lt.training.streamed_data import StreamedData
from xmodal_lt.training.training_data import evaluation_data

folder, data, workers, weights = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
rank = int(os.environ.get("RANK", 0))
folder.mkdir(exist_ok=True)
collate = XModalCollator(XModalLTImageProcessor(size={"height": 32, "width": 32}))


class Numbered(StreamedData):
    def sample(self, index, row):
        return {**super().sample(index, row), "number": index}


def counting(samples):
    with (folder / f"rows-{rank}.jsonl").open("a") as file:
        file.write(json.dumps([sample.pop("number", None) for sample in samples]) + "\\n")
    return collate(samples)


torch.manual_seed(0)
model = ImageClassifier(
    ImageClassifierConfig(backbone="test_vit", backbone_kwargs={"img_size": 32}, num_labels=4)
)
if weights != "none":
    model.load_state_dict(torch.load(weights))
args = LongTailTrainingArguments(
    output_dir=str(folder / "out"), per_device_train_batch_size=5, per_device_eval_batch_size=4, learning_rate=0.01,
    num_train_epochs=1, save_strategy="no", report_to="none", use_cpu=True, disable_tqdm=True, label_names=["labels"],
    dataloader_num_workers=workers, remove_unused_columns=False,
)
streams = open_streams(data)
train = Numbered(streams["train"], shuffle_buffer=8)
trainer = LongTailTrainer(model=model, args=args, train_dataset=train, data_collator=counting)
if weights == "none":
    trainer.train()
    torch.save(model.state_dict(), folder / f"weights-{rank}.pt")
scores, references = branch_scores(trainer, evaluation_data(streams["test"]), ())
if rank == 0:
    order = sorted(zip(references.tolist(), scores["logits"].tolist()))
    (folder / "scores.json").write_text(json.dumps(order))
"""


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.fixture(scope="module")
def parquet(colour_data, tmp_path_factory) -> Path:
    """47 rows to train on and 19 to test, which come out even for no number of processes and workers."""
    folder = tmp_path_factory.mktemp("parquet")
    for split, part in load_lt(colour_data).items():
        embedded(part).select(range(len(part) - 1)).to_parquet(folder / f"{split}.parquet", batch_size=6)
    return folder


@pytest.fixture(scope="module")
def start(parquet, tmp_path_factory):
    """Runs the script in some processes, and returns its folder."""
    root = tmp_path_factory.mktemp("processes")
    (root / "script.py").write_text(SCRIPT)

    def run(name: str, processes: int, workers: int = 0, weights: Path | str = "none") -> Path:
        launch = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", str(processes)]
        launch += ["--master_port", str(_free_port()), str(root / "script.py")]
        command = [*launch, str(root / name), str(parquet), str(workers), str(weights)]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_DATASETS_CACHE": str(root / "cache")}
        subprocess.run(command, check=True, capture_output=True, env=environment, timeout=300)
        return root / name

    return run


@pytest.fixture(scope="module", params=[0, 2])
def trained(start, request) -> Path:
    """The folder of two processes, each with so many workers."""
    return start(f"trained-{request.param}", 2, request.param)


def test_both_processes_together_read_every_row_once(trained):
    batches = [
        [
            rows
            for line in (trained / f"rows-{rank}.jsonl").read_text().splitlines()
            if None not in (rows := json.loads(line))
        ]
        for rank in (0, 1)
    ]
    assert sorted(row for of_process in batches for rows in of_process for row in rows) == list(range(47))
    assert [len(of_process) for of_process in batches] == [5, 5]


def test_both_processes_have_the_same_weights(trained):
    import torch

    one, two = (torch.load(trained / f"weights-{rank}.pt") for rank in (0, 1))
    assert [name for name in one if not torch.equal(one[name], two[name])] == []


def test_every_sample_is_evaluated_once_and_as_by_one_process(trained, start):
    alone = start(f"{trained.name}-alone", 1, weights=trained / "weights-0.pt")
    one, two = (json.loads((folder / "scores.json").read_text()) for folder in (alone, trained))
    assert [label for label, _ in two] == [label for label, _ in one]
    assert len(two) == 19
    for (_, scores), (_, wanted) in zip(two, one, strict=True):
        assert scores == pytest.approx(wanted, abs=1e-4)
