import subprocess
import sys

import pytest
from matplotlib.figure import Figure

from xmodal_lt.analysis import save_figure


@pytest.fixture
def fig():
    fig = Figure(figsize=(2, 1))
    fig.add_subplot().plot([0, 1], [0, 1])
    return fig


@pytest.mark.parametrize(("suffix", "start"), [(".png", b"\x89PNG"), (".pdf", b"%PDF"), (".svg", b"<?xml")])
def test_suffix_decides_the_format(fig, tmp_path, suffix, start):
    path = tmp_path / "figures" / f"curve{suffix}"
    save_figure(fig, path)
    assert path.read_bytes().startswith(start)
    assert list(path.parent.iterdir()) == [path]


def test_figure_that_cannot_be_drawn_leaves_the_old_file(fig, tmp_path):
    path = tmp_path / "curve.png"
    path.write_bytes(b"old")
    fig.suptitle("$\\frac{1}$")  # not valid mathtext: fails while it is drawn
    with pytest.raises(ValueError, match="frac"):
        save_figure(fig, path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_other_suffix_is_refused(fig, tmp_path):
    with pytest.raises(ValueError, match=r"\.png, \.svg, \.pdf; got .*curve\.bmp"):
        save_figure(fig, tmp_path / "curve.bmp")


def test_figures_need_neither_pyplot_nor_a_display():
    code = "import sys, xmodal_lt.analysis; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
