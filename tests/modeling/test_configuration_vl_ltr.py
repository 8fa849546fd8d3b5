"""What the configuration of VL-LTR completes, keeps in a file and refuses."""

import shutil

import pytest
from huggingface_hub.errors import StrictDataclassFieldValidationError
from tiny_clip import LENGTH, WIDTH, save_tiny_clip

from xmodal_lt import VLLTRConfig


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("clip")
    save_tiny_clip(folder)
    return f"clip:{folder}"


# Of a sentence-transformers model, as `resolve_sentence_config` gives it.
SENTENCE = {
    "text_backbone": "sentence:of nowhere",
    "text_backbone_config": {
        "kind": "sentence",
        "config": {"model_type": "bert", "hidden_size": 12},
        "pooling": "mean",
        "normalize": True,
        "max_tokens": 96,
    },
}


def test_defaults_are_those_of_the_released_code(clip):
    config = VLLTRConfig(text_backbone=clip)
    assert (config.head, config.num_anchors, config.mlp_ratio) == ("lgr", 64, 4)
    assert (config.variant, config.branch_combination, config.visual_weight) == ("code", "weighted", 0.2)
    assert (config.distillation_weight, config.contrastive_smoothing, config.temperature) == (0.5, 0.1, 0.07)
    assert config.max_logit_scale is None
    assert config.train_text_encoder
    for name in ("detach_norm", "train_logit_scale", "finetunes_encoder", "train_mode"):
        assert not getattr(config, name), name
    assert config.problem_type == "single_label_classification"


def test_the_paper_sums_its_branches_and_finetunes_the_encoder():
    paper = VLLTRConfig(variant="paper")
    assert paper.branch_combination == "sum"
    assert paper.finetunes_encoder
    changed = VLLTRConfig(variant="paper", combination="logits", finetune_encoder=False)
    assert changed.branch_combination == "logits"
    assert not changed.finetunes_encoder
    assert VLLTRConfig(finetune_encoder=True).finetunes_encoder


def test_sizes_and_distillation_follow_the_text_encoder(clip):
    alone = VLLTRConfig()
    assert (alone.embed_size, alone.max_tokens, alone.distillation_weight, alone.has_teacher) == (512, None, 0, False)
    assert VLLTRConfig(embed_size=40).embed_size == 40

    taught = VLLTRConfig(text_backbone=clip)
    assert (taught.embed_size, taught.max_tokens, taught.has_teacher) == (WIDTH, LENGTH, True)
    assert not VLLTRConfig(text_backbone=clip, distillation_weight=0).has_teacher
    assert VLLTRConfig(text_backbone=clip, max_tokens=20).max_tokens == 20

    untaught = VLLTRConfig(**SENTENCE)
    assert (untaught.embed_size, untaught.max_tokens) == (12, LENGTH)  # at most that of CLIP
    assert (untaught.distillation_weight, untaught.has_teacher) == (0, False)
    assert VLLTRConfig(**SENTENCE, max_tokens=96, embed_size=20).embed_size == 20


def test_a_checkpoint_is_read_without_the_text_encoders_files(tmp_path):
    save_tiny_clip(tmp_path / "clip")
    config = VLLTRConfig(text_backbone=f"clip:{tmp_path / 'clip'}", num_labels=4)
    config.save_pretrained(tmp_path / "checkpoint")
    shutil.rmtree(tmp_path / "clip")
    again = VLLTRConfig.from_pretrained(tmp_path / "checkpoint")
    assert again.to_json_string() == config.to_json_string()
    assert again.has_teacher


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"problem_type": "multi_label_classification"}, "one label.*take CPRFL"),
        ({"embed_size": 0}, "embed_size=0 must be at least 1"),
        ({"num_anchors": 0}, "num_anchors=0 must be at least 1"),
        ({"num_neighbors": 0}, "num_neighbors=0 must be at least 1"),
        ({"mlp_ratio": 0}, "mlp_ratio=0 must be at least 1"),
        ({"distillation_weight": 1}, "distillation_weight=1 must be at least 0 and below 1"),
        ({"contrastive_smoothing": -0.1}, "contrastive_smoothing=-0.1 must be at least 0"),
        ({"visual_weight": 1.5}, "visual_weight=1.5 must be between 0 and 1"),
        ({"temperature": 0}, "temperature=0 must be above 0"),
        ({"max_logit_scale": 0.0}, "max_logit_scale=0.0 must be above 0"),
        ({"text_backbone": "glove"}, "Unknown text_backbone 'glove'"),
    ],
)
def test_wrong_values_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        VLLTRConfig(**settings)


@pytest.mark.parametrize("settings", [{"head": "mlp"}, {"combination": "mean"}, {"variant": "both"}])
def test_unknown_choices_are_refused(settings):
    with pytest.raises(StrictDataclassFieldValidationError, match=next(iter(settings))):
        VLLTRConfig(**settings)


def test_sizes_that_do_not_fit_the_text_encoder_are_refused(clip):
    with pytest.raises(ValueError, match=rf"width {WIDTH}, and embed_size=9; leave embed_size out"):
        VLLTRConfig(text_backbone=clip, embed_size=9)
    with pytest.raises(ValueError, match=rf"max_tokens=78, but 'clip:.* at most {LENGTH}"):
        VLLTRConfig(text_backbone=clip, max_tokens=78)
    with pytest.raises(ValueError, match=r"share a space from the start.*set distillation_weight=0, or take a CLIP"):
        VLLTRConfig(**SENTENCE, distillation_weight=0.5)
