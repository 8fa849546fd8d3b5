import json
from pathlib import Path

import numpy as np
import pytest
from export_models import image_processor, make_model, places_in, predict, random_images

from xmodal_lt.hub.export_int8 import quantize_onnx, quantize_report, report_table
from xmodal_lt.hub.export_to_onnx import export_onnx, onnx_predictor


for package in ("onnx", "onnxruntime", "onnxscript"):
    pytest.importorskip(package)


def test_the_report_compares_the_files_on_a_split(cmltnet_run: Path, tmp_path: Path):
    report = quantize_report(str(cmltnet_run), tmp_path, split="validation", batch_size=4)

    assert json.loads((tmp_path / "quantization.json").read_text()) == report
    assert report["model"] == cmltnet_run.name and not any(map(places_in, tmp_path.iterdir()))
    assert report["split"] == "validation" and report["num_samples"] == 9
    variants = report["variants"]
    assert set(variants) == {"float32", "int8 linear", "int8"}
    trained = json.loads((cmltnet_run / "results.json").read_text())["splits"]["validation"]
    assert variants["float32"]["results"]["groups"] == trained["groups"]
    for variant in variants.values():
        assert (tmp_path / variant["file"]).stat().st_size == variant["bytes"]
    # The few linear weights of this model are about as many bytes as what their quantisation adds.
    assert variants["int8"]["size_ratio"] < 0.4 < variants["int8 linear"]["size_ratio"] < 1.1
    assert 0 <= variants["int8"]["agreement"] <= 1
    assert 0 < variants["int8"]["latency_ratio"]["min"] <= variants["int8"]["latency_ratio"]["median"]
    table = (tmp_path / "quantization.txt").read_text()
    assert table == report_table(report) + "\n"
    assert "int8 linear: model.int8_linear.onnx" in table and "tail" in table


@pytest.mark.slow
@pytest.mark.parametrize("convolutions", [False, True])
def test_a_model_in_8_bits_predicts_nearly_the_same_and_keeps_its_labels(convolutions: bool, tmp_path: Path):
    model = make_model("lt_classifier", backbone="mobilenetv3_small_050")
    source = export_onnx(model, tmp_path, image_processor())
    target = tmp_path / "model.int8.onnx"
    quantize_onnx(source, target, convolutions)

    images = random_images(8)
    expected = predict(model, pixel_values=images)[0].numpy()
    given = onnx_predictor(str(target))(images)[0]
    assert 0 < np.abs(given - expected).max() < 0.1 * np.abs(expected).max()
    import onnx

    graph = onnx.load(target)
    assert {"labels", "preprocessing"} <= {entry.key for entry in graph.metadata_props}
    kinds = {node.op_type for node in graph.graph.node}
    assert "MatMulInteger" in kinds and ("ConvInteger" in kinds) == convolutions and "Conv" in kinds  # grouped ones
