"""What a model learns of its classes from text: sentences for the pre-training, and anchor sentences for its head."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from tqdm.auto import tqdm

from xmodal_lt.data import ClassCorpus, build_corpus
from xmodal_lt.data.prompt_templates import PROMPT_TEMPLATES
from xmodal_lt.modeling.anchor_sentences import Anchors, cut_off, select_anchors
from xmodal_lt.modeling.configuration_vl_ltr import SENTENCE_HEADS
from xmodal_lt.modeling.modeling_vl_ltr import VLLTRForImageClassification
from xmodal_lt.modeling.sentence_encoder import load_sentence_tokenizer, tokenize_sentences
from xmodal_lt.modeling.sentence_heads import prompt_ensemble
from xmodal_lt.registry import get_method

from .early_checks import field_names
from .rebalancing import Features
from .recipe import AnchorsRecipe, CorpusRecipe, Recipe
from .setup import LongTailData


_SENTENCES_AT_ONCE = 256


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
    if config.text_backbone is None:
        raise ValueError(
            f"Model {recipe.model.type!r} needs a text encoder for the sentences about its classes; set "
            "model.config.text_backbone=sentence (MiniLM of the pip package) or clip:<model id or folder>."
        )
    anchors = recipe.anchors or AnchorsRecipe()
    if anchors.selection == "anss" and anchors.split not in data.splits:
        raise ValueError(f"anchors.split={anchors.split}, but the data has no such split; set anchors.split=train.")
    corpus = _build_corpus(recipe.corpus or CorpusRecipe(), data)
    return ClassText(corpus, load_sentence_tokenizer(config.text_backbone), config.max_tokens)


def _build_corpus(recipe: CorpusRecipe, data: LongTailData) -> ClassCorpus:
    templates = recipe.templates_file if recipe.templates_file is not None else recipe.templates
    return build_corpus(
        data.stats.class_names,
        recipe.source,
        PROMPT_TEMPLATES if templates is None else templates,
        rows=data.splits["train"] if recipe.source == "train" else None,
        columns=recipe.columns,
        max_sentences=recipe.max_sentences,
    )


def update_class_embeds(model: VLLTRForImageClassification, text: ClassText, device: torch.device | str) -> None:
    """Sets what the zero-shot read-out knows of the classes, from their prompts, or all sentences without prompts."""
    corpus = text.corpus
    prompts = [corpus.prompts(class_id) or corpus.sentences[class_id] for class_id in range(len(corpus))]
    embeds, class_ids = zip(*_embedded(model, text, prompts, device), strict=True)
    model.set_class_text(prompt_ensemble(torch.cat(embeds), torch.cat(class_ids), len(corpus)))


def fit_class_text(
    model: VLLTRForImageClassification,
    text: ClassText,
    recipe: AnchorsRecipe,
    features: Callable[[str], Features],
    seed: int,
    device: torch.device | str,
) -> list[dict[str, Any]]:
    """Sets what the head knows of the classes without learning: class embeddings, anchor sentences, class means.

    Args:
        model ([`VLLTRForImageClassification`]): with encoders as they shall stay.
        text ([`ClassText`]): of the run.
        recipe (`AnchorsRecipe`): how anchors are chosen.
        features (`Callable[[str], Features]`): gives the vision encoder's features of a split's images.
        seed (`int`): of the choice among more images of a class than are asked for.
        device (`torch.device` or `str`): where to encode.

    Returns:
        `list[dict]`: the chosen sentences of each class, with their losses; empty for heads that read none.
    """
    update_class_embeds(model, text, device)
    if model.config.head == "nearest_mean":
        images = _image_embeds(model, features("train"), device)
        model.head.fit(images.features, images.labels)
    if model.config.head not in SENTENCE_HEADS:
        return []
    anchors = _choose(model, text, recipe, features, seed, device)
    model.set_class_text(model.class_embeds, anchors.embeds, anchors.num_sentences)
    return _described(text.corpus, anchors)


def _choose(
    model: VLLTRForImageClassification,
    text: ClassText,
    recipe: AnchorsRecipe,
    features: Callable[[str], Features],
    seed: int,
    device: torch.device | str,
) -> Anchors:
    config, corpus = model.config, text.corpus
    sentences = _embedded(model, text, corpus.sentences, device)
    if recipe.selection == "cut_off":
        return cut_off(sentences, len(corpus), config.num_anchors)
    images = features(recipe.split)
    rows = at_most_of_each_class(images.labels, recipe.images_per_class, seed)
    images = _image_embeds(model, Features(images.features[rows], images.labels[rows]), device)
    scale = model.base_model.logit_scale.weight.detach()
    return select_anchors(sentences, images.features, images.labels, len(corpus), config.num_anchors, scale)


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


@torch.no_grad()
def _image_embeds(model: VLLTRForImageClassification, images: Features, device: torch.device | str) -> Features:
    """E^I from the features of the vision encoder."""
    with _ready_to_encode(model, device):
        embeds = [model.base_model.embed_images(features=part.to(device)) for part in images.features.split(4096)]
    return Features(torch.cat(embeds), images.labels.to(device))


def _embedded(
    model: VLLTRForImageClassification,
    text: ClassText,
    sentences: Sequence[Sequence[str]],
    device: torch.device | str,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Embeddings and classes of all sentences, a batch at a time, in their order."""
    total = sum(map(len, sentences))
    pairs = ((sentence, class_id) for class_id, own in enumerate(sentences) for sentence in own)
    for start in tqdm(range(0, total, _SENTENCES_AT_ONCE), "Encoding sentences", leave=False):
        batch = list(islice(pairs, min(_SENTENCES_AT_ONCE, total - start)))
        tokens = text.encode([sentence for sentence, _ in batch])
        with torch.no_grad(), _ready_to_encode(model, device):
            embeds = model.base_model.encode_text(**{name: ids.to(device) for name, ids in tokens.items()})
        yield embeds.float(), torch.tensor([class_id for _, class_id in batch], device=embeds.device)


@contextmanager
def _ready_to_encode(model: VLLTRForImageClassification, device: torch.device | str) -> Iterator[None]:
    """The model on the device and in eval mode, and every module in its own mode afterwards."""
    modes = {module: module.training for module in model.modules()}
    model.eval().to(device)
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


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
