from __future__ import annotations

from collections import Counter
from itertools import islice, pairwise

import datasets
import numpy as np
import pytest
import torch
from accelerate.data_loader import BatchSamplerShard, skip_first_batches
from torch.utils.data import BatchSampler, DataLoader

from xmodal_lt.data import (
    SAMPLERS,
    ClassAwareSampler,
    DualSampler,
    EffectiveNumberSampler,
    ReversedSampler,
    SquareRootSampler,
    bbn_mixing_weight,
    build_sampler,
)


COUNTS = [40, 10, 4, 1]
LABELS = np.random.default_rng(0).permutation(np.repeat(np.arange(4), COUNTS)).tolist()
SEVERAL = [[0, 1], [0], [], [2, 0], [0]]
SINGLE_LABEL = [EffectiveNumberSampler, SquareRootSampler, ReversedSampler, DualSampler]
EVERY_SAMPLER = [*SINGLE_LABEL, ClassAwareSampler]


def multi_hot(labels: list[list[int]], num_classes: int) -> np.ndarray:
    return np.array([np.isin(np.arange(num_classes), ids) for ids in labels]).astype(int)


def drawn_shares(sampler, labels: list[int]) -> np.ndarray:
    """Share of each class among the draws of 200 epochs."""
    counts: Counter[int] = Counter()
    for epoch in range(200):
        sampler.set_epoch(epoch)
        counts.update(labels[row] for row in sampler)
    return np.array([counts[label] for label in range(max(labels) + 1)]) / counts.total()


def test_effective_number_weights_are_those_of_the_reference(golden):
    record = golden("cb_resample_sampler")
    probabilities = EffectiveNumberSampler(record["inputs"]["targets"], record["params"]["beta"]).sample_probabilities
    np.testing.assert_allclose(probabilities, record["outputs"]["prob"], rtol=1e-7)
    weights = probabilities / probabilities[-1]  # the last class has one sample, whose weight is 1
    np.testing.assert_allclose(weights, record["outputs"]["weights"], rtol=1e-7)


def test_square_root_weights_are_those_of_the_reference(golden):
    record = golden("sqrt_sampling")
    sampler = SquareRootSampler(record["inputs"]["labels"])
    np.testing.assert_allclose(sampler.class_probabilities, record["outputs"]["class_prob"], rtol=1e-7)
    weights = sampler.sample_probabilities / sampler.sample_probabilities[-1]
    np.testing.assert_allclose(weights, record["outputs"]["sample_weight"], rtol=1e-7)


def test_reversed_weights_are_those_of_the_reference(golden):
    record = golden("bbn")
    counts = record["inputs"]["cls_num"]
    probabilities = ReversedSampler(np.repeat(np.arange(len(counts)), counts)).class_probabilities
    np.testing.assert_allclose(probabilities, record["outputs"]["class_prob"], rtol=1e-7)
    np.testing.assert_allclose(probabilities / probabilities[0], record["outputs"]["class_weight"], rtol=1e-7)


def test_beta_goes_from_instance_balanced_to_class_balanced():
    shares = np.array(COUNTS) / sum(COUNTS)
    np.testing.assert_allclose(EffectiveNumberSampler(LABELS, beta=0).class_probabilities, shares)
    np.testing.assert_allclose(EffectiveNumberSampler(LABELS, beta=1 - 1e-7).class_probabilities, 0.25, rtol=1e-4)


@pytest.mark.parametrize("name", SAMPLERS)
def test_classes_are_drawn_with_their_probabilities(name):
    sampler = build_sampler(name, LABELS)
    # of 11,000 draws or more, so that three standard deviations of a share are at most 0.0143
    np.testing.assert_allclose(drawn_shares(sampler, LABELS), sampler.class_probabilities, atol=0.0143)


@pytest.mark.parametrize("name", SAMPLERS)
def test_rows_of_a_class_are_drawn_alike(name):
    sampler = build_sampler(name, LABELS, seed=3)
    draws: Counter[int] = Counter()
    for epoch in range(200):
        sampler.set_epoch(epoch)
        draws.update(sampler)
    expected = draws.total() * sampler.sample_probabilities
    deviations = np.abs(np.array([draws[row] for row in range(len(LABELS))]) - expected)
    np.testing.assert_array_less(deviations, 5 * np.sqrt(expected))  # five standard deviations


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_class_without_samples_has_probability_zero(name):
    sampler = build_sampler(name, [0, 0, 3, 3, 3, 4])
    assert sampler.class_probabilities[[1, 2]].tolist() == [0, 0]
    assert sampler.class_probabilities.sum() == pytest.approx(1)
    assert sampler.sample_probabilities.sum() == pytest.approx(1)
    assert set(sampler) <= set(range(6))


def test_class_aware_counts_are_those_of_the_reference(golden):
    record = golden("class_aware_sampler")
    labels = record["inputs"]["labels"]
    sampler = ClassAwareSampler(labels, samples_per_class=record["inputs"]["num_samples_cls"])
    assert len(sampler) == record["outputs"]["length"] == len(list(sampler))
    assert np.bincount([labels[row] for row in sampler]).tolist() == record["outputs"]["per_class_counts"]


