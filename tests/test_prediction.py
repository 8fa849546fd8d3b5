from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from PIL import Image
from transformers import (
    AutoImageProcessor,
    AutoModel,
    AutoModelForImageClassification,
    AutoProcessor,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessor,
    pipeline,
)

from xmodal_lt import (
    CMLTNetForImageClassification,
    CMLTNetModel,
    CRIFForImageClassification,
    ImageClassifier,
    ImageClassifierConfig,
)
from xmodal_lt.prediction import Predictor, split_revision, write_predictions
from xmodal_lt.processing import XModalLTImageProcessor, XModalProcessor


@pytest.fixture(scope="module")
def predictor(cmltnet_run) -> Predictor:
    return Predictor.from_pretrained(str(cmltnet_run), "cpu")


@pytest.fixture(scope="module")
def image_files(shapes) -> list[Path]:
    return sorted((shapes / "test").glob("*.png"))


@pytest.fixture
def images(image_files) -> list[Image.Image]:
    return [Image.open(file) for file in image_files]


def flat(rows: list[dict]) -> tuple[list[str], list[float]]:
    """Names and scores of prediction rows, to compare the former exactly and the latter nearly."""
    entries = [entry for row in rows for entry in [*row["predictions"], *row.get("words", [])]]
    return [entry.get("label") or entry["word"] for entry in entries], [entry["score"] for entry in entries]


def assert_alike(rows: list[dict], other_rows: list[dict]) -> None:
    names, scores = flat(rows)
    other_names, other_scores = flat(other_rows)
    assert names == other_names
    assert scores == pytest.approx(other_scores, abs=1e-5)  # float32; kernels differ with the batch size


def test_scores_are_the_softmax_of_the_models_logits(cmltnet_run, predictor, images):
    model = AutoModelForImageClassification.from_pretrained(cmltnet_run).eval()
    pixels = AutoImageProcessor.from_pretrained(cmltnet_run)(images=images[:1], return_tensors="pt")
    with torch.no_grad():
        scores = model(**pixels).logits.softmax(-1)[0]
    expected = {model.config.id2label[index]: score for index, score in enumerate(scores.tolist())}

    predictions = predictor.predict(images[:1])[0]["predictions"]

    assert {entry["label"]: entry["score"] for entry in predictions} == pytest.approx(expected)


def test_classes_come_best_first_and_as_many_as_asked_for(predictor, images):
    for row in predictor.predict(images, top_k=2):
        first, second = row["predictions"]
        assert first["score"] >= second["score"]


def test_more_classes_than_there_are_gives_all(predictor, images):
    row = predictor.predict(images[:1], top_k=50)[0]
    assert {entry["label"] for entry in row["predictions"]} == {"circle", "square", "triangle"}
    assert sum(entry["score"] for entry in row["predictions"]) == pytest.approx(1)


def test_words_are_the_most_probable_of_the_vocabulary(predictor, images):
    pixels = predictor.image_processor(images=images[:1], return_tensors="pt")
    with torch.no_grad():
        word_logits = predictor.model(**pixels).word_logits[0]
    words = XModalProcessor(predictor.image_processor, predictor.tokenizer).top_words(word_logits, k=3)

    row = predictor.predict(images[:1], num_words=3)[0]

    assert [entry["word"] for entry in row["words"]] == words
    assert row["words"][0]["score"] == pytest.approx(float(word_logits.sigmoid().max()), abs=1e-5)


def test_no_words_unless_asked_for(predictor, images):
    assert set(predictor.predict(images[:1])[0]) == {"predictions"}


@pytest.mark.parametrize("batch_size", [1, 2, 100])
def test_results_do_not_depend_on_the_batch_size(predictor, image_files, batch_size):
    rows = list(predictor.predict_files(image_files, num_words=3, batch_size=batch_size))
    assert [row["image"] for row in rows] == [str(file) for file in image_files]
    assert_alike(rows, list(predictor.predict_files(image_files, num_words=3, batch_size=4)))


