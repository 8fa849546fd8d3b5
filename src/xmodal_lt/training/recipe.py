"""Recipes: one YAML file that says which model is trained on which data, stage by stage."""

import difflib
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal, cast

from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import ConfigKeyError, MissingMandatoryValue, OmegaConfBaseException
from yaml import YAMLError


RUN_MARKER = "recipe.json"  # in the folder of a run; holds the fingerprint of its recipe

# Keys that may differ between a run and its resumption.
_UNTRACKED = (
    "output_dir",
    "resume",
    "overwrite",
    "num_workers",
    "report_to",
    "cache_dir",
    "logging_steps",
    "save_steps",
    "push_to_hub",
)


@dataclass
class ModelRecipe:
    """The model: its `model_type`, the fields of its config, and where its weights start from.

    With a `checkpoint`, `config` holds what shall differ from the checkpoint's own; `backbone: null` undoes the
    backbone of a recipe that is extended.
    """

    type: str = MISSING
    config: dict[str, Any] = field(default_factory=dict)
    pretrained: str | None = None  # backbone weights: "hub", "lite0" or a local path, such as another run's folder
    pretrained_text: bool = True  # whether the text encoder of a method that has one starts from its source's weights
    checkpoint: str | None = None  # a whole model to start from: a folder or a Hub id


@dataclass
class DatasetRecipe:
    """The data: a registered `name`, or the `path` of your own with its column names."""

    name: str | None = None
    path: str | None = None
    data_dir: str | None = None
    image_column: str | None = None
    words_column: str | None = None
    label_column: str | None = None
    missing_words: Literal["error", "skip", "keep"] = "error"
    bad_images: Literal["error", "skip"] = "error"
    max_words: int | None = None
    streaming: bool = False  # reads rows as they are needed, in the order of their files, and keeps no copy
    shuffle_buffer: int = 1000  # rows of a stream that each worker holds to draw from
    validation_fraction: float = 0.1  # of the training split, where the data has no validation split; 0 for none
    head_threshold: int | None = None  # the data set's own when absent
    tail_threshold: int | None = None
    boundaries: Literal["decoupling", "vl_ltr", "multilabel"] | None = None  # groups of classes at a threshold
    kwargs: dict[str, Any] = field(default_factory=dict)


@dataclass
class ImagesRecipe:
    """Image size and train-time augmentation; evaluation resizes only. `None` switches a part off."""

    size: int = 224
    mean: list[float] | None = None  # the backbone's own when absent
    std: list[float] | None = None
    crop_scale: list[float] | None = None
    horizontal_flip: float = 0.5
    cutout: float = 0.0  # height and width of a painted box, as parts of the image's
    rand_augment: list[int] | None = None  # number of operations, magnitude
    color_jitter: float | None = None
    random_erasing: float = 0.0


@dataclass
class StageRecipe:
    """One training stage; the stage's name says what trains and which losses count."""

    epochs: float = MISSING
    learning_rate: float = MISSING
    backbone_learning_rate: float | None = None
    learning_rates: dict[str, float] | None = None  # of parts of the model, by their dotted names
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    weight_decay: float = 0.0
    momentum: float = 0.9  # SGD only
    scheduler: Literal["constant", "cosine", "linear", "step"] = "step"
    milestones: list[float] = field(default_factory=lambda: [3.0, 7.0, 11.0])  # epochs, for "step"
    gamma: float = 0.1
    warmup_ratio: float = 0.0
    batch_size: int = 64  # over all processes
    max_grad_norm: float = 0.0
    loss: str | None = None  # overrides the model's classification loss in this stage
    loss_kwargs: dict[str, Any] = field(default_factory=dict)
    reweight_from: float | None = None  # epoch from which the loss's class weights count (deferred re-weighting)
    reset: bool = False  # draws the weights that the stage trains anew (classifier re-training)
    sampler: str | None = None  # a name in `xmodal_lt.data.SAMPLERS`; a random permutation when absent
    sampler_kwargs: dict[str, Any] = field(default_factory=dict)
    mixup: float = 0.0  # alpha of the share in which pairs of images are blended; 0 for none
    cutmix: float = 0.0  # alpha of the share of an image that is pasted over another; with both, a batch has either
    chunk_size: int | None = None  # encodes contrastive batches in pieces, computed again in the backward pass
    views: int = 0  # cached augmented views for stages that freeze the encoder; 0 caches the plain image
    cache_features: bool = True
    keep: Literal["last", "best"] = "last"  # or "best": the epoch with the best validation score


