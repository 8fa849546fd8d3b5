"""Runs of VL-LTR: both encoders together, then a head on sentences, on a tiny CLIP with random weights."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from tiny_clip import save_tiny_clip
from torch.testing import assert_close
from transformers import (
    AutoModelForImageClassification,
    AutoTokenizer,
    CLIPImageProcessor,
    CLIPModel,
    TrainerCallback,
)

from xmodal_lt.modeling.sentence_encoder import tokenize_sentences
from xmodal_lt.prediction import Predictor
from xmodal_lt.training import LongTailTrainer, Recipe, run_recipe
from xmodal_lt.training.evaluate_checkpoint import evaluate_checkpoint


pytestmark = pytest.mark.usefixtures("blank_figures")

CLASSES = ["circle", "square", "triangle"]
STAGE = {"epochs": 2, "learning_rate": 1e-3, "batch_size": 8, "optimizer": "adamw", "weight_decay": 0.05}
STAGES = {
    "pretrain": {**STAGE, "scheduler": "cosine", "learning_rates": {"vl_ltr.text_encoder": 1e-4}},
    "finetune": {**STAGE, "learning_rates": {"head.attention": 1e-6}},
}
CORPUS = {"source": "train", "templates": ["a {}.", "the {} of a dog."]}


@pytest.fixture(scope="session")
def clip(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("clip")
    save_tiny_clip(folder)
    CLIPImageProcessor().save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def make(shapes, clip) -> Callable[..., Recipe]:
    """Makes a recipe on the shapes, changed by `config` fields and by whole keys of the recipe."""

    def make(output_dir: Path, config: dict[str, Any] | None = None, **changes: Any) -> Recipe:
        pretrained = None if (config or {}).get("backbone") == "test_resnet" else clip
        own = {"backbone": f"hf:{clip}", "text_backbone": f"clip:{clip}", "num_anchors": 3, **(config or {})}
        values = {
            "model": {"type": "vl_ltr", "config": own, "pretrained": pretrained},
            "dataset": {"path": str(shapes), "head_threshold": 10, "tail_threshold": 5},
            "images": {"size": 32},
            "stages": STAGES,
            "corpus": CORPUS,
            "logging_steps": 1,
            "output_dir": str(output_dir),
        }
        return Recipe.from_dict(values | changes)

    return make


@pytest.fixture(scope="module")
def finished(make, tmp_path_factory) -> Path:
    """Output folder of a finished run of both stages. Read it, write nothing into it."""
    return run_recipe(make(tmp_path_factory.mktemp("runs") / "finished")).output_dir


@pytest.fixture
def from_checkpoint(make, finished, tmp_path):
    """Runs from the finished run's model; keyword arguments are config fields, and keys of the recipe."""

    def run(config: dict[str, Any] | None = None, output_dir: str = "run", **changes: Any) -> Recipe:
        model = {"type": "vl_ltr", "checkpoint": str(finished), "config": config or {}}
        return make(tmp_path / output_dir, model=model, **changes)

    return run


def _history(folder: Path, stage: str, key: str) -> list[float]:
    history = json.loads((folder / "history.json").read_text())[stage]
    return [entry[key] for entry in history if key in entry]


def _assert_equal_weights(first: Path, second: Path) -> None:
    first, second = (load_file(folder / "model.safetensors") for folder in (first, second))
    assert first.keys() == second.keys()
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


def test_both_stages_report_their_losses_and_scores(finished):
    results = json.loads((finished / "results.json").read_text())
    test = results["splits"]["test"]
    assert test["groups"]["all"]["num_test"] == 9
    assert set(results["branches"]["test"]) == {"visual", "text"}

    assert len(_history(finished, "pretrain", "loss")) == 6
    losses = [_history(finished, "pretrain", f"loss_{name}") for name in ("contrastive", "distillation")]
    for total, *parts in zip(_history(finished, "pretrain", "loss"), *losses, strict=True):
        assert total == pytest.approx(sum(parts) / 2, rel=1e-4)
    for stage, epochs in (("pretrain", 2), ("finetune", 2)):
        validation = _history(finished, stage, "eval_loss")
        assert len(set(validation)) == epochs  # none is that of another epoch
        correct = [9 * accuracy for accuracy in _history(finished, stage, "eval_accuracy")]
        assert correct == pytest.approx([round(images) for images in correct])  # of all nine images
        assert all(0 < loss < 20 for loss in validation)


def test_classes_are_learned(make, tmp_path):
    config = {"backbone": "test_resnet", "train_mode": True, "distillation_weight": 0}  # random weights teach nothing
    learning = {**STAGE, "epochs": 8, "scheduler": "constant"}
    stages = {"pretrain": learning, "finetune": {**STAGES["finetune"], **learning, "learning_rate": 1e-2}}
    results = run_recipe(make(tmp_path / "run", config, stages=stages))
    assert max(_history(results.output_dir, "pretrain", "eval_accuracy")) > 0.6  # zero-shot
    assert results.values["splits"]["test"]["accuracy"] > 0.7
    for branch in results.values["branches"]["test"].values():
        assert branch["accuracy"] > 0.5  # of three classes


