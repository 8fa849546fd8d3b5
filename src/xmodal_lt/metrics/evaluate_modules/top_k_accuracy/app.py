"""The page of the metric's Space."""

from pathlib import Path

from xmodal_lt.metrics.evaluate_page import launch_page


EXAMPLE = """{
  "predictions": [[0.1, 0.7, 0.2], [0.6, 0.3, 0.1]],
  "references": [2, 2],
  "k": 2
}"""

launch_page(Path(__file__).with_name("top_k_accuracy.py"), EXAMPLE)
