from __future__ import annotations

import json

import pytest

from xmodal_lt.data.json_file import JsonFile


@pytest.fixture
def file(tmp_path):
    (tmp_path / "info.json").write_text(json.dumps({"count": 3, "seconds": 2, "yes": True}))
    return JsonFile(tmp_path / "info.json", "https://example.org")


def test_fields_are_read(file):
    content = file.read()
    assert file.field(content, "count", int, "the file") == 3
    assert file.field(content, "seconds", float, "the file") == 2  # a whole number is a number


@pytest.mark.parametrize(
    ("key", "kind", "message"),
    [
        ("name", str, r"expected the file to have the field 'name', got \['count', 'seconds', 'yes'\]"),
        ("count", str, r"expected 'count' of the file to be a string, got 3"),
        ("yes", int, r"expected 'yes' of the file to be a whole number, got True"),
        ("count", list, r"expected 'count' of the file to be a list, got 3"),
    ],
)
def test_another_field_than_expected(file, key, kind, message):
    with pytest.raises(ValueError, match=rf"info\.json is not as published: {message}\. Get info\.json anew from htt"):
        file.field(file.read(), key, kind, "the file")


@pytest.mark.parametrize("content", [b'{"count": ', b"\xff\xfe\x00", b""])
def test_a_file_that_is_no_json(file, content):
    file.path.write_bytes(content)
    with pytest.raises(ValueError, match=r"cannot read .*info\.json: .*\. Get it anew from https://example\.org"):
        file.read()


def test_a_file_that_is_no_object(file):
    file.path.write_text("[1, 2]")
    with pytest.raises(ValueError, match=r"info\.json is not as published: expected the file to be an object, got \["):
        file.read()


def test_a_missing_file(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"no file .*info\.json\. Get info\.json from https://example\.org and"
    ):
        JsonFile(tmp_path / "info.json", "https://example.org")
