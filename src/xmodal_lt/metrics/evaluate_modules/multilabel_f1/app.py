"""The page of the metric's Space."""

from pathlib import Path

from xmodal_lt.metrics.evaluate_page import launch_page


EXAMPLE = """{
  "predictions": [[2.0, 1.0], [-1.0, 0.5]],
  "references": [[1, 0], [0, 1]],
  "threshold": 0.5
}"""

launch_page(Path(__file__).with_name("multilabel_f1.py"), EXAMPLE)
