"""The page of the metric's Space."""

from pathlib import Path

from xmodal_lt.metrics.evaluate_page import launch_page


EXAMPLE = """{
  "predictions": [[0.9, 0.8, 0.1], [0.2, 0.1, 0.7]],
  "references": [[1, 1, 0], [1, 0, 0]],
  "ks": [1, 2]
}"""

launch_page(Path(__file__).with_name("precision_recall_at_k.py"), EXAMPLE)
