"""CLIP's text encoder on the prompts of the classes, against transformers' own CLIP."""

import copy
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_clip import LENGTH, WIDTH, save_tiny_clip, tiny_tokenizer
from torch import Tensor, nn
from transformers import (
    CLIPModel,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    PreTrainedConfig,
)

from xmodal_lt.modeling.modeling_long_tail import LongTailPreTrainedModel
from xmodal_lt.modeling.text_encoder import ClipTextEncoder, resolve_text_config


PROMPTS = [["a photo of a dog.", "dog"], ["a photo of a traffic light.", "a drawing of a cat, asleep."]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("clip")
    save_tiny_clip(folder)
    return str(folder)


def _make_encoder(source: str, prompts: list[list[str]] | None = None) -> ClipTextEncoder:
    prompts = prompts or PROMPTS
    torch.manual_seed(0)
    encoder = ClipTextEncoder(resolve_text_config(source), len(prompts), len(prompts[0])).eval()
    encoder.load_pretrained(source)
    encoder.set_prompts(source, prompts)
    return encoder


@pytest.fixture
def encoder(folder) -> ClipTextEncoder:
    return _make_encoder(folder)


def _clip_embeddings(source: str, prompts: list[list[str]]) -> Tensor:
    """What transformers' CLIP makes of each prompt, `[C, T, m]`."""
    clip, tokenizer = CLIPModel.from_pretrained(source).eval(), CLIPTokenizer.from_pretrained(source)
    rows = [
        [clip.get_text_features(**tokenizer(prompt, return_tensors="pt")).pooler_output[0] for prompt in row]
        for row in prompts
    ]
    return torch.stack([torch.stack(row) for row in rows])


class TestConfig:
    def test_projection_has_the_width_of_the_joint_space(self, folder):
        assert resolve_text_config(folder)["projection_dim"] == WIDTH

    def test_of_a_text_encoder_alone(self, encoder, tmp_path):
        encoder.model.save_pretrained(tmp_path)
        assert resolve_text_config(str(tmp_path))["projection_dim"] == WIDTH

    def test_of_another_model_is_an_error(self, hf_vit):
        with pytest.raises(ValueError, match="is a model of type 'vit'; expected a CLIP, such as"):
            resolve_text_config(hf_vit)

    def test_of_an_absent_folder_is_an_error(self):
        with pytest.raises(FileNotFoundError, match="No CLIP '/no/such/clip': it is neither a folder"):
            resolve_text_config("/no/such/clip")


class TestEmbeddings:
    def test_are_the_means_of_those_of_clip(self, encoder, folder):
        torch.testing.assert_close(encoder(), _clip_embeddings(folder, PROMPTS).mean(dim=1))

    def test_of_the_first_clips_whose_config_has_another_end(self, tmp_path):
        save_tiny_clip(tmp_path, eos_token_id=2)  # as openai/clip-vit-base-patch16
        torch.testing.assert_close(
            _make_encoder(str(tmp_path))(), _clip_embeddings(str(tmp_path), PROMPTS).mean(dim=1)
        )

    def test_of_more_prompts_than_are_computed_at_once(self, folder):
        prompts = [[f"{a}{b} dog", f"{b} photo {a}", "dog"] for a in "abcdefghij" for b in "klmnopqrst"]
        encoder, full = _make_encoder(folder, prompts), _make_encoder(folder, prompts[-5:])
        torch.testing.assert_close(encoder()[-5:], full())

    def test_need_no_padding_beyond_the_longest_prompt(self, encoder):
        lengths = []
        hook = encoder.model.text_model.embeddings.register_forward_hook(
            lambda _m, _i, out: lengths.append(out.shape[1])
        )
        embeddings = encoder()
        hook.remove()
        assert lengths == [int(encoder.attention_mask.sum(dim=-1).max())] != [LENGTH]

        ids, mask = encoder.input_ids.flatten(0, 1), encoder.attention_mask.flatten(0, 1)
        padded = encoder.model(input_ids=ids, attention_mask=mask).text_embeds
        torch.testing.assert_close(embeddings, padded.view(2, 2, WIDTH).mean(dim=1))

    def test_are_not_normalised(self, encoder):
        assert (encoder().norm(dim=-1) - 1).abs().min() > 0.1

    def test_gradient_reaches_every_weight(self, encoder):
        encoder.train()
        encoder().square().sum().backward()
        assert [name for name, weight in encoder.named_parameters() if not weight.grad.any()] == []

    def test_without_prompts_are_an_error(self, folder):
        with pytest.raises(ValueError, match=r"has no prompts; call `load_class_semantics\(\)` of its model"):
            ClipTextEncoder(resolve_text_config(folder), 2, 1)()


class TestPrompts:
    def test_too_long_ones_are_named_and_keep_their_end(self, folder, caplog):
        encoder = _make_encoder(folder, [["a " * 75], ["a " * 76], ["a " * 500], ["dog"]])
        assert caplog.messages == ["2 of 4 prompts are longer than CLIP's 77 tokens and are cut off."]
        assert (encoder.input_ids[:3, 0, -1] == encoder.model.config.eos_token_id).all()
        torch.testing.assert_close(encoder()[1:3], encoder()[:1].expand(2, -1))

    def test_of_other_classes_or_templates_are_an_error(self, encoder, folder):
        with pytest.raises(ValueError, match=r"built for 2 classes with 2 prompts each, got prompts of 2 .* \[1, 2\]"):
            encoder.set_prompts(folder, [["dog", "a dog"], ["cat"]])

    def test_source_without_a_tokenizer_is_an_error(self, encoder, hf_clip):
        with pytest.raises(ValueError, match="has no tokenizer; save the CLIP's tokenizer into the same folder"):
            encoder.set_prompts(hf_clip, PROMPTS)

    def test_tokenizer_with_other_ids_is_an_error(self, encoder, tmp_path):
        tiny_tokenizer(extra_words=5).save_pretrained(tmp_path)
        with pytest.raises(ValueError, match=r"does not belong .* gives ids up to 64, but the encoder has 60 tokens"):
            encoder.set_prompts(str(tmp_path), PROMPTS)

    def test_tokenizer_with_another_end_is_an_error(self, tmp_path):
        """Else every class would be encoded at its first token, and all alike."""
        save_tiny_clip(tmp_path, eos_token_id=5)
        with pytest.raises(ValueError, match=r"does not belong to the text encoder: .* ends a text with 5"):
            _make_encoder(str(tmp_path))


class TestPretrainedWeights:
    def test_are_those_of_clip(self, encoder, folder):
        clip, weights = CLIPModel.from_pretrained(folder).state_dict(), encoder.model.state_dict()
        assert weights.keys() == {name for name in clip if name.startswith("text_")}
        assert all(torch.equal(tensor, clip[name]) for name, tensor in weights.items())

    def test_come_from_a_text_encoder_alone(self, encoder, folder, tmp_path):
        encoder.model.save_pretrained(tmp_path)
        other = ClipTextEncoder(resolve_text_config(str(tmp_path)), 2, 2).eval()
        other.load_pretrained(str(tmp_path))
        other.set_prompts(folder, PROMPTS)
        assert torch.equal(other(), encoder())

    def test_leave_the_prompts(self, encoder, folder):
        before = encoder.input_ids.clone()
        encoder.load_pretrained(folder)
        assert torch.equal(encoder.input_ids, before)

    def test_loading_warns_of_nothing(self, folder, transformers_warnings):
        _make_encoder(folder)
        assert transformers_warnings == []

    def test_source_without_a_projection_is_an_error(self, encoder, folder, tmp_path):
        CLIPTextModel.from_pretrained(folder).save_pretrained(tmp_path)
        with pytest.raises(ValueError, match=r"no values for 1 weights .* such as 'text_projection.weight'"):
            encoder.load_pretrained(str(tmp_path))

    def test_other_sizes_are_an_error(self, encoder, tmp_path):
        save_tiny_clip(tmp_path, hidden_size=12)
        with pytest.raises(ValueError, match="do not fit the text encoder"):
            encoder.load_pretrained(str(tmp_path))


class TextConfig(PreTrainedConfig):
    """Of a model that holds the encoder, as configs of this package keep its config."""

    model_type = "test_text"
    encoder_config: dict[str, Any] | None = None
    num_classes: int = 2


class TextModel(LongTailPreTrainedModel):
    """Initialised as every model of this package, and without a vision encoder."""

    config: TextConfig
    stages = {}

    def __init__(self, config: TextConfig):
        super().__init__(config)
        self.text_encoder = ClipTextEncoder(config.encoder_config, config.num_classes, 2)
        self.drawn = copy.deepcopy(self.text_encoder.state_dict())
        self.post_init()

    def post_init(self) -> None:
        super(LongTailPreTrainedModel, self).post_init()


class TestInAModel:
    @pytest.fixture
    def model(self, folder) -> TextModel:
        model = TextModel(TextConfig(encoder_config=resolve_text_config(folder))).eval()
        model.text_encoder.load_pretrained(folder)
        model.text_encoder.set_prompts(folder, PROMPTS)
        return model

    def test_random_weights_are_those_that_clip_draws(self, folder):
        config = resolve_text_config(folder)
        torch.manual_seed(3)
        expected = CLIPTextModelWithProjection(CLIPTextConfig.from_dict(config)).state_dict()
        torch.manual_seed(3)
        drawn = ClipTextEncoder(config, 2, 2).model.state_dict()
        assert all(torch.equal(drawn[name], tensor) for name, tensor in expected.items())

    def test_which_the_model_does_not_draw_again(self, folder):
        model = TextModel(TextConfig(encoder_config=resolve_text_config(folder)))
        assert all(torch.equal(model.drawn[name], tensor) for name, tensor in model.text_encoder.state_dict().items())

    def test_reload_equals_the_original(self, model, tmp_path):
        model.save_pretrained(tmp_path)
        again = TextModel.from_pretrained(tmp_path)
        original = dict(model.named_buffers()) | dict(model.named_parameters())
        reloaded = dict(again.named_buffers()) | dict(again.named_parameters())
        assert original.keys() == reloaded.keys()
        assert all(torch.equal(reloaded[name], tensor) for name, tensor in original.items())
        assert torch.equal(again.text_encoder(), model.text_encoder())

    def test_reload_in_another_dtype(self, model, tmp_path):
        model.save_pretrained(tmp_path)
        again = TextModel.from_pretrained(tmp_path, dtype=torch.bfloat16)
        assert {tensor.dtype for tensor in again.parameters()} == {torch.bfloat16}
        assert again.text_encoder().dtype == torch.bfloat16

    def test_of_other_classes_has_no_prompts(self, model, tmp_path):
        model.save_pretrained(tmp_path)
        again = TextModel.from_pretrained(tmp_path, num_classes=3, ignore_mismatched_sizes=True)
        with pytest.raises(ValueError, match="has no prompts"):
            again.text_encoder()

    def test_weights_that_a_checkpoint_lacks_are_drawn_as_clip_does(self, model, tmp_path):
        model.save_pretrained(tmp_path)
        name = "text_encoder.model.text_model.embeddings.token_embedding.weight"
        weights = load_file(tmp_path / "model.safetensors")
        del weights[name]
        save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
        drawn = TextModel.from_pretrained(tmp_path).get_parameter(name)
        assert isinstance(drawn, nn.Parameter)
        assert drawn.std().item() == pytest.approx(0.02, rel=0.2)  # 496 draws; PyTorch's own deviation is 1
