from __future__ import annotations

import sys
from multiprocessing import get_context
from pathlib import Path

import h5py
import numpy as np
import pytest

from xmodal_lt.data import FEATURES, read_features
from xmodal_lt.data.feature_files import count_rows, parse_reference


def reference(path: Path, key: str | None = None, start: int = 0, stop: int | None = None) -> dict:
    return {"path": str(path), "key": key, "start": start, "stop": stop}


@pytest.fixture
def npy(tmp_path, numbered) -> Path:
    np.save(tmp_path / "a.npy", numbered(6))
    return tmp_path / "a.npy"


@pytest.fixture
def hdf5(tmp_path, numbered) -> Path:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["plain"] = numbered(6)
        file.create_dataset("group/packed", data=numbered(5), compression="gzip", chunks=(2, 2))
    return tmp_path / "a.h5"


def save(path: Path, array: np.ndarray, **kwargs) -> Path:
    """As an npy file or, by the ending of `path`, as the data set `x` of an HDF5 file."""
    if path.suffix == ".npy":
        np.save(path, array, **kwargs)
    else:
        with h5py.File(path, "w") as file:
            file["x"] = array
    return path


def key_for(path: Path) -> str | None:
    return None if path.suffix == ".npy" else "x"


each_format = pytest.mark.parametrize("name", ["x.npy", "x.h5", "x.hdf5", "x.H5"])


def test_the_fields_of_a_reference():
    assert list(FEATURES) == ["path", "key", "start", "stop"]


def test_a_whole_npy_file(npy, numbered):
    features = read_features(reference(npy))
    assert features.dtype == np.float32
    np.testing.assert_array_equal(features, numbered(6))


@pytest.mark.parametrize(("key", "rows"), [("plain", 6), ("group/packed", 5)])
def test_a_whole_data_set_of_an_hdf5_file(hdf5, numbered, key, rows):
    np.testing.assert_array_equal(read_features(reference(hdf5, key)), numbered(rows))


def test_some_rows(npy, hdf5):
    assert read_features(reference(npy, None, 2, 4))[:, 0].tolist() == [2, 3]
    assert read_features(reference(hdf5, "plain", 5))[:, 0].tolist() == [5]


@each_format
@pytest.mark.parametrize("dtype", ["float16", "float64", "uint8", "int32", ">f4"])
def test_other_numbers_become_float32(tmp_path, name, dtype):
    path = save(tmp_path / name, np.array([[1, 2], [3, 4]], dtype))
    features = read_features(reference(path, key_for(path)))
    assert features.dtype == np.float32
    assert features.tolist() == [[1, 2], [3, 4]]


def test_what_was_read_does_not_depend_on_the_file(npy):
    features = read_features(reference(npy))
    features += 1  # in memory of its own
    assert read_features(reference(npy))[0, 0] == 0


def test_rows_are_counted(npy, hdf5):
    assert (count_rows(npy), count_rows(hdf5, "group/packed")) == (6, 5)


def test_workers_that_were_forked_after_a_read(hdf5, numbered):
    read_features(reference(hdf5, "plain"))
    with get_context("fork").Pool(2) as pool:
        for features in pool.map(read_features, [reference(hdf5, "plain")] * 8):
            np.testing.assert_array_equal(features, numbered(6))


@pytest.mark.parametrize("name", ["nowhere.npy", "nowhere.h5"])
def test_a_missing_file_is_named(tmp_path, name):
    with pytest.raises(FileNotFoundError, match=rf"There is no file .*{name} to read features from\. Restore"):
        read_features(reference(tmp_path / name, key_for(Path(name))))


@pytest.mark.parametrize("name", ["x.npy", "x.h5"])
def test_a_cut_off_file_is_named(tmp_path, name):
    path = save(tmp_path / name, np.ones((100, 8)))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=rf"Cannot read the features .*{name}.*Replace .*`bad_images=\"skip\"`"):
        read_features(reference(path, key_for(path)))


