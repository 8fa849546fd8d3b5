"""The source that a saved model carries: it loads where this package cannot be imported, and predicts the same."""

import importlib.util
import inspect
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hub_server import Commit, HubServer, Repository
from PIL import Image
from safetensors.torch import load_file
from transformers import (
    AutoConfig,
    AutoFeatureExtractor,
    AutoImageProcessor,
    AutoModel,
    AutoProcessor,
    ViTConfig,
    pipeline,
)
from transformers.dynamic_module_utils import get_imports

import xmodal_lt
from xmodal_lt.hub.remote_code import export_remote_code
from xmodal_lt.processing import XModalFeatureExtractor, XModalLTImageProcessor, XModalProcessor, build_word_tokenizer
from xmodal_lt.registry import METHODS, get_method


# What a computer with timm and transformers has, as each needs them.
AVAILABLE = {"PIL", "huggingface_hub", "numpy", "timm", "tokenizers", "torch", "torchvision", "transformers"}
VIDEOS = {"backbone": "features:gru", "backbone_kwargs": {"input_size": 5, "hidden_size": 8}}
VIDEO_METHODS = [
    method.model_type
    for method in METHODS
    if "features" in inspect.signature(method.classifier_class().forward).parameters
]
MODEL_TYPES = [method.model_type for method in METHODS]

# A process without this package: loads what it is told to and writes down what that gives.
ELSEWHERE = """
import json, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "xmodal_lt":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())

import numpy as np
import torch
from transformers import (
    AutoConfig, AutoFeatureExtractor, AutoImageProcessor, AutoModel, AutoModelForImageClassification, AutoProcessor,
    pipeline,
)

torch.set_num_threads(1)
wanted = json.loads(sys.argv[1])
TRUST = {"trust_remote_code": True}

def name(thing):
    return type(thing).__name__

def load(source, again):
    config = AutoConfig.from_pretrained(source, **TRUST)
    model = AutoModelForImageClassification.from_pretrained(source, **TRUST).eval()
    base = AutoModel.from_pretrained(source, **TRUST).eval()
    if config.backbone.startswith("features:"):
        processor = AutoFeatureExtractor.from_pretrained(source, **TRUST)
        batch = processor(np.load(wanted["video"]), return_tensors="pt")
    else:
        processor = AutoImageProcessor.from_pretrained(source, **TRUST)
        batch = processor(wanted["image"], return_tensors="pt")
    with torch.inference_mode():
        outputs, embeds = model(**batch), base(**batch).pooler_output
    found = {
        "classes": [name(config), name(model), name(base), name(processor)],
        "modules": [type(thing).__module__ for thing in (config, model, base, processor)],
        "outputs": {key: value.tolist() for key, value in outputs.items() if torch.is_tensor(value)},
        "pooler_output": embeds.tolist(),
    }
    if "pixel_values" in batch:
        pil = AutoImageProcessor.from_pretrained(source, backend="pil", **TRUST)
        found["classes"] += [name(pil), name(AutoProcessor.from_pretrained(source, **TRUST))]
        found["pipeline"] = pipeline("image-classification", model=source, **TRUST)(wanted["image"])
    if again:
        model.save_pretrained(again)
        processor.save_pretrained(again)
        model.save_pretrained(again + "_slim", for_inference=True)
        processor.save_pretrained(again + "_slim")
        found["again"], found["slim"] = load(again, None), load(again + "_slim", None)
    return found

results = {source: load(source, again) for source, again in wanted["sources"].items()}
assert not any(module.partition(".")[0] == "xmodal_lt" for module in sys.modules)
with open(wanted["results"], "w") as file:
    json.dump(results, file)
"""


def _make_model(model_type: str, **settings: Any) -> Any:
    """A tiny model, as the tests of the models make it."""
    models = Path(__file__).parents[1] / "modeling" / "conftest.py"
    spec = importlib.util.spec_from_file_location("tiny_models", models)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    names = {"num_labels": 3, "id2label": {0: "heron", 1: "egret", 2: "stork"}}
    return module._make_model(model_type, **names, **settings).eval()


