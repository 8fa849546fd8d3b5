from __future__ import annotations

import os

import pytest

from xmodal_lt.data.file_paths import place_file


def test_relative_paths_are_seen_from_the_folder(tmp_path):
    assert place_file("in/a.png", tmp_path) == str(tmp_path / "in" / "a.png")
    assert place_file("in/../a.png", tmp_path) == str(tmp_path / "a.png")
    assert place_file("..a/b..png", tmp_path) == str(tmp_path / "..a" / "b..png")


def test_absolute_paths_may_lie_in_the_folder(tmp_path):
    assert place_file(str(tmp_path / "a.png"), tmp_path) == str(tmp_path / "a.png")


def test_a_relative_folder_is_seen_from_the_current_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    relative = (tmp_path / "in").relative_to(tmp_path)
    assert place_file("a.png", relative) == str(tmp_path / "in" / "a.png")
    assert place_file("a.png", relative / "..") == str(tmp_path / "a.png")


def test_everything_lies_in_the_root(tmp_path):
    root = tmp_path.anchor
    assert place_file("a.png", type(tmp_path)(root)) == os.path.join(root, "a.png")  # noqa: PTH118


@pytest.mark.parametrize("url", ["https://example.org/a.png", "hf://datasets/someone/pets/a.png", "s3://a/b.png"])
def test_urls_are_kept(url, tmp_path):
    assert place_file(url, tmp_path) == place_file(url, None) == url


@pytest.mark.parametrize(
    "path",
    ["../a.png", "in/../../a.png", "/etc/hosts", "{folder}/../a.png", "{folder}2/a.png", "..", ".", "", "a\0.png"],
)
def test_paths_that_lead_out_of_the_folder_are_refused(path, tmp_path):
    folder = tmp_path / "data"
    with pytest.raises(ValueError, match=rf"leads out of {folder}\. Files must lie in the folder .* `file_dir`"):
        place_file(path.format(folder=folder), folder)


def test_urls_of_files_of_this_machine_are_paths_like_others(tmp_path):
    assert place_file("file:///etc/hosts", tmp_path) == str(tmp_path / "file:" / "etc" / "hosts")
    with pytest.raises(ValueError, match="leads out of"):
        place_file("in://../../../a.png", tmp_path)
    for url in ("file:///etc/hosts", "zip://a.png::/etc/b.zip"):
        with pytest.raises(ValueError, match="is a path on this machine"):
            place_file(url, None)


@pytest.mark.parametrize("path", ["a.png", "/etc/hosts", "../a.png"])
def test_without_a_folder_there_are_no_paths(path):
    with pytest.raises(ValueError, match="is a path on this machine, but the table is not from it: expected URLs"):
        place_file(path, None)


def test_a_long_path_is_cut_in_the_message(tmp_path):
    with pytest.raises(ValueError, match="leads out") as error:
        place_file("../" + "a" * 10_000, tmp_path)
    assert len(str(error.value)) < 1000