@pytest.mark.parametrize("name", ["x.npy", "x.h5"])
@pytest.mark.parametrize("content", [b"", b"not an array"])
def test_a_file_of_something_else_is_named(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"Cannot read the features .*{name}"):
        read_features(reference(tmp_path / name, key_for(Path(name))))


@each_format
@pytest.mark.parametrize("shape", [(), (5,), (2, 3, 4), (0, 4), (4, 0)])
def test_an_array_without_rows_and_columns(tmp_path, name, shape):
    path = save(tmp_path / name, np.ones(shape))
    with pytest.raises(ValueError, match=r"expected rows and columns, both at least 1, got shape \("):
        read_features(reference(path, key_for(path)))


@pytest.mark.parametrize(
    ("name", "values"), [("x.npy", ["a"]), ("x.npy", [True]), ("x.npy", [1j]), ("x.h5", [b"a"]), ("x.h5", [1j])]
)
def test_values_that_are_no_numbers(tmp_path, name, values):
    path = save(tmp_path / name, np.array([values]))
    with pytest.raises(ValueError, match=rf"{name}.*expected numbers, got values of type"):
        read_features(reference(path, key_for(path)))


def test_pickled_objects_are_not_loaded(tmp_path):
    path = save(tmp_path / "x.npy", np.array([[{}]], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"Cannot read the features .*x\.npy: .*Python objects"):
        read_features(reference(path))


@each_format
@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_values_that_are_not_finite(tmp_path, name, value):
    path = save(tmp_path / name, np.array([[0.0], [value]]))
    with pytest.raises(ValueError, match=rf"(?i){name}.*values that are NaN or infinite in float32"):
        read_features(reference(path, key_for(path)))


@pytest.mark.parametrize(("start", "stop"), [(0, 7), (3, 3), (4, 2), (6, None), (-1, 2)])
def test_rows_that_are_not_there(npy, start, stop):
    with pytest.raises(ValueError, match=r"a\.npy: it has 6 rows, but rows .* are asked for"):
        read_features(reference(npy, None, start, stop))


@pytest.mark.parametrize("key", [None, "other", "plain/other"])
def test_a_data_set_that_is_not_there(hdf5, key):
    with pytest.raises(ValueError, match=f"a.h5.*: it has no data set {key!r}"):
        read_features(reference(hdf5, key))


def test_a_group_instead_of_a_data_set(hdf5):
    with pytest.raises(ValueError, match=r"a\.h5::group: 'group' is a group, expected a data set"):
        read_features(reference(hdf5, "group"))


def test_a_key_for_an_npy_file(npy):
    with pytest.raises(ValueError, match=r"only an HDF5 file has data sets such as 'x'"):
        read_features(reference(npy, "x"))


def test_a_file_with_another_ending(tmp_path):
    with pytest.raises(ValueError, match=r"a\.pt: expected a file ending in \.npy, \.h5, \.hdf5"):
        read_features(reference(tmp_path / "a.pt"))


@pytest.mark.parametrize("value", [None, "a.npy", {}, reference(Path("a.npy")) | {"path": None}])
def test_what_is_no_reference_is_a_type_error(value):
    with pytest.raises(TypeError, match="expected a reference to features, with 'path', 'key', 'start' and 'stop'"):
        read_features(value)


def test_without_h5py_the_extra_is_named(hdf5, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ImportError, match=r'HDF5 files need h5py\. Run `pip install "xmodal-lt\[video\]"`'):
        read_features(reference(hdf5, "plain"))


def test_paths_are_parsed():
    assert parse_reference("clips/a.npy") == {"path": "clips/a.npy", "key": None, "start": 0, "stop": None}
    assert parse_reference("a.h5::v_1/c3d") == {"path": "a.h5", "key": "v_1/c3d", "start": 0, "stop": None}


@pytest.mark.parametrize("text", ["a.mp4", "a.h5", "a.h5::", "a.npy::x", "a.npy::", ""])
def test_a_path_that_names_no_array(text):
    with pytest.raises(ValueError, match=rf"expected the path of features as 'file\.npy', or as .* got '{text}'"):
        parse_reference(text)
