"""Folders of runs: what `overwrite` takes away."""

from __future__ import annotations

from pathlib import Path

import pytest

from xmodal_lt.card_record import write_card_record
from xmodal_lt.training.output_folder import OutputFolder


@pytest.fixture
def overwritten(make_recipe, tmp_path):
    """Claims a folder with a card for another run; whether the card is still there."""

    def overwrite(edited: bool) -> bool:
        recipe = make_recipe(overwrite=True)
        folder = Path(recipe.output_dir)
        OutputFolder(folder).claim(recipe, "data")
        (folder / "README.md").write_text("accuracy: 90 %")
        write_card_record(folder, {})
        if edited:
            (folder / "README.md").write_text("accuracy: 90 %, by me")
        OutputFolder(folder).claim(recipe, "data")
        assert not (folder / ".card.json").exists()
        return (folder / "README.md").exists()

    return overwrite


def test_a_card_goes_with_the_run_whose_numbers_it_has(overwritten):
    assert not overwritten(edited=False)


def test_a_card_that_somebody_changed_stays(overwritten):
    assert overwritten(edited=True)
