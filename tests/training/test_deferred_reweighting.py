import pytest
import torch

from xmodal_lt import ImageClassifier, ImageClassifierConfig
from xmodal_lt.training import LongTailTrainer, LongTailTrainingArguments


class Rows(torch.utils.data.Dataset):
    def __init__(self, width):
        self.features = torch.randn(8, width, generator=torch.Generator().manual_seed(0))

    def __len__(self):
        return 8

    def __getitem__(self, index):
        return {"features": self.features[index], "labels": index % 2}


@pytest.fixture
def make_trainer(tmp_path):
    """Two steps an epoch at a learning rate of 0, so that only the weights change the loss."""

    def make(weighting="inverse", **arguments):
        torch.manual_seed(0)
        kwargs = {"label_smoothing": 0.1} | ({"weighting": weighting} if weighting else {})
        model = ImageClassifier(
            ImageClassifierConfig(
                backbone="test_resnet", num_labels=2, class_counts=[9, 1], classification_loss_kwargs=kwargs
            )
        )
        model.set_stage("head")
        args = LongTailTrainingArguments(
            output_dir=str(tmp_path),
            per_device_train_batch_size=4,
            learning_rate=0.0,
            logging_steps=1,
            report_to="none",
            use_cpu=True,
            disable_tqdm=True,
            **{"num_train_epochs": 4, "save_strategy": "no", **arguments},
        )
        return LongTailTrainer(model=model, args=args, train_dataset=Rows(model.get_vision_encoder().hidden_size))

    return make


def _losses(trainer):
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def _train(trainer, **kwargs):
    trainer.train(**kwargs)
    return _losses(trainer)


@pytest.mark.parametrize(("start", "unweighted_steps"), [(0, 0), (2, 4), (2.5, 5)])
def test_weights_count_from_the_epoch_on(make_trainer, start, unweighted_steps):
    plain, weighted = _train(make_trainer(None)), _train(make_trainer())
    assert all(abs(a - b) > 1e-3 for a, b in zip(plain, weighted, strict=True))
    deferred = _train(make_trainer(reweight_from=start))
    assert deferred == plain[:unweighted_steps] + weighted[unweighted_steps:]


def test_resumed_training_has_the_weights_of_an_uninterrupted_one(make_trainer, tmp_path):
    whole = _train(make_trainer(reweight_from=2.5, save_strategy="steps", save_steps=5))
    resumed = _train(make_trainer(reweight_from=2.5), resume_from_checkpoint=str(tmp_path / "checkpoint-5"))
    assert resumed == whole


def test_checkpoints_name_the_weights_that_do_not_count_yet(make_trainer, tmp_path):
    trainer = make_trainer(reweight_from=3, save_strategy="steps", save_steps=2)
    trainer.train()
    saved = ImageClassifier.from_pretrained(tmp_path / "checkpoint-2")
    assert saved.config.classification_loss_kwargs["weighting"] == "inverse"
    assert trainer.model.class_weights_count


def test_needs_class_weights_to_defer(make_trainer):
    with pytest.raises(ValueError, match=r"reweight_from=2 defers class weights, but the loss has none.*weighting"):
        make_trainer(None, reweight_from=2)
