from __future__ import annotations

import datasets
import numpy as np
import pytest

from xmodal_lt.data import ClassStats, load_lt, long_tailed_counts, make_long_tailed


def labelled(labels: list[int], **columns) -> datasets.Dataset:
    return datasets.Dataset.from_dict({"row": list(range(len(labels))), "label": labels, **columns})


def counts_of(dataset: datasets.Dataset) -> list[int]:
    return np.bincount(dataset["label"][:]).tolist()


@pytest.fixture
def balanced() -> datasets.Dataset:
    """Four classes of 50, taking turns."""
    return labelled([0, 1, 2, 3] * 50)


@pytest.mark.parametrize(
    ("num_classes", "max_count", "ratio", "total", "smallest"),
    [
        pytest.param(100, 500, 100, 10847, 5, id="CIFAR-100-LT, 100"),
        pytest.param(100, 500, 50, 12608, 10, id="CIFAR-100-LT, 50"),
        pytest.param(100, 500, 10, 19573, 50, id="CIFAR-100-LT, 10"),
        pytest.param(10, 5000, 100, 12406, 50, id="CIFAR-10-LT, 100"),
    ],
)
def test_exponential_counts_are_those_of_cifar_lt(num_classes, max_count, ratio, total, smallest):
    counts = long_tailed_counts(num_classes, max_count, ratio)
    assert (len(counts), counts[0], counts[-1], sum(counts)) == (num_classes, max_count, smallest, total)
    assert counts == sorted(counts, reverse=True)


def test_exponential_counts_that_are_whole_are_not_rounded_down():
    assert long_tailed_counts(4, 1000, 8) == [1000, 500, 250, 125]
    assert long_tailed_counts(7, 3**6, 3**6) == [729, 243, 81, 27, 9, 3, 1]


def test_step_counts():
    assert long_tailed_counts(5, 500, 100, "step") == [500, 500, 5, 5, 5]


@pytest.mark.parametrize("name", ["voc", "coco"])
def test_pareto_counts_are_the_references_of_voc_lt_and_coco_lt(golden, name):
    record = golden("dbl_pareto_reference")
    params = record["params"][name]
    ratio = params["max"] / params["min"]
    assert long_tailed_counts(params["num_classes"], params["max"], ratio, "pareto") == record["outputs"][name]


@pytest.mark.parametrize("profile", ["exponential", "step", "pareto"])
def test_extremes(profile):
    assert long_tailed_counts(1, 7, 100, profile) == [7]
    assert long_tailed_counts(3, 7, 1, profile) == [7, 7, 7]
    assert long_tailed_counts(3, 7, 1e6, profile)[-1] == 1  # never no sample at all


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((3, 7, 0.01), "imbalance_ratio is the largest count over the smallest, .* got 0.01"),
        ((3, 7, float("nan")), "imbalance_ratio .* got nan"),
        ((3, 7, float("inf")), "imbalance_ratio .* got inf"),
        ((3, 7, 10, "linear"), r"profile must be one of \['exponential', 'step', 'pareto'\], got 'linear'"),
        ((0, 7, 10), "num_classes and max_count must be at least 1, got 0 and 7"),
        ((3, 0, 10), "num_classes and max_count must be at least 1, got 3 and 0"),
    ],
)
def test_options_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=message):
        long_tailed_counts(*arguments)


@pytest.mark.parametrize("profile", ["exponential", "step", "pareto"])
def test_a_subset_has_the_counts_of_its_profile(balanced, profile):
    subset = make_long_tailed(balanced, "label", 10, profile)
    assert counts_of(subset) == long_tailed_counts(4, 50, 10, profile)


def test_rows_keep_their_order_and_columns(balanced):
    subset = make_long_tailed(balanced, "label", 10)
    rows = subset["row"][:]
    assert rows == sorted(set(rows))
    assert [row % 4 for row in rows] == subset["label"][:]
    assert subset.features == balanced.features


