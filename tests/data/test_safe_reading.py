"""Files that others made for harm: nothing is run, written or read elsewhere, and no small file fills the memory."""

from __future__ import annotations

import gzip
import importlib
import io
import os
import pickle
import pkgutil
import tarfile
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

import xmodal_lt.data
from xmodal_lt.data import FeatureSource, read_features
from xmodal_lt.data.bounded_archive import open_member
from xmodal_lt.data.class_images import PathFormat
from xmodal_lt.data.image_list import is_image_name
from xmodal_lt.data.json_file import JsonFile
from xmodal_lt.data.pickled_arrays import load_pickle
from xmodal_lt.data.voc_files import open_voc
from xmodal_lt.openai_clip import convert_openai_clip


# Paths in lists.


def path_formats() -> dict[str, PathFormat]:
    """Of every builder, by the name of its module."""
    names = [module.name for module in pkgutil.iter_modules(xmodal_lt.data.__path__)]
    modules = {name: importlib.import_module(f"xmodal_lt.data.{name}") for name in names}
    found = {name: getattr(module, "_PATHS", None) for name, module in modules.items()}
    return {name: paths for name, paths in found.items() if isinstance(paths, PathFormat)}


def test_the_formats_of_builders_are_found():
    assert {"imagenet_lt", "places_lt", "inaturalist_files", "nus_wide_files", "vireofood_files"} <= set(
        path_formats()
    )


@pytest.mark.parametrize("module", path_formats())
@pytest.mark.parametrize(
    "harmful",
    [
        "../{folders}/{name}",
        "{folders}/../{name}",
        "{folders}/../../{name}",
        "..",
        "{folders}/..",
        "{folders}/.",
        "//{folders}/{name}",
        "C:{folders}/{name}",
        "C:/{folders}/{name}",
        "{folders}/C:{name}",
        "{folders}\\..\\{name}",
        "{folders}/..\\{name}",
        "{folders}/{name}\0",
        "{folders}/\0{name}",
        "{folders}/{name}\n",
        "file://{folders}/{name}",
        "~/{folders}/{name}",
        "{folders}/{name}::zip",
    ],
)
def test_no_path_of_a_list_leads_out_of_its_folder(module, harmful):
    paths = path_formats()[module]
    folders, _, name = paths.example.replace("\\", "/").strip("/").rpartition("/")
    assert paths.class_key(f"{folders}/{name}") is not None
    assert paths.class_key(harmful.format(folders=folders, name=name)) is None


@pytest.mark.parametrize(
    "name", ["..", "../a.jpg", "a/../b.jpg", "/a.jpg", "C:a.jpg", "..\\a.jpg", "a.jpg\0", "\0a.jpg", "a.jpg\n", "~"]
)
def test_no_name_of_an_image_leads_out_of_its_folder(name):
    assert is_image_name("a.jpg")
    assert not is_image_name(name)


def test_no_id_of_a_video_leads_out_of_the_folder_of_features(tmp_path):
    np.save(tmp_path / "secret.npy", np.ones((2, 2)))
    (tmp_path / "features").mkdir()
    np.save(tmp_path / "features" / "video0.npy", np.ones((2, 2)))
    source = FeatureSource(tmp_path / "features")
    for harmful in ("../secret", str(tmp_path / "secret"), "./video0"):
        with pytest.raises(ValueError, match="has no features of"):
            source.reference(harmful)


# Archives.


