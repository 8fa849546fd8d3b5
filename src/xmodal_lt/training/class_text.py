"""What a model learns of its classes from text: sentences for the pre-training, and anchor sentences for its head."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import reduce
from torch import Tensor
from tqdm.auto import tqdm
from transformers import AutoTokenizer
from transformers.utils import logging

from xmodal_lt.data import ClassCorpus, build_corpus
from xmodal_lt.data.messages import some_of
from xmodal_lt.data.prompt_templates import PROMPT_TEMPLATES
from xmodal_lt.modeling.anchor_sentences import Anchors, cut_off, select_anchors
from xmodal_lt.modeling.configuration_vl_ltr import LEARNED_HEADS, SENTENCE_HEADS
from xmodal_lt.modeling.modeling_vl_ltr import VLLTRForImageClassification
from xmodal_lt.modeling.sentence_encoder import load_sentence_tokenizer, tokenize_sentences
from xmodal_lt.modeling.sentence_heads import prompt_ensemble
from xmodal_lt.registry import get_method

from .checkpoint import checkpoint_config
from .early_checks import field_names
from .eval_mode import in_eval_mode
from .rebalancing import Features
from .recipe import AnchorsRecipe, CorpusRecipe, ModelRecipe, Recipe
from .setup import LongTailData


logger = logging.get_logger(__name__)

_SENTENCES_AT_ONCE = 256
_CODE_NAME = re.compile(r"n?\d+")  # of WordNet, or an anonymised number


@dataclass(frozen=True)
class ClassText:
    """The corpus of a run, and how a model reads it.

    Args:
        corpus (`ClassCorpus`): sentences of each class.
        tokenizer (`PreTrainedTokenizerBase`): of the text encoder.
        max_tokens (`int`): longer sentences are cut off.
    """

    corpus: ClassCorpus
    tokenizer: Any
    max_tokens: int

    def encode(self, sentences: Sequence[str]) -> dict[str, Tensor]:
        """`input_ids` and `attention_mask` `[S, L]`."""
        return tokenize_sentences(self.tokenizer, sentences, self.max_tokens)


def build_class_text(recipe: Recipe, data: LongTailData, config: Any) -> ClassText | None:
    """The sentences about the classes of a run, or `None` for methods that read none.

    Args:
        recipe (`Recipe`): of the run.
        data (`LongTailData`): its data; of which the training split alone may be read.
        config (`LongTailConfig`): of its model.

    Raises:
        ValueError: for a corpus or anchors where the method reads no sentences; without a text encoder; when anchors
            are to be chosen on a validation split that is not there; see `build_corpus`.
        FileNotFoundError: when a source is absent.
    """
    if "text_backbone" not in field_names(get_method(recipe.model.type).config_class()):
        given = [name for name in ("corpus", "anchors") if getattr(recipe, name) is not None]
        if given:
            raise ValueError(f"Model {recipe.model.type!r} reads no sentences; leave `{given[0]}:` out.")
        return None
    _check_text_encoder(recipe, config)
    _check_stages_of_text(recipe, config)
    processes = PartialState().num_processes
    if processes > data.stats.num_classes:
        raise ValueError(
            f"{processes} processes share the sentences of {data.stats.num_classes} classes; start fewer processes."
        )
    anchors = recipe.anchors or AnchorsRecipe()
    if anchors.selection == "anss" and anchors.split not in data.splits:
        raise ValueError(f"anchors.split={anchors.split}, but the data has no such split; set anchors.split=train.")
    corpus = _build_corpus(recipe.corpus or CorpusRecipe(), data)
    return ClassText(corpus, _load_tokenizer(recipe.model.checkpoint, config.text_backbone), config.max_tokens)


def _check_text_encoder(recipe: Recipe, config: Any) -> None:
    if config.text_backbone is None and recipe.model.checkpoint is not None:
        raise ValueError(
            f"The checkpoint {recipe.model.checkpoint} has no text encoder, as one that is saved with "
            "for_inference=True; start from the run that it was made from."
        )
    if config.text_backbone is None:
        raise ValueError(
            f"Model {recipe.model.type!r} needs a text encoder for the sentences about its classes; set "
            "model.config.text_backbone=sentence (MiniLM of the pip package) or clip:<model id or folder>."
        )


def _check_stages_of_text(recipe: Recipe, config: Any) -> None:
    stages = list(recipe.stages)
    if stages[-1:] == ["pretrain"] and "finetune" in stages:
        raise ValueError("stages.finetune reads sentences as stages.pretrain leaves them; put it behind.")
    if config.head not in LEARNED_HEADS and "finetune" in recipe.stages:
        raise ValueError(
            f"A head of kind {config.head!r} is fitted to sentences or images, not trained; set stages.finetune=null."
        )
    if config.head in LEARNED_HEADS and "finetune" not in recipe.stages and _head_of(recipe.model) != config.head:
        raise ValueError(
            f"Nothing trains the head {config.head!r}; add stages.finetune, or read the features by "
            "model.config.head=zero_shot, knn or nearest_mean."
        )


def _head_of(recipe: ModelRecipe) -> str | None:
    """The kind of head that the model's checkpoint has, if there is one."""
    if recipe.checkpoint is None:
        return None
    return checkpoint_config(get_method(recipe.type).config_class(), recipe.checkpoint).head


