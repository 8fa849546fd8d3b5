"""What heads are fitted to, against embeddings of one sentence and one image at a time."""

import math
from types import SimpleNamespace

import pytest
import torch
from tiny_clip import WIDTH, save_tiny_clip
from torch.testing import assert_close

from xmodal_lt import VLLTRConfig, VLLTRForImageClassification
from xmodal_lt.data import ClassCorpus
from xmodal_lt.modeling.classifier_heads import NearestMeanClassifier
from xmodal_lt.modeling.sentence_encoder import load_sentence_tokenizer
from xmodal_lt.training import class_text
from xmodal_lt.training.class_text import ClassText, at_most_of_each_class, fit_class_text, update_class_embeds
from xmodal_lt.training.rebalancing import Features
from xmodal_lt.training.recipe import AnchorsRecipe, CorpusRecipe


ANCHORS = 2
CORPUS = ClassCorpus(
    ("cat", "dog", "cow"),
    (("a cat", "the cat", "it purrs", "it is small"), ("a dog", "the dog"), ("a cow", "the cow", "it gives milk")),
    num_prompts=2,
)
LABELS = {"train": [0, 0, 1, 2, 2, 0, 2], "validation": [2, 1, 0]}


@pytest.fixture(scope="module")
def backbone(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("clip")
    save_tiny_clip(folder)
    return f"clip:{folder}"


@pytest.fixture
def text(backbone, monkeypatch):
    monkeypatch.setattr(class_text, "_SENTENCES_AT_ONCE", 3)  # so that batches end within classes
    return ClassText(CORPUS, load_sentence_tokenizer(backbone), max_tokens=12)


@pytest.fixture
def make(backbone):
    def make(**settings) -> VLLTRForImageClassification:
        torch.manual_seed(0)
        config = VLLTRConfig(
            backbone="test_resnet",
            text_backbone=backbone,
            num_labels=3,
            num_anchors=ANCHORS,
            distillation_weight=0,
            train_mode=True,
            **settings,
        )
        model = VLLTRForImageClassification(config)
        model.vl_ltr.logit_scale.weight.data.fill_(math.log(8))
        return model

    return make


class Splits:
    """Random features of images, and a note of the splits whose features were asked for."""

    def __init__(self, model):
        self.asked = []
        generator = torch.Generator().manual_seed(1)
        width = model.get_vision_encoder().hidden_size
        self.features = {
            split: Features(torch.randn(len(labels), width, generator=generator), torch.tensor(labels))
            for split, labels in LABELS.items()
        }

    def __call__(self, split: str, choose=None) -> Features:
        self.asked.append(split)
        own = self.features[split]
        rows = slice(None) if choose is None else choose(own.labels)
        return Features(own.features[rows], own.labels[rows])


@torch.no_grad()
def _embed(model, text, sentence: str) -> torch.Tensor:
    return model.eval().vl_ltr.encode_text(**text.encode([sentence]))[0]


@torch.no_grad()
def _plain_losses(model, text, features, rows) -> list[list[float]]:
    """Of every sentence: -(1/|same|) sum over images of its class of log softmax over all images."""
    images = model.eval().vl_ltr.embed_images(features=features.features[rows])
    labels = features.labels[rows]
    losses = []
    for class_id, own in enumerate(CORPUS.sentences):
        scores = [8 * torch.cosine_similarity(_embed(model, text, sentence)[None], images) for sentence in own]
        losses.append([-float(score.log_softmax(0)[labels == class_id].mean()) for score in scores])
    return losses


def _assert_anchors(model, text, chosen, expected: list[list[int]], losses=None) -> None:
    """Checks the model's sentences and their description against places in the corpus."""
    assert [entry["class"] for entry in chosen] == list(CORPUS.class_names)
    for class_id, (entry, places) in enumerate(zip(chosen, expected, strict=True)):
        own = [CORPUS.sentences[class_id][place] for place in places]
        assert [row["text"] for row in entry["sentences"]] == own
        assert model.sentences.counts[class_id] == len(own)
        for found, sentence in zip(model.sentences.embeds[class_id], own, strict=False):
            assert_close(found, _embed(model, text, sentence))
        values = [row["loss"] for row in entry["sentences"]]
        assert values == (
            [None] * len(own) if losses is None else pytest.approx([losses[class_id][i] for i in places], rel=1e-4)
        )


@pytest.mark.parametrize("split", ["train", "validation"])
def test_anchors_tell_the_images_of_the_split_from_others_best(make, text, split):
    model = make()
    splits = Splits(model)
    chosen = fit_class_text(model, text, AnchorsRecipe(split=split), splits, seed=0, device="cpu")
    assert splits.asked == [split]
    features = splits.features[split]
    losses = _plain_losses(model, text, features, torch.arange(len(features.labels)))
    best = [sorted(range(len(own)), key=own.__getitem__)[:ANCHORS] for own in losses]
    assert best != [[0, 1]] * 3  # else it would be the same as to cut off
    _assert_anchors(model, text, chosen, best, losses)


def test_so_many_images_of_a_class_decide(make, text):
    model = make()
    splits = Splits(model)
    chosen = fit_class_text(model, text, AnchorsRecipe(images_per_class=1), splits, seed=4, device="cpu")
    rows = at_most_of_each_class(splits.features["train"].labels, 1, seed=4)
    losses = _plain_losses(model, text, splits.features["train"], rows)
    best = [sorted(range(len(own)), key=own.__getitem__)[:ANCHORS] for own in losses]
    _assert_anchors(model, text, chosen, best, losses)


@pytest.mark.parametrize("head", ["lgr", "knn"])
def test_cut_off_takes_the_first_and_no_image(make, text, head):
    model = make(head=head)
    splits = Splits(model)
    chosen = fit_class_text(model, text, AnchorsRecipe(selection="cut_off"), splits, seed=0, device="cpu")
    assert not splits.asked
    _assert_anchors(model, text, chosen, [[0, 1]] * 3)


def test_nearest_mean_takes_the_means_of_training_images(make, text):
    model = make(head="nearest_mean")
    splits = Splits(model)
    assert fit_class_text(model, text, AnchorsRecipe(), splits, seed=0, device="cpu") == []
    assert splits.asked == ["train"]
    features = splits.features["train"]
    expected = NearestMeanClassifier(WIDTH, 3)
    expected.fit(model.eval().vl_ltr.embed_images(features=features.features).detach(), features.labels)
    for name, buffer in expected.named_buffers():
        assert_close(model.head.get_buffer(name), buffer)


@pytest.mark.parametrize("head", ["fc", "zero_shot"])
def test_other_heads_take_class_embeddings_alone(make, text, head):
    model = make(head=head)
    splits = Splits(model)
    assert fit_class_text(model, text, AnchorsRecipe(), splits, seed=0, device="cpu") == []
    assert not splits.asked
    _assert_class_embeds(model, text, [own[:2] for own in CORPUS.sentences])


def _assert_class_embeds(model, text, prompts) -> None:
    for class_id, own in enumerate(prompts):
        units = [_embed(model, text, sentence) for sentence in own]
        mean = torch.stack([unit / unit.norm() for unit in units]).mean(0)
        assert_close(model.class_embeds[class_id], mean / mean.norm())


def test_class_embeddings_are_those_of_all_sentences_where_there_are_no_prompts(make, text):
    model = make()
    update_class_embeds(model, ClassText(ClassCorpus(CORPUS.class_names, CORPUS.sentences), text.tokenizer, 12), "cpu")
    _assert_class_embeds(model, text, CORPUS.sentences)
    update_class_embeds(model, text, "cpu")
    _assert_class_embeds(model, text, [own[:2] for own in CORPUS.sentences])


def test_every_module_keeps_its_mode_and_every_random_draw_its_turn(make, text):
    model = make()
    model.set_stage("pretrain")
    model.train()
    modes = {name: module.training for name, module in model.named_modules()}
    assert set(modes.values()) == {False, True}
    state = torch.get_rng_state()
    fit_class_text(model, text, AnchorsRecipe(), Splits(model), seed=0, device="cpu")
    assert {name: module.training for name, module in model.named_modules()} == modes
    assert torch.equal(torch.get_rng_state(), state)
    assert model.class_embeds.isfinite().all()
    assert not model.class_embeds.requires_grad


def test_long_sentences_are_cut_off(text):
    tokens = text.encode(["a dog", "dog " * 40])
    assert tokens["input_ids"].shape == (2, 12)


class TestAtMostOfEachClass:
    labels = torch.tensor([5, 0, 5, 5, 2, 0, 5, 2])

    @pytest.mark.parametrize("limit", [1, 2, 3])
    def test_keeps_the_limit_or_all_there_are(self, limit):
        rows = at_most_of_each_class(self.labels, limit, seed=0)
        assert rows.tolist() == sorted(set(rows.tolist()))
        kept = self.labels[rows].bincount().tolist()
        assert kept == [min(limit, count) for count in self.labels.bincount().tolist()]

    def test_keeps_all_without_a_limit(self):
        for limit in (None, 4, 100):
            assert at_most_of_each_class(self.labels, limit, seed=0).tolist() == list(range(8))

    def test_draws_by_the_seed(self):
        draws = [tuple(at_most_of_each_class(self.labels, 1, seed).tolist()) for seed in range(30)]
        assert draws == [tuple(at_most_of_each_class(self.labels, 1, seed).tolist()) for seed in range(30)]
        assert len(set(draws)) > 5
        assert {row for draw in draws for row in draw} == set(range(8))  # any may be chosen


@pytest.mark.parametrize(
    ("names", "warned"), [(["n01440764", "dog"], True), (["7291", "dog"], True), (["cat"], False)]
)
def test_names_that_are_codes_are_pointed_out(names, warned, monkeypatch):
    messages = []
    monkeypatch.setattr(class_text.logger, "warning", messages.append)
    stats = SimpleNamespace(class_names=names, num_classes=len(names))
    class_text._build_corpus(CorpusRecipe(), SimpleNamespace(stats=stats, splits={}))
    assert [f"called by codes, such as '{names[0]}'" in message for message in messages] == [True] * warned
