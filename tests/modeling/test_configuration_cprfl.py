"""What the configuration of CPRFL completes, keeps in a file and refuses."""

import shutil

import pytest
from huggingface_hub.errors import StrictDataclassFieldValidationError
from tiny_clip import WIDTH, save_tiny_clip

from xmodal_lt import CPRFLConfig


PAPER = {"variant": "paper", "hidden_size": 48, "num_heads": 4}


@pytest.fixture
def clip(tmp_path) -> str:
    save_tiny_clip(tmp_path / "clip")
    return str(tmp_path / "clip")


@pytest.fixture
def glove(tmp_path) -> str:
    (tmp_path / "glove.txt").write_text("dog 1 2 3\ncat 3 4 5\n")
    return f"glove:{tmp_path / 'glove.txt'}"


class TestDefaults:
    def test_are_those_of_the_released_code(self):
        config = CPRFLConfig()
        assert (config.hidden_size, config.num_heads, config.head_size, config.mlp_size) == (2048, 8, 512, 2048)
        assert (config.expansion, config.prompt_hidden_size, config.dropout) == (0.5, 1024, 0.1)
        assert (config.variant, config.residual, config.detach_path) == ("code", False, None)
        assert config.prompt_templates == ["a photo of a {}."]

    def test_loss_of_several_labels_is_asymmetric(self):
        assert CPRFLConfig().classification_loss == "asymmetric"
        assert CPRFLConfig(classification_loss="bce").classification_loss == "bce"

    def test_loss_of_one_label_is_left_to_the_problem_type(self):
        assert CPRFLConfig(problem_type="single_label_classification").classification_loss is None

    def test_heads_share_the_width_in_the_paper(self):
        assert CPRFLConfig(**PAPER).head_size == 12

    def test_mlp_is_as_wide_as_the_tokens(self):
        assert CPRFLConfig(hidden_size=24).mlp_size == 24

    @pytest.mark.parametrize(("expansion", "width"), [(0.5, 12), (2, 48), (0.1, 2)])
    def test_tau_is_in_units_of_d(self, expansion, width):
        assert CPRFLConfig(hidden_size=24, expansion=expansion).prompt_hidden_size == width


class TestSemantics:
    def test_random_ones_have_the_width_of_word_vectors(self):
        assert CPRFLConfig().semantic_size == 300

    def test_width_is_that_of_word_vectors(self, glove):
        assert CPRFLConfig(semantics=glove).semantic_size == 3

    @pytest.mark.parametrize("clip_text", ["cached", "frozen", "trained"])
    def test_width_is_that_of_clip(self, clip, clip_text):
        assert CPRFLConfig(semantics=f"clip:{clip}", clip_text=clip_text).semantic_size == WIDTH

    def test_given_width_stays(self):
        assert CPRFLConfig(semantic_size=7).semantic_size == 7

    def test_cached_ones_need_no_config_of_the_encoder(self, clip):
        assert CPRFLConfig(semantics=f"clip:{clip}").clip_text_config is None

    @pytest.mark.parametrize("clip_text", ["frozen", "trained"])
    def test_config_of_the_encoder_is_kept(self, clip, clip_text):
        config = CPRFLConfig(semantics=f"clip:{clip}", clip_text=clip_text)
        assert config.clip_text_config["projection_dim"] == WIDTH


class TestFile:
    SETTINGS = (
        {},
        {**PAPER, "residual": True, "detach_path": "direct", "expansion": 2, "dropout": 0},
        {"prompt_network": "none", "problem_type": "single_label_classification", "head_size": 3, "mlp_size": 5},
        {"id2label": {0: "dog", 1: "cat"}, "class_counts": [4, 2], "num_samples": 5, "semantic_size": 9},
        {"classification_loss": "asymmetric", "classification_loss_kwargs": {"gamma_neg": 2.0}},
    )

    @pytest.mark.parametrize("settings", SETTINGS)
    def test_gives_the_same_config(self, settings, tmp_path):
        config = CPRFLConfig(**settings)
        config.save_pretrained(tmp_path)
        assert CPRFLConfig.from_pretrained(tmp_path).to_json_string(False) == config.to_json_string(False)

    @pytest.mark.parametrize("clip_text", ["cached", "frozen", "trained"])
    def test_needs_no_clip_again(self, clip, clip_text, tmp_path):
        config = CPRFLConfig(semantics=f"clip:{clip}", clip_text=clip_text, templates=["a {}", "the {}"])
        config.save_pretrained(tmp_path)
        shutil.rmtree(clip)
        assert CPRFLConfig.from_pretrained(tmp_path).to_json_string(False) == config.to_json_string(False)