def _load_tokenizer(checkpoint: str | None, text_backbone: str) -> Any:
    """The tokenizer of the text encoder, from the run that the model comes from or from the encoder's source."""
    if checkpoint is not None and (Path(checkpoint) / "tokenizer_config.json").is_file():
        return AutoTokenizer.from_pretrained(checkpoint)
    return load_sentence_tokenizer(text_backbone)


def _build_corpus(recipe: CorpusRecipe, data: LongTailData) -> ClassCorpus:
    codes = [name for name in data.stats.class_names if _CODE_NAME.fullmatch(name)]
    if codes:
        logger.warning(
            f"{len(codes)} of {data.stats.num_classes} classes are called by codes, such as {codes[0]!r}, which say "
            "nothing in a sentence; see the data set's file of names."
        )
    templates = recipe.templates_file if recipe.templates_file is not None else recipe.templates
    return build_corpus(
        data.stats.class_names,
        recipe.source,
        PROMPT_TEMPLATES if templates is None else templates,
        rows=data.splits["train"] if recipe.source == "train" else None,
        columns=recipe.columns,
        max_sentences=recipe.max_sentences,
    )


@torch.no_grad()
def update_class_embeds(model: VLLTRForImageClassification, text: ClassText, device: torch.device | str) -> None:
    """Sets what the zero-shot read-out knows of the classes, from their prompts, or all sentences without prompts."""
    corpus = text.corpus
    prompts = [corpus.prompts(class_id) or corpus.sentences[class_id] for class_id in range(len(corpus))]
    with in_eval_mode(model):
        embeds, class_ids = zip(*_embedded(model.to(device), text, prompts, device), strict=True)
    own = prompt_ensemble(torch.cat(embeds), torch.cat(class_ids), len(corpus))
    model.set_class_text(reduce(own, "sum"))  # zeros for the classes of other processes


@torch.no_grad()
def fit_class_text(
    model: VLLTRForImageClassification,
    text: ClassText,
    recipe: AnchorsRecipe,
    features: Callable[..., Features],
    seed: int,
    device: torch.device | str,
) -> list[dict[str, Any]]:
    """Sets what the head knows of the classes without learning: class embeddings, anchor sentences, class means.

    Args:
        model ([`VLLTRForImageClassification`]): with encoders as they shall stay.
        text ([`ClassText`]): of the run.
        recipe (`AnchorsRecipe`): how anchors are chosen.
        features (`Callable`):
            Gives the vision encoder's features of a split's images and, with a second argument, of the rows that it
            chooses by their labels.
        seed (`int`): of the choice among more images of a class than are asked for.
        device (`torch.device` or `str`): where to encode.

    Returns:
        `list[dict]`: the chosen sentences of each class, with their losses; empty for heads that read none.
    """
    update_class_embeds(model, text, device)
    if model.config.head == "nearest_mean":
        with in_eval_mode(model):
            images = _image_embeds(model, features("train"), device)
        model.head.fit(images.features, images.labels)
    if model.config.head not in SENTENCE_HEADS:
        return []
    with in_eval_mode(model):
        anchors = _choose(model, text, recipe, features, seed, device)
    model.set_class_text(model.class_embeds, anchors.embeds, anchors.num_sentences)
    return _described(text.corpus, anchors)