def test_anchors_are_sentences_of_the_corpus_as_the_trained_encoder_reads_them(finished):
    chosen = json.loads((finished / "anchors.json").read_text())
    assert [entry["class"] for entry in chosen] == CLASSES
    model = AutoModelForImageClassification.from_pretrained(finished).eval()
    tokenizer = AutoTokenizer.from_pretrained(finished)
    for class_id, entry in enumerate(chosen):
        texts, losses = zip(*((row["text"], row["loss"]) for row in entry["sentences"]), strict=True)
        assert len(set(texts)) == len(texts) == model.sentences.counts[class_id] == 3
        assert all(entry["class"] in text for text in texts)
        assert list(losses) == sorted(losses)
        tokens = tokenize_sentences(tokenizer, texts, 77)
        with torch.no_grad():
            embeds = model.vl_ltr.encode_text(**tokens)
        assert_close(model.sentences.embeds[class_id], embeds)


def test_a_finished_run_evaluates_and_predicts_the_same_without_the_text_encoder(finished, shapes, tmp_path):
    results = json.loads((finished / "results.json").read_text())
    again, _ = evaluate_checkpoint(str(finished), output=tmp_path / "evaluation")
    assert again["accuracy"] == results["splits"]["test"]["accuracy"]

    slim = tmp_path / "slim"
    AutoModelForImageClassification.from_pretrained(finished).save_pretrained(slim, for_inference=True)
    shutil.copy(finished / "preprocessor_config.json", slim)
    images = [Image.open(path) for path in sorted((shapes / "test").glob("*.png"))]
    whole, small = (Predictor.from_pretrained(str(folder)).predict(images, top_k=3) for folder in (finished, slim))
    assert whole == small
    assert {row["label"] for row in whole[0]["predictions"]} == set(CLASSES)
    sizes = [(folder / "model.safetensors").stat().st_size for folder in (finished, slim)]
    assert sizes[1] < 0.5 * sizes[0]


