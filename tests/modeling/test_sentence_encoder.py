"""Sentence encoders, against transformers' CLIP and the sentence-transformers library."""

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from tiny_clip import WIDTH, save_tiny_clip, tiny_tokenizer
from torch import Tensor
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertModel,
    BertTokenizer,
    CLIPModel,
    CLIPTokenizer,
    PreTrainedConfig,
    T5Config,
)

from xmodal_lt.modeling.modeling_long_tail import LongTailPreTrainedModel
from xmodal_lt.modeling.pretrained_backbones import load_pretrained_backbone
from xmodal_lt.modeling.sentence_encoder import (
    SentenceEncoder,
    load_clip_joint_space,
    load_sentence_tokenizer,
    resolve_sentence_config,
    split_text_backbone,
    tokenize_sentences,
)
from xmodal_lt.modeling.vision_encoder import VisionEncoder, resolve_backbone_config


SENTENCES = ["a dog", "a traffic light, and a cat asleep.", "dog", "a b c d e f g h i j k l m n o p q r s t u v w"]
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "dog", "cat", "##s", "light", ",", "."]


def _save_tiny_sentence_model(folder: Path, *modules: Any, max_tokens: int = 16, **config: Any) -> SentenceTransformer:
    """A BERT of two layers with random weights, saved by the library itself."""
    sizes = {"hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 8}
    torch.manual_seed(2)
    bert = folder.with_name("bert")
    BertModel(BertConfig(vocab_size=len(VOCABULARY), **sizes, **config)).save_pretrained(bert)
    BertTokenizer(vocab={token: index for index, token in enumerate(VOCABULARY)}).save_pretrained(bert)
    transformer = Transformer(str(bert), max_seq_length=max_tokens)
    model = SentenceTransformer(modules=[transformer, *modules], device="cpu")
    model.save(str(folder))
    return model


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("clip")
    save_tiny_clip(folder)
    return f"clip:{folder}"


@pytest.fixture(scope="module")
def sentence(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("sentence") / "model"
    _save_tiny_sentence_model(folder, Pooling(12, "mean"), Normalize())
    return f"sentence:{folder}"


@pytest.fixture(params=["clip", "sentence"])
def text_backbone(request) -> str:
    """A backbone of each kind in turn."""
    return request.getfixturevalue(request.param)


def _make_encoder(text_backbone: str) -> SentenceEncoder:
    encoder = SentenceEncoder(json.loads(json.dumps(resolve_sentence_config(text_backbone)))).eval()
    encoder.load_pretrained(text_backbone)
    return encoder


def _tokenize(text_backbone: str, encoder: SentenceEncoder, sentences: list[str] = SENTENCES) -> dict[str, Tensor]:
    return tokenize_sentences(load_sentence_tokenizer(text_backbone), sentences, encoder.max_tokens)


class TestNames:
    def test_source_of_a_clip(self):
        assert split_text_backbone("clip") == ("clip", "openai/clip-vit-base-patch16")
        assert split_text_backbone("clip:C:/folder") == ("clip", "C:/folder")

    @pytest.mark.parametrize("text_backbone", ["glove", "bert", "openai/clip-vit-base-patch16", ""])
    def test_others_are_an_error(self, text_backbone):
        with pytest.raises(ValueError, match=r"Unknown text_backbone '.*'; expected 'clip', 'sentence', 'clip:<model"):
            split_text_backbone(text_backbone)


class TestConfig:
    def test_of_a_clip(self, clip):
        config = resolve_sentence_config(clip)
        assert config["config"]["projection_dim"] == WIDTH
        del config["config"]
        assert config == {"kind": "clip", "pooling": None, "normalize": False, "max_tokens": 77}

    def test_holds_no_path(self, text_backbone):
        assert text_backbone.partition(":")[2] not in json.dumps(resolve_sentence_config(text_backbone))

    @pytest.mark.parametrize(("max_tokens", "expected"), [(16, 16), (40, 30)])
    def test_longest_sentence_is_within_the_positions(self, tmp_path, max_tokens, expected):
        _save_tiny_sentence_model(
            tmp_path / "model", Pooling(12, "cls"), max_tokens=max_tokens, max_position_embeddings=30
        )
        config = resolve_sentence_config(f"sentence:{tmp_path}/model")
        assert (config["pooling"], config["normalize"], config["max_tokens"]) == ("cls", False, expected)

    def test_files_of_an_older_version(self, sentence, tmp_path):
        """Other names of modules, flags for the pooling, a folder for the transformer, a file for the length."""
        shutil.copytree(sentence.partition(":")[2], tmp_path / "0_Transformer")
        (tmp_path / "1_Pooling").mkdir()
        flags = {"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": False, "pooling_mode_max_tokens": True}
        (tmp_path / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": 12, **flags}))
        (tmp_path / "0_Transformer" / "sentence_bert_config.json").write_text('{"max_seq_length": 9}')
        modules = [("0_Transformer", "Transformer"), ("1_Pooling", "Pooling")]
        (tmp_path / "modules.json").write_text(
            json.dumps(
                [
                    {"name": path, "path": path, "type": f"sentence_transformers.models.{name}"}
                    for path, name in modules
                ]
            )
        )
        config = resolve_sentence_config(f"sentence:{tmp_path}")
        assert (config["pooling"], config["normalize"], config["max_tokens"]) == ("max", False, 9)
        encoder = _make_encoder(f"sentence:{tmp_path}")
        expected = SentenceTransformer(str(tmp_path), device="cpu").encode(SENTENCES, convert_to_tensor=True)
        torch.testing.assert_close(encoder(**_tokenize(f"sentence:{tmp_path}", encoder)), expected)

    def test_other_modules_are_an_error(self, sentence, tmp_path):
        folder = shutil.copytree(sentence.partition(":")[2], tmp_path / "model")
        modules = json.loads((folder / "modules.json").read_text())
        modules.insert(2, {"path": "2_Dense", "type": "sentence_transformers.models.Dense"})
        (folder / "modules.json").write_text(json.dumps(modules))
        with pytest.raises(ValueError, match=r"made of Transformer \+ Pooling \+ Dense \+ Normalize; supported"):
            resolve_sentence_config(f"sentence:{folder}")

    @pytest.mark.parametrize(
        ("pooling", "found"), [("lasttoken", "lasttoken"), (["mean", "max"], "mean and max"), ([], "nothing")]
    )
    def test_another_pooling_is_an_error(self, sentence, tmp_path, pooling, found):
        folder = shutil.copytree(sentence.partition(":")[2], tmp_path / "model")
        (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode": pooling}))
        with pytest.raises(ValueError, match=f"pools by {found}, as its 1_Pooling/config.json says; supported is one"):
            resolve_sentence_config(f"sentence:{folder}")

    def test_encoder_with_a_decoder_is_an_error(self, sentence, tmp_path):
        folder = shutil.copytree(sentence.partition(":")[2], tmp_path / "model")
        T5Config().save_pretrained(folder)
        with pytest.raises(ValueError, match="is a t5 with a decoder; choose a model such as a BERT"):
            resolve_sentence_config(f"sentence:{folder}")

    def test_another_kind_of_model_is_an_error(self, clip, sentence):
        with pytest.raises(ValueError, match=r"has no modules.json, so it is no sentence-transformers model"):
            resolve_sentence_config(f"sentence:{clip.partition(':')[2]}")
        with pytest.raises(ValueError, match="is a model of type 'bert'; expected a CLIP"):
            resolve_sentence_config(f"clip:{sentence.partition(':')[2]}")

    def test_absent_folder_is_an_error(self):
        with pytest.raises(FileNotFoundError, match="No sentence encoder '/no/such/model': it is neither the folder"):
            resolve_sentence_config("sentence:/no/such/model")

    def test_unknown_pooling_of_a_config_is_an_error(self, sentence):
        with pytest.raises(ValueError, match="pooling 'sum' does not exist; build its config with `resolve"):
            SentenceEncoder({**resolve_sentence_config(sentence), "pooling": "sum"})


class TestEmbeddings:
    def test_of_minilm_are_those_of_its_library(self):
        encoder = _make_encoder("sentence")
        _, folder = split_text_backbone("sentence")
        sentences = ["A dog.", "A much longer sentence, of more tokens than the model takes. " * 30]
        expected = SentenceTransformer(folder, device="cpu").encode(sentences, convert_to_tensor=True)
        tokens = _tokenize("sentence", encoder, sentences)
        assert tokens["input_ids"].shape == (2, 256)
        with torch.no_grad():
            torch.testing.assert_close(encoder(**tokens), expected, atol=1e-5, rtol=0)

    @pytest.mark.parametrize(("pooling", "normalizes"), [("mean", False), ("cls", True), ("max", False)])
    def test_of_every_pipeline_are_those_of_its_library(self, tmp_path, pooling, normalizes):
        modules = [Pooling(12, pooling), *([Normalize()] if normalizes else [])]
        expected = _save_tiny_sentence_model(tmp_path / "model", *modules).encode(SENTENCES, convert_to_tensor=True)
        encoder = _make_encoder(f"sentence:{tmp_path}/model")
        embeds = encoder(**_tokenize(f"sentence:{tmp_path}/model", encoder))
        assert embeds.shape == (4, encoder.hidden_size) == (4, 12)
        torch.testing.assert_close(embeds, expected)

    @pytest.mark.parametrize("text", [{}, {"eos_token_id": 2}], ids=["", "first clips"])
    def test_of_a_clip_are_those_of_transformers(self, tmp_path, text):
        clip = save_tiny_clip(tmp_path, **text)
        encoder = _make_encoder(f"clip:{tmp_path}")
        embeds = encoder(**_tokenize(f"clip:{tmp_path}", encoder))
        tokenizer = CLIPTokenizer.from_pretrained(tmp_path)
        expected = [
            clip.get_text_features(**tokenizer(sentence, return_tensors="pt")).pooler_output for sentence in SENTENCES
        ]
        assert embeds.shape == (4, encoder.hidden_size)
        torch.testing.assert_close(embeds, torch.cat(expected))

    def test_do_not_change_with_padding(self, text_backbone):
        encoder = _make_encoder(text_backbone)
        together = encoder(**_tokenize(text_backbone, encoder))
        alone = [encoder(**_tokenize(text_backbone, encoder, [sentence])) for sentence in SENTENCES]
        torch.testing.assert_close(together, torch.cat(alone))

    def test_pooled_in_float32_whatever_the_dtype(self, sentence):
        encoder = _make_encoder(sentence)
        tokens = _tokenize(sentence, encoder)
        expected = encoder(**tokens)
        embeds = encoder.bfloat16()(**tokens)
        assert embeds.dtype == torch.bfloat16
        torch.testing.assert_close(embeds.float(), expected, atol=0.05, rtol=0)

    def test_gradient_reaches_every_weight(self, text_backbone):
        encoder = _make_encoder(text_backbone)
        (encoder(**_tokenize(text_backbone, encoder)) * torch.arange(encoder.hidden_size)).sum().backward()
        without = [name for name, weight in encoder.named_parameters() if weight.grad is None or not weight.grad.any()]
        # The bias of the keys shifts all scores of a softmax alike.
        assert [name for name in without if not name.endswith(("k_proj.bias", "key.bias"))] == []

    def test_of_too_many_tokens_are_an_error(self, sentence):
        encoder = _make_encoder(sentence)
        with pytest.raises(ValueError, match=r"have up to 17 tokens, and the text encoder takes 16; cut them off"):
            encoder(torch.ones(2, 17, dtype=torch.long), torch.ones(2, 17, dtype=torch.long))


class TestTokens:
    def test_long_sentences_keep_their_end(self, text_backbone):
        tokenizer = load_sentence_tokenizer(text_backbone)
        tokens = tokenize_sentences(tokenizer, ["a dog", "dog " * 50], 9)
        end = tokenizer("a")["input_ids"][-1]
        assert tokens["input_ids"].shape == (2, 9)
        assert tokens["input_ids"][1, -1] == end
        assert tokens["attention_mask"].tolist() == [[1] * 4 + [0] * 5, [1] * 9]

    def test_none_are_an_error(self, clip):
        with pytest.raises(ValueError, match="No sentences to tokenize"):
            tokenize_sentences(load_sentence_tokenizer(clip), [], 77)

    @pytest.mark.parametrize("kind", ["clip", "sentence"])
    def test_source_without_a_tokenizer_is_an_error(self, request, kind, tmp_path):
        folder = shutil.copytree(request.getfixturevalue(kind).partition(":")[2], tmp_path / "model")
        for file in folder.glob("tokenizer*"):
            file.unlink()
        with pytest.raises(ValueError, match=r"has no tokenizer; save the .* tokenizer into the same folder"):
            load_sentence_tokenizer(f"{kind}:{folder}")

    def test_tokenizer_of_another_clip_is_an_error(self, tmp_path):
        save_tiny_clip(tmp_path)
        tiny_tokenizer(extra_words=5).save_pretrained(tmp_path)
        with pytest.raises(ValueError, match=r"does not belong to the text encoder: it gives ids up to 64, but"):
            load_sentence_tokenizer(f"clip:{tmp_path}")

    def test_tokenizer_of_another_sentence_encoder_is_an_error(self, sentence, tmp_path):
        folder = shutil.copytree(sentence.partition(":")[2], tmp_path / "model")
        vocab = {token: index for index, token in enumerate([*VOCABULARY, "bird"])}
        BertTokenizer(vocab=vocab).save_pretrained(folder)
        with pytest.raises(ValueError, match=r"does not belong to the .*: it has 13 tokens, and the encoder 12"):
            load_sentence_tokenizer(f"sentence:{folder}")

    def test_lower_casing_before_a_tokenizer_that_keeps_case_is_an_error(self, sentence, tmp_path):
        folder = shutil.copytree(sentence.partition(":")[2], tmp_path / "model")
        (folder / "sentence_bert_config.json").write_text('{"do_lower_case": true}')
        load_sentence_tokenizer(f"sentence:{folder}")
        vocab = {token: index for index, token in enumerate([*VOCABULARY[:-1], "A"])}
        BertTokenizer(vocab=vocab, do_lower_case=False).save_pretrained(folder)
        with pytest.raises(ValueError, match="lower-cases sentences before a tokenizer that keeps case"):
            load_sentence_tokenizer(f"sentence:{folder}")


class TestPretrainedWeights:
    def test_of_the_other_kind_are_an_error(self, clip, sentence):
        with pytest.raises(ValueError, match="was built for a model of kind 'clip', not 'sentence:"):
            SentenceEncoder(resolve_sentence_config(clip)).load_pretrained(sentence)

    def test_in_other_sizes_are_an_error(self, sentence, tmp_path):
        _save_tiny_sentence_model(tmp_path / "model", Pooling(12, "mean"), type_vocab_size=3)
        with pytest.raises(ValueError, match="do not fit the text encoder"):
            SentenceEncoder(resolve_sentence_config(sentence)).load_pretrained(f"sentence:{tmp_path}/model")

    def test_that_lack_some_are_an_error(self, sentence, tmp_path):
        folder = shutil.copytree(sentence.partition(":")[2], tmp_path / "model")
        weights = load_file(folder / "model.safetensors")
        del weights["embeddings.word_embeddings.weight"]
        save_file(weights, folder / "model.safetensors", {"format": "pt"})
        with pytest.raises(
            ValueError, match=r"no values for 1 weights .* such as 'embeddings.word_embeddings.weight'"
        ):
            _make_encoder(f"sentence:{folder}")

    def test_loading_warns_of_nothing(self, text_backbone, transformers_warnings):
        _make_encoder(text_backbone)
        assert transformers_warnings == []

    def test_of_a_masked_language_model(self, sentence, tmp_path, transformers_warnings):
        """Saved without a pooler, and with the head of its pre-training."""
        folder = shutil.copytree(sentence.partition(":")[2], tmp_path / "model")
        torch.manual_seed(3)
        bert = BertForMaskedLM(BertConfig.from_pretrained(folder))
        bert.save_pretrained(folder)
        encoder = _make_encoder(f"sentence:{folder}")
        assert transformers_warnings == []
        weights, expected = encoder.model.state_dict(), bert.bert.state_dict()
        assert weights.keys() == expected.keys()
        assert all(torch.equal(tensor, expected[name]) for name, tensor in weights.items())


class TestJointSpace:
    def test_of_a_clip(self, clip):
        model, space = CLIPModel.from_pretrained(clip.partition(":")[2]), load_clip_joint_space(clip)
        assert space.keys() == {"visual_projection.weight", "logit_scale"}
        assert torch.equal(space["visual_projection.weight"], model.visual_projection.weight)
        assert torch.equal(space["logit_scale"], model.logit_scale)

    def test_takes_the_features_of_the_visual_tower(self, clip):
        backbone = f"hf:{clip.partition(':')[2]}"
        encoder = VisionEncoder(backbone, backbone_config=resolve_backbone_config(backbone)).eval()
        load_pretrained_backbone(encoder, backbone)
        images = torch.randn(2, 3, 32, 32)
        expected = CLIPModel.from_pretrained(clip.partition(":")[2]).get_image_features(images).pooler_output
        embeds = encoder(images) @ load_clip_joint_space(clip)["visual_projection.weight"].T
        torch.testing.assert_close(embeds, expected)

    def test_of_others_is_empty(self, clip, sentence, tmp_path):
        _make_encoder(clip).model.save_pretrained(tmp_path)
        assert load_clip_joint_space(f"clip:{tmp_path}") == {}
        assert load_clip_joint_space(sentence) == {}


class TextConfig(PreTrainedConfig):
    """Of a model that holds the encoder, as configs of this package keep its config."""

    model_type = "test_sentences"
    encoder_config: dict[str, Any] | None = None


class TextModel(LongTailPreTrainedModel):
    """Initialised as every model of this package, and without a vision encoder."""

    config: TextConfig
    stages = {}

    def __init__(self, config: TextConfig):
        super().__init__(config)
        self.text_encoder = SentenceEncoder(config.encoder_config)
        self.drawn = copy.deepcopy(self.text_encoder.state_dict())
        self.post_init()

    def post_init(self) -> None:
        super(LongTailPreTrainedModel, self).post_init()


class TestInAModel:
    @pytest.fixture
    def model(self, text_backbone) -> TextModel:
        return TextModel(TextConfig(encoder_config=resolve_sentence_config(text_backbone))).eval()

    def test_random_weights_are_not_drawn_again(self, model):
        assert all(torch.equal(model.drawn[name], tensor) for name, tensor in model.text_encoder.state_dict().items())

    def test_reload_equals_the_original(self, model, text_backbone, tmp_path):
        model.save_pretrained(tmp_path)
        again = TextModel.from_pretrained(tmp_path)
        tokens = _tokenize(text_backbone, model.text_encoder)
        assert torch.equal(again.text_encoder(**tokens), model.text_encoder(**tokens))

    def test_reload_in_another_dtype(self, model, text_backbone, tmp_path):
        model.save_pretrained(tmp_path)
        again = TextModel.from_pretrained(tmp_path, dtype=torch.bfloat16)
        assert {tensor.dtype for tensor in again.parameters()} == {torch.bfloat16}
        assert again.text_encoder(**_tokenize(text_backbone, again.text_encoder)).dtype == torch.bfloat16

    def test_weights_that_a_checkpoint_lacks_are_drawn_as_the_model_draws_them(self, model, tmp_path):
        model.save_pretrained(tmp_path)
        weights = load_file(tmp_path / "model.safetensors")
        (name,) = (name for name in weights if name.endswith(("token_embedding.weight", "word_embeddings.weight")))
        del weights[name]
        save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
        drawn = TextModel.from_pretrained(tmp_path).get_parameter(name)
        assert drawn.std().item() == pytest.approx(0.02, rel=0.3)  # PyTorch's own deviation is 1
