"""A thin subclass of transformers' Trainer for staged, long-tailed training."""

import json
import math
import shutil
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate.data_loader import prepare_data_loader
from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader, Dataset, Sampler
from transformers import Trainer, TrainerCallback
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from .arguments import LongTailTrainingArguments
from .deferred_reweighting import DeferredReweighting
from .failures import NonFiniteError, check_finite, reporting_failed_writes
from .mixing import build_mixing, mix_batch
from .streamed_data import StreamedData


class SetEpoch(TrainerCallback):
    """Tells the training data and the sampler which epoch it is, so that their randomness can depend on it.

    Accelerate tells the sampler too, but not where a resumed run on several processes skips batches.
    """

    def __init__(self, trainer: "LongTailTrainer"):
        self.trainer = trainer

    def on_epoch_begin(self, args, state, control, train_dataloader=None, **kwargs):
        for listener in (getattr(train_dataloader, "dataset", None), self.trainer.train_sampler):
            set_epoch = getattr(listener, "set_epoch", None)
            if set_epoch is not None:
                set_epoch(int(state.epoch))


class LongTailTrainer(Trainer):
    """`transformers.Trainer` with loss parts in the log, the papers' schedules, samplers, and safe checkpoints.

    Args:
        sampler (`Callable[[Dataset], Sampler]`, *optional*):
            Makes the training sampler; it must draw the same indices on every rank (Accelerate deals them out) and
            may have `set_epoch`. A random permutation when absent.
        before_evaluation (`Callable[[], None]`, *optional*): called before each evaluation of the training.
        **kwargs: as for `transformers.Trainer`, with [`LongTailTrainingArguments`] as `args`.

    Raises:
        NonFiniteError: from `train`, when the loss or a weight stops being finite.
        CheckpointError: from `train`, when a checkpoint cannot be written.
    """

    args: LongTailTrainingArguments
    lr_scheduler: Any

    def __init__(
        self,
        *args,
        sampler: Callable[[Dataset], Sampler] | None = None,
        before_evaluation: Callable[[], None] | None = None,
        **kwargs,
    ):
        self._make_sampler = sampler
        self._before_evaluation = before_evaluation
        self.train_sampler: Sampler | None = None
        self._loss_part_sums: dict[str, torch.Tensor] = defaultdict(lambda: torch.zeros(()))
        self._loss_part_steps = 0
        super().__init__(*args, **kwargs)
        self._mix = build_mixing(self.args.mixup, self.args.cutmix, self.model.config.num_labels)
        if self.args.torch_optimizer is not None:
            self.optimizer_cls_and_kwargs = _torch_optimizer(self.args)
        self.add_callback(SetEpoch(self))
        if self.args.reweight_from is not None:
            self.add_callback(DeferredReweighting(self.model, self.args.reweight_from))

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> Sampler | None:
        if self._make_sampler is None:
            return super()._get_train_sampler(train_dataset)
        self.train_sampler = self._make_sampler(train_dataset if train_dataset is not None else self.train_dataset)
        return self.train_sampler

    def _get_dataloader(
        self, dataset, description, batch_size, sampler_fn=None, is_training=False, dataloader_key=None
    ):
        if not isinstance(dataset, StreamedData):
            return super()._get_dataloader(dataset, description, batch_size, sampler_fn, is_training, dataloader_key)
        # In training each process reads its own part; else the first reads and Accelerate deals out, which counts no
        # sample twice where batches do not come out even.
        processes = self.args.world_size if is_training else 1
        drop_last = is_training and self.args.dataloader_drop_last
        share = dataset.share(batch_size, processes, self.args.process_index if is_training else 0, drop_last)
        loader = DataLoader(
            share,
            batch_size,
            collate_fn=self.data_collator,
            num_workers=self.args.dataloader_num_workers,
            pin_memory=self.args.dataloader_pin_memory,
            drop_last=drop_last,
        )
        if not is_training:
            return self.accelerator.prepare(loader)
        return prepare_data_loader(
            loader,
            self.accelerator.device,
            num_processes=1,
            process_index=0,
            put_on_device=True,
            dispatch_batches=False,
        )

    def get_eval_dataloader(self, eval_dataset=None):
        """Of every sample: `dataloader_drop_last` is for the training alone."""
        drops_last, self.args.dataloader_drop_last = self.args.dataloader_drop_last, False
        try:
            return super().get_eval_dataloader(eval_dataset)
        finally:
            self.args.dataloader_drop_last = drops_last

    def evaluate(self, *args, **kwargs):
        if self._before_evaluation is not None:
            self._before_evaluation()
        return super().evaluate(*args, **kwargs)

    def get_decay_parameter_names(self, model) -> list[str]:
        names = super().get_decay_parameter_names(model)
        if getattr(self.model, "decays_vectors", True):
            return names
        matrices = {name for name, parameter in model.named_parameters() if parameter.ndim > 1}
        return [name for name in names if name in matrices]

    def create_optimizer(self, model=None) -> torch.optim.Optimizer:
        optimizer = super().create_optimizer(model)
        if len(optimizer.param_groups) == 2:
            self._split_groups(optimizer, self.model if model is None else model)
        return optimizer

    def _split_groups(self, optimizer: torch.optim.Optimizer, model: nn.Module) -> None:
        """Moves parameters with a learning rate of their own to groups of their own."""
        rates = {id(parameter): self._own_rate(name) for name, parameter in model.named_parameters()}
        for group in list(optimizer.param_groups):
            by_rate: dict[float | None, list[nn.Parameter]] = defaultdict(list)
            for parameter in group["params"]:
                by_rate[rates[id(parameter)]].append(parameter)
            group["params"] = by_rate.pop(None, [])
            settings = {key: value for key, value in group.items() if key != "params"}
            for rate, parameters in by_rate.items():
                optimizer.add_param_group({**settings, "params": parameters, "lr": rate})

    def _own_rate(self, name: str) -> float | None:
        """The learning rate of a parameter, where it is not that of all."""
        parts = [part for part in self.args.learning_rates if name.startswith(f"{part}.")]
        innermost = max(parts, key=len, default="")
        of_backbone = "vision_encoder." in name and "vision_encoder" not in innermost
        if of_backbone and self.args.backbone_learning_rate is not None:
            return self.args.backbone_learning_rate
        return self.args.learning_rates.get(innermost)

    def create_scheduler(self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None):
        if self.args.milestones and self.lr_scheduler is None:
            steps_per_epoch = num_training_steps / self.args.num_train_epochs
            milestones = [round(epoch * steps_per_epoch) for epoch in self.args.milestones]
            factor = partial(_step_factor, milestones, self.args.gamma, self.args.get_warmup_steps(num_training_steps))
            self.lr_scheduler = LambdaLR(optimizer if optimizer is not None else self.optimizer, factor)
            self._created_lr_scheduler = True
        return super().create_scheduler(num_training_steps, optimizer)

    def compute_loss(self, model, inputs, return_outputs: bool = False, num_items_in_batch=None):
        loss, outputs = super().compute_loss(model, inputs, True, num_items_in_batch)
        if model.training and outputs.get("loss_parts"):
            for name, part in outputs["loss_parts"].items():
                self._loss_part_sums[name] = self._loss_part_sums[name].to(part.device) + part.detach()
            self._loss_part_steps += 1
        return (loss, outputs) if return_outputs else loss

    def training_step(self, model, inputs, num_items_in_batch=None) -> torch.Tensor:
        if self._mix is not None:
            inputs = mix_batch(self._mix, inputs)
        loss = super().training_step(model, inputs, num_items_in_batch)
        if not torch.isfinite(loss):
            raise NonFiniteError(
                f"The loss is {loss.item()} at step {self.state.global_step + 1}. Lower the learning rate, set "
                "max_grad_norm, or train without bf16; the last checkpoint in "
                f"{self.args.output_dir} holds finite weights and resume=true starts from it."
            )
        return loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" in logs and self._loss_part_steps:
            for name, total in self._loss_part_sums.items():
                mean = self.accelerator.reduce(total / self._loss_part_steps, "mean")
                logs[f"loss_{name}"] = float(mean)
            self._loss_part_sums.clear()
            self._loss_part_steps = 0
        super().log(logs, start_time)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """As the Trainer's, but never of broken weights, and never leaving half a checkpoint behind."""
        check_finite(self.model, f"at step {self.state.global_step}")
        folder = Path(self.args.output_dir) / f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"
        try:
            with reporting_failed_writes(folder):
                super()._save_checkpoint(model, trial)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise


