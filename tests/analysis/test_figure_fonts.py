from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager
from matplotlib.figure import Figure

from xmodal_lt.analysis import plot_class_frequency, save_figure
from xmodal_lt.analysis.figure_fonts import characters_without_font
from xmodal_lt.data import ClassStats


CAT, DOG = "\U000f0001", "\U000f0002"  # of no script


@pytest.fixture(autouse=True)
def _own_fonts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Only those that come with matplotlib, and nothing that it remembers of the tests'."""
    manager = font_manager.fontManager
    own = [font for font in manager.ttflist if font.fname.startswith(mpl.get_data_path())]
    monkeypatch.setattr(manager, "ttflist", own)
    manager._findfont_cached.cache_clear()
    yield
    manager._findfont_cached.cache_clear()


@pytest.fixture
def install(tmp_path: Path) -> Callable[[str, str], None]:
    """Installs a font of that name in which the characters are black squares."""

    def install(name: str, characters: str) -> None:
        pen = TTGlyphPen(None)
        pen.moveTo((0, 0))
        for corner in ((0, 1000), (1000, 1000), (1000, 0)):
            pen.lineTo(corner)
        pen.closePath()
        font = FontBuilder(1000)
        names = [".notdef", *(f"u{ord(one):X}" for one in characters)]
        font.setupGlyphOrder(names)
        font.setupCharacterMap({ord(one): f"u{ord(one):X}" for one in characters})
        font.setupGlyf(dict.fromkeys(names, pen.glyph()))
        font.setupHorizontalMetrics(dict.fromkeys(names, (1000, 0)))
        font.setupHorizontalHeader(ascent=1000, descent=0)
        font.setupNameTable({"familyName": name, "styleName": "Regular"})
        font.setupOS2()
        font.setupPost()
        font.save(tmp_path / f"{name}.ttf")
        font_manager.fontManager.addfont(tmp_path / f"{name}.ttf")

    return install


def animals(*names: str) -> ClassStats:
    return ClassStats(counts=np.arange(len(names)) + 5, num_samples=30, class_names=names)


def ticks(fig: Figure) -> list[str]:
    return [tick.get_text() for tick in fig.axes[0].get_xticklabels()]


def test_another_font_is_used_for_what_the_usual_one_lacks(install, tmp_path, caplog):
    install("cats", CAT)
    install("dogs", DOG)
    fig = plot_class_frequency(animals("ant", CAT, DOG), title=CAT + DOG)
    assert ticks(fig) == [f"{DOG} (7)", f"{CAT} (6)", "ant (5)"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save_figure(fig, tmp_path / "figure.png")
    assert caplog.records == []
    (title,) = (text for text in fig.findobj(lambda one: hasattr(one, "get_text")) if text.get_text() == CAT + DOG)
    assert title.get_fontfamily()[0] == "sans-serif" and set(title.get_fontfamily()[1:]) == {"cats", "dogs"}


def test_one_font_with_all_is_better_than_two(install, tmp_path):
    install("cats", CAT)
    install("animals", CAT + DOG)
    fig = Figure()
    text = fig.text(0, 0, CAT + DOG)
    for _ in range(2):  # once more changes nothing
        save_figure(fig, tmp_path / "figure.png")
        assert text.get_fontfamily() == ["sans-serif", "animals"]


def test_numbers_of_classes_whose_names_cannot_be_drawn(install, tmp_path, caplog):
    install("cats", CAT)
    with caplog.at_level(logging.WARNING):
        fig = plot_class_frequency(animals("ant", CAT, DOG, CAT + DOG))
        save_figure(fig, tmp_path / "figure.png")
    assert ticks(fig) == ["class 3 (8)", "class 2 (7)", f"{CAT} (6)", "ant (5)"]
    (message,) = caplog.messages
    assert repr(DOG) in message and "the numbers of these classes" in message


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_one_message_tells_of_boxes(suffix, tmp_path, caplog):
    fig = Figure(layout="constrained")
    fig.text(0, 0, f"{CAT} and {DOG}")
    fig.suptitle(DOG)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save_figure(fig, tmp_path / f"figure{suffix}")
    (message,) = caplog.messages
    assert f"No font on this machine has {CAT!r}, {DOG!r}: a figure shows boxes" in message


def test_characters_that_no_font_has(install):
    assert characters_without_font(["ant", "häßlich\n"]) == set()
    assert characters_without_font([f"{CAT}a", DOG]) == {CAT, DOG}
    install("cats", CAT)
    assert characters_without_font([f"{CAT}a", DOG]) == {DOG}
