import doctest
import re
import runpy
import socket
import sys
from functools import partial
from pathlib import Path
from unittest.mock import MagicMock

import evaluate
import numpy as np
import pytest
import yaml

from xmodal_lt.metrics import (
    evaluate_module,
    lt_map,
    multilabel_f1,
    precision_recall_at_k,
    shot_accuracy,
    top_k_accuracy,
)


COUNTS = [500, 120, 100, 60, 20, 3]
NAMES = ["lt_map", "shot_accuracy", "precision_recall_at_k", "multilabel_f1", "top_k_accuracy"]
MULTILABEL = ["lt_map", "precision_recall_at_k", "multilabel_f1"]


pytestmark = pytest.mark.usefixtures("evaluate_cache")


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    def refuse(self, address):
        raise AssertionError(f"connected to {address}")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def load(name):
    return evaluate.load(evaluate_module(name))


def single_label(num_samples=90):
    rng = np.random.default_rng(0)
    return rng.normal(size=(num_samples, 6)).astype(np.float32), rng.integers(0, 6, num_samples)


def multi_label(num_samples=90, dtype=np.float32):
    rng = np.random.default_rng(0)
    references = rng.random((num_samples, 6)) < 0.3
    return (rng.normal(size=references.shape) + references).astype(np.float32), references.astype(dtype)


def lists(result):
    return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in result.items()}


def cases():
    """Name, predictions, references, arguments of `compute`, and what the plain function gives."""
    scores, labels = single_label()
    predictions = scores.argmax(axis=1)
    counts = {"class_counts": COUNTS}
    nus_wide = {**counts, "head": 100, "tail": 60, "boundaries": "decoupling", "method": "rank"}
    vl_ltr = {**counts, "many": 120, "few": 30, "average": "micro", "boundaries": "vl_ltr"}
    yield "lt_map", *multi_label(), counts, lists(lt_map(*multi_label(), **counts))
    yield "lt_map", *multi_label(), nus_wide, lists(lt_map(*multi_label(), **nus_wide))
    yield "shot_accuracy", predictions, labels, counts, lists(shot_accuracy(predictions, labels, **counts))
    yield "shot_accuracy", predictions, labels, vl_ltr, lists(shot_accuracy(predictions, labels, **vl_ltr))
    yield "precision_recall_at_k", *multi_label(), {}, precision_recall_at_k(*multi_label())
    yield "precision_recall_at_k", *multi_label(), {"ks": [2]}, precision_recall_at_k(*multi_label(), ks=[2])
    yield "multilabel_f1", *multi_label(), {}, multilabel_f1(*multi_label())
    options = {"threshold": 0.3, "top_k": 2}
    yield "multilabel_f1", *multi_label(), options, multilabel_f1(*multi_label(), **options)
    yield "top_k_accuracy", scores, labels, {}, {"top_k_accuracy": top_k_accuracy(scores, labels)}
    yield "top_k_accuracy", scores, labels, {"k": 2}, {"top_k_accuracy": top_k_accuracy(scores, labels, k=2)}


CASES = pytest.mark.parametrize(("name", "predictions", "references", "arguments", "expected"), list(cases()))


@CASES
def test_result_equals_the_plain_function(name, predictions, references, arguments, expected):
    result = load(name).compute(predictions=predictions, references=references, **arguments)
    assert result == expected


@CASES
def test_batches_give_the_result_of_the_whole(name, predictions, references, arguments, expected):
    metric = load(name)
    for rows in np.array_split(np.arange(len(references)), 4):
        metric.add_batch(predictions=predictions[rows], references=references[rows])
    assert metric.compute(**arguments) == expected


