from __future__ import annotations

import pytest

from xmodal_lt.data.image_places import ImagePlaces, Layout, require_files
from xmodal_lt.data.source_files import AnyOf, SourceFile


def file(*names: str, optional: bool = False) -> SourceFile:
    return SourceFile(names, f"{names[0]} from there", optional)


@pytest.fixture
def places(tmp_path):
    for name in ("voc/a.txt", "data/b.txt", "b.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return ImagePlaces(tmp_path, ("voc", "data"))


def test_the_folder_itself_comes_first(places, tmp_path):
    assert places.find(file("b.txt")) == tmp_path / "b.txt"


def test_the_first_name_comes_first_wherever_it_is(places, tmp_path):
    assert places.find(file("a.txt", "b.txt")) == tmp_path / "voc" / "a.txt"


def test_what_is_found_is_absolute(places, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path.parent)
    relative = ImagePlaces(tmp_path.relative_to(tmp_path.parent), ("voc",))
    assert relative.find(file("a.txt")) == tmp_path / "voc" / "a.txt"


def test_what_is_required_is_named_with_the_places(places, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no c or d in .* or its folders 'voc', 'data'\. Get c from there"):
        places.require(file("c", "d"))


@pytest.mark.parametrize(("wanted", "found"), [(None, True), (True, True), (False, False)])
def test_a_file_that_is_there_is_found_unless_it_is_not_wanted(places, wanted, found):
    assert (places.find_wanted(file("b.txt"), wanted) is not None) == found


def test_a_file_that_is_not_there_is_an_error_only_if_it_is_wanted(places):
    assert places.find_wanted(file("c"), None) is None
    with pytest.raises(FileNotFoundError, match="no c in"):
        places.find_wanted(file("c"), True)


def test_a_folder_that_does_not_exist(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"`data_dir` must be a folder that exists, got .*/nowhere"):
        ImagePlaces(tmp_path / "nowhere", ())


LAYOUT = Layout(
    (file("b.txt"), file("c"), file("d", optional=True), AnyOf(((file("e"),), (file("a.txt"), file("f"))))), ("voc",)
)


def test_one_error_names_all_that_is_missing(places, tmp_path):
    with pytest.raises(
        FileNotFoundError,
        match=r"2 files or folders are not in .* or its folders 'voc': c \(get c from there\); "
        r"e or f \(get e from there, or f from there\)$",
    ):
        LAYOUT.open(tmp_path)


def test_of_two_choices_one_is_enough(places, tmp_path):
    for name in ("c", "f"):
        (tmp_path / name).touch()
    assert LAYOUT.open(tmp_path).find(file("a.txt")) == tmp_path / "voc" / "a.txt"
    assert [missing.names for missing in LAYOUT.missing(tmp_path)] == ["d"]


@pytest.mark.parametrize("folder", [None, "nowhere"])
def test_without_a_folder_all_is_missing(tmp_path, folder):
    missing = LAYOUT.missing(folder and tmp_path / folder)
    assert [(one.names, one.optional) for one in missing] == [
        ("b.txt", False),
        ("c", False),
        ("d", True),
        ("e or a.txt with f", False),
    ]


def test_missing_files_are_counted_and_the_first_named(tmp_path):
    (tmp_path / "0").touch()
    names = [str(number) for number in range(9)]
    with pytest.raises(
        FileNotFoundError, match=r"8 of 9 photos are not in .*: '1', '2', '3', '4', '5', \.{4} Get them from a\.zip"
    ):
        require_files(tmp_path, names, "photos", "a.zip")
