from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_clip import save_tiny_clip, tiny_tokenizer
from transformers import AutoImageProcessor, CLIPModel

from xmodal_lt import VLLTRConfig, VLLTRForImageClassification
from xmodal_lt.cli import main
from xmodal_lt.processing import XModalFeatureExtractor, XModalLTImageProcessor
from xmodal_lt.retrieval import retrieve


PHRASES = ["a dog", "bed, and a box"]


def save_model(folder: Path, **config) -> VLLTRForImageClassification:
    """A VL-LTR model that was not trained, and all that a run would leave beside it but its recipe."""
    model = VLLTRForImageClassification(VLLTRConfig(num_labels=3, distillation_weight=0, **config)).eval()
    model.save_pretrained(folder)
    XModalLTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return model


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    """A CLIP as transformers saves it."""
    folder = tmp_path_factory.mktemp("clip")
    save_tiny_clip(folder)
    return folder


@pytest.fixture(scope="module")
def clip_run(clip, shapes_recipe, tmp_path_factory) -> Path:
    """The same CLIP as a VL-LTR model, with a recipe on the shapes."""
    folder = tmp_path_factory.mktemp("models") / "clip_run"
    torch.manual_seed(0)
    model = save_model(folder, backbone=f"hf:{clip}", text_backbone=f"clip:{clip}")
    model.load_pretrained_backbone()
    model.load_pretrained_text_encoder()
    model.save_pretrained(folder)
    (folder / "recipe.yaml").write_text(shapes_recipe("lt_classifier", folder).to_yaml())
    return folder


@pytest.fixture(scope="module")
def other_run(clip, tmp_path_factory) -> Path:
    """A model with the CLIP's text encoder and another vision encoder, without a recipe."""
    folder = tmp_path_factory.mktemp("models") / "other_run"
    torch.manual_seed(0)
    save_model(folder, backbone="test_resnet", text_backbone=f"clip:{clip}")
    return folder


@pytest.fixture(scope="module")
def files(shapes) -> list[Path]:
    return sorted((shapes / "test").glob("*.png"))


@torch.no_grad()
def clip_cosines(clip_folder: Path, processor_folder: Path, files: list[Path]) -> np.ndarray:
    """What transformers' own CLIP says of each phrase and file."""
    clip, tokenizer = CLIPModel.from_pretrained(clip_folder).eval(), tiny_tokenizer()
    images = AutoImageProcessor.from_pretrained(processor_folder)([Image.open(file) for file in files])
    image_embeds = clip.get_image_features(torch.tensor(np.array(images["pixel_values"]))).pooler_output
    rows = [clip.get_text_features(**tokenizer(phrase, return_tensors="pt")).pooler_output for phrase in PHRASES]
    return torch.cosine_similarity(torch.cat(rows)[:, None], image_embeds[None], dim=-1).numpy()


def pixels(images: list[list[Image.Image]]) -> np.ndarray:
    """All images of a model, which are of one size here."""
    return np.array([[np.asarray(image) for image in row] for row in images])


@pytest.mark.parametrize("batch_size", [2, 64])
def test_a_clip_in_the_model_finds_what_it_finds_by_itself(clip, clip_run, shapes, files, batch_size):
    found = retrieve(str(clip_run), PHRASES, [shapes / "test"], top_k=4, batch_size=batch_size, device="cpu")
    expected = clip_cosines(clip, clip_run, files)
    order = np.argsort(-expected, axis=1)[:, :4]
    assert found.names == {"clip_run": [[str(files[index]) for index in row] for row in order]}
    assert found.scores["clip_run"] == pytest.approx(np.take_along_axis(expected, order, 1), abs=1e-5)
    of_files = [[Image.open(files[index]) for index in row] for row in order]
    assert np.array_equal(pixels(found.images["clip_run"]), pixels(of_files))


@pytest.mark.parametrize("split", [None, "validation"])
def test_the_images_are_those_of_the_runs_own_data_unless_others_are_given(clip_run, shapes, split):
    of_split = retrieve(str(clip_run), PHRASES, split=split)
    of_files = retrieve(str(clip_run), PHRASES, [shapes / (split or "test")])
    places = {str(file): str(place) for place, file in enumerate(sorted((shapes / (split or "test")).glob("*.png")))}
    found = [[name.rpartition("/")[2] for name in row] for row in of_split.names["clip_run"]]
    assert found == [[places[name] for name in row] for row in of_files.names["clip_run"]]
    assert of_split.scores["clip_run"] == pytest.approx(of_files.scores["clip_run"], abs=1e-5)
    assert np.array_equal(pixels(of_split.images["clip_run"]), pixels(of_files.images["clip_run"]))


def test_a_baseline_stands_beside_the_model_for_each_phrase(clip_run, other_run, files):
    both = retrieve(str(clip_run), PHRASES, files, top_k=2, baseline=str(other_run))
    assert [(row["phrase"], row["model"], row["rank"]) for row in both.rows()] == [
        (phrase, model, rank)
        for phrase in PHRASES
        for model in ("clip_run", "other_run (baseline)")
        for rank in (1, 2)
    ]
    for name, folder in (("clip_run", clip_run), ("other_run (baseline)", other_run)):
        alone = retrieve(str(folder), PHRASES, files, top_k=2)
        assert both.names[name] == alone.names[folder.name]
    assert [part.get_suptitle() for part in both.plot().subfigs] == PHRASES


