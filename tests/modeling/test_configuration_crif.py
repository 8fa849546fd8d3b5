import pytest
from huggingface_hub.errors import StrictDataclassFieldValidationError

from xmodal_lt.modeling.configuration_crif import CRIFConfig


@pytest.mark.parametrize(
    "name",
    [
        "shared_size",
        "semantic_size",
        "clip_size",
        "fusion_size",
        "transfer_hidden_size",
        "word_hidden_size",
        "word_embedding_size",
        "decoder_steps",
    ],
)
def test_names_a_size_below_one(name):
    with pytest.raises(ValueError, match=f"{name}=0 must be at least 1"):
        CRIFConfig(**{name: 0})


def test_names_a_clip_wider_than_what_it_clips():
    with pytest.raises(ValueError, match="clip_size=9 must be at most shared_size=8"):
        CRIFConfig(shared_size=8, clip_size=9)


def test_names_a_vocabulary_without_words():
    with pytest.raises(ValueError, match="vocab_size=2 leaves no word beside 2 special tokens"):
        CRIFConfig(vocab_size=2)


def test_names_a_word_encoder_without_vocabulary():
    with pytest.raises(ValueError, match="vocab_size=None leaves no words to encode; set word_encoder=None"):
        CRIFConfig(vocab_size=None)


@pytest.mark.parametrize(
    "name",
    [
        "word_encoder",
        "word_decoder",
        "privileged_encoder",
        "alignment_strategy",
        "alignment_function",
        "coral_mode",
        "word_loss",
        "fusion",
        "readout",
    ],
)
def test_names_an_unknown_option(name):
    with pytest.raises(StrictDataclassFieldValidationError, match=f"field '{name}'"):
        CRIFConfig(**{name: "median"})