class TestErrors:
    @pytest.mark.parametrize("variant", ["code", "paper"])
    @pytest.mark.parametrize("value", [0, -2])
    @pytest.mark.parametrize("name", ["hidden_size", "num_heads", "head_size", "mlp_size", "semantic_size"])
    def test_name_a_size_below_one(self, name, value, variant):
        with pytest.raises(ValueError, match=f"{name}={value} must be at least 1"):
            CPRFLConfig(variant=variant, **{name: value})

    @pytest.mark.parametrize("expansion", [0, -0.5, 0.01])
    def test_name_an_expansion_that_leaves_no_width(self, expansion):
        with pytest.raises(ValueError, match="expansion="):
            CPRFLConfig(hidden_size=8, expansion=expansion)

    @pytest.mark.parametrize("dropout", [-0.1, 1, 1.5])
    def test_name_a_dropout_that_is_none(self, dropout):
        with pytest.raises(ValueError, match=f"dropout={dropout} must be at least 0 and below 1"):
            CPRFLConfig(dropout=dropout)

    @pytest.mark.parametrize("sizes", [{"num_heads": 5}, {"head_size": 11}])
    def test_name_heads_that_do_not_fit_the_paper(self, sizes):
        with pytest.raises(
            ValueError, match=r"num_heads=\d times head_size=\d+ must be hidden_size=48; leave head_si"
        ):
            CPRFLConfig(**PAPER | sizes)

    def test_name_a_backbone_of_videos(self):
        with pytest.raises(ValueError, match="'features:gru' encodes videos; set a timm name or 'hf:<model id>'"):
            CPRFLConfig(backbone="features:gru", backbone_kwargs={"input_size": 4})

    @pytest.mark.parametrize("semantics", ["random", "glove", "sentence"])
    @pytest.mark.parametrize("clip_text", ["frozen", "trained"])
    def test_name_a_text_encoder_without_clip(self, clip_text, semantics):
        with pytest.raises(ValueError, match=f"clip_text='{clip_text}' is for CLIP's .* set clip_text='cached'"):
            CPRFLConfig(semantics=semantics, clip_text=clip_text)

    @pytest.mark.parametrize("semantics", ["random", "glove"])
    def test_name_templates_of_words(self, semantics):
        with pytest.raises(ValueError, match="read words and no sentences; leave `templates` out"):
            CPRFLConfig(semantics=semantics, templates=["a {}"])

    @pytest.mark.parametrize(
        ("templates", "message"), [([], "at least one template"), (["a dog"], r"'\{\}' exactly once")]
    )
    def test_name_templates_without_a_place_for_the_class(self, templates, message):
        with pytest.raises(ValueError, match=message):
            CPRFLConfig(semantics="clip", semantic_size=4, templates=templates)

    @pytest.mark.parametrize(
        ("semantics", "message"),
        [
            ("bert", "Unknown class semantics 'bert'"),
            ("word2vec", "write 'word2vec:<file>'"),
            ("random:4", "takes no source"),
        ],
    )
    def test_name_semantics_that_do_not_exist(self, semantics, message):
        with pytest.raises(ValueError, match=message):
            CPRFLConfig(semantics=semantics)

    @pytest.mark.parametrize("kind", ["glove", "clip"])
    def test_name_a_source_that_is_missing(self, kind, tmp_path):
        with pytest.raises(FileNotFoundError, match="missing"):
            CPRFLConfig(semantics=f"{kind}:{tmp_path / 'missing'}")

    @pytest.mark.parametrize("clip_text", ["frozen", "trained"])
    def test_name_a_width_that_is_not_clips(self, clip, clip_text):
        with pytest.raises(ValueError, match=r"6 wide, and .*semantic_size=5; leave semantic_size out"):
            CPRFLConfig(semantics=f"clip:{clip}", clip_text=clip_text, semantic_size=5)

    @pytest.mark.parametrize("name", ["clip_text", "prompt_network", "variant", "detach_path"])
    def test_name_an_unknown_option(self, name):
        with pytest.raises(StrictDataclassFieldValidationError, match=f"field '{name}'"):
            CPRFLConfig(**{name: "median"})
