import json
import resource
from typing import ClassVar

import pytest
import torch
from torch import nn
from torch.utils.data import SequentialSampler

from xmodal_lt import VLLTRConfig, VLLTRForImageClassification
from xmodal_lt.modeling.configuration_cmltnet import CMLTNetConfig
from xmodal_lt.modeling.modeling_cmltnet import CMLTNetForImageClassification
from xmodal_lt.training import CheckpointError, LongTailTrainer, LongTailTrainingArguments, NonFiniteError
from xmodal_lt.training.trainer import last_whole_checkpoint


class Rows(torch.utils.data.Dataset):
    """Eight samples of cached features with words."""

    def __init__(self, width, broken=False):
        generator = torch.Generator().manual_seed(0)
        self.features = torch.randn(8, width, generator=generator)
        if broken:
            self.features[5] = float("nan")
        self.epochs = []

    def set_epoch(self, epoch):
        self.epochs.append(epoch)

    def __len__(self):
        return 8

    def __getitem__(self, index):
        return {"features": self.features[index], "input_ids": torch.tensor([2 + index % 4]), "labels": index % 3}


@pytest.fixture
def model():
    torch.manual_seed(0)
    sizes = {"shared_size": 8, "semantic_size": 8, "word_embedding_size": 8, "transfer_hidden_size": 8, "top_k": 2}
    model = CMLTNetForImageClassification(CMLTNetConfig(backbone="test_resnet", vocab_size=6, num_labels=3, **sizes))
    model.set_stage("infer")
    return model


@pytest.fixture
def make_trainer(model, tmp_path):
    def make(data=None, sampler=None, **arguments):
        args = LongTailTrainingArguments(
            output_dir=str(tmp_path),
            remove_unused_columns=False,
            report_to="none",
            logging_steps=1,
            logging_nan_inf_filter=False,
            use_cpu=True,
            disable_tqdm=True,
            **{
                "per_device_train_batch_size": 4,
                "num_train_epochs": 2,
                "learning_rate": 0.1,
                "save_strategy": "no",
                **arguments,
            },
        )
        data = data or Rows(model.get_vision_encoder().hidden_size)
        return LongTailTrainer(model=model, args=args, train_dataset=data, sampler=sampler)

    return make


def test_log_holds_the_mean_of_each_loss_part(make_trainer, model):
    trainer = make_trainer()
    trainer.train()
    logs = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert len(logs) == 4
    for entry in logs:
        weighted = sum(weight * entry[f"loss_{name}"] for name, weight in model.stage.loss_weights.items())
        assert entry["loss"] == pytest.approx(weighted, rel=1e-5)


def test_learning_rate_drops_after_the_milestones(make_trainer):
    trainer = make_trainer(num_train_epochs=4, milestones=[1, 3], gamma=0.1, learning_rate=1.0)
    trainer.train()
    rates = [entry["learning_rate"] for entry in trainer.state.log_history if "loss" in entry]
    assert rates == pytest.approx([1, 1, 0.1, 0.1, 0.1, 0.1, 0.01, 0.01])


def test_learning_rate_rises_before_the_milestones(make_trainer):
    trainer = make_trainer(num_train_epochs=4, milestones=[3], gamma=0.1, learning_rate=1.0, warmup_steps=3)
    trainer.train()
    rates = [entry["learning_rate"] for entry in trainer.state.log_history if "loss" in entry]
    assert rates == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1, 0.1, 0.1])


def test_backbone_has_its_own_learning_rate(make_trainer, model):
    model.set_stage("joint")
    trainer = make_trainer(torch_optimizer="sgd", backbone_learning_rate=0.001, learning_rate=0.5)
    trainer.create_optimizer()
    rates = {id(p): group["lr"] for group in trainer.optimizer.param_groups for p in group["params"]}
    assert len(rates) == len(list(model.parameters()))
    for name, parameter in model.named_parameters():
        assert rates[id(parameter)] == (0.001 if "vision_encoder." in name else 0.5), name


