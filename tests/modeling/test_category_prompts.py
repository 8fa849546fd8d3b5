"""Class prompts: what makes them, what they know of the classes' names, and CLIP's text encoder inside a model."""

import copy
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tiny_clip import WIDTH, save_tiny_clip
from torch import Tensor
from transformers import AutoModelForImageClassification

from xmodal_lt.modeling.category_prompts import CategoryPrompts
from xmodal_lt.modeling.class_semantics import encode_classes


MULTI_LABEL = "multi_label_classification"
NAMES = {0: "dog", 1: "cat", 2: "traffic_light"}
LABELS = torch.tensor([[1.0, 0, 1], [0, 1, 0]])
ENCODED = ("frozen", "trained")
encoded = pytest.mark.parametrize("clip_text", ENCODED)


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    save_tiny_clip(folder)
    return folder


@pytest.fixture(scope="module")
def clip_with_dropout(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    save_tiny_clip(folder, attention_dropout=0.5)
    return folder


@pytest.fixture
def images() -> Tensor:
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def make_named(make_model, clip):
    """Makes a multi-label CPRFL whose classes have names, with CLIP's semantics by default."""

    def make(**settings: Any) -> Any:
        settings = {"semantics": f"clip:{clip}", "semantic_size": None, "id2label": NAMES} | settings
        model = make_model("cprfl", problem_type=MULTI_LABEL, **settings)
        model.load_class_semantics()
        return model.eval()

    return make


@torch.no_grad()
def _logits(model: Any, images: Tensor) -> Tensor:
    assert not model.training  # not set here, as the mode may have an effect
    return model(pixel_values=images).logits


def _text_weights(model: Any) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.cprfl.prompts.text_encoder.named_parameters()}


def _train(model: Any, images: Tensor, steps: int = 1, stage: str | None = "joint") -> Any:
    """Some steps of an optimizer over all parameters, which decays weights as well."""
    model.set_stage(stage)
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05, weight_decay=0.1)
    for _ in range(steps):
        model(pixel_values=images, labels=LABELS).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.set_stage(None)
    return model.eval()


def _count_runs(model: Any) -> list[int]:
    """A list to which each run of the text encoder adds."""
    runs: list[int] = []
    model.cprfl.prompts.text_encoder.model.register_forward_hook(lambda *_: runs.append(1))
    return runs


class TestNetworks:
    SIZES = {"num_classes": 5, "semantic_size": 7, "size": 8, "hidden_size": 3, "dropout": 0.0}

    @pytest.mark.parametrize(
        ("network", "shapes"),
        [
            ("mlp", {"0.weight": (3, 7), "0.bias": (3,), "3.weight": (8, 3), "3.bias": (8,)}),
            ("linear", {"weight": (8, 7), "bias": (8,)}),
            ("none", {"weight": (5, 8)}),
        ],
    )
    def test_parameters(self, network, shapes):
        prompts = CategoryPrompts(**self.SIZES, network=network)
        assert prompts().shape == (5, 8)
        assert {name: tuple(weight.shape) for name, weight in prompts.network.named_parameters()} == shapes
        assert [name for name, _ in prompts.named_parameters() if not name.startswith("network.")] == []

    @pytest.mark.parametrize("network", ["mlp", "linear"])
    def test_prompts_are_made_of_the_semantics(self, network):
        prompts = CategoryPrompts(**self.SIZES, network=network)
        assert prompts.has_semantics
        before = prompts()
        prompts.class_semantics[2] += 1
        changed = (prompts() != before).any(dim=1)
        assert changed.tolist() == [False, False, True, False, False]

    def test_free_prompts_have_no_semantics(self):
        prompts = CategoryPrompts(**self.SIZES, network="none")
        assert not prompts.has_semantics
        assert "class_semantics" not in prompts.state_dict()
        assert torch.equal(prompts(), prompts.network.weight)

    def test_free_prompts_are_about_unit_vectors(self):
        torch.manual_seed(0)
        sizes = self.SIZES | {"num_classes": 50, "size": 400}
        norms = CategoryPrompts(**sizes, network="none")().norm(dim=1)
        assert ((norms - 1).abs() < 0.2).all()  # deviation 1 / sqrt(800)

    def test_random_semantics_have_unit_variance_and_learn_nothing(self):
        torch.manual_seed(0)
        prompts = CategoryPrompts(**self.SIZES | {"num_classes": 100, "semantic_size": 100})
        assert prompts.class_semantics.std().item() == pytest.approx(1, rel=0.05)
        assert not prompts.class_semantics.requires_grad

    def test_dropout_is_that_of_training_alone(self):
        prompts = CategoryPrompts(**self.SIZES | {"dropout": 0.5})
        assert not torch.equal(prompts(), prompts())
        prompts.eval()
        assert torch.equal(prompts(), prompts())

    @pytest.mark.parametrize("expansion", [0.5, 2])
    def test_tau_is_the_width_inside(self, make_model, expansion):
        network = make_model("cprfl", expansion=expansion).cprfl.prompts.network
        assert network[0].out_features == network[3].in_features == expansion * 8


