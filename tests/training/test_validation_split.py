import datasets
import pytest

from xmodal_lt.training.validation_split import carve_validation


def _carve(labels, fraction=0.2, seed=0):
    rows = datasets.Dataset.from_dict({"row": list(range(len(labels)))})
    splits = carve_validation(rows, labels, fraction, seed)
    return splits["train"]["row"][:], splits["validation"]["row"][:]


def test_every_class_of_three_has_some_in_both_and_smaller_ones_stay():
    labels = [0] * 10 + [1] * 3 + [2] * 2 + [3]
    train, validation = _carve(labels)
    assert sorted([*train, *validation]) == list(range(16))
    assert [sum(labels[row] == label for row in validation) for label in range(4)] == [2, 1, 0, 0]


def test_multi_label_samples_count_for_their_rarest_class():
    labels = [[0]] * 8 + [[0, 1]] * 3
    _, validation = _carve(labels)
    assert sum(labels[row] == [0, 1] for row in validation) == 1
    assert sum(labels[row] == [0] for row in validation) == 2


def test_seed_decides():
    labels = [0] * 50
    assert _carve(labels, seed=1) == _carve(labels, seed=1)
    assert _carve(labels, seed=1) != _carve(labels, seed=2)


@pytest.mark.parametrize("labels", [[[], [0], [0], [0]]])
def test_samples_without_labels_stay_in_train(labels):
    train, _ = _carve(labels)
    assert 0 in train


def test_no_class_loses_its_last_training_sample():
    labels = [0] * 3 + [1] * 20
    train, _ = _carve(labels, fraction=0.9)
    assert {labels[row] for row in train} == {0, 1}


def test_no_class_loses_its_last_training_sample_to_rarer_ones():
    labels = [[label, 9] if row == 0 else [label] for label in range(3) for row in range(3)]
    for seed in range(50):
        train, validation = _carve(labels, seed=seed)
        assert any(9 in labels[row] for row in train)
        assert {labels[row][0] for row in validation} == {0, 1, 2}