def _cut_off(recipe: Recipe, stage: str, step: int) -> None:
    """Runs a recipe that stops as if it was interrupted, after a step of a stage."""

    class Stop(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            if Path(args.output_dir).name == stage and state.global_step == step:
                raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        original = LongTailTrainer.__init__
        patch.setattr(LongTailTrainer, "__init__", lambda self, **kwargs: original(self, callbacks=[Stop()], **kwargs))
        with pytest.raises(KeyboardInterrupt):
            run_recipe(recipe)
    recipe.resume = True


@pytest.mark.parametrize(("stage", "save_steps", "step"), [("pretrain", 2, 5), ("finetune", None, 5)])
def test_a_run_that_was_cut_off_ends_with_the_same_weights(make, finished, tmp_path, stage, save_steps, step):
    recipe = make(tmp_path / "run", save_steps=save_steps)
    _cut_off(recipe, stage, step)
    assert (tmp_path / "run" / "checkpoints" / "pretrain" / "final").exists() == (stage == "finetune")
    run_recipe(recipe)
    _assert_equal_weights(tmp_path / "run", finished)
    assert (tmp_path / "run" / "anchors.json").read_text() == (finished / "anchors.json").read_text()


def test_images_are_mixed_alike_after_a_cut(from_checkpoint, finished):
    stage = {**STAGE, "mixup": 0.8, "cutmix": 1.0, "loss": "cross_entropy"}
    recipes = [
        from_checkpoint({"finetune_encoder": True}, output_dir, stages={"finetune": stage}, save_steps=2)
        for output_dir in ("whole", "cut")
    ]
    whole = run_recipe(recipes[0]).output_dir
    _cut_off(recipes[1], "finetune", 5)
    _assert_equal_weights(whole, run_recipe(recipes[1]).output_dir)
    before, after = (load_file(folder / "model.safetensors") for folder in (finished, whole))
    for name in ("vl_ltr.vision_encoder.model.embeddings.patch_embedding.weight", "vl_ltr.visual_projection.weight"):
        assert not torch.equal(before[name], after[name])
    text = [name for name in before if name.startswith(("vl_ltr.text_encoder.", "vl_ltr.teacher."))]
    assert text
    assert [name for name in text if not torch.equal(before[name], after[name])] == []
    assert not list(whole.glob("cache/*-train-*"))


@pytest.mark.parametrize("head", ["fc", "knn", "zero_shot", "nearest_mean"])
def test_another_head_goes_on_from_a_checkpoint(from_checkpoint, finished, head):
    stages = {"finetune": {**STAGES["finetune"], "learning_rates": {}}} if head == "fc" else {}
    results = run_recipe(from_checkpoint({"head": head}, stages=stages))
    before, after = (load_file(folder / "model.safetensors") for folder in (finished, results.output_dir))
    encoders = [name for name in before if name.startswith("vl_ltr.")]
    assert [name for name in encoders if not torch.equal(after[name], before[name])] == []
    # Encoders are as they were, so that what is known of the classes is so too.
    same = [name for name in before if name.startswith(("sentences.", "class_embeds")) and name in after]
    assert any(name.startswith("sentences.") for name in same) == (head == "knn")
    assert [name for name in same if not torch.equal(after[name], before[name])] == []
    assert (results.output_dir / "anchors.json").exists() == (head == "knn")
    predicted = Predictor.from_pretrained(str(results.output_dir)).predict([Image.new("RGB", (32, 32))], top_k=3)
    assert sum(row["score"] for row in predicted[0]["predictions"]) == pytest.approx(1, abs=1e-4)


def test_words_may_be_absent(make, write_shapes, tmp_path):
    folder = write_shapes(tmp_path / "plain")
    for file in folder.rglob("metadata.jsonl"):
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        file.write_text("\n".join(json.dumps({k: v for k, v in row.items() if k != "words"}) for row in rows))
    # Without a corpus, too: the package's own templates.
    recipe = make(tmp_path / "run", dataset={"path": str(folder)}, corpus=None, stages={"pretrain": STAGE})
    recipe.model.config["head"] = "knn"
    recipe.stages["pretrain"].epochs = 1
    results = run_recipe(recipe)
    chosen = json.loads((results.output_dir / "anchors.json").read_text())
    assert all(entry["class"] in row["text"] for entry in chosen for row in entry["sentences"])
    names = load_file(results.output_dir / "model.safetensors")
    assert names["sentences.counts"].tolist() == [3, 3, 3]


def test_pieces_of_a_batch_train_as_the_whole_does(make, finished, tmp_path):
    pretrain = {**STAGES["pretrain"], "chunk_size": 3}
    results = run_recipe(make(tmp_path / "run", {"head": "zero_shot"}, stages={"pretrain": pretrain}))
    for key in ("loss", "eval_loss"):
        expected = _history(finished, "pretrain", key)
        assert _history(results.output_dir, "pretrain", key) == pytest.approx(expected, rel=1e-4)


BASELINE = {"type": "lt_classifier", "config": {"backbone": "test_resnet"}}
JOINT = {"joint": STAGE}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": BASELINE, "stages": JOINT}, "'lt_classifier' reads no sentences; leave `corpus:` out"),
        (
            {"model": BASELINE, "stages": JOINT, "corpus": None, "anchors": {"split": "train"}},
            "'lt_classifier' reads no sentences; leave `anchors:` out",
        ),
        (
            {"model": {"type": "vl_ltr", "config": {"backbone": "test_resnet"}}, "stages": {"finetune": STAGE}},
            "needs a text encoder for the sentences.*text_backbone=sentence",
        ),
        ({"corpus": {"source": "nowhere.csv"}}, "nowhere.csv"),
        ({"corpus": {"source": "train", "columns": ["wrods"]}}, "no column 'wrods'.*'words'"),
        (
            {"stages": {"finetune": {**STAGE, "chunk_size": 2}}},
            r"stages\.finetune\.chunk_size is for stages with a con",
        ),
        (
            {"stages": {"finetune": {**STAGE, "learning_rates": {"head.attn": 0.1}}}},
            r"stages\.finetune\.learning_rates\.head\.attn: .*it trains head",
        ),
        (
            {"stages": {"finetune": {**STAGE, "learning_rates": {"vl_ltr.text_encoder": 0.1}}}},
            r"learning_rates\.vl_ltr\.text_encoder: the stage trains no part of that name",  # which is frozen there
        ),
        (
            {"stages": {"pretrain": {**STAGE, "mixup": 0.8}, "finetune": STAGE}},
            r"stages\.pretrain: mixup and cutmix need .*no .*sentences",
        ),
        ({"stages": {"pretrain": STAGE}}, "Nothing trains the head 'lgr'; add stages.finetune"),
        ({"stages": {"finetune": {**STAGE, "cutmix": 1.0}}}, r"stages\.finetune: .*set cache_features=false"),
        (
            {"stages": {"finetune": {**STAGE, "mixup": 1.0, "cache_features": False, "loss": "focal"}}},
            r"stages\.finetune: the labels .* are for cross_entropy, and the loss is 'focal'",
        ),
        ({"stages": dict(reversed(STAGES.items()))}, r"stages\.finetune reads sentences as stages\.pretrain leaves"),
    ],
)
def test_what_does_not_fit_is_found_before_the_folder_is_taken(make, tmp_path, changes, message):
    recipe = make(tmp_path / "run", **changes)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        run_recipe(recipe)
    assert not (tmp_path / "run").exists()


