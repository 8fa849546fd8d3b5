from __future__ import annotations

import itertools
import json
import logging
from collections import Counter
from pathlib import Path

import datasets
import pandas as pd
import pytest

from xmodal_lt.data import PROMPT_TEMPLATES, ClassCorpus, build_corpus
from xmodal_lt.data.wiki_text import article_sentences


NAMES = ["tabby_cat", "pug", "sports/car"]
PROMPT = ["a photo of a {}."]


@pytest.fixture
def articles(tmp_path) -> Path:
    folder = tmp_path / "wiki"
    folder.mkdir()
    (folder / "desc_0.txt").write_text("It purrs. It sleeps.\n\n== Notes ==\nIt purrs.\n", encoding="utf-8")
    (folder / "desc_2.txt").write_text("Il mesure 4,5 m à vide.\n1.\n", encoding="utf-8")
    (folder / "readme.txt").write_text("Not read.")
    return folder


@pytest.fixture
def captioned() -> datasets.Dataset:
    return datasets.Dataset.from_dict(
        {
            "caption": ["A cat sits. It purrs.", None, "A pug &amp; a cat."],
            "words": [["striped", " fur "], [], ["small", "", None]],
            "size": [1, 2, 3],
            "label": [0, 0, 1],
        }
    ).cast_column("label", datasets.ClassLabel(names=NAMES))


def test_prompts_alone():
    corpus = build_corpus(NAMES, templates=["a photo of a {}.", "the {}", "a photo of a {}."])
    assert corpus.sentences == (
        ("a photo of a tabby cat.", "the tabby cat"),
        ("a photo of a pug.", "the pug"),
        ("a photo of a sports car.", "the sports car"),
    )
    assert (corpus.class_names, corpus.num_prompts, len(corpus), corpus.num_sentences) == (tuple(NAMES), 2, 3, 6)


def test_own_templates_are_distinct_and_have_one_place_for_the_name():
    assert len(set(PROMPT_TEMPLATES)) == 60
    assert build_corpus(["pug"]).sentences == (tuple(one.replace("{}", "pug") for one in PROMPT_TEMPLATES),)


def test_templates_from_a_file(tmp_path):
    (tmp_path / "templates.txt").write_text("\ufeffa photo of a {}.\r\n\n the {} \n", encoding="utf-8")
    assert build_corpus(["pug"], templates=tmp_path / "templates.txt").sentences == (("a photo of a pug.", "the pug"),)


def test_articles_follow_the_prompts_without_duplicates(articles, caplog):
    with caplog.at_level(logging.WARNING):
        corpus = build_corpus(NAMES, articles, templates=[*PROMPT, "It purrs. {}"])
    assert corpus.sentences == (
        ("a photo of a tabby cat.", "It purrs. tabby cat", "It purrs.", "It sleeps."),
        ("a photo of a pug.", "It purrs. pug"),
        ("a photo of a sports car.", "It purrs. sports car", "Il mesure 4,5 m à vide."),
    )
    assert corpus.prompts(2) == ("a photo of a sports car.", "It purrs. sports car")
    assert [record.getMessage() for record in caplog.records] == [
        f"1 of 3 classes have no sentence in {articles}, and their prompts alone: 'pug'"
    ]


def test_a_sentence_that_is_a_prompt_already_is_left_out(articles):
    (articles / "desc_1.txt").write_text("A dog. A pug.")
    assert build_corpus(NAMES, articles, ["A {}."]).sentences[1] == ("A pug.", "A dog.")


