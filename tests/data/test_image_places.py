from __future__ import annotations

import pytest

from xmodal_lt.data.image_places import ImagePlaces, require_files


@pytest.fixture
def places(tmp_path):
    for name in ("voc/a.txt", "data/b.txt", "b.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return ImagePlaces(tmp_path, ("voc", "data"))


def test_the_folder_itself_comes_first(places, tmp_path):
    assert places.find("b.txt") == tmp_path / "b.txt"


def test_the_first_name_comes_first_wherever_it_is(places, tmp_path):
    assert places.find("a.txt", "b.txt") == tmp_path / "voc" / "a.txt"


def test_what_is_found_is_absolute(places, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path.parent)
    relative = ImagePlaces(tmp_path.relative_to(tmp_path.parent), ("voc",))
    assert relative.find("a.txt") == tmp_path / "voc" / "a.txt"


def test_what_is_required_is_named_with_the_places(places, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no c or d in .* or its folders 'voc', 'data'\. Get c from there"):
        places.require("c", "d", published="c from there")


@pytest.mark.parametrize(("wanted", "found"), [(None, True), (True, True), (False, False)])
def test_a_file_that_is_there_is_found_unless_it_is_not_wanted(places, wanted, found):
    assert (places.find_wanted("b.txt", wanted, "it") is not None) == found


def test_a_file_that_is_not_there_is_an_error_only_if_it_is_wanted(places):
    assert places.find_wanted("c", None, "it") is None
    with pytest.raises(FileNotFoundError, match="no c in"):
        places.find_wanted("c", True, "it")


def test_a_folder_that_does_not_exist(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"`data_dir` must be a folder that exists, got .*/nowhere"):
        ImagePlaces(tmp_path / "nowhere", ())


def test_missing_files_are_counted_and_the_first_named(tmp_path):
    (tmp_path / "0").touch()
    names = [str(number) for number in range(9)]
    with pytest.raises(
        FileNotFoundError, match=r"8 of 9 photos are not in .*: '1', '2', '3', '4', '5', \.{4} Get them from a\.zip"
    ):
        require_files(tmp_path, names, "photos", "a.zip")