def test_class_aware_visits_all_classes_in_turn():
    classes = [LABELS[row] for row in ClassAwareSampler(LABELS, samples_per_class=2)]
    rounds = [classes[start : start + 8] for start in range(0, len(classes), 8)]
    for visited in rounds:
        assert visited[::2] == visited[1::2]
        assert sorted(visited[::2]) == [0, 1, 2, 3]
    assert len(set(map(tuple, rounds))) > 1  # in another order each time


def test_class_aware_uses_up_the_rows_of_a_class_before_it_repeats_one():
    rows = [row for row in ClassAwareSampler(LABELS, samples_per_class=3) if LABELS[row] == 1]
    cycles = [rows[start : start + 10] for start in range(0, 40, 10)]
    assert all(len(set(cycle)) == 10 for cycle in cycles)
    assert all(first != second for first, second in pairwise(cycles))


def test_reduce_shortens_the_epoch():
    full, short = ClassAwareSampler(LABELS), ClassAwareSampler(LABELS, reduce=3)
    assert (len(full), len(short)) == (160, 53)
    assert list(short) == list(full)[:53]


@pytest.mark.parametrize(
    ("counts", "length"),
    [
        pytest.param(
            [6, 34, 8, 14, 154, 17, 249, 29, 479, 4, 240, 48, 11, 20, 775, 100, 5, 82, 7, 64], 3875, id="VOC-LT"
        ),
        pytest.param([1128] + [1] * 79, 22560, id="COCO-LT"),
    ],
)
def test_class_aware_epochs_of_distribution_balanced_loss(counts, length):
    sampler = ClassAwareSampler(np.repeat(np.arange(len(counts)), counts), samples_per_class=3, reduce=4)
    assert len(sampler) == length


@pytest.mark.parametrize("labels", [SEVERAL, multi_hot(SEVERAL, 3)], ids=["ids", "multi-hot"])
def test_class_aware_takes_several_labels(labels):
    sampler = ClassAwareSampler(labels, samples_per_class=1)
    rows = list(sampler)
    assert len(rows) == 4 * 3
    assert Counter(rows)[0] >= 4  # the only row of class 1
    assert Counter(rows)[3] >= 4  # the only row of class 2
    assert 2 not in rows  # it has no label
    expected = np.array([1 / 3 + 1 / 12, 1 / 12, 0, 1 / 3 + 1 / 12, 1 / 12])
    np.testing.assert_allclose(sampler.sample_probabilities, expected)
    assert list(ClassAwareSampler(SEVERAL, samples_per_class=1)) == rows


def test_dual_sampler_pairs_a_permutation_with_the_reversed_stream():
    sampler = DualSampler(LABELS, seed=5)
    sampler.set_epoch(2)
    uniform, reversed_rows = zip(*sampler, strict=True)
    assert len(sampler) == len(uniform) == len(LABELS)
    assert sorted(uniform) == list(range(len(LABELS))) != list(uniform)
    same = ReversedSampler(LABELS, seed=5)
    same.set_epoch(2)
    assert list(reversed_rows) == list(same)


def test_mixing_weight_is_that_of_the_reference(golden):
    record = golden("bbn")
    for step in record["outputs"]["steps"]:
        weight = bbn_mixing_weight(step["epoch"], record["inputs"]["max_epoch"])
        assert weight == pytest.approx(step["l"], rel=1e-8)


@pytest.mark.parametrize("epoch", [0, 11])
def test_an_epoch_out_of_range_is_refused(epoch):
    with pytest.raises(ValueError, match=f"epoch must be from 1 to num_epochs=10, got {epoch}"):
        bbn_mixing_weight(epoch, 10)