def _step_factor(milestones: list[int], gamma: float, warmup_steps: int, step: int) -> float:
    """Factor of the learning rate: rising in the warm-up, times `gamma` after each milestone."""
    warmup = min(1.0, (step + 1) / (warmup_steps + 1))
    return warmup * gamma ** bisect_right(milestones, step)


def _torch_optimizer(args: LongTailTrainingArguments) -> tuple[type[torch.optim.Optimizer], dict[str, Any]]:
    if args.torch_optimizer == "adam":
        betas = (args.adam_beta1, args.adam_beta2)
        return torch.optim.Adam, {"lr": args.learning_rate, "betas": betas, "eps": args.adam_epsilon}
    if args.torch_optimizer == "sgd":
        return torch.optim.SGD, {"lr": args.learning_rate, "momentum": args.momentum}
    raise ValueError(f"torch_optimizer={args.torch_optimizer!r} is unknown; expected 'adam' or 'sgd'.")


def last_whole_checkpoint(folder: str | Path) -> str | None:
    """The newest checkpoint in `folder` that was written to its end, or `None`.

    The Trainer writes `trainer_state.json` last, so a checkpoint whose state can be read is whole.
    """
    checkpoints = Path(folder).glob(f"{PREFIX_CHECKPOINT_DIR}-*")
    for checkpoint in sorted(checkpoints, key=_checkpoint_step, reverse=True):
        if _is_whole(checkpoint):
            return str(checkpoint)
    return None


def _is_whole(checkpoint: Path) -> bool:
    try:
        json.loads((checkpoint / TRAINER_STATE_NAME).read_text())
    except (OSError, ValueError):
        return False
    return True


def _checkpoint_step(checkpoint: Path) -> float:
    number = checkpoint.name.removeprefix(f"{PREFIX_CHECKPOINT_DIR}-")
    return int(number) if number.isdigit() else -math.inf


__all__ = ["LongTailTrainer", "last_whole_checkpoint"]
