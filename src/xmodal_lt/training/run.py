"""Runs a recipe: its stages in order, then the evaluation; resumes where a run was cut off."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from torch import Tensor
from torch.utils.data import Dataset, Sampler
from transformers import set_seed
from transformers.utils import logging

from xmodal_lt.analysis import plot_per_class_scores, plot_training_curves, save_figure
from xmodal_lt.data.samplers import build_sampler
from xmodal_lt.metrics import overall_scores, results_table, write_per_class_csv
from xmodal_lt.processing import XModalCollator, XModalProcessor

from .arguments import LongTailTrainingArguments
from .checks import check_stages, encoder_is_frozen, stage_loss, stage_settings
from .class_text import build_class_text, fit_class_text, update_class_embeds
from .data_fingerprint import fingerprint_of_inputs, fingerprint_of_rows
from .evaluation import epoch_metrics, evaluate_privileged, evaluate_splits, evaluation_trainer, main_score
from .failures import reporting_failed_writes
from .feature_cache import cached_features
from .inputs import augmentation, build_processor, check_checkpoint_images, check_image_size, image_part
from .output_folder import OutputFolder, write_text
from .rebalancing import Features, rebalance
from .recipe import AnchorsRecipe, Recipe, StageRecipe
from .setup import build_model, build_tokenizer, load_data
from .sharded_training import is_sharded, whole_model
from .sources import dataset_source, hub_models
from .streamed_data import StreamedData
from .trainer import LongTailTrainer
from .training_data import (
    CachedFeatureData,
    TrainingData,
    evaluation_data,
    privileged_evaluation_data,
    training_data,
)


logger = logging.get_logger(__name__)

_PACKAGES = ("xmodal-lt", "torch", "torchvision", "transformers", "datasets", "accelerate", "timm", "numpy")


@dataclass(frozen=True)
class Results:
    """What a run produced.

    Args:
        output_dir (`Path`): folder with the model, its processor, `results.json`, tables and figures.
        values (`dict`): the content of `results.json`.
    """

    output_dir: Path
    values: dict[str, Any]

    def table(self, split: str = "test") -> str:
        """The scores of a split as text: all, head, medium and tail, and overall."""
        results = self.values["splits"][split]
        return f"{results_table(results)}\n{overall_scores(results)}"


def run_recipe(recipe: Recipe) -> Results:
    """Trains and evaluates the model of a recipe.

    Every stage starts from the seed and from the weights that the stage before left, whether in this process or in an
    interrupted one, so a resumed run ends with the weights of an uninterrupted one (bit for bit on CPU).

    Args:
        recipe ([`Recipe`]): what to run.

    Returns:
        [`Results`].

    Raises:
        ValueError: for bad input; see [`Recipe`], `load_lt` and the models.
        NonFiniteError: when training diverges.
        CheckpointError: when a checkpoint cannot be written.
    """
    folder = OutputFolder(recipe.output_dir)
    folder.check(recipe)
    if folder.results.exists() and not recipe.overwrite:
        logger.warning(f"{folder.path} is finished; delete results.json to evaluate it again.")
        return Results(folder.path, json.loads(folder.results.read_text()))
    return _Run(recipe, folder).execute()


class _Run:
    """One run in one process; under `accelerate launch` each process has its own."""

    def __init__(self, recipe: Recipe, folder: OutputFolder):
        self.recipe = recipe
        self.folder = folder
        # The others wait while the first process reads the data or encodes images, for hours if need be.
        self.state = PartialState(cpu=not torch.accelerator.is_available(), timeout=timedelta(days=1))
        with self.state.main_process_first():
            self.data = load_data(recipe.dataset, recipe.seed)
        self.tokenizer = build_tokenizer(recipe, self.data)
        set_seed(recipe.seed)
        self.model = build_model(recipe, self.data, self.tokenizer)
        self.class_text = build_class_text(recipe, self.data, self.model.config)
        check_stages(recipe, self.model, self._labels("train"), self.has_validation)
        self.encodes_once = all(self._uses_cache(name, stage) for name, stage in recipe.stages.items())
        for name, stage in recipe.stages.items():
            self._arguments(name, stage)
            if recipe.dataset.streaming and stage.sampler is not None and not self._uses_cache(name, stage):
                raise ValueError(
                    f"stages.{name}.sampler={stage.sampler} draws single rows, and a stream is read in the order of "
                    "its files; leave it out, and re-balance by the loss, or set dataset.streaming=false."
                )
        if getattr(self.model.config, "privileged_encoder", None) is None:
            self.data = self.data.without_privileged_features()
        self.processor = build_processor(recipe, self.model, self.tokenizer)
        self.image_processor = image_part(self.processor)
        augmentation(recipe.images, self.image_processor)
        check_checkpoint_images(recipe, self.model, self.image_processor)
        check_image_size(recipe.images, self.model)
        self._model_class: Any = type(self.model)
        if recipe.channels_last and not is_sharded():  # neither FSDP nor DeepSpeed takes such weights
            self.model = self.model.to(memory_format=torch.channels_last)
        self.collator = XModalCollator(
            self.processor,
            problem_type=self.data.problem_type,
            num_labels=self.data.stats.num_classes,
            tokenizer=self.tokenizer,
            encode_sentences=None if self.class_text is None else self.class_text.encode,
        )

    def execute(self) -> Results:
        if self.state.is_main_process:
            self.folder.claim(self.recipe, fingerprint_of_rows(self.data.splits))
        self.state.wait_for_everyone()
        for index, (name, stage) in enumerate(self.recipe.stages.items()):
            set_seed(self.recipe.seed + index)
            if self.folder.finished_stage(name).exists():
                self._load(self.folder.finished_stage(name))
            else:
                self._train_stage(name, stage)
        if self.class_text is not None and all(self.model.stages[name].reads_sentences for name in self.recipe.stages):
            self._fit_class_text()
        self.model.set_stage(None)
        rebalanced = self._rebalance()
        values = {**self._evaluate(), **rebalanced}
        if self.state.is_main_process:
            self._save(values)
        self.state.wait_for_everyone()
        return Results(self.folder.path, values)

    @property
    def has_validation(self) -> bool:
        return "validation" in self.data.splits

    def _load(self, folder: Path) -> None:
        loaded = type(self.model).from_pretrained(folder)
        self.model.load_state_dict(loaded.state_dict())

    def _train_stage(self, name: str, stage: StageRecipe) -> None:
        self.model.set_stage(name)
        if stage.reset:
            self.model.reset_trained()
        if self.class_text is not None and not self.model.reads_sentences:
            self._fit_class_text()
        train, validation = self._stage_data(stage)
        with stage_settings(self.model, stage), stage_loss(self.model, stage):
            trainer = LongTailTrainer(
                model=self.model,
                args=self._arguments(name, stage),
                train_dataset=train,
                eval_dataset=validation,
                data_collator=self.collator,
                compute_metrics=epoch_metrics(self.data.stats, self.data.problem_type),
                sampler=self._sampler(stage),
                before_evaluation=self._update_class_embeds if self.model.reads_sentences else None,
            )
            trainer.train(resume_from_checkpoint=self.folder.last_checkpoint(name))
        model = whole_model(trainer, self._model_class) if is_sharded() else self.model
        if self.state.is_main_process:
            self.folder.finish_stage(name, model, trainer.state.log_history)
        self.state.wait_for_everyone()
        if is_sharded():
            self.model = self._model_class.from_pretrained(self.folder.finished_stage(name))

    def _update_class_embeds(self) -> None:
        assert self.class_text is not None  # where it is called
        update_class_embeds(self.model, self.class_text, self.state.device)

    def _fit_class_text(self) -> None:
        """Fits what the head takes from the sentences, and leaves a list of those that were chosen."""
        assert self.class_text is not None
        anchors = self.recipe.anchors or AnchorsRecipe()
        chosen = fit_class_text(
            self.model, self.class_text, anchors, self._plain_features, self.recipe.seed, self.state.device
        )
        if chosen and self.state.is_main_process:
            with reporting_failed_writes(self.folder.path):
                write_text(self.folder.path / "anchors.json", json.dumps(chosen, indent=1, ensure_ascii=False))

    def _rebalance(self) -> dict[str, Any]:
        """Changes the head as the recipe says; what to note of it in the results."""
        if self.recipe.rebalance is None:
            return {}
        return {"rebalance": rebalance(self.recipe.rebalance, self.model, self._plain_features)}

    def _plain_features(self, split: str, choose: Callable[[Tensor], Tensor] | None = None) -> Features:
        """Features of a split's images as they are, from the cache; of all, or of the rows chosen by their labels."""
        cached = self._cache(evaluation_data(self.data.rows(split)), split, 0)
        labels = torch.tensor(cached.labels)
        rows = torch.arange(len(labels)) if choose is None else choose(labels)
        return Features(torch.from_numpy(cached.features[0][rows.numpy()]), labels[rows])

    def _labels(self, split: str) -> list[Any]:
        rows = self.data.splits[split]
        return rows["labels" if "labels" in rows.column_names else "label"][:]

    def _uses_cache(self, name: str, stage: StageRecipe) -> bool:
        """Whether a stage leaves the vision encoder as it is and trains on cached features."""
        self.model.set_stage(name)
        frozen = encoder_is_frozen(self.model)
        self.model.set_stage(None)
        return frozen and stage.cache_features

    def _stage_data(self, stage: StageRecipe) -> tuple[Dataset, Dataset | None]:
        """Training and validation data: images, or cached features where the stage freezes the vision encoder."""
        cached = encoder_is_frozen(self.model) and stage.cache_features
        augmented = not cached or stage.views > 0
        transform = augmentation(self.recipe.images, self.image_processor) if augmented else None
        corpus = self.class_text.corpus if self.class_text is not None and self.model.reads_sentences else None
        buffer = self.recipe.dataset.shuffle_buffer
        train = training_data(self.data.rows("train"), transform, self.recipe.seed, corpus, buffer)
        validation = evaluation_data(self.data.rows("validation"), corpus) if self.has_validation else None
        if not cached:
            return train, validation
        cached_validation = None if validation is None else self._cache(validation, "validation", 0)
        return self._cache(train, "train", stage.views), cached_validation

    def _cache(self, data: TrainingData | StreamedData, split: str, views: int) -> CachedFeatureData:
        features = cached_features(
            self.model,
            data,
            self.collator,
            directory=self.recipe.cache_dir or self.folder.path / "cache",
            data_key=self._data_key(split, views),
            views=views,
            batch_size=min((64, *(stage.batch_size for stage in self.recipe.stages.values()))),
            num_workers=self.recipe.num_workers,
            device=self.state.device,
        )
        return CachedFeatureData(data, features)

    def _data_key(self, split: str, views: int) -> str:
        """Names the rows and how their images are read, for the feature cache."""
        image_settings = self.image_processor.to_json_string()
        augmented = f"{self.recipe.images}{self.recipe.seed}" if views else ""
        return hashlib.sha256(
            "/".join((fingerprint_of_inputs(self.data.splits[split]), image_settings, augmented)).encode()
        ).hexdigest()[:16]

    def _sampler(self, stage: StageRecipe) -> Callable[[Any], Sampler] | None:
        name = stage.sampler
        if name is None:
            return None
        return lambda data: build_sampler(name, data.labels, self.recipe.seed, **stage.sampler_kwargs)

    def _arguments(self, name: str, stage: StageRecipe) -> LongTailTrainingArguments:
        processes = self.state.num_processes
        if stage.batch_size % processes:
            raise ValueError(
                f"stages.{name}.batch_size={stage.batch_size} is shared by {processes} processes; make it a multiple "
                "of their number."
            )
        return LongTailTrainingArguments(
            output_dir=str(self.folder.stage(name)),
            num_train_epochs=stage.epochs,
            per_device_train_batch_size=stage.batch_size // processes,
            per_device_eval_batch_size=stage.batch_size,
            logging_steps=self.recipe.logging_steps,
            logging_first_step=True,  # a short stage has something to draw
            logging_nan_inf_filter=False,
            report_to=self.recipe.report_to or "none",
            bf16=self.recipe.bf16,
            use_cpu=self.state.device.type == "cpu",
            dataloader_num_workers=self.recipe.num_workers,
            remove_unused_columns=False,
            label_names=["labels"],
            seed=self.recipe.seed,
            ddp_find_unused_parameters=True,
            **self._of_sentences(name, stage),
            **_optimization(stage),
            **self._checkpointing(stage),
        )

    def _of_sentences(self, name: str, stage: StageRecipe) -> dict[str, Any]:
        """What differs for a method that learns from sentences about the classes."""
        if self.class_text is None:
            return {}
        # A contrastive loss of a small last batch is another loss; and a batch filled up has images twice.
        drops_last = self.model.stages[name].reads_sentences and len(self.data.splits["train"]) >= stage.batch_size
        # Without batch statistics nothing changes in the buffers, which hold thousands of sentences.
        constant = not self.model.config.train_mode
        return {"dataloader_drop_last": drops_last, "ddp_broadcast_buffers": False if constant else None}

    def _checkpointing(self, stage: StageRecipe) -> dict[str, Any]:
        save_steps = self.recipe.save_steps
        arguments = {
            "eval_strategy": "epoch" if self.has_validation else "no",
            "save_strategy": "epoch" if save_steps is None else "steps",
            "save_steps": save_steps or 500,
            "save_total_limit": 2,
        }
        if stage.keep == "best":
            arguments |= {"load_best_model_at_end": True, "metric_for_best_model": main_score(self.data.problem_type)}
        return arguments

    def _evaluate(self) -> dict[str, Any]:
        trainer = evaluation_trainer(
            self.model,
            self.collator,
            self.folder.path,
            batch_size=64,
            num_workers=self.recipe.num_workers,
            use_cpu=self.state.device.type == "cpu",
        )
        names = [name for name in ("validation", "test") if name in self.data.splits]
        splits = {name: self._evaluation_data(name, evaluation_data(self.data.rows(name))) for name in names}
        results = evaluate_splits(trainer, splits, self.data.stats, self.data.problem_type)
        return {**results, **self._evaluate_privileged(trainer, names), **self._provenance()}

    def _evaluation_data(self, split: str, data: TrainingData | StreamedData) -> Dataset:
        """The samples themselves or, where no stage trained the encoder, their cached features."""
        return self._cache(data, split, 0) if self.encodes_once else data

    def _evaluate_privileged(self, trainer: LongTailTrainer, names: list[str]) -> dict[str, Any]:
        """Scores of the branches that read the true words, for models that have such, of the splits with words."""
        if not getattr(self.model, "privileged_branches", ()):
            return {}
        splits = {name: privileged_evaluation_data(self.data.rows(name)) for name in names}
        given = {name: self._evaluation_data(name, data) for name, data in splits.items() if data is not None}
        return {"privileged_branches": evaluate_privileged(trainer, given, self.data.stats, self.data.problem_type)}

    def _provenance(self) -> dict[str, Any]:
        train = self.data.splits["train"]
        return {
            "model_type": self.recipe.model.type,
            "seed": self.recipe.seed,
            "recipe": self.recipe.fingerprint(),
            "dataset": {
                "name": self.recipe.dataset.name or self.recipe.dataset.path,
                "source": dataset_source(self.recipe.dataset),
                "version": str(train.info.version) if train.info.version else None,
                "fingerprint": train._fingerprint,
                "rows": {name: len(rows) for name, rows in self.data.splits.items()},
            },
            "hub_models": hub_models(self.recipe.model),
            "parameters": sum(parameter.numel() for parameter in self.model.parameters()),
            "versions": {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}},
        }

    def _save(self, values: dict[str, Any]) -> None:
        with reporting_failed_writes(self.folder.path):
            self._write_files(values)

    def _write_files(self, values: dict[str, Any]) -> None:
        self.model.save_pretrained(self.folder.path)
        self.processor.save_pretrained(self.folder.path)
        tokenizer = self.tokenizer if self.class_text is None else self.class_text.tokenizer
        if tokenizer is not None and not isinstance(self.processor, XModalProcessor):
            tokenizer.save_pretrained(self.folder.path)
        history = {name: self.folder.stage_history(name) for name in self.recipe.stages}
        write_text(self.folder.history, json.dumps(history))
        figures = self.folder.path / "figures"
        if history:
            save_figure(plot_training_curves(history), figures / "training_curves.png")
        for split, results in values["splits"].items():
            write_per_class_csv(results, self.folder.path / f"per_class_{split}.csv")
            if results["groups"]["all"]["num_test"]:  # of a multi-label split, whose images may all be without labels
                save_figure(plot_per_class_scores(results), figures / f"per_class_{split}.png")
        write_text(self.folder.results, json.dumps(values, indent=2))


def _optimization(stage: StageRecipe) -> dict[str, Any]:
    steps = stage.scheduler == "step"
    return {
        "learning_rate": stage.learning_rate,
        "backbone_learning_rate": stage.backbone_learning_rate,
        "learning_rates": stage.learning_rates or {},
        "mixup": stage.mixup,
        "cutmix": stage.cutmix,
        "torch_optimizer": None if stage.optimizer == "adamw" else stage.optimizer,
        "momentum": stage.momentum,
        "weight_decay": stage.weight_decay,
        "max_grad_norm": stage.max_grad_norm,
        "lr_scheduler_type": "constant_with_warmup" if steps or stage.scheduler == "constant" else stage.scheduler,
        "milestones": stage.milestones if steps else [],
        "gamma": stage.gamma,
        "reweight_from": stage.reweight_from,
        "warmup_steps": stage.warmup_ratio,
    }


__all__ = ["Results", "run_recipe"]