def _choose(
    model: VLLTRForImageClassification,
    text: ClassText,
    recipe: AnchorsRecipe,
    features: Callable[..., Features],
    seed: int,
    device: torch.device | str,
) -> Anchors:
    config, corpus = model.config, text.corpus
    sentences = _embedded(model, text, corpus.sentences, device)
    if recipe.selection == "cut_off":
        return _of_all_processes(cut_off(sentences, len(corpus), config.num_anchors), corpus)
    images = features(recipe.split, partial(at_most_of_each_class, limit=recipe.images_per_class, seed=seed))
    _warn_of_classes_without_images(corpus, images.labels, recipe.split)
    images = _image_embeds(model, images, device)
    scale = model.base_model.logit_scale.weight.detach()
    own = select_anchors(sentences, images.features, images.labels, len(corpus), config.num_anchors, scale)
    return _of_all_processes(own, corpus)


def _of_all_processes(own: Anchors, corpus: ClassCorpus) -> Anchors:
    """The anchors of all classes from those that each process has chosen of its own classes."""
    mine = torch.zeros(len(corpus), dtype=torch.bool, device=own.embeds.device)
    mine[list(_own_classes(corpus))] = True
    # The others count as nothing in a sum: of places from 0 on, and of losses that are infinite without a sentence.
    indices = reduce((own.indices + 1) * mine[:, None], "sum") - 1
    losses = reduce(own.losses.masked_fill(~mine[:, None], 0.0), "sum")
    return Anchors(reduce(own.embeds, "sum"), reduce(own.num_sentences, "sum"), indices, losses)


def _own_classes(corpus: ClassCorpus) -> range:
    """The classes whose sentences this process encodes."""
    state = PartialState()
    return range(state.process_index, len(corpus), state.num_processes)


def _warn_of_classes_without_images(corpus: ClassCorpus, labels: Tensor, split: str) -> None:
    absent = sorted(set(range(len(corpus))) - set(labels.tolist()))
    if absent:
        names = [corpus.class_names[class_id] for class_id in absent]
        logger.warning(
            f"{len(absent)} classes have no image in {split}, and keep their first sentences: {some_of(names)}."
        )


def at_most_of_each_class(labels: Tensor, limit: int | None, seed: int) -> Tensor:
    """Rows of which no class has more than `limit`, at random where it has more, in increasing order.

    Args:
        labels (`Tensor`): class ids `[N]`.
        limit (`int` or `None`): rows of a class at most; `None` for all.
        seed (`int`): of the choice.

    Returns:
        `Tensor`: row numbers.
    """
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    if limit is None:
        return order.sort().values
    by_class = order[labels[order].argsort(stable=True)]
    sizes = labels.unique(return_counts=True)[1].tolist()
    return torch.cat([rows[:limit] for rows in by_class.split(sizes)]).sort().values


def _image_embeds(model: VLLTRForImageClassification, images: Features, device: torch.device | str) -> Features:
    """E^I from the features of the vision encoder."""
    embeds = [model.base_model.embed_images(features=part.to(device)) for part in images.features.split(4096)]
    return Features(torch.cat(embeds), images.labels.to(device))


def _embedded(
    model: VLLTRForImageClassification,
    text: ClassText,
    sentences: Sequence[Sequence[str]],
    device: torch.device | str,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Embeddings and classes of the sentences of this process's classes, a batch at a time, in their order."""
    classes = _own_classes(text.corpus)
    total = sum(len(sentences[class_id]) for class_id in classes)
    pairs = ((sentence, class_id) for class_id in classes for sentence in sentences[class_id])
    for start in tqdm(range(0, total, _SENTENCES_AT_ONCE), "Encoding sentences", leave=False):
        batch = list(islice(pairs, min(_SENTENCES_AT_ONCE, total - start)))
        tokens = text.encode([sentence for sentence, _ in batch])
        embeds = model.base_model.encode_text(**{name: ids.to(device) for name, ids in tokens.items()})
        yield embeds.float(), torch.tensor([class_id for _, class_id in batch], device=embeds.device)


def _described(corpus: ClassCorpus, anchors: Anchors) -> list[dict[str, Any]]:
    rows = zip(corpus.class_names, corpus.sentences, anchors.indices.tolist(), anchors.losses.tolist(), strict=True)
    return [
        {
            "class": name,
            "sentences": [
                {"text": sentences[index], "loss": loss if math.isfinite(loss) else None}
                for index, loss in zip(indices, losses, strict=True)
                if index >= 0
            ],
        }
        for name, sentences, indices, losses in rows
    ]


__all__ = ["ClassText", "at_most_of_each_class", "build_class_text", "fit_class_text", "update_class_embeds"]
