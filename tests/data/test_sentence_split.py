from __future__ import annotations

import pytest

from xmodal_lt.data.emoji_source import read_emoji
from xmodal_lt.data.sentence_split import clean_text, split_sentences


@pytest.mark.parametrize(
    "sentences",
    [
        pytest.param(["It barks.", "It runs!", "Does it? no."], id="marks, and lower case behind one"),
        pytest.param(["It weighs 3.5 kg.", "20 live there.", "Élan is theirs."], id="decimals, digits, accents"),
        pytest.param(
            ['He said "It barks."', "“It runs.”", "(It sits.)", "[It lies.]", "Good."], id="quotes, brackets"
        ),
        pytest.param(["Dogs wait…", "They run... fast...", "Then they sleep?!", "Good"], id="several marks, and none"),
        pytest.param(["Dr. Ng and Mrs. J. R. R. Fox of St. Ives Inc. left.", "Bye."], id="titles and initials"),
        pytest.param(["The U.S. Army of J.-P. Roe came at 5 p.m. Monday.", "It left."], id="letters with full stops"),
        pytest.param(["It is in the U.S.", "The dog has fur, claws, etc.", "It barks."], id="abbreviations at an end"),
        pytest.param(
            ["Some, e.g. The Beatles, i.e. A band, vs. An act (cf. The Who) sang.", "Bye."], id="never at an end"
        ),
        pytest.param(
            ["See Fig. 3 and No. 5 of ca. 1900, on Jan. 5.", "He said no.", "Bob left."], id="before numbers"
        ),
        pytest.param(["Rosa sp. Alba, C. lupus and Bo et al. Rex are here.", "They are."], id="names of species"),
    ],
)
def test_sentences_of_a_paragraph(sentences):
    assert split_sentences(" ".join(sentences)) == sentences


def test_what_has_no_letter_is_no_sentence():
    assert split_sentences("1. A dog. 2,000 (!). + = 3.") == ["A dog."]
    assert split_sentences(" \n") == []


def test_line_breaks_are_blanks():
    assert split_sentences("A dog\nbarks.\nIt\r\nruns.") == ["A dog barks.", "It runs."]


def test_cleaned_text_has_no_entities_controls_and_invisible_characters():
    assert clean_text("\ufeffcats\x00&amp;\u00a0\tdo\u00adgs\u200b &lt;3\x9f\n") == "cats & dogs <3"


def test_names_of_emoji_are_one_sentence_each():
    names = [emoji.name for emoji in read_emoji()]
    assert [split_sentences(name) for name in names] == [[name] for name in names]