def test_unreadable_images_can_be_skipped(clip_run, files, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no image")
    found = retrieve(str(clip_run), PHRASES, [tmp_path / "bad.png", files[0]], batch_size=1, bad_images="skip")
    assert found.names == {"clip_run": [[str(files[0])]] * 2}
    with pytest.raises(ValueError, match=r"Cannot read the image .*bad\.png"):
        retrieve(str(clip_run), PHRASES, [tmp_path])
    with pytest.raises(ValueError, match="None of the images can be read"):
        retrieve(str(clip_run), PHRASES, [tmp_path], bad_images="skip")


@pytest.fixture(scope="module")
def damaged(clip, clip_run, tmp_path_factory) -> Callable[[str], Path]:
    """Makes a folder that lacks something of a run."""
    root = tmp_path_factory.mktemp("damaged")

    def make(lack: str) -> Path:
        folder = root / lack
        shutil.copytree(clip_run, folder)
        if lack == "text encoder":
            VLLTRForImageClassification.from_pretrained(clip_run).save_pretrained(folder, for_inference=True)
        elif lack == "tokenizer":
            for file in folder.glob("tokenizer*"):
                file.unlink()
        elif lack == "images":
            gru = {"backbone": "features:gru", "backbone_kwargs": {"input_size": 8, "hidden_size": 8}}
            save_model(folder, text_backbone=f"clip:{clip}", **gru)
            XModalFeatureExtractor(8).save_pretrained(folder)
        return folder

    return make


@pytest.mark.parametrize(
    ("lack", "message"),
    [
        ("text encoder", "holds no text encoder .* not a model that was saved with for_inference=True"),
        ("tokenizer", "holds no tokenizer; give the folder of a finished run"),
        ("images", "takes videos as features, which cannot be shown"),
    ],
)
def test_models_that_cannot_compare_phrases_with_images_are_refused(damaged, files, lack, message):
    with pytest.raises((ValueError, OSError), match=message):
        retrieve(str(damaged(lack)), PHRASES, files)


def test_models_of_other_methods_are_refused(baseline_run, files):
    with pytest.raises(ValueError, match="of type 'lt_classifier', which embeds no phrases; give a VL-LTR run"):
        retrieve(str(baseline_run), PHRASES, files)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"phrases": []}, r"Expected one or more phrases, none of them blank; got \[\]"),
        ({"phrases": ["a dog", " "]}, "none of them blank"),
        ({"top_k": 0}, "top_k=0 must be at least 1"),
        ({"batch_size": 0}, "batch_size=0 must be at least 1"),
        ({"images": ["photos"], "split": "test"}, "either images or a data set and its split, and not both"),
        ({"images": ["photos"], "dataset": "emoji-lt"}, "either images or a data set"),
        ({"split": "dev"}, "no split 'dev'; its splits are train, validation, test"),
    ],
)
def test_bad_requests_are_refused(clip_run, settings, message):
    with pytest.raises(ValueError, match=message):
        retrieve(str(clip_run), **{"phrases": PHRASES, **settings})


def test_data_of_videos_and_models_without_data_are_refused(clip_run, other_run, videos):
    with pytest.raises(ValueError, match="samples of the data set are videos"):
        retrieve(str(clip_run), PHRASES, dataset=str(videos))
    with pytest.raises(ValueError, match=r"has no recipe\.yaml that names its data; give --dataset"):
        retrieve(str(other_run), PHRASES)


def test_the_command_prints_json_lines_and_draws_a_figure(clip_run, other_run, tmp_path, capsys):
    output = tmp_path / "figures" / "found.png"
    options = ["--split", "validation", "--top-k", 3, "--baseline", other_run, "--output", output]
    with pytest.raises(SystemExit, match="0"):
        main(["retrieve", *PHRASES, "--model", str(clip_run), *map(str, options)])
    printed = capsys.readouterr()
    expected = retrieve(str(clip_run), PHRASES, split="validation", top_k=3, baseline=str(other_run))
    assert [json.loads(line) for line in printed.out.splitlines()] == list(expected.rows())
    assert printed.err.endswith(f"The figure is {output}\n")
    assert Image.open(output).height > Image.open(output).width / 2 > 100


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--images", "nowhere.png"], "No image or folder at 'nowhere.png'."),
        (["--images", "photos", "--split", "test"], "either images or a data set and its split"),
        (["--output", "found.txt"], "a figure is written as .png, .svg, .pdf; got 'found.txt'"),
    ],
)
def test_the_command_ends_bad_input_with_a_line_before_it_reads_images(clip_run, capsys, options, message):
    with pytest.raises(SystemExit, match="2"):
        main(["retrieve", "a dog", "--model", str(clip_run), *options])
    printed = capsys.readouterr()
    assert printed.out == ""
    assert message in printed.err.splitlines()[-1]


def test_models_of_one_folder_name_are_told_apart_by_their_parents(clip_run, other_run, files, tmp_path):
    for name, folder in (("trained", clip_run), ("untrained", other_run)):
        shutil.copytree(folder, tmp_path / name / "seed0")
    own, other = (str(tmp_path / name / "seed0") for name in ("trained", "untrained"))
    assert list(retrieve(own, PHRASES, files, baseline=other).names) == ["trained/seed0", "untrained/seed0 (baseline)"]
    assert list(retrieve(own, PHRASES, files, baseline=own).names) == ["seed0", "seed0 (baseline)"]
