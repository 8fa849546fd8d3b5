"""From a recipe to the objects that a run needs: data, processor and model."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import partial
from typing import Any

import datasets
from transformers import PreTrainedTokenizerBase

from xmodal_lt.data import ClassStats, dataset_spec, list_datasets, load_lt, read_features
from xmodal_lt.data.class_stats_cache import cached_class_stats
from xmodal_lt.data.loading import open_streams
from xmodal_lt.data.messages import some_of
from xmodal_lt.data.sharded_stream import ShardedStream
from xmodal_lt.modeling.modeling_long_tail import LongTailPreTrainedModel
from xmodal_lt.modeling.vision_encoder import FEATURES_PREFIX
from xmodal_lt.processing import build_word_tokenizer
from xmodal_lt.registry import get_method

from .checkpoint import checkpoint_config, saved_vocabulary
from .early_checks import check_config, field_names, own_fields
from .recipe import DatasetRecipe, ModelRecipe, Recipe
from .training_data import Rows
from .validation_split import carve_validation


@dataclass(frozen=True)
class LongTailData:
    """The splits of a data set and what is known of its classes.

    Args:
        splits (`datasets.DatasetDict`): `train` and, as the data has them, `validation` and `test`.
        stats (`ClassStats`):
            Of the whole training split, with the images that validation was carved from: they decide the head, medium
            and tail groups and are the `train_count` of results, whatever `dataset.validation_fraction` is.
        trained_stats (`ClassStats`):
            Of the rows of `splits["train"]` alone, which are trained on: they are the model's `class_counts` and
            `num_samples`, for priors and class weights. Without a carved validation split the same as `stats`.
        problem_type (`str`): `"single_label_classification"` or `"multi_label_classification"`.
        streams (`dict[str, ShardedStream]`, *optional*):
            With streaming, the rows with their images, which those of `splits` are without.
    """

    splits: datasets.DatasetDict
    stats: ClassStats
    trained_stats: ClassStats
    problem_type: str
    streams: dict[str, ShardedStream] | None = None

    def rows(self, split: str) -> Rows:
        """What samples of a split are made of: its table or its stream."""
        return self.splits[split] if self.streams is None else self.streams[split]

    @property
    def has_words(self) -> bool:
        return "words" in self.splits["train"].column_names

    @property
    def has_videos(self) -> bool:
        """Whether samples are videos, as sequences of features, and not images."""
        return self.streams is None and "image" not in self.splits["train"].column_names

    @property
    def has_privileged_features(self) -> bool:
        return "privileged_features" in self.splits["train"].column_names

    def feature_width(self, column: str) -> int:
        """Width of the features of the first training sample that has any in that column."""
        for reference in self.splits["train"][column][:]:
            if reference is not None:
                return read_features(reference).shape[1]
        raise ValueError(f"No training sample has {column}; add them, or leave the column out.")

    def without_privileged_features(self) -> LongTailData:
        """The same for a model that does not learn from them, so that nothing reads them."""
        column = "privileged_features"  # which some splits may lack
        splits = {
            split: rows.remove_columns(column) if column in rows.column_names else rows
            for split, rows in self.splits.items()
        }
        return dataclasses.replace(self, splits=datasets.DatasetDict(splits))


def load_data(recipe: DatasetRecipe, seed: int) -> LongTailData:
    """Loads the data set of a recipe, with a validation split and the statistics of its training classes.

    Raises:
        ValueError: as `load_lt`; for a class without a training sample.
    """
    kwargs = {name: value for name, value in recipe.kwargs.items() if value is not None}
    if recipe.name is None and "privileged_features" in kwargs:
        raise ValueError(
            "dataset.kwargs.privileged_features is for registered data sets; your own have a column of that name. Set "
            "dataset.kwargs.privileged_features=null."
        )
    source: Any = open_streams if recipe.streaming else load_lt
    loaded = source(
        recipe.name or str(recipe.path),
        data_dir=recipe.data_dir,
        image_column=recipe.image_column,
        words_column=recipe.words_column,
        label_column=recipe.label_column,
        missing_words=recipe.missing_words,
        bad_images=recipe.bad_images,
        **kwargs,
    )
    streams = loaded if recipe.streaming else None
    splits = loaded if streams is None else datasets.DatasetDict({name: s.annotations for name, s in streams.items()})
    label_column = "labels" if "labels" in splits["train"].column_names else "label"
    spec = dataset_spec(recipe.name) if recipe.name in list_datasets() else None
    count = partial(
        cached_class_stats,
        head=_first_given(recipe.head_threshold, spec.head if spec else 100),
        tail=_first_given(recipe.tail_threshold, spec.tail if spec else 20),
        boundaries=recipe.boundaries or (spec.boundaries if spec else "decoupling"),
    )
    # Before validation is carved, which shall not move a class to another group.
    stats = trained_stats = count(splits["train"]).require_all()
    if "validation" not in splits and recipe.validation_fraction > 0:
        if streams is not None:
            raise ValueError(
                "The data has no validation split, and none can be taken out of a stream; set "
                "dataset.validation_fraction=0, add files of a validation split, or set dataset.streaming=false."
            )
        labels = splits["train"][label_column][:]
        videos = splits["train"]["video_id"][:] if "video_id" in splits["train"].column_names else None
        carved = carve_validation(splits["train"], labels, recipe.validation_fraction, seed, videos)
        splits = datasets.DatasetDict({**splits, **carved})
        trained_stats = count(splits["train"])
    problem_type = "multi_label_classification" if label_column == "labels" else "single_label_classification"
    return LongTailData(splits, stats, trained_stats, problem_type, streams)


def _first_given(value: int | None, default: int) -> int:
    return default if value is None else value


def build_model(
    recipe: Recipe, data: LongTailData, tokenizer: PreTrainedTokenizerBase | None
) -> LongTailPreTrainedModel:
    """Makes the model of a recipe: from its config and pretrained backbone, or from a checkpoint.

    Raises:
        ValueError: for a config field that the method does not have; for classes or words unlike the data's.
    """
    check_config(recipe.model)
    if recipe.model.checkpoint is not None:
        return _model_from_checkpoint(recipe.model, recipe.model.checkpoint, data, tokenizer)
    method = get_method(recipe.model.type)
    settings = own_fields(recipe.model)
    _check_given_labels(settings, data)
    names = dict(enumerate(data.stats.class_names))
    settings |= {
        "id2label": names,
        "label2id": {name: index for index, name in names.items()},
        "problem_type": data.problem_type,
        "class_counts": data.trained_stats.counts.tolist(),
        "num_samples": data.trained_stats.num_samples,
    }
    if tokenizer is not None:
        settings.setdefault("vocab_size", len(tokenizer))
    _set_feature_widths(settings, data)
    config = method.config_class()(**settings)
    _check_vocabulary_size(config, tokenizer)
    _check_modality(config, data)
    model: LongTailPreTrainedModel = method.classifier_class()(config)
    if recipe.model.pretrained is not None:
        model.load_pretrained_backbone(recipe.model.pretrained)
    if recipe.model.pretrained_text:
        model.load_pretrained_text_encoder()
    model.load_class_semantics()
    return model


def _model_from_checkpoint(
    recipe: ModelRecipe, checkpoint: str, data: LongTailData, tokenizer: PreTrainedTokenizerBase | None
) -> LongTailPreTrainedModel:
    if recipe.pretrained is not None:
        raise ValueError("model.checkpoint brings its own backbone weights; set model.pretrained=null.")
    method = get_method(recipe.type)
    settings = own_fields(recipe)
    _check_given_labels(settings, data)
    config = checkpoint_config(method.config_class(), checkpoint)
    if settings.get("backbone", config.backbone) != config.backbone:
        raise ValueError(
            f"The checkpoint has the backbone {config.backbone!r}, the recipe {settings['backbone']!r}; leave "
            "model.config.backbone out or, where the recipe has it from another one, set model.config.backbone=null."
        )
    for name in ("backbone_kwargs", "privileged_encoder_kwargs"):
        if name in settings:  # what the recipe does not name stays, such as the widths of features
            settings[name] = {**(getattr(config, name) or {}), **(settings[name] or {})}
    fixed = {name: getattr(config, name) for name in config.fixed_by_checkpoint if name in settings}
    changed = {name: value for name, value in fixed.items() if settings[name] != value}
    if changed:
        raise ValueError(
            f"The checkpoint's weights go with {changed}, and model.config says "
            f"{ {name: settings[name] for name in changed} }; leave these out, or start from another checkpoint."
        )
    config = type(config).from_dict(config.to_dict() | settings)
    _check_modality(config, data)
    try:
        model: LongTailPreTrainedModel = method.classifier_class().from_pretrained(checkpoint, config=config)
    except RuntimeError as error:  # tensors of other shapes
        raise ValueError(
            f"The checkpoint's weights do not fit a model with {settings or 'its own config'}: {error} Leave out of "
            "model.config what changes shapes."
        ) from error
    classes = [model.config.id2label[index] for index in range(model.config.num_labels)]
    if classes != list(data.stats.class_names):
        raise ValueError(
            f"The checkpoint has {len(classes)} labels, {classes[:3]} first, and the data set "
            f"{data.stats.num_classes} classes, {list(data.stats.class_names[:3])} first; they must be the same in "
            "the same order."
        )
    _check_vocabulary_size(model.config, tokenizer)
    if tokenizer is not None and saved_vocabulary(checkpoint) not in (None, tokenizer.get_vocab()):
        raise ValueError(
            "The checkpoint's words are not those of this training split; train on the data it came from."
        )
    model.config.class_counts = data.trained_stats.counts.tolist()
    model.config.num_samples = data.trained_stats.num_samples
    return model


def takes_words(recipe: ModelRecipe) -> bool:
    """Whether a model is trained with description words: its method is, and no privileged features stand for them."""
    config_class = get_method(recipe.type).config_class()
    if "vocab_size" not in field_names(config_class):
        return False
    if recipe.checkpoint is not None:
        return checkpoint_config(config_class, recipe.checkpoint).vocab_size is not None
    return recipe.config.get("privileged_encoder") is None


def build_tokenizer(recipe: Recipe, data: LongTailData) -> PreTrainedTokenizerBase | None:
    """The word tokenizer of the training split, or `None` for methods without words.

    Raises:
        ValueError: when the method needs words and the data has none.
    """
    if not takes_words(recipe.model):
        return None
    if not data.has_words:
        raise ValueError(
            f"Model {recipe.model.type!r} learns from description words, but the data has no words column; name it "
            "with dataset.words_column, or train the baseline with model.type=lt_classifier (or, of videos, CRIF with "
            "privileged features)."
        )
    return build_word_tokenizer(data.splits["train"], recipe.dataset.max_words)


def _set_feature_widths(settings: dict[str, Any], data: LongTailData) -> None:
    """Fills in the widths of pre-extracted features, which the data knows."""
    if data.has_videos and settings.get("backbone", "").startswith(FEATURES_PREFIX):
        given = settings.get("backbone_kwargs") or {}
        settings["backbone_kwargs"] = {"input_size": data.feature_width("features"), **given}
    if data.has_privileged_features and settings.get("privileged_encoder") is not None:
        given = settings.get("privileged_encoder_kwargs") or {}
        settings["privileged_encoder_kwargs"] = {"input_size": data.feature_width("privileged_features"), **given}


def _check_modality(config: Any, data: LongTailData) -> None:
    """Raises a `ValueError` for an image model on videos or the reverse, or without the features it learns from."""
    if data.has_videos != config.backbone.startswith(FEATURES_PREFIX):
        raise ValueError(
            f"The data holds videos as sequences of features, but the backbone {config.backbone!r} takes images; set "
            "model.config.backbone=features:gru or features:vilt."
            if data.has_videos
            else f"The backbone {config.backbone!r} takes videos as sequences of features, but the data holds images; "
            "set model.config.backbone to an image model."
        )
    if getattr(config, "privileged_encoder", None) is not None:
        _check_privileged_features(config, data)


def _check_privileged_features(config: Any, data: LongTailData) -> None:
    if not data.has_videos:
        raise ValueError("model.config.privileged_encoder is for videos; leave it out, and learn from words.")
    if not data.has_privileged_features:
        raise ValueError(
            f"model.config.privileged_encoder={config.privileged_encoder} learns from privileged features, but the "
            "data has no such column; add it to your own data, give dataset.kwargs.privileged_features for a "
            "registered data set, or learn from words with model.config.privileged_encoder=null."
        )
    rows = data.splits["train"]
    lacking = [i for i, value in zip(rows["image_id"], rows["privileged_features"], strict=True) if value is None]
    if lacking:
        raise ValueError(
            f"{len(lacking)} of {len(rows)} training samples have no privileged features: {some_of(lacking)}. Add "
            "them, or leave these samples out."
        )


def _check_given_labels(settings: dict[str, Any], data: LongTailData) -> None:
    given = settings.pop("num_labels", data.stats.num_classes)
    if given != data.stats.num_classes:
        raise ValueError(
            f"model.config.num_labels={given}, but the data set has {data.stats.num_classes} classes; leave the field "
            "out, the data set sets it."
        )


def _check_vocabulary_size(config: Any, tokenizer: PreTrainedTokenizerBase | None) -> None:
    if tokenizer is not None and config.vocab_size != len(tokenizer):
        raise ValueError(
            f"The model's vocab_size is {config.vocab_size}, but the tokenizer of the training words has "
            f"{len(tokenizer)} entries; leave vocab_size out, or set dataset.max_words={config.num_words}."
        )


__all__ = ["LongTailData", "build_model", "build_tokenizer", "load_data", "takes_words"]
