from __future__ import annotations

import pytest

from xmodal_lt.data.text_file import TextFile


@pytest.fixture
def written(tmp_path):
    def write(content: bytes) -> TextFile:
        (tmp_path / "list.txt").write_bytes(content)
        return TextFile(tmp_path / "list.txt", "https://example.org")

    return write


@pytest.mark.parametrize(
    "content", [b"a 1\nb\n", b"a 1 \nb", b"a 1\r\nb\r\n", b"a 1\nb\n\n \n", b"\xef\xbb\xbfa 1\nb\n"]
)
def test_line_ends_and_blanks_do_not_matter(written, content):
    assert written(content).lines() == [(1, "a 1"), (2, "b")]


def test_numbers_count_empty_lines(written):
    assert written(b"\na\n\nb").lines() == [(2, "a"), (4, "b")]


def test_only_line_feeds_end_a_line(written):
    assert written("a\u2028b\x0cc".encode()).lines() == [(1, "a\u2028b\x0cc")]


def test_what_is_not_text_is_named(written):
    with pytest.raises(ValueError, match=r"list\.txt is not as published: expected plain text.*at byte 2.*https"):
        written(b"ab\x80").lines()


@pytest.mark.parametrize("content", [b"", b" \n\n"])
def test_an_empty_file_is_named(written, content):
    with pytest.raises(ValueError, match=r"list\.txt is empty\. Get list\.txt anew from https://example\.org"):
        written(content).lines()
