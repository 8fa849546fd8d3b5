import numpy as np
import pytest
import torch
from PIL import Image

from xmodal_lt.processing import XModalLTImageProcessor, XModalProcessor


IMAGE = Image.new("RGB", (20, 30))


def test_image_alone(processor):
    batch = processor(images=IMAGE, return_tensors="pt")
    assert list(batch) == ["pixel_values"]
    assert batch["pixel_values"].shape == (1, 3, 32, 32)


def test_one_image_with_its_words(processor):
    batch = processor(images=IMAGE, words=["car", "red"], return_tensors="pt")
    assert batch["input_ids"].tolist() == [[3, 2]]
    assert batch["attention_mask"].tolist() == [[1, 1]]
    assert batch["input_ids"].dtype == batch["attention_mask"].dtype == torch.long


def test_word_lists_are_padded_to_the_longest(processor):
    batch = processor(images=[IMAGE] * 3, words=[["red"], ["car", "fire engine"], []], return_tensors="pt")
    assert batch["input_ids"].tolist() == [[2, 0], [3, 4], [0, 0]]
    assert batch["attention_mask"].tolist() == [[1, 0], [1, 1], [0, 0]]


def test_words_alone(processor):
    assert processor(words=[["red"]], return_tensors="np")["input_ids"].tolist() == [[2]]


def test_without_return_tensors_words_are_lists(processor):
    assert processor(images=IMAGE, words=["red"])["input_ids"] == [[2]]


@pytest.mark.parametrize("words", [[], [[]]])
def test_without_any_word_one_padding_column_is_left(processor, words):
    batch = processor(images=IMAGE, words=words, return_tensors="pt")
    assert batch["input_ids"].tolist() == [[0]]
    assert batch["attention_mask"].tolist() == [[0]]


def test_repeated_and_unknown_words_count_once(processor):
    batch = processor(words=["boat", "red", "ship", "red"])
    assert batch["input_ids"] == [[1, 2]]


def test_ids_are_those_of_the_tokenizer(processor):
    words = [["fire engine", "boat"], ["wheel", "red"]]
    expected = processor.tokenizer(words, is_split_into_words=True)["input_ids"]
    assert processor(words=words)["input_ids"] == expected


def test_max_words_per_image_keeps_the_first(tokenizer):
    processor = XModalProcessor(XModalLTImageProcessor(), tokenizer, max_words_per_image=2)
    assert processor(words=["wheel", "wheel", "car", "red"])["input_ids"] == [[5, 3]]


def test_max_words_below_one_is_refused(tokenizer):
    with pytest.raises(ValueError, match="at least 1, got 0"):
        XModalProcessor(XModalLTImageProcessor(), tokenizer, max_words_per_image=0)


def test_image_settings_hold_for_one_call(processor):
    batch = processor(images=IMAGE, size={"height": 8, "width": 8}, return_tensors="pt")
    assert batch["pixel_values"].shape == (1, 3, 8, 8)
    assert processor.image_processor.size.height == 32


def test_a_string_in_place_of_a_list_is_refused(processor):
    with pytest.raises(TypeError, match="must be a list of words, got the string 'red'"):
        processor(images=IMAGE, words="red")


@pytest.mark.parametrize("words", [[["red"], 3], [["red"], "car"], [["red"], [3]]])
def test_words_that_are_not_a_list_of_strings_are_refused(processor, words):
    with pytest.raises(TypeError, match="sample 1 must be a list of strings"):
        processor(images=[IMAGE, IMAGE], words=words)


@pytest.mark.parametrize("words", [["red", "car"], [["red"], ["car"], []]])
def test_unequal_numbers_of_images_and_word_lists_are_refused(processor, words):
    with pytest.raises(ValueError, match=r"Got 2 image\(s\) but [13] list\(s\)"):
        processor(images=[IMAGE, IMAGE], words=words)


def test_empty_list_of_images_is_refused(processor):
    with pytest.raises(ValueError, match="empty list"):
        processor(images=[], words=[])


def test_a_call_without_inputs_is_refused(processor):
    with pytest.raises(ValueError, match="Nothing to process"):
        processor()


@pytest.mark.parametrize("as_input", [list, np.array, torch.tensor])
def test_decode_words_leaves_padding_and_unknown_words_out(processor, as_input):
    assert processor.decode_words(as_input([[3, 2, 0], [1, 4, 0]])) == [["car", "red"], ["fire engine"]]


def test_decode_words_of_one_sample(processor):
    assert processor.decode_words([3, 2]) == ["car", "red"]


def test_top_words_are_the_best_first(processor):
    scores = torch.tensor([[0.1, 0.7, 0.9, 0.2], [0.5, 0.1, 0.2, 0.3]])
    assert processor.top_words(scores, k=2) == [["fire engine", "car"], ["red", "wheel"]]


def test_top_words_of_one_image_with_more_than_there_are(processor):
    assert processor.top_words(np.array([0.1, 0.7, 0.9, 0.2]), k=10) == ["fire engine", "car", "wheel", "red"]


def test_top_words_refuses_scores_of_another_width(processor):
    with pytest.raises(ValueError, match="must have 4 columns"):
        processor.top_words(torch.zeros(2, 6))


def test_model_input_names(processor):
    assert processor.model_input_names == ["pixel_values", "input_ids", "attention_mask"]
