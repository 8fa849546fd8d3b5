import datasets
import pytest

from xmodal_lt.training.validation_split import carve_validation


def _carve(labels, fraction=0.2, seed=0, groups=None):
    rows = datasets.Dataset.from_dict({"row": list(range(len(labels)))})
    splits = carve_validation(rows, labels, fraction, seed, groups)
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


def test_without_groups_each_row_is_its_own():
    labels = [0] * 10 + [1] * 5
    assert _carve(labels, groups=[str(row) for row in range(15)]) == _carve(labels)


def test_parts_of_one_video_stay_together():
    videos = [f"v{row // 3}" for row in range(60)]
    labels = [row // 3 % 2 for row in range(60)]
    train = datasets.Dataset.from_dict({"label": labels, "video_id": videos})

    carved = carve_validation(train, labels, fraction=0.2, seed=0, groups=videos)

    assert not set(carved["train"]["video_id"]) & set(carved["validation"]["video_id"])
    assert len(carved["validation"]) == 0.2 * 60
    assert set(carved["validation"]["label"]) == {0, 1}


def test_a_video_of_several_classes_leaves_each_of_them_in_train():
    videos = ["a", "a", "b", "b", "c", "d", "e"]
    labels = [0, 1, 0, 2, 0, 0, 0]
    train = datasets.Dataset.from_dict({"label": labels})

    for seed in range(5):
        carved = carve_validation(train, labels, fraction=0.5, seed=seed, groups=videos)
        assert set(carved["train"]["label"]) == {0, 1, 2}
