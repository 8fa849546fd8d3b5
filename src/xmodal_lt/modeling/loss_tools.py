"""What the losses share: width of the arithmetic, checked inputs, powers and reductions."""

from array import array
from collections.abc import Sequence
from numbers import Real

import torch
from torch import Tensor


REDUCTIONS = ("mean", "sum", "none")
INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


def widen(tensor: Tensor) -> Tensor:
    """Half-precision tensors as float32; wider ones unchanged: losses are never computed in fewer bits."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def positive_counts(class_counts: Sequence[int] | Tensor, num_classes: int | None = None) -> Tensor:
    """The counts as float64 `[C]` on the CPU, where they are checked without waiting for a GPU.

    The constants of a loss are made from them there, because differences such as 1 - beta^n need the width; then
    `constant.to(logits)` brings dtype and device.

    Raises:
        ValueError: when their number is not `num_classes`, or a class has no sample.
    """
    if not isinstance(class_counts, Tensor):  # thousands of counts in a fifth of the time of `torch.as_tensor`
        values = array("d", class_counts)
        class_counts = torch.frombuffer(values, dtype=torch.float64) if values else torch.empty(0)
    counts = class_counts.to("cpu", torch.float64)
    if num_classes is not None and counts.shape != (num_classes,):
        raise ValueError(f"class_counts has {counts.numel()} entries but the logits have {num_classes} classes.")
    if not (counts > 0).all():
        empty = (~(counts > 0)).nonzero().flatten().tolist()
        raise ValueError(
            f"Classes {empty[:10]} have no training sample, and this loss divides by their count or takes its "
            "logarithm. Remove these classes or use a loss that takes no class counts."
        )
    return counts


def class_weights(weight: Sequence[float] | Tensor | None, logits: Tensor) -> Tensor | None:
    """Weights of the classes in the dtype and on the device of `logits`, or `None`.

    Raises:
        ValueError: when they are not `[C]`.
    """
    if weight is None:
        return None
    weight = torch.as_tensor(weight, dtype=logits.dtype, device=logits.device)
    if weight.shape != logits.shape[-1:]:
        raise ValueError(
            f"weight must have one entry for each of the {logits.shape[-1]} classes of the logits, but its shape is "
            f"{tuple(weight.shape)}."
        )
    return weight


def check_class_ids(target: Tensor, logits: Tensor) -> Tensor:
    """The class ids as long, which PyTorch asks for, whatever integers they are.

    Raises:
        ValueError: when `logits` are not `[B, C]`, or `target` is not `[B]` of integers; a bool is none.
    """
    if logits.ndim != 2 or target.shape != logits.shape[:1] or target.dtype not in INTEGERS:
        raise ValueError(
            f"Expected logits [B, C] and target [B] of integer class ids, got {tuple(logits.shape)} and "
            f"{tuple(target.shape)} of {target.dtype}; for multi-hot targets [B, C] use a multi-label loss."
        )
    return target.long()


def multi_hot(targets: Tensor, logits: Tensor) -> Tensor:
    """The targets in the dtype of `logits`, without their history.

    Raises:
        ValueError: when `logits` are not `[B, C]`, or `targets` have another shape.
    """
    if logits.ndim != 2 or targets.shape != logits.shape:
        raise ValueError(
            f"Expected logits and targets of one shape [B, C], got {tuple(logits.shape)} and "
            f"{tuple(targets.shape)}; make class ids [B] multi-hot with `torch.nn.functional.one_hot`."
        )
    return targets.detach().to(logits.dtype)


def check_not_negative(**values: float) -> None:
    """
    Raises:
        ValueError: when an argument is below 0 or no number, with its name.
    """
    for name, value in values.items():
        if not _number(name, value) >= 0:
            raise ValueError(f"{name}={value} must be at least 0.")


def check_positive(**values: float) -> None:
    """
    Raises:
        ValueError: when an argument is not above 0 or no number, with its name.
    """
    for name, value in values.items():
        if not _number(name, value) > 0:
            raise ValueError(f"{name}={value} must be larger than 0.")


def check_below_one(**values: float) -> None:
    """
    Raises:
        ValueError: when an argument is outside [0, 1) or no number, with its name.
    """
    for name, value in values.items():
        if not 0 <= _number(name, value) < 1:
            raise ValueError(f"{name}={value} must be in [0, 1).")


def _number(name: str, value: float) -> float:
    """The value, which a configuration may have as a string: YAML reads 1e-3 as one."""
    if not isinstance(value, Real):
        raise ValueError(f"{name}={value!r} must be a number, but is of type {type(value).__name__}.")
    return value


def power(base: Tensor, exponent: float) -> Tensor:
    """`base ** exponent`; PyTorch is quick for exponents to 3 only, and 4 is the usual focusing parameter."""
    return base.square().square() if exponent == 4 else base.pow(exponent)


def one_minus_exp(log_probability: Tensor) -> Tensor:
    """1 - p from log(p), exact near 0 and never 0, where powers below 1 have no derivative."""
    return (-torch.expm1(log_probability)).clamp_min(torch.finfo(log_probability.dtype).tiny)


def log_larger(p: Tensor, complement: Tensor) -> Tensor:
    """`log(max(p, 1 - p))` of p = sigmoid(x), in half the time of `F.logsigmoid`.

    It is log(sigmoid(|x|)), so that log(p) is this + min(x, 0), and log(1 - p) this - max(x, 0), exact for any x.
    """
    return torch.minimum(p, complement).neg_().log1p_()


def check_reduction(reduction: str, known: tuple[str, ...] = REDUCTIONS) -> None:
    """
    Raises:
        ValueError: for a reduction that is not in `known`.
    """
    if reduction not in known:
        raise ValueError(f"Unknown reduction {reduction!r}; expected one of {', '.join(known)}.")


def reduce_loss(loss: Tensor, reduction: str) -> Tensor:
    """`loss` itself (`"none"`), its `"sum"` or its `"mean"` over all elements.

    Raises:
        ValueError: for another reduction.
    """
    check_reduction(reduction)
    return loss if reduction == "none" else loss.sum() if reduction == "sum" else loss.mean()


__all__ = [
    "REDUCTIONS",
    "check_below_one",
    "check_class_ids",
    "check_not_negative",
    "check_positive",
    "check_reduction",
    "class_weights",
    "log_larger",
    "multi_hot",
    "one_minus_exp",
    "positive_counts",
    "power",
    "reduce_loss",
    "widen",
]