def test_transparent_pixels_are_seen_as_white(predictor):
    hidden = Image.new("RGBA", (40, 40), (255, 0, 0, 0))
    assert_alike(predictor.predict([hidden]), predictor.predict([Image.new("RGB", (40, 40), "white")]))


@pytest.fixture(scope="module")
def multi_label() -> Predictor:
    torch.manual_seed(0)
    config = ImageClassifierConfig(backbone="test_resnet", num_labels=3, problem_type="multi_label_classification")
    return Predictor(ImageClassifier(config).eval(), XModalLTImageProcessor(size={"height": 32, "width": 32}))


def test_multi_label_scores_are_sigmoids(multi_label, images):
    pixels = multi_label.image_processor(images=images[:1], return_tensors="pt")
    with torch.no_grad():
        expected = multi_label.model(**pixels).logits.sigmoid()[0].sort(descending=True).values

    row = multi_label.predict(images[:1])[0]

    assert [entry["score"] for entry in row["predictions"]] == pytest.approx(expected.tolist())


def test_threshold_keeps_the_classes_that_reach_it_the_best_first(multi_label, images):
    everything = [row["predictions"] for row in multi_label.predict(images)]
    threshold = everything[0][1]["score"]  # that of the second of three: a class at the threshold counts

    rows = [row["predictions"] for row in multi_label.predict(images, threshold=threshold)]

    assert len(rows[0]) == 2
    assert rows == [[entry for entry in row if entry["score"] >= threshold] for row in everything]


def test_threshold_names_every_class_that_reaches_it(image_files):
    config = ImageClassifierConfig(backbone="test_resnet", num_labels=8, problem_type="multi_label_classification")
    model = ImageClassifier(config).eval()
    torch.nn.init.constant_(model.classifier.bias, 9.0)
    predictor = Predictor(model, XModalLTImageProcessor(size={"height": 32, "width": 32}))
    (row,) = predictor.predict_files(image_files[:1], threshold=0.5)
    assert len(row["predictions"]) == 8


def test_threshold_names_no_more_classes_than_top_k(multi_label, images):
    everything = [row["predictions"][:1] for row in multi_label.predict(images)]
    assert [row["predictions"] for row in multi_label.predict(images, top_k=1, threshold=0.001)] == everything


def test_no_class_may_reach_the_threshold(multi_label, image_files):
    rows = list(multi_label.predict_files(image_files[:2], threshold=0.999))
    assert rows == [{"image": str(file), "predictions": []} for file in image_files[:2]]


def test_threshold_of_a_single_label_model_is_an_error_before_files_are_looked_for(predictor):
    with pytest.raises(ValueError, match=r"threshold=0\.5 is for multi-label models, but this one is single-label"):
        predictor.predict_files(["nowhere.png"], threshold=0.5)


@pytest.mark.parametrize("threshold", [0, 1, 1.5, -0.1])
def test_threshold_that_is_no_probability_is_an_error(multi_label, images, threshold):
    with pytest.raises(ValueError, match=f"threshold is a probability between 0 and 1; got {threshold}"):
        multi_label.predict(images, threshold=threshold)


def test_a_classifier_of_transformers_itself_predicts(image_files, tmp_path):
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = ViTConfig(image_size=32, patch_size=16, num_labels=2, **sizes)
    ViTForImageClassification(config).save_pretrained(tmp_path)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path)

    rows = list(Predictor.from_pretrained(str(tmp_path), "cpu").predict_files(image_files[:2]))

    assert [len(row["predictions"]) for row in rows] == [2, 2]


def test_a_bfloat16_model_predicts(cmltnet_run, images):
    half = Predictor.from_pretrained(str(cmltnet_run), "cpu")
    half.model.to(torch.bfloat16)
    assert sum(entry["score"] for entry in half.predict(images[:1])[0]["predictions"]) == pytest.approx(1, abs=1e-4)