@pytest.fixture
def archive(tmp_path):
    """Writes `a.tar.gz` from members, each a name or `TarInfo` with its content."""

    def write(*members):
        with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tar:
            for member, content in members:
                info = member if isinstance(member, tarfile.TarInfo) else tarfile.TarInfo(member)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
        return tmp_path / "a.tar.gz"

    return write


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def test_members_that_point_elsewhere_are_passed_over(archive, tmp_path):
    path = archive(
        ("../out", b"bad"),
        (str(tmp_path / "out"), b"bad"),
        (special("link", tarfile.SYMTYPE, "/etc/passwd"), b""),
        (special("device", tarfile.CHRTYPE), b""),
        ("folder/../../wanted", b"bad"),
        ("folder/wanted", b"good"),
    )
    with open_member(path, "folder/wanted", 2**20) as file:
        assert file.read() == b"good"
    assert list(tmp_path.iterdir()) == [path]
    assert not (tmp_path.parent / "out").exists() and not (Path.cwd().parent / "out").exists()
    with open_member(path, "elsewhere", 2**20) as file:
        assert file is None


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE]
)
def test_a_member_that_is_no_file_is_refused(archive, kind):
    path = archive((special("folder/wanted", kind, "/etc/passwd"), b""))
    message = "folder/wanted in it is not a file but a link"
    with pytest.raises(ValueError, match=message), open_member(path, "folder/wanted", 2**20):
        pass


@pytest.mark.parametrize("bomb", ["before", "wanted", "header"])
def test_an_archive_that_unpacks_to_too_much_is_refused(bomb, tmp_path):
    """Claims of a terabyte, of which a few bytes are there: believing them would end in another error."""
    info = tarfile.TarInfo("wanted" if bomb == "wanted" else "other")
    info.size = 2**40
    info.type = tarfile.XHDTYPE if bomb == "header" else tarfile.REGTYPE
    path = tmp_path / "a.tar.gz"
    path.write_bytes(gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + bytes(4096)))
    message = "it unpacks to more than 1,048,576 bytes"
    with pytest.raises(ValueError, match=message), open_member(path, "wanted", 2**20) as file:
        assert file is not None
        file.read()


def test_a_model_that_unpacks_to_too_much_is_refused(tmp_path):
    torch.save({"weight": torch.zeros(2)}, tmp_path / "model.pt")
    with zipfile.ZipFile(tmp_path / "model.pt", "a", zipfile.ZIP_DEFLATED) as model:
        model.writestr("archive/data/1", bytes(2**25))
    assert (tmp_path / "model.pt").stat().st_size < 2**16
    with pytest.raises(ValueError, match=r"model\.pt.* would unpack to 33,\d\d\d,\d\d\d: PyTorch saves no such file"):
        convert_openai_clip(tmp_path / "model.pt", tmp_path / "clip")


# Pickles.


class Call:
    """Pickled as a call."""

    def __init__(self, function, *arguments) -> None:
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_runs_no_code(tmp_path, protocol):
    for function in (os.mkdir, np.save):
        content = pickle.dumps([Call(function, str(tmp_path / "harm"), 1)], protocol)
        with pytest.raises(pickle.UnpicklingError, match=r"it asks for .*, which no file of numbers needs"):
            load_pickle(io.BytesIO(content))
    assert list(tmp_path.iterdir()) == []


def test_a_pickle_makes_no_array_of_addresses():
    # Called as numpy's own, the second would take eight bytes for the address of an object, and end this process.
    for harmful in (
        Call(np.dtype, "O"),
        Call(np.ndarray, (1,), Call(np.dtype, "O"), b"A" * 8),
        Call(np.ndarray, (10**6,), Call(np.dtype, "u1"), b"A", 0, (10**6,)),
    ):
        with pytest.raises((pickle.UnpicklingError, TypeError)):
            load_pickle(io.BytesIO(pickle.dumps(harmful, 2)))


def test_a_pickle_takes_no_more_memory_than_it_has():
    # Puts a number at a place of the memo, for which the reader in C would make room up to it: 32 gigabytes.
    assert load_pickle(io.BytesIO(b"\x80\x02K\x05r\xff\xff\xff\x7f.")) == 5


