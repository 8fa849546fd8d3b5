"""What every method's outputs offer, whatever the method."""

import pytest
import torch


@pytest.mark.parametrize("by", ["argument", "config"])
def test_outputs_can_be_tuples(method, make_model, make_batch, by):
    model = make_model(method.model_type).eval()
    images = make_batch(model)["pixel_values"]
    expected = model(pixel_values=images).to_tuple()
    if by == "config":
        model.config.return_dict = False
        outputs = model(pixel_values=images)
    else:
        outputs = model(pixel_values=images, return_dict=False)
    assert isinstance(outputs, tuple)
    for output, reference in zip(outputs, expected, strict=True):
        assert torch.equal(output, reference)


def test_loss_parts_are_named_scalars(method, make_model, make_batch):
    model = make_model(method.model_type)
    outputs = model(**make_batch(model))
    assert outputs.loss_parts
    assert all(part.ndim == 0 for part in outputs.loss_parts.values())
    assert set(list(model.stages.values())[-1].loss_weights) <= set(outputs.loss_parts)