@pytest.mark.parametrize("make", EVERY_SAMPLER)
def test_the_stream_depends_on_seed_and_epoch_alone(make):
    def stream(seed: int, epoch: int) -> list:
        sampler = make(LABELS, seed=seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    streams = {(seed, epoch): stream(seed, epoch) for seed in (0, 1) for epoch in (0, 1, 2)}
    assert len(set(map(tuple, streams.values()))) == 6
    np.random.seed(8)
    torch.manual_seed(8)
    assert all(stream(*key) == expected for key, expected in streams.items())
    assert list(make(LABELS)) == streams[0, 0]


@pytest.mark.parametrize("make", EVERY_SAMPLER)
def test_iterating_again_or_stopping_early_changes_nothing(make):
    sampler = make(LABELS)
    part = list(islice(sampler, 7))
    assert part == list(sampler)[:7]
    assert len(list(sampler)) == len(sampler)


def test_a_long_stream_has_its_length_and_is_no_repetition():
    sampler = SquareRootSampler(np.repeat([0, 1], [30_000, 10_000]))
    rows = list(sampler)
    assert len(rows) == len(sampler) == 40_000
    assert rows[:10_000] != rows[-10_000:]


@pytest.mark.parametrize("name", SAMPLERS)
def test_ranks_share_one_stream(name):
    sampler = build_sampler(name, LABELS)
    whole = list(BatchSampler(sampler, batch_size=4, drop_last=True))
    whole = whole[: len(whole) // 2 * 2]
    shards = [
        list(BatchSamplerShard(BatchSampler(build_sampler(name, LABELS), 4, drop_last=True), 2, rank))
        for rank in range(2)
    ]
    assert [batch for pair in zip(*shards, strict=True) for batch in pair] == whole


@pytest.mark.parametrize("make", EVERY_SAMPLER)
def test_a_resumed_epoch_goes_on_where_it_was(make):
    def loader() -> DataLoader:
        sampler = make(LABELS, seed=1)
        sampler.set_epoch(4)
        return DataLoader(Rows(), batch_size=4, sampler=sampler)

    whole = [batch.tolist() for batch in loader()]
    assert [batch.tolist() for batch in skip_first_batches(loader(), 5)] == whole[5:]


class Rows(torch.utils.data.Dataset):
    """Gives back what the sampler asked for."""

    def __getitem__(self, index):
        return torch.tensor(index)


@pytest.mark.parametrize("make", EVERY_SAMPLER)
def test_labels_may_be_of_any_kind(make):
    column = datasets.Dataset.from_dict({"label": LABELS})["label"]
    expected = list(make(LABELS))
    for labels in (tuple(LABELS), np.array(LABELS, dtype=np.uint8), torch.tensor(LABELS), column):
        assert list(make(labels)) == expected


@pytest.mark.parametrize("make", SINGLE_LABEL)
@pytest.mark.parametrize("labels", [SEVERAL, multi_hot(SEVERAL, 3)], ids=["ids", "multi-hot"])
def test_several_labels_are_refused_by_samplers_of_one(make, labels):
    name = "ReversedSampler" if make is DualSampler else make.__name__
    with pytest.raises(ValueError, match=rf"{name} takes one label a sample.*ClassAwareSampler takes several"):
        make(labels)


@pytest.mark.parametrize("make", EVERY_SAMPLER)
@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        ([], ValueError, "there are no labels to sample by"),
        ([0, 1, -1], ValueError, "label -1 of sample 2 is out of range"),
        ([0.0, 1.0], TypeError, "class ids must be whole numbers, got float64"),
        (["cat", "dog"], TypeError, "class ids must be whole numbers"),
    ],
)
def test_unusable_labels(make, labels, error, message):
    with pytest.raises(error, match=message):
        make(labels)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([[0], [-1]], "label -1 of sample 1 is out of range"),
        (np.array([[0, 2], [1, 0]]), "zeros and ones"),
        ([[], []], "none of the 2 samples has a label"),
    ],
)
def test_unusable_lists_of_labels(labels, message):
    with pytest.raises(ValueError, match=message):
        ClassAwareSampler(labels)


@pytest.mark.parametrize("beta", [1.0, -0.1, float("nan")])
def test_beta_out_of_range(beta):
    with pytest.raises(ValueError, match="beta must be at least 0 and below 1, got"):
        EffectiveNumberSampler(LABELS, beta=beta)


@pytest.mark.parametrize("option", ["samples_per_class", "reduce"])
@pytest.mark.parametrize("value", [0, 2.5])
def test_class_aware_options_out_of_range(option, value):
    with pytest.raises(ValueError, match=f"{option} must be a whole number of at least 1, got {value}"):
        ClassAwareSampler(LABELS, **{option: value})


def test_an_epoch_must_have_a_draw():
    with pytest.raises(ValueError, match="reduce=161 leaves nothing of an epoch of 160 draws"):
        ClassAwareSampler(LABELS, reduce=161)


@pytest.mark.parametrize("make", EVERY_SAMPLER)
def test_a_negative_seed_is_refused(make):
    with pytest.raises(ValueError, match="seed must be a whole number of at least 0, got -1"):
        make(LABELS, seed=-1)


def test_arguments_reach_the_sampler():
    assert build_sampler("effective_number", LABELS, beta=0.5).beta == 0.5
    sampler = build_sampler("class_aware", LABELS, seed=7, samples_per_class=3, reduce=4)
    assert list(sampler) == list(ClassAwareSampler(LABELS, samples_per_class=3, reduce=4, seed=7))


def test_an_unknown_sampler_lists_the_known_ones():
    with pytest.raises(
        ValueError, match=r"'class_awar'. Did you mean 'class_aware'\? Known names are \['class_aware'"
    ):
        build_sampler("class_awar", LABELS)


def test_an_unknown_argument_lists_the_known_ones():
    with pytest.raises(
        ValueError, match=r"'class_aware' takes no \['beta'\]; its arguments are \['samples_per_class', "
    ):
        build_sampler("class_aware", LABELS, beta=0.5)