@dataclass
class CorpusRecipe:
    """Sentences about the classes, for methods that learn from them; see `xmodal_lt.data.build_corpus`."""

    source: str | None = None  # a folder of articles, a table, or "train": columns of the training split
    columns: list[str] = field(default_factory=lambda: ["words"])  # of "train"
    templates: list[str] | None = None  # of prompts; the package's own when absent
    templates_file: str | None = None  # or a file with one a line
    max_sentences: int | None = None  # of each class, prompts included


@dataclass
class AnchorsRecipe:
    """The sentences of each class that the head reads, chosen after the pre-training."""

    selection: Literal["anss", "cut_off"] = "anss"  # those that tell its images from others best, or the first ones
    split: Literal["train", "validation"] = "train"  # whose images decide
    images_per_class: int | None = 50  # all when absent


@dataclass
class RebalanceRecipe:
    """A change of the trained head in closed form, after the stages; without stages, of the checkpoint's head."""

    method: Literal["tau_norm", "nearest_mean", "logit_adjustment"] = MISSING
    tau: float | None = None  # strength; when absent, the one of `taus` with the best validation macro accuracy
    taus: list[float] = field(default_factory=lambda: [round(0.1 * step, 1) for step in range(21)])


@dataclass
class Recipe:
    """A whole run.

    Load one with [`Recipe.load`]; every key can be overridden by a dotted argument such as `stages.align.epochs=2`.
    """

    model: ModelRecipe = field(default_factory=ModelRecipe)
    dataset: DatasetRecipe = field(default_factory=DatasetRecipe)
    images: ImagesRecipe = field(default_factory=ImagesRecipe)
    stages: dict[str, StageRecipe] = field(default_factory=dict)
    corpus: CorpusRecipe | None = None
    anchors: AnchorsRecipe | None = None
    rebalance: RebalanceRecipe | None = None
    seed: int = 0
    output_dir: str = MISSING
    resume: bool = False
    overwrite: bool = False
    bf16: bool = False
    channels_last: bool = True
    num_workers: int = 0
    logging_steps: int = 10
    save_steps: int | None = None  # one checkpoint an epoch when absent
    report_to: list[str] = field(default_factory=list)
    cache_dir: str | None = None  # of cached features; inside the output folder when absent
    push_to_hub: str | None = None  # org/name, where `xmodal-lt train` sends the finished run, private if it is new

    @classmethod
    def load(cls, path: str | Path, overrides: Sequence[str] = ()) -> "Recipe":
        """Reads a YAML recipe and applies dotted overrides.

        A recipe may start from another one, `extends: other.yaml` (relative to itself), and state only what differs;
        a stage set to `null` is taken out.

        Args:
            path (`str` or `Path`): the file.
            overrides (`Sequence[str]`, *optional*): `key.subkey=value` strings, values in YAML.

        Returns:
            [`Recipe`].

        Raises:
            FileNotFoundError: when there is no such file.
            ValueError: for an unknown key (with the nearest known one), a value of the wrong type, a missing one, or
                a combination that makes no sense.
        """
        loaded = _read_yaml(Path(path))
        wrong = [text for text in overrides if "=" not in text]
        if wrong:
            raise ValueError(f"Overrides must read key=value, got {wrong}; for example stages.align.epochs=2.")
        try:
            changes = OmegaConf.from_dotlist(list(overrides))
        except YAMLError as error:
            raise ValueError(f"The overrides {list(overrides)} have a value that is no YAML: {error}.") from error
        return cls.from_dict(cast(DictConfig, OmegaConf.merge(loaded, changes)))

    @classmethod
    def from_dict(cls, values: dict[str, Any] | DictConfig) -> "Recipe":
        """Makes a recipe from nested mappings; raises as [`Recipe.load`] does."""
        try:
            merged = OmegaConf.merge(OmegaConf.structured(cls), _without_removed_stages(values))
            recipe = cast(Recipe, OmegaConf.to_object(merged))
        except MissingMandatoryValue as error:
            raise ValueError(f"The recipe has no value for {error.full_key!r}; add it.") from error
        except ConfigKeyError as error:
            raise ValueError(_unknown_key_message(error)) from error
        except OmegaConfBaseException as error:
            raise ValueError(f"The recipe has a wrong value at {error.full_key!r}: {_first_line(error)}.") from error
        except TypeError as error:
            raise ValueError("The recipe has a list or a value where a mapping is expected.") from error
        recipe.validate()
        return recipe

    def validate(self) -> None:
        """Raises a `ValueError` for values that no run could use."""
        if (self.dataset.name is None) == (self.dataset.path is None):
            raise ValueError("Give either dataset.name (a registered data set) or dataset.path (your own), not both.")
        fitted = self.rebalance is not None and self.model.checkpoint is not None
        if not self.stages and not fitted and self.corpus is None:
            raise ValueError(
                "The recipe has no stages; add `stages:` with at least one of the model's stage names, or "
                "`rebalance:` with a model.checkpoint, or `corpus:` for a head that is fitted to sentences."
            )
        if not 0 <= self.dataset.validation_fraction < 1:
            raise ValueError(
                f"dataset.validation_fraction={self.dataset.validation_fraction} must be at least 0 and below 1."
            )
        if self.resume and self.overwrite:
            raise ValueError("resume=true and overwrite=true contradict each other; give one.")
        _check_positive({"images.size": self.images.size, "logging_steps": self.logging_steps})
        _check_not_negative({"seed": self.seed, "num_workers": self.num_workers})
        if self.rebalance is not None:
            _validate_rebalance(self.rebalance)
        if self.corpus is not None and self.corpus.templates is not None and self.corpus.templates_file is not None:
            raise ValueError("Give corpus.templates or corpus.templates_file, not both; set the other one to null.")
        if self.anchors is not None and self.anchors.images_per_class is not None:
            _check_positive({"anchors.images_per_class": self.anchors.images_per_class})
        for name, stage in self.stages.items():
            self._validate_stage(f"stages.{name}", stage)

    def _validate_stage(self, name: str, stage: StageRecipe) -> None:
        _check_positive({f"{name}.{key}": getattr(stage, key) for key in ("epochs", "learning_rate", "batch_size")})
        _check_not_negative(
            {
                f"{name}.{key}": getattr(stage, key)
                for key in ("weight_decay", "max_grad_norm", "views", "mixup", "cutmix")
            }
        )
        _check_not_negative(
            {f"{name}.learning_rates.{part}": rate for part, rate in (stage.learning_rates or {}).items()}
        )
        if stage.chunk_size is not None:
            _check_positive({f"{name}.chunk_size": stage.chunk_size})
        if not 0 <= stage.warmup_ratio < 1:
            raise ValueError(f"{name}.warmup_ratio={stage.warmup_ratio} must be at least 0 and below 1.")
        if stage.keep == "best" and self.save_steps is not None:
            raise ValueError(f"{name}.keep=best compares whole epochs; leave save_steps out.")
        if stage.loss is None and stage.loss_kwargs:
            raise ValueError(f"{name}.loss_kwargs belong to {name}.loss; name the loss too.")
        if stage.sampler is None and stage.sampler_kwargs:
            raise ValueError(f"{name}.sampler_kwargs belong to {name}.sampler; name the sampler too.")
        given = [key for key in ("labels", "seed") if key in stage.sampler_kwargs]
        if given:
            raise ValueError(f"{name}.sampler_kwargs has {given}, which the run knows; leave them out.")
        if stage.reweight_from is not None and not 0 <= stage.reweight_from < stage.epochs:
            raise ValueError(
                f"{name}.reweight_from={stage.reweight_from} must be an epoch of the stage, 0 to below {stage.epochs}."
            )

    def to_yaml(self) -> str:
        """The whole recipe with every default filled in."""
        return OmegaConf.to_yaml(OmegaConf.structured(self))

    def fingerprint(self) -> str:
        """A hash of what decides the trained weights; equal for a run and its resumption."""
        values = OmegaConf.to_container(OmegaConf.structured(self))
        assert isinstance(values, dict)
        tracked = {key: value for key, value in values.items() if key not in _UNTRACKED}
        for start in ("checkpoint", "pretrained"):
            tracked["model"][start] = _identity(getattr(self.model, start))
        sources = _local_sources(self.model.config) | _corpus_sources(self.corpus)
        if sources:
            tracked["sources"] = sources
        return hashlib.sha256(OmegaConf.to_yaml(OmegaConf.create(tracked), sort_keys=False).encode()).hexdigest()[:16]


