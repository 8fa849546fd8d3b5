from __future__ import annotations

import pytest

from xmodal_lt.hub.private_text import refuse_private_text, without_folders


SECRETS = {
    "hugging face token": "token: hf_" + "aB3" * 12,
    "aws key": "AKIA" + "ABCD" * 4,
    "github token": "ghp_" + "a1B2" * 9,
    "openai key": "sk-" + "proj-" + "a1B2" * 10,
    "google key": "AIza" + "a1B2-" * 7,
    "slack token": "xoxb-" + "1234567890-abc",
    "private key": "-----BEGIN " + "OPENSSH PRIVATE KEY-----",
    "netrc password": "machine api.wandb.ai login user password " + "0a" * 20,
    "password in an address": "https://me:" + "secret@example.org/data",
    "key or password": "WANDB_API_KEY=" + "0a" * 20,
}


@pytest.mark.parametrize("kind", SECRETS)
def test_a_secret_is_named_by_its_place_and_not_shown(tmp_path, kind):
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "notes.svg").write_text(f"<svg>\n\n{SECRETS[kind]}\n</svg>")
    with pytest.raises(ValueError, match=rf"figures/notes\.svg, line 3, holds what looks like a {kind}") as raised:
        refuse_private_text(tmp_path)
    assert SECRETS[kind].split()[-1] not in str(raised.value)


@pytest.mark.parametrize(
    "text",
    [
        "from huggingface_hub import hf_hub_download",
        '{"pad_token": "[PAD]", "unk_token": "[UNK]", "added_tokens_decoder": {}}',
        "password: ask your administrator; api_key: ${oc.env:KEY}",
        "http://127.0.0.1:8080/a@b and git@github.com:org/name.git",
        "the risk-averse desk-clerk of a-very-long-hyphenated-name-that-goes-on-and-on",
        "commit 3f785a0b2c9d4e1f6a7b8c9d0e1f2a3b4c5d6e7f",
    ],
)
def test_what_only_resembles_a_secret_passes(tmp_path, text):
    (tmp_path / "README.md").write_text(text)
    refuse_private_text(tmp_path)


def test_weights_and_pictures_are_not_read_as_text(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"\0" + SECRETS["aws key"].encode())
    refuse_private_text(tmp_path)


def test_places_count_as_whole_names(tmp_path):
    (tmp_path / "README.md").write_text("/home/me/data2 and /home/me/data-set")
    refuse_private_text(tmp_path, {"/home/me/data"})
    (tmp_path / "README.md").write_text("in `/home/me/data/train`")
    with pytest.raises(ValueError, match=r"README\.md, line 1, .* path of this machine"):
        refuse_private_text(tmp_path, {"/home/me/data"})


@pytest.mark.parametrize(
    ("path", "left"),
    [
        ("/home/me/data/voc-lt/", "voc-lt"),
        ("~/data/voc-lt", "voc-lt"),
        (r"C:\data\voc-lt", "voc-lt"),
        ("glove:/home/me/vectors.txt", "glove:vectors.txt"),
        ("hf:/home/me/vit", "hf:vit"),
        ("/", "."),
        ("data/voc-lt", "data/voc-lt"),
        ("hf:google/vit-base", "hf:google/vit-base"),
        ("https://example.org/a", "https://example.org/a"),
        ("a photo of a {}.", "a photo of a {}."),
        (0.5, 0.5),
        (None, None),
    ],
)
def test_of_absolute_paths_the_last_part_is_left(path, left):
    assert without_folders({"dataset": [{"data_dir": path}]}, set()) == {"dataset": [{"data_dir": left}]}


def test_what_was_taken_out_is_told_and_kept_keys_are_not_read():
    places: set[str] = set()
    values = {"path": "/home/me/data/", "id2label": {"0": "/slash"}}
    assert without_folders(values, places, keep=("id2label",)) == {"path": "data", "id2label": {"0": "/slash"}}
    assert places == {"/home/me/data"}