def _save(folder: Path, model_type: str, for_inference: bool = False, **settings: Any) -> Any:
    """Saves a tiny model with its processor, as a run does, and gives the model."""
    model = _make_model(model_type, **settings)
    model.save_pretrained(folder, for_inference=for_inference)
    images = XModalLTImageProcessor(size={"height": 64, "width": 64})
    if model.get_vision_encoder().takes_features:
        XModalFeatureExtractor(feature_size=5).save_pretrained(folder)
    elif hasattr(model.config, "num_words"):
        tokenizer = build_word_tokenizer([[f"word {number}" for number in range(10)]])
        XModalProcessor(images, tokenizer).save_pretrained(folder)
    else:
        images.save_pretrained(folder)
    return model


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("image") / "image.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (70, 80, 3), dtype=np.uint8)).save(path)
    return path


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "video.npy"
    np.save(path, np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32))
    return path


@pytest.fixture(scope="module")
def load_elsewhere(image: Path, video: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """Loads folders, or repositories of a Hub, in a process that cannot import this package."""

    def load(sources: dict[str, str | None], hub: HubServer | None = None) -> dict[str, Any]:
        home = tmp_path_factory.mktemp("home")
        offline = {**os.environ, "HF_HOME": str(home), "HF_HUB_OFFLINE": "1"}
        environment = offline if hub is None else hub.environment(home)
        environment.pop("HF_MODULES_CACHE", None)
        wanted = {"image": str(image), "video": str(video), "sources": sources, "results": str(home / "results.json")}
        done = subprocess.run(
            [sys.executable, "-I", "-c", ELSEWHERE, json.dumps(wanted)],
            env={**environment, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads((home / "results.json").read_text())

    return load


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Any]]:
    """By model type: an exported folder and the model that was saved to it."""
    models = {}
    for model_type in MODEL_TYPES:
        folder = tmp_path_factory.mktemp("models") / model_type
        models[model_type] = folder, _save(folder, model_type)
        export_remote_code(folder)
    return models


@pytest.fixture(scope="module")
def found(exported, load_elsewhere) -> dict[str, Any]:
    """By model type: what a process without this package gets from these folders."""
    results = load_elsewhere({str(folder): None for folder, _ in exported.values()})
    return {model_type: results[str(folder)] for model_type, (folder, _) in exported.items()}


def _check_outputs(found: dict[str, Any], model: Any, batch: dict[str, Any]) -> None:
    """Every tensor of the outputs, and the embedding, is that of the model."""
    with torch.inference_mode():
        outputs, embeds = model(**batch), model.base_model(**batch).pooler_output
    tensors = {name: value for name, value in outputs.items() if torch.is_tensor(value)}
    assert found["outputs"].keys() == tensors.keys()
    assert "logits" in tensors
    seen = {**found["outputs"], "pooler_output": found["pooler_output"]}
    for name, tensor in {**tensors, "pooler_output": embeds}.items():
        torch.testing.assert_close(
            torch.tensor(seen[name]), tensor, atol=1e-6, rtol=1e-6, msg=lambda text, name=name: f"{name}: {text}"
        )


@pytest.mark.parametrize("model_type", MODEL_TYPES)
class TestWithoutThePackage:
    def test_predictions_are_the_models(self, model_type, exported, found, image):
        folder, model = exported[model_type]
        batch = AutoImageProcessor.from_pretrained(folder)(Image.open(image), return_tensors="pt")
        _check_outputs(found[model_type], model, batch)
        assert ("word_logits" in found[model_type]["outputs"]) == hasattr(model.config, "num_words")

    def test_classes_come_from_the_folder(self, model_type, found):
        method = get_method(model_type)
        processor = "XModalProcessor" if model_type in ("cmltnet", "crif") else "XModalLTImageProcessor"
        assert found[model_type]["classes"] == [
            method.config,
            method.classifier,
            method.model,
            "XModalLTImageProcessor",
            "XModalLTImageProcessorPil",
            processor,
        ]
        assert {name.partition(".")[0] for name in found[model_type]["modules"]} == {"transformers_modules"}

    def test_pipeline_gives_the_same_classes(self, model_type, exported, found, image):
        expected = pipeline("image-classification", model=str(exported[model_type][0]))(str(image))
        assert [best["label"] for best in found[model_type]["pipeline"]] == [best["label"] for best in expected]
        assert {best["label"] for best in expected} == {"heron", "egret", "stork"}
        np.testing.assert_allclose(
            [best["score"] for best in found[model_type]["pipeline"]], [best["score"] for best in expected], atol=1e-6
        )


@pytest.mark.slow
class TestWithoutThePackageInFull:
    def test_checkpoints_for_inference_and_of_loaded_models(self, load_elsewhere, image, tmp_path):
        folders = {model_type: tmp_path / model_type for model_type in MODEL_TYPES}
        models = {name: _save(folder, name, for_inference=True) for name, folder in folders.items()}
        for folder in folders.values():
            export_remote_code(folder)
        results = load_elsewhere({str(folder): f"{folder}_again" for folder in folders.values()})
        for name, folder in folders.items():
            batch = AutoImageProcessor.from_pretrained(folder)(Image.open(image), return_tensors="pt")
            for seen in (results[str(folder)], *(results[str(folder)][key] for key in ("again", "slim"))):
                _check_outputs(seen, models[name], batch)

    def test_full_checkpoints_are_slimmed_there(self, exported, load_elsewhere, image, tmp_path):
        results = load_elsewhere({str(folder): str(tmp_path / name) for name, (folder, _) in exported.items()})
        for name, (folder, model) in exported.items():
            batch = AutoImageProcessor.from_pretrained(folder)(Image.open(image), return_tensors="pt")
            for key in ("again", "slim"):
                _check_outputs(results[str(folder)][key], model, batch)
            model.save_pretrained(tmp_path / "here", for_inference=True)
            slim = (tmp_path / folder / "model.safetensors" for folder in (f"{name}_slim", "here"))
            assert len({frozenset(load_file(path)) for path in slim}) == 1

    def test_videos(self, load_elsewhere, video, tmp_path):
        folders = {name: tmp_path / name for name in VIDEO_METHODS}
        models = {name: _save(folder, name, **VIDEOS) for name, folder in folders.items()}
        for folder in folders.values():
            export_remote_code(folder)
        results = load_elsewhere({str(folder): f"{folder}_again" for folder in folders.values()})
        for name, folder in folders.items():
            batch = AutoFeatureExtractor.from_pretrained(folder)(np.load(video), return_tensors="pt")
            assert results[str(folder)]["classes"][-1] == "XModalFeatureExtractor"
            for seen in (results[str(folder)], *(results[str(folder)][key] for key in ("again", "slim"))):
                _check_outputs(seen, models[name], batch)

    def test_backbones_of_transformers(self, load_elsewhere, image, tmp_path):
        sizes = {"num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8, "hidden_size": 16}
        vit = ViTConfig(image_size=64, patch_size=16, **sizes).to_dict()
        model = _save(tmp_path / "vit", "cprfl", backbone="hf:org/vit", backbone_config=vit)
        export_remote_code(tmp_path / "vit")
        results = load_elsewhere({str(tmp_path / "vit"): None})
        batch = AutoImageProcessor.from_pretrained(tmp_path / "vit")(Image.open(image), return_tensors="pt")
        _check_outputs(results[str(tmp_path / "vit")], model, batch)

    def test_from_the_hub(self, exported, load_elsewhere, image):
        server = HubServer()
        for name, (folder, _) in exported.items():
            repository = Repository(private=False)
            repository.commits.append(Commit("a model", _contents(folder)))
            server.repositories["model", f"org/{name}"] = repository
        with server.running():
            results = load_elsewhere({f"org/{name}": None for name in exported}, server)
        for name, (folder, model) in exported.items():
            batch = AutoImageProcessor.from_pretrained(folder)(Image.open(image), return_tensors="pt")
            _check_outputs(results[f"org/{name}"], model, batch)


class TestFiles:
    def test_all_that_is_imported_is_there(self, exported):
        for folder, _ in exported.values():
            for file in folder.glob("*.py"):
                assert set(get_imports(file)) <= AVAILABLE | sys.stdlib_module_names, file
                for line in file.read_text().splitlines():
                    words = line.split()
                    if words[:1] == ["from"] and words[1].startswith("."):
                        assert (folder / f"{words[1][1:]}.py").is_file(), f"{file}: {line}"

    def test_only_what_the_model_needs(self, exported):
        names = {file.name for file in exported["lt_classifier"][0].glob("*.py")}
        assert {"modeling_lt_classifier.py", "configuration_lt_classifier.py", "vision_encoder.py"} < names
        assert "image_processing_pil_xmodal_lt.py" in names
        assert not names & {"modeling_crif.py", "augmentation.py", "collator.py", "processing_xmodal_lt.py"}

    def test_say_where_they_are_from(self, exported):
        path = exported["crif"][0] / "fusion.py"
        first, _, rest = path.read_text().partition("\n")
        for part in (f"xmodal-lt {xmodal_lt.__version__}", "xmodal_lt/modeling/fusion.py", "Apache License 2.0"):
            assert part in first
        assert rest == Path(xmodal_lt.__file__).parent.joinpath("modeling", "fusion.py").read_text()

    def test_are_returned(self, tmp_path):
        _save(tmp_path, "cprfl")
        assert export_remote_code(str(tmp_path)) == sorted(tmp_path.glob("*.py"))

    def test_no_two_sources_have_one_name(self):
        package = Path(xmodal_lt.__file__).parent
        modeling, processing = (
            {file.name for file in (package / name).glob("*.py")} for name in ("modeling", "processing")
        )
        assert modeling & processing == {"__init__.py"}

    def test_of_a_processor_of_others_are_left_out(self, tmp_path):
        _save(tmp_path, "lt_classifier")
        (tmp_path / "preprocessor_config.json").write_text('{"image_processor_type": "ViTImageProcessor"}')
        names = {file.name for file in export_remote_code(tmp_path)}
        assert not any(name.startswith("image_processing") for name in names)
        assert json.loads((tmp_path / "preprocessor_config.json").read_text()) == {
            "image_processor_type": "ViTImageProcessor"
        }


class TestExport:
    def test_twice_is_as_once(self, exported):
        for folder, _ in exported.values():
            before = _contents(folder)
            export_remote_code(folder)
            assert _contents(folder) == before

    def test_renews_the_files_of_another_version(self, tmp_path):
        _save(tmp_path, "lt_classifier")
        export_remote_code(tmp_path)
        new = (tmp_path / "stages.py").read_text()
        (tmp_path / "stages.py").write_text("# Part of xmodal-lt 0.0.1 (xmodal_lt/modeling/stages.py)\nold = True\n")
        export_remote_code(tmp_path)
        assert (tmp_path / "stages.py").read_text() == new

    def test_weights_in_several_files(self, tmp_path):
        model = _save(tmp_path, "lt_classifier")
        (tmp_path / "model.safetensors").unlink()
        model.save_pretrained(tmp_path, max_shard_size="100KB")
        assert len(list(tmp_path.glob("model-*.safetensors"))) > 1
        export_remote_code(tmp_path)
        assert (tmp_path / "modeling_lt_classifier.py").is_file()

    def test_keeps_other_entries(self, tmp_path):
        _save(tmp_path, "lt_classifier")
        config = json.loads((tmp_path / "config.json").read_text())
        config["auto_map"] = {"AutoTokenizer": [None, "mine.Tokenizer"], "AutoModel": "org/old--mine.Model"}
        (tmp_path / "config.json").write_text(json.dumps(config))
        export_remote_code(tmp_path)
        assert json.loads((tmp_path / "config.json").read_text()) == {
            **config,
            "auto_map": {
                "AutoTokenizer": [None, "mine.Tokenizer"],
                "AutoConfig": "configuration_lt_classifier.ImageClassifierConfig",
                "AutoModel": "modeling_lt_classifier.ImageClassifierModel",
                "AutoModelForImageClassification": "modeling_lt_classifier.ImageClassifier",
            },
        }


class TestErrors:
    def test_no_model(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"holds no saved model: expected config\.json and model\.safeten"):
            export_remote_code(tmp_path)

    def test_no_weights(self, tmp_path):
        _save(tmp_path, "lt_classifier")
        (tmp_path / "model.safetensors").unlink()
        with pytest.raises(FileNotFoundError, match="Give the output folder of a finished run"):
            export_remote_code(tmp_path)

    @pytest.mark.parametrize("config", ['{"model_type": "bert"}', "{}", '{"model_type": ["crif"]}'])
    def test_model_of_others(self, config, tmp_path):
        (tmp_path / "config.json").write_text(config)
        (tmp_path / "model.safetensors").touch()
        with pytest.raises(ValueError, match=r"config\.json is not of a model of this package.*expected one of"):
            export_remote_code(tmp_path)

    def test_broken_settings(self, tmp_path):
        _save(tmp_path, "lt_classifier")
        (tmp_path / "preprocessor_config.json").write_text('{"size": ')
        before = _contents(tmp_path)
        with pytest.raises(ValueError, match=r"cannot read .*preprocessor_config\.json"):
            export_remote_code(tmp_path)
        assert _contents(tmp_path) == before

    def test_a_file_of_somebody_else_is_kept(self, tmp_path):
        _save(tmp_path, "lt_classifier")
        (tmp_path / "stages.py").write_text("mine = 1\n")
        before = _contents(tmp_path)
        with pytest.raises(FileExistsError, match=r"stages\.py is not a file of this package"):
            export_remote_code(tmp_path)
        assert _contents(tmp_path) == before

    def test_a_failed_write_leaves_the_folder_as_it_was(self, tmp_path, monkeypatch):
        _save(tmp_path, "lt_classifier")
        before = _contents(tmp_path)
        write_text, calls = Path.write_text, []

        def write_until_full(path: Path, *args: Any, **kwargs: Any) -> int:
            calls.append(path)
            if len(calls) > 10:
                raise OSError(28, "No space left on device")
            return write_text(path, *args, **kwargs)

        monkeypatch.setattr(Path, "write_text", write_until_full)
        with pytest.raises(OSError, match="No space left"):
            export_remote_code(tmp_path)
        assert _contents(tmp_path) == before


@pytest.mark.parametrize("trust", [None, True])
@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_the_installed_package_is_used_where_there_is_one(model_type, trust, exported, image):
    folder = str(exported[model_type][0])
    method = get_method(model_type)
    assert type(AutoConfig.from_pretrained(folder, trust_remote_code=trust)) is method.config_class()
    assert type(AutoModel.from_pretrained(folder, trust_remote_code=trust)) is method.model_class()
    images = AutoImageProcessor.from_pretrained(folder, trust_remote_code=trust)
    assert type(images) is XModalLTImageProcessor
    if model_type in ("cmltnet", "crif"):
        assert type(AutoProcessor.from_pretrained(folder, trust_remote_code=trust)) is XModalProcessor
    classify = pipeline("image-classification", model=folder, trust_remote_code=trust)
    assert type(classify.model) is method.classifier_class()


def test_the_installed_extractor_of_videos_is_used(tmp_path):
    _save(tmp_path, "lt_classifier", **VIDEOS)
    export_remote_code(tmp_path)
    assert type(AutoFeatureExtractor.from_pretrained(tmp_path)) is XModalFeatureExtractor