def test_a_checkpoint_for_inference_predicts_the_same(cmltnet_run, predictor, images, tmp_path):
    model = CMLTNetForImageClassification.from_pretrained(cmltnet_run)
    model.save_pretrained(tmp_path, for_inference=True)
    AutoProcessor.from_pretrained(cmltnet_run).save_pretrained(tmp_path)

    slim = Predictor.from_pretrained(str(tmp_path), "cpu")

    assert slim.model.num_parameters() < model.num_parameters()
    assert_alike(slim.predict(images, num_words=3), predictor.predict(images, num_words=3))


def test_the_pipeline_of_transformers_names_the_same_classes(cmltnet_run, baseline_run, image_files):
    for run in (cmltnet_run, baseline_run):
        classify = pipeline("image-classification", model=str(run), device="cpu")
        from_pipeline = [{"predictions": row} for row in classify([str(file) for file in image_files], top_k=3)]
        assert_alike(from_pipeline, list(Predictor.from_pretrained(str(run), "cpu").predict_files(image_files)))


def test_the_auto_classes_open_a_runs_folder(cmltnet_run, images):
    processor = AutoProcessor.from_pretrained(cmltnet_run)
    assert isinstance(processor, XModalProcessor)
    assert isinstance(AutoModelForImageClassification.from_pretrained(cmltnet_run), CMLTNetForImageClassification)
    model = AutoModel.from_pretrained(cmltnet_run)
    assert isinstance(model, CMLTNetModel)
    assert model(**processor(images=images, return_tensors="pt")).pooler_output.shape == (len(images), 8)


def test_words_cannot_be_asked_of_the_baseline(baseline_run, tmp_path):
    baseline = Predictor.from_pretrained(str(baseline_run), "cpu")
    with pytest.raises(ValueError, match="3 words are wanted, but a model of type 'lt_classifier' infers none"):
        baseline.predict_files([tmp_path / "missing.png"], num_words=3)


@pytest.mark.parametrize("wrong", [{"top_k": 0}, {"batch_size": 0}, {"batch_size": -1}])
def test_counts_below_one_are_refused(predictor, image_files, wrong):
    with pytest.raises(ValueError, match=r"(top_k|batch_size)=-?\d must be at least 1"):
        predictor.predict_files(image_files, **wrong)


def test_an_unreadable_image_is_an_error(predictor, image_files, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"Cannot read the image .*bad\.png.*--skip-bad-images"):
        list(predictor.predict_files([image_files[0], tmp_path / "bad.png"]))


def test_a_cut_off_image_is_an_error(predictor, image_files, tmp_path):
    (tmp_path / "half.png").write_bytes(image_files[0].read_bytes()[:100])
    with pytest.raises(ValueError, match=r"Cannot read the image .*half\.png"):
        list(predictor.predict_files([tmp_path]))


def test_unreadable_images_can_be_skipped(predictor, image_files, tmp_path, caplog):
    (tmp_path / "bad.png").write_bytes(b"no image")
    paths = [tmp_path / "bad.png", image_files[0], tmp_path / "bad.png", image_files[1]]

    rows = list(predictor.predict_files(paths, batch_size=1, bad_images="skip"))

    assert [row["image"] for row in rows] == [str(image_files[0]), str(image_files[1])]
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert "bad.png" in caplog.text


