from __future__ import annotations

import os
import sys

import h5py
import numpy as np
import pytest

from xmodal_lt.data import FeatureSource, read_features


@pytest.fixture(params=["videos", "videos.h5"])
def source(request, write_features, numbered) -> FeatureSource:
    """Two videos of 3 and 5 rows, as a folder and as an HDF5 file."""
    return FeatureSource(write_features(request.param, {"video0": numbered(3), "video1": numbered(5, base=10)}))


def test_ids(source):
    assert set(source.ids) == {"video0", "video1"}


def test_lengths(source):
    assert [source.length("video0"), source.length("video1")] == [3, 5]


def test_a_reference_to_a_whole_video(source, numbered):
    np.testing.assert_array_equal(read_features(source.reference("video1")), numbered(5, base=10))


def test_a_reference_to_some_rows(source):
    assert read_features(source.reference("video1", 1, 3))[:, 0].tolist() == [11, 12]


def test_a_reference_holds_an_absolute_path(write_features, numbered, tmp_path, monkeypatch):
    write_features("videos", {"video0": numbered(3)})
    monkeypatch.chdir(tmp_path)
    reference = FeatureSource("videos").reference("video0")
    assert reference == {"path": str(tmp_path / "videos" / "video0.npy"), "key": None, "start": 0, "stop": None}


def test_an_unknown_id_is_named_with_the_closest(source):
    with pytest.raises(ValueError, match=r"videos(\.h5)? has no features of 'vide1'\. Did you mean 'video1'\?"):
        source.reference("vide1")


def test_a_group_with_one_array_is_found_whatever_its_name(tmp_path, numbered):
    with h5py.File(tmp_path / "c3d.hdf5", "w") as file:
        file["v_a/c3d_features"] = numbered(4)
        file["v_a/duration"] = 12.5
    source = FeatureSource(tmp_path / "c3d.hdf5")
    assert source.length("v_a") == 4
    assert source.reference("v_a")["key"] == "v_a/c3d_features"


@pytest.mark.parametrize(("arrays", "found"), [(["rgb", "flow"], "'v_a/flow', 'v_a/rgb'"), ([], "none")])
def test_a_group_without_exactly_one_array(tmp_path, numbered, arrays, found):
    with h5py.File(tmp_path / "c3d.h5", "w") as file:
        group = file.create_group("v_a")
        for name in arrays:
            group[name] = numbered(4)
    with pytest.raises(ValueError, match=f"group 'v_a' of .* exactly one data set of two dimensions, found {found}"):
        FeatureSource(tmp_path / "c3d.h5").reference("v_a")


def test_subfolders_are_not_searched(write_features, numbered):
    folder = write_features("videos", {"video0": numbered(3)})
    write_features("videos/more", {"video1": numbered(3)})
    assert set(FeatureSource(folder).ids) == {"video0"}


def test_the_fingerprint_changes_with_a_file(source):
    before = source.fingerprint
    assert source.fingerprint == before
    file = source.path if source.path.is_file() else source.path / "video0.npy"
    os.utime(file, ns=(0, 0))
    assert source.fingerprint != before


def test_the_fingerprint_changes_with_the_list_of_files(write_features, numbered):
    folder = write_features("videos", {"video0": numbered(3), "video1": numbered(3)})
    before = FeatureSource(folder).fingerprint
    (folder / "video1.npy").unlink()
    assert FeatureSource(folder).fingerprint != before


def test_the_fingerprint_needs_no_h5py(write_features, numbered, monkeypatch):
    path = write_features("videos.h5", {"video0": numbered(3)})
    monkeypatch.setitem(sys.modules, "h5py", None)
    source = FeatureSource(path)
    assert "videos.h5" in source.fingerprint
    with pytest.raises(ImportError, match=r"xmodal-lt\[video\]"):
        _ = source.ids


def test_nothing_at_the_path(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no folder or file .*nowhere\.h5 with features"):
        FeatureSource(tmp_path / "nowhere.h5")


def test_a_folder_without_features(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"has no features: expected a file `<video id>\.npy` for each video"):
        FeatureSource(tmp_path)


def test_a_file_of_another_kind(tmp_path):
    (tmp_path / "videos.pkl").touch()
    with pytest.raises(ValueError, match=r"videos\.pkl must be a folder .* or a file ending in \.h5 or \.hdf5"):
        FeatureSource(tmp_path / "videos.pkl")


def test_an_hdf5_file_that_cannot_be_read(tmp_path):
    (tmp_path / "videos.h5").write_bytes(b"not HDF5")
    with pytest.raises(ValueError, match=r"cannot list the videos of .*videos\.h5: .*Replace the file"):
        _ = FeatureSource(tmp_path / "videos.h5").ids
