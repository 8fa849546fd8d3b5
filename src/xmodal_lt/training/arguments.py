"""Arguments of [`LongTailTrainer`]."""

from dataclasses import dataclass, field

from transformers import TrainingArguments


@dataclass
class LongTailTrainingArguments(TrainingArguments):
    """`transformers.TrainingArguments` and what the papers' recipes need beside them.

    Args:
        torch_optimizer (`str`, *optional*):
            `"adam"` (weight decay as L2, as in the papers) or `"sgd"`; `optim` decides when absent.
        momentum (`float`, *optional*, defaults to 0.9): momentum of SGD.
        backbone_learning_rate (`float`, *optional*):
            Peak learning rate of the vision encoder; `learning_rate` when absent.
        learning_rates (`dict[str, float]`, *optional*):
            Peak learning rates of submodules by dotted name; of nested ones the innermost counts.
        mixup (`float`, *optional*, defaults to 0.0): alpha of Mixup on batches of images; 0 for none.
        cutmix (`float`, *optional*, defaults to 0.0): alpha of CutMix; with both, each batch draws one of them.
        milestones (`list[float]`, *optional*):
            Epochs after which every learning rate is multiplied by `gamma`; replaces `lr_scheduler_type`, but for
            its warm-up.
        gamma (`float`, *optional*, defaults to 0.1): factor at each milestone.
        reweight_from (`float`, *optional*):
            Epoch from which the class weights of the model's loss count (deferred re-weighting); from the start when
            absent.
    """

    torch_optimizer: str | None = None
    momentum: float = 0.9
    backbone_learning_rate: float | None = None
    learning_rates: dict[str, float] = field(default_factory=dict)
    mixup: float = 0.0
    cutmix: float = 0.0
    milestones: list[float] = field(default_factory=list)
    gamma: float = 0.1
    reweight_from: float | None = None


__all__ = ["LongTailTrainingArguments"]