@pytest.mark.parametrize("dtype", ["<u1", ">i8", "<f4", "?"])
@pytest.mark.parametrize("protocol", [3, 4])
def test_arrays_of_pickles_are_read(dtype, protocol):
    array = np.arange(6).reshape(2, 3).astype(dtype)
    content = load_pickle(io.BytesIO(pickle.dumps({"a": array, "f": np.asfortranarray(array), "x": [1]}, protocol)))
    assert content["x"] == [1]
    for name in ("a", "f"):
        assert content[name].dtype == array.dtype
        np.testing.assert_array_equal(content[name], array)


# Other formats.


def test_json_that_is_nested_deeply_is_named(tmp_path):
    (tmp_path / "a.json").write_text("[" * 100_000)
    with pytest.raises(ValueError, match=r"cannot read .*a\.json: .*recursion.*\. Get it anew from https://example"):
        JsonFile(tmp_path / "a.json", "https://example.org").read(list)


@pytest.fixture
def annotation(tmp_path):
    """VOC-LT whose test split is one image with an annotation; writes that and reads the rows."""
    for year in ("VOC2012", "VOC2007"):
        (tmp_path / "VOCdevkit" / year / "JPEGImages").mkdir(parents=True)
        (tmp_path / "VOCdevkit" / year / "JPEGImages" / "000001.jpg").touch()
    test = tmp_path / "VOCdevkit" / "VOC2007"
    for folder in ("Annotations", "ImageSets/Main"):
        (test / folder).mkdir(parents=True)
    (test / "ImageSets" / "Main" / "test.txt").write_text("000001\n")
    (tmp_path / "voc_lt_train.txt").write_text("VOCdevkit/VOC2012/JPEGImages/000001.jpg 7\n")

    def read(content: bytes):
        (test / "Annotations" / "000001.xml").write_bytes(content)
        return open_voc(tmp_path).read_rows()["test"]

    return read


def test_entities_of_annotations_are_refused(annotation):
    assert annotation(b"<annotation><object><name>cat</name></object></annotation>")[0].labels == [7]
    laughs = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
    document = f'<!DOCTYPE annotation [<!ENTITY e0 "ha">{laughs}]><annotation>&e9;</annotation>'
    for encoding in ("utf-8", "utf-16"):
        with pytest.raises(ValueError, match=r"cannot read .*000001\.xml: it declares a document type"):
            annotation(document.encode(encoding))
    outside = b'<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]><annotation>&e;</annotation>'
    with pytest.raises(ValueError, match="it declares a document type"):
        annotation(outside)


def test_features_are_no_pickles(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[Call(os.mkdir, str(tmp_path / "harm"))]], dtype=object))
    with pytest.raises(ValueError, match=r"Cannot read the features .*a\.npy"):
        read_features({"path": str(tmp_path / "a.npy")})
    assert not (tmp_path / "harm").exists()


def test_features_of_hdf5_are_in_the_file_itself(tmp_path):
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["group/x"] = np.ones((2, 2))
    (tmp_path / "secret.bin").write_bytes(bytes(32))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["own"] = np.ones((2, 2))
        file["also"] = h5py.SoftLink("/own")
        file["link"] = h5py.ExternalLink("secret.h5", "group/x")
        file["group"] = h5py.ExternalLink("secret.h5", "group")
        file["soft"] = h5py.SoftLink("/group/x")
        file.create_dataset("raw", (2, 2), "f8", external=[(str(tmp_path / "secret.bin"), 0, 32)])
        layout = h5py.VirtualLayout((2, 2), "f8")
        layout[:] = h5py.VirtualSource(str(tmp_path / "secret.h5"), "group/x", (2, 2))
        file.create_virtual_dataset("virtual", layout)
    for key in ("own", "also"):
        assert read_features({"path": str(tmp_path / "a.h5"), "key": key}).shape == (2, 2)
    for key in ("link", "group/x", "soft", "raw", "virtual"):
        with pytest.raises(ValueError, match=rf"a\.h5::{key}: .* has its values in another file"):
            read_features({"path": str(tmp_path / "a.h5"), "key": key})
