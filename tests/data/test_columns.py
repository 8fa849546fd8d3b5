from __future__ import annotations

import io
from functools import partial

import datasets
import pytest
from PIL import Image

from xmodal_lt.data import FEATURES
from xmodal_lt.data.columns import to_schema
from xmodal_lt.data.file_paths import place_file


def one_image() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (2, 2), (255, 0, 0)).save(file, format="PNG")
    return file.getvalue()


def train(**columns) -> datasets.DatasetDict:
    columns = {"image": [one_image()], "label": ["cat"], **columns}
    return datasets.DatasetDict(train=datasets.Dataset.from_dict({name: c for name, c in columns.items() if c}))


def test_named_columns_get_the_schemas_names_and_order():
    dataset = train(image=None, label=None, note=["n"], kind=["cat"], tags=[["fur"]], picture=[one_image()])
    part = to_schema(dataset, image_column="picture", words_column="tags", label_column="kind")["train"]
    assert part.column_names == ["image", "words", "label", "image_id", "note"]
    assert part[0]["image"].getpixel((0, 0)) == (255, 0, 0)


def test_words_are_optional():
    assert "words" not in to_schema(train())["train"].column_names


def test_only_the_training_split_needs_words():
    dataset = train(words=[["fur"]])
    dataset["test"] = dataset["train"].remove_columns("words")
    assert to_schema(dataset)["test"].column_names == ["image", "label", "image_id"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("ice cream, cone,, cone", ["ice cream", "cone"]),
        (["ice cream ", "", "cone", "cone"], ["ice cream", "cone"]),
        ("", []),
        (None, []),
    ],
)
def test_words_are_split_stripped_and_made_distinct(words, expected):
    dataset = train(words=[words], image=[one_image()])
    if words is None:
        dataset = dataset.cast_column("words", datasets.Value("string"))
    part = to_schema(dataset)["train"]
    assert part.features["words"] == datasets.List(datasets.Value("string"))
    assert part["words"][0] == expected


def test_lists_of_labels_are_called_labels():
    part = to_schema(train(label=[["cat", "pet"]]))["train"]
    assert part.column_names == ["image", "labels", "image_id"]


def test_image_ids_are_kept_as_text_or_made():
    assert to_schema(train())["train"]["image_id"][0] == "train/0"
    assert to_schema(train(image_id=[7]))["train"]["image_id"][0] == "7"


def test_a_named_column_replaces_the_one_of_that_name(caplog):
    part = to_schema(train(species=["lion"]), label_column="species")["train"]
    assert part["label"][0] == "lion"
    assert "['label'] give way" in caplog.text


def test_encoded_bytes_beside_a_path_are_an_image():
    part = to_schema(train(image=[{"bytes": one_image(), "path": "a.png"}]))["train"]
    assert part[0]["image"].size == (2, 2)


def test_paths_are_seen_from_the_base_folder(tmp_path):
    (tmp_path / "a.png").write_bytes(one_image())
    part = to_schema(train(image=["a.png"]), place=partial(place_file, folder=tmp_path))["train"]
    assert part[0]["image"].size == (2, 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_column": "imgae"}, r"no column 'imgae'; its columns are .* Did you mean 'image'\? .*`image_column`"),
        ({"words_column": "word"}, r"no column 'word'; .* Did you mean 'words'\? .*`words_column`"),
        ({"label_column": "class"}, r"split 'train' has no column 'class'; its columns are .*`label_column`"),
    ],
)
def test_a_missing_column_is_named_with_the_closest(options, message):
    with pytest.raises(ValueError, match=message):
        to_schema(train(words=[["fur"]]), **options)


def test_labels_missing_beside_a_metadata_file(image_folder):
    with pytest.raises(ValueError, match="Where images have a metadata file, it must hold the label"):
        to_schema(datasets.load_dataset(str(image_folder([{}]))))