def stage_names(path: str | Path) -> list[str]:
    """The stages of the recipe at `path`, which need not be whole: overrides may give what it lacks.

    Raises:
        FileNotFoundError, ValueError: when it cannot be read, as in [`Recipe.load`].
    """
    stages = _without_removed_stages(_read_yaml(Path(path))).get("stages")
    return [str(name) for name in stages] if isinstance(stages, DictConfig) else []


def _identity(checkpoint: str | None) -> str | None:
    """Of a run's folder the fingerprint of its recipe, so that the folder may move; else the name itself."""
    marker = Path(checkpoint or "") / RUN_MARKER
    if checkpoint is None or not marker.is_file():
        return checkpoint
    return json.loads(marker.read_text())["fingerprint"]


def _local_sources(config: dict[str, Any]) -> dict[str, str]:
    """Digests of the local files and folders that fields of the config name, as `semantics: glove:vectors.txt`."""
    named = {name: value.partition(":")[2] for name, value in config.items() if isinstance(value, str)}
    return {name: _digest(Path(path)) for name, path in named.items() if path and Path(path).exists()}


def _corpus_sources(corpus: CorpusRecipe | None) -> dict[str, str]:
    """Digests of the local files and folders that the corpus is made from."""
    if corpus is None:
        return {}
    source = None if corpus.source == "train" else corpus.source  # columns of the data, not a folder of that name
    named = {"corpus": source, "templates": corpus.templates_file}
    paths = {name: Path(path).expanduser() for name, path in named.items() if path}
    return {name: _digest(path) for name, path in paths.items() if path.exists()}