def test_images_are_found_below_folders_in_order(predictor, image_files, tmp_path):
    for name in ("b/2.PNG", "b/1.jpg", "a.webp", "notes.txt", "paper.pdf"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(image_files[0].read_bytes())
    (tmp_path / "folder.png").mkdir()

    rows = predictor.predict_files([tmp_path, tmp_path / "notes.txt"])

    # A file that is named is taken whatever its suffix is.
    found = [Path(row["image"]).relative_to(tmp_path).as_posix() for row in rows]
    assert found == ["a.webp", "b/1.jpg", "b/2.PNG", "notes.txt"]


def test_a_missing_path_is_an_error(predictor, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"No image or folder at .*nowhere"):
        predictor.predict_files([tmp_path / "nowhere"])


def test_a_folder_without_images_is_an_error(predictor, tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(FileNotFoundError, match="There is no image in the given folders"):
        predictor.predict_files([tmp_path])


def test_a_device_that_is_not_there_is_an_error(cmltnet_run):
    with pytest.raises(ValueError, match="Device 'cuda:77' cannot be used"):
        Predictor.from_pretrained(str(cmltnet_run), "cuda:77")


def test_the_device_is_an_accelerator_only_where_there_is_one(cmltnet_run):
    expected = torch.accelerator.current_accelerator().type if torch.accelerator.is_available() else "cpu"
    assert Predictor.from_pretrained(str(cmltnet_run)).model.device.type == expected


def test_a_name_that_is_neither_folder_nor_hub_id_is_an_error():
    with pytest.raises(OSError, match=r"Cannot load the model '\./no/where/'.*Give the folder of a finished run"):
        Predictor.from_pretrained("./no/where/", "cpu")


def test_a_revision_of_a_folder_is_refused(cmltnet_run, tmp_path, monkeypatch):
    (tmp_path / "run").symlink_to(cmltnet_run)
    monkeypatch.chdir(tmp_path)
    for load in (split_revision, Predictor.from_pretrained):
        with pytest.raises(ValueError, match="no folder run@v1, and the folder run has no revisions"):
            load("run@v1")
    assert split_revision("run") == ("run", {})
    assert split_revision("org/name@v1") == ("org/name", {"revision": "v1"})
    (tmp_path / "run@v1").symlink_to(cmltnet_run)
    assert split_revision("run@v1") == ("run@v1", {})


def test_damaged_weights_are_an_error(cmltnet_run, tmp_path):
    (tmp_path / "config.json").write_bytes((cmltnet_run / "config.json").read_bytes())
    (tmp_path / "model.safetensors").write_bytes((cmltnet_run / "model.safetensors").read_bytes()[:1000])
    with pytest.raises(OSError, match="Cannot load the model"):
        Predictor.from_pretrained(str(tmp_path), "cpu")


def test_words_of_crif_are_sigmoids_unless_it_was_trained_with_cross_entropy(crif_run, images):
    predictor = Predictor.from_pretrained(str(crif_run), "cpu")
    pixels = predictor.image_processor(images=images[:1], return_tensors="pt")
    with torch.no_grad():
        expected = predictor.model(**pixels).word_logits[0].sigmoid().sort(descending=True).values
    words = predictor.predict(images[:1], num_words=3)[0]["words"]
    assert [entry["score"] for entry in words] == pytest.approx(expected[:3].tolist(), abs=1e-5)


# --- videos


@pytest.fixture(scope="module")
def video_predictor(video_run) -> Predictor:
    return Predictor.from_pretrained(str(video_run), "cpu")


@pytest.fixture(scope="module")
def video_files(videos) -> list[Path]:
    return sorted((videos / "clips").glob("test-*.npy"))


@pytest.fixture(scope="module")
def video_h5(video_files, tmp_path_factory) -> Path:
    """The test videos in one file, each under the name of its class and its number."""
    path = tmp_path_factory.mktemp("h5") / "videos.h5"
    with h5py.File(path, "w") as file:
        for video in video_files:
            file[video.stem.removeprefix("test-")] = np.load(video)
    return path


def test_scores_of_videos_are_the_softmax_of_the_models_logits(video_run, video_predictor, video_files):
    model = AutoModelForImageClassification.from_pretrained(video_run).eval()
    features = torch.from_numpy(np.load(video_files[0]))[None]
    with torch.no_grad():
        scores = model(features=features).logits.softmax(-1)[0]
    expected = {model.config.id2label[index]: score for index, score in enumerate(scores.tolist())}

    predictions = video_predictor.predict([np.load(video_files[0])])[0]["predictions"]

    assert {entry["label"]: entry["score"] for entry in predictions} == pytest.approx(expected)


def test_files_of_features_are_predicted(video_predictor, video_files):
    rows = list(video_predictor.predict_files(video_files, top_k=1))
    assert [row["image"] for row in rows] == [str(file) for file in video_files]
    right = [
        row["predictions"][0]["label"] == file.stem.split("-")[1] for row, file in zip(rows, video_files, strict=True)
    ]
    assert sum(right) > 0.95 * len(right)


@pytest.mark.parametrize("batch_size", [1, 5])
def test_results_of_videos_do_not_depend_on_the_batch_and_its_padding(video_predictor, video_files, batch_size):
    rows = list(video_predictor.predict_files(video_files, num_words=3, batch_size=batch_size))
    assert_alike(rows, list(video_predictor.predict_files(video_files, num_words=3)))


def test_files_of_features_are_found_below_folders(video_predictor, video_files, tmp_path):
    for name in ("b/2.NPY", "b/1.npy", "a.npy"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(video_files[0].read_bytes())
    for name in ("notes.txt", "cat.png"):
        (tmp_path / name).touch()
    with h5py.File(tmp_path / "c.h5", "w") as file:
        file["dive"] = np.load(video_files[0])
    found = [Path(row["image"]).relative_to(tmp_path).as_posix() for row in video_predictor.predict_files([tmp_path])]
    assert found == ["a.npy", "b/1.npy", "b/2.NPY", "c.h5::dive"]


@pytest.mark.parametrize("named", [True, False])
def test_videos_of_an_hdf5_file_are_predicted(video_predictor, video_files, video_h5, named):
    names = [f"{video_h5}::{file.stem.removeprefix('test-')}" for file in video_files]
    rows = list(video_predictor.predict_files(names if named else [video_h5], num_words=2))
    assert [row["image"] for row in rows] == names
    assert_alike(rows, list(video_predictor.predict_files(video_files, num_words=2)))


def test_words_of_a_model_trained_with_cross_entropy_are_softmax_scores(video_predictor, video_files):
    features = np.load(video_files[0])
    with torch.no_grad():
        word_logits = video_predictor.model(features=torch.from_numpy(features)[None]).word_logits[0]
    words = video_predictor.predict([features], num_words=50)[0]["words"]
    assert {entry["word"] for entry in words} == {"jump", "run", "swim", "take 0", "take 1", "take 2"}
    assert sum(entry["score"] for entry in words) == pytest.approx(1)
    expected = word_logits.softmax(-1).sort(descending=True).values
    assert [entry["score"] for entry in words] == pytest.approx(expected.tolist(), abs=1e-5)


def test_a_checkpoint_for_inference_predicts_the_same_of_videos(video_run, video_predictor, video_files, tmp_path):
    CRIFForImageClassification.from_pretrained(video_run).save_pretrained(tmp_path, for_inference=True)
    for name in ("preprocessor_config.json", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((video_run / name).read_bytes())

    slim = Predictor.from_pretrained(str(tmp_path), "cpu")

    assert slim.model.num_parameters() < video_predictor.model.num_parameters()
    files = video_files[:4]
    assert_alike(list(slim.predict_files(files, num_words=3)), list(video_predictor.predict_files(files, num_words=3)))


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("{h5}::run-99", r"Cannot read the file of features .*videos\.h5::run-99: it has no data set 'run-99'"),
        ("{npy}::run-0", r"Cannot read the file of features .*npy::run-0: expected the path of features as"),
        ("{bad}", r"Cannot read the file of features .*bad\.npy: .*--skip-bad-images"),
        ("{flat}", r"Cannot read the file of features .*flat\.npy: expected rows and columns, .* got shape \(8,\)"),
        ("{image}", r"Cannot read the file of features .*cat\.png: expected the path of features as"),
    ],
)
def test_files_that_hold_no_features_of_the_model_are_named(
    video_predictor, video_files, video_h5, tmp_path, path, message
):
    files = {name: tmp_path / f"{name}.npy" for name in ("bad", "flat")}
    files["bad"].write_bytes(b"no array")
    np.save(files["flat"], np.ones(8))
    files["image"] = tmp_path / "cat.png"
    files["image"].touch()
    given = path.format(h5=video_h5, npy=video_files[0], **files)
    with pytest.raises(ValueError, match=message):
        list(video_predictor.predict_files([video_files[0], given]))
    rows = list(video_predictor.predict_files([given, video_files[0]], bad_images="skip"))
    assert [row["image"] for row in rows] == [str(video_files[0])]


def test_a_file_of_features_of_another_width_is_named(video_predictor, video_files, tmp_path):
    np.save(tmp_path / "wide.npy", np.ones((3, 9)))
    with pytest.raises(ValueError, match=r"wide\.npy.* must be \[T, 8\] .* got \[3, 9\]"):
        list(video_predictor.predict_files([video_files[0], tmp_path / "wide.npy"]))


@pytest.mark.parametrize("path", ["nowhere.npy", "nowhere.h5::run-0"])
def test_missing_files_of_features_are_named(video_predictor, path):
    with pytest.raises(FileNotFoundError, match=f"No file of features or folder at '{path}'"):
        video_predictor.predict_files([path])


def test_a_folder_without_features_is_an_error(video_predictor, shapes):
    with pytest.raises(FileNotFoundError, match=r"There is no file of features in the .* video7\.npy or videos\.h5"):
        video_predictor.predict_files([shapes])


def test_features_are_no_images(predictor, video_files):
    with pytest.raises(ValueError, match=r"Cannot read the image .*\.npy"):
        list(predictor.predict_files(video_files[:1]))


def test_an_image_may_have_two_colons_in_its_name(predictor, image_files, tmp_path):
    file = tmp_path / "cat::1.png"
    file.write_bytes(image_files[0].read_bytes())
    assert [row["image"] for row in predictor.predict_files([file])] == [str(file)]


ROWS = [
    {
        "image": "été.png",
        "predictions": [{"label": "cup, full", "score": 0.75}, {"label": "jug", "score": 0.25}],
        "words": [{"word": "hot", "score": 0.5}, {"word": "blue rim", "score": 0.25}],
    },
    {"image": "b.png", "predictions": [{"label": "jug", "score": 1.0}]},
]


def test_json_lines_hold_the_rows_as_they_are():
    stream = io.StringIO()
    write_predictions(ROWS, stream)
    assert [json.loads(line) for line in stream.getvalue().splitlines()] == ROWS
    assert "été.png" in stream.getvalue()


def test_csv_has_a_line_for_each_class_of_each_image():
    stream = io.StringIO(newline="")
    write_predictions(ROWS, stream, as_csv=True)
    assert list(csv.reader(stream.getvalue().splitlines())) == [
        ["image", "rank", "label", "score", "words"],
        ["été.png", "1", "cup, full", "0.750000", "hot|blue rim"],
        ["été.png", "2", "jug", "0.250000", "hot|blue rim"],
        ["b.png", "1", "jug", "1.000000", ""],
    ]


def test_csv_keeps_an_image_without_any_class():
    stream = io.StringIO(newline="")
    words = [{"word": "hot", "score": 0.5}]
    write_predictions([{"image": "a.png", "predictions": [], "words": words}, ROWS[1]], stream, as_csv=True)
    assert list(csv.reader(stream.getvalue().splitlines()))[1:] == [
        ["a.png", "", "", "", "hot"],
        ["b.png", "1", "jug", "1.000000", ""],
    ]
