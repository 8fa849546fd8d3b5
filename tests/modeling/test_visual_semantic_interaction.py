"""The lean interaction of prompts and image tokens against the layer over all of them, written again in
`cprfl_reference`."""

import pytest
import torch
from cprfl_reference import interaction
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from xmodal_lt.modeling import visual_semantic_interaction
from xmodal_lt.modeling.visual_semantic_interaction import VisualSemanticInteraction


SIZE, HEADS, HEAD_SIZE = 8, 2, 4  # heads times their size is the size, as the paper's equations need it
VARIANTS = ("code", "paper")
FEW, AS_MANY_AS_A_HEAD_IS_WIDE, MANY = 3, HEAD_SIZE, 11
DOUBLE = {"rtol": 1e-9, "atol": 1e-12}

every_variant = pytest.mark.parametrize("variant", VARIANTS)


def _make(variant: str = "code", residual: bool = False, dropout: float = 0.0) -> VisualSemanticInteraction:
    """In float64, with norms that do not stand where they start."""
    torch.manual_seed(0)
    module = VisualSemanticInteraction(SIZE, HEADS, HEAD_SIZE, 10, dropout, residual, variant).double()
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.6)
    return module


def _inputs(num_classes: int, num_tokens: int = 5, batch_size: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    shapes = ((batch_size, num_tokens, SIZE), (num_classes, SIZE))
    return tuple(torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_() for shape in shapes)


def _expected(module: VisualSemanticInteraction, tokens: Tensor, prompts: Tensor, variant: str) -> Tensor:
    return interaction(dict(module.named_parameters()), tokens, prompts, HEADS, variant, module.residual)


def _with_gradients(output: Tensor, module: VisualSemanticInteraction, *inputs: Tensor) -> dict[str, Tensor]:
    """The output, and the gradients of a weighted sum of it."""
    wanted = dict(module.named_parameters()) | dict(zip(("tokens", "prompts"), inputs, strict=True))
    weights = torch.randn(output.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    gradients = torch.autograd.grad((output * weights).sum(), list(wanted.values()))
    return {"output": output, **dict(zip(wanted, gradients, strict=True))}


@pytest.mark.parametrize("most_scores", [None, 1, HEADS * MANY * 2], ids=["whole", "by one", "by two or more"])
@pytest.mark.parametrize(("num_tokens", "batch_size"), [(5, 3), (1, 3), (5, 1)])
@pytest.mark.parametrize("num_classes", [1, FEW, AS_MANY_AS_A_HEAD_IS_WIDE, MANY])
@pytest.mark.parametrize("residual", [False, True], ids=["plain", "residual"])
@every_variant
def test_equals_the_layer_over_all_tokens(
    variant, residual, num_classes, num_tokens, batch_size, most_scores, monkeypatch
):
    module = _make(variant, residual)
    inputs = _inputs(num_classes, num_tokens, batch_size)
    if most_scores is not None:
        monkeypatch.setattr(visual_semantic_interaction, "_MOST_SCORES", most_scores)

    actual = _with_gradients(module(*inputs), module, *inputs)

    expected = _with_gradients(_expected(module, *inputs, variant), module, *inputs)
    torch.testing.assert_close(actual, expected, **DOUBLE)


@every_variant
def test_prompts_are_no_leaf(variant):
    """As the output of the prompt network, in chunks, where gradients are computed again."""
    module, (tokens, prompts) = _make(variant), _inputs(MANY)
    actual = _with_gradients(module(tokens * 2, prompts * 3), module, tokens, prompts)
    expected = _with_gradients(_expected(module, tokens * 2, prompts * 3, variant), module, tokens, prompts)
    torch.testing.assert_close(actual, expected, **DOUBLE)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("sign", [1, -1], ids=["prompts", "images"])
@pytest.mark.parametrize("num_classes", [FEW, MANY])
@every_variant
def test_scores_hundreds_apart_stay_exact(variant, num_classes, sign, dtype):
    """All prompts point one way and all image tokens the other, so that one side of the softmax has it all."""
    module = _make(variant)
    way = torch.tensor([1.0, -1.0] * (SIZE // 2), dtype=torch.float64)
    with torch.no_grad():
        module.query.weight.copy_(10 * torch.eye(SIZE))
        module.key.weight.copy_(sign * 10 * torch.eye(SIZE))
        if variant == "code":
            torch.nn.init.ones_(module.attention_norm.weight)
            torch.nn.init.zeros_(module.attention_norm.bias)
    tokens, prompts = (noise.detach() * 0.1 for noise in _inputs(num_classes))
    inputs = (tokens - way).requires_grad_(), (prompts + way).requires_grad_()
    expected = _with_gradients(_expected(module, *inputs, variant), module, *inputs)

    narrow = [tensor.detach().to(dtype).requires_grad_() for tensor in inputs]
    actual = _with_gradients(module.to(dtype)(*narrow), module, *narrow)

    # A float32 score of 400 is known to 3e-5, and so are weights that are its exponential. In gradients terms cancel.
    largest = max(value.abs().max().item() for value in expected.values())
    tolerance = {"rtol": 0.0, "atol": largest * (1e-12 if dtype == torch.float64 else 1e-3)}
    torch.testing.assert_close({name: value.double() for name, value in actual.items()}, expected, **tolerance)


@pytest.mark.parametrize("most_scores", [None, HEADS * MANY * 2], ids=["whole", "in chunks"])
@pytest.mark.parametrize("num_classes", [FEW, MANY])
@pytest.mark.parametrize("autocast", [False, True], ids=["bfloat16", "autocast"])
@every_variant
def test_bfloat16_is_near(variant, autocast, num_classes, most_scores, monkeypatch):
    module, inputs = _make(variant), _inputs(num_classes)
    if most_scores is not None:
        monkeypatch.setattr(visual_semantic_interaction, "_MOST_SCORES", most_scores)
    expected = _expected(module, *inputs, variant)
    dtype = torch.float32 if autocast else torch.bfloat16
    narrow = [tensor.detach().to(dtype).requires_grad_() for tensor in inputs]

    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        output = module.to(dtype)(*narrow)
    output.float().sum().backward()

    # 8 bits of mantissa, 0.4 % a rounding, some six products deep.
    assert (output.double() - expected).norm() < 0.03 * expected.norm()
    assert all(tensor.grad.isfinite().all() for tensor in (*narrow, *module.parameters()))


@pytest.mark.parametrize("place", ["dropout", "mlp.2", "mlp.4"])
def test_dropout_is_that_of_training_alone(place):
    module, inputs = _make(dropout=0.5), _inputs(FEW)
    torch.testing.assert_close(module.eval()(*inputs), _expected(module, *inputs, "code"), **DOUBLE)
    module.train()
    for name in {"dropout", "mlp.2", "mlp.4"} - {place}:
        module.get_submodule(name).eval()
    assert not torch.equal(module(*inputs), module(*inputs))


def test_paper_variant_has_the_weights_of_the_equations_alone():
    weights = {name: tuple(parameter.shape) for name, parameter in _make("paper").named_parameters()}
    square = dict.fromkeys(("query.weight", "key.weight", "value.weight"), (SIZE, SIZE))
    assert weights == square | {
        "mlp.0.weight": (10, SIZE),
        "mlp.0.bias": (10,),
        "mlp.3.weight": (SIZE, 10),
        "mlp.3.bias": (SIZE,),
    }


def test_permuted_image_tokens_give_the_same():
    module, (tokens, prompts) = _make(), _inputs(FEW)
    torch.testing.assert_close(module(tokens.flip(1), prompts), module(tokens, prompts), **DOUBLE)


class LargestTensor(TorchDispatchMode):
    """Notes how many elements the largest tensor has that operations make."""

    numel = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        sizes = [leaf.numel() for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        self.numel = max([self.numel, *sizes])
        return result


@pytest.mark.parametrize("mode", ["training", "evaluation"])
def test_scores_of_many_classes_are_never_held_at_once(mode, monkeypatch):
    num_classes, most_scores = 600, 40_000
    monkeypatch.setattr(visual_semantic_interaction, "_MOST_SCORES", most_scores)
    module, (tokens, prompts) = _make(), _inputs(num_classes)
    kept = 0

    def keep(tensor: Tensor) -> Tensor:
        nonlocal kept
        kept += tensor.numel()
        return tensor

    with LargestTensor() as largest, torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        if mode == "training":
            module(tokens, prompts).sum().backward()
        else:
            with torch.no_grad():
                module(tokens, prompts)

    assert largest.numel <= most_scores < HEADS * num_classes**2
    assert kept < HEADS * num_classes**2