def _setting(trainer, key):
    """A setting of the optimizer for every parameter, by its name."""
    values = {id(p): group[key] for group in trainer.create_optimizer().param_groups for p in group["params"]}
    return {name: values[id(parameter)] for name, parameter in trainer.model.named_parameters()}


def test_parts_have_their_own_learning_rates_and_the_innermost_counts(make_trainer, model):
    model.set_stage("joint")
    decays = _setting(make_trainer(weight_decay=0.1), "weight_decay")
    inner, outer = "cmltnet.vision_encoder.model.layer4", "cmltnet.vision_encoder.model"
    own = {
        outer: 0.4,
        inner: 0.3,
        "fused_classifier": 0.2,
        "cmltnet.word": 0.9,
    }  # the last is no part, but its letters
    trainer = make_trainer(learning_rates=own, learning_rate=0.5, weight_decay=0.1)
    rates = _setting(trainer, "lr")
    for name, rate in rates.items():
        if name.startswith(f"{outer}."):
            assert rate == (0.3 if name.startswith(f"{inner}.") else 0.4), name
        else:
            assert rate == (0.2 if name.startswith("fused_classifier.") else 0.5), name
    assert set(rates.values()) == {0.2, 0.3, 0.4, 0.5}
    assert _setting(trainer, "weight_decay") == decays
    assert set(decays.values()) == {0.0, 0.1}


def test_the_backbones_learning_rate_goes_with_those_of_parts(make_trainer, model):
    model.set_stage("joint")
    trainer = make_trainer(backbone_learning_rate=0.05, learning_rates={"fused_classifier": 0.2}, learning_rate=0.5)
    for name, rate in _setting(trainer, "lr").items():
        expected = 0.05 if ".vision_encoder." in name else 0.2 if name.startswith("fused_classifier.") else 0.5
        assert rate == expected, name


def test_the_backbones_learning_rate_is_inside_an_outer_part(make_trainer, model):
    model.set_stage("joint")
    rates = {"cmltnet": 0.2, "cmltnet.vision_encoder.model.layer4": 0.3}
    trainer = make_trainer(backbone_learning_rate=0.05, learning_rates=rates, learning_rate=0.5)
    for name, rate in _setting(trainer, "lr").items():
        inside = 0.3 if ".layer4." in name else 0.05
        expected = inside if ".vision_encoder." in name else 0.2 if name.startswith("cmltnet.") else 0.5
        assert rate == expected, name


def test_of_vl_ltr_matrices_alone_have_weight_decay(make_trainer, model, tmp_path):
    text = {"vocab_size": 9, "hidden_size": 4, "intermediate_size": 4, "num_hidden_layers": 1, "projection_dim": 4}
    text |= {"num_attention_heads": 1, "bos_token_id": 0, "eos_token_id": 1}
    encoder = {"kind": "clip", "config": text, "pooling": None, "normalize": False, "max_tokens": 8}
    config = VLLTRConfig(
        backbone="test_resnet", text_backbone="clip:none", text_backbone_config=encoder, distillation_weight=0
    )
    vl_ltr = VLLTRForImageClassification(config)
    vl_ltr.set_stage("pretrain")
    args = LongTailTrainingArguments(output_dir=str(tmp_path), weight_decay=0.1, use_cpu=True, report_to="none")
    trainer = LongTailTrainer(model=vl_ltr, args=args)
    groups = trainer.create_optimizer().param_groups
    scale = vl_ltr.vl_ltr.logit_scale.weight
    assert [group["weight_decay"] for group in groups if any(p is scale for p in group["params"])] == [0.0]
    norms = {id(module.weight) for module in vl_ltr.modules() if isinstance(module, torch.nn.BatchNorm2d)}
    decays = {group["weight_decay"] for group in groups for p in group["params"] if id(p) in norms}
    assert decays == {0.0}
    weight = vl_ltr.vl_ltr.visual_projection.weight
    assert [group["weight_decay"] for group in groups if any(p is weight for p in group["params"])] == [0.1]