class TestLoadedSemantics:
    def test_random_ones_stay(self, make_model):
        model = make_model("cprfl")
        before = model.cprfl.prompts.class_semantics.clone()
        model.load_class_semantics()
        assert torch.equal(model.cprfl.prompts.class_semantics, before)

    def test_word_vectors(self, make_named, tmp_path):
        (tmp_path / "glove.txt").write_text("dog 1 2\ncat 3 4\ntraffic 5 6\nlight 7 8\n")
        model = make_named(semantics=f"glove:{tmp_path / 'glove.txt'}")
        assert model.cprfl.prompts.class_semantics.tolist() == [[1, 2], [3, 4], [6, 7]]

    def test_sentences_as_wide_as_their_root(self, make_named):
        semantics = make_named(semantics="sentence", semantic_size=384).cprfl.prompts.class_semantics
        torch.testing.assert_close(semantics.square().mean(dim=1), torch.ones(3))

    @pytest.mark.parametrize("templates", [None, ["a {}.", "the {}"]])
    def test_clip(self, make_named, clip, templates):
        model = make_named(templates=templates)
        expected = encode_classes(list(NAMES.values()), f"clip:{clip}", templates)
        assert torch.equal(model.cprfl.prompts.class_semantics, expected)
        assert not model.cprfl.prompts.class_semantics.requires_grad

    @encoded
    @pytest.mark.parametrize("templates", [None, ["a {}.", "the {}"]])
    def test_clip_in_the_model(self, make_named, clip, templates, clip_text):
        model = make_named(clip_text=clip_text, templates=templates)
        expected = encode_classes(list(NAMES.values()), f"clip:{clip}", templates)
        torch.testing.assert_close(model.cprfl.prompts.semantics(), expected)

    def test_free_prompts_take_none(self, make_named):
        model = make_named(prompt_network="none")
        before = model.cprfl.prompts().clone()
        model.load_class_semantics()
        assert torch.equal(model.cprfl.prompts(), before)

    @pytest.mark.parametrize("clip_text", ["cached", *ENCODED])
    def test_of_another_width_are_an_error(self, make_named, clip_text):
        with pytest.raises(ValueError, match=r"6 wide, and the model's semantic_size=5; leave semantic_size out"):
            make_named(clip_text=clip_text, semantic_size=5)

    def test_of_names_without_vectors_are_an_error(self, make_named, tmp_path):
        (tmp_path / "glove.txt").write_text("dog 1 2\ncat 3 4\n")
        with pytest.raises(ValueError, match="traffic"):
            make_named(semantics=f"glove:{tmp_path / 'glove.txt'}")


