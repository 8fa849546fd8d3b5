import datasets
import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from xmodal_lt.processing import build_word_tokenizer, num_words


WORD_LISTS = [["red", "fire engine"], ["red", "car"], ["red", "car", "wheel"]]


def test_most_frequent_word_comes_first_and_ties_are_alphabetical(tokenizer):
    assert tokenizer.convert_ids_to_tokens(range(6)) == ["[PAD]", "[UNK]", "red", "car", "fire engine", "wheel"]


def test_a_word_counts_once_a_sample():
    tokenizer = build_word_tokenizer([["b", "b", "b"], ["a"], ["a"]])
    assert tokenizer.convert_ids_to_tokens([2, 3]) == ["a", "b"]


def test_a_word_with_spaces_is_one_token_and_case_matters(tokenizer):
    encoded = tokenizer([["fire engine", "Red", "red"]], is_split_into_words=True)
    assert encoded["input_ids"] == [[4, 1, 2]]


def test_encoding_gives_no_token_types(tokenizer):
    assert set(tokenizer(["red"], is_split_into_words=True)) == {"input_ids", "attention_mask"}


def test_max_words_keeps_the_most_frequent():
    tokenizer = build_word_tokenizer(WORD_LISTS, max_words=2)
    assert set(tokenizer.get_vocab()) == {"[PAD]", "[UNK]", "red", "car"}


def test_min_frequency_drops_rare_words():
    assert num_words(build_word_tokenizer(WORD_LISTS, min_frequency=2)) == 2


def test_num_words_leaves_special_tokens_out(tokenizer):
    assert num_words(tokenizer) == 4


def test_samples_without_words_and_blank_words_are_skipped():
    assert num_words(build_word_tokenizer([[], None, ["", " "], ["red"]])) == 1


def test_data_set_is_read_without_decoding_images(tokenizer):
    not_an_image = {"bytes": b"not an image", "path": None}
    features = datasets.Features({"image": datasets.Image(), "tags": datasets.List(datasets.Value("string"))})
    dataset = datasets.Dataset.from_dict({"image": [not_an_image] * 3, "tags": WORD_LISTS}, features=features)
    for source in (dataset, dataset.to_iterable_dataset()):
        assert build_word_tokenizer(source, words_column="tags").get_vocab() == tokenizer.get_vocab()


@pytest.mark.parametrize("tokenizer_class", [AutoTokenizer, PreTrainedTokenizerFast])
def test_save_and_load_change_nothing(tokenizer, tokenizer_class, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    loaded = tokenizer_class.from_pretrained(tmp_path)
    assert loaded.get_vocab() == tokenizer.get_vocab()
    words = [["fire engine", "boat"], ["red"]]
    assert dict(loaded(words, is_split_into_words=True, padding=True)) == {
        "input_ids": [[4, 1], [2, 0]],
        "attention_mask": [[1, 1], [1, 0]],
    }


@pytest.mark.parametrize("setting", [{"max_words": 0}, {"min_frequency": 0}])
def test_limits_below_one_are_refused(setting):
    with pytest.raises(ValueError, match="must be at least 1, got 0"):
        build_word_tokenizer(WORD_LISTS, **setting)


@pytest.mark.parametrize(("word_lists", "setting"), [([[], []], {}), (WORD_LISTS, {"min_frequency": 4})])
def test_empty_vocabulary_is_refused(word_lists, setting):
    with pytest.raises(ValueError, match="vocabulary would be empty"):
        build_word_tokenizer(word_lists, **setting)


@pytest.mark.parametrize("words", ["red car", ["red", 3], 3])
def test_words_that_are_not_a_list_of_strings_are_refused(words):
    with pytest.raises(TypeError, match="sample 1 must be a list of strings"):
        build_word_tokenizer([["red"], words])


def test_missing_column_is_named():
    dataset = datasets.Dataset.from_dict({"tags": WORD_LISTS})
    with pytest.raises(ValueError, match="no column 'words', only \\['tags'\\]"):
        build_word_tokenizer(dataset)


def test_a_word_with_a_special_token_is_refused():
    with pytest.raises(ValueError, match="holds the special token \\[PAD\\]"):
        build_word_tokenizer([["a [PAD]"]])
