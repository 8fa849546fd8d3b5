"""Saved models come back as they were: bit-equal, without warnings, with or without what only training needs."""

import copy
import pickle

import pytest
import timm
import torch
from torch import Tensor
from transformers import AutoModel, AutoModelForImageClassification, PreTrainedModel

from xmodal_lt.registry import METHODS


with_words = pytest.mark.parametrize(
    "method",
    [method for method in METHODS if hasattr(method.config_class(), "word_encoder")],
    ids=lambda method: method.model_type,
)

# CPRFL's features are those of its classes; see its own tests.
with_heads = pytest.mark.parametrize(
    "method", [method for method in METHODS if method.model_type != "cprfl"], ids=lambda method: method.model_type
)

READERS_OF_WORDS = {
    "cmltnet": {"word_encoder", "word_projection"},
    "crif": {"semantic_encoder", "semantic_projection", "semantic_classifier"},
}


# Weights read from a file are mapped, and lie at addresses for which kernels may sum in another order. Outputs are
# bit-equal for weights in memory of their own, which a deep copy gives.
@torch.no_grad()
def classify(model: PreTrainedModel, images: Tensor) -> Tensor:
    return copy.deepcopy(model).eval()(pixel_values=images).logits


@torch.no_grad()
def embed(model: PreTrainedModel, images: Tensor) -> Tensor:
    return copy.deepcopy(model).eval()(pixel_values=images).pooler_output


@pytest.mark.filterwarnings("error")
def test_reloaded_classifier_gives_the_same_logits(
    method, backbone, make_model, make_batch, tmp_path, transformers_warnings
):
    model = make_model(method.model_type, **backbone)
    model.save_pretrained(tmp_path)
    reloaded = AutoModelForImageClassification.from_pretrained(tmp_path)

    images = make_batch(model)["pixel_values"]
    assert torch.equal(classify(model, images), classify(reloaded, images))
    assert transformers_warnings == []


@pytest.mark.filterwarnings("error")
def test_auto_model_from_a_classifier_gives_the_same_features(
    method, backbone, make_model, make_batch, tmp_path, transformers_warnings
):
    model = make_model(method.model_type, **backbone)
    model.save_pretrained(tmp_path)
    reloaded = AutoModel.from_pretrained(tmp_path)

    images = make_batch(model)["pixel_values"]
    assert type(reloaded) is method.model_class()
    assert torch.equal(embed(model.base_model, images), embed(reloaded, images))
    assert transformers_warnings == []


def test_reloaded_base_model_gives_the_same_features(method, make_model, make_batch, tmp_path, transformers_warnings):
    model = make_model(method.model_type).base_model
    model.save_pretrained(tmp_path)
    reloaded = AutoModel.from_pretrained(tmp_path)

    images = make_batch(model)["pixel_values"]
    assert torch.equal(embed(model, images), embed(reloaded, images))
    assert transformers_warnings == []


def test_channels_last_weights_are_saved(method, backbone, make_model, tmp_path):
    model = make_model(method.model_type, **backbone).to(memory_format=torch.channels_last)
    model.save_pretrained(tmp_path)
    reloaded = AutoModelForImageClassification.from_pretrained(tmp_path).state_dict()
    assert all(torch.equal(tensor, reloaded[name]) for name, tensor in model.state_dict().items())


def test_a_bfloat16_model_comes_back_in_bfloat16(method, make_model, make_batch, tmp_path):
    model = make_model(method.model_type).to(torch.bfloat16)
    model.save_pretrained(tmp_path)
    reloaded = AutoModelForImageClassification.from_pretrained(tmp_path)

    images = make_batch(model)["pixel_values"]
    assert reloaded.dtype == torch.bfloat16
    assert torch.equal(classify(model, images), classify(reloaded, images))


def test_a_model_saved_in_a_stage_comes_back_without_it(method, make_model, tmp_path):
    model = make_model(method.model_type)
    model.set_stage(next(iter(model.stages)))
    model.save_pretrained(tmp_path)
    reloaded = AutoModelForImageClassification.from_pretrained(tmp_path)
    assert reloaded.stage is None
    assert all(parameter.requires_grad for parameter in reloaded.parameters())


def test_the_stage_does_not_change_the_saved_files(method, make_model, tmp_path):
    model = make_model(method.model_type)
    model.save_pretrained(tmp_path / "before")
    model.set_stage(next(iter(model.stages)))
    model.save_pretrained(tmp_path / "after")
    before, after = (
        {file.name: file.read_bytes() for file in (tmp_path / folder).iterdir()} for folder in ("before", "after")
    )
    assert after == before


@pytest.mark.filterwarnings("error")
def test_inference_checkpoint_gives_the_same_logits_without_a_warning(
    method, make_model, make_batch, tmp_path, transformers_warnings
):
    model = make_model(method.model_type)
    model.save_pretrained(tmp_path, for_inference=True)
    reloaded = AutoModelForImageClassification.from_pretrained(tmp_path)

    images = make_batch(model)["pixel_values"]
    assert torch.equal(classify(model, images), classify(reloaded, images))
    assert transformers_warnings == []


@pytest.mark.filterwarnings("error")
def test_auto_model_from_an_inference_checkpoint_gives_the_same_features_without_a_warning(
    method, make_model, make_batch, tmp_path, transformers_warnings
):
    model = make_model(method.model_type)
    model.save_pretrained(tmp_path, for_inference=True)
    reloaded = AutoModel.from_pretrained(tmp_path)

    images = make_batch(model)["pixel_values"]
    assert torch.equal(embed(model.base_model, images), embed(reloaded, images))
    assert transformers_warnings == []