class TestTextEncoder:
    def test_cached_one_is_no_part_of_the_model(self, make_named):
        model = make_named()
        assert model.cprfl.prompts.text_encoder is None
        assert not any("text" in name for name in model.state_dict())

    @encoded
    def test_scores_are_those_with_cached_semantics(self, make_named, images, clip_text):
        model, cached = make_named(clip_text=clip_text), make_named()
        weights = {name: tensor for name, tensor in model.state_dict().items() if "text_encoder" not in name}
        semantics = cached.cprfl.prompts.class_semantics.clone()
        cached.load_state_dict(weights | {"cprfl.prompts.class_semantics": semantics})
        torch.testing.assert_close(_logits(model, images), _logits(cached, images))

    @pytest.mark.parametrize("stage", ["joint", None])
    def test_frozen_one_does_not_learn(self, make_named, images, stage):
        model = make_named(clip_text="frozen")
        before, network = _text_weights(model), model.cprfl.prompts.network[0].weight.clone()
        _train(model, images, stage=stage)
        assert all(torch.equal(tensor, before[name]) for name, tensor in _text_weights(model).items())
        assert not torch.equal(model.cprfl.prompts.network[0].weight, network)

    def test_trained_one_learns(self, make_named, images):
        model = make_named(clip_text="trained")
        before = _text_weights(model)
        _train(model, images)
        assert [name for name, tensor in _text_weights(model).items() if torch.equal(tensor, before[name])] == []

    @encoded
    def test_runs_once_for_many_batches_of_prediction(self, make_named, images, clip_text):
        model = copy.deepcopy(make_named(clip_text=clip_text))  # whose encoder is another than the one that ran
        runs = _count_runs(model)
        for _ in range(3):
            model(pixel_values=images)
        assert len(runs) == 1

    def test_frozen_one_runs_once_in_training(self, make_named, images):
        model = copy.deepcopy(make_named(clip_text="frozen"))
        runs = _count_runs(model)
        _train(model, images, steps=3)
        model(pixel_values=images)
        assert len(runs) == 1

    def test_trained_one_runs_each_step_and_once_more(self, make_named, images):
        model = make_named(clip_text="trained")
        runs = _count_runs(model)
        _train(model, images, steps=3)
        for _ in range(3):
            model(pixel_values=images)
        assert len(runs) == 4

    @encoded
    def test_without_a_network_that_reads_it_is_an_error(self, make_named, clip_text):
        with pytest.raises(ValueError, match="prompt_network='none' reads no semantics"):
            make_named(clip_text=clip_text, prompt_network="none")

    def test_of_a_checkpoint_holds_its_own_semantics(self, make_named, images, tmp_path):
        model = _train(make_named(clip_text="trained"), images)
        model.train().save_pretrained(tmp_path)
        saved = load_file(tmp_path / "model.safetensors")["cprfl.prompts.class_semantics"]
        torch.testing.assert_close(saved, model.eval().cprfl.prompts.semantics())

    def test_learns_on_after_a_checkpoint(self, make_named, images):
        model = make_named(clip_text="trained").train()
        model.state_dict()
        model(pixel_values=images, labels=LABELS).loss.backward()
        assert all(weight.grad is not None for weight in model.cprfl.prompts.text_encoder.parameters())


class TestSemanticsFollowTheEncoder:
    @torch.no_grad()
    def _expect_current(self, model: Any, images: Tensor) -> None:
        """Scores are those of what the text encoder gives now."""
        current = copy.deepcopy(model)
        current.cprfl.prompts.class_semantics.copy_(current.cprfl.prompts.text_encoder())
        torch.testing.assert_close(_logits(model, images), _logits(current, images))

    def test_after_each_training_step(self, make_named, images):
        model = make_named(clip_text="trained")
        scores = [_logits(model, images)]
        for _ in range(2):
            model(pixel_values=images)  # fills what may then be stale
            _train(model, images)
            self._expect_current(model, images)
            scores.append(_logits(model, images))
        assert not torch.equal(scores[1], scores[2])

    @encoded
    def test_after_load_state_dict(self, make_named, images, clip_text):
        model = make_named(clip_text=clip_text)
        state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        state |= {
            name: tensor * 2 for name, tensor in state.items() if "text_encoder" in name and tensor.is_floating_point()
        }
        before = _logits(model, images)
        model.load_state_dict(state)
        self._expect_current(model, images)
        assert not torch.allclose(_logits(model, images), before)

    @encoded
    def test_after_other_class_names(self, make_named, images, clip_text):
        model = make_named(clip_text=clip_text)
        before = _logits(model, images)
        model.config.id2label = {0: "cat", 1: "dog", 2: "traffic_light"}
        model.load_class_semantics()
        self._expect_current(model, images)
        assert not torch.allclose(_logits(model, images), before)

    def test_after_a_step_that_a_prediction_came_before(self, make_named, images):
        """Predictions between backward pass and step, as a callback may ask for, see the weights before it."""
        model = make_named(clip_text="trained").train()
        optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
        model(pixel_values=images, labels=LABELS).loss.backward()
        model.eval()(pixel_values=images)
        optimizer.step()
        self._expect_current(model, images)

    @pytest.mark.parametrize("mode", ["evaluation", "training"])
    def test_after_steps_of_a_fused_optimizer(self, mode, make_named, images):
        """It leaves no trace of its changes, and a loop may save without leaving training mode."""
        model = make_named(clip_text="trained").train()
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.05, fused=True)
        for _ in range(2):
            model(pixel_values=images, labels=LABELS).loss.backward()
            if mode == "evaluation":
                model.eval()(pixel_values=images)
                model.train()
            optimizer.step()
            optimizer.zero_grad()
            if mode == "evaluation":
                self._expect_current(model.eval(), images)
                model.train()
            saved = model.state_dict()["cprfl.prompts.class_semantics"].clone()
        torch.testing.assert_close(saved, copy.deepcopy(model).eval().cprfl.prompts.text_encoder())

    def test_in_full_precision_after_autocast(self, make_named, images):
        model = _train(make_named(clip_text="trained"), images)
        with torch.autocast("cpu", torch.bfloat16):
            _logits(model, images)
        self._expect_current(model, images)

    def test_without_the_dropout_of_training(self, make_named, images, clip_with_dropout):
        """CLIPs have none, but their configs can."""
        model = make_named(semantics=f"clip:{clip_with_dropout}", clip_text="frozen").train()
        model(pixel_values=images)
        model.eval()
        self._expect_current(model, images)


