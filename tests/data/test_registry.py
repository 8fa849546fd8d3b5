from __future__ import annotations

import subprocess
import sys

import datasets
import pytest

from xmodal_lt.data import EmojiLT, dataset_spec, list_datasets, load_lt


def test_every_name_has_a_specification():
    assert "emoji-lt" in list_datasets()
    for name in list_datasets():
        spec = dataset_spec(name)
        assert spec.name == name
        assert issubclass(spec.builder, datasets.DatasetBuilder)
        assert spec.tail < spec.head


def test_emoji_lt_is_registered():
    spec = dataset_spec("emoji-lt")
    assert (spec.builder, spec.head, spec.tail) == (EmojiLT, 100, 20)
    assert spec.problem_type == "single_label_classification"


def test_an_unknown_name_lists_the_known_ones_and_the_closest():
    with pytest.raises(
        ValueError, match=r"unknown data set 'emoji_lt'\. Did you mean 'emoji-lt'\? Known names are \["
    ):
        load_lt("emoji_lt")


def test_an_unknown_option_of_a_builder():
    with pytest.raises(TypeError, match="colour"):
        load_lt("emoji-lt", colour="red")


@pytest.mark.parametrize("option", ["missing_words", "bad_images"])
def test_an_unknown_choice(option):
    with pytest.raises(ValueError, match=f"{option} must be one of .* got 'ignore'"):
        load_lt("emoji-lt", **{option: "ignore"})


def test_builders_take_num_proc(emoji_cache):
    assert "train" in load_lt("emoji-lt", cache_dir=emoji_cache, num_proc=2)


def test_importing_the_folder_needs_no_torch():
    code = "import sys, xmodal_lt.data; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_option_that_is_misspelt():
    with pytest.raises(
        TypeError, match=r"'emoji-lt' has no option 'style'\. Did you mean 'styles'\? Its options are \["
    ):
        load_lt("emoji-lt", style=["twemoji"])