@pytest.mark.parametrize(
    ("name", "kind"), [("adam", torch.optim.Adam), ("sgd", torch.optim.SGD), (None, torch.optim.AdamW)]
)
def test_optimizer_is_the_named_one(make_trainer, name, kind):
    assert type(make_trainer(torch_optimizer=name).create_optimizer()) is kind


def test_sampler_decides_the_order(make_trainer):
    trainer = make_trainer(sampler=SequentialSampler)
    batches = [batch["labels"].tolist() for batch in trainer.get_train_dataloader()]
    assert batches == [[0, 1, 2, 0], [1, 2, 0, 1]]


def test_evaluation_keeps_the_last_batch_that_training_drops(make_trainer, model):
    sizes = {"per_device_train_batch_size": 3, "per_device_eval_batch_size": 3}
    trainer = make_trainer(dataloader_drop_last=True, **sizes)
    data = Rows(model.get_vision_encoder().hidden_size)
    assert [len(batch["labels"]) for batch in trainer.get_eval_dataloader(data)] == [3, 3, 2]
    assert [len(batch["labels"]) for batch in trainer.get_train_dataloader()] == [3, 3]


def test_data_and_sampler_are_told_the_epoch(make_trainer, model):
    class EpochSampler(SequentialSampler):
        epochs: ClassVar[list[int]] = []

        def set_epoch(self, epoch):
            self.epochs.append(epoch)

    data = Rows(model.get_vision_encoder().hidden_size)
    make_trainer(data, sampler=EpochSampler).train()
    assert list(dict.fromkeys(data.epochs)) == [0, 1]
    assert list(dict.fromkeys(EpochSampler.epochs)) == [0, 1]


def test_loss_that_is_not_finite_stops_and_keeps_the_last_checkpoint(make_trainer, model, tmp_path):
    width = model.get_vision_encoder().hidden_size
    make_trainer(save_strategy="epoch", num_train_epochs=1).train()
    checkpoint = last_whole_checkpoint(tmp_path)
    with pytest.raises(NonFiniteError, match=r"nan at step .*learning rate"):
        make_trainer(Rows(width, broken=True), save_strategy="epoch").train()
    assert last_whole_checkpoint(tmp_path) == checkpoint
    assert all(torch.isfinite(p).all() for p in type(model).from_pretrained(checkpoint).parameters())


def test_broken_weights_are_never_saved(make_trainer, model, tmp_path):
    trainer = make_trainer(save_strategy="steps", save_steps=1)
    nn.init.constant_(model.fused_classifier.weight, float("inf"))
    with pytest.raises(NonFiniteError, match=r"fused_classifier\.weight"):
        trainer.train()
    assert last_whole_checkpoint(tmp_path) is None


def test_full_disk_leaves_the_checkpoint_before_whole(make_trainer, tmp_path):
    make_trainer(save_strategy="epoch", num_train_epochs=1).train()
    checkpoint = last_whole_checkpoint(tmp_path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))  # files of more than 20 kB fail, as on a full disk
    try:
        with pytest.raises(CheckpointError, match=r"written before is whole.*resume=true"):
            make_trainer(save_strategy="epoch").train(resume_from_checkpoint=checkpoint)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [folder.name for folder in tmp_path.glob("checkpoint-*")] == ["checkpoint-2"]
    assert last_whole_checkpoint(tmp_path) == checkpoint


def test_last_whole_checkpoint_passes_over_unfinished_ones(tmp_path):
    for step, text in ((9, json.dumps({"global_step": 9})), (10, '{"global_st'), (100, None)):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        if text is not None:
            (folder / "trainer_state.json").write_text(text)
    assert last_whole_checkpoint(tmp_path).endswith("checkpoint-9")
    assert last_whole_checkpoint(tmp_path / "nowhere") is None
