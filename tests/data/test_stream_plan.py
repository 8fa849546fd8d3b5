from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from xmodal_lt.data.stream_plan import StreamPlan


def batches(plan: StreamPlan, process: int, epoch: int = 0) -> list[list[list[tuple[int, int]]]]:
    """By worker, the batches of (piece, row) that a data loader makes of what the worker reads."""
    made = []
    for worker in range(plan.num_workers):
        rows = [(run.piece, row) for run in plan.runs(process, worker, epoch) for row in range(run.start, run.stop)]
        made.append([rows[start : start + plan.batch_size] for start in range(0, len(rows), plan.batch_size)])
    return made


def all_rows(sizes: list[int]) -> list[tuple[int, int]]:
    return [(piece, row) for piece, size in enumerate(sizes) for row in range(size)]


def read(plan: StreamPlan, epoch: int = 0) -> list[tuple[int, int]]:
    """What all processes read, in order."""
    parts = [batches(plan, process, epoch) for process in range(plan.num_processes)]
    return [row for part in parts for worker in part for batch in worker for row in batch]


@pytest.fixture(scope="module")
def plans() -> list[StreamPlan]:
    """Plans of random streams, with empty pieces, fewer rows than processes and fewer batches than workers too."""
    rng = np.random.default_rng(0)
    made = []
    while len(made) < 400:
        sizes = rng.integers(0, rng.choice([2, 5, 40]), rng.integers(1, 9)).tolist()
        if sum(sizes):
            batch, processes, workers = (int(rng.integers(1, most)) for most in (9, 6, 5))
            seed = None if rng.integers(3) == 0 else int(rng.integers(10))
            made.append(StreamPlan(sizes, batch, processes, workers, seed))
    return made


def test_every_row_is_read_once_but_for_the_rows_that_fill_up(plans):
    for number, plan in enumerate(plans):
        wanted = Counter(all_rows(plan.sizes))
        counts = Counter(read(plan, epoch=number % 3))
        left = sum(plan.sizes) % (plan.batch_size * plan.num_processes)
        filled = max(plan.num_processes - left, 0) if left else 0
        assert counts.keys() == wanted.keys(), plan
        assert (counts - wanted).total() == filled, plan


def in_turn(plan: StreamPlan, process: int) -> list[int]:
    """Sizes of the batches in the order of a data loader, which takes one of each worker in turn."""
    by_worker = batches(plan, process)
    turns = range(max(map(len, by_worker)))
    return [len(worker[turn]) for turn in turns for worker in by_worker if turn < len(worker)]


def test_every_process_has_equally_many_batches_all_full_but_its_last(plans):
    for plan in plans:
        sizes = [in_turn(plan, process) for process in range(plan.num_processes)]
        assert {len(of_process) for of_process in sizes} == {plan.num_batches}, plan
        assert {size for of_process in sizes for size in of_process[:-1]} <= {plan.batch_size}, plan
        last = [of_process[-1] for of_process in sizes]
        assert 1 <= min(last) <= max(last) <= min(plan.batch_size, min(last) + 1), plan


def test_workers_have_equally_many_batches_or_one_more_that_come_first(plans):
    """A data loader that finds a worker empty goes on to the next, and the order of batches is another one."""
    for plan in plans:
        counts = list(map(len, batches(plan, 0)))
        assert sorted(counts, reverse=True) == counts
        assert max(counts) - min(counts) <= 1


def test_the_number_of_rows_is_what_is_read(plans):
    for plan in plans:
        for process in range(plan.num_processes):
            assert plan.num_rows(process) == sum(len(b) for worker in batches(plan, process) for b in worker), plan


def test_without_the_last_batches_all_are_full_and_no_row_comes_twice(plans):
    for plan in plans:
        dropping = StreamPlan(plan.sizes, plan.batch_size, plan.num_processes, plan.num_workers, plan.seed, True)
        rows = read(dropping)
        whole = sum(plan.sizes) // (plan.batch_size * plan.num_processes)
        assert dropping.num_batches == whole
        assert len(rows) == len(set(rows)) == whole * plan.batch_size * plan.num_processes, plan
        assert sum(map(dropping.num_rows, range(plan.num_processes))) == len(rows)


def test_runs_are_inside_their_pieces_and_not_empty(plans):
    for plan in plans:
        for process in range(plan.num_processes):
            for worker in range(plan.num_workers):
                for run in plan.runs(process, worker, 1):
                    assert 0 <= run.start < run.stop <= plan.sizes[run.piece], plan


def test_without_a_seed_rows_are_in_the_order_of_the_files():
    sizes = [3, 0, 3, 2]
    for epoch in range(2):
        assert read(StreamPlan(sizes, batch_size=2, num_processes=2), epoch) == all_rows(sizes)


def test_pieces_come_in_another_order_in_each_epoch_and_in_the_same_one_again():
    plan = StreamPlan([2] * 20, batch_size=4, seed=3)
    orders = [read(plan, epoch) for epoch in range(3)]
    assert read(StreamPlan([2] * 20, batch_size=4, seed=3), 1) == orders[1]
    assert orders[0] != orders[1] != orders[2] != orders[0]
    assert all(order != all_rows(plan.sizes) for order in orders)
    assert read(StreamPlan([2] * 20, batch_size=4, seed=4)) != orders[0]


def test_pieces_come_whole_so_that_each_is_opened_few_times():
    plan = StreamPlan([5] * 12, batch_size=4, num_processes=2, num_workers=3, seed=0)
    runs = [run for process in range(2) for worker in range(3) for run in plan.runs(process, worker, 0)]
    assert len(runs) <= 12 + 2 * 3 - 1  # each share begins in one piece more, at most


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"num_processes": 0}, "num_processes must be at least 1, got 0"),
        ({"num_workers": -1}, "num_workers must be at least 1, got -1"),
        ({"sizes": []}, "the stream has no rows"),
        ({"sizes": [0, 0]}, "the stream has no rows"),
    ],
)
def test_wrong_numbers_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        StreamPlan(**{"sizes": [3], "batch_size": 2, **arguments})