def test_a_column_missing_in_another_split():
    dataset = train()
    dataset["test"] = dataset["train"].remove_columns("label")
    with pytest.raises(ValueError, match=r"split 'test' has no column 'label'; its columns are \['image'\]"):
        to_schema(dataset)


def test_two_columns_that_could_be_the_labels():
    with pytest.raises(ValueError, match=r"\['label', 'labels'\] could both be meant: .*`label_column`"):
        to_schema(train(labels=[["cat"]]))


def test_no_split_to_train_on():
    with pytest.raises(ValueError, match=r"a split named 'train' .* got \['test'\]"):
        to_schema(datasets.DatasetDict(test=train()["train"]))


def test_images_of_another_type():
    with pytest.raises(TypeError, match="column 'image' must hold images"):
        to_schema(train(image=[3]))


def test_words_of_another_type():
    with pytest.raises(TypeError, match="column 'words' must hold lists of strings"):
        to_schema(train(words=[[1, 2]]))


def videos(**columns) -> datasets.DatasetDict:
    return train(image=None, **{"features": ["a.npy"], **columns})


def test_paths_of_features_become_references_from_the_base_folder(tmp_path):
    dataset = videos(features=["a.npy", "b.h5::v_1", None], label=["cat", "dog", "cat"])
    part = to_schema(dataset, place=partial(place_file, folder=tmp_path))["train"]
    assert part.features["features"] == FEATURES
    assert list(part["features"]) == [
        {"path": str(tmp_path / "a.npy"), "key": None, "start": 0, "stop": None},
        {"path": str(tmp_path / "b.h5"), "key": "v_1", "start": 0, "stop": None},
        None,
    ]


def test_references_are_kept_but_for_relative_paths(tmp_path):
    rows = [{"path": "a.npy", "key": None, "start": 2, "stop": 4, "note": "cut"}]
    part = to_schema(videos(features=rows), place=partial(place_file, folder=tmp_path))["train"]
    assert part.features["features"] == FEATURES
    assert part[0]["features"] == {"path": str(tmp_path / "a.npy"), "key": None, "start": 2, "stop": 4}


def test_columns_of_videos_are_in_the_schemas_order():
    part = to_schema(videos(words=[["fur"]], note=["n"], privileged_features=["b.npy"]))["train"]
    assert part.column_names == ["features", "privileged_features", "words", "label", "image_id", "note"]
    assert part.features["privileged_features"] == FEATURES


def test_only_the_training_split_needs_privileged_features():
    dataset = videos(privileged_features=["b.npy"])
    dataset["test"] = dataset["train"].remove_columns("privileged_features")
    assert to_schema(dataset)["test"].column_names == ["features", "label", "image_id"]


def test_features_beside_images_are_one_of_the_other_columns():
    part = to_schema(train(features=["anything"]))["train"]
    assert part.column_names == ["image", "label", "image_id", "features"]
    assert part["features"][0] == "anything"


def test_neither_images_nor_features():
    with pytest.raises(ValueError, match=r"no column 'image'; .*`image_column`\. For videos, .* a column 'features'"):
        to_schema(train(image=None, text=["a"]))


def test_features_missing_in_another_split():
    dataset = videos()
    dataset["test"] = train()["train"]
    with pytest.raises(
        ValueError, match=r"split 'test' has no column 'features', as train has; its columns are \['im"
    ):
        to_schema(dataset)


@pytest.mark.parametrize("column", ["features", "privileged_features"])
@pytest.mark.parametrize("value", [3, [0.5, 0.5], {"path": "a.npy"}])
def test_features_of_another_type(column, value):
    with pytest.raises(TypeError, match=f"column '{column}' must hold paths of extracted features, 'file.npy' or"):
        to_schema(videos(**{column: [value]}))


def test_a_path_that_names_no_features():
    with pytest.raises(ValueError, match=r"row 1 of column 'features': expected the path of features .* got 'b\.mp4'"):
        to_schema(videos(features=["a.npy", "b.mp4"], label=["cat", "dog"]))
