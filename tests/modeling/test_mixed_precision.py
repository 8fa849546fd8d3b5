"""Models train under bfloat16 autocast and run in bfloat16."""

import pytest
import torch


@pytest.fixture(params=["test_resnet", "test_vit"])
def settings(request) -> dict:
    return {"backbone": request.param, "backbone_kwargs": {"img_size": 64} if request.param == "test_vit" else None}


def test_training_under_autocast_stays_finite_and_lowers_the_loss(method, settings, make_model, make_batch):
    model = make_model(method.model_type, **settings).train()
    batch = make_batch(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    losses = []
    for _ in range(5):
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(**batch).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert all(parameter.isfinite().all() for parameter in model.parameters())
    assert losses[-1] < losses[0]


def test_loss_under_autocast_is_in_float32(method, make_model, make_batch):
    model = make_model(method.model_type)
    with torch.autocast("cpu", torch.bfloat16):
        outputs = model(**make_batch(model))
    assert {part.dtype for part in outputs.loss_parts.values()} == {torch.float32}


def test_bfloat16_model_gives_nearly_the_float32_logits(method, settings, make_model, make_batch):
    model = make_model(method.model_type, **settings).eval()
    images = make_batch(model)["pixel_values"]
    with torch.no_grad():
        expected = model(pixel_values=images).logits
        logits = model.to(torch.bfloat16)(pixel_values=images).logits
    assert logits.dtype == torch.bfloat16
    torch.testing.assert_close(logits.float(), expected, atol=0.05, rtol=0.05)  # 8 bits of mantissa, some layers deep


def test_bfloat16_model_trains_on_a_float32_batch(method, settings, make_model, make_batch):
    model = make_model(method.model_type, **settings).to(torch.bfloat16).train()
    outputs = model(**make_batch(model))
    outputs.loss.backward()
    assert outputs.loss.isfinite()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())
