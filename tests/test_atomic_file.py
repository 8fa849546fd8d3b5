import pytest

from xmodal_lt.atomic_file import atomic_path


def test_file_appears_only_when_the_block_has_ended(tmp_path):
    target = tmp_path / "new folder" / "results.json"
    with atomic_path(target) as temporary:
        temporary.write_text("{}")
        assert not target.exists()
    assert target.read_text() == "{}"
    assert list(target.parent.iterdir()) == [target]


def test_old_file_survives_an_error_and_nothing_is_left_behind(tmp_path):
    target = tmp_path / "results.json"
    target.write_text("old")
    with pytest.raises(OSError, match="disk full"), atomic_path(target) as temporary:
        temporary.write_text("half of the n")
        raise OSError("disk full")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]