class TestCheckpoints:
    def test_for_inference_holds_the_matrix_alone(self, make_named, clip, images, tmp_path):
        clip = shutil.copytree(clip, tmp_path / "clip")
        model = _train(make_named(semantics=f"clip:{clip}", clip_text="trained"), images)
        expected = _logits(model, images)
        model.save_pretrained(tmp_path / "slim", for_inference=True)
        shutil.rmtree(clip)

        slim = AutoModelForImageClassification.from_pretrained(tmp_path / "slim")

        assert (slim.config.clip_text, slim.config.clip_text_config) == ("cached", None)
        assert slim.cprfl.prompts.text_encoder is None
        assert not any("text_encoder" in name for name in slim.state_dict())
        assert slim.cprfl.prompts.class_semantics.shape == (3, WIDTH)
        # float32; weights from a mapped file may be summed in another order.
        torch.testing.assert_close(_logits(slim, images), expected)

    def test_for_inference_can_be_saved_while_training(self, make_named, clip_with_dropout, images, tmp_path):
        model = make_named(semantics=f"clip:{clip_with_dropout}", clip_text="trained")
        expected = _logits(model, images)
        model.train().save_pretrained(tmp_path, for_inference=True)
        slim = AutoModelForImageClassification.from_pretrained(tmp_path)
        torch.testing.assert_close(_logits(slim, images), expected)

    @encoded
    def test_full_one_gives_the_same_scores_and_trains_on(self, make_named, clip, images, tmp_path, clip_text):
        clip = shutil.copytree(clip, tmp_path / "clip")
        model = _train(make_named(semantics=f"clip:{clip}", clip_text=clip_text), images)
        expected = _logits(model, images)
        model.save_pretrained(tmp_path / "full")
        shutil.rmtree(clip)

        full = AutoModelForImageClassification.from_pretrained(tmp_path / "full")

        torch.testing.assert_close(_logits(full, images), expected)
        before = _text_weights(full)
        _train(full, images)
        learned = {not torch.equal(tensor, before[name]) for name, tensor in _text_weights(full).items()}
        assert learned == {clip_text == "trained"}
        assert not torch.allclose(_logits(full, images), expected)

    def test_full_one_can_leave_its_text_encoder_behind(self, make_named, images, tmp_path):
        model = _train(make_named(clip_text="trained"), images)
        model.save_pretrained(tmp_path)
        cached = AutoModelForImageClassification.from_pretrained(tmp_path, clip_text="cached")
        assert cached.cprfl.prompts.text_encoder is None
        torch.testing.assert_close(_logits(cached, images), _logits(model, images))

    @pytest.mark.parametrize("clip_text", ["cached", *ENCODED])
    def test_with_new_labels_takes_their_names(self, make_named, clip, images, tmp_path, clip_text):
        make_named(clip_text=clip_text).save_pretrained(tmp_path)
        names = {0: "dog", 1: "cat", 2: "car", 3: "bus"}
        model = AutoModelForImageClassification.from_pretrained(
            tmp_path, num_labels=4, id2label=names, ignore_mismatched_sizes=True
        )
        model.load_class_semantics()
        expected = encode_classes(list(names.values()), f"clip:{clip}")
        assert _logits(model, images).shape == (2, 4)
        torch.testing.assert_close(model.eval().cprfl.prompts.semantics(), expected)
