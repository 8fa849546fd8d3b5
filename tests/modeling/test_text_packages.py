import sys
from types import SimpleNamespace

import pytest

from xmodal_lt.modeling.text_packages import import_text_package, packaged_file


EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.fixture
def package(tmp_path, monkeypatch) -> str:
    """A package with one file, which is empty."""
    (tmp_path / "vectors.txt").touch()
    monkeypatch.setitem(sys.modules, "a_package", SimpleNamespace(__file__=str(tmp_path / "__init__.py")))
    return "a_package"


def test_file_with_the_expected_content(package, tmp_path):
    assert packaged_file(package, "vectors.txt", EMPTY_SHA256) == tmp_path / "vectors.txt"


def test_file_with_other_content_is_an_error(package, tmp_path):
    (tmp_path / "vectors.txt").write_text("other")
    with pytest.raises(
        ValueError, match=r"vectors.txt has SHA-256 \w{64}, expected e3b0.*reinstall xmodal-lt\[text\]"
    ):
        packaged_file(package, "vectors.txt", EMPTY_SHA256)


def test_absent_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)  # as Python marks what is absent
    with pytest.raises(ImportError, match=r'need sentence_transformers: pip install "xmodal-lt\[text\]"'):
        import_text_package("sentence_transformers")
