from __future__ import annotations

import pytest

from xmodal_lt.data.image_list import ImageList, ListedImage, is_image_name, read_captions, read_ids
from xmodal_lt.data.text_file import TextFile


@pytest.fixture
def written(tmp_path):
    def write(content: str) -> TextFile:
        (tmp_path / "list.txt").write_text(content)
        return TextFile(tmp_path / "list.txt", "https://example.org")

    return write


def test_images_may_have_no_class(written):
    images = ImageList(written("photos/a.jpg 2 0 \nphotos/b.PNG\nphotos/c-1.jpeg\t1"), "photos", 3).read()
    assert images == [ListedImage("a.jpg", [2, 0]), ListedImage("b.PNG", []), ListedImage("c-1.jpeg", [1])]
    assert [image.image_id for image in images] == ["a", "b", "c-1"]


def test_captions_keep_their_blanks_and_signs(written):
    assert read_captions(written("photos/a.jpg  a dog, 2 cats.\n"), "photos") == {"a": ["a dog, 2 cats."]}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("photos/b.jpg", "a caption after the path of b.jpg, got none"),
        ("photos/a.jpg a dog", "each image once, but 'photos/a.jpg' is there again"),
        ("a man on a horse", "the path of an image, photos/<name>.jpg, got 'a'"),
    ],
)
def test_a_wrong_line_of_captions_is_named(written, line, message):
    with pytest.raises(ValueError, match=rf"line 2 of .*list\.txt is not as published: expected {message}"):
        read_captions(written(f"photos/a.jpg a cat\n{line}\n"), "photos")


def test_ids_keep_their_order(written):
    assert read_ids(written("9\n10\n2"), r"\d+", "7") == ["9", "10", "2"]


def test_digits_of_other_scripts_are_no_ids(written):
    with pytest.raises(ValueError, match=r"line 1 of .*an image id in plain text such as '7'"):
        read_ids(written("\u0663"), r"\d+", "7")


@pytest.mark.parametrize("name", ["a.jpg", "2008_000023.jpg", "a-1.JPEG", "b.png"])
def test_names_of_images(name):
    assert is_image_name(name)


@pytest.mark.parametrize(
    "name", ["", "a", ".jpg", "..", "../a.jpg", "/a.jpg", "b/a.jpg", "b\\a.jpg", "C:a.jpg", "a.jpg\n", "a.jpg\0"]
)
def test_what_is_no_name_of_an_image_alone(name):
    assert not is_image_name(name)