def _digest(path: Path) -> str:
    """Of what is in a file, or in the files of a folder; read once as long as none of them changes."""
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    digests = [f"{file.name} {_file_digest(file, file.stat().st_size, file.stat().st_mtime_ns)}" for file in files]
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()[:16]


@cache
def _file_digest(path: Path, size: int, modified: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _validate_rebalance(rebalance: RebalanceRecipe) -> None:
    if rebalance.tau is None and not rebalance.taus:
        raise ValueError("rebalance.taus is empty; list the values to choose from, or give rebalance.tau.")
    _check_not_negative({"rebalance.tau": min([*rebalance.taus, rebalance.tau or 0.0])})


def _read_yaml(path: Path, extended_by: tuple[Path, ...] = ()) -> DictConfig:
    """The YAML at `path`, on top of the recipe that it extends."""
    if path.resolve() in extended_by:
        raise ValueError(f"{path} extends itself, directly or by way of others.")
    if not path.is_file():
        raise FileNotFoundError(f"No recipe at {str(path)!r}; the package's own are in the folder `recipes/`.")
    try:
        loaded = OmegaConf.load(path)
    except YAMLError as error:
        raise ValueError(f"{path} is not valid YAML: {error}.") from error
    if not isinstance(loaded, DictConfig):
        raise ValueError(f"{path} holds {type(loaded).__name__}, expected a mapping with the keys of a recipe.")
    base = loaded.pop("extends", None)
    if base is None:
        return loaded
    if not isinstance(base, str):
        raise ValueError(f"{path} extends {base!r}, expected the path of one recipe.")
    below = _read_yaml(path.parent / base, (*extended_by, path.resolve()))
    return cast(DictConfig, OmegaConf.merge(below, loaded))


def _without_removed_stages(values: dict[str, Any] | DictConfig) -> DictConfig:
    config = OmegaConf.create(values)
    stages = config.get("stages")
    if isinstance(stages, DictConfig):
        for name in [name for name, stage in stages.items() if stage is None]:
            stages.pop(name)
    return config


def _check_positive(values: dict[str, float]) -> None:
    for key, value in values.items():
        if value <= 0:
            raise ValueError(f"{key}={value} must be positive.")


def _check_not_negative(values: dict[str, float]) -> None:
    for key, value in values.items():
        if value < 0:
            raise ValueError(f"{key}={value} must not be negative.")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".")


def _unknown_key_message(error: ConfigKeyError) -> str:
    known = list(getattr(error.object_type, "__dataclass_fields__", ()))
    close = difflib.get_close_matches(str(error.key), known, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return f"The recipe has an unknown key {error.full_key!r}.{hint} Known keys there: {', '.join(known)}."


__all__ = [
    "AnchorsRecipe",
    "CorpusRecipe",
    "DatasetRecipe",
    "ImagesRecipe",
    "ModelRecipe",
    "RebalanceRecipe",
    "Recipe",
    "StageRecipe",
    "stage_names",
]