def test_sections_are_left_out_with_those_inside_them():
    text = """
        Lead.
        == references ==
        A.
        === Books ===
        B.
        ==See also==
        C.
        === Bibliography ===
        D.
        ==== Older ====
        E.
        === Names ===
        F.
        == External links
        G.
        == Further reading==
        H.
    """
    assert article_sentences(text) == ["Lead.", "C.", "F."]
    assert article_sentences(text, ["See Also"]) == ["Lead.", "A.", "B.", "G.", "H."]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_table_of_names_or_ids(tmp_path, suffix):
    path = tmp_path / f"sentences{suffix}"
    sentences = ["It is  small. It barks.", "It purrs.", "A dog.", "!", ""]
    table = pd.DataFrame({"class": ["pug", "0", "pug", "2", "2"], "sentence": sentences})
    if suffix == ".csv":
        table.to_csv(path, index=False)
    elif suffix == ".jsonl":
        table.to_json(path, orient="records", lines=True)
    else:
        table.to_parquet(path)
    assert build_corpus(NAMES, path, PROMPT).sentences == (
        ("a photo of a tabby cat.", "It purrs."),
        ("a photo of a pug.", "It is small. It barks.", "A dog."),
        ("a photo of a sports car.",),
    )


def test_a_table_of_numbers_and_of_names_that_are_numbers(tmp_path):
    path = tmp_path / "sentences.jsonl"
    path.write_text("\n".join(json.dumps({"class": 1, "sentence": text}) for text in ("First.", "Second.")))
    assert build_corpus(["cat", "dog"], path, PROMPT).sentences[1][1:] == ("First.", "Second.")
    assert build_corpus(["1", "0"], path, PROMPT).sentences[0][1:] == ("First.", "Second.")


def test_texts_and_words_of_training_samples(captioned):
    corpus = build_corpus(NAMES, "train", PROMPT, rows=captioned, columns=["caption", "words"])
    assert corpus.sentences == (
        ("a photo of a tabby cat.", "A cat sits.", "It purrs.", "striped, fur"),
        ("a photo of a pug.", "A pug & a cat.", "small"),
        ("a photo of a sports car.",),
    )
    assert build_corpus(NAMES, "train", PROMPT, rows=captioned).sentences[0][1:] == ("striped, fur",)


def test_texts_of_a_sample_with_several_labels_belong_to_each(captioned):
    several = captioned.add_column("labels", [[0, 1], [], [2]], feature=datasets.List(captioned.features["label"]))
    corpus = build_corpus(NAMES, "train", PROMPT, several.remove_columns("label"), columns="caption")
    assert [own[1:] for own in corpus.sentences] == [("A cat sits.", "It purrs.")] * 2 + [("A pug & a cat.",)]


def test_the_corpus_of_emoji_has_every_name_of_training_and_none_of_test(emoji_lt):
    train = emoji_lt["train"]
    corpus = build_corpus(train.features["label"].names, "train", PROMPT, rows=train, columns=["name", "words"])
    sentences = {sentence for own in corpus.sentences for sentence in own}
    assert set(train["name"]) <= sentences
    assert sentences.isdisjoint(emoji_lt["test"]["name"])


def test_max_sentences_counts_prompts(articles):
    corpus = build_corpus(NAMES, articles, PROMPT, max_sentences=2)
    assert corpus.sentences[0] == ("a photo of a tabby cat.", "It purrs.")
    assert build_corpus(NAMES, templates=[*PROMPT, "the {}"], max_sentences=1).num_prompts == 1