def test_the_seed_chooses_the_rows(balanced):
    rows = [make_long_tailed(balanced, "label", 10, seed=seed)["row"][:] for seed in (0, 0, 1)]
    assert rows[0] == rows[1] != rows[2]


def test_rows_are_chosen_from_the_whole_split():
    subset = make_long_tailed(labelled([0] * 1000 + [1] * 1000), "label", 10)
    kept = np.array(subset["row"][:])[1000:] - 1000
    assert len(kept) == 100
    assert 350 < kept.mean() < 650  # of 0 to 999; a mean of 100 is 500 ± 27


def test_more_imbalanced_subsets_are_parts_of_less_imbalanced_ones(balanced):
    smaller, larger = (set(make_long_tailed(balanced, "label", ratio)["row"][:]) for ratio in (50, 5))
    assert smaller < larger


def test_classes_are_ranked_by_their_samples():
    subset = make_long_tailed(labelled([0] * 10 + [1] * 100 + [2] * 60), "label", 100)
    assert counts_of(subset) == [1, 100, 10]


def test_a_class_with_too_few_samples_keeps_them_all(caplog):
    subset = make_long_tailed(labelled([0] * 100 + [1] * 4 + [2] * 2), "label", 10)
    assert counts_of(subset) == [100, 4, 2]  # the profile asks for 100, 31, 10
    assert "2 of 3 classes have fewer samples than the exponential profile asks for" in caplog.text
    assert "'1', '2'" in caplog.text


def test_a_class_without_samples_takes_no_rank():
    assert counts_of(make_long_tailed(labelled([0] * 50 + [2] * 50), "label", 10)) == [50, 0, 5]


def test_class_labels_stay_and_no_image_is_decoded(tmp_path):
    features = datasets.Features(image=datasets.Image(), label=datasets.ClassLabel(names=["cat", "dog"]))
    dataset = datasets.Dataset.from_dict(
        {"image": [str(tmp_path / "nowhere.png")] * 40, "label": [0, 1] * 20}, features=features
    )
    stats = ClassStats.from_dataset(make_long_tailed(dataset, "label", 10))
    assert (stats.counts.tolist(), stats.class_names) == ([20, 2], ("cat", "dog"))


def test_what_load_lt_gives_can_be_cut(image_folder):
    train = load_lt(image_folder([{"label": name} for name in ["cat"] * 6 + ["dog"] * 6]))["train"]
    subset = make_long_tailed(train, "label", 3)
    assert ClassStats.from_dataset(subset).counts.tolist() == [6, 2]
    assert subset[0]["image"].size == (8, 8)


def test_several_labels_are_refused():
    with pytest.raises(TypeError, match="column 'label' holds several labels a sample"):
        make_long_tailed(labelled([[0, 1], [1]]), "label", 10)


@pytest.mark.parametrize("labels", [["cat", "dog"], [0.5, 1.0]])
def test_labels_must_be_numbered(labels):
    with pytest.raises(
        TypeError, match=r"must hold ClassLabel or whole numbers.*load_lt\(\.\.\., label_column='label"
    ):
        make_long_tailed(labelled(labels), "label", 10)


@pytest.mark.parametrize("missing", [None, -1])
def test_a_missing_label_is_named(missing):
    with pytest.raises(ValueError, match="row 1 has no label in column 'label'"):
        make_long_tailed(labelled([0, missing]), "label", 10)


def test_an_empty_split():
    empty = datasets.Dataset.from_dict({"label": []}, features=datasets.Features(label=datasets.Value("int64")))
    with pytest.raises(ValueError, match=r"one class id .* for each sample, got shape \(0,\)"):
        make_long_tailed(empty, "label", 10)


def test_a_column_that_is_not_there():
    with pytest.raises(ValueError, match=r"no column 'species'; its columns are \['row', 'label'\]"):
        make_long_tailed(labelled([0]), "species", 10)


def test_one_split_is_wanted():
    with pytest.raises(TypeError, match=r'dataset\["train"\]'):
        make_long_tailed(datasets.DatasetDict(), "label", 10)
