from __future__ import annotations

from hashlib import sha1, sha256
from pathlib import Path

import pytest

from xmodal_lt.hub_cache import check_downloaded_model


CONFIG, WEIGHTS = b'{"model_type": "cmltnet"}', b"weights" * 1000
COMMIT = "c" * 40


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """A cache with one model, as the client leaves it."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    folder = tmp_path / "models--org--model"
    snapshot = folder / "snapshots" / COMMIT
    for made in (snapshot, folder / "blobs", folder / "refs"):
        made.mkdir(parents=True)
    (folder / "refs" / "main").write_text(COMMIT)
    git_digest = sha1(b"blob %d\0" % len(CONFIG) + CONFIG).hexdigest()
    for name, digest, content in (
        ("config.json", git_digest, CONFIG),
        ("model.safetensors", sha256(WEIGHTS).hexdigest(), WEIGHTS),
        ("notes.txt", "an-etag-of-another-kind", b"notes"),
    ):
        (folder / "blobs" / digest).write_bytes(content)
        (snapshot / name).symlink_to(Path("../../blobs") / digest)
    return snapshot


def test_whole_files_pass(cache):
    check_downloaded_model("org/model")
    check_downloaded_model("org/model", COMMIT)
    assert len(list(cache.iterdir())) == 3


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_damaged_file_is_named_and_deleted(cache, name):
    stored = (cache / name).resolve()
    stored.write_bytes(stored.read_bytes()[:-1] + b"?")  # of the right size
    with pytest.raises(OSError, match=f"the download of {name} was damaged"):
        check_downloaded_model("org/model")
    assert not stored.exists() and not (cache / name).is_symlink()


def test_files_that_no_load_reads_are_not_read(cache, monkeypatch):
    (cache / "figures").mkdir()
    for name in ("figures/results.json", "README.md", "model.onnx"):
        (cache / name).symlink_to((cache / "config.json").resolve())
    read = []
    monkeypatch.setattr("xmodal_lt.hub_cache._is_whole", lambda stored: not read.append(stored.name))
    check_downloaded_model("org/model")
    assert len(read) == 3  # config, weights and the text file


def test_a_whole_file_is_read_once_and_again_when_it_changed(cache, monkeypatch):
    check_downloaded_model("org/model")
    with monkeypatch.context() as patched:
        patched.setattr("xmodal_lt.hub_cache._is_whole", lambda stored: pytest.fail(f"read {stored.name} again"))
        check_downloaded_model("org/model")
    stored = (cache / "model.safetensors").resolve()
    stored.write_bytes(WEIGHTS[:-1] + b"?")
    with pytest.raises(OSError, match=r"the download of model\.safetensors was damaged"):
        check_downloaded_model("org/model")


def test_a_cache_without_links_is_left_alone(cache):
    for file in list(cache.iterdir()):
        content = file.read_bytes()
        file.unlink()
        file.write_bytes(content)
    check_downloaded_model("org/model")


@pytest.mark.parametrize("name", ["org/other", "not/a/model", "./folder/"])
def test_what_was_not_downloaded_is_not_damaged(cache, name):
    check_downloaded_model(name)