def test_picks_are_uniform_and_decided_by_the_seed():
    corpus = ClassCorpus(("cat", "dog"), (tuple("abcde"), ("x",)))
    picks = [corpus.pick(0, seed) for seed in range(10_000)]
    # Each of 5 sentences about 2,000 times, standard deviation 40.
    assert all(abs(count - 2000) < 160 for count in Counter(picks).values())
    # Neighbouring seeds tell nothing of each other: 25 pairs, each about 400 times, standard deviation 20.
    pairs = Counter(itertools.pairwise(picks))
    assert len(pairs) == 25
    assert all(abs(count - 400) < 80 for count in pairs.values())
    # The same on every machine and in every version.
    assert "".join(picks[:12]) == "eaabccbadbbd"
    assert corpus.pick(1, 2**70) == "x"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"class_names": []}, "expected the names of the classes, got none"),
        ({"class_names": ["cat", "_/ "]}, "class 1 has a blank name, '_/ '"),
        ({"templates": []}, "needs templates.*a source"),
        ({"templates": ["a photo"]}, "template 'a photo' must have '{}' exactly once"),
        ({"templates": ["{} and {}"]}, "exactly once"),
        ({"max_sentences": 0}, "max_sentences must be at least 1, got 0"),
        ({"source": "train"}, "source='train' needs `rows`"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        build_corpus(**{"class_names": ["cat"], **arguments})


def test_a_source_that_is_not_there_is_named(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"no file or folder .*nowhere\. A source is a folder of articles desc_0"
    ):
        build_corpus(NAMES, tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"no file a photo of a {}\. of templates.*a list of templates"):
        build_corpus(NAMES, templates="a photo of a {}.")
    with pytest.raises(FileNotFoundError, match=r"has no article.*desc_0\.txt to desc_2\.txt"):
        build_corpus(NAMES, tmp_path)


def test_articles_that_do_not_fit_are_refused(articles):
    with pytest.raises(ValueError, match=r"1 articles of ids that none of the 2 classes has: 'desc_2\.txt'"):
        build_corpus(NAMES[:2], articles)
    with pytest.raises(ValueError, match=r"max_sentences=60 leaves no room for sentences of .*wiki behind 60 prompts"):
        build_corpus(NAMES, articles, max_sentences=60)
    with pytest.raises(ValueError, match=r"1 of 3 classes have no sentence: 'pug'\. Add text on them, or"):
        build_corpus(NAMES, articles, templates=[])
    (articles / "desc_1.txt").write_bytes(b"caf\xe9")
    with pytest.raises(ValueError, match=r"desc_1\.txt is no UTF-8 text .*at byte 3"):
        build_corpus(NAMES, articles)


@pytest.mark.parametrize(
    ("lines", "error", "message"),
    [
        ("class,text\npug,It barks.", ValueError, r"no column 'sentence'; its columns are \['class', 'text'\]"),
        ("class,sentence\npgu,It barks.\n7,It.", ValueError, "2 unknown classes: 'pgu', '7'.*Did you mean 'pug'"),
        ("class,sentence\n,It barks.", ValueError, "row 0 of .* has no class"),
        ("class,sentence\nowl,It hoots.", ValueError, "'owl', each the name of several classes. Write their ids"),
        ("class,sentence\npug,1", TypeError, "column 'sentence' .* must hold strings"),
    ],
)
def test_tables_that_do_not_fit_are_refused(tmp_path, lines, error, message):
    path = tmp_path / "sentences.csv"
    path.write_text(lines)
    with pytest.raises(error, match=message):
        build_corpus(["pug", "owl", "owl"], path)


def test_training_splits_that_do_not_fit_are_refused(captioned):
    with pytest.raises(ValueError, match=r"the training split has other classes: expected 1, \['cat'\], got 3"):
        build_corpus(["cat"], "train", rows=captioned)
    with pytest.raises(ValueError, match=r"no column 'captions' of text; .* Did you mean 'caption'\?"):
        build_corpus(NAMES, "train", rows=captioned, columns=["captions"])
    with pytest.raises(TypeError, match="column 'size' must hold text or lists of words"):
        build_corpus(NAMES, "train", rows=captioned, columns=["size"])
    with pytest.raises(TypeError, match=r'pass `dataset\["train"\]`'):
        build_corpus(NAMES, "train", rows=datasets.DatasetDict(train=captioned))


def test_a_corpus_has_sentences_of_each_class():
    with pytest.raises(ValueError, match="expected the sentences of 2 classes, got those of 1"):
        ClassCorpus(("cat", "dog"), (("a",),))
    with pytest.raises(ValueError, match="1 of 2 classes have fewer than 2 sentences: 'dog'"):
        ClassCorpus(("cat", "dog"), (("a", "b"), ("c",)), num_prompts=2)


def test_prompts_leave_out_the_id_that_tells_classes_of_one_name_apart():
    corpus = build_corpus(["crane (n02012849)", "crane (n03126707)", "mug (blue)"], templates=["a {}."])
    assert corpus.sentences == (("a crane.",), ("a crane.",), ("a mug (blue).",))
