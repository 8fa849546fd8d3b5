from __future__ import annotations

import base64
import json
import re
from dataclasses import replace

import datasets
import numpy as np
import pytest
from PIL import Image

from xmodal_lt.analysis import write_dataset_report
from xmodal_lt.analysis.dataset_page import report_folder
from xmodal_lt.data import check_dataset
from xmodal_lt.data.dataset_check import Comparison


NASTY = "<script>alert('cats')</script>"


@pytest.fixture
def report(tmp_path, monkeypatch):
    """Two classes and a word with markup in their names, a file that is no image, and a picture with two labels."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "photos" / "train"
    folder.mkdir(parents=True)
    rows = [{"file_name": f"{number}.png", "label": label} for number, label in enumerate([NASTY, "dog", "dog"])]
    for row in rows:
        Image.fromarray(np.zeros((4, 4, 3), dtype=np.uint8)).save(folder / row["file_name"])
        row["words"] = [NASTY, "fur"]
    (folder / "2.png").write_text("no image")
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return check_dataset(folder.parent)


@pytest.fixture
def written(report, tmp_path):
    write_dataset_report(report, tmp_path / "check")
    return tmp_path / "check"


def test_three_files_are_written_and_no_others(written):
    assert sorted(path.name for path in written.iterdir()) == ["class_frequency.png", "index.html", "report.json"]


def test_the_page_needs_no_other_file(written):
    page = (written / "index.html").read_text()
    (source,) = re.findall(r'(?:src|href)="([^"]*)"', page)
    figure = base64.b64decode(source.removeprefix("data:image/png;base64,"))
    assert figure == (written / "class_frequency.png").read_bytes()


def test_names_do_not_become_code(written):
    page = (written / "index.html").read_text()
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 3  # a class, a word, a label of the picture that is there twice


def test_the_page_tells_what_is_wrong(written):
    page = (written / "index.html").read_text()
    assert "1 image or array of features cannot be read" in page and "cannot identify image file" in page
    assert "Pictures several times in train, with different labels" in page
    assert "Not as expected" in page


def test_the_json_is_the_whole_report(written, report):
    assert json.loads((written / "report.json").read_text()) == report.to_dict()


def test_a_number_that_is_the_least_is_marked(report, tmp_path):
    least = Comparison("test", 7, 5, "a paper", True, at_least=True)
    write_dataset_report(replace(report, comparisons=[least]), tmp_path / "check")
    assert '<td class="number">≥ 5</td>' in (tmp_path / "check" / "index.html").read_text()


@pytest.mark.parametrize("others", [("thesis.txt",), ("index.html",), ("class_frequency.png", "cat.png")])
def test_a_folder_of_something_else_is_left_alone(report, tmp_path, others):
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in others:
        (folder / name).write_text("mine")
    with pytest.raises(FileExistsError, match=r"mine holds .* and is no earlier report: name another folder"):
        write_dataset_report(report, folder)
    assert {path.name: path.read_text() for path in folder.iterdir()} == dict.fromkeys(others, "mine")


def test_the_folder_is_made_at_once_and_goes_again_if_the_work_fails(tmp_path):
    with report_folder(tmp_path / "a" / "check") as folder:
        assert folder.is_dir()
    with pytest.raises(ValueError, match="no data"), report_folder(tmp_path / "b"):
        raise ValueError("no data")
    assert sorted(path.name for path in tmp_path.iterdir() if path.name in "ab") == ["a"]


def test_a_second_report_replaces_the_first(written, report):
    write_dataset_report(report, written)
    assert len(list(written.iterdir())) == 3
