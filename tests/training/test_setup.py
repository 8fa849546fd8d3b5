"""Data of a recipe: the frequency groups that it asks for."""

import pytest

from xmodal_lt.metrics.groups import frequency_groups
from xmodal_lt.training.recipe import DatasetRecipe
from xmodal_lt.training.setup import load_data


@pytest.mark.parametrize(
    ("boundaries", "groups"),
    [
        (None, ["medium", "medium", "medium"]),
        ("vl_ltr", ["head", "medium", "tail"]),
        ("multilabel", ["head", "medium", "medium"]),
    ],
)
def test_boundaries_decide_the_group_of_a_class_at_a_threshold(shapes, boundaries, groups):
    recipe = DatasetRecipe(path=str(shapes), head_threshold=12, tail_threshold=4, boundaries=boundaries)
    stats = load_data(recipe, seed=0).stats  # of 12, 8 and 4 images
    found = frequency_groups(stats.counts, stats.head_threshold, stats.tail_threshold, stats.boundaries)
    assert found.tolist() == groups
