"""Training stages of a model: which submodules learn, and which loss parts count."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Stage:
    """One stage of a model's training schedule.

    Args:
        name (`str`): name used by recipes and by [`StagedModelMixin.set_stage`].
        trains (`tuple[str, ...]`): dotted names of the submodules that learn; everything else is frozen.
        loss_weights (`dict[str, float]`): weight of each loss part in the stage's loss; absent parts do not count.
        readout (`str`): the branch whose logits the model returns while the stage is active.
        reads_sentences (`bool`): whether it learns from a sentence about the class beside each image.
    """

    name: str
    trains: tuple[str, ...]
    loss_weights: dict[str, float] = field(default_factory=dict)
    readout: str = "logits"
    reads_sentences: bool = False


class StagedModelMixin:
    """Adds `set_stage` to an `nn.Module`, which overrides `stages` if it has any.

    The active stage is state of a training run, never of a checkpoint: it is not in the config nor in the weights.
    """

    stage: Stage | None = None
    # What is privileged, and the input that holds it: for messages.
    privileged_input: tuple[str, str] = ("description words", "input_ids")

    # Of nn.Module, with which this is mixed.
    training: bool
    requires_grad_: Callable[..., Any]
    get_submodule: Callable[[str], nn.Module]
    named_modules: Callable[..., Any]

    @property
    def stages(self) -> dict[str, Stage]:
        """`dict[str, Stage]`: the stages in the order in which they are meant to run."""
        return {}

    @property
    def reads_sentences(self) -> bool:
        """Whether the active stage learns from a sentence about the class beside each image."""
        return self.stage is not None and self.stage.reads_sentences

    def set_stage(self, name: str | None) -> Stage | None:
        """Makes `name` the active stage: freezes what it does not train and picks its loss parts and read-out.

        Args:
            name (`str` or `None`): a key of `stages`, or `None` to end staged training (everything trainable again).

        Returns:
            `Stage` or `None`: the stage that is now active.

        Raises:
            ValueError: when the model has no stage of that name, or lacks a submodule that the stage trains.
        """
        stage = None if name is None else self._find_stage(name)
        self.stage = stage
        self.requires_grad_(stage is None)
        for submodule in self._trained_submodules():
            submodule.requires_grad_(True)
        self.train(self.training)
        return stage

    def _find_stage(self, name: str) -> Stage:
        if name not in self.stages:
            raise ValueError(
                f"{type(self).__name__} has no stage {name!r}; its stages are {list(self.stages)}. "
                "Rename the stage in the recipe or pick another model."
            )
        stage = self.stages[name]
        submodules = {path for path, _ in self.named_modules()}
        absent = [path for path in stage.trains if path not in submodules]
        if absent:
            raise ValueError(
                f"Stage {name!r} trains {absent}, which this model lacks. Switch it on in the config, or, as a "
                "checkpoint saved for inference cannot be trained further, start from a full one."
            )
        return stage

    def reset_trained(self) -> None:
        """Draws the weights of what the active stage trains anew, as classifier re-training (cRT) does."""
        for submodule in self._trained_submodules():
            for module in submodule.modules():
                reset: Any = getattr(module, "reset_parameters", None)
                if reset is not None:
                    reset()

    def _trained_submodules(self) -> list[nn.Module]:
        return [self.get_submodule(path) for path in self.stage.trains] if self.stage is not None else []

    def train(self, mode: bool = True):
        """As `nn.Module.train`, except that frozen submodules stay in eval mode (batch-norm statistics, dropout)."""
        if self.stage is None or not mode:
            return super().train(mode)  # type: ignore[misc]
        super().train(False)  # type: ignore[misc]
        self.training = True
        for submodule in self._trained_submodules():
            submodule.train(True)
        return self

    def weighted_loss(self, loss_parts: dict[str, Tensor], loss_weights: dict[str, float]) -> Tensor:
        """Sum of `loss_parts` with `loss_weights` (the active stage's, or the model's own).

        In training every weighted part must be there; in evaluation, where words may be absent, missing parts are
        left out.

        Raises:
            ValueError: in training, when a part that counts could not be computed.
        """
        wanted = {name: weight for name, weight in loss_weights.items() if weight != 0}
        missing = [name for name in wanted if name not in loss_parts]
        if missing and self.training:
            stage = self.stage.name if self.stage is not None else "joint"
            kind, name = self.privileged_input
            raise ValueError(
                f"Stage {stage!r} needs the loss parts {missing}, which are computed from {kind}, but the batch has "
                f"no `{name}`. Pass the {kind.split()[-1]}, or set the weights of these parts to 0 in the config."
            )
        present = [weight * loss_parts[name] for name, weight in wanted.items() if name in loss_parts]
        return torch.stack(present).sum() if present else torch.zeros_like(next(iter(loss_parts.values())))


__all__ = ["Stage", "StagedModelMixin"]
