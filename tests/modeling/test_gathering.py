"""Two ranks that gather their rows have the losses and gradients of one process."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, distributed, multiprocessing, nn
from torch.nn.parallel import DistributedDataParallel

from xmodal_lt.losses import class_contrastive_loss, contrastive_distillation_loss
from xmodal_lt.modeling.gathering import gather_with_gradients


ROWS = 16  # of each rank
DTYPES = [torch.float32, torch.float64]


class Towers(nn.Module):
    """The pre-training of VL-LTR on vectors; `forward` gives the loss of the batches of all ranks."""

    def __init__(self):
        super().__init__()
        self.image, self.text = nn.Linear(6, 4), nn.Linear(5, 4)
        self.logit_scale = nn.Parameter(torch.tensor(1.0))

    def forward(self, images, texts, teacher_images, teacher_texts, labels) -> Tensor:
        embeds = self.image(images), self.text(texts), teacher_images, teacher_texts
        embeds = [gather_with_gradients(rows) for rows in embeds]
        contrastive = class_contrastive_loss(*embeds[:2], gather_with_gradients(labels), self.logit_scale)
        return contrastive + contrastive_distillation_loss(*embeds, self.logit_scale, 2.0)


def _towers(dtype: torch.dtype) -> Towers:
    torch.manual_seed(0)
    return Towers().to(dtype)


def _batch(dtype: torch.dtype, rows: slice) -> list[Tensor]:
    """Rows of a batch for both ranks."""
    generator = torch.Generator().manual_seed(1)
    floats = [torch.randn(2 * ROWS, width, generator=generator, dtype=torch.float64) for width in (6, 5, 3, 3)]
    labels = torch.randint(5, (2 * ROWS,), generator=generator)
    return [*(tensor[rows].to(dtype) for tensor in floats), labels[rows]]


def _loss_and_gradients(model: nn.Module, batch: list[Tensor]) -> dict[str, Tensor]:
    loss = model(*batch)
    loss.backward()
    gradients = {name.removeprefix("module."): weights.grad for name, weights in model.named_parameters()}
    return {"loss": loss.detach(), **gradients}


def _run_rank(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    rows = slice(rank * ROWS, (rank + 1) * ROWS)
    results: dict[Any, Any] = {
        dtype: _loss_and_gradients(DistributedDataParallel(_towers(dtype)), _batch(dtype, rows)) for dtype in DTYPES
    }

    columns = torch.full((3, 2), float(rank), dtype=torch.bfloat16).T.requires_grad_()  # not contiguous
    gathered = gather_with_gradients(columns)
    ((rank + 1) * gathered.sum()).backward()
    results |= {"gathered": gathered.detach(), "gradient": columns.grad}

    try:
        gather_with_gradients(torch.zeros(2 + rank, 3))
    except ValueError as error:
        results["error"] = str(error)
    torch.save(results, folder / f"{rank}.pt")
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """What each of two ranks got."""
    folder = tmp_path_factory.mktemp("ranks")
    multiprocessing.spawn(_run_rank, args=(folder,), nprocs=2)
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES)
def test_two_ranks_have_the_loss_and_gradients_of_one_process(ranks, dtype):
    expected = _loss_and_gradients(_towers(dtype), _batch(dtype, slice(None)))

    for rank in ranks:
        torch.testing.assert_close(rank[dtype], expected, rtol=1e-6, atol=1e-6)


@pytest.mark.slow
def test_rows_stand_in_the_order_of_the_ranks_and_get_the_gradients_of_all(ranks):
    for rank in ranks:
        assert rank["gathered"].tolist() == [[0.0] * 3] * 2 + [[1.0] * 3] * 2
        assert rank["gathered"].dtype == torch.bfloat16
        assert rank["gradient"].tolist() == [[1.0 + 2.0] * 3] * 2


@pytest.mark.slow
def test_every_rank_names_unequal_numbers_of_rows(ranks):
    for rank in ranks:
        assert rank["error"].startswith("The ranks have [2, 3] rows, but only equal numbers can be gathered.")


def test_a_single_process_keeps_its_rows():
    rows = torch.randn(3, 2)

    assert gather_with_gradients(rows) is rows
