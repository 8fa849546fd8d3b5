from __future__ import annotations

import json

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
    "gitlab token": "glpat-" + "a1B2" * 5,
    "bearer token": "Authorization: Bearer " + "a1B2" * 8,
    "json web token": "eyJ" + "hbGciOiJI" + ".eyJ" + "zdWIiOiIx",
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
    ["SECRET=" + "ab1" * 9, "client_secret: " + "ab1" * 9, "token: " + "ab1" * 9, "password: hunter2" + "longpass"],
)
def test_more_keys_and_passwords(tmp_path, text):
    (tmp_path / "recipe.yaml").write_text(f"seed: 1\n{text}\n")
    with pytest.raises(ValueError, match=r"recipe\.yaml, line 2, holds what looks like a key or password"):
        refuse_private_text(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "from huggingface_hub import hf_hub_download",
        '{"pad_token": "[PAD]", "unk_token": "[UNK]", "added_tokens_decoder": {}}',
        "password: ask your administrator; api_key: ${oc.env:KEY}",
        "http://127.0.0.1:8080/a@b and git@github.com:org/name.git",
        "the risk-averse desk-clerk of a-very-long-hyphenated-name-that-goes-on-and-on",
        "the bearer of a secret: nobody; token: 12; password: ${oc.env:PASSWORD1}",
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
    for text in (
        "/data2 and /data-set",
        "https://example.org/data/x",
        "https://a.org/?at=/data",
        "outputs/data ~/data",
    ):
        (tmp_path / "README.md").write_text(text)
        refuse_private_text(tmp_path, {"/data"})
    for text in ("in `/data/train`", "at=/data", "file:///data/x", "glove:/data/x", "sqlite:////data and /data"):
        (tmp_path / "README.md").write_text(text)
        with pytest.raises(ValueError, match=r"README\.md, line 1, .* path of this machine"):
            refuse_private_text(tmp_path, {"/data"})


@pytest.mark.parametrize("path", ["/home/alice/x", "file:///home/alice/x", "/Users/alice/x", r"C:\Users\alice\x"])
def test_folders_of_anybody_are_places(tmp_path, path):
    (tmp_path / "README.md").write_text(f"See {path}")
    with pytest.raises(ValueError, match="path of this machine"):
        refuse_private_text(tmp_path)


def test_addresses_and_pieces_of_a_tokenizer_are_no_places(tmp_path):
    (tmp_path / "tokenizer.json").write_text('{"/root": 1, "/home/alice/": 2}')
    (tmp_path / "README.md").write_text("https://example.org/home/alice/x")
    refuse_private_text(tmp_path, {"/root"})


def test_a_place_of_windows_is_found_in_json_too(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"path": r"D:\data\voc"}))
    with pytest.raises(ValueError, match="path of this machine"):
        refuse_private_text(tmp_path, {r"D:\data"})


@pytest.mark.parametrize(
    ("path", "left"),
    [
        ("/home/me/data/voc-lt/", "voc-lt"),
        ("~/data/voc-lt", "voc-lt"),
        (r"C:\data\voc-lt", "voc-lt"),
        ("glove:/home/me/vectors.txt", "glove:vectors.txt"),
        ("hf:/home/me/vit", "hf:vit"),
        ("/", "."),
        ("..", "."),
        ("file:///home/alice/c", "c"),
        ("../../home/alice/nus", "nus"),
        ("data/../../alice/nus", "nus"),
        ("//server/x", "x"),
        (r"\\server\x", "x"),
        ("$HOME/x", "x"),
        ("${HOME}/x", "x"),
        ("a,/home/me/x", "a,x"),
        ("/home/me/a; ~/b", "a; b"),
        ("s3://bucket/a", "s3://bucket/a"),
        ("${oc.env:DATA}/x", "${oc.env:DATA}/x"),
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