def test_anchors_of_a_validation_split_that_is_not_there_are_refused(make, write_shapes, tmp_path):
    folder = write_shapes(tmp_path / "data")
    shutil.rmtree(folder / "validation")
    dataset = {"path": str(folder), "validation_fraction": 0}
    anchors = {"split": "validation"}
    with pytest.raises(ValueError, match=r"anchors\.split=validation, but .* set anchors\.split=train"):
        run_recipe(make(tmp_path / "run", dataset=dataset, anchors=anchors))


def test_pieces_with_statistics_of_their_own_are_refused(make, tmp_path):
    config = {"backbone": "test_resnet", "train_mode": True, "distillation_weight": 0}
    stages = {"pretrain": {**STAGE, "chunk_size": 2}, "finetune": STAGE}
    with pytest.raises(ValueError, match=r"chunk_size: with train_mode=true, batch norms"):
        run_recipe(make(tmp_path / "run", config, stages=stages))


def test_a_checkpoint_for_prediction_is_no_start(make, finished, tmp_path):
    model = AutoModelForImageClassification.from_pretrained(finished)
    model.save_pretrained(tmp_path / "slim", for_inference=True)
    start = {"type": "vl_ltr", "checkpoint": str(tmp_path / "slim")}
    with pytest.raises(ValueError, match="has no text encoder, as one that is saved with for_inference=True"):
        run_recipe(make(tmp_path / "run", model=start, stages={"finetune": STAGE}))


def test_a_new_head_on_a_checkpoint_must_be_trained(from_checkpoint):
    with pytest.raises(ValueError, match="Nothing trains the head 'fc'"):
        run_recipe(from_checkpoint({"head": "fc"}, stages={}))


def test_a_run_starts_from_another_whose_text_backbone_has_moved(from_checkpoint, finished, monkeypatch):
    def no_source(name):
        raise FileNotFoundError(name)

    monkeypatch.setattr("xmodal_lt.training.class_text.load_sentence_tokenizer", no_source)
    results = run_recipe(from_checkpoint({"head": "zero_shot"}, stages={}))
    assert AutoTokenizer.from_pretrained(results.output_dir).get_vocab() == (
        AutoTokenizer.from_pretrained(finished).get_vocab()
    )


def test_a_text_encoder_may_be_pretrained_alone_or_not_at_all(make, clip, tmp_path):
    config = {"backbone": "test_resnet", "head": "zero_shot", "distillation_weight": 0}
    encoders = {}
    for pretrained in (True, False):
        model = {
            "type": "vl_ltr",
            "config": {**config, "text_backbone": f"clip:{clip}"},
            "pretrained_text": pretrained,
        }
        folder = run_recipe(make(tmp_path / str(pretrained), model=model, stages={})).output_dir
        encoders[pretrained] = AutoModelForImageClassification.from_pretrained(folder).vl_ltr.text_encoder.state_dict()
    own = CLIPModel.from_pretrained(clip).state_dict()["text_projection.weight"]
    assert torch.equal(encoders[True]["model.text_projection.weight"], own)
    assert not torch.equal(encoders[False]["model.text_projection.weight"], own)


def test_videos_are_not_mixed(video_recipe, tmp_path):
    with pytest.raises(ValueError, match=r"stages\.joint: mixup and cutmix need images with one label"):
        run_recipe(video_recipe("lt_classifier", tmp_path / "run", stage={"mixup": 0.8}))
    assert not (tmp_path / "run").exists()


def test_a_vision_tower_saved_without_its_processor_needs_mean_and_deviation(make, tmp_path):
    save_tiny_clip(tmp_path / "bare")
    model = {"type": "vl_ltr", "pretrained": str(tmp_path / "bare"), "config": {"head": "zero_shot"}}
    model["config"] |= {"backbone": f"hf:{tmp_path / 'bare'}", "text_backbone": f"clip:{tmp_path / 'bare'}"}
    with pytest.raises(ValueError, match=r"no preprocessor_config\.json.*set images\.mean and images\.std"):
        run_recipe(make(tmp_path / "run", model=model, stages={}))
    images = {"size": 32, "mean": [0.5] * 3, "std": [0.25] * 3}
    results = run_recipe(make(tmp_path / "run", model=model, stages={}, images=images))
    assert json.loads((results.output_dir / "preprocessor_config.json").read_text())["image_std"] == [0.25] * 3


def test_a_head_that_does_not_learn_has_no_stage_for_it(make, tmp_path):
    with pytest.raises(ValueError, match=r"'knn' is fitted .* not trained; set stages\.finetune=null"):
        run_recipe(make(tmp_path / "run", {"head": "knn"}))
