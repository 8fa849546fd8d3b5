"""Gradient checkpointing trains to the same gradients, through timm's own switch or that of transformers."""

import pytest
import torch


BACKBONES = ["test_resnet", "test_vit", "hf_vit"]


@pytest.fixture(params=BACKBONES)
def settings(request, hf_vit) -> dict:
    """Config fields of a backbone that supports it. transformers checkpoints in training mode alone."""
    if request.param == "hf_vit":
        return {"backbone": f"hf:{hf_vit}"}
    return {"backbone": request.param, "backbone_kwargs": {"img_size": 64} if request.param == "test_vit" else None}


def gradients(model, batch) -> dict[str, torch.Tensor]:
    model.zero_grad()
    model.train()(**batch).loss.backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.grad is not None}


def kept_for_backward(model, batch) -> int:
    """Bytes that the forward pass keeps for the backward one."""
    sizes = []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        sizes.append(tensor.nbytes)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        model.train()(**batch)
    return sum(sizes)


def test_gradients_are_the_same(method, settings, make_model, make_batch):
    plain, checkpointed = (make_model(method.model_type, **settings) for _ in range(2))
    checkpointed.activation_checkpointing_enable()
    batch = make_batch(plain)
    expected = gradients(plain, batch)
    actual = gradients(checkpointed, batch)
    assert actual.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(actual[name], gradient, msg=name)  # float32


def test_fewer_activations_are_kept(method, settings, make_model, make_batch):
    model = make_model(method.model_type, **settings)
    batch = make_batch(model)
    plain = kept_for_backward(model, batch)
    model.activation_checkpointing_enable()
    assert kept_for_backward(model, batch) < plain


def test_it_can_be_switched_off_again(method, settings, make_model, make_batch):
    model = make_model(method.model_type, **settings)
    batch = make_batch(model)
    plain = kept_for_backward(model, batch)
    model.activation_checkpointing_enable()
    model.activation_checkpointing_disable()
    assert kept_for_backward(model, batch) == plain


def test_the_older_name_works(method, make_model, make_batch):
    model = make_model(method.model_type)
    batch = make_batch(model)
    plain = kept_for_backward(model, batch)
    with pytest.warns(FutureWarning, match="activation_checkpointing_enable"):
        model.gradient_checkpointing_enable()
    assert kept_for_backward(model, batch) < plain


def test_the_base_model_has_it_too(method, make_model):
    base_model = make_model(method.model_type).base_model
    base_model.activation_checkpointing_enable()
    assert base_model.vision_encoder.model.grad_checkpointing


# dla34 has no such switch in timm; vgg11 has one that refuses.
@pytest.mark.parametrize("backbone", ["dla34", "vgg11"])
def test_a_backbone_without_it_says_so(method, backbone, make_model):
    with torch.device("meta"):
        model = make_model(method.model_type, backbone=backbone)
    with pytest.raises(ValueError, match="does not support activation checkpointing"):
        model.activation_checkpointing_enable()