def test_channels_last_weights_are_saved_for_inference(method, make_model, tmp_path):
    model = make_model(method.model_type).to(memory_format=torch.channels_last)
    model.save_pretrained(tmp_path, for_inference=True)
    weights = model.state_dict()
    reloaded = AutoModelForImageClassification.from_pretrained(tmp_path)
    assert all(torch.equal(weights[name], tensor) for name, tensor in reloaded.state_dict().items())


def test_saving_for_inference_leaves_the_model_able_to_train(method, make_model, make_batch, tmp_path):
    model = make_model(method.model_type)
    model.save_pretrained(tmp_path, for_inference=True)
    model.train()(**make_batch(model)).loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@with_words
def test_inference_checkpoint_lacks_what_reads_words_alone(method, make_model, tmp_path):
    model = make_model(method.model_type)
    model.save_pretrained(tmp_path, for_inference=True)
    reloaded = AutoModelForImageClassification.from_pretrained(tmp_path)
    left_out = {
        name.removeprefix(f"{model.base_model_prefix}.").split(".")[0]
        for name in model.state_dict().keys() - reloaded.state_dict().keys()
    }
    assert left_out == READERS_OF_WORDS[method.model_type]


@with_words
def test_words_given_to_an_inference_checkpoint_are_an_error(method, make_model, make_batch, tmp_path):
    make_model(method.model_type).save_pretrained(tmp_path, for_inference=True)
    reloaded = AutoModelForImageClassification.from_pretrained(tmp_path)
    with pytest.raises(ValueError, match="saved for inference and has no word encoder; leave out `input_ids`"):
        reloaded(**make_batch(reloaded))


def test_another_number_of_labels_is_an_error_by_default(method, make_model, tmp_path):
    make_model(method.model_type).save_pretrained(tmp_path)
    with pytest.raises(RuntimeError, match="ignore_mismatched_sizes"):
        AutoModelForImageClassification.from_pretrained(tmp_path, num_labels=5)


@with_heads
def test_ignore_mismatched_sizes_puts_new_heads_on_the_old_features(method, make_model, make_batch, tmp_path):
    model = make_model(method.model_type)
    model.save_pretrained(tmp_path)
    reloaded = AutoModelForImageClassification.from_pretrained(tmp_path, num_labels=5, ignore_mismatched_sizes=True)

    images = make_batch(model)["pixel_values"]
    assert torch.equal(embed(model.base_model, images), embed(reloaded.base_model, images))
    assert classify(reloaded, images).shape == (len(images), 5)


@with_heads
def test_new_heads_are_initialised_as_those_of_a_new_model(method, make_model, tmp_path):
    model = make_model(method.model_type)
    model.save_pretrained(tmp_path)
    reloaded = AutoModelForImageClassification.from_pretrained(tmp_path, num_labels=5, ignore_mismatched_sizes=True)

    old = model.state_dict()
    heads = [(name, tensor) for name, tensor in reloaded.named_parameters() if tensor.shape != old[name].shape]
    assert heads
    for name, tensor in heads:
        if name == "class_scales.weight":
            assert torch.equal(tensor, torch.ones(5))
            continue
        if name.startswith("head.visual"):  # of VL-LTR, drawn as its code does
            assert tensor.abs().max() <= 0.1
            assert tensor.any() != name.endswith("bias")
            continue
        bound = old[name.replace("bias", "weight")].shape[-1] ** -0.5  # of torch's nn.Linear
        assert 0 < tensor.abs().max() <= bound


def test_counts_of_the_old_labels_do_not_stay_with_new_ones(method, make_model, tmp_path):
    make_model(method.model_type, class_counts=[3, 2, 1]).save_pretrained(tmp_path)
    reloaded = AutoModelForImageClassification.from_pretrained(tmp_path, num_labels=5, ignore_mismatched_sizes=True)
    assert reloaded.config.class_counts is None


def test_new_labels_take_their_own_counts(method, make_model, tmp_path):
    make_model(method.model_type, class_counts=[3, 2, 1]).save_pretrained(tmp_path)
    reloaded = AutoModelForImageClassification.from_pretrained(
        tmp_path, num_labels=2, class_counts=[9, 1], ignore_mismatched_sizes=True
    )
    assert reloaded.config.class_counts == [9, 1]


def test_a_new_model_has_timms_own_initial_weights(method, backbone, make_model):
    torch.manual_seed(7)
    expected = timm.create_model(
        backbone["backbone"], num_classes=0, **backbone.get("backbone_kwargs", {})
    ).state_dict()
    weights = make_model(method.model_type, seed=7, **backbone).get_vision_encoder().model.state_dict()
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[name], tensor) for name, tensor in expected.items())


def test_a_pickled_model_gives_the_same_logits(method, backbone, make_model, make_batch):
    model = make_model(method.model_type, **backbone)
    unpickled = pickle.loads(pickle.dumps(model))
    images = make_batch(model)["pixel_values"]
    assert torch.equal(classify(unpickled, images), classify(model, images))


def test_a_deep_copy_shares_no_weights(method, make_model):
    model = make_model(method.model_type)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with torch.no_grad():
        for tensor in copy.deepcopy(model).state_dict().values():
            tensor.zero_()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
