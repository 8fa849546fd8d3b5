import pytest
import torch

from xmodal_lt.modeling.feature_losses import attention_decorrelation_loss, discriminative_centroid_loss


DOUBLE = {"rtol": 1e-7, "atol": 1e-12}


@pytest.fixture
def batch():
    """Features (float64 `[5, 4]`, with gradient), target, and centroids `[3, 4]`, with gradient."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(5, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    centroids = torch.randn(3, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    return features, torch.tensor([0, 1, 1, 1, 0]), centroids


@pytest.fixture
def attention():
    return torch.rand(2, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)


def _squared_distances(features, target, centroids, own):
    return [
        (f - c).square().sum()
        for f, y in zip(features, target.tolist(), strict=True)
        for k, c in enumerate(centroids)
        if (k == y) == own
    ]


@pytest.mark.parametrize("margin", [0.0, 10.0])
def test_centroid_loss_equals_a_loop(batch, margin):
    attract = sum(_squared_distances(*batch, own=True)) / (2 * 5)
    distance = sum(_squared_distances(*batch, own=False)) / (5 * 3)

    loss = discriminative_centroid_loss(*batch, margin=margin, repel_weight=0.03)

    assert 0 < distance < 10  # so that one margin repels and the other does not
    torch.testing.assert_close(loss, attract + 0.03 * (margin - distance).clamp(min=0), **DOUBLE)


def test_centroid_loss_moves_features_by_its_derivative(batch):
    features, target, centroids = batch

    assert torch.autograd.gradcheck(
        lambda features: discriminative_centroid_loss(features, target, centroids.detach()), features
    )


def test_repelled_centroids_move_by_the_derivative(batch):
    # At its centroid a feature attracts nothing, so that only the second term moves the centroids.
    _, target, centroids = batch
    features = centroids.detach()[target]

    discriminative_centroid_loss(features, target, centroids, repel_weight=2.0).backward()
    gradient, centroids.grad = centroids.grad, None
    (2 * (10 - sum(_squared_distances(features, target, centroids, own=False)) / 15)).backward()

    torch.testing.assert_close(gradient, centroids.grad, **DOUBLE)


def test_attracted_centroids_move_by_a_mean_over_their_samples_and_one(batch):
    features, target, centroids = batch

    discriminative_centroid_loss(features, target, centroids, repel_weight=0.0).backward()

    for k, (centroid, gradient) in enumerate(zip(centroids, centroids.grad, strict=True)):
        own = features[target == k]
        torch.testing.assert_close(gradient, (centroid - own).sum(0) / (1 + len(own)) / 5, **DOUBLE)


def test_attention_loss_equals_a_loop(attention):
    pairs = [(s, t) for s in range(3) for t in range(3) if s != t]

    loss = attention_decorrelation_loss(attention)

    expected = sum((sample[s] @ sample[t]) ** 2 for sample in attention for s, t in pairs) / (2 * 9)
    torch.testing.assert_close(loss, expected, **DOUBLE)


def test_attention_loss_has_the_gradient_of_finite_differences(attention):
    assert torch.autograd.gradcheck(attention_decorrelation_loss, attention)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_widened(batch, attention, dtype):
    narrow = [tensor.detach().to(dtype) if tensor.is_floating_point() else tensor for tensor in batch]
    maps = attention.detach().to(dtype)

    losses = discriminative_centroid_loss(*narrow), attention_decorrelation_loss(maps)

    wide = [tensor.double() if tensor.is_floating_point() else tensor for tensor in narrow]
    expected = discriminative_centroid_loss(*wide), attention_decorrelation_loss(maps.double())
    for loss, reference in zip(losses, expected, strict=True):
        assert loss.dtype == torch.float32
        assert loss.item() == pytest.approx(reference.item(), rel=1e-5)


def test_autocast_does_not_narrow_the_products(batch, attention):
    arguments = [tensor.detach().float() if tensor.is_floating_point() else tensor for tensor in batch]
    maps = attention.detach().float()

    with torch.autocast("cpu", torch.bfloat16):
        losses = discriminative_centroid_loss(*arguments), attention_decorrelation_loss(maps)

    assert losses == (discriminative_centroid_loss(*arguments), attention_decorrelation_loss(maps))


def test_bad_input_is_named(batch):
    features, target, centroids = batch
    with pytest.raises(ValueError, match=r"features \[B, D\], .* got \(5, 4\), \(5,\) and \(3, 2\)"):
        discriminative_centroid_loss(features, target, centroids[:, :2])
    with pytest.raises(ValueError, match=r"got \(5, 4\), \(3,\) and \(3, 4\)"):
        discriminative_centroid_loss(features, target[:3], centroids)
    with pytest.raises(ValueError, match=r"margin=-1\.0 must be at least 0"):
        discriminative_centroid_loss(features, target, centroids, margin=-1.0)
    with pytest.raises(ValueError, match=r"Expected attention \[B, S, K\], got \(2, 3\)"):
        attention_decorrelation_loss(torch.zeros(2, 3))