@pytest.mark.parametrize("k", [1, 5])
def test_top_k_accuracy_equals_the_recorded_number_of_hits(golden, k):
    record = golden("precision_recall_at_k")
    scores, labels = record["inputs"]["cls_scores"], np.array(record["inputs"]["cls_labels_1indexed"]) - 1
    result = load("top_k_accuracy").compute(predictions=scores, references=labels, k=k)
    assert result["top_k_accuracy"] * len(labels) == pytest.approx(record["outputs"][f"top{k}_hits"], rel=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_metric_tells_what_it_is(name):
    metric = load(name)
    assert metric.name == name and metric.module_type == "metric"
    assert metric.description and "@" in metric.citation and metric.reference_urls
    assert "predictions (`list`" in metric.inputs_description


def test_class_without_positives_is_nan():
    scores, references = multi_label()
    references[:, 5] = 0
    result = load("lt_map").compute(predictions=scores, references=references, class_counts=COUNTS)
    assert np.isnan(result["ap"]).tolist() == [False] * 5 + [True]
    assert np.isnan(result["map_tail"]) and not np.isnan(result["map"])


@pytest.mark.parametrize("dtype", [bool, np.int64, np.float32])
@pytest.mark.parametrize("name", MULTILABEL)
def test_multi_label_references_may_be_of_any_type(name, dtype):
    arguments = {"class_counts": COUNTS} if name == "lt_map" else {}
    scores, references = multi_label(dtype=dtype)
    expected = load(name).compute(predictions=scores, references=references.astype(int).tolist(), **arguments)
    assert load(name).compute(predictions=scores, references=references, **arguments) == expected


@pytest.mark.parametrize("name", MULTILABEL)
def test_soft_references_are_refused_and_not_rounded(name):
    arguments = {"class_counts": COUNTS} if name == "lt_map" else {}
    scores, references = multi_label()
    with pytest.raises(ValueError, match=r"targets must be 0 or 1, got \[0.5\]"):
        load(name).compute(predictions=scores, references=references / 2, **arguments)


def test_unknown_argument_is_refused():
    scores, references = multi_label()
    with pytest.raises(TypeError, match="'hed'"):
        load("lt_map").compute(predictions=scores, references=references, class_counts=COUNTS, hed=50)


def test_multi_label_metrics_combine():
    scores, references = multi_label()
    mean_ap = load("lt_map")
    mean_ap.compute = partial(mean_ap.compute, class_counts=COUNTS)
    combined = evaluate.combine([mean_ap, load("precision_recall_at_k"), load("multilabel_f1")])
    for rows in (slice(0, 40), slice(40, None)):
        combined.add_batch(predictions=scores[rows], references=references[rows])
    assert combined.compute() == {
        **lists(lt_map(scores, references, COUNTS)),
        **precision_recall_at_k(scores, references),
        **multilabel_f1(scores, references),
    }


def test_unknown_module_is_refused_with_the_known_names():
    with pytest.raises(ValueError, match=rf"one of {', '.join(sorted(NAMES))}; got 'accuracy'"):
        evaluate_module("accuracy")


@pytest.mark.parametrize("name", NAMES)
def test_examples_of_the_metric_and_of_its_card_run(name):
    card = (Path(evaluate_module(name)) / "README.md").read_text(encoding="utf-8")
    parser, runner = doctest.DocTestParser(), doctest.DocTestRunner()
    report: list[str] = []
    for text in (load(name).inputs_description, re.sub(r"^```.*$", "", card, flags=re.MULTILINE)):
        example = parser.get_doctest(text, {}, name, None, None)
        assert example.examples
        runner.run(example, out=report.append)
    assert runner.failures == 0, "".join(report)


@pytest.mark.parametrize("name", NAMES)
def test_folder_is_the_repository_of_a_space(name):
    folder = Path(evaluate_module(name))
    front_matter = yaml.safe_load((folder / "README.md").read_text(encoding="utf-8").split("---\n")[1])
    assert front_matter["sdk"] == "gradio" and (folder / front_matter["app_file"]).is_file()
    assert {"evaluate", "metric"} <= set(front_matter["tags"])  # how `evaluate.list_evaluation_modules` finds it
    assert "xmodal-lt" in (folder / "requirements.txt").read_text().split()


@pytest.mark.parametrize("name", NAMES)
def test_page_of_the_space_computes_its_example(name, monkeypatch):
    gradio = MagicMock()  # a Space brings it; this package does not depend on it
    monkeypatch.setitem(sys.modules, "gradio", gradio)
    runpy.run_path(str(Path(evaluate_module(name)) / "app.py"))

    page, example = gradio.Interface.call_args.kwargs, gradio.Code.call_args.args[0]
    result = page["fn"](example)

    assert result and not np.isnan([value for value in result.values() if isinstance(value, float)]).all()
    assert page["title"] == name and page["article"].lstrip().startswith("# Metric card")
    gradio.Interface.return_value.launch.assert_called_once_with()
